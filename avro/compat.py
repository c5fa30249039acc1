"""Which schema can read what another one wrote: Avro's resolution rules, as a comparison of two schemas.

fastavro resolves while it reads and so finds out record by record; here it is known before the first one. Source: Avro
1.12 specification, "Schema Resolution". One rule of our own: where both name a logical type it must be the same one,
since a timestamp in other units is another time. FULL_TRANSITIVE means: every version reads every other one.
What must not live here: bytes and files.
"""

from collections.abc import Iterator, Sequence
from itertools import permutations
from typing import Final, cast

from avro.schema import Node, Schema

_PROMOTIONS: Final = frozenset(
    {
        ("int", "long"),
        ("int", "float"),
        ("int", "double"),
        ("long", "float"),
        ("long", "double"),
        ("float", "double"),
        ("string", "bytes"),
        ("bytes", "string"),
    }
)
_NAMED: Final = frozenset({"record", "enum", "fixed"})


def obstacles(*, writer: Schema, reader: Schema) -> tuple[str, ...]:
    """Why `reader` cannot read everything that `writer` writes, one text for each place; empty where it can."""
    return tuple(_compare(writer.tree, reader.tree, path=""))


def fully_transitive(versions: Sequence[Schema]) -> tuple[str, ...]:
    """Why some two of `versions` do not read each other; empty where all do, in both directions."""
    return tuple(
        f"version {older + 1} read as version {newer + 1}: {obstacle}"
        for older, newer in permutations(range(len(versions)), 2)
        for obstacle in obstacles(writer=versions[older], reader=versions[newer])
    )


def _compare(writer: Node, reader: Node, *, path: str) -> Iterator[str]:
    if isinstance(writer, list):
        for branch in writer:
            yield from _compare(branch, reader, path=path)
    elif isinstance(reader, list):
        yield from _into_union(writer, reader, path=path)
    elif writer["type"] != reader["type"]:
        if (writer["type"], reader["type"]) not in _PROMOTIONS:
            yield f"{path or 'the record'}: {writer['type']} cannot be read as {reader['type']}"
    else:
        yield from _same_type(writer, reader, path=path)


def _into_union(writer: dict[str, object], reader: list[Node], *, path: str) -> Iterator[str]:
    """The decoder takes the first branch that matches by type and name, and only that one."""
    for branch in reader:
        assert isinstance(branch, dict)  # Avro has no union directly inside a union
        if branch["type"] == writer["type"] and _names_match(writer, branch):
            yield from _compare(writer, branch, path=path)
            return
    for branch in reader:
        assert isinstance(branch, dict)
        if (writer["type"], branch["type"]) in _PROMOTIONS:
            return
    yield f"{path}: no branch of the union takes {writer.get('name', writer['type'])}"


def _same_type(writer: dict[str, object], reader: dict[str, object], *, path: str) -> Iterator[str]:
    kind = cast("str", writer["type"])
    if kind in _NAMED and not _names_match(writer, reader):
        yield f"{path or 'the record'}: {writer['name']} cannot be read as {reader['name']}"
    elif kind == "record":
        yield from _record(writer, reader, path=path)
    elif kind == "enum":
        yield from _enum(writer, reader, path=path)
    elif kind == "fixed":
        if writer["size"] != reader["size"]:
            yield f"{path}: fixed of another size"
    elif kind in {"array", "map"}:
        inner = "items" if kind == "array" else "values"
        yield from _compare(
            cast("Node", writer[inner]), cast("Node", reader[inner]), path=f"{path}.{inner}"
        )
    else:
        theirs, ours = writer.get("logicalType"), reader.get("logicalType")
        if theirs and ours and theirs != ours:
            yield f"{path}: {theirs} cannot be read as {ours}"


def _record(writer: dict[str, object], reader: dict[str, object], *, path: str) -> Iterator[str]:
    written = {field["name"]: field for field in cast("list[dict[str, object]]", writer["fields"])}
    for field in cast("list[dict[str, object]]", reader["fields"]):
        name = cast("str", field["name"])
        inside = f"{path}.{name}".lstrip(".")
        names = [name, *cast("list[str]", field.get("aliases", []))]
        source = next((written[each] for each in names if each in written), None)
        if source is not None:
            yield from _compare(
                cast("Node", source["type"]), cast("Node", field["type"]), path=inside
            )
        elif "default" not in field:
            yield f"{inside}: is not written, and the reader has no default for it"


def _enum(writer: dict[str, object], reader: dict[str, object], *, path: str) -> Iterator[str]:
    known = cast("list[str]", reader["symbols"])
    strange = [symbol for symbol in cast("list[str]", writer["symbols"]) if symbol not in known]
    if strange and not reader.get("default"):
        yield f"{path}: the reader neither knows {strange[0]} nor has a default symbol"


def _names_match(writer: dict[str, object], reader: dict[str, object]) -> bool:
    if "name" not in writer:
        return True
    full = cast("str", writer["name"])
    short = full.rpartition(".")[2]
    aliases = cast("list[str]", reader.get("aliases", []))
    return short == cast("str", reader["name"]).rpartition(".")[2] or not {full, short}.isdisjoint(
        aliases
    )
