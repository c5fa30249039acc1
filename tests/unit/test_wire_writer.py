"""What the core tells is what a consumer reads."""

from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from typing import cast

import pytest
from fastavro import schemaless_reader

from avro.catalog import NOTIFICATION_EVENTS, ORDER_EVENTS, PAYMENT_STATUS, Catalog
from avro.event_records import CustomerCan
from avro.reader import Reader
from avro.writer import Writer, single_object_headers
from handlers.domain.commands import Kind, Line
from handlers.domain.money import Money
from handlers.domain.outcomes import (
    Event,
    NotificationEvent,
    OrderEvent,
    OrderNews,
    StatusEvent,
    Template,
)
from handlers.domain.payments import Payment, Request
from handlers.domain.states import PaymentState, RequestState
from handlers.domain.verdicts import Advice, Method, Reason

CATALOG = Catalog()
READER = Reader(CATALOG)
TOPICS = {f"shop.{kind}": kind for kind in (PAYMENT_STATUS, ORDER_EVENTS, NOTIFICATION_EVENTS)}
WRITER = Writer(CATALOG, single_object_headers(CATALOG, TOPICS))
AT = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
LATER = datetime(2026, 1, 9, tzinfo=UTC)
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
    expires_at=LATER,
    marks=("order",),
)
REFUND = Request(
    Kind.REFUND,
    "ref-1",
    500,
    state=RequestState.DEFERRED,
    reserved_minor=500,
    reason=Reason("worker.unsettled", "Waits for the settlement.", Advice.SOFT),
    due_at=LATER,
    why="too small",
)
NO_REQUEST = {"request_kind": None, "request_id": None, "request_amount_minor": None}
ABOUT_REFUND = {"request_kind": "refund", "request_id": "ref-1", "request_amount_minor": 500}
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
        "capturing_minor": 0,
        "refunding_minor": 0,
        "reason_code": "1",
        "reason_text": "Approved.",
        "advice": None,
        "refund": None,
        "request": None,
        "marks": ["order"],
        "authorisation_expires_at": LATER,
    } == told(StatusEvent(PAID), PAYMENT_STATUS)


@pytest.mark.parametrize(
    ("state", "advice", "told_advice"),
    [
        (PaymentState.CAPTURED, Advice.UNDECIDED, None),
        (PaymentState.CAPTURED, Advice.FIX, "fix"),
        (PaymentState.UNKNOWN, Advice.UNDECIDED, "undecided"),
        (PaymentState.DECLINED, Advice.HARD, "hard"),
    ],
)
def test_what_went_well_needs_no_advice(
    state: PaymentState, advice: Advice, told_advice: str | None
) -> None:
    """A success that nobody must act upon was told with the advice `undecided`, as if somebody still asked."""
    payment = replace(PAID, state=state, reason=Reason("1", "So.", advice))
    assert told_advice == told(StatusEvent(payment), PAYMENT_STATUS)["advice"]
    assert (
        told_advice
        == told(NotificationEvent(Template.PAYMENT_RECEIVED, payment), NOTIFICATION_EVENTS)[
            "advice"
        ]
    )


def test_a_request_that_is_done_needs_no_advice() -> None:
    """The same for the block of a request: `undecided` is told of one that waits, not of one that is through."""
    reason = Reason("worker.refunded", "Refunded.", Advice.UNDECIDED)
    for state, advice in ((RequestState.PROCESSED, None), (RequestState.UNKNOWN, "undecided")):
        status = told(
            StatusEvent(PAID, replace(REFUND, state=state, reason=reason)), PAYMENT_STATUS
        )
        assert advice == cast("dict[str, object]", status["request"])["advice"]


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
    totals = {"captured_minor": 1234, "refunded_minor": 0}
    expected = {**IDS, "news": news.name, "payment_version": 2, "lines": [line], **totals}
    assert expected | NO_REQUEST == told(event, ORDER_EVENTS)
    by_refund = told(replace(event, request=REFUND), ORDER_EVENTS)
    assert expected | ABOUT_REFUND == by_refund


@pytest.mark.parametrize("template", Template)
def test_notifications_say_what_to_tell_whom(template: Template) -> None:
    """The template, the customer and the amount; no advice about what went well."""
    event = NotificationEvent(template, PAID)
    expected = {**IDS, "template": template.name, "advice": None, "payment_version": 2}
    shown = told(event, NOTIFICATION_EVENTS)
    can = shown.pop("customer_can")
    assert can in set(CustomerCan)
    assert expected | NO_REQUEST | {"due_at": None} == shown
    assert told(NotificationEvent(template, NEW), NOTIFICATION_EVENTS)["advice"] is None
    shown = told(replace(event, request=REFUND), NOTIFICATION_EVENTS)
    assert ABOUT_REFUND | {"due_at": LATER} == {
        name: shown[name] for name in (*ABOUT_REFUND, "due_at")
    }


