"""The move before anything leaves: the intent on disk, what it reserves of its payment, what it claims of its order."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from sqlalchemy import (
    BigInteger,
    Double,
    Integer,
    Text,
    bindparam,
    func,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, Insert
from sqlalchemy.dialects.postgresql import insert as upsert

from db_client.claims import Wish, claim_orders
from db_client.ground import Ground, StaleMoveError
from db_client.guarded import GUARD, guard, in_order, mine, moved, result
from db_client.moves import Answer, Open
from db_client.payment_rows import marks_to_text
from db_client.recordset import given, rows
from db_client.tables import attempt, operation, payment
from handlers.domain.commands import Kind
from handlers.domain.intents import Charge, Intent, Question, Void
from handlers.domain.recovery import Inquiry, Stage
from handlers.domain.verdicts import Evidence
from handlers.orders import MARK_TAKEN
from handlers.ports import Lost, Moved, OnePayment, Operation, Taken

_SECOND: Final = text("interval '1 second'")

_opened = given(**GUARD, deadline_s=Double(), reserve_minor=BigInteger())
_OPEN: Final = (
    update(operation)
    .where(*mine(_opened))
    .values(
        stage=Stage.OPEN.value,
        due_at=None,
        why="",
        until=func.clock_timestamp() + _opened.c.deadline_s * _SECOND,
        asked=0,
        complete_scans=0,
        reserved_minor=func.greatest(operation.c.reserved_minor, _opened.c.reserve_minor),
    )
    .returning(operation.c.operation_id)
)
_tried = given(
    operation_id=Text(),
    number=Integer(),
    invoice_number=Text(),
    merchant_account=Text(),
    about=Text(),
    request=JSONB(),
)


def _new_attempts(state: str) -> Insert:
    return upsert(attempt).from_select(
        [
            "operation_id",
            "number",
            "invoice_number",
            "merchant_account",
            "about",
            "state",
            "request",
            "session_id",
        ],
        select(
            _tried.c.operation_id,
            _tried.c.number,
            _tried.c.invoice_number,
            _tried.c.merchant_account,
            _tried.c.about,
            literal(state),
            _tried.c.request,
            bindparam("me", type_=Text),
        ),
    )


_new_attempt = _new_attempts("open")
_ATTEMPT: Final = _new_attempt.on_conflict_do_update(
    index_elements=["operation_id", "number"],
    set_={
        "state": "open",
        "request": _new_attempt.excluded.request,
        "invoice_number": _new_attempt.excluded.invoice_number,
        "merchant_account": _new_attempt.excluded.merchant_account,
        "about": _new_attempt.excluded.about,
        "session_id": _new_attempt.excluded.session_id,
        "opened_at": func.clock_timestamp(),
    },
    where=attempt.c.state == "unsent",
).returning(attempt.c.operation_id)
_found_attempt = _new_attempts("answered")
_FOUND: Final = _found_attempt.on_conflict_do_update(
    index_elements=["operation_id", "number"],
    set_={
        "state": "answered",
        "invoice_number": _found_attempt.excluded.invoice_number,
        "merchant_account": _found_attempt.excluded.merchant_account,
    },
)


_reserved = given(
    payment_id=Text(), capturing_minor=BigInteger(), refunding_minor=BigInteger(), marks=Text()
)
_RESERVE: Final = (
    update(payment)
    .where(payment.c.payment_id == _reserved.c.payment_id)
    .values(
        capturing_minor=_reserved.c.capturing_minor,
        refunding_minor=_reserved.c.refunding_minor,
        marks=_reserved.c.marks,
    )
)


def open_intents(
    ground: Ground, moves: Sequence[Open], *, one_payment: OnePayment
) -> list[Moved | Lost | Taken]:
    """The intents on disk, with what they reserve and claim, before a byte leaves (P3)."""
    wanted = [] if one_payment is OnePayment.OFF else [_wish(it) for it in moves if _claims(it)]
    claimed_by = claim_orders(ground, wanted)
    taken = claimed_by if one_payment is OnePayment.ENFORCE else {}
    free = [_reserving(it, claimed_by) for it in moves if it.operation.operation_id not in taken]
    opened = (
        {
            **guard(move.operation),
            "deadline_s": move.deadline_s,
            "reserve_minor": move.operation.request.reserved_minor if move.operation.request else 0,
        }
        for move in free
    )
    ids = moved(ground, _OPEN, batch=opened)
    _write_attempts(ground, [it for it in free if it.operation.operation_id in ids])
    _reserve(ground, [it.operation for it in free if it.operation.operation_id in ids])
    after = {
        it.operation.operation_id: result(
            it.operation, ids, stage=Stage.OPEN, tried=it.intent.about, inquiry=_begun(ground, it)
        )
        for it in free
    }
    return [
        after[name] if name in after else Taken(taken[name])
        for name in (it.operation.operation_id for it in moves)
    ]


def _claims(move: Open) -> bool:
    return isinstance(move.intent, Charge) and bool(move.intent.claim)


def _wish(move: Open) -> Wish:
    assert isinstance(move.intent, Charge), "only charges claim"
    intent, operation = move.intent, move.operation
    return Wish(
        operation.operation_id,
        order_id=intent.claim,
        payment_id=operation.payment.payment_id,
        order_paid_minor=intent.order_paid_minor,
    )


def _reserving(move: Open, claimed_by: Mapping[str, str]) -> Open:
    """The move with its operation as it stands once the intent is open: what it reserves, which marks it has."""
    operation, intent = move.operation, move.intent
    known, request = operation.payment, operation.request
    if isinstance(intent, Charge):
        shadow = (MARK_TAKEN,) if operation.operation_id in claimed_by else ()
        marks = tuple(dict.fromkeys((*known.marks, *intent.marks, *shadow)))
        return replace(move, operation=replace(operation, payment=replace(known, marks=marks)))
    if request is None or request.reserved_minor or request.kind not in _RESERVES:
        return move
    amount = intent.money.amount_minor
    if isinstance(
        intent, Void
    ):  # a full refund before the settlement: it gives back what is captured
        amount = min(request.amount_minor, known.captured_minor)
    field = _RESERVES[request.kind]
    known = replace(known, **{field: getattr(known, field) + amount})
    request = replace(request, reserved_minor=amount)
    return replace(move, operation=replace(operation, payment=known, request=request))


_RESERVES: Final = {Kind.CAPTURE: "capturing_minor", Kind.REFUND: "refunding_minor"}


def write_found(ground: Ground, answered: Sequence[Answer]) -> None:
    """Attempts that the journal forgot, as the gateway knows them. One that it has as unsent was sent after that."""
    found = [
        _row(move.operation, move.operation.attempt, known=move.found, request={})
        for move in answered
        if move.found is not None
    ]
    if found:
        ground.connection.execute(_FOUND, {**rows(found), "me": ground.session_id})


def _row(
    of: Operation, number: int, *, known: Intent | Question, request: Evidence
) -> dict[str, object]:
    return {
        "operation_id": of.operation_id,
        "number": number,
        "invoice_number": known.invoice_number,
        "merchant_account": known.merchant_account,
        "about": known.about.value,
        "request": dict(request),
    }


def _write_attempts(ground: Ground, opened: Sequence[Open]) -> None:
    tried = [
        _row(move.operation, move.intent.attempt, known=move.intent, request=move.frozen)
        for move in opened
    ]
    written = ground.rows(_ATTEMPT, {**rows(tried), "me": ground.session_id}) if tried else []
    if len(written) != len(tried):
        raise StaleMoveError("an attempt that is not `unsent` was to be opened a second time")


def _reserve(ground: Ground, opened: Sequence[Operation]) -> None:
    """The CHECKs of the payment's row stand behind this: together no more than there is."""
    reserved = [
        {
            "payment_id": it.payment.payment_id,
            "capturing_minor": it.payment.capturing_minor,
            "refunding_minor": it.payment.refunding_minor,
            "marks": marks_to_text(it.payment.marks),
        }
        for it in opened
        if it.payment.marks or (it.request is not None and it.request.reserved_minor)
    ]
    if reserved:
        ground.connection.execute(_RESERVE, rows(in_order(reserved, "payment_id")))


def _begun(ground: Ground, move: Open) -> Inquiry | None:
    """Asking starts anew with an intent: what was asked before was about another, or a look."""
    inquiry = move.operation.inquiry
    until = ground.after(move.deadline_s)
    return inquiry and replace(
        inquiry,
        asked=0,
        complete_scans=0,
        until=until,
        merchant_account=move.intent.merchant_account,
        invoice_number=move.intent.invoice_number,
    )
