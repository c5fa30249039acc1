"""Versioned writes: a batch of outcomes is judged and applied in one db_txn, set by set.

Order of locks: payments before refunds, ids ascending; so two batches do not deadlock in the
ordinary case. A row that appeared between the look and the upsert fails the upsert's comparison
with `supersedes`; then the whole db_txn is done again, and the row is locked this time.
Nothing of HTTP here.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

import msgspec
import psycopg.errors
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.exc import OperationalError

from worker.demo.db_service import problems
from worker.demo.db_service.kinds import KINDS, Kind
from worker.demo.db_service.problems import Ruling

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker.demo.db_service.messages import Body, Outcome

MOST_TRIES: Final = 10


class LostRaceError(Exception):
    """Somebody else wrote one of our rows between the look and the upsert."""


def record(engine: sa.Engine, outcomes: Sequence[Outcome]) -> list[Ruling]:
    """Judges and applies all outcomes in one db_txn; one ruling for each, in order.

    Raises SQLAlchemy's errors where the database is down, and LostRaceError where the same rows
    were raced for too often.
    """
    for tries_left in reversed(range(MOST_TRIES)):
        try:
            with engine.begin() as connection:
                return _record_once(connection, outcomes)
        except LostRaceError:
            if not tries_left:
                raise
        except OperationalError as error:
            if not (tries_left and isinstance(error.orig, psycopg.errors.DeadlockDetected)):
                raise
    raise AssertionError("the last try returns or raises")


def seed(engine: sa.Engine, *, table: sa.Table, body: Body, key: str) -> None:
    """Stores an order or a user; the last one wins."""
    statement = insert(table).values(
        id=key, document=sa.cast(sa.literal(_text(body), sa.Text), JSONB)
    )
    with engine.begin() as connection:
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["id"], set_={"document": statement.excluded.document}
            )
        )


def judge(current: Outcome | None, candidate: Outcome) -> Ruling:
    """The rule of versions: higher is applied, equal is compared, older is refused."""
    if current is None or candidate.version > current.version:
        return Ruling(applied=True)
    if candidate.version < current.version:
        return Ruling(
            applied=False,
            problem=problems.older_version(candidate.version, current=current.version),
        )
    if candidate == current:
        return Ruling(applied=False)
    return Ruling(applied=False, problem=problems.version_conflict(current.version))


def _record_once(connection: sa.Connection, outcomes: Sequence[Outcome]) -> list[Ruling]:
    rulings: dict[int, Ruling] = {}
    for kind in KINDS:
        numbered = {n: one for n, one in enumerate(outcomes) if isinstance(one, kind.shape)}
        if numbered:
            rulings |= _record_kind(connection, kind, numbered=numbered)
    return [rulings[n] for n in range(len(outcomes))]


def _record_kind(
    connection: sa.Connection, kind: Kind, *, numbered: dict[int, Outcome]
) -> dict[int, Ruling]:
    ids = {n: getattr(one, kind.id_field) for n, one in numbered.items()}
    found = _lock(connection, kind, ids=sorted(set(ids.values())))
    newest = dict(found)
    rulings: dict[int, Ruling] = {}
    applied: list[Outcome] = []
    for n, candidate in numbered.items():
        rulings[n] = judge(newest.get(ids[n]), candidate)
        if rulings[n].applied:
            newest[ids[n]] = candidate
            applied.append(candidate)
    if applied:
        fresh = {key: one for key, one in newest.items() if one is not found.get(key)}
        _upsert(connection, kind, fresh=fresh, found=found)
        _append(connection, kind, applied=applied)
    return rulings


def _lock(connection: sa.Connection, kind: Kind, *, ids: list[str]) -> dict[str, Outcome]:
    rows = connection.execute(_lock_statement(kind), {"ids": ids})
    return {key: kind.read(document) for key, document in rows}


def _upsert(
    connection: sa.Connection, kind: Kind, *, fresh: dict[str, Outcome], found: dict[str, Outcome]
) -> None:
    rows = [
        {column: getattr(one, field) for column, field in kind.columns.items()}
        | {"supersedes": found[key].version if key in found else 0, "document": one}
        for key, one in fresh.items()
    ]
    written = connection.execute(_upsert_statement(kind), {"rows": _text(rows)}).all()
    if len(written) != len(fresh):
        raise LostRaceError(f"{len(fresh) - len(written)} rows were written by somebody else")


def _append(connection: sa.Connection, kind: Kind, *, applied: list[Outcome]) -> None:
    rows = [
        {"id": getattr(one, kind.id_field), "version": one.version, "document": one}
        for one in applied
    ]
    connection.execute(_append_statement(kind), {"rows": _text(rows)})


@cache
def _lock_statement(kind: Kind) -> sa.Select[Any]:
    table = kind.current
    ids = sa.bindparam("ids", type_=sa.ARRAY(sa.Text))
    return (
        sa.select(table.c.id, sa.cast(table.c.document, sa.Text))
        .where(table.c.id == sa.any_(ids))
        .order_by(table.c.id)
        .with_for_update()
    )


@cache
def _upsert_statement(kind: Kind) -> sa.Executable:
    table = kind.current
    rows = _rows_of(table, *(column.name for column in table.columns))
    statement = insert(table).from_select(
        [column.name for column in table.columns], sa.select(*rows.c).order_by(rows.c.id)
    )
    new = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=["id"],
        set_={column.name: new[column.name] for column in table.columns if column.name != "id"},
        where=sa.and_(new.version > table.c.version, new.supersedes == table.c.version),
    ).returning(table.c.id)


@cache
def _append_statement(kind: Kind) -> sa.Insert:
    names = ["id", "version", "document"]
    rows = _rows_of(kind.history, *names)
    source = sa.select(*rows.c).order_by(rows.c.id, rows.c.version)
    return insert(kind.history).from_select(names, source)


def _rows_of(table: sa.Table, *names: str) -> sa.TableValuedAlias:
    # One JSON parameter for the whole set: a tenth of the cost of a thousand bound values.
    document = sa.cast(sa.bindparam("rows", type_=sa.Text), JSONB)
    columns = [sa.column(name, table.c[name].type) for name in names]
    return (
        sa.func.jsonb_to_recordset(document)
        .table_valued(*columns, name="fresh")
        .render_derived(with_types=True)
    )


def _text(content: object) -> str:
    return msgspec.json.encode(content).decode()
