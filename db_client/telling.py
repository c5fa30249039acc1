"""The last move of an operation, and the outbox: events become rows here, numbered in commit order."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Double,
    Integer,
    Text,
    bindparam,
    case,
    func,
    insert,
    select,
    text,
    update,
)

from db_client.ground import Ground
from db_client.guarded import GUARD, guard, in_order, mine, moved, result
from db_client.moves import Conclude, Mirror, Numbered
from db_client.recordset import given, rows
from db_client.tables import operation, outbox, payment, session
from handlers.domain.recovery import Stage
from handlers.ports import Lost, Message, Moved, Queued

_SECOND: Final = text("interval '1 second'")
_headers: Final = msgspec.msgpack.Encoder()

_concluded = given(**GUARD, due_s=Double(), why=Text(), asked=Integer())
_final = _concluded.c.due_s.is_(None)
_CONCLUDE: Final = (
    update(operation)
    .where(*mine(_concluded))
    .values(
        stage=case((_final, Stage.CONCLUDED.value), else_=Stage.ASKING.value),
        concluded_at=case((_final, func.clock_timestamp()), else_=None),
        means_sealed=case((_final, None), else_=operation.c.means_sealed),
        due_at=func.clock_timestamp() + _concluded.c.due_s * _SECOND,
        why=_concluded.c.why,
        asked=operation.c.asked + _concluded.c.asked,
    )
    .returning(operation.c.operation_id)
)
_waiting = given(payment_id=Text())
# The payment's last event lies unpublished in another session's outbox: ours must not overtake it.
_QUEUED: Final = (
    select(payment.c.payment_id)
    .select_from(_waiting)
    .join(payment, payment.c.payment_id == _waiting.c.payment_id)
    .join(session, session.c.session_id == payment.c.event_session)
    .where(
        payment.c.event_session != bindparam("me"),
        payment.c.event_number >= session.c.watermark,
    )
)
_told = given(payment_id=Text(), number=BigInteger(), final=Boolean())
_LAST_EVENT: Final = (
    update(payment)
    .where(payment.c.payment_id == _told.c.payment_id)
    .values(
        event_session=bindparam("me"),
        event_number=_told.c.number,
        held_by=case((_told.c.final, None), else_=payment.c.held_by),
    )
)


def conclude(ground: Ground, moves: Sequence[Conclude]) -> list[Moved | Lost | Queued]:
    """Events into the outbox, the end (or the next question) on the operation, in one commit."""
    payments = [{"payment_id": move.operation.payment.payment_id} for move in moves]
    queued = {
        row["payment_id"]
        for row in ground.rows(_QUEUED, {**rows(payments), "me": ground.session_id})
    }
    free = [move for move in moves if move.operation.payment.payment_id not in queued]
    concluded = (
        {
            **guard(move.operation),
            "due_s": move.wait.seconds if move.wait else None,
            "why": move.wait.why if move.wait else "",
            "asked": int(move.wait.asked) if move.wait else 0,
        }
        for move in free
    )
    ids = moved(ground, _CONCLUDE, batch=concluded)
    told: list[dict[str, object]] = []
    for move in free:
        if move.operation.operation_id in ids and move.messages:
            payment_id = move.operation.payment.payment_id
            number = write_outbox(ground, move.messages, payment_id=payment_id)
            told.append({"payment_id": payment_id, "number": number, "final": move.wait is None})
    if told:
        parameters = {**rows(in_order(told, "payment_id")), "me": ground.session_id}
        ground.connection.execute(_LAST_EVENT, parameters)
    return [
        Queued()
        if move.operation.payment.payment_id in queued
        else result(move.operation, ids, **_after(move))
        for move in moves
    ]


def _after(move: Conclude) -> dict[str, Any]:
    """What a conclusion changes of its operation, as `_CONCLUDE` does."""
    inquiry = move.operation.inquiry
    if move.wait is None:
        return {"stage": Stage.CONCLUDED}
    return {
        "stage": Stage.ASKING,
        "inquiry": inquiry and replace(inquiry, asked=inquiry.asked + move.wait.asked),
    }


def write_outbox(
    ground: Ground,
    messages: Iterable[Message],
    *,
    payment_id: str | None,
    answers: str | None = None,
) -> int:
    """Put `messages` into this db_txn's outbox rows; returns the last number. `flush_outbox` inserts them."""
    number = 0
    for message in messages:
        number = ground.number()
        ground.outbox.append(Numbered(number, message, ground.now))
        ground.outbox_rows.append(
            {
                "session_id": ground.session_id,
                "number": number,
                "topic": message.topic,
                "key": message.key,
                "value": message.value,
                "headers": _headers.encode(message.headers),
                "event_id": message.event_id,
                "payment_id": payment_id,
                "answers": answers,
            }
        )
    return number


_OUTBOX: Final = insert(outbox)


def flush_outbox(ground: Ground) -> None:
    """Insert what `write_outbox` gathered, all at once."""
    if ground.outbox_rows:
        ground.connection.execute(_OUTBOX, ground.outbox_rows)


_MIRROR: Final = (
    update(session)
    .where(session.c.session_id == bindparam("me"), session.c.watermark < bindparam("mark"))
    .values(watermark=bindparam("mark"))
)


def mirror(ground: Ground, moves: Sequence[Mirror]) -> list[None]:
    """Keep the publisher's watermark beside its rows: the copy in Kafka expires with its group."""
    mark = max(move.watermark for move in moves)
    ground.connection.execute(_MIRROR, {"me": ground.session_id, "mark": mark})
    return [None for _ in moves]
