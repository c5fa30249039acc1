"""The fuzzed reading with a stranger's schema: what a registry may hold, and bytes under it. No claims here.

Parts of a case: kind of record (one byte), the writer's schema as JSON, the bytes behind the header.
"""

import json
from random import Random
from typing import Any, Final

from avro.catalog import Catalog
from avro.commands import COMMANDS, to_command
from avro.errors import Unreadable
from avro.reader import Reader
from avro.schema import load
from handlers.domain.errors import InvalidValueError
from tests.fuzz.cases import Bounds, Case, Seen, insist
from tests.fuzz.seed_commands import RECORDS, spoilt
from tests.fuzz.wild_avro import WildWriter

_HOSTILE: Final = (
    '{"type":"record","name":"a","fields":[]}',
    '{"type":"record","name":"a","fields":[{"name":"b","type":"a"}]}',
    '{"type":"record","name":"a","fields":[{"name":"b","type":{"type":"array","items":"null"}}]}',
    '{"type":"record","name":"a","fields":[{"name":"b","type":{"type":"fixed","name":"f","size":0}}]}',
    '{"type":"record","name":"a","fields":[{"name":"b","type":{"type":"fixed","name":"f","size":1e9}}]}',
    '{"type":"record","name":"a","fields":[{"name":"b","type":{"type":"fixed","name":"f","size":2147483647}}]}',
    '{"type":"record","name":"a","fields":[{"name":"b","type":[]}]}',
    '{"type":"record","name":"a","fields":[{"name":"b","type":{"type":"enum","name":"e","symbols":[]}}]}',
    '{"type":"record","name":"a","fields":{"name":"b"}}',
    '{"type":"record","fields":[{"name":"b","type":"int"}]}',
    '{"type":{"type":"record"},"name":1}',
    "[" * 500,
    '"string"',
    "null",
    "",
)
_TYPES: Final[tuple[Any, ...]] = (
    "string", "bytes", "int", "long", "double", "boolean", "null", "Payment", "",
    ["null", "string"], ["string", "null"], ["null", "int", "long", "string"], [], ["null", "null"],
    {"type": "array", "items": "int"}, {"type": "map", "values": "string"},
    {"type": "array", "items": {"type": "array", "items": ["null", "int"]}},
    {"type": "int", "logicalType": "date"}, {"type": "string", "logicalType": "uuid"},
    {"type": "bytes", "logicalType": "decimal", "precision": 5, "scale": 9},
    {"type": "long", "logicalType": "timestamp-micros"}, {"type": "int", "logicalType": "timestamp-micros"},
    {"type": "long", "logicalType": "timestamp-millis"},
    {"type": "enum", "name": "Mode", "symbols": ["SALE"]},
    {"type": "fixed", "name": "F16", "size": 16},
    {"type": "record", "name": "R", "fields": [{"name": "x", "type": ["null", "int"], "default": None}]},
)  # fmt: skip
_VALUES: Final[tuple[Any, ...]] = (None, 0, -1, "", "x", [], {}, True, 1e300, "4111 1111 1111 1111")


