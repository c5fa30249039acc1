"""Any bytes are a record or Unreadable: nothing else happens, and it happens quickly and in little memory."""

import json
import shutil
import time
import tracemalloc
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pytest
from fastavro import parse_schema, schemaless_writer
from fastavro.schema import fingerprint
from hypothesis import example, given, settings
from hypothesis import strategies as st

from avro.catalog import AVSC, PAYMENT_INITIATION, PAYMENT_STATUS, Catalog
from avro.commands import from_command, to_command
from avro.errors import Unreadable
from avro.reader import MAX_PAYLOAD_BYTES, Reader
from avro.writer import Writer, single_object_headers
from handlers.domain.commands import Address, InitiatePayment, Line, Mode
from handlers.domain.errors import WorkerError
from handlers.domain.means import OpaqueData
from handlers.domain.money import Money
from handlers.domain.secret import Secret

CATALOG = Catalog()
READER = Reader(CATALOG)
WRITER = Writer(CATALOG, single_object_headers(CATALOG, {"t": PAYMENT_INITIATION}))
COMMAND = InitiatePayment(
    payment_id="pay-1",
    order_id="order-1",
    user_id="user-1",
    money=Money(1234, "USD"),
    mode=Mode.SALE,
    means=OpaqueData("COMMON.ACCEPT.INAPP.PAYMENT", Secret("tok-secret")),
    issued_at=datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
    not_after=datetime(2026, 1, 3, tzinfo=UTC),
    billing=Address(first_name="Ada", zip="46282"),
    customer_ip="10.0.0.1",
    description="Two things",
    lines=(Line("sku-1", "A thing", 1, 1000), Line("sku-2", "Ä", 2, 117)),
)
PAYLOAD = WRITER.encode_command(COMMAND, topic="t")
HEADER = PAYLOAD[:10]
BEHIND_THE_LINES = 5  # fields of one byte each, where nothing is given for them
END_OF_LINES = len(PAYLOAD) - BEHIND_THE_LINES - 1


def read_or_refused(payload: bytes, reader: Reader = READER) -> dict[str, object] | str:
    """The record, or why there is none."""
    try:
        return reader.read(PAYMENT_INITIATION, payload)
    except Unreadable as refusal:
        return refusal.why


def payload_of(record: dict[str, object], folder: Path = AVSC) -> bytes:
    """`record` as the schema in `folder` writes it, whatever the domain thinks of it."""
    catalog = Catalog(folder)
    out = BytesIO()
    out.write(b"\xc3\x01" + catalog.current(PAYMENT_INITIATION).fingerprint)
    schemaless_writer(out, catalog.current(PAYMENT_INITIATION).parsed, record)
    return out.getvalue()


def test_what_was_written_is_read() -> None:
    """A command comes back as it was, to the microsecond."""
    assert to_command(READER.read(PAYMENT_INITIATION, PAYLOAD), kind=PAYMENT_INITIATION) == COMMAND


def test_the_header_is_single_object_encoding() -> None:
    """C3 01 and the little-endian fingerprint, by the vector of the Avro specification's algorithm for "int"."""
    assert b"\xc3\x01" == PAYLOAD[:2]
    assert "8f5c393f1ad57572" == fingerprint('"int"', "CRC-64-AVRO")


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b"", "not Avro"),
        (b"{}", "not Avro"),
        (b"\x00", "no registry is configured"),
        (b"\x00\x00\x00\x00\x01abc", "no registry is configured"),
        (b"\xc3", "not Avro"),
        (b"\xc3\x01", "fingerprint that is not known"),
        (b"\xc3\x01" + bytes(8) + b"abc", "fingerprint that is not known"),
        (HEADER, "cut off"),
        (PAYLOAD[:-1], "cut off"),
        (PAYLOAD + b"\x00", "1 bytes follow"),
        (HEADER + b"\x0a" + b"\xff" * 5 + PAYLOAD[16:], "not UTF-8"),
        (HEADER + b"\xff" * 11, "longer than ten bytes"),
        (HEADER + b"\x01", "negative length"),
        (HEADER + b"\xfe" + b"\xff" * 8 + b"\x01", "cut off"),
        (bytes(MAX_PAYLOAD_BYTES + 1), "larger than"),
    ],
)
def test_each_fault_has_its_reason(payload: bytes, why: str) -> None:
    """A dead letter says what is wrong in words that a person understands."""
    assert why in str(read_or_refused(payload))


def test_a_record_of_another_topic_is_named() -> None:
    """A status event in the command topic is refused as such."""
    payload = b"\xc3\x01" + CATALOG.current(PAYMENT_STATUS).fingerprint + b"\x00"
    assert f"the record is one of {PAYMENT_STATUS}" in str(read_or_refused(payload))


