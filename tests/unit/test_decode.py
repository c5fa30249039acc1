"""From a record to an admission or a dead letter: each reason, and what a dead letter shows and hides."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avro.catalog import Catalog
from avro.reader import Reader
from avro.writer import Writer, single_object_headers
from db_client.moves import Admission, DeadLetter, Source
from db_client.sealing import Sealer
from handlers.domain.commands import (
    CapturePayment,
    Command,
    InitiatePayment,
    Kind,
    Mode,
    RefundPayment,
    Request,
    Ruling,
    VerifyPayment,
    VoidPayment,
)
from handlers.domain.means import OpaqueData, StoredProfile
from handlers.domain.money import Money
from handlers.domain.secret import Secret
from worker.dead_letters import SUSPECT_HEADER, Reason, Record
from worker.decode import Decoder
from worker.own_signature import SIGNATURE_HEADER, derive, sign
from worker.routes import COMMANDS

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
TOPIC = "payment_initiation"
REQUESTS = ("payment_capture_request", "payment_void_request", "refund_request")
VERIFICATIONS = "payment_verification_request"
KINDS = {topic: topic for topic in (TOPIC, *REQUESTS, VERIFICATIONS)}
SIGNING_KEY = derive(b"an invoice key of the tests")
TOKEN = "nonce-very-secret"
CATALOG = Catalog()
WRITER = Writer(CATALOG, single_object_headers(CATALOG, KINDS))
SEALER = Sealer({"k": b"k" * 32})
DECODER = Decoder(Reader(CATALOG), SEALER, KINDS, max_age_s=3600, signing_key=SIGNING_KEY)
COMMAND = InitiatePayment(
    payment_id="pay-1",
    order_id="o-1",
    user_id="u-1",
    money=Money(1290, "USD"),
    mode=Mode.SALE,
    means=OpaqueData("COMMON.ACCEPT.INAPP.PAYMENT", Secret(TOKEN)),
    issued_at=NOW,
)


def record(value: bytes, **changes: object) -> Record:
    """A record at offset 7, just published, keyed `pay-1`."""
    made = Record(
        source=Source(TOPIC, "topic-id", 2, 7),
        key=b"pay-1",
        value=value,
        headers={},
        timestamp_ms=int(NOW.timestamp() * 1000),
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # the test names the fields that it changes


def encoded(command: InitiatePayment = COMMAND) -> bytes:
    """The value that a producer would publish."""
    return WRITER.encode_command(command, topic=TOPIC)


def doctored(**fields: object) -> bytes:
    """A value that a careless producer would publish: fields that our own command would not take."""
    schema = CATALOG.current(TOPIC)
    good = BytesIO(encoded()[10:])
    row = fastavro.schemaless_reader(good, schema.parsed, None)
    assert isinstance(row, dict)
    out = BytesIO()
    fastavro.schemaless_writer(out, schema.parsed, {**row, **fields})
    return encoded()[:10] + out.getvalue()


def headers(letter: DeadLetter) -> dict[str, str]:
    """The letter's headers as text."""
    return {name: value.decode() for name, value in letter.message.headers}


def test_a_good_record_is_admitted() -> None:
    """The command comes out as it went in, with its trace."""
    trace = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    found = DECODER.decode(record(encoded(), headers={"traceparent": trace}), now=NOW)
    assert isinstance(found, Admission)
    assert (COMMAND, trace.decode(), False) == (found.command, found.traceparent, found.suspect)


def test_a_trace_that_is_none_is_left_out() -> None:
    """Whatever else stands in that header goes nowhere."""
    found = DECODER.decode(record(encoded(), headers={"traceparent": b"4111111111111111"}), now=NOW)
    assert isinstance(found, Admission)
    assert "" == found.traceparent


