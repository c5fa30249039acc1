"""The take-over of a dead session: its unpublished rows under our numbers, its unfinished operations under new tokens.

Before this move its row was ended (which waits for its last commit) and its producer fenced, so nothing of it can still
be published or written. What is unfinished under another incarnation of the database may have gone further in time that
the journal lost: it becomes suspect, is asked for first, and what was learned of it before counts no more.
"""

from typing import Final

import msgspec
from sqlalchemy import BigInteger, Boolean, and_, bindparam, case, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import TIMESTAMP

from db_client.ground import Ground
from db_client.moves import Numbered, Rehome, Rehomed
from db_client.recordset import given, rows
from db_client.tables import operation, outbox, payment, session
from handlers.domain.recovery import Stage
from handlers.ports import Message

_headers: Final = msgspec.msgpack.Decoder(list[tuple[str, bytes]])
_CLAIM: Final = (
    update(session)
    .where(
        session.c.session_id == bindparam("dead"),
        session.c.ended_at.is_not(None),
        session.c.rehomed_at.is_(None),
    )
    .values(
        rehomed_at=func.clock_timestamp(),
        rehomed_by=bindparam("me"),
        # The larger of both counts: the offset in Kafka may have expired, the mirror may lag behind the last kafka_txn.
        # It is kept: what the dead session published stays published for whoever asks later.
        watermark=func.greatest(session.c.watermark, bindparam("watermark", type_=BigInteger)),
    )
    .returning(session.c.incarnation, session.c.watermark)
)
# What the dead session published and could not mirror any more counts from here on: else its payments' next events
# would wait for ever for a publisher that is gone.
_MIRROR: Final = (
    update(session)
    .where(session.c.session_id == bindparam("dead"), session.c.watermark < bindparam("published"))
    .values(watermark=bindparam("published"))
)
_UNPUBLISHED: Final = (
    select(outbox)
    .where(outbox.c.session_id == bindparam("dead"), outbox.c.number >= bindparam("watermark"))
    .order_by(outbox.c.number)
)
_renumbered = given(before=BigInteger(), number=BigInteger())
_RENUMBER: Final = (
    update(outbox)
    .where(outbox.c.session_id == bindparam("dead"), outbox.c.number == _renumbered.c.before)
    .values(session_id=bindparam("me"), number=_renumbered.c.number)
)
_LAST_EVENTS: Final = (
    update(payment)
    .where(
        payment.c.event_session == bindparam("dead"), payment.c.event_number == _renumbered.c.before
    )
    .values(event_session=bindparam("me"), event_number=_renumbered.c.number)
)
_NUMBERS: Final = (
    update(session)
    .where(session.c.session_id == bindparam("me"))
    .values(next_number=bindparam("next_number"))
)
_IN_LINE: Final = [Stage.QUEUED.value, Stage.DEFERRED.value]
_lost_time = bindparam("lost_time", type_=Boolean)
_OPERATIONS: Final = (
    update(operation)
    .where(operation.c.session_id == bindparam("dead"), operation.c.stage != Stage.CONCLUDED.value)
    .values(
        session_id=bindparam("me"),
        token=operation.c.token + 1,
        # What waits in line, or for its time, goes on waiting; all else is looked at soon. In lost time its time may
        # have been shortened, and then it was sent.
        due_at=case(
            (and_(_lost_time, operation.c.stage == Stage.DEFERRED.value), func.clock_timestamp()),
            (operation.c.stage.in_(_IN_LINE), operation.c.due_at),
            else_=func.least(
                func.coalesce(operation.c.due_at, func.clock_timestamp()),
                func.clock_timestamp() + text("interval '1 day'"),
            ),
        ),
        until=case(
            (
                or_(_lost_time, operation.c.until.is_(None)),
                bindparam("latest", type_=TIMESTAMP(timezone=True)),
            ),
            # Whoever died sent nothing once its lease was over, however long it stood still before it sent.
            (
                operation.c.stage == Stage.OPEN.value,
                func.greatest(operation.c.until, func.clock_timestamp()),
            ),
            else_=operation.c.until,
        ),
        complete_scans=case((_lost_time, 0), else_=operation.c.complete_scans),
        suspect=or_(operation.c.suspect, _lost_time),
    )
    .returning(operation.c.operation_id)
)


def rehome(ground: Ground, move: Rehome) -> Rehomed | None:
    """Take it over; None where another session did."""
    both = {"dead": move.dead_session, "me": ground.session_id}
    claimed = ground.rows(_CLAIM, {**both, "watermark": move.watermark})
    if not claimed:
        return None
    messages = _renumber(ground, both, watermark=claimed[0]["watermark"])
    moved = ground.rows(
        _OPERATIONS,
        {
            **both,
            "lost_time": claimed[0]["incarnation"] != ground.incarnation,
            "latest": ground.after(move.deadline_s),
        },
    )
    return Rehomed(operations=len(moved), messages=messages)


def _renumber(ground: Ground, both: dict[str, str], *, watermark: int) -> int:
    waiting = ground.rows(_UNPUBLISHED, {"dead": both["dead"], "watermark": watermark})
    if not waiting:
        return 0
    pairs = []
    for row in waiting:
        number = ground.number()
        pairs.append({"before": row["number"], "number": number})
        headers = tuple(_headers.decode(row["headers"]))
        message = Message(row["topic"], row["key"], row["value"], headers, row["event_id"])
        ground.outbox.append(Numbered(number, message, row["created_at"]))
    ground.connection.execute(_RENUMBER, {**rows(pairs), **both})
    ground.connection.execute(_LAST_EVENTS, {**rows(pairs), **both})
    ground.connection.execute(
        _NUMBERS, {"me": ground.session_id, "next_number": ground.next_number}
    )
    return len(pairs)
