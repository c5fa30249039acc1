"""The moves of an operation on its way: answer, outrun, park. Each is set-based and guarded per row (`guarded.py`).

Evidence alone is appended unguarded: what the gateway said is kept, whoever holds the operation now.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

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
    null,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

from db_client import command_json
from db_client.claims import Wish, claim_orders, let_go
from db_client.ground import Ground, StaleMoveError
from db_client.guarded import GUARD, guard, in_order, mine, moved, result
from db_client.lanes import (
    answer_verifications,
    asked_for,
    behind_suspects,
    heed_rulings,
    release,
)
from db_client.moves import Answer, Outrun, Park
from db_client.opening import write_found
from db_client.payment_rows import PAYMENT_COLUMNS, payment_row, request_row
from db_client.recordset import given, rows
from db_client.repeats import last_told, tell_verifications
from db_client.tables import attempt, evidence, operation, payment
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
        # A worker that stood still between intent and send has sent it later than was agreed, but never after this.
        until=func.greatest(operation.c.until, bindparam("now")),
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
_settled = given(operation_id=Text(), state=Text())
_ATTEMPT_STATE: Final = (
    update(attempt)
    .where(attempt.c.operation_id == _settled.c.operation_id, attempt.c.state == "open")
    .values(state=_settled.c.state)
)


def answer(
    ground: Ground, moves: Sequence[Answer], *, one_payment: OnePayment
) -> list[Moved | Lost]:
    """Evidence first, then the news on payments and requests whose operations are still ours."""
    append_evidence(ground, moves)
    answered = (
        {**guard(it.operation), **request_row(it.told.request), "follow_up": _follow_up(it)}
        for it in moves
    )
    ids = moved(ground, _ANSWER, batch=answered)
    known = [it.told.payment for it in moves if it.operation.operation_id in ids]
    if known:
        learnt = [payment_row(it) for it in known]
        written = ground.rows(_LEARN, {**rows(in_order(learnt, "payment_id")), "now": ground.now})
        if len(written) != len(learnt):
            raise StaleMoveError("a payment has moved on under another operation")
    let_go(ground, [it.payment_id for it in known if it.state in _LEAVES_ITS_ORDER])
    if one_payment is not OnePayment.OFF:
        _claim_late(ground, [it for it in moves if it.operation.operation_id in ids])
    _settle_attempts(ground, ((name, "answered") for name in sorted(ids)))
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


_parked = given(
    **GUARD,
    seconds=Double(),
    why=Text(),
    next_stage=Text(),
    asked=Integer(),
    complete_scans=Integer(),
    anew=Boolean(),
    trust=Boolean(),
)
_PARK: Final = (
    update(operation)
    .where(*mine(_parked))
    .values(
        stage=_parked.c.next_stage,
        due_at=case(
            (_parked.c.next_stage == Stage.QUEUED.value, null()),
            else_=func.clock_timestamp() + _parked.c.seconds * _SECOND,
        ),
        why=_parked.c.why,
        asked=case((_parked.c.anew, 0), else_=operation.c.asked + _parked.c.asked),
        complete_scans=case(
            (_parked.c.anew, 0), else_=operation.c.complete_scans + _parked.c.complete_scans
        ),
        suspect=case((_parked.c.trust, False), else_=operation.c.suspect),
    )
    .returning(operation.c.operation_id)
)


def park(ground: Ground, moves: Sequence[Park], *, status_topic: str) -> list[Moved | Lost]:
    """Due again later; what was learned on the way is kept."""
    append_evidence(ground, [move for move in moves if move.wait.evidence])
    behind = behind_suspects(
        ground, {_payment_id(it) for it in moves if it.wait.trust and it.operation.request}
    )
    stages = [_next_stage(it, behind=behind) for it in moves]
    parked = (
        {
            **guard(move.operation),
            "seconds": move.wait.seconds,
            "why": move.wait.why,
            "next_stage": stage.value,
            "asked": int(move.wait.asked),
            "complete_scans": int(move.wait.complete_scan),
            "anew": move.wait.trust or move.wait.again,
            "trust": move.wait.trust,
        }
        for move, stage in zip(moves, stages, strict=True)
    )
    ids = moved(ground, _PARK, batch=parked)
    still = [it for it in moves if it.operation.operation_id in ids]
    _settle_attempts(
        ground,
        sorted((it.operation.operation_id, _end(it)) for it in still if _end(it)),
    )
    release(
        ground,
        (
            (_payment_id(it), it.operation.operation_id)
            for it, stage in zip(moves, stages, strict=True)
            if (it.wait.release or stage is Stage.QUEUED) and it.operation.operation_id in ids
        ),
    )
    _answer_those_in_line(ground, still, status_topic=status_topic)
    return [
        result(move.operation, ids, **_after(move, stage=stage))
        for move, stage in zip(moves, stages, strict=True)
    ]


def _payment_id(move: Park) -> str:
    return move.operation.payment.payment_id


def _end(move: Park) -> str:
    """What becomes of the attempt that is open; "" where it stays so."""
    if move.wait.unsent:
        return "unsent"
    return "answered" if move.wait.again or move.wait.told else ""


def _next_stage(move: Park, *, behind: Collection[str]) -> Stage:
    if move.wait.trust and move.operation.request and _payment_id(move) in behind:
        return Stage.QUEUED  # others of its payment may have been done, and are asked for first
    if move.wait.unsent or move.wait.again:
        return Stage.ADMITTED
    if move.wait.told:
        return Stage.ASKING
    return Stage.DEFERRED if move.wait.release else move.operation.stage


def _answer_those_in_line(ground: Ground, moves: Sequence[Park], *, status_topic: str) -> None:
    """The gateway was asked, and nothing new came of it: whoever waits for that hears what is known."""
    asked = {
        it.operation.payment.payment_id
        for it in moves
        if it.wait.asked and it.operation.stage is Stage.ASKING
    }
    heed_rulings(ground, asked)
    told = {it: last_told(ground, it, topic=status_topic) for it in asked_for(ground, asked)}
    # What a dead session told and may not have published is not known yet: those who ask for it wait for more.
    known = {name: message for name, message in told.items() if message is not None}
    tell_verifications(ground, answer_verifications(ground, known), told=known)


def _after(move: Park, *, stage: Stage) -> dict[str, Any]:
    """What a wait changes of its operation, as `_PARK` does."""
    of, wait = move.operation, move.wait
    inquiry = of.inquiry
    if inquiry is not None:
        asked, scans = inquiry.asked + wait.asked, inquiry.complete_scans + wait.complete_scan
        if wait.trust or wait.again:
            asked = scans = 0
        inquiry = replace(inquiry, asked=asked, complete_scans=scans)
    return {
        "stage": stage,
        "suspect": of.suspect and not wait.trust,
        "attempt": of.attempt + 1 if wait.again else of.attempt,
        "inquiry": inquiry,
    }


_said = given(
    operation_id=Text(), payment_id=Text(), what=Text(), transaction_id=Text(), body=JSONB()
)
_EVIDENCE: Final = insert(evidence).from_select(
    ["operation_id", "payment_id", "session_id", "what", "transaction_id", "body"],
    select(
        _said.c.operation_id,
        _said.c.payment_id,
        bindparam("me", type_=Text),
        _said.c.what,
        _said.c.transaction_id,
        _said.c.body,
    ),
)


def append_evidence(ground: Ground, moves: Sequence[Answer | Park]) -> None:
    """Whatever the gateway said is kept, whoever holds the operation now (P6)."""
    said = [
        {
            "operation_id": move.operation.operation_id,
            "payment_id": move.operation.payment.payment_id,
            "what": _what(move),
            "transaction_id": _transaction_id(move),
            "body": dict(move.evidence if isinstance(move, Answer) else move.wait.evidence),
        }
        for move in moves
    ]
    if said:
        ground.connection.execute(_EVIDENCE, {**rows(said), "me": ground.session_id})


def _what(move: Answer | Park) -> str:
    if isinstance(move, Park):
        return "asked"
    request = move.told.request
    of_request = f":{request.kind}:{request.state}" if request is not None else ""
    return f"answer:{move.told.payment.state}{of_request}"


def _transaction_id(move: Answer | Park) -> str | None:
    """The transaction that the operation itself made: a charge's, or a refund's own."""
    if isinstance(move, Park):
        return None
    request = move.told.request
    return move.told.payment.transaction_id if request is None else request.transaction_id


def _settle_attempts(ground: Ground, states: Iterable[tuple[str, str]]) -> None:
    settled = [{"operation_id": name, "state": state} for name, state in states]
    if settled:
        ground.connection.execute(_ATTEMPT_STATE, rows(settled))
