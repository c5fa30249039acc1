"""Dead letters as an operator meets them: what is read of them, what opens, and what may be published again."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from avro.catalog import Catalog
from avro.reader import Reader
from db_client.moves import Source
from db_client.reading import Orphan
from db_client.sealing import Sealer
from handlers.domain.commands import Command, RefundPayment, Ruling, VerifyPayment
from handlers.domain.errors import InvalidValueError
from handlers.domain.money import Money
from tests.doubles.values import MIDNIGHT, SIGNING_KEY, TOPICS, command, wire
from worker import own_signature
from worker.commands.dead_letters_opening import (
    REPLAY_OF,
    Closed,
    Go,
    Judge,
    Opener,
    Payload,
    Stop,
)
from worker.commands.dead_letters_reading import Letter, Wanted, letter_id, letter_of
from worker.commands.dead_letters_showing import as_object, command_of, table, whole, whole_object
from worker.dead_letters import SUSPECT_HEADER, Flaw, Reason, Record, letter, orphan_letter
from worker.kafka_admin import Seen

SEALER = Sealer({"k": b"k" * 32})
OPENER = Opener(SEALER, Reader(Catalog()), TOPICS.commands)
WIRE = wire()
TOKEN = "one-time-token"
REFUND = RefundPayment("pay-1", MIDNIGHT, refund_id="r-1", money=Money(500, "USD"))
RULING = VerifyPayment(
    "pay-1",
    MIDNIGHT,
    verification_id="v-1",
    ruling=Ruling(happened=True, by="eve", why="because"),
)
GOES_ON = replace(REFUND, continuation=2)


def seen(
    of: Command | bytes, reason: Reason, *, topic: str = "refund_request", key: bytes = b"pay-1"
) -> Seen:
    """The record of a dead letter as intake makes it out of `of`."""
    value = of
    if not isinstance(value, bytes):
        message = WIRE.command(value, traceparent="")
        topic, key, value = message.topic, message.key, message.value or b""
    record = Record(
        Source(topic, "TopicId", 2, 17),
        key,
        value=value,
        headers={},
        timestamp_ms=1_700_000_000_000,
    )
    made = letter(record, Flaw(reason, "what is wrong", "a.field"), sealer=SEALER).message
    headers = dict(made.headers)
    return Seen(made.topic, 0, 3, made.key, made.value or b"", headers, 1_700_000_100_000)


def met(
    of: Command | bytes, reason: Reason, *, topic: str = "refund_request", key: bytes = b"pay-1"
) -> Letter:
    """The same as an operator's command reads it."""
    found = letter_of(seen(of, reason, topic=topic, key=key))
    assert found is not None
    return found


def judged(found: Letter, *, anyway: bool = False, tokens_asked: bool = False) -> Go | Stop:
    """What a replay of it would be."""
    judge = Judge(SIGNING_KEY, tokens_asked, anyway, max_command_age_s=3600)
    return judge.judge(found, OPENER.open(found))


def test_a_letter_is_read_from_its_headers() -> None:
    """Id, reason, place and times come out as intake wrote them; the payload opens to the very command."""
    found = met(REFUND, Reason.PAYMENT_UNKNOWN)
    assert ("dlq:TopicId:2:17", "payment_unknown", "refund_request", "a.field") == (
        found.letter_id,
        found.reason,
        found.topic,
        found.flawed,
    )
    assert datetime.fromtimestamp(1_700_000_000, UTC) == found.asked_at
    payload = OPENER.open(found)
    assert isinstance(payload, Payload)
    assert REFUND == payload.command


@pytest.mark.parametrize(
    "wrong",
    [
        {"dlq.partition": b"-1"},
        {"dlq.offset": b"9" * 30},
        {"dlq.topic": b"payment_initiation"},
        {"ce_id": b"dlq:Other:2:17"},
        {"dlq.timestamp_ms": b""},
    ],
    ids=str,
)
def test_what_no_worker_wrote_is_no_letter(wrong: dict[str, bytes]) -> None:
    """A record whose headers contradict each other, or the topic it lies in, is passed over."""
    made = seen(REFUND, Reason.STALE)
    assert letter_of(replace(made, headers={**made.headers, **wrong})) is None


