"""Records of every command topic with a card number in one field each. The fields come from the schemas in `avro/avsc`.

So a new field is marked as soon as it is there. A field that holds no text and no number cannot hold one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from avro.catalog import Catalog
from avro.commands import COMMANDS
from tests.acceptance.marks import Marks
from tests.fuzz.seed_commands import NOW, RECORDS, USER
from tests.fuzz.wild_avro import WildWriter

_IDS: Final = ("payment_id", "capture_id", "void_id", "refund_id", "verification_id", "order_id")
_NUMBERS: Final = frozenset({"int", "long", "float", "double"})


@dataclass(frozen=True, slots=True)
class Marked:
    """A record of `kind` with a card number in `field`."""

    kind: str
    field: str
    key: bytes
    value: bytes
    user_id: str


def marked_commands(marks: Marks, *, name: str) -> list[Marked]:
    """One record for each field of each command topic that can hold a card number. `name` begins the ids."""
    catalog, found = Catalog(), list[Marked]()
    for kind in COMMANDS:
        schema = catalog.current(kind)
        for place, record in _records(schema.tree, kind, marks=marks):
            whole = {
                **_under_own_ids(record, f"{name}-m{len(found)}", place=place),
                "issued_at": NOW,
            } | ({"issued_at": record["issued_at"]} if place == "issued_at" else {})
            body = WildWriter(Random(0), lies=0).record(schema.tree, whole)
            value = b"\xc3\x01" + schema.fingerprint + body
            key, user_id = str(whole["payment_id"]).encode(), str(whole.get("user_id") or USER)
            found.append(Marked(kind, place, key, value, user_id))
    return found


def _records(tree: Any, kind: str, *, marks: Marks) -> Iterator[tuple[str, dict[str, Any]]]:
    good = [record for of, record in RECORDS if of == kind]
    for each in tree["fields"]:
        name, node = each["name"], each["type"]
        for branch in node if isinstance(node, list) else [node]:
            base = next((it for it in good if _fits(branch, it.get(name))), good[0])
            filled = base.get(name) if _fits(branch, base.get(name)) else None
            for place, value in _variants(branch, filled, place=name, of=f"{kind}: ", marks=marks):
                yield place, {**base, name: value}


def _variants(
    node: Any, base: Any, *, place: str, of: str, marks: Marks
) -> Iterator[tuple[str, Any]]:
    """`base` with a card number in one of its leaves, for each leaf; what is not there is made up."""
    if isinstance(node, list):
        for branch in node:
            fitting = base if _fits(branch, base) else None
            yield from _variants(branch, fitting, place=place, of=of, marks=marks)
        return
    match node["type"]:
        case "record":
            yield from _of_a_record(node, base, place=place, of=of, marks=marks)
        case "array":
            first = base[0] if base else None
            for where, value in _variants(
                node["items"], first, place=f"{place}[]", of=of, marks=marks
            ):
                yield where, [value]
        case "map":
            yield place, {marks.card(f"{of}{place} (a name)"): _made_up(node["values"])}
        case "string" | "bytes":
            yield place, marks.card(f"{of}{place}")
        case kind if kind in _NUMBERS:
            yield place, int(marks.plain_card(f"{of}{place}"))
        case _:
            pass


def _of_a_record(
    node: Any, base: Any, *, place: str, of: str, marks: Marks
) -> Iterator[tuple[str, Any]]:
    given = base or {it["name"]: _made_up(it["type"]) for it in node["fields"]}
    for it in node["fields"]:
        name, inside = it["name"], f"{place}.{it['name']}"
        for where, value in _variants(
            it["type"], given.get(name), place=inside, of=of, marks=marks
        ):
            yield where, {**given, name: value}


def _fits(node: Any, value: Any) -> bool:
    """Whether `value` is one of `node`, as far as our good records can be told apart."""
    match node["type"]:
        case "null":
            return value is None
        case "record":
            names = {it["name"] for it in node["fields"]}
            return isinstance(value, Mapping) and value.keys() <= names
        case "array":
            return isinstance(value, list)
        case _:
            return value is not None and not isinstance(value, Mapping | list)


def _made_up(node: Any) -> Any:
    if isinstance(node, list):
        return _made_up(node[0])
    match node["type"]:
        case "record":
            return {it["name"]: _made_up(it["type"]) for it in node["fields"]}
        case "string":
            return "x"
        case "enum":
            return node["symbols"][0]
        case kind:
            return 1 if kind in _NUMBERS else None


def _under_own_ids(record: Mapping[str, Any], name: str, *, place: str) -> dict[str, Any]:
    own = {it: name for it in _IDS if it in record and it != place}
    return {**record, **own}
