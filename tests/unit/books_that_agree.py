"""Four books that say the same, made by hand for the auditor's tests: every kind of payment and request. No claims."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from avro import catalog as kinds
from avro.catalog import Catalog
from avro.writer import Writer, single_object_headers
from db_client.audit import Entry, JournalBook, RequestEntry
from handlers.domain.commands import Kind
from handlers.domain.money import Money
from handlers.domain.outcomes import events
from handlers.domain.payments import News, Payment, Request, Snapshot, learn
from handlers.domain.states import Fact, RequestFact, RequestState
from handlers.domain.verdicts import Advice, Reason
from handlers.ports import Message
from worker.demo.books import Asked, Books
from worker.kafka_admin import Seen
from worker.routes import EventWire, Topics

NOW: Final = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
KINDS: Final = {
    "payment_status": kinds.PAYMENT_STATUS,
    "order_events": kinds.ORDER_EVENTS,
    "notification_events": kinds.NOTIFICATION_EVENTS,
}
OF_THE_FINDER: Final = "seen-"
WHY: Final = Reason("worker.test", "because of the test", Advice.UNDECIDED)
_WIRE: Final = EventWire(
    Writer(Catalog(), single_object_headers(Catalog(), KINDS)),
    topics=Topics("", "payment-worker"),
    source="/test",
)
_TOPICS: Final = {
    Kind.CAPTURE: "payment_capture_request",
    Kind.VOID: "payment_void_request",
    Kind.REFUND: "refund_request",
    Kind.VERIFICATION: "payment_verification_request",
}


@dataclass(frozen=True, slots=True)
class Life:
    """What was told of one payment, in order; the last of it is how it stands."""

    told: tuple[Snapshot, ...]

    @property
    def payment(self) -> Payment:
        """As it stands."""
        return self.told[-1].payment

    @property
    def requests(self) -> dict[str, Request]:
        """Request id → how it stands; where a refund went on under a command of its own, `#2` is behind the id."""
        found: dict[str, Request] = {}
        for request in (it.request for it in self.told if it.request is not None):
            name = request.request_id
            before = found.get(name)
            went_on = before is not None and before.state is RequestState.CONTINUED
            found[f"{name}#2" if went_on else name] = request
        return found

    def messages(self) -> list[Seen]:
        """Everything that was told of it."""
        return [seen(message) for snapshot in self.told for message in _messages(snapshot)]


def lived(number: int, *news: tuple[Request | None, News]) -> Life:
    """The life of payment `p<number>`, of 10 and some cents: each news about it, and the request that it is about."""
    name = str(number)
    payment = Payment(f"p{name}", f"o{name}", f"u{name}", Money(1000 + number, "USD"))
    told: list[Snapshot] = []
    known: dict[str, Request] = {}
    for request, what in news:
        asked = request and known.get(request.request_id, request)
        if asked is not None and asked.state is RequestState.CONTINUED:
            asked = request  # the command that goes on stands where it was asked
        after = learn(Snapshot(payment, asked), what)
        assert after is not None, "this brings news"
        told.append(after)
        payment = after.payment
        if after.request is not None:
            known[after.request.request_id] = after.request
    return Life(tuple(told))


def _first(fact: Fact, number: int, *, minor: int | None = None) -> tuple[None, News]:
    amount = 1000 + number if minor is None else minor
    moved = fact in {Fact.TAKEN, Fact.RESERVED}
    return None, News(
        WHY,
        fact=fact,
        authorised_minor=amount if moved else 0,
        captured_minor=amount if fact is Fact.TAKEN else 0,
        transaction_id=None if fact is Fact.NOT_CHARGED else f"60{number}",
    )


def refund_of(name: str, minor: int) -> Request:
    """A refund that was asked for."""
    return Request(Kind.REFUND, name, minor)


def _processed(minor: int, *, fact: Fact, transaction_id: str | None) -> News:
    return News(
        WHY,
        fact=fact,
        asked=RequestFact.DONE,
        refunded_minor=minor,
        request_transaction_id=transaction_id,
    )


_PART: Final = Request(Kind.CAPTURE, "c6", 600)
_VOID: Final = Request(Kind.VOID, "v7", 0)
_WHOLE: Final = refund_of("r8", 1008)
_SOME, _MORE, _MOST = refund_of("r9a", 300), refund_of("r9b", 200), refund_of("r9c", 900)
_LATER: Final = refund_of("r10", 400)
_QUESTION: Final = Request(Kind.VERIFICATION, "q1", 0)

_RACED: Final = refund_of("r11", 1011)
PAID: Final = lived(
    1, _first(Fact.TAKEN, 1), (_QUESTION, News(WHY, fact=Fact.TAKEN, asked=RequestFact.DONE))
)
ALSO_PAID: Final = lived(2, _first(Fact.TAKEN, 2))
DECLINED: Final = lived(3, _first(Fact.DECLINED, 3))
HELD: Final = lived(4, _first(Fact.HELD, 4))
FAILED: Final = lived(
    5, (None, News(WHY, fact=Fact.UNDECIDED)), (None, News(WHY, fact=Fact.NOT_CHARGED))
)
CAPTURED: Final = lived(
    6,
    _first(Fact.RESERVED, 6),
    (_PART, News(WHY, fact=Fact.TAKEN, asked=RequestFact.DONE, captured_minor=600)),
)
VOIDED: Final = lived(
    7, _first(Fact.RESERVED, 7), (_VOID, News(WHY, fact=Fact.VOIDED, asked=RequestFact.DONE))
)
REFUNDED_BY_VOID: Final = lived(
    8,
    _first(Fact.TAKEN, 8),
    (_WHOLE, _processed(1008, fact=Fact.REFUNDED, transaction_id=None)),
)
REFUNDED_IN_PARTS: Final = lived(
    9,
    _first(Fact.TAKEN, 9),
    (_SOME, News(WHY, asked=RequestFact.DEFERRED, reserve_minor=300, due_at=NOW)),
    (_SOME, _processed(300, fact=Fact.PARTLY_REFUNDED, transaction_id="709")),
    (_MORE, _processed(200, fact=Fact.PARTLY_REFUNDED, transaction_id="719")),
    (_MOST, News(WHY, asked=RequestFact.DENIED)),
)
DEFERRED: Final = lived(
    10,
    _first(Fact.TAKEN, 10),
    (_LATER, News(WHY, asked=RequestFact.DEFERRED, reserve_minor=400, due_at=NOW)),
)
CONTINUED: Final = lived(
    11,
    _first(Fact.TAKEN, 11),
    (_RACED, News(WHY, asked=RequestFact.CONTINUED)),
    (_RACED, _processed(1011, fact=Fact.REFUNDED, transaction_id="711")),
)
_SEEN: Final = [Request(Kind.VERIFICATION, f"{OF_THE_FINDER}{it}", 0) for it in ("12", "13", "13r")]
SETTLED: Final = lived(
    12, _first(Fact.TAKEN, 12), (_SEEN[0], News(WHY, fact=Fact.SETTLED, asked=RequestFact.DONE))
)
RETURNED: Final = lived(
    13,
    _first(Fact.TAKEN, 13),
    (_SEEN[1], News(WHY, fact=Fact.SETTLED, asked=RequestFact.DONE)),
    (_SEEN[2], News(WHY, fact=Fact.RETURNED, asked=RequestFact.DONE)),
)
ALL: Final = (
    PAID,
    ALSO_PAID,
    DECLINED,
    HELD,
    FAILED,
    CAPTURED,
    VOIDED,
    REFUNDED_BY_VOID,
    REFUNDED_IN_PARTS,
    DEFERRED,
    CONTINUED,
    SETTLED,
    RETURNED,
)
_CHARGES: Final = {  # payment id → type, status, captured at the gateway
    "p1": ("authCaptureTransaction", "capturedPendingSettlement", 1001),
    "p2": ("authCaptureTransaction", "settledSuccessfully", 1002),
    "p3": ("authCaptureTransaction", "declined", 0),
    "p4": ("authCaptureTransaction", "FDSPendingReview", 0),
    "p6": ("authOnlyTransaction", "capturedPendingSettlement", 600),
    "p7": ("authOnlyTransaction", "voided", 0),
    "p8": ("authCaptureTransaction", "voided", 0),
    "p9": ("authCaptureTransaction", "settledSuccessfully", 1009),
    "p10": ("authCaptureTransaction", "capturedPendingSettlement", 1010),
    "p11": ("authCaptureTransaction", "settledSuccessfully", 1011),
    "p12": ("authCaptureTransaction", "settledSuccessfully", 1012),
    "p13": ("authCaptureTransaction", "settledSuccessfully", 1013),
}
_LAST_DONE: Final = {  # request → the invoice numbers of its attempts
    "r9a": ("INVr9a",),
    "r9b": ("INVr9b",),
    "r8": ("INVr8",),
    "c6": ("INVc6",),
    "v7": ("INVv7",),
    "r11": ("INVr11",),
    "r11#2": ("INVr11b",),
}


def entry(life: Life, **changes: Any) -> Entry:
    """The payment in the journal."""
    payment = life.payment
    waits = life is HELD
    made = Entry(
        payment_id=payment.payment_id,
        order_id=payment.order_id,
        user_id=payment.user_id,
        amount_minor=payment.money.amount_minor,
        currency=payment.money.currency,
        state=payment.state.value,
        version=payment.version,
        authorised_minor=payment.authorised_minor,
        captured_minor=payment.captured_minor,
        refunded_minor=payment.refunded_minor,
        capturing_minor=payment.capturing_minor,
        refunding_minor=payment.refunding_minor,
        transaction_id=payment.transaction_id,
        stage="asking" if waits else "concluded",
        why="held for review" if waits else "",
        due_at=NOW if waits else None,
        invoice_number=f"INV{payment.payment_id}",
        suspect=False,
    )
    return replace(made, **changes)


def request_entries(life: Life) -> list[RequestEntry]:
    """The payment's requests in the journal."""
    return [
        RequestEntry(
            operation_id=f"{it.kind}:{name}",
            kind=it.kind.value,
            payment_id=life.payment.payment_id,
            state=it.state.value,
            amount_minor=it.amount_minor or None,
            transaction_id=it.transaction_id,
            reason_code=it.reason.code,
            stage="deferred" if it.state is RequestState.DEFERRED else "concluded",
            why=it.reason.text if it.state is RequestState.DEFERRED else "",
            due_at=it.due_at if it.state is RequestState.DEFERRED else None,
            invoice_numbers=_LAST_DONE.get(name, ()),
        )
        for name, it in life.requests.items()
    ]


