"""Commands check themselves when they are made: bounds, alphabets, names of the fields."""

from dataclasses import FrozenInstanceError, fields, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.domain.commands import (
    WALLET_DESCRIPTORS,
    Address,
    InitiatePayment,
    Line,
    Mode,
    OpaqueData,
    StoredProfile,
)
from handlers.domain.errors import InvalidValueError
from handlers.domain.money import Money
from handlers.domain.secret import Secret

ACCEPT_JS = "COMMON.ACCEPT.INAPP.PAYMENT"
MEANS = OpaqueData(ACCEPT_JS, Secret("tok-1"))
COMMAND = InitiatePayment(
    payment_id="pay-1",
    order_id="order-1",
    user_id="user-1",
    money=Money(1999, "USD"),
    mode=Mode.SALE,
    means=MEANS,
    issued_at=datetime(2026, 11, 20, 12, tzinfo=UTC),
)


@pytest.mark.parametrize("field", ["payment_id", "order_id", "user_id"])
@pytest.mark.parametrize(
    "value",
    ["", " ", "a" * 65, "-a", ".a", "a b", "a\n", "a\x00", "ä", "a/b", "a'b", "４１１１"],  # noqa: RUF001 - wide digits
)
def test_an_id_out_of_the_alphabet_is_refused(field: str, value: str) -> None:
    """Ids are 1 to 64 plain characters; the refusal names the field and never repeats the value."""
    change: dict[str, Any] = {field: value}
    with pytest.raises(InvalidValueError, match=rf"^{field}: must be 1 to 64") as refused:
        replace(COMMAND, **change)
    assert field == refused.value.field


@pytest.mark.parametrize(
    "value",
    [
        "a",
        "a" * 64,
        "0b9f2c1e-4111-4111-8111-111111111111",
        "01JD3Q4X7M8N9P0R1S2T3V4W5X",
        "shop:eu_1.order-9",
    ],
)
def test_usual_ids_are_taken(value: str) -> None:
    """UUIDs, ULIDs and order numbers with a prefix fit."""
    assert value == replace(COMMAND, payment_id=value).payment_id


@pytest.mark.parametrize("value", ["", "1" * 21, "12a", "-1", "１２"])  # noqa: RUF001 - wide digits are not digits here
@pytest.mark.parametrize("at", [0, 1])
def test_a_profile_is_digits(value: str, at: int) -> None:
    """Ids of the gateway are 1 to 20 digits of ASCII."""
    ids = ["1", "1"]
    ids[at] = value
    with pytest.raises(InvalidValueError, match=r"^means\.\w+_profile_id: "):
        StoredProfile(*ids)


@pytest.mark.parametrize("descriptor", WALLET_DESCRIPTORS)
def test_each_wallet_is_taken(descriptor: str) -> None:
    """Accept.js, Apple Pay and Google Pay are known."""
    assert descriptor == OpaqueData(descriptor, Secret("x")).descriptor


@pytest.mark.parametrize(
    ("field", "descriptor", "length"),
    [
        ("means.data_descriptor", "COMMON.OTHER", 1),
        ("means.data_value", ACCEPT_JS, 0),
        ("means.data_value", ACCEPT_JS, 16_385),
    ],
)
def test_a_token_out_of_bounds_is_refused(field: str, descriptor: str, length: int) -> None:
    """Unknown descriptors and empty or endless tokens are refused, and the token is not in the text."""
    with pytest.raises(InvalidValueError) as refused:
        OpaqueData(descriptor, Secret("q" * length))
    assert field == refused.value.field
    assert "qq" not in str(refused.value)


def test_the_longest_token_is_taken() -> None:
    """A wallet's payload of 16 KiB fits."""
    assert 16_384 == len(OpaqueData(ACCEPT_JS, Secret("q" * 16_384)).value.reveal())


@pytest.mark.parametrize("amount_minor", [0])
def test_nothing_cannot_be_charged(amount_minor: int) -> None:
    """A charge of zero is refused, though zero is an amount."""
    with pytest.raises(InvalidValueError, match=r"^amount_minor: must be at least 1"):
        replace(COMMAND, money=Money(amount_minor, "USD"))


