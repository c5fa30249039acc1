"""Commands check themselves when they are made: bounds, alphabets, names of the fields."""

from dataclasses import FrozenInstanceError, fields, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.domain.commands import (
    Address,
    CapturePayment,
    InitiatePayment,
    Kind,
    Line,
    Mode,
    RefundPayment,
    Request,
    Ruling,
    VerifyPayment,
    VoidPayment,
    amount_of,
)
from handlers.domain.errors import InvalidValueError
from handlers.domain.means import WALLET_DESCRIPTORS, OpaqueData, StoredProfile
from handlers.domain.money import Money
from handlers.domain.secret import Secret

ACCEPT_JS = "COMMON.ACCEPT.INAPP.PAYMENT"
MEANS = OpaqueData(ACCEPT_JS, Secret("tok-1"))
WHEN = datetime(2026, 11, 20, 12, tzinfo=UTC)
COMMAND = InitiatePayment(
    payment_id="pay-1",
    order_id="order-1",
    user_id="user-1",
    money=Money(1999, "USD"),
    mode=Mode.SALE,
    means=MEANS,
    issued_at=WHEN,
)
RULING = Ruling(
    happened=True, by="ann", why="seen", transaction_id="77", about="refund:re-1", version=3
)
REQUESTS: dict[Kind, Request] = {
    Kind.CAPTURE: CapturePayment("pay-1", WHEN, capture_id="it-1"),
    Kind.VOID: VoidPayment("pay-1", WHEN, void_id="it-1"),
    Kind.REFUND: RefundPayment("pay-1", WHEN, refund_id="it-1", money=Money(5, "USD")),
    Kind.VERIFICATION: VerifyPayment("pay-1", WHEN, verification_id="it-1", ruling=RULING),
}


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
    ids = ("1", value) if at else (value, "1")
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
    """No part of an address is endless or carries control characters; the refusal names which address it is."""
    part: dict[str, str] = {field: value}
    for role in ("billing", "shipping"):
        change: dict[str, Any] = {role: Address(**part)}
        with pytest.raises(InvalidValueError, match=rf"^{role}\.{field}: "):
            replace(COMMAND, **change)


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
        shipping=Address(**{spec.name: f"s-{spec.name}" for spec in fields(Address)}),
        lines=(Line(sku="m-6", name="m-7", quantity=1, unit_minor=1),),
    )
    found = dict([*marked.texts(), *marked.ids()])
    assert {f"m-{at}" for at in range(1, 8)} <= set(found.values())
    for role, mark in (("billing", "m"), ("shipping", "s")):
        assert {
            f"{role}.{spec.name}": f"{mark}-{spec.name}" for spec in fields(Address)
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


@pytest.mark.parametrize("kind", REQUESTS)
def test_a_request_is_work_of_its_own(kind: Kind) -> None:
    """Its kind and its id make the operation's id, whatever payment it names; two kinds share no id."""
    request = REQUESTS[kind]
    assert (kind, "it-1", f"{kind}:it-1") == (
        request.kind,
        request.request_id,
        request.operation_id,
    )
    assert request.operation_id == replace(request, payment_id="pay-2").operation_id
    assert request.not_after is None
    assert len(REQUESTS) == len({it.operation_id for it in REQUESTS.values()})


@pytest.mark.parametrize("value", ["", "-a", "a b", "a" * 65, "a\n", "a#2"])
@pytest.mark.parametrize("kind", REQUESTS)
def test_a_request_names_itself_and_its_payment(kind: Kind, value: str) -> None:
    """Both ids are plain, and the refusal names the field; `#` is the worker's own, for continuations."""
    for name in ("payment_id", f"{kind}_id"):
        change: dict[str, Any] = {name: value}
        with pytest.raises(InvalidValueError, match=rf"^{name}: must be 1 to 64"):
            replace(REQUESTS[kind], **change)


@pytest.mark.parametrize("kind", REQUESTS)
def test_a_request_says_who_asks_or_nothing(kind: Kind) -> None:
    """An empty user is allowed, a strange one is not; its time carries a zone, its reason is a short text."""
    request = REQUESTS[kind]
    assert "" == request.user_id == replace(request, user_id="").user_id
    changes: list[tuple[str, dict[str, Any]]] = [
        ("user_id", {"user_id": "a b"}),
        ("issued_at", {"issued_at": datetime(2026, 11, 20)}),  # noqa: DTZ001 - a time without its zone is the case
        ("reason", {"reason": "x" * 256}),
        ("reason", {"reason": "a\nb"}),
    ]
    for field, change in changes:
        with pytest.raises(InvalidValueError, match=rf"^{field}: "):
            replace(request, **change)


@pytest.mark.parametrize("kind", REQUESTS)
def test_every_text_of_a_request_is_searched_for_card_numbers(kind: Kind) -> None:
    """Whatever somebody may type comes back from `texts()` or `ids()` under its field's name."""
    request = replace(REQUESTS[kind], reason="m-reason", user_id="m-user")
    found = dict([*request.texts(), *request.ids()])
    typed = {"payment_id": "pay-1", f"{kind}_id": "it-1", "user_id": "m-user", "reason": "m-reason"}
    if kind is Kind.VERIFICATION:
        typed |= {"ruling.by": "ann", "ruling.why": "seen", "ruling.about": "refund:re-1"}
    assert typed == found


@pytest.mark.parametrize("amount_minor", [0, -1, 10**13 + 1])
def test_a_capture_is_of_something(amount_minor: int) -> None:
    """None is all of it; zero, less and more than any payment is refused."""
    assert amount_of(REQUESTS[Kind.CAPTURE]) is None
    with pytest.raises(InvalidValueError, match=r"^amount_minor: "):
        CapturePayment("pay-1", WHEN, capture_id="it-1", amount_minor=amount_minor)


def test_a_refund_is_of_something() -> None:
    """A refund of nothing is refused."""
    assert 5 == amount_of(REQUESTS[Kind.REFUND])
    with pytest.raises(InvalidValueError, match=r"^amount_minor: must be at least 1"):
        RefundPayment("pay-1", WHEN, refund_id="it-1", money=Money(0, "USD"))


@pytest.mark.parametrize("continuation", range(1, 10))
def test_a_refund_that_goes_on_is_work_of_its_own(continuation: int) -> None:
    """Each continuation has its own operation, says which one it goes on with, and stays the same refund."""
    first = RefundPayment("pay-1", WHEN, refund_id="it-1", money=Money(5, "USD"))
    refund = replace(first, continuation=continuation)
    assert "it-1" == refund.request_id
    if continuation == 1:
        assert ("refund:it-1", None) == (refund.operation_id, refund.goes_on)
        return
    assert f"refund:it-1#{continuation}" == refund.operation_id
    assert replace(first, continuation=continuation - 1).operation_id == refund.goes_on


@pytest.mark.parametrize("continuation", [0, -1, 10])
def test_continuations_are_bounded(continuation: int) -> None:
    """A refund that goes on for ever would be a loop through Kafka."""
    with pytest.raises(InvalidValueError, match=r"^continuation: must be from 1 to 9"):
        RefundPayment(
            "pay-1", WHEN, refund_id="it-1", money=Money(5, "USD"), continuation=continuation
        )


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("ruling.by", {"by": ""}),
        ("ruling.by", {"by": "  "}),
        ("ruling.why", {"why": " "}),
        ("ruling.why", {"why": "x" * 256}),
        ("ruling.transaction_id", {"transaction_id": "12a"}),
        ("ruling.transaction_id", {"transaction_id": "1" * 21}),
    ],
)
def test_a_ruling_names_who_and_why(field: str, change: dict[str, str]) -> None:
    """A person's word is kept for ever, so it says whose it is and why; a transaction id is one of the gateway's."""
    whole: dict[str, Any] = {"happened": True, "by": "ann", "why": "seen", **change}
    with pytest.raises(InvalidValueError, match=rf"^{field}: "):
        Ruling(**whole)


