"""The last move of an operation, and the outbox: events become rows here, numbered in commit order."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Double,
    Integer,
    Text,
    bindparam,
    case,
    func,
    select,
    text,
    update,
)

from db_client.ground import Ground
from db_client.guarded import GUARD, guard, in_order, mine, moved, result
from db_client.lanes import answer_verifications, release
from db_client.moves import Conclude, Mirror
from db_client.outboxing import write_outbox
from db_client.recordset import given, rows
from db_client.repeats import tell_verifications
from db_client.tables import operation, payment, session
from handlers.domain.recovery import Stage
from handlers.ports import Lost, Moved, Queued

_SECOND: Final = text("interval '1 second'")

_concluded = given(**GUARD, next_stage=Text(), due_s=Double(), why=Text(), asked=Integer())
_final = _concluded.c.due_s.is_(None)
_CONCLUDE: Final = (
    update(operation)
    .where(*mine(_concluded))
    .values(
        stage=_concluded.c.next_stage,
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
_told = given(payment_id=Text(), number=BigInteger())
_LAST_EVENT: Final = (
    update(payment)
    .where(payment.c.payment_id == _told.c.payment_id)
    .values(event_session=bindparam("me"), event_number=_told.c.number)
)


def conclude(
    ground: Ground, moves: Sequence[Conclude], *, status_topic: str
) -> list[Moved | Lost | Queued]:
    """Events into the outbox, the end (or how it goes on) on the operation, the lane to the next, in one commit."""
    payments = [{"payment_id": move.operation.payment.payment_id} for move in moves]
    queued = {
        row["payment_id"]
        for row in ground.rows(_QUEUED, {**rows(payments), "me": ground.session_id})
    }
    free = [move for move in moves if move.operation.payment.payment_id not in queued]
    concluded = (
        {
            **guard(move.operation),
            "next_stage": _next_stage(move).value,
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
            number = write_outbox(
                ground,
                move.messages,
                payment_id=payment_id,
                operation_id=move.operation.operation_id,
            )
            told.append({"payment_id": payment_id, "number": number})
    if told:
        parameters = {**rows(in_order(told, "payment_id")), "me": ground.session_id}
        ground.connection.execute(_LAST_EVENT, parameters)
    ended = [it for it in free if it.operation.operation_id in ids]
    release(
        ground,
        (
            (it.operation.payment.payment_id, it.operation.operation_id)
            for it in ended
            if _next_stage(it) is not Stage.ASKING
        ),
    )
    _answer_those_in_line(ground, ended, status_topic=status_topic)
    return [
        Queued()
        if move.operation.payment.payment_id in queued
        else result(move.operation, ids, **_after(move))
        for move in moves
    ]


def _next_stage(move: Conclude) -> Stage:
    if move.wait is None:
        return Stage.CONCLUDED
    return Stage.DEFERRED if move.wait.release else Stage.ASKING


def _answer_those_in_line(ground: Ground, moves: Sequence[Conclude], *, status_topic: str) -> None:
    """What is told just now is the answer to whoever asked for it, where the lane is kept."""
    told = {
        move.operation.payment.payment_id: message
        for move in moves
        if _next_stage(move) is Stage.ASKING
        for message in move.messages
        if message.topic == status_topic
    }
    tell_verifications(ground, answer_verifications(ground, told), told=told)


def _after(move: Conclude) -> dict[str, Any]:
    """What a conclusion changes of its operation, as `_CONCLUDE` does."""
    inquiry = move.operation.inquiry
    if move.wait is None:
        return {"stage": Stage.CONCLUDED}
    return {
        "stage": _next_stage(move),
        "inquiry": inquiry and replace(inquiry, asked=inquiry.asked + move.wait.asked),
    }


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
