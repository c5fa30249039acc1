"""Our schemas keep their promises, and a stranger's schema can do no harm."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import pytest
from fastavro import schemaless_reader, schemaless_writer
from hypothesis import given, settings
from hypothesis import strategies as st

from avro.catalog import (
    NOTIFICATION_EVENTS,
    ORDER_EVENTS,
    PAYMENT_CAPTURE_REQUEST,
    PAYMENT_INITIATION,
    PAYMENT_STATUS,
    PAYMENT_VERIFICATION_REQUEST,
    PAYMENT_VOID_REQUEST,
    REFUND_REQUEST,
    Catalog,
)
from avro.compat import fully_transitive, obstacles
from avro.errors import Unreadable
from avro.schema import MICROS, Schema, load
from handlers.domain.commands import Mode
from handlers.domain.means import Credential
from handlers.domain.outcomes import OrderNews, Template
from handlers.domain.states import PaymentStatus, RequestStatus

CATALOG = Catalog()
COMMANDS = [
    PAYMENT_INITIATION,
    PAYMENT_CAPTURE_REQUEST,
    PAYMENT_VOID_REQUEST,
    REFUND_REQUEST,
    PAYMENT_VERIFICATION_REQUEST,
]
KINDS = [*COMMANDS, PAYMENT_STATUS, ORDER_EVENTS, NOTIFICATION_EVENTS]


def record(*fields: object, **more: object) -> Schema:
    """A small schema of the fields given."""
    return load(json.dumps({"type": "record", "name": "R", "fields": fields, **more}))


def field(name: str, kind: object, **more: object) -> dict[str, object]:
    """One field of it."""
    return {"name": name, "type": kind, **more}


def test_the_kinds_are_the_known_ones() -> None:
    """Every schema file is a kind that the code knows, and the other way round."""
    assert sorted(KINDS) == sorted(CATALOG.kinds)


@pytest.mark.parametrize(
    ("kind", "fingerprint"),
    [
        (PAYMENT_INITIATION, "fb9ad2a069fb8308"),
        (PAYMENT_STATUS, "909ab04e72630d96"),
        (ORDER_EVENTS, "ca5d3a40174f1ce6"),
        (NOTIFICATION_EVENTS, "a6ed719349d63988"),
        (PAYMENT_CAPTURE_REQUEST, "accd42909d3a7e8a"),
        (PAYMENT_VOID_REQUEST, "41c988143530596c"),
        (REFUND_REQUEST, "570b565f0e8ebf04"),
        (PAYMENT_VERIFICATION_REQUEST, "024d061f28060146"),
    ],
)
def test_version_one_never_changes(kind: str, fingerprint: str) -> None:
    """Records of version 1 lie in topics under this fingerprint: the file that reads them must stay as it is."""
    assert fingerprint == CATALOG.versions(kind)[0].fingerprint.hex()


@pytest.mark.parametrize("kind", KINDS)
def test_the_current_schema_is_in_the_history(kind: str) -> None:
    """Whoever changes a schema adds its new version to history/ and leaves the old ones there."""
    current = json.loads(CATALOG.current(kind).text)
    assert current == json.loads(CATALOG.versions(kind)[-1].text), f"add {kind}.v<n>.avsc"


@pytest.mark.parametrize("kind", KINDS)
def test_all_versions_read_each_other(kind: str) -> None:
    """FULL_TRANSITIVE: old readers read new records and new readers old ones, over all versions."""
    assert () == fully_transitive((*CATALOG.versions(kind), CATALOG.current(kind)))


def test_versions_are_ordered_by_number(tmp_path: Path) -> None:
    """Version 10 comes after version 9."""
    (tmp_path / "history").mkdir()
    for number in (10, 9, 1):
        text = json.dumps(
            {"type": "record", "name": "R", "fields": [field("a", "int", default=number)]}
        )
        (tmp_path / "history" / f"r.v{number}.avsc").write_text(text)
    (tmp_path / "r.avsc").write_text(text)
    versions = Catalog(tmp_path).versions("r")
    assert [1, 9, 10] == [json.loads(each.text)["fields"][0]["default"] for each in versions]


@pytest.mark.parametrize(
    ("names", "symbols"),
    [
        (("stored_credential", "credential"), {each.name for each in Credential}),
        (("request", "request_status"), {each.name for each in RequestStatus}),
        (("refund", "refund_status"), {each.name for each in RequestStatus}),
    ],
)
def test_nested_enums_are_whole(names: tuple[str, str], symbols: set[str]) -> None:
    """What stands inside a block of a record has its symbols as well."""
    found = [
        set(branch["symbols"])
        for kind in KINDS
        for path, spec in _fields(CATALOG.current(kind).tree, kind)
        if path == f"{kind}.{'.'.join(names)}"
        for branch in _branches(spec)
    ]
    assert found
    assert all({"UNSPECIFIED", *symbols} == each for each in found)


@pytest.mark.parametrize("kind", COMMANDS)
def test_every_command_names_payment_and_time(kind: str) -> None:
    """Whatever is asked, it says of which payment and since when."""
    named = {path.partition(".")[2] for path, _ in _fields(CATALOG.current(kind).tree, kind)}
    assert {"payment_id", "issued_at"} <= named


@pytest.mark.parametrize("kind", KINDS)
def test_every_type_can_grow(kind: str) -> None:
    """Every field is explained, enums have a default symbol, and what is nullable is null by default."""
    for path, spec in _fields(CATALOG.current(kind).tree, kind):
        assert spec.get("doc"), f"{path} says not what it means"
        branches = _branches(spec)
        if len(branches) > 1:
            assert {"type": "null"} == branches[0], path
            assert spec.get("default", "none") is None, path
        for branch in branches:
            if branch["type"] == "enum":
                assert ("UNSPECIFIED", "UNSPECIFIED") == (branch["default"], branch["symbols"][0])
                assert "UNSPECIFIED" == spec.get("default"), path


@pytest.mark.parametrize("kind", KINDS)
def test_money_and_time_have_one_form(kind: str) -> None:
    """Amounts are longs of minor units, moments are timestamp-micros, and nothing is a float."""
    for path, spec in _fields(CATALOG.current(kind).tree, kind):
        for branch in _branches(spec):
            assert branch["type"] not in {"float", "double"}, f"{path}: no float near money"
            if path.endswith(("_at", "not_after")) and branch["type"] != "null":
                assert ("long", MICROS) == (branch["type"], branch["logicalType"]), path
            if path.endswith("_minor") and branch["type"] != "null":
                assert "long" == branch["type"], path


@pytest.mark.parametrize(
    ("kind", "name", "symbols"),
    [
        (PAYMENT_INITIATION, "mode", {each.name for each in Mode if each is not Mode.VERIFY}),
        (PAYMENT_STATUS, "payment_status", {each.name for each in PaymentStatus}),
        (ORDER_EVENTS, "news", {each.name for each in OrderNews}),
        (NOTIFICATION_EVENTS, "template", {each.name for each in Template}),
    ],
)
def test_every_value_of_the_core_has_a_symbol(kind: str, name: str, symbols: set[str]) -> None:
    """Nothing that the core can say is missing from the wire; the test of a means comes by a topic of its own."""
    fields = cast("list[dict[str, dict[str, object]]]", CATALOG.current(kind).tree["fields"])
    spec = next(each for each in fields if str(each["name"]) == name)
    assert symbols <= set(cast("list[str]", spec["type"]["symbols"]))


ENUM = {"type": "enum", "name": "E", "symbols": ["A"]}
GROWN = {"type": "enum", "name": "E", "symbols": ["A", "B"]}
INNER = {"type": "record", "name": "I", "fields": [field("x", "int")]}
INNER_MORE = {"type": "record", "name": "I", "fields": [field("x", "int"), field("y", "int")]}
INNER_OTHER = {"type": "record", "name": "J", "fields": [field("x", "int")]}


@pytest.mark.parametrize(
    ("writer", "reader", "expected"),
    [
        ("int", "long", None),
        ("long", "int", "long cannot be read as int"),
        ("string", "bytes", None),
        ("string", "long", "string cannot be read as long"),
        ("int", ["null", "long"], None),
        ("long", ["null", "int"], "no branch"),
        (["null", "int"], "int", "null cannot be read as int"),
        (["null", INNER], ["null", INNER_MORE], "f.y: is not written"),
        (["null", INNER_MORE], ["null", INNER], None),
        (["null", INNER_OTHER], ["null", INNER], "no branch of the union takes J"),
        (INNER_OTHER, INNER, "J cannot be read as I"),
        (INNER_OTHER, {**INNER, "aliases": ["J"]}, None),
        (GROWN, ENUM, "neither knows B"),
        (GROWN, {**ENUM, "default": "A"}, None),
        (ENUM, GROWN, None),
        ({"type": "array", "items": "int"}, {"type": "array", "items": "string"}, "f.items"),
        ({"type": "map", "values": "int"}, {"type": "map", "values": "long"}, None),
        (
            {"type": "fixed", "name": "F", "size": 2},
            {"type": "fixed", "name": "F", "size": 3},
            "fixed of another size",
        ),
        (
            {"type": "long", "logicalType": "timestamp-millis"},
            {"type": "long", "logicalType": MICROS},
            "timestamp-millis cannot be read as timestamp-micros",
        ),
        ("long", {"type": "long", "logicalType": MICROS}, None),
    ],
)
def test_the_rules_of_resolution(writer: object, reader: object, expected: str | None) -> None:
    """One row for each rule of Avro's schema resolution that we use: what is allowed and what is not."""
    found = obstacles(writer=record(field("f", writer)), reader=record(field("f", reader)))
    if expected is None:
        assert () == found
    else:
        assert expected in " ".join(found)