class Schemas:
    """A reader whose registry says whatever the case says."""

    name = "schemas"
    bounds = Bounds(memory_fixed=600_000, memory_each=48, steps_fixed=10_000, steps_each=24)

    def __init__(self) -> None:
        self._catalog = Catalog()
        self._text, self._number = "", 0
        self._reader = Reader(self._catalog, self)
        self._kinds = self._catalog.kinds

    def schema(self, schema_id: int) -> str:
        """What the registry says: it is this object."""
        assert schema_id == self._number
        return self._text

    def seeds(self) -> list[Case]:
        """Every version of every schema, with a command under it where there is one; hostile schemas."""
        records = dict(RECORDS)
        cases: list[Case] = []
        for number, kind in enumerate(self._kinds):
            for it in self._catalog.versions(kind):
                body = WildWriter(Random(0), lies=0).record(it.tree, records.get(kind, {}))
                cases.append((bytes([number]), it.text.encode(), body))
        return cases + [(b"\x00", text.encode(), b"\x00\x02") for text in _HOSTILE]

    def wild(self, rng: Random) -> Case:
        """A schema of ours with some of it changed, and a record that its tree can write."""
        number = rng.randrange(len(self._kinds))
        kind = self._kinds[number]
        raw = json.loads(rng.choice(self._catalog.versions(kind)).text)
        for _ in range(rng.choice((1, 1, 2, 4))):
            (_evolve if rng.randrange(3) else _change)(raw, rng)
        text = json.dumps(raw)
        records = [record for of, record in RECORDS if of == kind] or [{}]
        record = spoilt(rng.choice(records), rng, times=1) if records[0] else {}
        try:
            tree = load(text).tree
        except Unreadable:
            body = rng.randbytes(rng.randrange(40))
        else:
            body = WildWriter(rng, lies=rng.choice((0, 0, 30))).record(tree, record)
        return bytes([number]), text.encode(), body

    def run(self, case: Case) -> Seen:
        """Read it under a number that was never given before; make a command of it where it is one."""
        kind = self._kinds[(case[0] or b"\x00")[0] % len(self._kinds)]
        self._text = case[1].decode("utf-8", "replace")
        self._number = self._number % (2**31 - 1) + 1
        payload = b"\x00" + self._number.to_bytes(4, "big") + case[2]
        try:
            record = self._reader.read(kind, payload)
            insist(isinstance(record, dict), "a record is a dict")
            command = to_command(record, kind=kind) if kind in COMMANDS else None
        except Unreadable as error:
            return Seen("Unreadable", error.why.partition(": ")[2][-40:] or error.why[:60])
        except InvalidValueError as error:
            return Seen("InvalidValueError", error.field, str(error))
        return Seen("record" if command is None else "command", kind)


def _evolve(raw: Any, rng: Random) -> None:
    """Change a schema as a producer's next version might: fields that come, go, move, or widen."""
    records = [it["fields"] for it, key in _places(raw) if key == "fields" and _has_fields(it)]
    if not records:
        return
    fields = rng.choice(records)
    kind = rng.randrange(5)
    if kind == 0 and len(fields) > 1:
        del fields[rng.randrange(len(fields))]
    elif kind == 1:
        rng.shuffle(fields)
    elif kind == 2:
        added = {
            "name": f"new{rng.randrange(1000)}",
            "type": rng.choice(("string", ["null", "int"], "double")),
        }
        fields.insert(rng.randrange(len(fields) + 1), added)
    else:
        field = rng.choice(fields)
        widened = {"long": "int", "string": "bytes", "double": "float"}.get(str(field.get("type")))
        field["type"] = widened or ["null", field.get("type", "int")]


def _has_fields(raw: Any) -> bool:
    fields = raw.get("fields") if isinstance(raw, dict) else None
    return isinstance(fields, list) and bool(fields) and all(isinstance(it, dict) for it in fields)


def _change(raw: Any, rng: Random) -> None:
    """Change one thing somewhere in a schema's JSON, in place."""
    places = list(_places(raw))
    holder, key = rng.choice(places)
    kind = rng.randrange(7)
    strange = json.loads(json.dumps(rng.choice(_TYPES)))  # its own, since it is changed in turn
    if isinstance(holder, list):
        if kind < 2:
            del holder[key]
        elif kind < 4:
            holder.append(json.loads(json.dumps(holder[key])))
        else:
            holder[key] = strange
    elif key == "type" or kind < 3:
        holder[key] = strange
    elif kind == 3:
        del holder[key]
    elif kind == 4:
        added = rng.choice(("default", "aliases", "name", "logicalType", "size", "symbols"))
        holder[added] = json.loads(json.dumps(rng.choice(_VALUES)))
    else:
        holder[key] = json.loads(json.dumps(rng.choice(_VALUES)))


def _places(raw: Any) -> Any:
    if isinstance(raw, dict):
        for key, value in raw.items():
            yield raw, key
            yield from _places(value)
    elif isinstance(raw, list):
        for at, value in enumerate(raw):
            yield raw, at
            yield from _places(value)
