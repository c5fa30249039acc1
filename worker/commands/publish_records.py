"""Commands out of records and JSON lines, each checked as the worker will check it. Nothing is sent here.

Which fields there are is the schema's business: a field that its Avro schema does not have is refused, wherever it
stands, and named where it looks like a name. Where a value is wrong, the error names the field and the rule and never
the value: it may be a token in the wrong place. What only the worker itself may say is refused: what is published here
is signed, and would count.
"""

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

from avro.catalog import Catalog
from avro.commands import to_command
from avro.schema import Node
from db_client.command_json import fingerprint
from handlers.domain.card_numbers import holds_card_number, is_card_number
from handlers.domain.commands import (
    Command,
    InitiatePayment,
    RefundPayment,
    Ruling,
    VerifyPayment,
)
from handlers.domain.errors import InvalidValueError
from handlers.domain.means import OpaqueData
from worker.commands.initiations import MOST_LINES, instant

_MAX_LINE: Final = 262_144
_WHOLE: Final = "the line"  # where no field can be named
_MOMENTS: Final = ("issued_at", "not_after")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,31}")  # a token is longer than this
_MOST_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is no such command: its number from 1, what is wrong with it, and the field where one is."""

    number: int
    why: str
    field: str | None = None


def from_record(record: Mapping[str, object], *, kind: str) -> Command:
    """The command out of the fields of `kind`'s schema, times as ISO 8601 or microseconds. Raises InvalidValueError."""
    _only_known(record, _tree(kind), path="")
    whole: dict[str, object] = {"issued_at": datetime.now(UTC), **record}
    for name in _MOMENTS:
        if isinstance(whole.get(name), str):
            whole[name] = instant(str(whole[name]), field=name)
    if isinstance(whole.get("mode"), str):
        whole["mode"] = str(whole["mode"]).upper()
    command = to_command(whole, kind=kind)
    _check_nothing_inner(command)
    _check_texts(command)
    return command


def from_lines(lines: Iterable[bytes], *, kind: str) -> Iterator[Command | BadLine]:
    """One command, or what is wrong, for each line that is not blank; the line's number counts blank ones, too."""
    known: dict[str, tuple[int, str]] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if number > MOST_LINES:
            yield BadLine(number, f"at most {MOST_LINES} lines at once: split the file")
            return
        try:
            command = from_record(_parsed(line), kind=kind)
        except InvalidValueError as invalid:
            field = None if invalid.field == _WHOLE else invalid.field
            yield BadLine(number, invalid.rule if field is None else str(invalid), field)
            continue
        content = fingerprint(command)
        before, content_before = known.setdefault(command.operation_id, (number, content))
        if content != content_before:
            name = id_field(command)
            why = f"{name}: stands in line {before} with other content; use a new id"
            yield BadLine(number, why, name)
            continue
        yield command


def id_field(command: Command) -> str:
    """The field that names what is asked."""
    return "payment_id" if isinstance(command, InitiatePayment) else f"{command.kind}_id"


def _check_nothing_inner(command: Command) -> None:
    match command:
        case VerifyPayment(ruling=Ruling()):
            raise InvalidValueError("ruling", "must be null: decide with `run_worker.py review`")
        case RefundPayment(continuation=number) if number > 1:
            raise InvalidValueError("continuation", "must be 1: the worker itself counts on")
        case _:
            return


def _check_texts(command: Command) -> None:
    for name, text in command.ids():
        if is_card_number(text):
            raise InvalidValueError(name, "is what looks like a card number")
    for name, text in _all_texts(command):
        if holds_card_number(text):
            raise InvalidValueError(name, "holds what looks like a card number")
        try:
            text.encode()
        except UnicodeError:
            raise InvalidValueError(name, "must be text that UTF-8 can carry") from None


def _all_texts(command: Command) -> Iterator[tuple[str, str]]:
    yield from command.texts()
    if isinstance(command, InitiatePayment) and isinstance(command.means, OpaqueData):
        yield "means.data_value", command.means.value.reveal()


@cache
def _tree(kind: str) -> Node:
    return Catalog().current(kind).tree


def _only_known(value: object, node: Node, *, path: str) -> None:
    """A misspelt field would be silently empty: refuse it."""
    if isinstance(value, list):
        for node_of_item in _branches(node, "array"):
            for each in value:
                _only_known(each, node_of_item["items"], path=path)
    if not isinstance(value, dict):
        return
    records = [
        {it["name"]: it["type"] for it in each["fields"]} for each in _branches(node, "record")
    ]
    if not records:
        return  # no record is wanted here: the command says what is
    known = max(records, key=lambda fields: len(value.keys() & fields.keys()))
    strange = sorted(map(str, value.keys() - known.keys()))
    if strange:
        raise InvalidValueError(
            path or _WHOLE,
            f"has {len(strange)} field(s) that are not known: {_named(strange, known)}; known are {_listed(records)}",
        )
    for name, below in value.items():
        _only_known(below, known[name], path=f"{path}.{name}".lstrip("."))


def _named(strange: list[str], known: Iterable[str]) -> str:
    """The unknown names, each with the nearest known one; what does not look like a name is not repeated."""
    said = []
    for name in strange[:_MOST_NAMED]:
        if not _NAME.fullmatch(name) or holds_card_number(name):
            said.append("one that looks like no name")
            continue
        near = difflib.get_close_matches(name, list(known), n=1)
        said.append(f"{name} (is it {near[0]}?)" if near else name)
    return ", ".join(said) + (", …" if len(strange) > _MOST_NAMED else "")


def _branches(node: Any, kind: str) -> list[dict[str, Any]]:
    branches = node if isinstance(node, list) else [node]
    return [branch for branch in branches if branch["type"] == kind]


def _listed(records: list[dict[str, Any]]) -> str:
    return ", or ".join(", ".join(sorted(fields)) for fields in records)


def _parsed(line: bytes) -> Mapping[str, object]:
    if len(line) > _MAX_LINE:
        raise InvalidValueError(_WHOLE, f"must be at most {_MAX_LINE} bytes")
    try:
        value: object = json.loads(line)
    except json.JSONDecodeError as error:
        raise InvalidValueError(
            _WHOLE, f"is not JSON: {error.msg} at column {error.colno}"
        ) from None
    except (
        ValueError,
        RecursionError,
    ):  # no UTF-8, a number of thousands of digits, endless nesting
        raise InvalidValueError(_WHOLE, "is not JSON in UTF-8") from None
    if not isinstance(value, dict):
        raise InvalidValueError(_WHOLE, "must be a JSON object")
    return value
