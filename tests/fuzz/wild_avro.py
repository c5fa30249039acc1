"""Writes values as Avro, well or with a lie: a wrong index, a length or count that is not there. No claims here.

It shares nothing with the reader: the specification is written down a second time, by hand.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from random import Random
from typing import Any, Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LIES: Final = (
    -(2**63),
    -(2**31),
    -2,
    -1,
    0,
    1,
    2,
    7,
    127,
    128,
    10_000,
    2**31,
    2**62,
    2**63 - 1,
    2**64,
)


def number(value: int) -> bytes:
    """A number of any size, zig-zag and in sevens of bits."""
    rest = value * 2 if value >= 0 else -value * 2 - 1
    out = bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


class WildWriter:
    """Writes with `lies` in a thousand of its numbers that are lengths, counts or indexes wrong."""

    def __init__(self, rng: Random, *, lies: int) -> None:
        self._rng = rng
        self._lies = lies
        self._out = bytearray()

    def record(self, tree: Any, value: object) -> bytes:
        """`value` as the unfolded schema `tree` has it; what does not fit is written as something that does."""
        self._write(tree, value)
        return bytes(self._out)

    def _structure(self, value: int) -> None:
        if self._lies and self._rng.randrange(1000) < self._lies:
            value = self._rng.choice(_LIES)
        self._out += number(value)

    def _write(self, node: Any, value: object) -> None:
        if isinstance(node, list):
            index = _branch(node, value)
            self._structure(index)
            if node:
                self._write(node[index], value)
            return
        match node["type"]:
            case "record":
                given = value if isinstance(value, Mapping) else {}
                for each in node["fields"]:
                    is_given = isinstance(each["name"], str) and each["name"] in given
                    self._write(
                        each["type"], given[each["name"]] if is_given else each.get("default")
                    )
            case "enum":
                symbols = list(node["symbols"])
                self._structure(symbols.index(value) if value in symbols else 0)
            case "array":
                self._items(node["items"], value if isinstance(value, list) else [])
            case "map":
                self._pairs(node["values"], value if isinstance(value, Mapping) else {})
            case kind:
                self._scalar(kind, value, size=node.get("size", 0))

    def _scalar(self, kind: str, value: object, *, size: int) -> None:
        match kind:
            case "null":
                pass
            case "boolean":
                self._out.append(bool(value))
            case "int" | "long":
                self._out += number(_whole(value))
            case "string" | "bytes":
                raw = (
                    value
                    if isinstance(value, bytes)
                    else str(value or "").encode("utf-8", "surrogatepass")
                )
                self._structure(len(raw))
                self._out += raw
            case _:
                self._out += b"\x00" * {"float": 4, "double": 8}.get(kind, size)

    def _items(self, items: Any, values: list[Any]) -> None:
        if values:
            self._count(len(values))
            for each in values:
                self._write(items, each)
        self._structure(0)

    def _pairs(self, node: Any, values: Mapping[str, Any]) -> None:
        if values:
            self._count(len(values))
            for name, each in values.items():
                self._scalar("string", name, size=0)
                self._write(node, each)
        self._structure(0)

    def _count(self, count: int) -> None:
        if self._rng.randrange(8):
            self._structure(count)
        else:  # a count below zero says that the size of the block in bytes follows
            self._structure(-count)
            self._structure(self._rng.choice((0, count, -1, 2**40)))


def _whole(value: object) -> int:
    if isinstance(value, datetime):
        return int((value - _EPOCH).total_seconds() * 1_000_000)
    return value if isinstance(value, int) else 0


def _branch(union: list[Any], value: object) -> int:
    """The branch that takes `value` best: null for None, the record with its fields, else the first that is no null."""
    kinds = [each["type"] if isinstance(each, Mapping) else "union" for each in union]
    if value is None and "null" in kinds:
        return kinds.index("null")
    if isinstance(value, Mapping):
        for place, each in enumerate(union):
            if kinds[place] == "record" and value.keys() <= {
                str(one["name"]) for one in each["fields"]
            }:
                return place
    return next((place for place, kind in enumerate(kinds) if kind != "null"), 0)