def test_a_record_that_the_journal_may_have_forgotten_is_suspect() -> None:
    """It carries the moment since when it can have been sent."""
    since = NOW - timedelta(minutes=3)
    found = DECODER.decode(record(encoded(), suspect_since=since), now=NOW)
    assert isinstance(found, Admission)
    assert (True, since) == (found.suspect, found.since)


def test_the_replay_of_a_suspect_is_one_whoever_says_so() -> None:
    """It only adds care, so no signature is asked of it; the earliest moment counts, and what is none says nothing."""
    since = NOW - timedelta(hours=2)
    header = {SUSPECT_HEADER: since.isoformat().encode()}
    for later in (None, NOW):
        found = DECODER.decode(record(encoded(), headers=header, suspect_since=later), now=NOW)
        assert isinstance(found, Admission)
        assert (True, since) == (found.suspect, found.since)
    for wrong in (b"2026-11-20T10:00:00", b"\xff", b"", b"soon"):
        other = DECODER.decode(record(encoded(), headers={SUSPECT_HEADER: wrong}), now=NOW)
        assert isinstance(other, Admission)
        assert (False, None) == (other.suspect, other.since)


def test_a_replayed_suspect_keeps_its_suspicion_as_a_letter_again() -> None:
    """Of whatever kind: unreadable, a conflict, or refused. Regression: its second replay was sent unasked."""
    since = NOW - timedelta(hours=2)
    header = {SUSPECT_HEADER: since.isoformat().encode()}
    unreadable = DECODER.decode(record(b"no Avro", headers=header), now=NOW)
    assert isinstance(unreadable, DeadLetter)
    found = DECODER.decode(record(encoded(), headers=header), now=NOW)
    assert isinstance(found, Admission)
    for message in (unreadable.message, found.conflict(), found.refused()):
        assert since.isoformat().encode() == dict(message.headers)["dlq.suspect_since"]


def test_a_suspect_by_its_header_is_exempt_from_nothing() -> None:
    """Only what lies where the journal lost time may be old, or come without its asker."""
    header = {SUSPECT_HEADER: (NOW - timedelta(hours=2)).isoformat().encode()}
    stale = DECODER.decode(record(encoded(), headers=header, timestamp_ms=0), now=NOW)
    assert isinstance(stale, DeadLetter)
    assert Reason.STALE.value == headers(stale)["dlq.reason"]


def test_a_suspect_is_never_stale() -> None:
    """However old it is: it may have been charged in time that the journal lost, so it is asked for."""
    since = NOW - timedelta(days=9)
    found = DECODER.decode(record(encoded(), timestamp_ms=0, suspect_since=since), now=NOW)
    assert isinstance(found, Admission)


@pytest.mark.parametrize("timestamp_ms", [-1, 0, 1_763_640_000_000_000, 2**62])
def test_any_timestamp_of_a_record_is_taken(timestamp_ms: int) -> None:
    """Microseconds where milliseconds belong once ended every worker in turn."""
    found = DECODER.decode(record(encoded(), timestamp_ms=timestamp_ms), now=NOW)
    assert isinstance(found, Admission | DeadLetter)


