"""Reads: one document, a page of documents by filter, a history. SQL only; nothing is written here.

Documents are handed on as the JSON text that PostgreSQL gives, without parsing them again.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import msgspec
import sqlalchemy as sa

from worker.demo.db_service import messages, tables
from worker.demo.db_service.messages import BrokenRuleError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.demo.db_service.kinds import Kind

MOST_HISTORY: Final = 1_000
MOST_PER_PAGE: Final = 500
USUAL_PER_PAGE: Final = 100


@dataclass(frozen=True, slots=True)
class Question:
    """A page that was asked for. `equal` maps `table.column` to the value wanted."""

    kind: Kind
    equal: dict[sa.Column[Any], str] = field(default_factory=dict)
    since: datetime | None = None
    before: datetime | None = None
    after: tuple[datetime, str] | None = None
    limit: int = USUAL_PER_PAGE


class Page(msgspec.Struct, frozen=True):
    """One page; the cursor is null on the last one."""

    items: list[msgspec.Raw]
    next_cursor: str | None


class Version(msgspec.Struct, frozen=True):
    """One version that was applied."""

    version: int
    applied_at: datetime
    body: msgspec.Raw


def ask(kind: Kind, parameters: Mapping[str, str]) -> Question:
    """Reads the parameters of a list; raises BrokenRuleError, also for one that is not known."""
    filters = _filters(kind)
    known = {*filters, "from", "to", "limit", "cursor"}
    for name in parameters:
        if name not in known:
            raise BrokenRuleError(name, f"unknown parameter; known are {', '.join(sorted(known))}")
    wanted = {name: parameters[name] for name in filters if name in parameters}
    for name, value in wanted.items():
        if name == "status" and value not in kind.statuses:
            raise BrokenRuleError(name, f"one of {', '.join(kind.statuses)}")
        if "\0" in value:
            raise BrokenRuleError(name, "no NUL character")
    return Question(
        kind=kind,
        equal={filters[name]: value for name, value in wanted.items()},
        since=_time("from", parameters),
        before=_time("to", parameters),
        after=_read_cursor(parameters.get("cursor")),
        limit=_limit(parameters.get("limit")),
    )


def read_page(engine: sa.Engine, question: Question) -> Page:
    """One page, ordered by time and id. One row more is read to know whether another follows."""
    table = question.kind.current
    statement = sa.select(table.c.occurred_at, table.c.id, sa.cast(table.c.document, sa.Text))
    if any(column.table is not table for column in question.equal):
        statement = statement.join(tables.PAYMENTS, tables.PAYMENTS.c.id == table.c.payment_id)
    for column, wanted in question.equal.items():
        statement = statement.where(column == wanted)
    if question.since is not None:
        statement = statement.where(table.c.occurred_at >= question.since)
    if question.before is not None:
        statement = statement.where(table.c.occurred_at < question.before)
    if question.after is not None:
        place = sa.tuple_(table.c.occurred_at, table.c.id)
        statement = statement.where(place > sa.tuple_(*question.after))
    statement = statement.order_by(table.c.occurred_at, table.c.id).limit(question.limit + 1)
    with engine.connect() as connection:
        rows = connection.execute(statement).all()
    shown = rows[: question.limit]
    cursor = _write_cursor(*shown[-1][:2]) if len(rows) > question.limit else None
    return Page([_raw(document) for _, _, document in shown], cursor)


def read_document(engine: sa.Engine, *, table: sa.Table, key: str) -> msgspec.Raw | None:
    """One document as it is now, or None."""
    with engine.connect() as connection:
        document = connection.execute(_document_of(table), {"key": key}).scalar_one_or_none()
    return None if document is None else _raw(document)


def read_history(engine: sa.Engine, *, kind: Kind, key: str) -> list[Version]:
    """The newest versions that were applied, oldest first."""
    table = kind.history
    statement = (
        sa.select(table.c.version, table.c.applied_at, sa.cast(table.c.document, sa.Text))
        .where(table.c.id == key)
        .order_by(table.c.version.desc())
        .limit(MOST_HISTORY)
    )
    with engine.connect() as connection:
        rows = connection.execute(statement).all()
    return [Version(version, moment, _raw(body)) for version, moment, body in reversed(rows)]


@cache
def _document_of(table: sa.Table) -> sa.Select[Any]:
    return sa.select(sa.cast(table.c.document, sa.Text)).where(table.c.id == sa.bindparam("key"))


def _filters(kind: Kind) -> dict[str, sa.Column[Any]]:
    of_payment = {name: tables.PAYMENTS.c[name] for name in ("user_id", "order_id")}
    own = {name: kind.current.c[name] for name in ("status", "payment_id") if name in kind.columns}
    return of_payment | own


def _time(name: str, parameters: Mapping[str, str]) -> datetime | None:
    given = parameters.get(name)
    if given is None:
        return None
    try:
        return msgspec.convert(given, messages.Time)
    except msgspec.ValidationError:
        raise BrokenRuleError(name, "a time as RFC 3339 with its offset") from None


def _limit(given: str | None) -> int:
    if given is None:
        return USUAL_PER_PAGE
    if given.isascii() and given.isdigit() and len(given) < 5 and 1 <= int(given) <= MOST_PER_PAGE:
        return int(given)
    raise BrokenRuleError("limit", f"an integer from 1 to {MOST_PER_PAGE}")


def _write_cursor(moment: datetime, key: str) -> str:
    packed = msgspec.json.encode((moment, key))
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def _read_cursor(given: str | None) -> tuple[datetime, str] | None:
    if given is None:
        return None
    try:
        packed = base64.urlsafe_b64decode(given + "=" * (-len(given) % 4))
        return msgspec.json.decode(packed, type=tuple[messages.Time, messages.Id])
    except (binascii.Error, ValueError):
        raise BrokenRuleError("cursor", "the next_cursor of the page before") from None


def _raw(document: str) -> msgspec.Raw:
    return msgspec.Raw(document.encode())
