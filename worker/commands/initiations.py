"""Payment initiations out of flags and JSON lines, each checked as the worker will check it. Nothing is sent here.

Where a value is wrong, the error names the field and the rule and never the value: it may be a
token in the wrong place.
"""

import json
import re
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from avro.commands import to_command
from db_client.command_json import fingerprint
from handlers.domain.card_numbers import holds_card_number
from handlers.domain.commands import WALLET_DESCRIPTORS, Address, InitiatePayment, Line, OpaqueData
from handlers.domain.errors import InvalidValueError
from handlers.domain.money import Money, minor_units

MOST_LINES: Final = 100_000
_MAX_LINE: Final = 262_144
_WHOLE: Final = "the line"  # where no field can be named
_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_AMOUNT: Final = re.compile(r"[0-9]{1,14}(?:\.[0-9]{1,4})?")
_FIELDS: Final = frozenset(spec.name for spec in fields(InitiatePayment)) - {"money"} | {
    "amount_minor",
    "currency",
}
_ADDRESS: Final = frozenset(spec.name for spec in fields(Address))
_LINE: Final = frozenset(spec.name for spec in fields(Line))
_MEANS: Final = (
    frozenset({"data_descriptor", "data_value"}),
    frozenset({"customer_profile_id", "payment_profile_id"}),
)
_DESCRIPTORS: Final = {name: descriptor for descriptor, name in WALLET_DESCRIPTORS.items()}


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is no payment initiation: its number from 1, and what is wrong with it."""

    number: int
    why: str


def fresh_id() -> str:
    """A new payment id: a ULID, so ids sort by time (48 bits of milliseconds, 80 of chance, Crockford's base 32)."""
    number = (int(time.time() * 1000) << 80) | secrets.randbits(80)
    return "".join(_CROCKFORD[(number >> shift) & 31] for shift in range(125, -1, -5))


def from_record(record: Mapping[str, object]) -> InitiatePayment:
    """The command out of the Avro schema's fields, times as ISO 8601 or microseconds. Raises InvalidValueError."""
    _only(record, _FIELDS, path="")
    _check_nested(record)
    whole: dict[str, object] = {"issued_at": datetime.now(UTC), **record}
    for name in ("issued_at", "not_after"):
        if isinstance(whole.get(name), str):
            whole[name] = instant(str(whole[name]), field=name)
    if isinstance(whole.get("mode"), str):
        whole["mode"] = str(whole["mode"]).upper()
    command = to_command(whole)
    for name, text in _all_texts(command):
        if holds_card_number(text):
            raise InvalidValueError(name, "holds what looks like a card number")
        try:
            text.encode()
        except UnicodeError:
            raise InvalidValueError(name, "must be text that UTF-8 can carry") from None
    return command


def from_lines(lines: Iterable[bytes]) -> Iterator[InitiatePayment | BadLine]:
    """One command, or what is wrong, for each line that is not blank; the line's number counts blank ones, too."""
    known: dict[str, tuple[int, str]] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if number > MOST_LINES:
            yield BadLine(number, f"at most {MOST_LINES} lines at once: split the file")
            return
        try:
            command = from_record(_parsed(line))
        except InvalidValueError as invalid:
            yield BadLine(number, invalid.rule if invalid.field == _WHOLE else str(invalid))
            continue
        content = fingerprint(command)
        before, content_before = known.setdefault(command.payment_id, (number, content))
        if content != content_before:
            yield BadLine(
                number, f"payment_id: stands in line {before} with other content; use a new id"
            )
            continue
        yield command


def minor_of(amount: str, currency: str) -> int:
    """`12.34` in minor units. Raises InvalidValueError."""
    Money(0, currency)
    rule = f"must be a decimal such as 12.34, no finer than {currency} allows"
    if not _AMOUNT.fullmatch(amount):
        raise InvalidValueError("amount", rule)
    minor = minor_units(Decimal(amount), currency)
    if minor is None:
        raise InvalidValueError("amount", rule)
    return minor


def token_record(token: str, wallet: str) -> dict[str, object]:
    """The `means` of a one-time token. Raises InvalidValueError."""
    descriptor = _DESCRIPTORS.get(wallet)
    if descriptor is None:
        raise InvalidValueError("--wallet", f"must be one of {', '.join(_DESCRIPTORS)}")
    return {"data_descriptor": descriptor, "data_value": token}


def profile_record(profile: str) -> dict[str, object]:
    """The `means` of a stored profile given as CUSTOMER:PAYMENT. Raises InvalidValueError."""
    customer, colon, payment = profile.partition(":")
    if not colon:
        raise InvalidValueError(
            "--profile", "must be CUSTOMER:PAYMENT, the two profile ids as the gateway gave them"
        )
    return {"customer_profile_id": customer, "payment_profile_id": payment}


def line_record(text: str, currency: str) -> dict[str, object]:
    """An order line given as SKU:QUANTITY:UNIT_PRICE. Raises InvalidValueError."""
    sku, _, rest = text.partition(":")
    quantity, _, price = rest.partition(":")
    if not quantity.isascii() or not quantity.isdigit() or len(quantity) > len(str(10**6)):
        raise InvalidValueError("--line", "must be SKU:QUANTITY:UNIT_PRICE, such as mug:2:9.90")
    return {"sku": sku, "quantity": int(quantity), "unit_minor": minor_of(price, currency)}


def instant(text: str, *, field: str) -> datetime:
    """An ISO 8601 time with its zone, or `+SECONDS` from now. Raises InvalidValueError."""
    if re.fullmatch(r"\+[0-9]{1,8}", text):
        return datetime.now(UTC) + timedelta(seconds=int(text))
    rule = "must be a time with its zone, such as 2030-01-31T12:00:00Z, or +SECONDS from now"
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidValueError(field, rule) from None
    if at.tzinfo is None:
        raise InvalidValueError(field, rule)
    return at


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


def _only(record: Mapping[str, Any], known: frozenset[str], *, path: str) -> None:
    """A misspelt field would be silently empty: refuse it. Its name is not repeated, it may be anything."""
    strange = sum(name not in known for name in record)
    if strange:
        raise InvalidValueError(
            path or _WHOLE,
            f"has {strange} field(s) that are not known; known are {', '.join(sorted(known))}",
        )


def _check_nested(record: Mapping[str, object]) -> None:
    billing, means, lines = (record.get(name) for name in ("billing", "means", "lines"))
    if isinstance(billing, dict):
        _only(billing, _ADDRESS, path="billing")
    if isinstance(means, dict) and not any(means.keys() == names for names in _MEANS):
        raise InvalidValueError(
            "means",
            "must be {data_descriptor, data_value} or {customer_profile_id, payment_profile_id}",
        )
    for line in lines if isinstance(lines, list) else ():
        if isinstance(line, dict):
            _only(line, _LINE, path="lines")


def _all_texts(command: InitiatePayment) -> Iterator[tuple[str, str]]:
    yield from command.texts()
    if isinstance(command.means, OpaqueData):
        yield "means.data_value", command.means.value.reveal()
