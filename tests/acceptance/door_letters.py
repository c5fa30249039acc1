"""Records that are no command of ours, one for each reason that a published record can have. No claims here."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Final

import fastavro
from confluent_kafka import Producer

from avro.catalog import PAYMENT_INITIATION, Catalog
from avro.command_records import from_command
from handlers.domain.commands import InitiatePayment, Ruling
from handlers.domain.money import Money
from tests.acceptance.front_door import Cast
from worker.demo.audit import settings_of

LETTERS: Final = 7  # of these records
_PAN: Final = "4111111111111111"


def send_what_is_no_command(scenes: Cast) -> None:
    """Publish them; the payment `first` was made before."""
    door, shop = scenes.door, scenes.door.shop
    first = scenes.cast["first"]
    topic, key, value, _ = shop.record(first)
    scenes.part("card")
    card = shop.record(replace(scenes.cast["card"], description=f"card {_PAN}"))
    ruling = Ruling(happened=True, by="nobody", why="not signed")
    unsigned = shop.verification("unsigned", first)
    other = replace(first, money=Money(first.money.amount_minor + 1, "USD"))
    door.send(
        [
            (topic, b"garbled", random.Random(1).randbytes(50), {}),
            (topic, b"another-key", value, {}),
            card,
            shop.record(other),
            shop.record(replace(unsigned, ruling=ruling)),
        ]
    )
    stale = shop.record(scenes.part("long ago"))
    properties = settings_of(door.stage).kafka_properties()
    producer = Producer({**properties, "log_level": "2"})
    at_ms = int((datetime.now(UTC) - timedelta(days=2)).timestamp() * 1000)
    producer.produce(topic, stale[2], stale[1], timestamp=at_ms)
    producer.produce(topic, _too_large(first, header=value[:10]), key)
    assert not producer.flush(20)
    assert door.ear.hears(lambda: len(door.ear.letters) >= LETTERS)


def _too_large(command: InitiatePayment, *, header: bytes) -> bytes:
    record = from_command(command) | {"description": "x" * 300_000}
    body = BytesIO()
    schema = Catalog().current(PAYMENT_INITIATION)
    fastavro.schemaless_writer(body, schema.parsed, record)
    return header + body.getvalue()
