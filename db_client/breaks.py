"""Breaks between the books: how a scan writes down what it saw, and how people read and explain it.

A break lives by what scans see. Seen: it is open, again if it was fixed; one that a person explained stays explained
for as long as its amount is the same. Not seen by a scan that looked at its place and read that book to its end: it is
fixed, and nothing else ever closes one. Notes are written once and never changed.
"""

from collections.abc import Collection, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Engine,
    RowMapping,
    Text,
    and_,
    bindparam,
    case,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP
from sqlalchemy.dialects.postgresql import insert as upsert

from db_client.break_rows import Break, BreakState, Kept, Note, Scope, Standing
from db_client.recordset import given, rows
from db_client.tables import reconciliation_break as kept
from db_client.tables import reconciliation_note as note

_CHUNK: Final = 1000
_seen = given(
    break_id=Text(),
    kind=Text(),
    becomes=Text(),
    book=Text(),
    account=Text(),
    subject=Text(),
    payment_id=Text(),
    transaction_id=Text(),
    amount_minor=BigInteger(),
    currency=Text(),
    happened_at=TIMESTAMP(timezone=True),
    said=Text(),
)
_inserted = upsert(kept).from_select([it.name for it in _seen.c], select(_seen))
_as_explained = and_(
    kept.c.state == BreakState.EXPLAINED.value,
    kept.c.amount_minor == _inserted.excluded.amount_minor,
    kept.c.currency == _inserted.excluded.currency,
)
_WRITE: Final = _inserted.on_conflict_do_update(
    index_elements=["break_id"],
    set_={
        **{it.name: _inserted.excluded[it.name] for it in _seen.c if it.name != "break_id"},
        "state": case((_as_explained, BreakState.EXPLAINED.value), else_=BreakState.OPEN.value),
        "openings": kept.c.openings + case((kept.c.state == BreakState.FIXED.value, 1), else_=0),
        "last_seen": func.clock_timestamp(),
        "fixed_at": None,
    },
)
_AGE: Final = func.extract(
    "epoch", func.coalesce(kept.c.fixed_at, func.clock_timestamp()) - kept.c.first_seen
).label("age_s")
_ONE: Final = select(kept, _AGE).where(kept.c.break_id == bindparam("break_id"))
_NOTES: Final = (
    select(note)
    .where(note.c.break_id == func.any(bindparam("ids", type_=ARRAY(Text))))
    .order_by(note.c.note_id)
)


def began(engine: Engine) -> datetime:
    """The database's time, before a scan's first question."""
    with engine.connect() as connection:
        now: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
        return now


def keep(engine: Engine, seen: Sequence[Break], *, scope: Scope) -> int:
    """Write down what a scan saw, and close what it would have seen and did not: all in one commit.

    Gives how many were closed.
    """
    ordered = sorted(seen, key=lambda it: it.break_id)
    with engine.begin() as connection:
        for start in range(0, len(ordered), _CHUNK):
            connection.execute(_WRITE, rows([_row(it) for it in ordered[start : start + _CHUNK]]))
        return _close(connection, scope)


def _row(seen: Break) -> dict[str, object]:
    row = asdict(seen)
    row["said"] = row.pop("text")
    return {**row, "happened_at": seen.happened_at.isoformat()}


def _close(connection: Connection, scope: Scope) -> int:
    places = [_place(book, account) for book, account in scope.complete]
    if not places:
        return 0
    closed = connection.execute(
        update(kept)
        .where(
            kept.c.state != BreakState.FIXED.value,
            kept.c.last_seen < scope.began,
            kept.c.happened_at >= scope.since,
            kept.c.happened_at < scope.until,
            or_(*places),
        )
        .values(state=BreakState.FIXED.value, fixed_at=func.clock_timestamp())
    )
    return closed.rowcount


def _place(book: str, account: str | None) -> ColumnElement[bool]:
    if account is None:
        return kept.c.book == book
    return and_(kept.c.book == book, kept.c.account == account)


def find(
    engine: Engine,
    *,
    states: Collection[BreakState],
    kinds: Collection[str] | None = None,
    account: str | None = None,
    most: int = 1000,
) -> list[Kept]:
    """Those in these states, the oldest first, at most `most`. None for `kinds` and `account` is all."""
    wanted = select(kept, _AGE).where(kept.c.state.in_(sorted(states)))
    if kinds is not None:
        wanted = wanted.where(kept.c.kind.in_(sorted(kinds)))
    if account is not None:
        wanted = wanted.where(kept.c.account == account)
    wanted = wanted.order_by(kept.c.first_seen, kept.c.break_id).limit(most)
    with engine.connect() as connection:
        found = connection.execute(wanted).mappings().all()
        notes = _notes(connection, [row["break_id"] for row in found])
    return [_kept(row, notes.get(row["break_id"], ())) for row in found]


def standing(engine: Engine, *, account: str | None = None) -> list[Standing]:
    """What is not fixed, counted by kind, state and currency, with what is at stake."""
    groups = (kept.c.kind, kept.c.state, kept.c.currency)
    counted = select(
        *groups, func.count().label("count"), func.sum(kept.c.amount_minor).label("amount_minor")
    ).where(kept.c.state != BreakState.FIXED.value)
    if account is not None:
        counted = counted.where(kept.c.account == account)
    with engine.connect() as connection:
        found = connection.execute(counted.group_by(*groups).order_by(*groups)).mappings().all()
    return [
        Standing(
            kind=row["kind"],
            state=BreakState(row["state"]),
            currency=row["currency"],
            count=row["count"],
            amount_minor=int(row["amount_minor"]),
        )
        for row in found
    ]


def explain(engine: Engine, break_id: str, *, by: str, why: str) -> Kept | None:
    """Write down who says why; an open break is explained then. None where there is no such break."""
    with engine.begin() as connection:
        named = {"break_id": break_id}
        if connection.execute(_ONE.with_for_update(), named).one_or_none() is None:
            return None
        connection.execute(insert(note).values(break_id=break_id, by=by, why=why))
        connection.execute(
            update(kept)
            .where(kept.c.break_id == break_id, kept.c.state == BreakState.OPEN.value)
            .values(state=BreakState.EXPLAINED.value)
        )
        row = connection.execute(_ONE, named).mappings().one()
        return _kept(row, _notes(connection, [break_id])[break_id])


def _notes(connection: Connection, ids: list[str]) -> dict[str, list[Note]]:
    found: dict[str, list[Note]] = {}
    for row in connection.execute(_NOTES, {"ids": ids}):
        found.setdefault(row.break_id, []).append(Note(row.by, row.why, at=row.at))
    return found


def _kept(row: RowMapping, notes: Sequence[Note]) -> Kept:
    seen = {it.name: row[it.name] for it in _seen.c if it.name != "said"}
    return Kept(
        seen=Break(**seen, text=row["said"]),
        state=BreakState(row["state"]),
        first_seen=row["first_seen"],
        last_seen=row["last_seen"],
        fixed_at=row["fixed_at"],
        openings=row["openings"],
        age_s=float(row["age_s"]),
        notes=notes,
    )
