"""The moves of an operation on its way: open, answer, park. Each is set-based and guarded per row (`guarded.py`).

Evidence alone is appended unguarded: what the gateway said is kept, whoever holds the operation now.
"""

from collections.abc import Iterable, Sequence
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
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as upsert

from db_client.ground import Ground, StaleMoveError
from db_client.guarded import GUARD, guard, in_order, mine, moved, result
from db_client.moves import Answer, Open, Outrun, Park
from db_client.recordset import given, rows
from db_client.tables import attempt, evidence, operation, payment
from handlers.domain.payments import Payment
from handlers.domain.recovery import Inquiry, Stage
from handlers.ports import Lost, Moved

_SECOND: Final = text("interval '1 second'")

_opened = given(**GUARD, deadline_s=Double())
_OPEN: Final = (
    update(operation)
    .where(*mine(_opened))
    .values(
        stage=Stage.OPEN.value,
        due_at=None,
        why="",
        until=func.clock_timestamp() + _opened.c.deadline_s * _SECOND,
    )
    .returning(operation.c.operation_id)
)
_tried = given(
    operation_id=Text(),
    number=Integer(),
    invoice_number=Text(),
    merchant_account=Text(),
    request=JSONB(),
)
_new_attempt = upsert(attempt).from_select(
    [
        "operation_id",
        "number",
        "invoice_number",
        "merchant_account",
        "state",
        "request",
        "session_id",
    ],
    select(
        _tried.c.operation_id,
        _tried.c.number,
        _tried.c.invoice_number,
        _tried.c.merchant_account,
        text("'open'"),
        _tried.c.request,
        bindparam("me", type_=Text),
    ),
)
_ATTEMPT: Final = _new_attempt.on_conflict_do_update(
    index_elements=["operation_id", "number"],
    set_={
        "state": "open",
        "request": _new_attempt.excluded.request,
        "merchant_account": _new_attempt.excluded.merchant_account,
        "session_id": _new_attempt.excluded.session_id,
        "opened_at": func.clock_timestamp(),
    },
    where=attempt.c.state == "unsent",
).returning(attempt.c.operation_id)


def open_intents(ground: Ground, moves: Sequence[Open]) -> list[Moved | Lost]:
    """The intents on disk, before a byte leaves (P3)."""
    opened = ({**guard(move.operation), "deadline_s": move.deadline_s} for move in moves)
    ids = moved(ground, _OPEN, batch=opened)
    tried = [
        {
            "operation_id": move.operation.operation_id,
            "number": move.intent.attempt,
            "invoice_number": move.intent.invoice_number,
            "merchant_account": move.intent.merchant_account,
            "request": dict(move.frozen),
        }
        for move in moves
        if move.operation.operation_id in ids
    ]
    written = ground.rows(_ATTEMPT, {**rows(tried), "me": ground.session_id}) if tried else []
    if len(written) != len(tried):
        raise StaleMoveError("an attempt that is not `unsent` was to be opened a second time")
    return [
        result(move.operation, ids, stage=Stage.OPEN, inquiry=_until(ground, move))
        for move in moves
    ]


def _until(ground: Ground, move: Open) -> Inquiry | None:
    inquiry = move.operation.inquiry
    return inquiry and replace(inquiry, until=ground.after(move.deadline_s))


_answered = given(**GUARD)
_ANSWER: Final = (
    update(operation)
    .where(*mine(_answered))
    .values(stage=Stage.ANSWERED.value, due_at=None, why="", answered_at=bindparam("now"))
    .returning(operation.c.operation_id)
)
_known = given(
    payment_id=Text(),
    state=Text(),
    version=Integer(),
    authorised_minor=BigInteger(),
    captured_minor=BigInteger(),
    refunded_minor=BigInteger(),
    transaction_id=Text(),
    method_kind=Text(),
    method_brand=Text(),
    method_last4=Text(),
    reason_code=Text(),
    reason_text=Text(),
    advice=Text(),
)
_LEARN: Final = (
    update(payment)
    .where(payment.c.payment_id == _known.c.payment_id, payment.c.version == _known.c.version - 1)
    .values(
        **{name: _known.c[name] for name in _known.c.keys() if name != "payment_id"},  # noqa: SIM118 - a ColumnCollection
        updated_at=bindparam("now"),
    )
    .returning(payment.c.payment_id)
)
_settled = given(operation_id=Text(), state=Text())
_ATTEMPT_STATE: Final = (
    update(attempt)
    .where(attempt.c.operation_id == _settled.c.operation_id, attempt.c.state == "open")
    .values(state=_settled.c.state)
)


