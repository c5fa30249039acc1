"""The whole way on real parts: a busy shop with every kind of answer and a poisoned topic, and the books at the end."""

import json
import random
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import fastavro
import psycopg
from confluent_kafka import Producer
from psycopg import sql

from avro.commands import from_command
from handlers.domain.money import Money
from tests.crash.installation import Installation, installed, secrets_of, wait_until
from worker import kafka_admin, wiring
from worker.demo.audit import settings_of
from worker.demo.stage import Stage

COUNT: Final = 200
DECLINED_EVERY: Final = 10
ROUGH: Final = {
    "latency": {"p50_ms": 100, "p99_ms": 600},
    "faults": {
        "held_252": 0.03,
        "held_253": 0.02,
        "lost_answer": 0.04,
        "half_answer": 0.03,
        "e00053_charged": 0.02,
        "e00053_uncharged": 0.02,
    },
}
PAN: Final = "4111111111111111"
PAN_IN_GROUPS: Final = "5424 0000 0000 0015"
TRACEPARENT: Final = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
SCHEMA: Final = fastavro.parse_schema(
    json.loads(Path(__file__).parents[2].joinpath("avro/avsc/payment_initiation.avsc").read_text())
)
DAY_S: Final = 86_400
_HEADER_BYTES: Final = 10  # of a single-object encoding: the marker and the schema's fingerprint


def test_a_rough_day(base: Stage) -> None:
    """Declined, held, lost, half and busy answers, repeats, conflicts: charged once, told once, books equal."""
    with installed(base, "rough") as installation:
        installation.stage.gateway("PUT", "/plan", body=ROUGH)
        worker = installation.worker("worker", settings={"in_flight": "50"})
        installation.publish(COUNT, declined_every=DECLINED_EVERY)
        assert installation.settles(admitted=COUNT)
        verdict = installation.books()
        assert [] == verdict.differences
        assert {"held"} == {it.state for it in verdict.waiting}
        assert COUNT == sum(verdict.states.values())
        assert {"captured", "declined", "held", "failed"} == set(verdict.states)
        assert COUNT == installation.charge_calls()
        _repeats_and_conflicts(installation)
        _a_person_decides(installation)
        assert worker.alive


def _repeats_and_conflicts(installation: Installation) -> None:
    """The same once more is answered by what is known; the same id with other content is a dead letter."""
    shop, states = installation.shop(), installation.books().states
    again = [shop.record(shop.command(number)) for number in (1, 2, 3, 4, 5)]
    other = []
    for number in (6, 7, 8):
        command = shop.command(number)
        more = Money(command.money.amount_minor + 1, command.money.currency)
        other.append(shop.record(replace(command, money=more)))
    kafka_admin.send(settings_of(installation.stage).kafka_properties(), [*again, *other])
    assert wait_until(lambda: {"conflict": 3} == dict(installation.books().dead_letters))
    assert wait_until(lambda: 5 == installation.books().repeats)
    verdict = installation.books()
    assert [] == verdict.differences
    assert states == verdict.states
    assert COUNT == installation.charge_calls()


def _a_person_decides(installation: Installation) -> None:
    """What was held is approved or declined at the gateway, found there, and told."""
    held = [it for it in installation.entries().values() if it.state == "held"]
    assert len(held) >= 2
    for number, entry in enumerate(held):
        action = "approve" if number % 2 else "decline"
        installation.stage.gateway("POST", f"/held/{entry.transaction_id}", body={"action": action})
    assert wait_until(lambda: not installation.books().waiting)
    assert installation.rests(admitted=COUNT)
    verdict = installation.books()
    assert [] == verdict.differences
    assert {"captured", "declined", "failed"} == set(verdict.states)
    assert COUNT == installation.charge_calls()


# The poisoned topic.


def encoded(installation: Installation, number: int, **changes: object) -> tuple[bytes, bytes]:
    """Key and value of a command whose fields are changed past everything that a command checks."""
    shop = installation.shop()
    command = shop.command(_BEYOND_THE_GOOD + number)
    record: dict[str, Any] = {**from_command(command), **changes}
    body = BytesIO()
    fastavro.schemaless_writer(body, SCHEMA, record)
    header = shop.record(command)[2][:_HEADER_BYTES]
    return str(record["payment_id"]).encode(), header + body.getvalue()


