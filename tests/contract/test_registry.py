"""The Schema Registry's client over real sockets: what is definite, what is a bad day, and that nothing leaks."""

import json
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO

import pytest
from fastavro import parse_schema, schemaless_writer

from avro.catalog import PAYMENT_INITIATION, Catalog
from avro.commands import from_command, to_command
from avro.errors import SchemaRefused, Unreadable
from avro.reader import Reader
from avro.registry import Credentials, Registry
from avro.writer import Writer, registered_headers, subject
from handlers.domain.commands import InitiatePayment, Mode
from handlers.domain.errors import InvalidValueError, Unavailable
from handlers.domain.means import StoredProfile
from handlers.domain.money import Money
from handlers.domain.secret import Secret
from tests.doubles.schema_registry import SchemaRegistryDouble, schema_registry

CATALOG = Catalog()
TOPIC = "shop.payment_initiation"
COMMAND = InitiatePayment(
    payment_id="pay-1",
    order_id="order-1",
    user_id="user-1",
    money=Money(1234, "USD"),
    mode=Mode.SALE,
    means=StoredProfile("123", "456"),
    issued_at=datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
)


@pytest.fixture
def double() -> Iterator[SchemaRegistryDouble]:
    """A registry of our own."""
    with schema_registry() as running:
        yield running


@pytest.fixture
def registry(double: SchemaRegistryDouble) -> Iterator[Registry]:
    """A client of it."""
    client = Registry(double.url, timeout_s=20.0)
    yield client
    client.close()


def test_a_command_goes_through_the_registry_and_back(
    double: SchemaRegistryDouble, registry: Registry
) -> None:
    """What is written with a registered schema has Confluent's header and is read by asking the registry once."""
    writer = Writer(
        CATALOG, registered_headers(CATALOG, {TOPIC: PAYMENT_INITIATION}, registry=registry)
    )
    payload = writer.encode_command(COMMAND, topic=TOPIC)
    assert b"\x00\x00\x00\x00\x01" == payload[:5]
    reader = Reader(CATALOG, registry)
    for _ in range(3):
        assert (
            to_command(reader.read(PAYMENT_INITIATION, payload), kind=PAYMENT_INITIATION) == COMMAND
        )
    assert [f"POST /subjects/{subject(TOPIC)}/versions", "GET /schemas/ids/1"] == double.calls


def test_registering_twice_gives_the_same_id(registry: Registry) -> None:
    """A restart registers again and gets the id that it had."""
    text = CATALOG.current(PAYMENT_INITIATION).text
    assert 1 == registry.register(subject(TOPIC), text)
    assert 1 == registry.register(subject(TOPIC), text)


def test_a_newer_writer_is_understood(double: SchemaRegistryDouble, registry: Registry) -> None:
    """A producer that already has a field and an enum symbol more than we know is read all the same."""
    newer = json.loads(CATALOG.current(PAYMENT_INITIATION).text)
    newer["fields"].insert(0, {"name": "campaign", "type": "string", "default": ""})
    newer["fields"].append({"name": "gift", "type": ["null", "string"], "default": None})
    mode = next(each for each in newer["fields"] if each["name"] == "mode")
    mode["type"]["symbols"].append("INSTALMENTS")
    schema_id = double.add(json.dumps(newer))
    encoded = _encoded(newer, {**from_command(COMMAND), "campaign": "spring", "gift": "yes"})
    record = Reader(CATALOG, registry).read(PAYMENT_INITIATION, _confluent(schema_id, encoded))
    assert to_command(record, kind=PAYMENT_INITIATION) == COMMAND
    assert "campaign" not in record
    encoded = _encoded(newer, {**from_command(COMMAND), "mode": "INSTALMENTS"})
    record = Reader(CATALOG, registry).read(PAYMENT_INITIATION, _confluent(schema_id, encoded))
    assert record["mode"] == "UNSPECIFIED"


