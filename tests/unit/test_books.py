"""Claims about the auditor: equal books pass, and each kind of difference between doctored ones is found."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from avro import catalog as kinds
from avro.catalog import Catalog
from avro.reader import Reader
from avro.writer import Writer, single_object_headers
from db_client.audit import Entry, JournalBook
from handlers.domain.money import Money
from handlers.domain.outcomes import events
from handlers.domain.payments import Payment
from handlers.domain.states import PaymentState
from handlers.ports import Message
from worker.demo.books import Books, Verdict, compare
from worker.kafka_admin import Seen
from worker.routes import EventWire, Topics

_NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
_KINDS = {
    "payment_status": kinds.PAYMENT_STATUS,
    "order_events": kinds.ORDER_EVENTS,
    "notification_events": kinds.NOTIFICATION_EVENTS,
}
_LETTERS = "payment_initiation.dlq"
_STATUS_AT_GATEWAY = {
    PaymentState.CAPTURED: "capturedPendingSettlement",
    PaymentState.DECLINED: "declined",
    PaymentState.HELD: "FDSPendingReview",
}
_WIRE = EventWire(
    Writer(Catalog(), single_object_headers(Catalog(), _KINDS)),
    topics=Topics("", "payment-worker"),
    source="/test",
)


def _payment(number: int, state: PaymentState, *, version: int = 1) -> Payment:
    approved = 1000 + number if state is PaymentState.CAPTURED else 0
    return Payment(
        payment_id=f"p{number}",
        order_id=f"o{number}",
        user_id=f"u{number}",
        money=Money(1000 + number, "USD"),
        state=state,
        version=version,
        authorised_minor=approved,
        captured_minor=approved,
        transaction_id=f"60{number}" if state is not PaymentState.FAILED else None,
    )


PAID, ALSO_PAID = _payment(1, PaymentState.CAPTURED), _payment(2, PaymentState.CAPTURED)
DECLINED, HELD = _payment(3, PaymentState.DECLINED), _payment(4, PaymentState.HELD)
FAILED = _payment(5, PaymentState.FAILED, version=2)
_FOUND_ABSENT = (replace(FAILED, state=PaymentState.UNKNOWN, version=1), FAILED)
_ALL = (PAID, ALSO_PAID, DECLINED, HELD, FAILED)


def _entry(payment: Payment, **changes: Any) -> Entry:
    waits = payment.state is PaymentState.HELD
    entry = Entry(
        payment_id=payment.payment_id,
        order_id=payment.order_id,
        user_id=payment.user_id,
        amount_minor=payment.money.amount_minor,
        currency=payment.money.currency,
        state=payment.state.value,
        version=payment.version,
        authorised_minor=payment.authorised_minor,
        captured_minor=payment.captured_minor,
        transaction_id=payment.transaction_id,
        stage="asking" if waits else "concluded",
        why="held for review" if waits else "",
        due_at=_NOW if waits else None,
        invoice_number=f"INV{payment.payment_id}",
        suspect=False,
    )
    return replace(entry, **changes)


def _charge(payment: Payment, **changes: Any) -> dict[str, Any]:
    row = {
        "transId": payment.transaction_id,
        "invoiceNumber": f"INV{payment.payment_id}",
        "status": _STATUS_AT_GATEWAY.get(payment.state, "capturedPendingSettlement"),
        "amountMinor": payment.money.amount_minor,
        "approvedMinor": payment.money.amount_minor,
        "currency": payment.money.currency,
    }
    return row | changes


def _record(payment: Payment, **changes: Any) -> dict[str, Any]:
    row = {
        "payment_id": payment.payment_id,
        "state": payment.state.value,
        "version": payment.version,
        "amount_minor": payment.money.amount_minor,
        "currency": payment.money.currency,
        "authorised_minor": payment.authorised_minor,
        "captured_minor": payment.captured_minor,
        "transaction_id": payment.transaction_id,
    }
    return row | changes


def _seen(message: Message) -> Seen:
    headers = dict(message.headers)
    return Seen(message.topic, 0, 0, message.key, message.value or b"", headers, 0)


def _told(*payments: Payment) -> list[Seen]:
    return [
        _seen(_WIRE.message(event, occurred_at=_NOW, traceparent=""))
        for payment in payments
        for event in events(payment, ())
    ]


def _letter(key: bytes, *, offset: int, reason: bytes = b"invalid") -> Seen:
    headers = {"dlq.reason": reason, "ce_id": b"dlq:topic:0:%d" % offset}
    return Seen(_LETTERS, 0, offset, key, b"", headers, 0)


def _books() -> Books:
    """Four books that say the same: five payments, a poison record by its key, and a card-carrying one without."""
    return Books(
        ledger=[_charge(it) for it in (PAID, ALSO_PAID, DECLINED, HELD)],
        journal=JournalBook([_entry(it) for it in _ALL], unpublished=0),
        recorded=[_record(it) for it in _ALL],
        events=[
            *_told(PAID, ALSO_PAID, DECLINED, HELD, *_FOUND_ABSENT),
            _letter(b"poison", offset=7),
            _letter(b"", offset=8, reason=b"card_number"),
        ],
        published=[*(it.payment_id for it in _ALL), "poison", "card"],
        kinds=_KINDS,
    )


def _verdict(books: Books) -> Verdict:
    return compare(books, Reader(Catalog()))


def _with_entry(books: Books, changed: Payment, **changes: Any) -> Books:
    entries = [
        replace(it, **changes) if it.payment_id == changed.payment_id else it
        for it in books.journal.entries
    ]
    return replace(books, journal=replace(books.journal, entries=entries))


def _without(rows: Sequence[Mapping[str, Any]], **field: object) -> list[dict[str, Any]]:
    """The rows but for those with this value in this field."""
    return [dict(row) for row in rows if not field.items() <= row.items()]


def test_equal_books() -> None:
    """Books that say the same are equal; what waits is listed with its due time, and every book is tallied."""
    verdict = _verdict(_books())

    assert [] == verdict.differences
    assert verdict.equal
    assert [("p4", "held for review", _NOW.isoformat())] == [
        (it.payment_id, it.why, it.due) for it in verdict.waiting
    ]
    assert 2 == verdict.charged
    assert {"invalid": 1, "card_number": 1} == verdict.dead_letters
    captured = ("captured", "USD")
    assert {"gateway": (2, 2003), "journal": (2, 2003), "db-service": (2, 2003), "events": (2, 2003)} == {
        book: (tallies[captured].count, tallies[captured].amount_minor)
        for book, tallies in verdict.tallies.items()
    }  # fmt: skip


def _charged_twice(books: Books) -> Books:
    return replace(books, ledger=[*books.ledger, _charge(PAID, transId="777")])


def _charged_but_failed(books: Books) -> Books:
    return replace(books, ledger=[*books.ledger, _charge(FAILED, transId="777")])


def _charged_for_nobody(books: Books) -> Books:
    return replace(books, ledger=[*books.ledger, _charge(PAID, invoiceNumber="INVforeign")])


def _captured_but_not_charged(books: Books) -> Books:
    return replace(books, ledger=_without(books.ledger, transId="601"))


def _another_transaction(books: Books) -> Books:
    return _with_entry(books, PAID, transaction_id="9")


def _another_amount(books: Books) -> Books:
    ledger = [
        *_without(books.ledger, transId="601"),
        _charge(PAID, approvedMinor=1),
    ]
    return replace(books, ledger=ledger)  # fmt: skip


def _lost(books: Books) -> Books:
    return replace(books, published=[*books.published, "p9"])


def _letter_of_another(books: Books) -> Books:
    extra = _letter(b"p1", offset=9, reason=b"conflict")
    return replace(books, published=[*books.published, "p9"], events=[*books.events, extra])


def _told_twice(books: Books) -> Books:
    return replace(books, events=[*books.events, *_told(PAID)[:1]])


def _letter_twice(books: Books) -> Books:
    return replace(books, events=[*books.events, _letter(b"poison", offset=7)])


def _never_told(books: Books) -> Books:
    return replace(books, events=[it for it in books.events if it.key not in {b"p1", b"o1", b"u1"}])


def _version_gap(books: Books) -> Books:
    gap = _told(_FOUND_ABSENT[0])[0].value
    return replace(books, events=[it for it in books.events if it.value != gap])


def _order_of_versions(books: Books) -> Books:
    others = [it for it in books.events if it.key not in {b"p5", b"o5", b"u5"}]
    return replace(books, events=[*others, *_told(*reversed(_FOUND_ABSENT))])


def _told_another_state(books: Books) -> Books:
    others = [it for it in books.events if it.key not in {b"p3", b"o3", b"u3"}]
    return replace(books, events=[*others, *_told(replace(DECLINED, state=PaymentState.REFUSED))])


def _order_not_told(books: Books) -> Books:
    return replace(books, events=[it for it in books.events if it.key != b"o1"])


def _strange_repeat(books: Books) -> Books:
    told = _told(PAID)[0]
    repeat = replace(told, headers={**told.headers, "ce_id": b"new", "repeat_of": b"t:0:1"})
    return replace(books, events=[*books.events, repeat])


def _not_recorded(books: Books) -> Books:
    return replace(books, recorded=_without(books.recorded, payment_id="p1"))


def _recorded_differently(books: Books) -> Books:
    recorded = [
        *_without(books.recorded, payment_id="p1"),
        _record(PAID, state="declined"),
    ]
    return replace(books, recorded=recorded)


def _unpublished(books: Books) -> Books:
    return replace(books, journal=replace(books.journal, unpublished=3))


def _no_due_time(books: Books) -> Books:
    return _with_entry(books, HELD, due_at=None)


@pytest.mark.parametrize(
    ("doctor", "found"),
    [
        (_charged_twice, "charged 2 times at the gateway: invoice INVp1"),
        (_charged_but_failed, "p5: failed, but CHARGED at the gateway"),
        (_charged_for_nobody, "unknown to the journal: INVforeign"),
        (_captured_but_not_charged, "p1: captured, but not charged"),
        (_another_transaction, "p1: another transaction id than the gateway's"),
        (_another_amount, "p1: 1 minor units at the gateway, 1001 in the journal"),
        (_lost, "lost: 2 commands"),
        (_letter_of_another, "lost: 2 commands"),
        (_told_twice, "p1: told twice on payment_status"),
        (_letter_twice, "dead letter told twice"),
        (_never_told, "p1: told versions []"),
        (_version_gap, "p5: told versions [2], stands at 2"),
        (_order_of_versions, "p5: told versions [2, 1], stands at 2"),
        (_told_another_state, "p3: told refused, is declined"),
        (_order_not_told, "p1: order_events told []"),
        (_strange_repeat, "p1: a repeat was answered by an event that nobody was told"),
        (_not_recorded, "p1: not in the db-service"),
        (_recorded_differently, "p1: state is declined in the db-service, captured in the journal"),
        (_unpublished, "3 outbox rows are not published"),
        (_no_due_time, "p4: asking without a due time"),
    ],
    ids=lambda value: value.__name__.strip("_") if callable(value) else "",
)
def test_a_difference_is_found(doctor: Any, found: str) -> None:
    """Each kind of difference makes the verdict unequal and is named."""
    verdict = _verdict(doctor(_books()))

    assert not verdict.equal
    assert any(found in difference for difference in verdict.differences), verdict.differences


def test_an_honest_repeat() -> None:
    """A repeated command answered under an event id that was told before is counted, not a difference."""
    books = _books()
    told = _told(PAID)[0]
    repeat = replace(told, headers={**told.headers, "repeat_of": b"t:0:1"})

    verdict = _verdict(replace(books, events=[*books.events, repeat]))

    assert verdict.equal
    assert 1 == verdict.repeats
