"""What the flags of `publish` mean: amounts, times, tokens, order lines. What records must be is `publish_records.py`.

Where a value is wrong, the error names the field and the rule and never the value: it may be a
token in the wrong place.
"""

import ipaddress
import re
import secrets
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from handlers.domain.errors import InvalidValueError
from handlers.domain.means import WALLET_DESCRIPTORS
from handlers.domain.money import EXPONENTS, MAX_MINOR, Money, minor_units

MOST_LINES: Final = 100_000
_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_AMOUNT: Final = re.compile(r"[0-9]{1,30}(?:\.[0-9]{1,12})?")
_DESCRIPTORS: Final = {name: descriptor for descriptor, name in WALLET_DESCRIPTORS.items()}


def fresh_id() -> str:
    """A new payment id: a ULID, so ids sort by time (48 bits of milliseconds, 80 of chance, Crockford's base 32)."""
    number = (int(time.time() * 1000) << 80) | secrets.randbits(80)
    return "".join(_CROCKFORD[(number >> shift) & 31] for shift in range(125, -1, -5))


def minor_of(amount: str, currency: str) -> int:
    """`12.34` in minor units. Raises InvalidValueError."""
    most = Money(MAX_MINOR, currency).decimal_text()
    if not _AMOUNT.fullmatch(amount):
        raise InvalidValueError("amount", "must be a decimal such as 12.34, without a sign")
    exact = Decimal(amount)
    if exact > Decimal(most):
        raise InvalidValueError("amount", f"must be a decimal of at most {most} {currency}")
    minor = minor_units(exact, currency)
    if minor is None:
        digits = EXPONENTS[currency]
        finest = f"of {digits} decimals at most" if digits else "without decimals"
        raise InvalidValueError("amount", f"must be a decimal {finest}: {currency} has no more")
    return minor


def billing_record(given: list[str]) -> dict[str, str]:
    """The billing address out of FIELD=TEXT each. Raises InvalidValueError."""
    record = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not name or not sign:
            raise InvalidValueError("--billing", "must be FIELD=TEXT, such as city=Berlin")
        record[name] = value
    return record


def ip_address(text: str) -> str:
    """An address of the net as the gateway takes it; "" is none. Raises InvalidValueError."""
    try:
        return text and str(ipaddress.ip_address(text))
    except ValueError:
        raise InvalidValueError(
            "--customer-ip", "must be an address such as 203.0.113.7 or 2001:db8::7"
        ) from None


def deadline(text: str | None) -> datetime | None:
    """The moment of --not-after, which must be to come: a command that is too late is refused by the worker.

    Raises InvalidValueError.
    """
    if text is None:
        return None
    at = instant(text, field="--not-after")
    if at <= datetime.now(UTC):
        raise InvalidValueError("--not-after", "must be a time to come: this one is over")
    return at


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
    is_count = quantity.isascii() and quantity.isdigit() and len(quantity) <= len(str(10**6))
    if not sku or not is_count or not price:
        raise InvalidValueError("--line", "must be SKU:QUANTITY:UNIT_PRICE, such as mug:2:9.90")
    try:
        unit_minor = minor_of(price, currency)
    except InvalidValueError as invalid:
        raise InvalidValueError("--line", f"its price {invalid.rule}") from None
    return {"sku": sku, "quantity": int(quantity), "unit_minor": unit_minor}


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
