"""Walks a record's bytes before they are decoded: only well-formed ones reach the decoder.

Needed because fastavro 1.13 takes a negative index of an enum or a union from the end of the list, as Python does: a
flipped bit would read as AUTHORISE what nobody asked for. Checked here: every index is in range, every length and count
fits into what is left, no number is longer than ten bytes, nothing follows the record.
What must not live here: values. Nothing is built, so nothing can be made to allocate.
"""

from collections.abc import Callable
from typing import Final, cast

from avro.errors import Unreadable
from avro.schema import Node

Step = Callable[
    [bytes, int], int
]  # (bytes, position) → position behind the value; may raise IndexError at the end

_TEXT: Final = 0
_OTHER: Final = 1
_KINDS: Final = {"string": _TEXT, "bytes": _TEXT}
_MORE: Final = 0x80  # the bit that says that another byte of the number follows
_MAX_NUMBER_BYTES: Final = 10


def check(step: Step, data: bytes, *, start: int) -> None:
    """Raise Unreadable unless `data` from `start` on is exactly one value of the schema `step` was compiled from."""
    try:
        end = step(data, start)
    except IndexError:
        end = len(data) + 1
    if end > len(data):
        raise Unreadable("the record is cut off, or is not of the schema that it names")
    if end < len(data):
        raise Unreadable(f"{len(data) - end} bytes follow the record")


def compiled(node: Node) -> Step:
    """The step that walks one value of `node`."""
    if isinstance(node, list):
        return _union(tuple(compiled(branch) for branch in node))
    kind = cast("str", node["type"])
    match kind:
        case "record":
            fields = cast("list[dict[str, Node]]", node["fields"])
            step = _record(tuple(field["type"] for field in fields))
        case "enum":
            step = _enum(len(cast("list[str]", node["symbols"])))
        case "array":
            step = _blocks(compiled(cast("Node", node["items"])))
        case "map":
            step = _blocks(_record(({"type": "string"}, cast("Node", node["values"]))))
        case "fixed":
            step = _width(cast("int", node["size"]))
        case _:
            step = _SCALARS[kind]
    return step


def _long(data: bytes, at: int) -> tuple[int, int]:
    """The number at `at` (zig-zag) and the position behind it."""
    byte = data[at]
    at += 1
    if byte < _MORE:
        return (byte >> 1) ^ -(byte & 1), at
    value, shift = byte & 0x7F, 7
    while byte >= _MORE:
        if shift >= 7 * _MAX_NUMBER_BYTES:
            raise Unreadable("a number of the record is longer than ten bytes")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
    return (value >> 1) ^ -(value & 1), at


def _number(data: bytes, at: int) -> int:
    return _long(data, at)[1]


def _text(data: bytes, at: int) -> int:
    length, at = _long(data, at)
    if length < 0:
        raise Unreadable("a text of the record has a negative length")
    return at + length


def _boolean(data: bytes, at: int) -> int:
    if data[at] > 1:
        raise Unreadable("a yes or no of the record is neither")
    return at + 1


def _null(_data: bytes, at: int) -> int:
    return at


def _width(size: int) -> Step:
    def step(_data: bytes, at: int) -> int:
        return at + size

    return step


_SCALARS: Final[dict[str, Step]] = {
    "null": _null,
    "boolean": _boolean,
    "int": _number,
    "long": _number,
    "float": _width(4),
    "double": _width(8),
    "string": _text,
    "bytes": _text,
}


def _enum(size: int) -> Step:
    def step(data: bytes, at: int) -> int:
        index, at = _long(data, at)
        if not 0 <= index < size:
            raise Unreadable("an enum of the record has an index that its schema does not know")
        return at

    return step


def _union(branches: tuple[Step, ...]) -> Step:
    size = len(branches)

    def step(data: bytes, at: int) -> int:
        index, at = _long(data, at)
        if not 0 <= index < size:
            raise Unreadable("a union of the record has an index that its schema does not know")
        return branches[index](data, at)

    return step


def _blocks(item: Step) -> Step:
    """Arrays and maps: blocks of a count (negative: a byte size follows) and as many items, ended by a count of 0."""

    def step(data: bytes, at: int) -> int:
        while True:
            count, at = _long(data, at)
            if count == 0:
                return at
            if count < 0:
                count = -count
                at = _number(data, at)
            if count > len(data) - at:  # an item has at least one byte
                raise Unreadable("a list of the record is longer than the record")
            for _ in range(count):
                at = item(data, at)

    return step


def _record(nodes: tuple[Node, ...]) -> Step:
    """Fields in order. Short texts and numbers, nine in ten fields, are walked without a call: this is the hot loop."""
    fields = tuple((_kind(node), compiled(node)) for node in nodes)

    def step(data: bytes, at: int) -> int:
        for kind, field in fields:
            if kind == _TEXT:
                byte = data[at]
                if byte < _MORE and not byte & 1:
                    at += 1 + (byte >> 1)
                    continue
            at = field(data, at)
        return at

    return step


def _kind(node: Node) -> int:
    return _OTHER if isinstance(node, list) else _KINDS.get(cast("str", node["type"]), _OTHER)