@pytest.mark.parametrize("field", [spec.name for spec in fields(Address)])
@pytest.mark.parametrize("value", ["x" * 256, "a\nb", "a\x00", "\x1b[31m"])
def test_an_address_is_short_printable_text(field: str, value: str) -> None:
    """No part of an address is endless or carries control characters into logs and replies."""
    part: dict[str, str] = {field: value}
    with pytest.raises(InvalidValueError, match=rf"^billing\.{field}: "):
        Address(**part)


@pytest.mark.parametrize("field", ["description", "customer_ip"])
@pytest.mark.parametrize("value", ["x" * 256, "a\tb"])
def test_other_texts_are_short_and_printable(field: str, value: str) -> None:
    """The description and the customer's address have the same bounds."""
    change: dict[str, Any] = {field: value}
    with pytest.raises(InvalidValueError, match=rf"^{field}: "):
        replace(COMMAND, **change)


@pytest.mark.parametrize(
    ("field", "sku", "quantity", "unit_minor"),
    [
        ("lines.sku", "", 1, 1),
        ("lines.sku", "a\n", 1, 1),
        ("lines.quantity", "a", 0, 1),
        ("lines.quantity", "a", -1, 1),
        ("lines.quantity", "a", 1_000_001, 1),
        ("lines.unit_minor", "a", 1, -1),
        ("lines.unit_minor", "a", 1, 10**13 + 1),
    ],
)
def test_a_line_out_of_bounds_is_refused(
    field: str, sku: str, quantity: int, unit_minor: int
) -> None:
    """Each bound of an order's line names its field."""
    with pytest.raises(InvalidValueError) as refused:
        Line(sku=sku, name="Tea", quantity=quantity, unit_minor=unit_minor)
    assert field == refused.value.field


def test_lines_are_bounded() -> None:
    """Two hundred lines fit, one more does not."""
    line = Line(sku="a", name="Tea", quantity=1, unit_minor=1)
    assert 200 == len(replace(COMMAND, lines=(line,) * 200).lines)
    with pytest.raises(InvalidValueError, match=r"^lines: "):
        replace(COMMAND, lines=(line,) * 201)


def test_the_same_payment_is_the_same_work() -> None:
    """The operation's id follows from the payment's id alone, whatever else the command says."""
    other = replace(COMMAND, order_id="order-2", money=Money(1, "EUR"), mode=Mode.AUTHORISE)
    assert "initiation:pay-1" == COMMAND.operation_id == other.operation_id


def test_every_text_is_searched_for_card_numbers() -> None:
    """A text put into any free field of the command comes back from `texts()` or `ids()` under its field's name."""
    marked = replace(
        COMMAND,
        payment_id="m-1",
        order_id="m-2",
        user_id="m-3",
        description="m-4",
        customer_ip="m-5",
        billing=Address(**{spec.name: f"m-{spec.name}" for spec in fields(Address)}),
        lines=(Line(sku="m-6", name="m-7", quantity=1, unit_minor=1),),
    )
    found = dict([*marked.texts(), *marked.ids()])
    assert {f"m-{at}" for at in range(1, 8)} <= set(found.values())
    assert {
        f"billing.{spec.name}": f"m-{spec.name}" for spec in fields(Address)
    }.items() <= found.items()


def test_the_token_is_in_no_text() -> None:
    """The secret of the means is not among the texts, nor in the command's own repr."""
    assert "tok-1" not in {text for _, text in COMMAND.texts()}
    assert "tok-1" not in repr(COMMAND)


def test_a_command_is_frozen() -> None:
    """What was checked stays as it was."""
    field = "payment_id"
    with pytest.raises(FrozenInstanceError):
        setattr(COMMAND, field, "pay-2")


@given(st.text(max_size=80))
def test_any_id_is_taken_or_refused_by_name(value: str) -> None:
    """Whatever comes in, it is either taken as it is or refused with the field's name: no other error."""
    outcome: tuple[str, str]
    try:
        outcome = ("taken", replace(COMMAND, payment_id=value).payment_id)
    except InvalidValueError as refused:
        outcome = ("refused", refused.field)
    assert outcome in {("taken", value), ("refused", "payment_id")}
