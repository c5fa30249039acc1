"""One Avro schema, ours or a stranger's, checked and bounded before anything is decoded with it.

A stranger's schema is input like any other. What is refused, and why:
- `null` outside a union, records without fields and empty `fixed`: then every value costs at least one byte, so work
  and memory are bounded by the record's size (an array of a billion nulls would fit into ten bytes);
- recursion, deep nesting and trees of more than `MAX_NODES` nodes: the C decoder does not watch its stack, and a few
  named records that repeat each other unfold exponentially.

What must not live here: files (`catalog.py`), HTTP (`registry.py`), the rules of resolution (`compat.py`).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from fastavro.schema import (
    SchemaParseException,
    UnknownType,
    fingerprint,
    parse_schema,
    to_parsing_canonical_form,
)

from avro.errors import Unreadable

# A node of the unfolded tree: a union is a list, everything else a mapping with "type"; no names are left to look up.
Node = list["Node"] | dict[str, object]

MICROS: Final = "timestamp-micros"
MAX_SCHEMA_CHARS: Final = 131_072
MAX_NODES: Final = 5_000
MAX_DEPTH: Final = 24
_MAX_JSON_DEPTH: Final = 64
_SCALARS: Final = frozenset({"boolean", "int", "long", "float", "double", "string", "bytes"})
_NAMED: Final = frozenset({"record", "enum", "fixed"})


@dataclass(frozen=True, slots=True)
class Schema:
    """`text` is the JSON as written, `parsed` is fastavro's form, `tree` the unfolded one for `scan` and `compat`.

    `fingerprint` is CRC-64-AVRO of the Parsing Canonical Form, 8 bytes little-endian as single-object encoding has it.
    """

    text: str = field(repr=False)
    name: str
    fingerprint: bytes
    parsed: dict[str, object] = field(repr=False)
    tree: dict[str, object] = field(repr=False)


def load(text: str) -> Schema:
    """The schema in `text` (JSON). Raises Unreadable where it is none, is no record, or breaks a bound."""
    if len(text) > MAX_SCHEMA_CHARS:
        raise Unreadable(f"the schema is longer than {MAX_SCHEMA_CHARS} characters")
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError):
        raise Unreadable("the schema is not valid JSON") from None
    _check_json_depth(raw)
    if not isinstance(raw, dict) or raw.get("type") != "record":
        raise Unreadable("the schema is not a record")
    try:
        tree = _Unfolding().unfold(parse_schema(raw), 0)
        parsed = parse_schema(_decoded_as(raw))
        crc = fingerprint(to_parsing_canonical_form(parsed), "CRC-64-AVRO")
    except (SchemaParseException, UnknownType, ValueError, LookupError, TypeError, AttributeError):
        raise Unreadable("the schema is not valid Avro") from None
    assert isinstance(parsed, dict)
    assert isinstance(tree, dict)
    return Schema(text, cast("str", tree["name"]), bytes.fromhex(crc), parsed, tree)


def _decoded_as(raw: Any) -> Any:
    """`raw` without the logical types that we do not use: a uuid is read as the text that it is on the wire."""
    if isinstance(raw, list):
        return [_decoded_as(each) for each in raw]
    if isinstance(raw, dict):
        return {
            key: _decoded_as(value)
            for key, value in raw.items()
            if key != "logicalType" or value == MICROS
        }
    return raw


def _check_json_depth(raw: object) -> None:
    layer, depth = [raw], 0
    while layer:
        depth += 1
        if depth > _MAX_JSON_DEPTH:
            raise Unreadable(f"the schema is nested deeper than {_MAX_JSON_DEPTH} levels of JSON")
        below: list[object] = []
        for value in layer:
            if isinstance(value, dict):
                below.extend(value.values())
            elif isinstance(value, list):
                below.extend(value)
        layer = below


class _Unfolding:
    """Replaces every name by what it names, and counts."""

    def __init__(self) -> None:
        self._named: dict[str, Mapping[str, object]] = {}
        self._unfinished: set[str] = set()
        self._nodes = 0

    def unfold(self, schema: object, depth: int) -> Node:
        self._nodes += 1
        if depth > MAX_DEPTH or self._nodes > MAX_NODES:
            raise Unreadable(
                f"the schema unfolds to more than {MAX_NODES} types or {MAX_DEPTH} levels"
            )
        if isinstance(schema, list):
            return [
                {"type": "null"} if branch == "null" else self.unfold(branch, depth + 1)
                for branch in schema
            ]
        if isinstance(schema, str):
            if schema in _SCALARS:
                return {"type": schema}
            return self._reference(schema, depth)
        assert isinstance(schema, dict)
        return self._definition(schema, depth)

    def _reference(self, name: str, depth: int) -> Node:
        if name in self._unfinished:
            raise Unreadable(f"the schema is recursive: {name[:80]} holds itself")
        if name not in self._named:
            raise Unreadable(f"the schema uses {name[:80]} where it cannot be used")
        return self._definition(self._named[name], depth)

    def _definition(self, schema: Mapping[str, object], depth: int) -> Node:
        kind = schema.get("type")
        if kind in _SCALARS:
            return {"type": kind, "logicalType": schema.get("logicalType")}
        if kind == "array":
            return {"type": kind, "items": self.unfold(schema["items"], depth + 1)}
        if kind == "map":
            return {"type": kind, "values": self.unfold(schema["values"], depth + 1)}
        if kind not in _NAMED:
            raise Unreadable(f"the schema uses {str(kind)[:80]} where it cannot be used")
        name = cast("str", schema["name"])
        self._named[name] = schema
        if kind == "record":
            return self._record(schema, name, depth=depth)
        if kind == "fixed" and not (type(schema["size"]) is int and schema["size"] > 0):
            raise Unreadable("the schema has a fixed without bytes")
        return dict(schema)

    def _record(self, schema: Mapping[str, object], name: str, *, depth: int) -> Node:
        fields = cast("list[dict[str, object]]", schema["fields"])
        if not fields:
            raise Unreadable(f"the schema has a record without fields: {name[:80]}")
        if not all(isinstance(spec["name"], str) for spec in fields):
            raise Unreadable("the schema has a field whose name is no text")
        self._unfinished.add(name)
        unfolded = [{**spec, "type": self.unfold(spec["type"], depth + 1)} for spec in fields]
        self._unfinished.discard(name)
        return {
            "type": "record",
            "name": name,
            "aliases": schema.get("aliases", []),
            "fields": unfolded,
        }