@pytest.mark.parametrize("template", Template)
@pytest.mark.parametrize("advice", Advice)
def test_every_customer_is_told_what_can_be_done(template: Template, advice: Advice) -> None:
    """Whatever is told, under whatever advice, there is something that the customer can do, if only nothing."""
    payment = replace(PAID, reason=Reason("2", "No.", advice))
    shown = told(NotificationEvent(template, payment), NOTIFICATION_EVENTS)
    assert shown["customer_can"] in set(CustomerCan)


@pytest.mark.parametrize(
    ("template", "advice", "can"),
    [
        (Template.PAYMENT_DECLINED, Advice.HARD, "use_other_means"),
        (Template.PAYMENT_DECLINED, Advice.SOFT, "try_again"),
        (Template.PAYMENT_FAILED, Advice.FIX, "contact_us"),
        (Template.PAYMENT_WAITING, Advice.HARD, "wait"),
        (Template.PAYMENT_RECEIVED, Advice.HARD, "nothing"),
    ],
)
def test_what_the_customer_can_do(template: Template, advice: Advice, can: str) -> None:
    """A decline says whether another try is worth it; what is fine, or waits, does not depend on advice."""
    payment = replace(PAID, reason=Reason("2", "No.", advice))
    assert can == told(NotificationEvent(template, payment), NOTIFICATION_EVENTS)["customer_can"]


def test_a_waiting_refund_is_told_by_its_own_reason() -> None:
    """The customer of a refund that waits reads of the refund, not of the charge that was approved long ago."""
    shown = told(NotificationEvent(Template.REFUND_WAITING, PAID, REFUND), NOTIFICATION_EVENTS)
    assert ("soft", "wait") == (shown["advice"], shown["customer_can"])


def test_a_refund_is_told_as_request_and_as_refund() -> None:
    """The block that every request has, and the one that refunds had from the beginning."""
    status = told(StatusEvent(PAID, REFUND), PAYMENT_STATUS)
    assert {
        "kind": "refund",
        "request_id": "ref-1",
        "amount_minor": 500,
        "request_status": "INITIATED",
        "state": "deferred",
        "reason_code": "worker.unsettled",
        "reason_text": "Waits for the settlement.",
        "advice": "soft",
        "transaction_id": None,
        "due_at": LATER,
        "why": "too small",
    } == status["request"]
    refund = {"refund_id": "ref-1", "amount_minor": 500, "refund_status": "INITIATED"}
    assert refund | {"reason": "too small"} == status["refund"]


@pytest.mark.parametrize("kind", [Kind.CAPTURE, Kind.VOID, Kind.VERIFICATION])
@pytest.mark.parametrize("state", RequestState)
def test_every_request_can_be_told(kind: Kind, state: RequestState) -> None:
    """No state of a request is without words on the wire, and only a refund fills the refund's block."""
    request = Request(kind, "req-1", 0, state=state)
    status = told(StatusEvent(PAID, request), PAYMENT_STATUS)
    block = cast("dict[str, object]", status["request"])
    told_of = (block["kind"], block["state"], block["request_status"], block["reason_code"])
    assert (kind.value, state.value, request.status.name, None) == told_of
    assert status["refund"] is None


@pytest.mark.parametrize("kind", TOPICS.values())
def test_old_consumers_read_new_events(kind: str) -> None:
    """A consumer that still has version 1 resolves today's events; a new refund template is UNSPECIFIED to it."""
    event: Event = StatusEvent(PAID, REFUND)
    if kind == ORDER_EVENTS:
        event = OrderEvent(OrderNews.REFUNDED, PAID, (), REFUND)
    elif kind == NOTIFICATION_EVENTS:
        event = NotificationEvent(Template.REFUND_WAITING, PAID, REFUND)
    value = WRITER.encode(event, event_id="e", occurred_at=AT, topic=f"shop.{kind}")
    current, first = CATALOG.current(kind), CATALOG.versions(kind)[0]
    record = schemaless_reader(BytesIO(value[10:]), current.parsed, first.parsed)
    assert isinstance(record, dict)
    assert "pay-1" == record["payment_id"]
    assert record.get("template") in {None, "UNSPECIFIED"}


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
