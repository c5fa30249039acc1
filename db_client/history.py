"""Reads of the journal for people: one payment's whole history, and what the database is like.

Lists of payments are `payment_search.py`, what waits for a person is `review.py`.

Nothing is written here, and nothing that a session works with is read here (`reading.py`). No row carries a secret: a
command's means are in a column of their own, which is not read.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Engine, RowMapping, Select, func, select, text
from sqlalchemy.exc import DBAPIError, ProgrammingError

from db_client.database import engine
from db_client.incarnation import read_incarnation, same_timeline
from db_client.tables import attempt, evidence, lease, operation, outbox, payment, position, session
from handlers.domain.errors import InvalidValueError, Unavailable, WorkerError

_UNDEFINED_TABLE: Final = "42P01"
_MOST: Final = 1000  # of anything of one payment: an endless history must not fill a terminal


class NotMigratedError(WorkerError):
    """The database answers, and it has no journal."""


@contextmanager
def journal(url: str, *, role: str) -> Iterator[Engine]:
    """An engine for one command; every failure of the database leaves it as Unavailable or NotMigratedError."""
    try:
        made = engine(url, role=f"payment-worker {role}", pool_size=1)
    except ValueError:
        raise InvalidValueError(
            "journal_url", "must look like postgresql://user@host:5432/name"
        ) from None
    try:
        yield made
    except ProgrammingError as error:
        if getattr(error.orig, "sqlstate", "") != _UNDEFINED_TABLE:
            raise Unavailable("journal", _first_line(error)) from None
        raise NotMigratedError(
            "the database has no journal yet: run `run_worker.py migrate`"
        ) from None
    except DBAPIError as error:
        raise Unavailable("journal", _first_line(error)) from None
    finally:
        made.dispose()


def _first_line(error: DBAPIError) -> str:
    return next(iter(str(error.orig).splitlines()), type(error.orig).__name__)


@dataclass(frozen=True, slots=True)
class Event:
    """A row of the outbox. `published` as far as the journal knows: its mirror of the watermark is a little behind."""

    topic: str
    number: int
    session_id: str
    event_id: str
    created_at: datetime
    published: bool


@dataclass(frozen=True, slots=True)
class Work:
    """An operation: the row's columns, where its record lay, the session that holds it, its attempts."""

    row: dict[str, Any]
    topic: str
    holder: dict[str, Any] | None
    attempts: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class History:
    """One payment, whole. `now` is the database's time.

    `payment` is None where it is not known yet, and what is there are requests that wait for it.
    """

    now: datetime
    payment: dict[str, Any] | None
    work: list[Work]
    evidence: list[dict[str, Any]]
    events: list[Event]


_HOLDER: Final = (
    select(
        session.c.session_id,
        session.c.host,
        session.c.pid,
        session.c.started_at,
        session.c.ended_at,
        session.c.ended_why,
        lease.c.alive_until,
        (
            session.c.ended_at.is_(None)
            & func.coalesce(lease.c.alive_until > func.clock_timestamp(), text("false"))
        ).label("alive"),
    )
    .select_from(session)
    .outerjoin(lease, lease.c.session_id == session.c.session_id)
)
_OPERATION: Final = select(*(it for it in operation.c if it.name != "means_sealed"))


def whole(engine: Engine, payment_id: str) -> History | None:
    """Everything that the journal knows of a payment, read at one moment; None where it knows nothing.

    Operations come in the order of the payment's line.
    """
    with _one_moment(engine) as connection:
        found = _rows(connection, select(payment).where(payment.c.payment_id == payment_id))
        operations = _rows(
            connection,
            _OPERATION.where(operation.c.payment_id == payment_id)
            .order_by(operation.c.arrival, operation.c.admitted_at, operation.c.operation_id)
            .limit(_MOST),
        )
        if not found and not operations:
            return None
        said = select(evidence).where(evidence.c.payment_id == payment_id)
        now: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
        return History(
            now=now,
            payment=found[0] if found else None,
            work=[_work(connection, row) for row in operations],
            evidence=_rows(connection, said.order_by(evidence.c.evidence_id).limit(_MOST)),
            events=_events(connection, payment_id),
        )


def _work(connection: Connection, row: dict[str, Any]) -> Work:
    lay = select(position.c.topic).where(position.c.topic_id == row["topic_id"]).limit(1)
    holders = _rows(connection, _HOLDER.where(session.c.session_id == row["session_id"]))
    tried = select(attempt).where(attempt.c.operation_id == row["operation_id"])
    return Work(
        row=row,
        topic=connection.execute(lay).scalar_one_or_none() or row["kind"],
        holder=holders[0] if holders else None,
        attempts=_rows(connection, tried.order_by(attempt.c.number).limit(_MOST)),
    )


def _events(connection: Connection, payment_id: str) -> list[Event]:
    told = (
        select(outbox, session.c.watermark)
        .join(session, session.c.session_id == outbox.c.session_id)
        .where(outbox.c.payment_id == payment_id)
        .order_by(outbox.c.created_at, outbox.c.number)
        .limit(_MOST)
    )
    return [
        Event(
            topic=row["topic"],
            number=row["number"],
            session_id=row["session_id"],
            event_id=row["event_id"],
            created_at=row["created_at"],
            published=row["number"] < row["watermark"],
        )
        for row in _rows(connection, told)
    ]


@dataclass(frozen=True, slots=True)
class Database:
    """What matters of the database that holds the journal. `standbys`: name → sync state, as far as we may see."""

    version: str
    read_only: bool
    settings: dict[str, str]
    standbys: dict[str, str]
    incarnation: str
    moved_since: (
        str | None
    )  # the last session that began on another timeline, if it was the last of all


_SETTINGS: Final = ("synchronous_commit", "fsync", "full_page_writes")


def look_at(engine: Engine, *, group: str) -> Database:
    """How durable the database is, and whether it is the one that the last session of `group` began on."""
    with engine.connect() as connection:
        version = str(connection.execute(text("SHOW server_version")).scalar_one())
        read_only = bool(connection.execute(text("SELECT pg_is_in_recovery()")).scalar_one())
        settings = {
            name: str(connection.execute(text(f"SHOW {name}")).scalar_one()) for name in _SETTINGS
        }
        seen = connection.execute(
            text("SELECT coalesce(application_name, '?'), sync_state FROM pg_stat_replication")
        )
        standbys = {str(name): str(state) for name, state in seen}
        if read_only:
            return Database(version, read_only, settings, standbys, "", None)
        incarnation = read_incarnation(connection)
    return Database(
        version,
        read_only,
        settings,
        standbys,
        incarnation,
        _moved(engine, incarnation, group=group),
    )


def _moved(engine: Engine, incarnation: str, *, group: str) -> str | None:
    last = (
        select(session.c.session_id, session.c.incarnation)
        .where(session.c.group_name == group)
        .order_by(session.c.started_at.desc())
        .limit(1)
    )
    try:
        with engine.connect() as connection:
            row = connection.execute(last).one_or_none()
    except ProgrammingError:  # not migrated yet: then no session ever began here
        return None
    if row is None or same_timeline(row.incarnation, incarnation):
        return None
    return str(row.session_id)


@contextmanager
def _one_moment(engine: Engine) -> Iterator[Connection]:
    """A connection that sees the journal as it was at one moment, and may not write."""
    with engine.connect().execution_options(
        isolation_level="REPEATABLE READ", postgresql_readonly=True
    ) as connection:
        yield connection


def _rows(connection: Connection, wanted: Select[Any]) -> list[dict[str, Any]]:
    found: list[RowMapping] = list(connection.execute(wanted).mappings())
    return [dict(row) for row in found]
