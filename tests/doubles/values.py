"""Values that the tests of the heart share: commands, operations, rules, a real wire. No double lives here."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from typing import Any, Final

from avro.catalog import Catalog
from avro.writer import Writer, single_object_headers
from handlers.decisions import Proof
from handlers.domain.commands import Command, InitiatePayment, Line, Mode
from handlers.domain.means import OpaqueData
from handlers.domain.money import Money
from handlers.domain.payments import Payment, Request
from handlers.domain.recovery import Inquiry, Stage
from handlers.domain.secret import Secret
from handlers.domain.states import PaymentState
from handlers.domain.verdicts import Advice, Approved, Declined, Held, Method, Reason, Unknown
from handlers.ports import Operation, Origin, Recorded, Rules
from worker import own_signature
from worker.routes import EventWire, Topics

MIDNIGHT: Final = datetime(2026, 3, 1, tzinfo=UTC)
MEANS: Final = OpaqueData("COMMON.ACCEPT.INAPP.PAYMENT", Secret("one-time-token"))
RULES: Final = Rules(
    environment="test",
    merchant_accounts={"USD": "main"},
    invoice_key=b"a key of the tests",
    absence_after_s=900.0,
    ask_schedule_s=(5, 15, 45),
    unsent_wait_s=5.0,
    unrecorded_wait_s=7.0,
)
SIGNING_KEY: Final = own_signature.derive(RULES.invoice_key)
TOPICS: Final = Topics(prefix="", group="tests")
_YES: Final = Reason("1", "This transaction has been approved.", Advice.HARD)
APPROVED: Final = Approved(
    "60001", captured=True, reason=_YES, method=Method("card", "Visa", "1111")
)
RESERVED: Final = replace(APPROVED, captured=False)
DECLINED: Final = Declined(Reason("2", "This transaction has been declined.", Advice.SOFT), "60002")
HELD: Final = Held("60003", Reason("252", "Held for review.", Advice.REVIEW))
PROVEN: Final = Proof(Recorded.NOTHING, overtaken=False, at=MIDNIGHT)
UNKNOWN: Final = Unknown(Reason("worker.silence", "No answer came.", Advice.UNDECIDED))
_numbers = count(1)


def command(**changes: Any) -> InitiatePayment:
    """A sale of 12.34 USD under an id of its own, with `changes`."""
    number = next(_numbers)
    base: dict[str, Any] = {
        "payment_id": f"pay-{number}",
        "order_id": f"ord-{number}",
        "user_id": f"usr-{number}",
        "money": Money(1234, "USD"),
        "mode": Mode.SALE,
        "means": MEANS,
        "issued_at": MIDNIGHT,
        "lines": (Line("sku-1", "A book", 2, 617),),
    }
    return InitiatePayment(**{**base, **changes})


def requested(of: InitiatePayment) -> Payment:
    """The payment of a command of which nothing is known yet."""
    return Payment(of.payment_id, of.order_id, of.user_id, of.money)


def captured(payment_id: str, **changes: Any) -> Payment:
    """A payment of 12.34 USD that was captured under transaction 60001, with `changes`."""
    paid = Payment(
        payment_id,
        f"ord-of-{payment_id}",
        f"usr-of-{payment_id}",
        Money(1234, "USD"),
        state=PaymentState.CAPTURED,
        version=1,
        state_version=1,
        authorised_minor=1234,
        captured_minor=1234,
        transaction_id=APPROVED.transaction_id,
        method=APPROVED.method,
        reason=APPROVED.reason,
    )
    return replace(paid, **changes)


def operation(of: Command | None = None, **changes: Any) -> Operation:
    """An operation just admitted at MIDNIGHT, with `changes`; one about a captured payment where a request is asked."""
    asked = of or command()
    base: dict[str, Any] = {
        "operation_id": asked.operation_id,
        "command": asked,
        "stage": Stage.ADMITTED,
        "token": 1,
        "inquiry": Inquiry(0, 0, since=MIDNIGHT, until=MIDNIGHT, now=MIDNIGHT),
    }
    if isinstance(asked, InitiatePayment):
        base["payment"] = requested(asked)
    else:
        base["payment"] = captured(asked.payment_id)
        base["request"] = Request(asked.kind, asked.request_id, 0, why=asked.reason)
        base["origin"] = Origin(
            Mode.SALE,
            merchant_account="main",
            invoice_number=f"INV-{asked.payment_id}"[:20],
            since=MIDNIGHT,
        )
    return Operation(**{**base, **changes})


def wire() -> EventWire:
    """The real wire, without a registry: it needs nothing outside, so it has no double."""
    catalog = Catalog()
    return EventWire(
        Writer(catalog, single_object_headers(catalog, TOPICS.kinds)),
        topics=TOPICS,
        source="/tests",
        signing_key=SIGNING_KEY,
    )
