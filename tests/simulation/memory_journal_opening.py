"""The move before anything leaves, in memory: `db_client/opening.py`, and `claims.py` for who pays an order."""

from dataclasses import dataclass
from typing import Final

from db_client.moves import Open
from handlers.domain.commands import Kind
from handlers.domain.intents import Charge, Intent, Void
from handlers.domain.payments import Payment
from handlers.domain.recovery import Stage
from handlers.domain.states import PaymentState
from handlers.orders import MARK_TAKEN
from handlers.ports import Lost, Moved, OnePayment, Operation, Taken
from tests.simulation.memory_journal_ground import MemoryGround, RefusedError, insist_lawful
from tests.simulation.memory_journal_rows import (
    OPEN,
    UNSENT,
    AttemptRow,
    ClaimRow,
    OperationRow,
    PaymentRow,
    changed_inquiry,
    changed_operation,
    changed_payment,
    changed_request,
)

_LOST: Final = Lost()
_PAID: Final = frozenset({PaymentState.CAPTURED, PaymentState.SETTLED})
_RESERVES: Final = {Kind.CAPTURE: "capturing_minor", Kind.REFUND: "refunding_minor"}


@dataclass(slots=True, eq=False)
class Wish:
    """What becomes of a payment's wish for its order: `holder` has it then; `passed_minor` where it was passed on."""

    order_id: str
    payment_id: str
    holder: str
    passed_minor: int | None = None

    @property
    def taken_by(self) -> str:
        """The other payment that has it; "" where it is ours."""
        return "" if self.holder == self.payment_id else self.holder


def wish(
    ground: MemoryGround, order_id: str, *, payment_id: str, order_paid_minor: int = 0
) -> Wish:
    """Who would have the order. Changes nothing yet."""
    claim = ground.database.claims.get(order_id)
    holder = None if claim is None else claim.payment_id
    if claim is None or holder is None or holder == payment_id:
        return Wish(order_id, payment_id, holder=payment_id)
    known = ground.database.payments.get(holder)
    if known is not None and known.known.state in _PAID:
        paid_minor = claim.paid_minor + known.known.captured_minor
        if order_paid_minor >= paid_minor:
            return Wish(order_id, payment_id, holder=payment_id, passed_minor=paid_minor)
    return Wish(order_id, payment_id, holder=holder)


def claim_order(ground: MemoryGround, wished: Wish) -> None:
    """Write it down."""
    database = ground.database
    claim = database.claims.get(wished.order_id)
    if claim is None:
        database.add_claim(
            ClaimRow(
                wished.order_id,
                payment_id=wished.holder,
                paid_minor=0,
                claimed_at=ground.now,
                epoch=database.epoch,
            )
        )
        return
    if claim.payment_id != wished.holder:
        database.hand_claim(claim, to=wished.holder)
        if wished.passed_minor is not None:
            claim.paid_minor = wished.passed_minor


def let_go(ground: MemoryGround, payment_id: str) -> None:
    """This payment took nothing, or gave all back."""
    for claim in list(ground.database.folder(payment_id).claims):
        ground.database.hand_claim(claim, to=None)


def open_intent(ground: MemoryGround, move: Open) -> Moved | Lost | Taken:
    """The intent on disk, with what it reserves and claims, before a byte leaves (P3)."""
    intent, of = move.intent, move.operation
    one_payment = ground.limits.one_payment
    wished: Wish | None = None
    if one_payment is not OnePayment.OFF and isinstance(intent, Charge) and intent.claim:
        wished = wish(
            ground,
            intent.claim,
            payment_id=of.payment.payment_id,
            order_paid_minor=intent.order_paid_minor,
        )
    taken_by = "" if wished is None else wished.taken_by
    if taken_by and one_payment is OnePayment.ENFORCE:
        return Taken(taken_by)
    row = ground.mine(of)
    if row is None:
        if wished is not None:
            claim_order(ground, wished)
        return _LOST
    of = _reserving(of, intent, shadow=bool(taken_by))
    reserves = of.payment.marks or (of.request is not None and of.request.reserved_minor)
    payment = row.folder.payment
    if reserves and payment is not None:
        insist_lawful(_reserved(payment, of))
    tried = _attempt(ground, row, intent=intent)
    if wished is not None:
        claim_order(ground, wished)
    _write(ground, row, move=move, reserved_minor=of.request.reserved_minor if of.request else 0)
    _write_attempt(ground, row, move=move, tried=tried)
    if reserves and payment is not None:
        ground.database.touch(payment)
        payment.known = _reserved(payment, of)
    return Moved(_opened(ground, of, move=move))