def answer(ground: Ground, moves: Sequence[Answer]) -> list[Moved | Lost]:
    """Evidence first, then the news on the payments whose operations are still ours."""
    append_evidence(ground, moves)
    ids = moved(ground, _ANSWER, batch=(guard(move.operation) for move in moves))
    known = [_payment_row(move.payment) for move in moves if move.operation.operation_id in ids]
    if known:
        learnt = ground.rows(_LEARN, {**rows(in_order(known, "payment_id")), "now": ground.now})
        if len(learnt) != len(known):
            raise StaleMoveError("a payment has moved on under another operation")
    _settle_attempts(ground, ((name, "answered") for name in sorted(ids)))
    return [
        result(
            move.operation,
            ids,
            stage=Stage.ANSWERED,
            payment=move.payment,
            answered_at=ground.now,
        )
        for move in moves
    ]


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
    .values(version=_renumbered.c.version)
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
        result(move.operation, ids, payment=replace(move.operation.payment, version=move.version))
        for move in moves
    ]


_parked = given(
    **GUARD,
    seconds=Double(),
    why=Text(),
    unsent=Boolean(),
    asked=Integer(),
    complete_scans=Integer(),
    trust=Boolean(),
)
_PARK: Final = (
    update(operation)
    .where(*mine(_parked))
    .values(
        stage=case((_parked.c.unsent, Stage.ADMITTED.value), else_=operation.c.stage),
        due_at=func.clock_timestamp() + _parked.c.seconds * _SECOND,
        why=_parked.c.why,
        asked=case((_parked.c.trust, 0), else_=operation.c.asked + _parked.c.asked),
        complete_scans=case(
            (_parked.c.trust, 0), else_=operation.c.complete_scans + _parked.c.complete_scans
        ),
        suspect=case((_parked.c.trust, False), else_=operation.c.suspect),
    )
    .returning(operation.c.operation_id)
)


def park(ground: Ground, moves: Sequence[Park]) -> list[Moved | Lost]:
    """Due again later; what was learned on the way is kept."""
    append_evidence(ground, [move for move in moves if move.wait.evidence])
    parked = (
        {
            **guard(move.operation),
            "seconds": move.wait.seconds,
            "why": move.wait.why,
            "unsent": move.wait.unsent,
            "asked": int(move.wait.asked),
            "complete_scans": int(move.wait.complete_scan),
            "trust": move.wait.trust,
        }
        for move in moves
    )
    ids = moved(ground, _PARK, batch=parked)
    unsent = [
        m.operation.operation_id for m in moves if m.wait.unsent and m.operation.operation_id in ids
    ]
    _settle_attempts(ground, ((name, "unsent") for name in sorted(unsent)))
    return [result(move.operation, ids, **_after(move)) for move in moves]


def _after(move: Park) -> dict[str, Any]:
    """What a wait changes of its operation, as `_PARK` does."""
    of, wait = move.operation, move.wait
    inquiry = of.inquiry
    if inquiry is not None:
        asked, scans = inquiry.asked + wait.asked, inquiry.complete_scans + wait.complete_scan
        if wait.trust:
            asked = scans = 0
        inquiry = replace(inquiry, asked=asked, complete_scans=scans)
    return {
        "stage": Stage.ADMITTED if wait.unsent else of.stage,
        "suspect": of.suspect and not wait.trust,
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
            "what": f"answer:{move.payment.state.value}" if isinstance(move, Answer) else "asked",
            "transaction_id": move.payment.transaction_id if isinstance(move, Answer) else None,
            "body": dict(move.evidence if isinstance(move, Answer) else move.wait.evidence),
        }
        for move in moves
    ]
    if said:
        ground.connection.execute(_EVIDENCE, {**rows(said), "me": ground.session_id})


def _settle_attempts(ground: Ground, states: Iterable[tuple[str, str]]) -> None:
    settled = [{"operation_id": name, "state": state} for name, state in states]
    if settled:
        ground.connection.execute(_ATTEMPT_STATE, rows(settled))


def _payment_row(known: Payment) -> dict[str, object]:
    return {
        "payment_id": known.payment_id,
        "state": known.state.value,
        "version": known.version,
        "authorised_minor": known.authorised_minor,
        "captured_minor": known.captured_minor,
        "refunded_minor": known.refunded_minor,
        "transaction_id": known.transaction_id,
        "method_kind": known.method.kind,
        "method_brand": known.method.brand,
        "method_last4": known.method.last4,
        "reason_code": known.reason.code,
        "reason_text": known.reason.text,
        "advice": known.reason.advice.value,
    }