def test_strange_logical_types_are_read_as_their_base(
    double: SchemaRegistryDouble, registry: Registry
) -> None:
    """A writer that calls an id a uuid, or lost timestamp-micros, means the text and the number on the wire."""
    theirs = json.loads(CATALOG.current(PAYMENT_INITIATION).text)
    for each in theirs["fields"]:
        if each["name"] == "payment_id":
            each["type"] = {"type": "string", "logicalType": "uuid"}
        if each["name"] == "issued_at":
            each["type"] = "long"
    schema_id = double.add(json.dumps(theirs))
    micros = (COMMAND.issued_at - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1_000_000
    encoded = _encoded(theirs, {**from_command(COMMAND), "issued_at": round(micros)}, plain=True)
    record = Reader(CATALOG, registry).read(PAYMENT_INITIATION, _confluent(schema_id, encoded))
    assert to_command(record, kind=PAYMENT_INITIATION) == COMMAND


def test_an_unknown_id_is_unreadable_and_asked_once(
    double: SchemaRegistryDouble, registry: Registry
) -> None:
    """The registry's own "no such schema" is definite; poison with a made-up id is not one call for each record."""
    reader = Reader(CATALOG, registry)
    for _ in range(5):
        with pytest.raises(Unreadable, match="knows no schema 77"):
            reader.read(PAYMENT_INITIATION, _confluent(77, b"\x00"))
    assert ["GET /schemas/ids/77"] == double.calls


@pytest.mark.parametrize(
    ("more", "text", "why"),
    [
        ({"schemaType": "PROTOBUF"}, "syntax", "not an Avro schema"),
        ({"references": [{"name": "x"}]}, "{}", "references"),
        ({}, "{", "not valid JSON"),
        ({}, '"string"', "not a record"),
        ({}, '{"type":"record","name":"Other","fields":[{"name":"a","type":"int"}]}', "Other"),
    ],
)
def test_schemas_that_cannot_be_read_are_definite(
    double: SchemaRegistryDouble, registry: Registry, more: dict[str, object], text: str, why: str
) -> None:
    """A schema that is no Avro, has references or is of something else makes its records unreadable."""
    schema_id = double.add(text, **more)
    with pytest.raises(Unreadable, match=why):
        Reader(CATALOG, registry).read(PAYMENT_INITIATION, _confluent(schema_id, b"\x00"))


@pytest.mark.parametrize(
    "answer",
    [
        (500, b"{}"),
        (503, b"down"),
        (429, b"{}"),
        (401, b'{"error_code":40101}'),
        (403, b"{}"),
        (404, b"<html>no such page</html>"),
        (404, b'{"error_code":404,"message":"HTTP 404 Not Found"}'),
        (200, b"<html>please log in</html>"),
        (200, b'{"schema": 5}'),
        (200, b"[" * 100_000),
        (200, b'{"schema": "' + b"x" * 600_000 + b'"}'),
        (302, b""),
    ],
)
def test_a_bad_day_is_unavailable_and_passes(
    double: SchemaRegistryDouble, registry: Registry, answer: tuple[int, bytes]
) -> None:
    """Whatever is not a registry's definite answer pauses intake; nothing of it is remembered."""
    schema_id = double.add(CATALOG.current(PAYMENT_INITIATION).text)
    double.answer = answer
    reader = Reader(CATALOG, registry)
    encoded = _encoded(json.loads(CATALOG.current(PAYMENT_INITIATION).text), from_command(COMMAND))
    with pytest.raises(Unavailable, match="schema registry"):
        reader.read(PAYMENT_INITIATION, _confluent(schema_id, encoded))
    double.answer = None
    assert (
        to_command(
            reader.read(PAYMENT_INITIATION, _confluent(schema_id, encoded)), kind=PAYMENT_INITIATION
        )
        == COMMAND
    )


def test_nobody_there_is_unavailable() -> None:
    """A refused connection is a bad day as well."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        client = Registry(f"http://127.0.0.1:{free.getsockname()[1]}", timeout_s=1.0)
        with pytest.raises(Unavailable, match="ConnectError"):
            client.schema(1)
        client.close()


def test_a_trickled_answer_ends_at_the_deadline(
    double: SchemaRegistryDouble,
) -> None:
    """A total deadline lies around the answer: bytes that keep dripping in do not hold the intake thread."""
    text = CATALOG.current(PAYMENT_INITIATION).text
    double.add(text)
    double.trickle_s = 0.02
    hasty = Registry(double.url, timeout_s=1.0)
    began = time.monotonic()
    with pytest.raises(Unavailable, match="too long"):
        hasty.schema(1)
    assert time.monotonic() - began < len(text) * double.trickle_s / 4
    hasty.close()


def test_credentials_are_sent_and_never_shown(double: SchemaRegistryDouble) -> None:
    """Basic authentication works, a wrong password pauses, and no text of ours holds it."""
    double.basic = ("worker", "s3cret-word")
    double.add(CATALOG.current(PAYMENT_INITIATION).text)
    right = Registry(double.url, credentials=Credentials("worker", Secret("s3cret-word")))
    assert CATALOG.current(PAYMENT_INITIATION).text == right.schema(1)
    right.close()
    credentials = Credentials("worker", Secret("wr0ng-word"))
    wrong = Registry(double.url, credentials=credentials)
    with pytest.raises(Unavailable, match="refuses our credentials") as raised:
        wrong.schema(1)
    wrong.close()
    assert "wr0ng" not in f"{raised.value}{credentials!r}"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://registry",
        "registry:8081",
        "http://user:s3cret@registry",
        "http://",
        "http://registry:many",
    ],
)
def test_a_wrong_url_is_named_without_being_shown(url: str) -> None:
    """A URL that is none, or that carries credentials, stops the start with the setting's name."""
    with pytest.raises(InvalidValueError, match="schema_registry_url") as raised:
        Registry(url)
    assert "s3cret" not in str(raised.value)


def test_an_incompatible_schema_is_refused_at_start(registry: Registry) -> None:
    """A schema that the registry will not take stops the start and says why; `conflicts` tells it beforehand."""
    name = subject(TOPIC)
    current = CATALOG.current(PAYMENT_INITIATION).text
    assert () == registry.conflicts(name, current)
    registry.register(name, current)
    assert () == registry.conflicts(name, current)
    worse = json.loads(current)
    worse["fields"].append({"name": "shoe_size", "type": "int"})
    assert "shoe_size" in registry.conflicts(name, json.dumps(worse))[0]
    with pytest.raises(SchemaRefused, match="shoe_size"):
        registry.register(name, json.dumps(worse))
    with pytest.raises(SchemaRefused, match="not valid JSON"):
        registry.register(name, "{")


@pytest.mark.parametrize("kind", CATALOG.kinds)
def test_a_registry_takes_every_version(
    double: SchemaRegistryDouble, registry: Registry, kind: str
) -> None:
    """A registry that holds FULL_TRANSITIVE takes each version after the ones before it: an upgrade is not refused."""
    for schema in CATALOG.versions(kind):
        registry.register(subject(kind), schema.text)
    assert len(CATALOG.versions(kind)) == len(double.subjects[subject(kind)])


def test_a_subject_with_strange_signs_stays_one_path_segment(
    double: SchemaRegistryDouble, registry: Registry
) -> None:
    """A topic's name cannot reach another resource of the registry."""
    registry.register("a/../b c-value", CATALOG.current(PAYMENT_INITIATION).text)
    assert ["a/../b c-value"] == list(double.subjects)


def _confluent(schema_id: int, body: bytes) -> bytes:
    return b"\x00" + schema_id.to_bytes(4, "big") + body


def _encoded(schema: dict[str, object], record: dict[str, object], *, plain: bool = False) -> bytes:
    """`record` as another team's producer writes it."""
    out = BytesIO()
    text = json.dumps(schema)
    if plain:  # the values are given as they are on the wire
        text = text.replace(', "logicalType": "uuid"', "")
    schemaless_writer(out, parse_schema(json.loads(text)), record)
    return out.getvalue()
