"""What the core tells is what a consumer reads."""

from datetime import UTC, datetime

import pytest

from avro.catalog import NOTIFICATION_EVENTS, ORDER_EVENTS, PAYMENT_STATUS, Catalog
from avro.reader import Reader
from avro.writer import Writer, single_object_headers
from handlers.domain.commands import Line
from handlers.domain.money import Money
from handlers.domain.outcomes import (
    Event,
    NotificationEvent,
    OrderEvent,
    OrderNews,
    StatusEvent,
    Template,
)
from handlers.domain.payments import Payment
from handlers.domain.states import PaymentState
from handlers.domain.verdicts import Advice, Method, Reason

CATALOG = Catalog()
READER = Reader(CATALOG)
TOPICS = {f"shop.{kind}": kind for kind in (PAYMENT_STATUS, ORDER_EVENTS, NOTIFICATION_EVENTS)}
WRITER = Writer(CATALOG, single_object_headers(CATALOG, TOPICS))
AT = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
NEW = Payment("pay-1", "order-1", "user-1", Money(1234, "USD"))
PAID = Payment(
    "pay-1",
    "order-1",
    "user-1",
    Money(1234, "USD"),
    state=PaymentState.CAPTURED,
    version=2,
    authorised_minor=1234,
    captured_minor=1234,
    transaction_id="6011",
    method=Method("card", "Visa", "1111"),
    reason=Reason("1", "Approved.", Advice.UNDECIDED),
)
IDS = {
    "event_id": "event-1",
    "payment_id": "pay-1",
    "order_id": "order-1",
    "user_id": "user-1",
    "amount_minor": 1234,
    "currency": "USD",
    "occurred_at": AT,
}


def told(event: Event, kind: str) -> dict[str, object]:
    """`event` as a consumer reads it."""
    payload = WRITER.encode(event, event_id="event-1", occurred_at=AT, topic=f"shop.{kind}")
    return READER.read(kind, payload)


def test_a_paid_payment_is_told_in_full() -> None:
    """payment_status is the full snapshot."""
    assert {
        **IDS,
        "payment_status": "SUCCESS",
        "state": "captured",
        "version": 2,
        "transaction_id": "6011",
        "authorised_minor": 1234,
        "captured_minor": 1234,
        "refunded_minor": 0,
        "payment_method": {"kind": "card", "brand": "Visa", "last4": "1111"},
        "reason_code": "1",
        "reason_text": "Approved.",
        "advice": "undecided",
        "refund": None,
    } == told(StatusEvent(PAID), PAYMENT_STATUS)


def test_what_is_not_known_is_null() -> None:
    """A payment without news has no transaction, method or reason: null, not an empty text."""
    status = told(StatusEvent(NEW), PAYMENT_STATUS)
    absent = ["transaction_id", "payment_method", "reason_code", "reason_text", "advice"]
    assert dict.fromkeys(absent) == {name: status[name] for name in absent}
    assert "PENDING" == status["payment_status"]


@pytest.mark.parametrize("state", PaymentState)
def test_every_state_can_be_told(state: PaymentState) -> None:
    """No state of a payment is without words on the wire."""
    payment = Payment("pay-1", "order-1", "user-1", Money(1, "JPY"), state=state, version=1)
    status = told(StatusEvent(payment), PAYMENT_STATUS)
    assert (payment.status.name, state.value) == (status["payment_status"], status["state"])


@pytest.mark.parametrize("news", OrderNews)
def test_order_events_carry_news_and_lines(news: OrderNews) -> None:
    """Inventory learns what happened and to which goods."""
    event = OrderEvent(news, PAID, (Line("sku-1", "A thing", 2, 617),))
    line = {"sku": "sku-1", "name": "A thing", "quantity": 2, "unit_minor": 617}
    expected = {**IDS, "news": news.name, "payment_version": 2, "lines": [line]}
    assert expected == told(event, ORDER_EVENTS)


@pytest.mark.parametrize("template", Template)
def test_notifications_say_what_to_tell_whom(template: Template) -> None:
    """The template, the customer and the amount; advice where there is a reason."""
    expected = {**IDS, "template": template.name, "advice": "undecided", "payment_version": 2}
    assert expected == told(NotificationEvent(template, PAID), NOTIFICATION_EVENTS)
    assert told(NotificationEvent(template, NEW), NOTIFICATION_EVENTS)["advice"] is None


def test_the_same_event_is_the_same_bytes() -> None:
    """An event that is encoded again after a crash is byte for byte the same."""
    one, two = (
        WRITER.encode(
            StatusEvent(PAID), event_id="e", occurred_at=AT, topic=f"shop.{PAYMENT_STATUS}"
        )
        for _ in range(2)
    )
    assert one == two


def test_half_a_surrogate_does_not_stop_an_outcome() -> None:
    """A reason text that UTF-8 cannot carry is told with a question mark, since the outcome must be told."""
    payment = Payment(
        "p", "o", "u", Money(1, "USD"), reason=Reason("2", "no\ud800way", Advice.SOFT)
    )
    assert "no?way" == told(StatusEvent(payment), PAYMENT_STATUS)["reason_text"]