@pytest.mark.parametrize(
    ("writer", "reader", "written", "expected"),
    [
        ("int", ["null", "double"], 5, 5.0),
        ("string", "bytes", "ä", "ä".encode()),
        (["int", "string"], ["string", "long"], 5, 5),
        (["null", INNER_MORE], ["null", INNER], {"x": 1, "y": 2}, {"x": 1}),
        (INNER_OTHER, ["null", {**INNER, "aliases": ["J"]}], {"x": 1}, {"x": 1}),
        (GROWN, ["null", {**ENUM, "default": "A"}], "B", "A"),
        (
            {"type": "array", "items": ["null", INNER_MORE]},
            {"type": "array", "items": ["null", INNER]},
            [None, {"x": 1, "y": 2}],
            [None, {"x": 1}],
        ),
    ],
)
def test_the_decoder_agrees(
    writer: object, reader: object, written: object, expected: object
) -> None:
    """What the comparison allows, fastavro does resolve, and as Avro says."""
    theirs, ours = record(field("f", writer)), record(field("f", reader))
    assert () == obstacles(writer=theirs, reader=ours)
    out = BytesIO()
    schemaless_writer(out, theirs.parsed, {"f": written})
    assert {"f": expected} == schemaless_reader(BytesIO(out.getvalue()), theirs.parsed, ours.parsed)


