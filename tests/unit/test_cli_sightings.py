"""What `watch` shows of a record: decoded, on one line, without a secret and without what steers a terminal."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from avro.catalog import PAYMENT_INITIATION, PAYMENT_STATUS, Catalog
from avro.reader import Reader
from avro.writer import Writer, single_object_headers
from handlers.domain.commands import InitiatePayment, Kind, Mode, RefundPayment
from handlers.domain.means import OpaqueData
from handlers.domain.money import Money
from handlers.domain.outcomes import StatusEvent
from handlers.domain.payments import Payment, Request
from handlers.domain.secret import Secret
from handlers.domain.states import PaymentState, RequestState
from handlers.domain.verdicts import Advice, Reason
from worker.commands.sightings import Sighting, Sightings
from worker.kafka_admin import Seen
from worker.routes import INITIATION, REFUND, STATUS, Topics, dead_letter_topic

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    """The project's schemas."""
    return Catalog()


@pytest.fixture(scope="module")
def writer(catalog: Catalog) -> Writer:
    """Writes what is seen."""
    kinds = {STATUS: PAYMENT_STATUS, INITIATION: PAYMENT_INITIATION}
    return Writer(catalog, single_object_headers(catalog, kinds))


def look(catalog: Catalog, topic: str, *, value: bytes, **headers: str) -> Sighting:
    """A record on `topic`."""
    names = {f"dlq.{name}": text.encode() for name, text in headers.items()}
    seen = Seen(topic, 0, 7, b"p-1", value, names, int(AT.timestamp() * 1000))
    return Sightings(Reader(catalog), names=Topics("", "group")).read(seen)


def command(description: str = "") -> InitiatePayment:
    """A payment with a token."""
    means = OpaqueData("COMMON.ACCEPT.INAPP.PAYMENT", Secret("tok-HUSH"))
    money = Money(1234, "USD")
    return InitiatePayment(
        "p-1", "o-1", "u-1", money, Mode.SALE, means, AT, description=description
    )


def test_a_status_is_decoded(catalog: Catalog, writer: Writer) -> None:
    """Time, topic, key, status, state, version and amount stand on the line."""
    payment = Payment("p-1", "o-1", "u-1", Money(1234, "USD"))
    value = writer.encode(StatusEvent(payment), event_id="e", occurred_at=AT, topic=STATUS)
    sighting = look(catalog, STATUS, value=value)
    assert "p-1" == sighting.payment_id
    assert "2026-01-02 03:04:05.000Z  payment_status" in sighting.line()
    assert "pending requested v0  12.34 USD" in sighting.line()


def test_a_status_names_the_request_that_caused_it(catalog: Catalog, writer: Writer) -> None:
    """A refund that waits is told with its state, its amount and when it goes on."""
    payment = Payment("p-1", "o-1", "u-1", Money(1234, "USD"), state=PaymentState.CAPTURED)
    request = Request(Kind.REFUND, "r-1", 500, state=RequestState.DEFERRED, due_at=AT)
    event = StatusEvent(payment, request)
    value = writer.encode(event, event_id="e", occurred_at=AT, topic=STATUS)
    line = look(catalog, STATUS, value=value).line()
    assert "refund r-1: initiated (deferred) 5.00 USD, due 2026-01-02 03:04:05.000Z" in line


def test_an_amount_of_another_currency_is_not_shown_as_the_payments(
    catalog: Catalog, writer: Writer
) -> None:
    """A refund of 5 yen of a payment in dollars was shown as 0.05 USD; and what failed stands once."""
    payment = Payment("p-1", "o-1", "u-1", Money(1234, "USD"), state=PaymentState.CAPTURED)
    reason = Reason("worker.other_currency", "The payment is in USD.", Advice.FIX)
    request = Request(Kind.REFUND, "r-1", 5, state=RequestState.FAILED, reason=reason)
    event = StatusEvent(payment, request)
    value = writer.encode(event, event_id="e", occurred_at=AT, topic=STATUS)
    line = look(catalog, STATUS, value=value).line()
    assert "refund r-1: failed 5 minor units of another currency, worker.other_currency" in line
    assert "0.05" not in line


def test_what_is_told_again_is_marked(catalog: Catalog, writer: Writer) -> None:
    """A repeat, and the answer to a question, looked as if the news were told twice."""
    event = StatusEvent(Payment("p-1", "o-1", "u-1", Money(1234, "USD"), state=PaymentState.HELD))
    value = writer.encode(event, event_id="e", occurred_at=AT, topic=STATUS)
    news = look(catalog, STATUS, value=value)
    assert ("", [], False) == (news.repeat_of, news.answers, "told again" in news.line())
    headers = {"repeat_of": b"TopicId:0:17"}
    repeat = replace(news, seen=replace(news.seen, headers=headers))
    assert repeat.line().endswith("(told again: its command came again, as TopicId:0:17)")
    assert "TopicId:0:17" == repeat.as_object()["repeat_of"]
    headers = {"answers": b"verification:q-1,verification:q-2"}
    answer = replace(news, seen=replace(news.seen, headers=headers))
    assert answer.line().endswith("(told again: answers verification:q-1, verification:q-2)")
    assert ["verification:q-1", "verification:q-2"] == answer.as_object()["answers"]


def test_a_request_is_read_like_a_payment(catalog: Catalog) -> None:
    """A command of any topic has its line: what is asked, of which payment, and why."""
    refund = RefundPayment("p-1", AT, refund_id="r-1", money=Money(500, "USD"), reason="too small")
    kinds = {REFUND: REFUND}
    value = Writer(catalog, single_object_headers(catalog, kinds)).encode_command(
        refund, topic=REFUND
    )
    line = look(catalog, REFUND, value=value).line()
    assert "refund r-1 of 5.00 USD about payment p-1 because: too small" in line


def test_a_command_shows_no_token(catalog: Catalog, writer: Writer) -> None:
    """Neither the line nor the object holds the token."""
    sighting = look(catalog, INITIATION, value=writer.encode_command(command(), topic=INITIATION))
    assert "sale of 12.34 USD" in sighting.what
    assert "HUSH" not in sighting.line() + str(sighting.as_object())


def test_a_command_with_a_card_number_is_not_shown(catalog: Catalog, writer: Writer) -> None:
    """What intake would refuse for its card number is not printed here either."""
    value = writer.encode_command(command("4111 1111 1111 1111"), topic=INITIATION)
    sighting = look(catalog, INITIATION, value=value)
    assert "4111" not in sighting.line() + str(sighting.as_object())
    assert "looks like a card number" in sighting.line()


def test_a_dead_letter_shows_its_reason_and_not_its_payload(catalog: Catalog) -> None:
    """Reason, text, place and advice come from the headers; the sealed payload stays where it is."""
    topic = dead_letter_topic(INITIATION)
    sighting = look(
        catalog, topic, value=b"sealed", reason="stale", text="too old", advice="Start anew."
    )
    assert "stale: too old" in sighting.line()
    assert "Start anew." in sighting.line()
    assert "sealed" not in sighting.line()


def test_strange_bytes_and_control_signs_do_no_harm(catalog: Catalog) -> None:
    """A record that is no Avro has a line like any other, and no text reaches the terminal raw."""
    assert "cannot be read" in look(catalog, STATUS, value=b"\x07nonsense").line()
    letter = look(catalog, dead_letter_topic(INITIATION), value=b"", reason="\x1b[31mred")
    assert "\x1b" not in letter.line()