@pytest.mark.parametrize("index", [b"\x01", b"\x03", b"\x05", b"\x06", b"\xff" * 9 + b"\x01"])
def test_an_index_out_of_range_is_refused(index: bytes) -> None:
    """The decoder takes index -1 for the last symbol, so a flipped bit turned a sale into an authorisation."""
    ids = HEADER + PAYLOAD[10 : PAYLOAD.index(b"\x06USD") + 4]
    assert b"\x02" == PAYLOAD[len(ids) : len(ids) + 1]  # SALE
    assert "an enum" in str(read_or_refused(ids + index + PAYLOAD[len(ids) + 1 :]))
    assert "a union" in str(read_or_refused(ids + b"\x02" + index + PAYLOAD[len(ids) + 2 :]))


def test_a_time_beyond_the_calendar_is_refused() -> None:
    """A long that no datetime can hold is a reason, not a crash."""
    text = CATALOG.current(PAYMENT_INITIATION).text.replace("timestamp-micros", "none")
    out = BytesIO()
    record = {**from_command(COMMAND), "issued_at": 2**62, "not_after": None}
    schemaless_writer(out, parse_schema(json.loads(text)), record)
    assert "years 1 to 9999" in str(read_or_refused(HEADER + out.getvalue()))


def test_lines_may_come_in_blocks() -> None:
    """Avro allows a list in blocks with their size in bytes: a writer that streams is read as well."""
    record = {**from_command(COMMAND), "lines": []}
    empty = payload_of(record)
    item = b"\x02a\x02b\x02\x04"
    blocks = b"\x01" + bytes([2 * len(item)]) + item + b"\x02" + item + b"\x00"
    head, tail = empty[: -BEHIND_THE_LINES - 1], empty[-BEHIND_THE_LINES:]
    read = read_or_refused(head + blocks + tail)
    assert isinstance(read, dict)
    line = {"sku": "a", "name": "b", "quantity": 1, "unit_minor": 2}
    assert [line, line] == read["lines"]


@settings(max_examples=500, deadline=None)
@given(payload=st.binary(max_size=200))
@example(payload=b"\xc3\x01")
def test_any_bytes_are_a_record_or_unreadable(payload: bytes) -> None:
    """Random bytes, with and without our header, end in no other way."""
    read_or_refused(payload)
    read_or_refused(HEADER + payload)


@settings(max_examples=500, deadline=None)
@given(data=st.data())
def test_any_damage_is_a_record_or_unreadable(data: st.DataObject) -> None:
    """A good record with bytes changed, cut or put in is read, refused by a rule of the command, or unreadable."""
    at = data.draw(st.integers(10, len(PAYLOAD)))
    cut = data.draw(st.integers(0, 3))
    damaged = PAYLOAD[:at] + data.draw(st.binary(max_size=4)) + PAYLOAD[at + cut :]
    try:
        to_command(READER.read(PAYMENT_INITIATION, damaged), kind=PAYMENT_INITIATION)
    except WorkerError as refusal:
        assert "tok-secret" not in str(refusal)  # noqa: PT017 - most damage raises, some does not: both are right


@pytest.mark.parametrize(
    "body",
    [
        PAYLOAD[10:END_OF_LINES] + b"\xfe" + b"\xff" * 8 + b"\x01",
        PAYLOAD[10:END_OF_LINES] + b"\x01\xff\xff\xff\xff\x0f" * 20_000,
        b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f" + b"a" * 1000,
        payload_of({**from_command(COMMAND), "lines": []})[10 : -BEHIND_THE_LINES - 1]
        + b"\xc0\xb8\x02"
        + b"\x02a\x00\x02\x02" * 20_000,
    ],
    ids=["count", "blocks", "length", "short of its count"],
)
def test_a_hostile_length_costs_nothing(body: bytes) -> None:
    """A length or count of billions is refused before anything is built for it."""
    tracemalloc.start()
    began = time.perf_counter()
    assert isinstance(read_or_refused(HEADER + body), str)
    took_s = time.perf_counter() - began
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * len(body) + 100_000
    assert took_s < 20  # building what is claimed would take hours


def test_an_older_version_is_read_by_its_fingerprint(tmp_path: Path) -> None:
    """A record of a version in history/ is resolved to the current schema, with its defaults."""
    folder = tmp_path / "avsc"
    shutil.copytree(AVSC, folder)
    path = folder / f"{PAYMENT_INITIATION}.avsc"
    newer = json.loads(path.read_text())
    newer["fields"].insert(1, {"name": "channel", "type": "string", "default": "web", "doc": ""})
    path.write_text(json.dumps(newer))
    (folder / "history" / f"{PAYMENT_INITIATION}.v3.avsc").write_text(json.dumps(newer))
    record = Reader(Catalog(folder)).read(PAYMENT_INITIATION, PAYLOAD)
    assert "web" == record["channel"]
    assert to_command(record, kind=PAYMENT_INITIATION) == COMMAND
    again = payload_of({**from_command(COMMAND), "channel": "shop"}, folder)
    assert "shop" == Reader(Catalog(folder)).read(PAYMENT_INITIATION, again)["channel"]
    assert "fingerprint that is not known" in str(read_or_refused(again))