def charge(life: Life, **changes: Any) -> dict[str, Any]:
    """The payment's row in the ledger."""
    payment = life.payment
    kind, status, captured = _CHARGES.get(payment.payment_id, _CHARGES["p1"])
    approved = 0 if status in {"declined", "FDSPendingReview"} else payment.money.amount_minor
    row = {
        "transId": payment.transaction_id,
        "type": kind,
        "invoiceNumber": f"INV{payment.payment_id}",
        "refTransId": "",
        "status": status,
        "amountMinor": payment.money.amount_minor,
        "approvedMinor": approved,
        "capturedMinor": captured,
        "currency": payment.money.currency,
    }
    return row | changes


_INVOICES: Final = {"709": "INVr9a", "719": "INVr9b", "711": "INVr11b"}


def given_back(name: str, minor: int, **changes: Any) -> dict[str, Any]:
    """A refund's row in the ledger."""
    row = {
        "transId": name,
        "type": "refundTransaction",
        "invoiceNumber": _INVOICES.get(name, f"INV{name}"),
        "refTransId": "609",
        "status": "refundPendingSettlement",
        "amountMinor": minor,
        "approvedMinor": minor,
        "capturedMinor": 0,
        "currency": "USD",
    }
    return row | changes


def record(life: Life, **changes: Any) -> dict[str, Any]:
    """The payment in the db-service."""
    payment = life.payment
    row = {
        "payment_id": payment.payment_id,
        "state": payment.state.value,
        "version": payment.version,
        "amount_minor": payment.money.amount_minor,
        "currency": payment.money.currency,
        "authorised_minor": payment.authorised_minor,
        "captured_minor": payment.captured_minor,
        "refunded_minor": payment.refunded_minor,
        "transaction_id": payment.transaction_id,
    }
    return row | changes


