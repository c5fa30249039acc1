"""What the flags of `publish` mean: amounts, times, tokens, order lines. What records must be is `publish_records.py`.

Where a value is wrong, the error names the field and the rule and never the value: it may be a
token in the wrong place.
"""

import re
import secrets
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from handlers.domain.errors import InvalidValueError
from handlers.domain.means import WALLET_DESCRIPTORS
from handlers.domain.money import Money, minor_units

MOST_LINES: Final = 100_000
_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_AMOUNT: Final = re.compile(r"[0-9]{1,14}(?:\.[0-9]{1,4})?")
_DESCRIPTORS: Final = {name: descriptor for descriptor, name in WALLET_DESCRIPTORS.items()}


def fresh_id() -> str:
    """A new payment id: a ULID, so ids sort by time (48 bits of milliseconds, 80 of chance, Crockford's base 32)."""
    number = (int(time.time() * 1000) << 80) | secrets.randbits(80)
    return "".join(_CROCKFORD[(number >> shift) & 31] for shift in range(125, -1, -5))


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
