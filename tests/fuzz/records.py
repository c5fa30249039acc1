r"""The fuzzed reader of command topics: a record's bytes, key, headers and time in; an admission or a dead letter out.

Parts of a case: switches (topic, askers, registry, suspect, signed), key, headers (`name\0value`, joined by \x1e), time
in milliseconds, value. No claims here.
"""

from pathlib import Path
from random import Random
from typing import Any, Final

from avro.catalog import Catalog
from avro.errors import Unreadable
from avro.reader import Reader
from db_client.moves import Admission, DeadLetter, Source
from db_client.sealing import Sealer
from handlers.domain.commands import InitiatePayment
from handlers.domain.errors import Unavailable
from handlers.domain.means import secrets_of
from tests.doubles.token_issuer import AUDIENCE, ISSUER, bearer, key_set, published, rsa_key, token
from tests.fuzz import markers
from tests.fuzz.cases import Bounds, Case, Seen, insist
from tests.fuzz.seed_commands import NOW, RECORDS, spoilt
from tests.fuzz.wild_avro import WildWriter
from worker.askers import ASKER_HEADER, Askers, AskerSettings
from worker.dead_letters import Record, reason_of
from worker.decode import Decoder
from worker.own_signature import SIGNATURE_HEADER, derive, sign
from worker.routes import COMMANDS

_TOPICS: Final = tuple(COMMANDS)
_SIGNING_KEY: Final = derive(b"an invoice key of the tests")
_SEALER: Final = Sealer({"k": b"k" * 32})
_NOW_MS: Final = str(int(NOW.timestamp() * 1000)).encode()
_GOOD: Final = b"<a good token>"  # stands for one, since keys and expiry are of this process
_AWAY, _NONE = 90, 91  # schema ids: the registry is away, and there is no such schema
_HEADERS: Final = (
    b"traceparent\x0000-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    b"traceparent\x004111 1111 1111 1111",
    ASKER_HEADER.encode() + b"\x00" + _GOOD,
    ASKER_HEADER.encode() + b"\x00Bearer " + markers.BEARER.encode(),
    ASKER_HEADER.encode() + b"\x00Bearer eyJhbGciOiJub25lIiwia2lkIjoicnNhIn0.e30.",
    ASKER_HEADER.encode() + b"\x00Bearer eyJhbGciOiJSUzI1NiIsImtpZCI6InJzYSJ9.e30.AAAA",
    ASKER_HEADER.encode() + b"\x00Bearer " + b"e" * 9_000,
    SIGNATURE_HEADER.encode() + b"\x00" + b"0" * 64,
    SIGNATURE_HEADER.encode() + b"\x00\xff",
)


class _Shelf:
    """A registry whose schemas are the catalog's own, all versions, under the numbers from 1 on."""

    def __init__(self, catalog: Catalog) -> None:
        self.texts = [it.text for kind in catalog.kinds for it in catalog.versions(kind)]

    def schema(self, schema_id: int) -> str:
        """The registry's answer."""
        if schema_id == _AWAY:
            raise Unavailable("schema registry", "it is away")
        if not 0 < schema_id <= len(self.texts):
            raise Unreadable(f"the schema registry knows no schema {schema_id}")
        return self.texts[schema_id - 1]