def _opaque(installation: Installation, number: int) -> dict[str, str]:
    token = f"nonce-{installation.name}-poison-{number}"
    return {"data_descriptor": "COMMON.ACCEPT.INAPP.PAYMENT", "data_value": token}


_BEYOND_THE_GOOD = 900_000  # numbers that no good payment has
Poison = tuple[str, str, bytes, bytes | None, float]  # reason, field, key, value, age


def poison(installation: Installation) -> list[Poison]:
    """One record of each kind, with the reason and the field that its dead letter must name."""

    def made(number: int, **changes: object) -> tuple[bytes, bytes]:
        changes.setdefault("means", _opaque(installation, number))
        return encoded(installation, number, **changes)

    dice = random.Random(7)
    profile = {"customer_profile_id": "9" * 21, "payment_profile_id": "900000001"}
    _, value = made(900)
    line = {"sku": "x", "name": f"gift {PAN_IN_GROUPS}", "quantity": 1, "unit_minor": 1}
    return [
        ("unreadable", "", b"random", dice.randbytes(200), 0),
        ("unreadable", "", b"empty", b"", 0),
        ("unreadable", "", b"tombstone", None, 0),
        ("unreadable", "", b"text", b'{"payment_id": "json-1"}', 0),
        ("unreadable", "", b"with a card", b"\x00\x01" + PAN.encode(), 0),
        ("unreadable", "", b"another-schema", value[:2] + b"\x01" * 8 + value[10:], 0),
        ("unreadable", "", b"half", value[: len(value) // 2], 0),
        ("invalid", "means", *made(901, means=None), 0),
        ("invalid", "amount_minor", *made(902, amount_minor=-1), 0),
        ("invalid", "amount_minor", *made(903, amount_minor=0), 0),
        ("invalid", "currency", *made(904, currency="QQQ"), 0),
        ("invalid", "means.customer_profile_id", *made(905, means=profile), 0),
        ("invalid", "payment_id", *made(906, payment_id="p" * 65), 0),
        ("invalid", "mode", *made(907, mode="UNSPECIFIED"), 0),
        ("invalid", "key", b"another-key", made(908)[1], 0),
        ("card_number", "description", *made(909, description=f"card {PAN}"), 0),
        ("card_number", "lines.name", *made(910, lines=[line]), 0),
        ("card_number", "payment_id", *made(911, payment_id=PAN), 0),
        ("stale", "", *made(912), 2 * DAY_S),
        ("too_large", "", *made(913, description="x" * 300_000), 0),
    ]


def published_raw(installation: Installation, records: Iterable[Poison]) -> None:
    """Publish as a careless producer would: any bytes, any time."""
    settings = settings_of(installation.stage)
    producer = Producer({**settings.kafka_properties(), "log_level": "2"})
    for _, _, key, value, age_s in records:
        stamp = int((time.time() - age_s) * 1000)
        producer.produce(installation.shop().topic, value, key, timestamp=stamp)
    assert 0 == producer.flush(20)


def dead_letters(installation: Installation) -> list[kafka_admin.Seen]:
    """What lies in the dead-letter topic."""
    settings = settings_of(installation.stage)
    topics = wiring.topics(settings).dead_letters
    return list(kafka_admin.read_topics(settings.kafka_properties(), topics, follow=False))


def insist_understandable(letter: kafka_admin.Seen, expected: Poison) -> None:
    """The reason, the field and a text for people; the payload sealed, or left out."""
    reason, field, key, value, _ = expected
    headers = {name: text.decode() for name, text in letter.headers.items()}
    assert reason == headers["dlq.reason"]
    assert field == headers.get("dlq.field", "")
    assert len(headers["dlq.text"].split()) >= 3
    assert headers["dlq.text"].isprintable()
    assert len(headers["dlq.advice"].split()) >= 5
    carries_card = reason == "card_number" or (value is not None and PAN.encode() in value)
    kept = not carries_card and reason != "too_large"
    assert ("sealed" if kept else "left out") == headers["dlq.payload"]
    assert kept == bool(letter.value)
    assert value is None or not value or value not in letter.value
    assert (b"" if reason == "card_number" else key) == letter.key


def test_a_poisoned_topic(base: Stage) -> None:
    """Of a hundred records one is bad: it is a dead letter with its reason; the rest is charged; no secret leaves."""
    with installed(base, "poison") as installation:
        worker = installation.worker("worker", settings={"in_flight": "200"})
        bad = poison(installation)
        good = 99 * len(bad) - 1  # and the one with a trace: one record in a hundred is bad
        installation.publish(good // 2)
        published_raw(installation, bad)
        _with_a_trace(installation)
        installation.publish(good - good // 2)
        # A repeat of a stale or refused one is no different: the same coordinates are never told twice.
        assert wait_until(lambda: installation.rests(admitted=good + 1))
        verdict = installation.books()
        assert [] == verdict.differences
        assert Counter(reason for reason, *_ in bad) == verdict.dead_letters
        assert {"captured": good + 1} == dict(verdict.states)
        letters = dead_letters(installation)
        matched = _match(letters, bad)
        for expected in bad:
            insist_understandable(matched[expected[:3]], expected)
        assert worker.alive
        assert "crashed" not in installation.logs(worker)
        _insist_no_secret_left(base.folder, installation, log=installation.logs(worker))


def _match(
    letters: list[kafka_admin.Seen], bad: list[Poison]
) -> dict[tuple[str, str, bytes], kafka_admin.Seen]:
    """Each letter by reason, field and key; one whose key was left out by reason and field alone."""
    found = {}
    for letter in letters:
        head = (
            letter.headers["dlq.reason"].decode(),
            letter.headers.get("dlq.field", b"").decode(),
        )
        for expected in bad:
            if head == expected[:2] and letter.key in {b"", expected[2]}:
                found[expected[:3]] = letter
    assert len(bad) == len(found) == len(letters)
    return found


def _with_a_trace(installation: Installation) -> None:
    shop = installation.shop()
    topic, key, value, _ = shop.record(shop.command(_BEYOND_THE_GOOD + 700))
    installation.send([(topic, key, value, {"traceparent": TRACEPARENT})])


def test_a_trace_goes_through(base: Stage) -> None:
    """All events of a command carry its `traceparent`; a malformed one is dropped, not passed on."""
    with installed(base, "trace") as installation:
        installation.worker("worker")
        shop = installation.shop()
        good, bad = shop.record(shop.command(0)), shop.record(shop.command(1))
        installation.send([(*good[:3], {"traceparent": TRACEPARENT})])
        installation.send([(*bad[:3], {"traceparent": b"00-not-a-trace-01\r\nx: y"})])
        assert installation.rests()
        settings = settings_of(installation.stage)
        events = kafka_admin.read_topics(
            settings.kafka_properties(), wiring.topics(settings).events, follow=False
        )
        traces = Counter(
            (seen.topic.rsplit(".", 1)[1], seen.headers.get("traceparent")) for seen in events
        )
        topics = ("payment_status", "order_events", "notification_events")
        assert {(topic, trace): 1 for topic in topics for trace in (TRACEPARENT, None)} == traces


def _insist_no_secret_left(folder: Path, installation: Installation, *, log: str) -> None:
    """No card number, token or key in the dead letters, the events, the log, or any table of the journal (P7)."""
    secrets = [
        PAN, PAN_IN_GROUPS, PAN_IN_GROUPS.replace(" ", ""), f"nonce-{installation.name}", *secrets_of(folder),
    ]  # fmt: skip
    # A key has its name in front, a line of a pgpass file a star for every place.
    parts = (part for it in secrets_of(folder) for part in it.split(":")[1:])
    secrets.extend(part for part in parts if part != "*")
    settings = settings_of(installation.stage)
    names = wiring.topics(settings)
    seen = kafka_admin.read_topics(
        settings.kafka_properties(), [*names.events, *names.dead_letters], follow=False
    )
    places: dict[str, bytes] = {
        "log": log.encode(),
        "topics": b"\n".join(b"|".join([it.key, it.value, *it.headers.values()]) for it in seen),
        **journal_tables(installation.stage.journal_url),
    }
    assert len(places) >= 9
    leaks = [
        f"{secret[:6]}… in {place}"
        for place, content in places.items()
        for secret in secrets
        if secret.encode() in content
    ]
    assert [] == leaks


def journal_tables(url: str) -> dict[str, bytes]:
    """Table → all its rows as bytes."""
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        ).fetchall()
        dumped = {}
        for (name,) in tables:
            rows = connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(name)))
            cells = (cell for row in rows for cell in row)
            dumped[name] = b"\n".join(
                cell if isinstance(cell, bytes) else str(cell).encode() for cell in cells
            )
        return dumped
