"""Books for the tests of reconciliation: one payment of 12.34 USD everywhere, and changes to each. No claims.

Times are counted in hours before NOW; the span is the last 48 of them.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from handlers.domain.facts import Standing
from handlers.domain.states import PaymentState, RequestState
from tests.doubles.values import MIDNIGHT
from worker.reconciling.books import (
    Batch,
    Books,
    EventsBook,
    GatewayBook,
    GatewayRow,
    JournalBook,
    PaymentEntry,
    Recorded,
    RecordedRefund,
    RefundEntry,
    ServiceBook,
    Span,
    Told,
)

NOW: Final = MIDNIGHT
SPAN: Final = Span(NOW - timedelta(hours=48), NOW)
ACCOUNT: Final = "main"


def ago(hours: float) -> datetime:
    """So many hours before NOW."""
    return NOW - timedelta(hours=hours)


def row(**changes: Any) -> GatewayRow:
    """The charge at the gateway."""
    made = GatewayRow(
        account=ACCOUNT,
        transaction_id="6001",
        invoice_number="INV1",
        status="capturedPendingSettlement",
        charge=Standing.TAKEN,
        refund=Standing.UNCLEAR,
        is_refund=False,
        is_return=False,
        amount_minor=1234,
        currency="USD",
        submitted_at=ago(10),
    )
    return replace(made, **changes)


def refund_row(**changes: Any) -> GatewayRow:
    """A refund of 5.00 USD at the gateway."""
    base: dict[str, Any] = {
        "transaction_id": "7001",
        "invoice_number": "INVR1",
        "status": "refundPendingSettlement",
        "charge": Standing.UNCLEAR,
        "refund": Standing.TAKEN,
        "is_refund": True,
        "amount_minor": 500,
        "submitted_at": ago(8),
    }
    return row(**{**base, **changes})


def return_row(**changes: Any) -> GatewayRow:
    """The bank's return of the charge, under the charge's invoice number."""
    base: dict[str, Any] = {
        "transaction_id": "8001",
        "status": "returnedItem",
        "charge": Standing.RETURNED,
        "is_return": True,
        "submitted_at": ago(5),
    }
    return row(**{**base, **changes})


def payment(**changes: Any) -> PaymentEntry:
    """The payment here."""
    made = PaymentEntry(
        payment_id="p1",
        currency="USD",
        state=PaymentState.CAPTURED,
        version=1,
        amount_minor=1234,
        authorised_minor=1234,
        captured_minor=1234,
        refunded_minor=0,
        transaction_id="6001",
        created_at=ago(10),
        updated_at=ago(10),
        invoice_number="INV1",
        account=ACCOUNT,
        opened_at=ago(10),
    )
    return replace(made, **changes)


def refund(**changes: Any) -> RefundEntry:
    """A refund of 5.00 USD here."""
    made = RefundEntry(
        operation_id="refund:r1",
        refund_id="r1",
        part=1,
        payment_id="p1",
        state=RequestState.PROCESSED,
        amount_minor=500,
        transaction_id="7001",
        invoice_numbers=("INVR1",),
        account=ACCOUNT,
        opened_at=ago(8),
        told_at=ago(8),
    )
    return replace(made, **changes)


def recorded(of: PaymentEntry, **changes: Any) -> Recorded:
    """The payment in the db-service."""
    made = Recorded(
        currency=of.currency,
        state=of.state.value,
        version=of.version,
        amount_minor=of.amount_minor,
        authorised_minor=of.authorised_minor,
        captured_minor=of.captured_minor,
        refunded_minor=of.refunded_minor,
        transaction_id=of.transaction_id,
        occurred_at=of.updated_at,
    )
    return replace(made, **changes)


def recorded_refund(of: RefundEntry, **changes: Any) -> RecordedRefund:
    """The refund in the db-service."""
    made = RecordedRefund(
        payment_id=of.payment_id,
        currency="USD",
        state=of.state.value,
        version=2,
        amount_minor=of.amount_minor,
        transaction_id=of.transaction_id,
        occurred_at=of.told_at,
    )
    return replace(made, **changes)


def batch(**changes: Any) -> Batch:
    """A settled batch whose total is the sum of its rows."""
    made = Batch(
        account=ACCOUNT,
        batch_id="9001",
        settled_at=ago(4),
        currency="USD",
        charged_told_minor=1234,
        refunded_told_minor=500,
        charged_minor=1234,
        refunded_minor=500,
    )
    return replace(made, **changes)


def books(
    *rows: GatewayRow,
    payments: tuple[PaymentEntry, ...] = (),
    refunds: tuple[RefundEntry, ...] = (),
    **changes: Any,
) -> Books:
    """These rows at the gateway and these payments here; the db-service and Kafka agree with the journal."""
    service = ServiceBook(
        payments={it.payment_id: recorded(it) for it in payments},
        refunds={it.refund_id: recorded_refund(it) for it in refunds},
    )
    events = EventsBook(
        {it.payment_id: Told(it.version, it.state, it.updated_at) for it in payments}
    )
    gateway = GatewayBook(
        rows={it.transaction_id: it for it in rows},
        gaps={ACCOUNT: ""},
        currencies={ACCOUNT: frozenset({"USD"})},
    )
    journal = JournalBook({it.payment_id: it for it in payments}, list(refunds))
    base: dict[str, Any] = {
        "span": SPAN,
        "now": NOW,
        "grace_s": 3600.0,
        "gateway": gateway,
        "journal": journal,
        "service": service,
        "events": events,
    }
    return Books(**{**base, **changes})


def agreeing() -> Books:
    """A captured payment of which a part was given back, in every book, and the batch that settled it."""
    one = payment(state=PaymentState.PARTIALLY_REFUNDED, refunded_minor=500, version=2)
    settled = row(status="settledSuccessfully", charge=Standing.SETTLED)
    made = books(settled, refund_row(), payments=(one,), refunds=(refund(),))
    made.gateway.batches.append(batch())
    return made
