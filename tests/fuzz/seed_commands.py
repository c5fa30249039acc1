"""Commands of every kind with everything in them, as records to be spoilt, and what a leaf is spoilt with."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

from avro.command_records import from_command, kind_of
from handlers.domain.commands import (
    Address,
    CapturePayment,
    Command,
    InitiatePayment,
    Line,
    Mode,
    RefundPayment,
    Ruling,
    VerifyPayment,
    VoidPayment,
)
from handlers.domain.means import (
    CardholderAuthentication,
    Credential,
    Means,
    MerchantReason,
    NetworkToken,
    OpaqueData,
    StoredCredential,
    StoredProfile,
)
from handlers.domain.money import MAX_MINOR, Money
from handlers.domain.secret import Secret
from tests.fuzz import markers

NOW: Final = datetime(2026, 11, 20, 12, tzinfo=UTC)
USER: Final = "user-1"
_ADDRESS: Final = Address(
    first_name="Ada", last_name="Lovelace", zip="98004", email="ada@example.org"
)


def _initiation(means: Means, *, mode: Mode = Mode.SALE) -> InitiatePayment:
    is_test = mode is Mode.VERIFY
    return InitiatePayment(
        payment_id="pay-1",
        order_id="order-1",
        user_id=USER,
        money=Money(1 if is_test else 1290, "USD"),
        mode=mode,
        means=means,
        issued_at=NOW,
        not_after=NOW + timedelta(hours=1),
        billing=_ADDRESS,
        shipping=Address() if is_test else _ADDRESS,
        customer_ip="192.0.2.7",
        description="Two books",
        lines=() if is_test else (Line("sku-1", "A book", 2, 600), Line("sku-2", "Ä", 1, 90)),
        tax_minor=0 if is_test else 90,
        stored_credential=StoredCredential(
            Credential.BY_MERCHANT, "NTI0123456789", 500, MerchantReason.DELAYED_CHARGE
        ),
        cardholder_authentication=CardholderAuthentication("05", Secret(markers.CAVV)),
    )


_REQUEST: Final[dict[str, Any]] = {
    "payment_id": "pay-1",
    "issued_at": NOW,
    "user_id": USER,
    "reason": "the customer asked",
}
_COMMANDS: Final[tuple[Command, ...]] = (
    _initiation(OpaqueData("COMMON.ACCEPT.INAPP.PAYMENT", Secret(markers.TOKEN))),
    _initiation(StoredProfile("123", "456", Secret("987")), mode=Mode.AUTHORISE),
    _initiation(
        NetworkToken(
            Secret("4895370012003478"), "2031-12", Secret(markers.CRYPTOGRAM), "40010051602"
        )
    ),
    _initiation(OpaqueData("COMMON.APPLE.INAPP.PAYMENT", Secret(markers.TOKEN)), mode=Mode.VERIFY),
    CapturePayment(**_REQUEST, capture_id="cap-1", amount_minor=500),
    VoidPayment(**_REQUEST, void_id="void-1"),
    RefundPayment(
        **_REQUEST, refund_id="ref-1", money=Money(500, "USD"), continuation=2, up_to=True
    ),
    VerifyPayment(
        **_REQUEST,
        verification_id="ver-1",
        ruling=Ruling(
            happened=True,
            by="an operator",
            why="seen at the gateway",
            transaction_id="60123456789",
            about="refund:ref-1",
            version=3,
        ),
    ),
)
RECORDS: Final = tuple((kind_of(command), from_command(command)) for command in _COMMANDS)
_TEXTS: Final = (
    "",
    " ",
    "\x00",
    "\n\r\t",
    "a" * 64,
    "a" * 65,
    "b" * 256,
    "\ud800",
    "\U0001f600",
    "\u202e\u200b",
    "NaN",
    "USD",
    "usd",
    "\u0660" * 20,
    b"\xff\xfe",
    b"\xc0\x80",
)
_LONG_TEXTS: Final = (
    "c" * 20_000,
    "1" * 4_301,
    "1." * 20_000,
    "4 - " * 5_000,
    "4" * 999 + "x",
    "\u0661 " * 9_000,
)
_NUMBERS: Final = (
    0,
    1,
    -1,
    200,
    MAX_MINOR,
    MAX_MINOR + 1,
    2**31 - 1,
    -(2**31),
    2**63 - 1,
    -(2**63),
    2**64,
    253_402_300_799_999_999,  # the last microsecond of the year 9999
    253_402_300_800_000_000,
    -62_135_596_800_000_001,  # before the year 1
)


def spoilt(record: dict[str, Any], rng: Random, *, times: int) -> dict[str, Any]:
    """`record` with that many of its leaves, at any depth, changed for what a producer might send."""
    for _ in range(times):
        record = _spoilt_once(record, rng)
    return record


def _spoilt_once(record: dict[str, Any], rng: Random) -> dict[str, Any]:
    name = rng.choice(list(record))
    value = record[name]
    if isinstance(value, dict) and rng.randrange(4):
        return record | {name: _spoilt_once(value, rng)}
    if isinstance(value, list):
        return record | {name: _other_list(value, rng)}
    return record | {name: _other(value, rng)}


def _other_list(value: list[Any], rng: Random) -> list[Any]:
    if value and rng.randrange(3):
        at = rng.randrange(len(value))
        return [*value[:at], _spoilt_once(value[at], rng), *value[at + 1 :]]
    many = rng.choice((0, 1, 7, 200, 201)) if rng.randrange(60) else 5_000
    return (value or [{}]) * many


def _other(value: object, rng: Random) -> object:
    kind = rng.randrange(12)
    if kind == 0:
        return None
    if kind < 4 and not isinstance(value, bool | int | datetime):
        return rng.choice(markers.SPELLED + markers.SECRETS)
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | datetime):
        return rng.choice(_NUMBERS)
    if kind == 11:
        return f"{rng.choice(markers.SPELLED)} {rng.choice(markers.CARDS)}"
    return rng.choice(_TEXTS) if rng.randrange(60) else rng.choice(_LONG_TEXTS)