def test_a_replay_is_the_same_record_signed_as_ours() -> None:
    """Topic, key and value are the first ones, so that the command's ids make it count once; the signature holds."""
    go = judged(met(REFUND, Reason.PAYMENT_UNKNOWN))
    assert isinstance(go, Go)
    topic, key, value, headers = go.record
    first = WIRE.command(REFUND, traceparent="")
    assert (first.topic, first.key, first.value) == (topic, key, value)
    signature = headers[own_signature.SIGNATURE_HEADER]
    assert own_signature.is_ours(
        SIGNING_KEY, topic=topic, record_key=key, value=value, signature=signature
    )
    assert b"dlq:TopicId:2:17" == headers[REPLAY_OF]


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (met(REFUND, Reason.CONFLICT), "under a new id"),
        (met(b"no Avro", Reason.UNREADABLE), "would become a dead letter again"),
        (met(b"\xc3\x01" + bytes(8), Reason.UNREADABLE), "fingerprint"),
    ],
    ids=["conflict", "unreadable", "unknown schema"],
)
def test_what_would_come_back_is_replayed_only_anyway(found: Letter, why: str) -> None:
    """A replay that helps nobody is refused with its reason, and done where the operator insists."""
    stop = judged(found)
    assert isinstance(stop, Stop)
    assert why in stop.why
    assert stop.can_be_forced
    assert isinstance(judged(found, anyway=True), Go)


def test_a_replay_keeps_the_suspicion() -> None:
    """What may have been carried out in lost time says since when, on its letter and on the replay's record."""
    since = MIDNIGHT - timedelta(hours=1)
    orphan = Orphan(
        REFUND.operation_id, REFUND, topic_id="t", partition=2, offset=7, suspect_since=since
    )
    record = WIRE.command(REFUND, traceparent="")
    made = orphan_letter(orphan, record, sealer=SEALER, now=MIDNIGHT).message
    found = letter_of(
        Seen(made.topic, 0, 3, made.key, made.value or b"", dict(made.headers), 1_700_000_100_000)
    )
    assert found is not None
    assert since.isoformat() == found.suspect_since
    go = judged(found)
    assert isinstance(go, Go)
    assert since.isoformat().encode() == go.record[3][SUSPECT_HEADER]
    assert "the gateway is asked before it is sent" in go.note


def test_what_cannot_be_read_is_never_signed() -> None:
    """Bytes that could say anything go out without our word for them."""
    go = judged(met(b"no Avro", Reason.UNREADABLE), anyway=True)
    assert isinstance(go, Go)
    assert own_signature.SIGNATURE_HEADER not in go.record[3]


@pytest.mark.parametrize("inner", [RULING, GOES_ON], ids=["ruling", "continuation"])
@pytest.mark.parametrize("reason", [Reason.NOT_ALLOWED, Reason.STALE, Reason.INVALID])
def test_a_strangers_ruling_does_not_become_ours_by_a_replay(
    inner: Command, reason: Reason
) -> None:
    """What only the worker or its operator may say is never signed where nothing proves that one of them said it."""
    stop = judged(met(inner, reason), anyway=True)
    assert isinstance(stop, Stop)
    assert not stop.can_be_forced
    assert "review decide" in stop.why


@pytest.mark.parametrize("reason", [Reason.PAYMENT_UNKNOWN, Reason.REFUSED])
def test_our_own_continuation_goes_on(reason: Reason) -> None:
    """What was proven ours before it became a letter may be replayed."""
    assert isinstance(judged(met(GOES_ON, reason)), Go)


def test_where_tokens_are_asked_a_replay_of_the_unasked_needs_a_word_more() -> None:
    """The customer's token is not kept: nobody could look at it again, so the operator vouches in so many words."""
    for reason in (Reason.NOT_ALLOWED, Reason.STALE, Reason.INVALID):
        found = met(REFUND, reason)
        stop = judged(found, tokens_asked=True)
        assert isinstance(stop, Stop)
        assert "signed as yours" in stop.why
        assert isinstance(judged(found, tokens_asked=True, anyway=True), Go)
        assert isinstance(judged(found), Go)
    assert isinstance(judged(met(REFUND, Reason.PAYMENT_UNKNOWN), tokens_asked=True), Go)


