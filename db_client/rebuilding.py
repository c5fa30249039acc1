"""After a restore: what the lost time may have done is marked, then counted until the gateway has answered for it.

Marking is one db_txn, so that a killed one has done nothing. It locks the table of sessions: no worker begins while it
runs, and none that begins afterwards misses a mark. What goes beyond "suspect", and why:

- What is open or asked for is a suspect, too: it may have been sent later than the copy knows, and as something else (a
  refund that the copy has as a void). So `until` is raised for it, too, and scans made before count no more.
- What is deferred is due now: its time may have been shortened, and then it was sent.
- The operator's `since` may be later than the copy is. What counts is the journal's own last word, where that is older.
- Where Kafka has deleted records that this journal never read, nobody can ask for them: they are counted, and what they
  charged comes out as orphans.
- A request whose payment is unknown leaves as a dead letter once all marked records are read again (`orphans.py`).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Engine,
    Integer,
    RowMapping,
    Text,
    and_,
    bindparam,
    case,
    func,
    insert,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import DBAPIError

from db_client.failures import away
from db_client.orphans import IS_UNREAD
from db_client.rebuild_rows import InTheWay, Left, Living, Oldest, Reach, Rebuild
from db_client.recordset import given, rows
from db_client.tables import finder, lease, operation, payment, position, rebuild, session
from handlers.domain.recovery import Stage

_MOMENT: Final = TIMESTAMP(timezone=True)
_SECOND: Final = text("interval '1 second'")
_LONG: Final = text("SET LOCAL statement_timeout = '15min'")  # every unfinished operation at once
_ALONE: Final = text("LOCK TABLE session IN EXCLUSIVE MODE")  # a worker's start waits for us
_FIRST_WALK: Final = text("interval '2 days'")  # how far back the finder goes of itself

_LIVING: Final = (
    select(
        session.c.session_id,
        session.c.host,
        session.c.pid,
        func.extract("epoch", lease.c.alive_until - func.clock_timestamp()).label("left_s"),
    )
    .join(lease, lease.c.session_id == session.c.session_id)
    .where(session.c.ended_at.is_(None), lease.c.alive_until > func.clock_timestamp())
    .order_by(session.c.session_id)
)
_UNFINISHED: Final = select(rebuild).where(rebuild.c.finished_at.is_(None))
_LAST_WORD: Final = select(
    func.greatest(
        select(func.max(position.c.updated_at)).scalar_subquery(),
        select(func.max(session.c.started_at)).scalar_subquery(),
    )
)
_now = bindparam("now", type_=_MOMENT)
_from = bindparam("counts_from", type_=_MOMENT)
_MARK: Final = (
    update(operation)
    .where(operation.c.stage != Stage.CONCLUDED.value)
    .values(
        suspect=text("true"),
        since=func.least(operation.c.since, _from),
        until=func.greatest(operation.c.until, bindparam("latest", type_=_MOMENT)),
        complete_scans=0,
        # A person's case stays one: what was told as undecided keeps its count.
        asked=case((operation.c.stage == Stage.ASKING.value, operation.c.asked), else_=0),
        due_at=case(
            (
                operation.c.stage.in_(
                    [Stage.ADMITTED.value, Stage.DEFERRED.value, Stage.ASKING.value]
                ),
                _now,
            ),
            else_=operation.c.due_at,
        ),
    )
)
_WALK_AGAIN: Final = update(finder).values(
    walked_until=func.least(func.coalesce(finder.c.walked_until, _now - _FIRST_WALK), _from)
)
_READ_AGAIN: Final = update(position).values(updated_at=func.least(position.c.updated_at, _from))
_reach = given(
    topic_id=Text(),
    partition=Integer(),
    topic=Text(),
    first=BigInteger(),
    end=BigInteger(),
)
_GONE: Final = select(
    func.coalesce(
        func.sum(func.greatest(_reach.c.first - func.coalesce(position.c.next_offset, 0), 0)), 0
    )
).select_from(
    _reach.outerjoin(
        position,
        and_(position.c.topic_id == _reach.c.topic_id, position.c.partition == _reach.c.partition),
    )
)
_suspected = upsert(position).from_select(
    ["topic_id", "partition", "topic", "next_offset", "updated_at", "suspect_below"],
    select(
        _reach.c.topic_id,
        _reach.c.partition,
        _reach.c.topic,
        _reach.c.first,
        _from,
        _reach.c.end,
    ),
)
_SUSPECT: Final = _suspected.on_conflict_do_update(
    index_elements=["topic_id", "partition"],
    set_={
        # What Kafka has deleted nobody reads any more, and nothing may wait for it.
        "next_offset": func.greatest(position.c.next_offset, _suspected.excluded.next_offset),
        "suspect_below": func.greatest(position.c.suspect_below, _suspected.excluded.suspect_below),
    },
)
_WRITE_DOWN: Final = insert(rebuild).returning(rebuild)


def unfinished(engine: Engine) -> Rebuild | None:
    """The rebuild that is not finished. Raises Unavailable."""
    try:
        with engine.connect() as connection:
            return _unfinished(connection)
    except DBAPIError as error:
        raise away(error) from None


def mark(
    engine: Engine, *, since: datetime, by: str, reaches: Sequence[Reach], longest_send_s: float
) -> Rebuild | InTheWay:
    """Mark what may have been done since; the rebuild that is not finished, where there is one already.

    Nothing is marked while a session lives. `reaches` were read before. Raises Unavailable.
    """
    try:
        with engine.begin() as connection:
            connection.execute(_LONG)
            connection.execute(_ALONE)
            before = _unfinished(connection)
            if before is not None:
                return before
            living = [Living(**row) for row in connection.execute(_LIVING).mappings()]
            if living:
                return InTheWay(tuple(living))
            return _mark(
                connection, since=since, by=by, reaches=reaches, longest_send_s=longest_send_s
            )
    except DBAPIError as error:
        raise away(error) from None


def _mark(
    connection: Connection,
    *,
    since: datetime,
    by: str,
    reaches: Sequence[Reach],
    longest_send_s: float,
) -> Rebuild:
    last_word: datetime | None = connection.execute(_LAST_WORD).scalar_one()
    counts_from = since if last_word is None else min(since, last_word)
    now: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    times = {"now": now, "counts_from": counts_from}
    partitions = rows(
        [
            {
                "topic_id": it.topic_id,
                "partition": it.partition,
                "topic": it.topic,
                "first": it.first,
                "end": it.end,
            }
            for it in reaches
        ]
    )
    gone: int = connection.execute(_GONE, partitions).scalar_one()
    latest = now + timedelta(seconds=longest_send_s)
    connection.execute(_MARK, {**times, "latest": latest})
    connection.execute(_WALK_AGAIN, times)
    connection.execute(_READ_AGAIN, times)
    connection.execute(_SUSPECT, {**partitions, **times})
    written = {
        "since": since,
        "counts_from": counts_from,
        "marked_at": now,
        "by": by,
        "gone": int(gone),
    }
    return _rebuild(connection.execute(_WRITE_DOWN, written).mappings().one())


_holder = operation.alias("holder")
_asked_since = and_(
    _holder.c.stage == Stage.ASKING.value,
    _holder.c.due_at > bindparam("marked_at", type_=_MOMENT),
)
# What is told as deferred since then waits for its own time, not for a question.
_is_unsent = or_(
    operation.c.stage == Stage.ADMITTED.value,
    and_(
        operation.c.stage == Stage.DEFERRED.value,
        operation.c.due_at <= bindparam("marked_at", type_=_MOMENT),
    ),
)
_is_in_line: ColumnElement[bool] = and_(
    operation.c.suspect, operation.c.stage == Stage.QUEUED.value
)
_is_homeless = and_(_is_in_line, payment.c.payment_id.is_(None))
_is_behind = and_(_is_in_line, _asked_since)
_is_question = or_(
    and_(operation.c.suspect, _is_unsent),
    # Under way when the copy was made: its answer may have come in the lost time.
    and_(
        operation.c.stage.in_([Stage.OPEN.value, Stage.ANSWERED.value]),
        or_(operation.c.suspect, operation.c.admitted_at < bindparam("marked_at", type_=_MOMENT)),
    ),
    # Each of these was made due when it was marked; once asked, it is due later.
    and_(
        operation.c.stage == Stage.ASKING.value,
        operation.c.due_at <= bindparam("marked_at", type_=_MOMENT),
    ),
    and_(
        _is_in_line,
        payment.c.payment_id.is_not(None),
        func.coalesce(~_asked_since, text("true")),
    ),
)
_in_work = operation.outerjoin(payment, payment.c.payment_id == operation.c.payment_id).outerjoin(
    _holder, _holder.c.operation_id == payment.c.held_by
)
_LEFT: Final = (
    select(
        func.count().filter(_is_question).label("questions"),
        func.count().filter(_is_behind).label("behind"),
        func.count().filter(_is_homeless).label("homeless"),
        select(func.count())
        .select_from(position)
        .where(IS_UNREAD)
        .scalar_subquery()
        .label("partitions"),
        select(func.count()).select_from(_LIVING.subquery()).scalar_subquery().label("workers"),
    )
    .select_from(_in_work)
    .where(operation.c.stage != Stage.CONCLUDED.value)
)
_OLDEST: Final = (
    select(operation.c.operation_id, operation.c.asked, operation.c.due_at, operation.c.why)
    .select_from(_in_work)
    .where(operation.c.stage != Stage.CONCLUDED.value, _is_question)
    .order_by(operation.c.due_at.nulls_last(), operation.c.operation_id)
    .limit(1)
)
_FINISH: Final = (
    update(rebuild)
    .where(rebuild.c.rebuild_id == bindparam("name"), rebuild.c.finished_at.is_(None))
    .values(finished_at=func.clock_timestamp())
    .returning(rebuild.c.finished_at)
)


def left(engine: Engine, of: Rebuild) -> Left:
    """What is not read or not answered yet. Raises Unavailable."""
    since = {"marked_at": of.marked_at}
    try:
        with engine.connect() as connection:
            counted = connection.execute(_LEFT, since).mappings().one()
            oldest = connection.execute(_OLDEST, since).mappings().one_or_none()
    except DBAPIError as error:
        raise away(error) from None
    return Left(**counted, oldest=None if oldest is None else Oldest(**oldest))


def finish(engine: Engine, of: Rebuild) -> datetime | None:
    """It is over. None where somebody else has finished it. Raises Unavailable."""
    try:
        with engine.begin() as connection:
            done: datetime | None = connection.execute(
                _FINISH, {"name": of.rebuild_id}
            ).scalar_one_or_none()
            return done
    except DBAPIError as error:
        raise away(error) from None


def _unfinished(connection: Connection) -> Rebuild | None:
    row = connection.execute(_UNFINISHED).mappings().one_or_none()
    return None if row is None else _rebuild(row)


def _rebuild(row: RowMapping) -> Rebuild:
    return Rebuild(**{name: row[name] for name in Rebuild.__dataclass_fields__})