def refund_records(life: Life) -> list[dict[str, Any]]:
    """The payment's refunds in the db-service."""
    return [
        {
            "refund_id": it.request_id,
            "payment_id": life.payment.payment_id,
            "amount_minor": it.amount_minor,
            "state": it.state.value,
            "refund_status": it.status.value,
            "transaction_id": it.transaction_id,
        }
        for it in {it.request_id: it for it in life.requests.values()}.values()
        if it.kind is Kind.REFUND
    ]


def seen(message: Message) -> Seen:
    """A message as a consumer sees it."""
    headers = dict(message.headers)
    return Seen(message.topic, 0, 0, message.key, message.value or b"", headers, 0)


def _messages(snapshot: Snapshot) -> list[Message]:
    told = events(snapshot, ())
    return [_WIRE.message(event, occurred_at=NOW, traceparent="") for event in told]


def told(lives: Sequence[Life]) -> list[Seen]:
    """Everything that was told of them."""
    return [message for life in lives for message in life.messages()]


def letter(
    key: bytes, *, offset: int, reason: bytes = b"invalid", topic: str = "payment_initiation"
) -> Seen:
    """A dead letter."""
    headers = {"dlq.reason": reason, "ce_id": b"dlq:topic:0:%d" % offset}
    return Seen(f"{topic}.dlq", 0, offset, key, b"", headers, 0)


def asked(life: Life) -> list[Asked]:
    """What an independent producer asked about the payment. What the finder asks stands in no topic."""
    return [
        Asked(f"{it.kind}:{name}", life.payment.payment_id, _TOPICS[it.kind])
        for name, it in life.requests.items()
        if not name.startswith(OF_THE_FINDER)
    ]


def agreeing() -> Books:
    """Books of every kind of payment and request, two poison records (one with its key left out), and an orphan."""
    charged = [it for it in ALL if it.payment.payment_id in _CHARGES]
    orphan = Asked("refund:r99", "p99", "refund_request")
    return Books(
        ledger=[
            *map(charge, charged),
            given_back("709", 300),
            given_back("719", 200),
            given_back("711", 1011, refTransId="6011"),
            given_back("713", 1013, refTransId="6013", type="returnedItem", status="returnedItem"),
        ],
        journal=JournalBook(
            [entry(it) for it in ALL],
            unpublished=0,
            requests=[request for life in ALL for request in request_entries(life)],
        ),
        recorded=[record(it) for it in ALL],
        refunds=[row for life in ALL for row in refund_records(life)],
        events=[
            *told(ALL),
            letter(b"poison", offset=7),
            letter(b"", offset=8, reason=b"card_number"),
            letter(b"p99", offset=9, reason=b"payment_unknown", topic="refund_request"),
        ],
        published=[*(it.payment.payment_id for it in ALL), "poison", "card"],
        requests=[*(it for life in ALL for it in asked(life)), orphan],
        kinds=KINDS,
    )