class Records:
    """The whole way from a Kafka record to an admission or a dead letter."""

    name = "records"
    bounds = Bounds(memory_fixed=160_000, memory_each=48, steps_fixed=3_000, steps_each=64)

    def __init__(self, folder: Path) -> None:
        catalog = Catalog()
        self._catalog = catalog
        self._shelf = _Shelf(catalog)
        jwks = folder / "jwks.json"
        key = rsa_key("rsa")
        jwks.write_bytes(key_set(published("rsa", key)))
        self._token = bearer(token(key, kid="rsa"))
        asked = Askers(
            AskerSettings(issuer=ISSUER, audience=AUDIENCE, jwks_file=jwks, jwks_url=None),
            signing_key=_SIGNING_KEY,
        )
        self._decoders = [
            Decoder(
                Reader(catalog, registry),
                _SEALER,
                {topic: topic for topic in _TOPICS},
                max_age_s=3600,
                signing_key=_SIGNING_KEY,
                askers=askers,
            )
            for askers in (None, asked)
            for registry in (None, self._shelf)
        ]

    def seeds(self) -> list[Case]:
        """Every kind of command, well written, under each set of switches; a tombstone; bare headers."""
        good = [
            (kind, self._framed(kind, self._encoded(kind, record, rng=Random(0), lies=0)))
            for kind, record in RECORDS
        ]
        cases = [
            _case(kind, switches, value=value)
            for kind, value in good
            for switches in (0, 1, 2, 5, 9, 13)
        ]
        bare = (
            b"",
            b"\x00",
            b"\xc3",
            b"\xc3\x01",
            b"\x00\x00\x00\x00\x01",
            b"\xc3\x01" + b"\x00" * 8,
        )
        return cases + [_case(_TOPICS[0], 2, value=value) for value in bare]

    def wild(self, rng: Random) -> Case:
        """A command with some of its fields spoilt, sometimes a lie in its bytes, under any switches."""
        kind, record = rng.choice(RECORDS)
        lies = rng.choice((0, 0, 0, 20, 200))
        wild = spoilt(record, rng, times=rng.choice((0, 1, 1, 2, 5)))
        value = self._encoded(kind, wild, rng=rng, lies=lies)
        if rng.randrange(4):
            value = self._framed(kind, value)
        else:
            value = (
                b"\x00" + rng.choice((1, 2, 5, 9, _AWAY, _NONE, 2**31)).to_bytes(4, "big") + value
            )
        headers = b"\x1e".join(rng.sample(_HEADERS, rng.randrange(3)))
        timestamp = rng.choice((_NOW_MS, _NOW_MS, _NOW_MS, b"0", b"-1", b"9223372036854775807"))
        key = rng.choice(
            (b"pay-1", b"pay-1", b"pay-1", b"", b"other", b"4111111111111111", b"k" * 300)
        )
        given = (
            record["payment_id"]
            if isinstance(wild["payment_id"], bytes)
            else str(wild["payment_id"])
        )
        if rng.randrange(3) == 0:
            key = str(given).encode("utf-8", "surrogatepass")
        topic = kind if rng.randrange(10) else rng.choice(_TOPICS)
        return _case(
            topic, rng.randrange(16), key=key, headers=headers, timestamp=timestamp, value=value
        )

    def run(self, case: Case) -> Seen:
        """Decode it. The registry may be away; everything else is an admission or a dead letter."""
        switches = case[0][0] if case[0] else 0
        record = self._record(case, switches)
        decoder = self._decoders[(switches & 1) * 2 + (switches >> 1 & 1)]
        try:
            found = decoder.decode(record, now=NOW)
        except Unavailable as away:
            return Seen("Unavailable", "away", str(away))
        if isinstance(found, DeadLetter):
            return _letter(found)
        _insist_admissible(found)
        _letter(DeadLetter(found.source, found.conflict()))
        return Seen("admitted", f"admitted {found.command.kind} {found.suspect}", found.traceparent)

    def _record(self, case: Case, switches: int) -> Record:
        topic = _TOPICS[(switches >> 4) % len(_TOPICS)]
        _, key, raw_headers, timestamp, value = case
        pairs = (part.partition(b"\x00") for part in raw_headers.split(b"\x1e") if part)
        headers = {name.decode("utf-8", "replace"): text for name, _, text in pairs}
        if headers.get(ASKER_HEADER) == _GOOD:
            headers[ASKER_HEADER] = self._token
        if switches & 8:
            headers[SIGNATURE_HEADER] = sign(_SIGNING_KEY, topic=topic, record_key=key, value=value)
        stamp = timestamp.decode("ascii", "replace")
        is_stamp = stamp.removeprefix("-").isdigit() and len(stamp) < 20
        return Record(
            source=Source(topic, "topic-id", 2, 7),
            key=key,
            value=value,
            headers=headers,
            timestamp_ms=int(stamp) if is_stamp else -1,
            suspect_since=NOW if switches & 4 else None,
        )

    def _encoded(self, kind: str, record: dict[str, Any], *, rng: Random, lies: int) -> bytes:
        return WildWriter(rng, lies=lies).record(self._catalog.current(kind).tree, record)

    def _framed(self, kind: str, body: bytes) -> bytes:
        return b"\xc3\x01" + self._catalog.current(kind).fingerprint + body


def _case(
    topic: str,
    switches: int,
    *,
    value: bytes,
    key: bytes = b"pay-1",
    headers: bytes = b"",
    timestamp: bytes = _NOW_MS,
) -> Case:
    return (bytes([switches & 15 | _TOPICS.index(topic) << 4]), key, headers, timestamp, value)


def _letter(found: DeadLetter) -> Seen:
    message, reason = found.message, reason_of(found)
    headers = {name: text.decode() for name, text in message.headers}
    insist(len(message.value or b"") < 900_000, "a dead letter fits into a record")
    insist(max(map(len, headers.values())) <= 500, "a header of a dead letter is short")
    insist(not markers.bytes_leak(message.value or b""), "the sealed payload shows nothing")
    key = message.key.decode("utf-8", "replace")
    insist(not markers.cards_in(key), "the key holds no card number")
    shape = f"{reason} {headers['dlq.text'] if len(headers['dlq.text']) < 90 else ''}"
    # The time is a number that the producer and the broker agreed on; whoever makes one of sixteen digits means a time.
    told = " ".join(
        f"{name}={text}" for name, text in headers.items() if name != "dlq.timestamp_ms"
    )
    return Seen(f"letter: {reason}", shape.translate(_NO_DIGITS), told)


_NO_DIGITS: Final = str.maketrans("", "", "0123456789")


def _insist_admissible(found: Admission) -> None:
    for name, text in found.command.texts():
        for card in markers.SPELLED:
            insist(text != card, f"{name} is no card number")
    if isinstance(found.command, InitiatePayment):
        shown = repr(found.command.means)
        for secret in secrets_of(found.command.means):
            is_marker = secret.reveal() in markers.SECRETS
            insist(not (is_marker and secret.reveal() in shown), "a means does not show its secret")