@pytest.mark.parametrize(
    ("changed", "reason", "field", "text"),
    [
        (record(b""), Reason.UNREADABLE, "", "no header that we know"),
        (record(b"\x07random bytes"), Reason.UNREADABLE, "", "no header that we know"),
        (record(encoded()[:-3]), Reason.UNREADABLE, "", ""),
        (record(encoded() + b"x"), Reason.UNREADABLE, "", ""),
        (record(doctored(amount_minor=-5)), Reason.INVALID, "amount_minor", "must be from 0"),
        (record(doctored(amount_minor=0)), Reason.INVALID, "amount_minor", "at least 1"),
        (record(doctored(currency="BTC")), Reason.INVALID, "currency", "ISO 4217"),
        (record(doctored(payment_id="x" * 65)), Reason.INVALID, "payment_id", "1 to 64 characters"),
        (record(doctored(mode="UNSPECIFIED")), Reason.INVALID, "mode", ""),
        (record(encoded(), key=b"other"), Reason.INVALID, "key", "must be the payment id"),
        (record(encoded(), key=b""), Reason.INVALID, "key", "must be the payment id"),
        (record(encoded(), timestamp_ms=0), Reason.STALE, "", "3600 s are allowed"),
        (record(b"x" * 300_000), Reason.TOO_LARGE, "", "at most 262144 bytes"),
        (record(doctored(description="pay 4111 1111 1111 1111")), Reason.CARD_NUMBER, "description", "card number"),
    ],
)  # fmt: skip
def test_each_flaw_has_its_reason(changed: Record, reason: Reason, field: str, text: str) -> None:
    """The dead letter says why, which field, and where the record lay; nothing is lost."""
    letter = DECODER.decode(changed, now=NOW)
    assert isinstance(letter, DeadLetter)
    told = headers(letter)
    assert (reason.value, field) == (told["dlq.reason"], told.get("dlq.field", ""))
    assert text in told["dlq.text"]
    assert told["dlq.advice"]
    assert (TOPIC, "2", "7") == (told["dlq.topic"], told["dlq.partition"], told["dlq.offset"])


def test_a_gateway_id_of_21_digits_is_named() -> None:
    """The gateway never gave such an id: its own types end at 20."""
    profile = (
        "payments.v1.StoredProfile",
        {"customer_profile_id": "1" * 21, "payment_profile_id": "1"},
    )
    letter = DECODER.decode(record(doctored(means=profile)), now=NOW)
    assert isinstance(letter, DeadLetter)
    assert "means.customer_profile_id" == headers(letter)["dlq.field"]
    assert StoredProfile("1" * 20, "1").customer_profile_id == "1" * 20


def test_the_payload_is_sealed_and_opens_with_the_journals_keys() -> None:
    """A token of a refused command is not readable in the topic, but the operator can get the record back."""
    value = doctored(amount_minor=-5)
    letter = DECODER.decode(record(value), now=NOW)
    assert isinstance(letter, DeadLetter)
    kept = letter.message.value
    assert kept is not None
    assert TOKEN.encode() in value
    assert TOKEN.encode() not in kept
    assert "sealed" == headers(letter)["dlq.payload"]
    assert value == SEALER.open_bytes(kept, bound_to=letter.source.key)


@pytest.mark.parametrize(
    "value",
    [
        doctored(description="4111-1111-1111-1111"),
        doctored(description="4111 1111 1111 1111", amount_minor=-5),
        b"garbage 4111111111111111 garbage",
    ],
)
def test_a_payload_with_a_card_number_is_not_kept(value: bytes) -> None:
    """Whatever else is wrong with it: neither its payload nor any part of it stands in the letter."""
    letter = DECODER.decode(record(value), now=NOW)
    assert isinstance(letter, DeadLetter)
    assert b"" == letter.message.value
    assert "left out" == headers(letter)["dlq.payload"]
    assert "4111" not in repr(letter)


def test_a_key_with_a_card_number_is_not_kept() -> None:
    """The key of a record is a text like any other."""
    letter = DECODER.decode(record(encoded(), key=b"4111111111111111"), now=NOW)
    assert isinstance(letter, DeadLetter)
    assert b"" == letter.message.key


@given(st.binary(max_size=400), st.binary(max_size=80))
def test_no_bytes_are_an_error(value: bytes, key: bytes) -> None:
    """Whatever lies in the topic becomes an admission or a dead letter."""
    found = DECODER.decode(record(value, key=key), now=NOW)
    assert isinstance(found, Admission | DeadLetter)