def test_a_payload_that_was_not_kept_is_said_so() -> None:
    """A card number, or too many bytes: there is nothing to publish, whatever the operator insists on."""
    for reason, says in ((Reason.CARD_NUMBER, "a card number"), (Reason.TOO_LARGE, "larger than")):
        found = met(REFUND, reason)
        stop = judged(found, anyway=True)
        assert isinstance(stop, Stop)
        assert says in stop.why
        assert "ask its producer" in stop.why
        assert "left out" == as_object(found, None)["payload"]


def test_another_key_or_place_opens_nothing() -> None:
    """A payload belongs to the place it came from and to the journal's keys; else the text says what to do."""
    found = met(REFUND, Reason.STALE)
    moved = OPENER.open(replace(found, offset=18))
    assert isinstance(moved, Closed)
    stranger = Opener(Sealer({"other": b"o" * 32}), Reader(Catalog()), TOPICS.commands)
    closed = stranger.open(found)
    assert isinstance(closed, Closed)
    assert "WORKER_JOURNAL_KEYS" in closed.why
    elsewhere = OPENER.open(replace(found, topic="somebody_elses"))
    assert isinstance(elsewhere, Closed)


def test_a_foreign_key_is_a_flaw() -> None:
    """A record under another key than its payment's would be refused again."""
    value = WIRE.command(REFUND, traceparent="").value or b""
    stop = judged(met(value, Reason.INVALID, key=b"pay-2"))
    assert isinstance(stop, Stop)
    assert "key" in stop.why


def test_a_shown_letter_says_what_and_what_next_and_no_token() -> None:
    """The command's fields are there, the token is not, whether for a person or for a script."""
    found = met(command(payment_id="pay-7"), Reason.STALE)
    payload, verdict = OPENER.open(found), judged(found)
    text = "\n".join(whole(found, None, payload=payload, verdict=verdict))
    told = whole_object(found, None, payload=payload, verdict=verdict)
    for part in (
        "stale: what is wrong",
        "sale of 12.34 USD",
        "dead-letters replay dlq:",
        "too old",
    ):
        assert part in text
    shown, flaw = command_of(payload)
    assert shown is not None
    assert ("pay-7", "") == (shown["payment_id"], flaw)
    assert told["replay"] == {"possible": True, "with_anyway": True, "text": told["replay"]["text"]}  # type: ignore[index]  # an object of JSON
    for secret in (TOKEN, "Secret"):
        assert secret not in text + str(told) + str(payload) + str(verdict)


def test_a_key_that_steers_a_terminal_or_looks_like_a_card_is_not_shown() -> None:
    """What a producer wrote as a key is cleaned, and hidden where it may be a card's number."""
    found = met(b"no Avro", Reason.UNREADABLE, key=b"\x1b[31mred")
    assert "\x1b" not in "".join(table([(found, None)]))
    card = replace(found, key=b"4111 1111 1111 1111")
    assert "4111" not in str(as_object(card, None))


def test_letters_are_chosen_by_every_filter() -> None:
    """Reason, topic, time and id each narrow the choice; nothing given chooses all."""
    found = met(REFUND, Reason.STALE)
    at, later = found.at, found.at + timedelta(seconds=1)
    assert Wanted().fits(found)
    assert Wanted(ids=frozenset({found.letter_id}), since=at, until=later).fits(found)
    for other in (
        Wanted(ids=frozenset({"dlq:x:0:1"})),
        Wanted(reasons=frozenset({"invalid"})),
        Wanted(topics=frozenset({"payment_initiation"})),
        Wanted(since=later),
        Wanted(until=at),
    ):
        assert not other.fits(found)


def test_an_id_is_taken_with_or_without_its_prefix() -> None:
    """What stands in `list` may be given whole, or as topic id, partition and offset."""
    assert "dlq:a-b:0:1" == letter_id("dlq:a-b:0:1") == letter_id("a-b:0:1")
    with pytest.raises(InvalidValueError, match="as `dead-letters list` shows it"):
        letter_id("pay-17")
