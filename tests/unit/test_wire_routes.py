"""How commands of the worker's own travel: their topics, keys, headers and signature."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings

from avro.catalog import Catalog
from avro.commands import to_command
from avro.reader import Reader
from avro.writer import Writer, single_object_headers
from handlers.domain.commands import Command, Kind, RefundPayment, Ruling, VerifyPayment
from handlers.domain.errors import InvalidValueError
from handlers.domain.money import Money
from tests.doubles.strategies import COMMANDS
from tests.doubles.values import MIDNIGHT, SIGNING_KEY, command, wire
from worker import routes
from worker.own_signature import SIGNATURE_HEADER, is_ours
from worker.routes import EventWire, Topics

WIRE = wire()
READER = Reader(Catalog())
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
REFUND = RefundPayment("pay-1", MIDNIGHT, refund_id="ref-1", money=Money(5, "USD"), continuation=2)


@settings(max_examples=100, deadline=None)
@given(asked=COMMANDS)
def test_any_command_finds_its_topic(asked: Command) -> None:
    """Whatever the worker asks of itself goes to a topic that may carry it, under its payment's key, and reads back."""
    message = WIRE.command(asked, traceparent=TRACE)
    assert asked.kind in routes.COMMANDS[message.topic]
    assert asked.payment_id.encode() == message.key
    assert message.value is not None
    read = READER.read(message.topic, message.value)
    assert asked == to_command(read, kind=message.topic)


def test_it_is_signed_as_ours() -> None:
    """The signature covers topic, key and value, so nobody can bend a follow-up into another command."""
    message = WIRE.command(REFUND, traceparent="")
    assert message.value is not None
    signature = dict(message.headers)[SIGNATURE_HEADER]
    said: dict[str, Any] = {"record_key": message.key, "value": message.value}
    assert is_ours(SIGNING_KEY, topic=message.topic, signature=signature, **said)
    assert not is_ours(SIGNING_KEY, topic="another", signature=signature, **said)


def test_its_headers_are_those_of_an_event() -> None:
    """CloudEvents in binary mode, the trace that it belongs to, and the signature."""
    message = WIRE.command(REFUND, traceparent=TRACE)
    signature = dict(message.headers)[SIGNATURE_HEADER]
    assert {
        "ce_specversion": b"1.0",
        "ce_id": message.event_id.encode(),
        "ce_source": b"/tests",
        "ce_type": b"payments.command.refund.v1",
        "ce_time": MIDNIGHT.isoformat().encode(),
        "ce_subject": b"pay-1",
        "content-type": b"application/avro",
        "traceparent": TRACE.encode(),
        SIGNATURE_HEADER: signature,
    } == dict(message.headers)


def test_the_same_command_has_the_same_id() -> None:
    """However often a follow-up is produced it is one record; the next continuation is another."""
    again = replace(REFUND, issued_at=MIDNIGHT.replace(year=2030))
    first, repeat, other = (
        WIRE.command(it, traceparent="").event_id
        for it in (REFUND, again, replace(REFUND, continuation=3))
    )
    assert first == repeat != other


def test_a_ruling_goes_to_the_verifications() -> None:
    """An operator's word about a payment is a verification that carries it."""
    ruling = Ruling(happened=False, by="ann", why="no such entry")
    asked = VerifyPayment("pay-1", MIDNIGHT, verification_id="ver-1", ruling=ruling)
    message = WIRE.command(asked, traceparent="")
    assert routes.VERIFICATION == message.topic


def test_a_wire_without_a_key_signs_nothing() -> None:
    """The command line of another service's developer has no invoice key: its commands are like anybody's."""
    topics = Topics("shop.", "tests")
    writer = Writer(Catalog(), single_object_headers(Catalog(), topics.kinds))
    plain = EventWire(writer, topics=topics, source="/s")
    message = plain.command(command(), traceparent="")
    assert "shop.payment_initiation" == message.topic
    assert SIGNATURE_HEADER not in dict(message.headers)


def test_what_intake_would_not_take_is_not_sent() -> None:
    """A command that is larger than intake allows would end as a dead letter of our own making."""
    lines = (
        tuple(
            replace(it, name="\N{GRINNING FACE}" * 255, sku="\N{GRINNING FACE}" * 255)
            for it in command().lines
        )
        * 200
    )
    billing = command(lines=lines)
    with pytest.raises(InvalidValueError, match="at most 262144 bytes"):
        WIRE.command(billing, traceparent="")


def test_every_topic_has_its_kinds_and_its_dead_letters() -> None:
    """Five command topics, each with a dead-letter topic; every kind of command can travel; all have a schema."""
    topics = Topics("shop.", "tests")
    assert set(Kind) == set().union(*routes.COMMANDS.values())
    assert {f"shop.{it}.dlq" for it in routes.COMMANDS} == set(topics.dead_letters)
    assert set(Catalog().kinds) == set(topics.kinds.values())
    assert {*topics.commands, *topics.events} == set(topics.kinds)