REFUND = RefundPayment("pay-1", NOW, "u-1", refund_id="re-1", money=Money(5, "USD"))
RULING = Ruling(happened=False, by="ann", why="asked the bank")
REQUESTED: dict[str, Request] = {
    "payment_capture_request": CapturePayment("pay-1", NOW, capture_id="cap-1", amount_minor=9),
    "payment_void_request": VoidPayment("pay-1", NOW, "u-1", void_id="void-1"),
    "refund_request": REFUND,
    VERIFICATIONS: VerifyPayment("pay-1", NOW, verification_id="ver-1"),
}
INNER: dict[str, tuple[str, Command]] = {
    "continuation": ("refund_request", replace(REFUND, continuation=2)),
    "ruling": (VERIFICATIONS, VerifyPayment("pay-1", NOW, verification_id="v", ruling=RULING)),
}


def asked(topic: str, command: Command, **changes: object) -> Record:
    """The record of a request on its topic."""
    value = WRITER.encode_command(command, topic=topic)
    return record(value, source=Source(topic, f"id-of-{topic}", 0, 1), **changes)


def signed(of: Record, **changes: bytes) -> dict[str, bytes]:
    """The header that says that this record is ours; `changes` are what is signed instead."""
    parts = {"record_key": of.key, "value": of.value, **changes}
    return {SIGNATURE_HEADER: sign(SIGNING_KEY, topic=of.source.topic, **parts)}


@pytest.mark.parametrize("topic", REQUESTED)
def test_each_command_topic_is_read(topic: str) -> None:
    """Every verb of the design comes out as it went in, from its own topic."""
    found = DECODER.decode(asked(topic, REQUESTED[topic]), now=NOW)
    assert isinstance(found, Admission)
    assert REQUESTED[topic] == found.command
    assert found.command.kind in COMMANDS[topic]


def test_the_test_of_a_means_comes_as_a_verification() -> None:
    """One topic has two faces: a question about a payment, and the test of a means, which begins one."""
    tested = replace(COMMAND, mode=Mode.VERIFY, money=Money(0, "USD"))
    found = DECODER.decode(asked(VERIFICATIONS, tested), now=NOW)
    assert isinstance(found, Admission)
    assert (tested, Kind.INITIATION) == (found.command, found.command.kind)


@pytest.mark.parametrize("since", [None, NOW], ids=["new", "suspect"])
@pytest.mark.parametrize("field", INNER)
def test_what_only_we_may_say_needs_our_signature(field: str, since: datetime | None) -> None:
    """A ruling or a continuation of anybody else is a dead letter, and stays one after a loss of time."""
    topic, command = INNER[field]
    of = asked(topic, command, suspect_since=since)
    ours = DECODER.decode(replace(of, headers=signed(of)), now=NOW)
    assert isinstance(ours, Admission)
    assert command == ours.command
    wrong = [
        {},
        {SIGNATURE_HEADER: b""},
        {SIGNATURE_HEADER: b"0" * 64},
        signed(of, record_key=b"pay-2"),
        signed(of, value=of.value + b"x"),
        signed(replace(of, source=Source(TOPIC, "topic-id", 0, 1))),
    ]
    for headers_of_it in wrong:
        letter = DECODER.decode(replace(of, headers=headers_of_it), now=NOW)
        assert isinstance(letter, DeadLetter)
        told = headers(letter)
        assert (Reason.NOT_ALLOWED.value, field) == (told["dlq.reason"], told["dlq.field"])
        assert "signed" in told["dlq.text"]


@pytest.mark.parametrize("topic", REQUESTED)
def test_a_card_number_in_a_reason_is_not_kept(topic: str) -> None:
    """Requests have texts, too: one that holds a card number is a dead letter without its payload."""
    command = replace(REQUESTED[topic], reason="card 4111 1111 1111 1111")
    letter = DECODER.decode(asked(topic, command), now=NOW)
    assert isinstance(letter, DeadLetter)
    assert (Reason.CARD_NUMBER.value, "reason") == (
        headers(letter)["dlq.reason"],
        headers(letter)["dlq.field"],
    )
    assert "4111" not in repr(letter)