def _reserving(of: Operation, intent: Intent, *, shadow: bool) -> Operation:
    """The operation as it stands once the intent is open: what it reserves, which marks it has."""
    known, request = of.payment, of.request
    if isinstance(intent, Charge):
        if not (known.marks or intent.marks or shadow):
            return of
        broken = (*known.marks, *intent.marks, *((MARK_TAKEN,) if shadow else ()))
        marks = tuple(dict.fromkeys(broken))
        return changed_operation(of, payment=changed_payment(known, marks=marks))
    if request is None or request.reserved_minor or request.kind not in _RESERVES:
        return of
    amount = intent.money.amount_minor
    if isinstance(intent, Void):
        # A full refund before the settlement: it gives back what is captured.
        amount = min(request.amount_minor, known.captured_minor)
    name = _RESERVES[request.kind]
    return changed_operation(
        of,
        payment=changed_payment(known, **{name: getattr(known, name) + amount}),
        request=changed_request(request, reserved_minor=amount),
    )


def _reserved(payment: PaymentRow, of: Operation) -> Payment:
    known = of.payment
    return changed_payment(
        payment.known,
        capturing_minor=known.capturing_minor,
        refunding_minor=known.refunding_minor,
        marks=known.marks,
    )


def _attempt(ground: MemoryGround, row: OperationRow, *, intent: Intent) -> AttemptRow | None:
    """The attempt that is opened once more, None where it is a new one. Refuses what must not be opened."""
    tried = next((it for it in row.attempts if it.number == intent.attempt), None)
    if tried is not None and tried.state != UNSENT:
        raise RefusedError("an attempt that is not `unsent` was to be opened a second time")
    is_another = tried is None or tried.invoice_number != intent.invoice_number
    numbered = ground.database.invoices.get(intent.invoice_number, {})
    if is_another and intent.attempt in numbered:
        raise RefusedError("unique constraint uq_attempt_invoice_number_number is violated")
    return tried


def _write(ground: MemoryGround, row: OperationRow, *, move: Open, reserved_minor: int) -> None:
    database = ground.database
    database.touch(row)
    database.move(row, stage=Stage.OPEN, due_at=None)
    row.why = ""
    row.until = ground.after(move.deadline_s)
    row.asked = row.complete_scans = 0
    if row.request is not None and reserved_minor > row.request.reserved_minor:
        row.request = changed_request(row.request, reserved_minor=reserved_minor)


def _renumber(ground: MemoryGround, tried: AttemptRow, *, invoice_number: str) -> None:
    invoices = ground.database.invoices
    numbered = invoices[tried.invoice_number]
    owner = numbered.pop(tried.number)
    if not numbered:
        del invoices[tried.invoice_number]
    tried.invoice_number = invoice_number
    invoices.setdefault(invoice_number, {})[tried.number] = owner


def _write_attempt(
    ground: MemoryGround, row: OperationRow, *, move: Open, tried: AttemptRow | None
) -> None:
    intent = move.intent
    if tried is not None:
        tried.state = OPEN
        tried.request = move.frozen
        _renumber(ground, tried, invoice_number=intent.invoice_number)
        tried.merchant_account = intent.merchant_account
        tried.about = intent.about
        tried.session_id = ground.me
        tried.opened_at = ground.now
        return
    ground.database.add_attempt(
        row,
        AttemptRow(
            intent.attempt,
            invoice_number=intent.invoice_number,
            merchant_account=intent.merchant_account,
            about=intent.about,
            state=OPEN,
            request=move.frozen,
            session_id=ground.me,
            opened_at=ground.now,
        ),
    )


def _opened(ground: MemoryGround, of: Operation, *, move: Open) -> Operation:
    """Asking starts anew with an intent: what was asked before was about another, or a look."""
    inquiry = of.inquiry
    if inquiry is not None:
        inquiry = changed_inquiry(
            inquiry,
            asked=0,
            complete_scans=0,
            until=ground.after(move.deadline_s),
            merchant_account=move.intent.merchant_account,
            invoice_number=move.intent.invoice_number,
        )
    return changed_operation(of, stage=Stage.OPEN, tried=move.intent.about, inquiry=inquiry)