@pytest.mark.parametrize(("amount_minor", "taken"), [(0, True), (1, True), (2, False)])
def test_a_means_is_tested_with_nothing_or_one(amount_minor: int, *, taken: bool) -> None:
    """To verify a means nothing is to be taken: zero, or one minor unit that is let go again."""
    change: dict[str, Any] = {"mode": Mode.VERIFY, "money": Money(amount_minor, "USD")}
    if taken:
        assert Mode.VERIFY is replace(COMMAND, **change).mode
        return
    with pytest.raises(InvalidValueError, match=r"^amount_minor: must be 0 or 1"):
        replace(COMMAND, **change)


def test_half_an_address_is_never_mixed_with_another() -> None:
    """The command's address counts as a whole, the other one only where the command has none."""
    mine, other = Address(city="Berlin"), Address(first_name="Ann", city="Bonn")
    assert mine == mine.over(other)
    assert other == Address().over(other)


@given(st.text(max_size=80))
def test_any_id_is_taken_or_refused_by_name(value: str) -> None:
    """Whatever comes in, it is either taken as it is or refused with the field's name: no other error."""
    outcome: tuple[str, str]
    try:
        outcome = ("taken", replace(COMMAND, payment_id=value).payment_id)
    except InvalidValueError as refused:
        outcome = ("refused", refused.field)
    assert outcome in {("taken", value), ("refused", "payment_id")}
