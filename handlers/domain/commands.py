"""What someone asks of this worker, decoded and checked. A command checks itself when it is made.

Ids of the platform are at most 64 characters of a plain alphabet: a UUID, a ULID and most order numbers fit, blanks and
control characters do not. Ids of the gateway are digits, at most 20: one more character is no id that it ever gave.
No command has room for a card number; `card_numbers.py` refuses one that hides in a text.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Final

from handlers.domain.errors import InvalidValueError
from handlers.domain.money import MAX_MINOR, Money
from handlers.domain.secret import Secret

_PLATFORM_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
_GATEWAY_ID: Final = re.compile(r"[0-9]{1,20}")
_CONTROL: Final = re.compile(r"[\x00-\x1f]")
_MAX_TOKEN: Final = 16_384  # wallet payloads are a few KiB of base64
_MAX_LINES: Final = 200
_MAX_TEXT: Final = 255
WALLET_DESCRIPTORS: Final = {
    "COMMON.ACCEPT.INAPP.PAYMENT": "accept_js",
    "COMMON.APPLE.INAPP.PAYMENT": "apple_pay",
    "COMMON.GOOGLE.INAPP.PAYMENT": "google_pay",
}


def platform_id(name: str, value: str) -> None:
    """Refuse a `value` that is no id of the platform; `name` is the field's."""
    if not _PLATFORM_ID.fullmatch(value):
        raise InvalidValueError(
            name,
            "must be 1 to 64 characters of A-Z a-z 0-9 . _ : - and start with a letter or digit",
        )


def _gateway_id(name: str, value: str) -> None:
    if not _GATEWAY_ID.fullmatch(value):
        raise InvalidValueError(name, "must be 1 to 20 digits, as the gateway gave it")


def _short_text(name: str, value: str) -> None:
    if len(value) > _MAX_TEXT:
        raise InvalidValueError(name, f"must be at most {_MAX_TEXT} characters")
    if _CONTROL.search(value):
        raise InvalidValueError(name, "must not contain control characters")


def _with_zone(name: str, moment: datetime) -> None:
    if moment.tzinfo is None:
        raise InvalidValueError(name, "must carry a time zone")


class Mode(StrEnum):
    """What a payment initiation asks for."""

    SALE = "sale"
    AUTHORISE = "authorise"


@dataclass(frozen=True, slots=True)
class OpaqueData:
    """A one-time token of Accept.js or a wallet: `descriptor` says which, `value` is the secret."""

    descriptor: str
    value: Secret

    def __post_init__(self) -> None:
        if self.descriptor not in WALLET_DESCRIPTORS:
            allowed = ", ".join(WALLET_DESCRIPTORS)
            raise InvalidValueError("means.data_descriptor", f"must be one of {allowed}")
        if not 1 <= len(self.value.reveal()) <= _MAX_TOKEN:
            raise InvalidValueError("means.data_value", f"must be 1 to {_MAX_TOKEN} characters")


@dataclass(frozen=True, slots=True)
class StoredProfile:
    """A payment profile that the gateway keeps for a customer."""

    customer_profile_id: str
    payment_profile_id: str

    def __post_init__(self) -> None:
        _gateway_id("means.customer_profile_id", self.customer_profile_id)
        _gateway_id("means.payment_profile_id", self.payment_profile_id)


Means = OpaqueData | StoredProfile


@dataclass(frozen=True, slots=True)
class Address:
    """A billing or shipping address. Everything is optional; an empty text is left out."""

    first_name: str = ""
    last_name: str = ""
    company: str = ""
    address: str = ""
    city: str = ""
    state: str = ""
    zip: str = ""
    country: str = ""
    phone: str = ""
    email: str = ""

    def __post_init__(self) -> None:
        for name in _ADDRESS_FIELDS:
            _short_text(f"billing.{name}", getattr(self, name))


_ADDRESS_FIELDS: Final = tuple(spec.name for spec in fields(Address))


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the order: what inventory acts upon."""

    sku: str
    name: str
    quantity: int
    unit_minor: int

    def __post_init__(self) -> None:
        _short_text("lines.sku", self.sku)
        _short_text("lines.name", self.name)
        if not self.sku:
            raise InvalidValueError("lines.sku", "must not be empty")
        if not 1 <= self.quantity <= 1_000_000:  # noqa: PLR2004 - the bound is the rule in the text beside it
            raise InvalidValueError("lines.quantity", "must be from 1 to 1000000")
        if not 0 <= self.unit_minor <= MAX_MINOR:
            raise InvalidValueError(
                "lines.unit_minor", f"must be from 0 to {MAX_MINOR} minor units"
            )


@dataclass(frozen=True, slots=True)
class InitiatePayment:
    """Charge (`sale`) or reserve (`authorise`) `money` for an order. One payment id is one such command, for ever."""

    payment_id: str
    order_id: str
    user_id: str
    money: Money
    mode: Mode
    means: Means
    issued_at: datetime
    not_after: datetime | None = None
    billing: Address = field(default_factory=Address)
    customer_ip: str = ""
    description: str = ""
    lines: tuple[Line, ...] = ()

    def __post_init__(self) -> None:
        platform_id("payment_id", self.payment_id)
        platform_id("order_id", self.order_id)
        platform_id("user_id", self.user_id)
        _with_zone("issued_at", self.issued_at)
        if self.not_after is not None:
            _with_zone("not_after", self.not_after)
        if self.money.amount_minor < 1:
            raise InvalidValueError("amount_minor", "must be at least 1 minor unit")
        _short_text("description", self.description)
        _short_text("customer_ip", self.customer_ip)
        if len(self.lines) > _MAX_LINES:
            raise InvalidValueError("lines", f"must be at most {_MAX_LINES}")

    @property
    def operation_id(self) -> str:
        """The id of the work this command stands for: the payment itself, so a second initiation is the same work."""
        return f"initiation:{self.payment_id}"

    def ids(self) -> Iterator[tuple[str, str]]:
        """Every id with its field's name."""
        yield "payment_id", self.payment_id
        yield "order_id", self.order_id
        yield "user_id", self.user_id
        for line in self.lines:
            yield "lines.sku", line.sku

    def texts(self) -> Iterator[tuple[str, str]]:
        """Every free text with its field's name: where a card number could hide. The means' value is sealed instead."""
        yield "description", self.description
        yield "customer_ip", self.customer_ip
        for name in _ADDRESS_FIELDS:
            yield f"billing.{name}", getattr(self.billing, name)
        for line in self.lines:
            yield "lines.name", line.name


Command = InitiatePayment
