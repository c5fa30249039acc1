"""The moves of an operation that knows more: answer, outrun. Each is set-based and guarded per row (`guarded.py`)."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Integer,
    Text,
    bindparam,
    case,
    func,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

from db_client import command_json
from db_client.claims import Wish, claim_orders, let_go
from db_client.evidence import append_evidence, settle_attempts
from db_client.ground import Ground, StaleMoveError
from db_client.guarded import GUARD, guard, in_order, mine, moved, result
from db_client.moves import Answer, Outrun
from db_client.opening import write_found
from db_client.payment_rows import PAYMENT_COLUMNS, payment_row, request_row
from db_client.recordset import given, rows
from db_client.tables import operation, payment
from handlers.domain.payments import renumbered
from handlers.domain.recovery import Stage
from handlers.domain.states import NOTHING_TAKEN, PaymentState
from handlers.orders import MARK_TAKEN
from handlers.ports import Lost, Moved, OnePayment

_SECOND: Final = text("interval '1 second'")

_answered = given(
    **GUARD,
    request_state=Text(),
    amount_minor=BigInteger(),
    reserved_minor=BigInteger(),
    reason_code=Text(),
    reason_text=Text(),
    advice=Text(),
    transaction_id=Text(),
    promised_at=TIMESTAMP(timezone=True),
    follow_up=JSONB(none_as_null=True),
)
_ANSWER: Final = (
    update(operation)
    .where(*mine(_answered))
    .values(
        stage=Stage.ANSWERED.value,
        due_at=None,
        why="",
        answered_at=bindparam("now"),
        # A worker that stood still between intent and send has sent it later than was agreed. What it has not heard to
        # the end may arrive as late as the end of a call that began just now.
        until=case(
            (
                operation.c.stage == Stage.OPEN.value,
                func.greatest(
                    operation.c.until, bindparam("latest", type_=TIMESTAMP(timezone=True))
                ),
            ),
            else_=operation.c.until,
        ),
        means_sealed=None,  # what was answered is never sent again
        **{
            name: _answered.c[name]
            for name in _answered.c.keys()  # noqa: SIM118 - a ColumnCollection
            if name not in GUARD
        },
    )
    .returning(operation.c.operation_id)
)
_known = given(**PAYMENT_COLUMNS)
_LEARN: Final = (
    update(payment)
    .where(payment.c.payment_id == _known.c.payment_id, payment.c.version == _known.c.version - 1)
    .values(
        **{name: _known.c[name] for name in _known.c.keys() if name != "payment_id"},  # noqa: SIM118 - a ColumnCollection
        updated_at=bindparam("now"),
    )
    .returning(payment.c.payment_id)
)
_marked = given(payment_id=Text())
_MARK: Final = (
    update(payment)
    .where(payment.c.payment_id == _marked.c.payment_id)
    .values(marks=func.concat_ws(",", func.nullif(payment.c.marks, ""), MARK_TAKEN))
)


def answer(
    ground: Ground, moves: Sequence[Answer], *, one_payment: OnePayment, deadline_s: float
) -> list[Moved | Lost]:
    """Evidence first, then the news on payments and requests whose operations are still ours.

    `deadline_s`: how long an intent may be under way.
    """
    append_evidence(ground, moves)
    answered = (
        {**guard(it.operation), **request_row(it.told.request), "follow_up": _follow_up(it)}
        for it in moves
    )
    ids = moved(ground, _ANSWER, batch=answered, latest=ground.after(deadline_s))
    known = [it.told.payment for it in moves if it.operation.operation_id in ids]
    if known:
        learnt = [payment_row(it) for it in known]
        written = ground.rows(_LEARN, {**rows(in_order(learnt, "payment_id")), "now": ground.now})
        if len(written) != len(learnt):
            raise StaleMoveError("a payment has moved on under another operation")
    let_go(ground, [it.payment_id for it in known if it.state in _LEAVES_ITS_ORDER])
    if one_payment is not OnePayment.OFF:
        _claim_late(ground, [it for it in moves if it.operation.operation_id in ids])
    settle_attempts(ground, ((name, "answered") for name in sorted(ids)))
    write_found(ground, [it for it in moves if it.operation.operation_id in ids])
    return [
        result(
            move.operation,
            ids,
            stage=Stage.ANSWERED,
            payment=move.told.payment,
            request=move.told.request,
            follow_up=move.follow_up,
            answered_at=ground.now,
        )
        for move in moves
    ]


def _claim_late(ground: Ground, moves: Sequence[Answer]) -> None:
    """What was found, not opened here, claims its order now. Where another payment has it, both are marked."""
    found = {
        it.told.payment.payment_id: it
        for it in moves
        if it.operation.stage is not Stage.OPEN
        and it.told.payment.state in _HAS_ITS_ORDER
        and it.told.payment.state is not it.operation.payment.state
    }
    wishes = [
        Wish(name, order_id=it.told.payment.order_id, payment_id=name) for name, it in found.items()
    ]
    taken = claim_orders(ground, wishes)
    if taken:
        both = sorted({*taken, *taken.values()})
        ground.connection.execute(_MARK, rows([{"payment_id": it} for it in both]))


_HAS_ITS_ORDER: Final = frozenset(
    {
        PaymentState.AUTHORIZED,
        PaymentState.CAPTURED,
        PaymentState.HELD,
        PaymentState.UNKNOWN,
        PaymentState.CONFLICTED,
    }
)
_LEAVES_ITS_ORDER: Final = NOTHING_TAKEN | {PaymentState.REFUNDED, PaymentState.RETURNED}


def _follow_up(move: Answer) -> dict[str, Any] | None:
    return None if move.follow_up is None else command_json.to_json(move.follow_up)


_outrun = given(**GUARD)
_STILL_MINE: Final = (
    update(operation)
    .where(*mine(_outrun))
    .values(why=bindparam("why"))
    .returning(operation.c.operation_id)
)
_renumbered = given(payment_id=Text(), version=Integer())
_RENUMBER: Final = (
    update(payment)
    .where(
        payment.c.payment_id == _renumbered.c.payment_id,
        payment.c.version < _renumbered.c.version,
    )
    .values(
        version=_renumbered.c.version,
        # News that came with this version still has to be told to everyone.
        state_version=case(
            (payment.c.state_version == payment.c.version, _renumbered.c.version),
            else_=payment.c.state_version,
        ),
    )
    .returning(payment.c.payment_id)
)


def outrun(ground: Ground, moves: Sequence[Outrun]) -> list[Moved | Lost]:
    """The same news under a version above all that was told in the time that the journal lost."""
    why = "the db-service knew this version with other news: the journal lost time"
    ids = moved(ground, _STILL_MINE, batch=(guard(it.operation) for it in moves), why=why)
    raised = [
        {"payment_id": move.operation.payment.payment_id, "version": move.version}
        for move in moves
        if move.operation.operation_id in ids
    ]
    if raised and len(ground.rows(_RENUMBER, rows(in_order(raised, "payment_id")))) != len(raised):
        raise StaleMoveError("a payment is beyond the version that it was to outrun")
    return [
        result(
            move.operation, ids, payment=renumbered(move.operation.payment, version=move.version)
        )
        for move in moves
    ]