def test_a_field_may_come_and_go_only_with_a_default() -> None:
    """The reader's default stands in for what is not written; an alias finds what was renamed."""
    older, newer = record(field("a", "int")), record(field("a", "int"), field("b", "int"))
    assert ("b: is not written, and the reader has no default for it",) == obstacles(
        writer=older, reader=newer
    )
    assert 1 == len(fully_transitive([older, newer]))
    assert () == fully_transitive([older, record(field("a", "int"), field("b", "int", default=0))])
    renamed = record(field("z", "int", aliases=["a"]))
    assert () == obstacles(writer=older, reader=renamed)


def _nested(levels: int) -> object:
    return "int" if levels == 0 else {"type": "array", "items": _nested(levels - 1)}


def _laughing(levels: int) -> list[dict[str, object]]:
    """Named records that repeat each other: 2^levels values in few characters."""
    first = {"type": "record", "name": "L0", "fields": [field("a", "int")]}
    fields = [field("f0", first)]
    for level in range(1, levels):
        pair = [field("a", f"L{level - 1}"), field("b", f"L{level - 1}")]
        fields.append(field(f"f{level}", {"type": "record", "name": f"L{level}", "fields": pair}))
    return fields


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ([field("a", {"type": "array", "items": "null"})], "null where it cannot be used"),
        ([field("a", "null")], "null where it cannot be used"),
        ([field("a", {"type": "record", "name": "E", "fields": []})], "without fields"),
        ([field("a", {"type": "fixed", "name": "F", "size": 0})], "without bytes"),
        ([field("next", ["null", "R"])], "recursive"),
        ([field("a", _nested(25))], "levels"),
        ([field("a", _nested(400))], "nested deeper"),
        (_laughing(20), "unfolds to more"),
        ([field("a", "Nowhere")], "not valid Avro"),
        ([field("a", "int", doc="x" * 140_000)], "longer than"),
    ],
)
def test_harmful_schemas_are_refused(fields: list[object], why: str) -> None:
    """A schema by which few bytes become much work, or the decoder's stack grows, is not decoded with."""
    with pytest.raises(Unreadable, match=why):
        record(*fields)


@pytest.mark.parametrize("text", ["", "[" * 100_000, '"int"', "5", '{"type":"record"}', "\x00"])
def test_what_is_no_schema_is_refused(text: str) -> None:
    """Any text at all is a schema or Unreadable."""
    with pytest.raises(Unreadable):
        load(text)


TYPES = ["record", "enum", "array", "map", "fixed", "int", "null", "string", "R", "A"]
KEYS = ["type", "name", "fields", "items", "values", "symbols", "size", "default", "aliases"]
WORDS = st.sampled_from([*TYPES, *KEYS, "logicalType"])
SHAPES = st.recursive(
    st.one_of(WORDS, st.integers(-1, 3), st.none(), st.booleans()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(WORDS, inner, max_size=5)),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(fields=SHAPES, more=st.dictionaries(WORDS, SHAPES, max_size=2))
def test_any_json_is_a_schema_or_refused(fields: object, more: dict[str, object]) -> None:
    """No JSON makes loading, or comparing with our own schema, fail in any other way."""
    try:
        schema = load(json.dumps({"fields": fields, **more, "type": "record", "name": "R"}))
    except Unreadable:
        return
    assert obstacles(writer=schema, reader=CATALOG.current(PAYMENT_INITIATION))


def _branches(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """The types that a field may have."""
    return spec["type"] if isinstance(spec["type"], list) else [spec["type"]]


def _fields(node: object, path: str) -> list[tuple[str, dict[str, Any]]]:
    """Every field of a tree with its path."""
    if isinstance(node, list):
        return [found for branch in node for found in _fields(branch, path)]
    assert isinstance(node, dict)
    if node["type"] == "array":
        return _fields(node["items"], path)
    found = []
    for spec in node.get("fields", []):
        below = f"{path}.{spec['name']}"
        found += [(below, spec), *_fields(spec["type"], below)]
    return found
