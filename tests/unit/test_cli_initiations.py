"""What `publish` takes: amounts, times, tokens and JSON lines, each checked as the worker will check it."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from handlers.domain.commands import InitiatePayment, Line, Mode, OpaqueData, StoredProfile
from handlers.domain.errors import InvalidValueError
from handlers.domain.money import Money
from handlers.domain.secret import Secret
from worker.commands import initiations
from worker.commands.initiations import BadLine

PROFILE = {"customer_profile_id": "901", "payment_profile_id": "77"}


def record(**changed: Any) -> dict[str, Any]:
    """A good record."""
    return {
        "payment_id": "p-1",
        "order_id": "o-1",
        "user_id": "u-1",
        "amount_minor": 1234,
        "currency": "USD",
        "mode": "SALE",
        "means": PROFILE,
        **changed,
    }


def read(*lines: str) -> list[InitiatePayment | BadLine]:
    """The lines of a file."""
    return list(initiations.from_lines(line.encode() for line in lines))


def test_a_record_becomes_the_command() -> None:
    """Every field of the schema arrives, times as text too, the mode in any case."""
    means = {"data_descriptor": "COMMON.APPLE.INAPP.PAYMENT", "data_value": "token"}
    command = initiations.from_record(
        record(
            mode="authorise",
            means=means,
            issued_at="2026-01-02T03:04:05+00:00",
            not_after="2026-01-02T04:00:00Z",
            billing={"zip": "10115"},
            lines=[{"sku": "mug", "quantity": 2, "unit_minor": 617}],
        )
    )
    assert Mode.AUTHORISE == command.mode
    assert Money(1234, "USD") == command.money
    assert OpaqueData("COMMON.APPLE.INAPP.PAYMENT", Secret("token")) == command.means
    assert datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC) == command.issued_at
    assert datetime(2026, 1, 2, 4, tzinfo=UTC) == command.not_after
    assert "10115" == command.billing.zip
    assert (Line("mug", "", 2, 617),) == command.lines


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"amount_minor": "12"}, "amount_minor: must be a whole number"),
        ({"mode": "refund"}, "mode: must be SALE or AUTHORISE"),
        ({"means": {**PROFILE, "card": "x"}}, "means: must be {data_descriptor"),
        ({"means": None}, "means: is missing"),
        ({"billing": {"postcode": "1"}}, "billing: has 1 field(s) that are not known"),
        ({"lines": [{"sku": "a", "qty": 1}]}, "lines: has 1 field(s)"),
        ({"hush": 1}, "the line: has 1 field(s)"),
        ({"not_after": "tomorrow"}, "not_after: must be a time with its zone"),
        ({"not_after": "2026-01-02T04:00:00"}, "not_after: must be a time with its zone"),
        ({"description": "4111 1111 1111 1111"}, "description: holds what looks like a card"),
        ({"description": "\ud800"}, "description: must be text that UTF-8 can carry"),
    ],
)
def test_a_wrong_field_is_named_with_its_rule(changed: dict[str, Any], says: str) -> None:
    """The error says which field and what is allowed, and repeats no value."""
    with pytest.raises(InvalidValueError) as caught:
        initiations.from_record(record(**changed))
    assert str(caught.value).startswith(says)
    assert "hush" not in str(caught.value)


def test_bad_lines_keep_their_numbers() -> None:
    """Blank lines count, and a good line between bad ones is still a command."""
    found = read("", "{", json.dumps(record()), "[]", '{"a": ' + "9" * 5000 + "}")
    assert [BadLine, InitiatePayment, BadLine, BadLine] == [type(it) for it in found]
    assert [2, 4, 5] == [it.number for it in found if isinstance(it, BadLine)]


def test_one_id_with_two_contents_is_refused() -> None:
    """The same line twice is a harmless repeat; the same id with other content would be a dead letter."""
    found = read(*(json.dumps(record(amount_minor=amount)) for amount in (1, 1, 2)))
    assert [InitiatePayment, InitiatePayment, BadLine] == [type(it) for it in found]
    assert isinstance(found[2], BadLine)
    assert "stands in line 1 with other content" in found[2].why


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [("12.34", "USD", 1234), ("5", "JPY", 5), ("1.5", "KWD", 1500), ("0.10", "EUR", 10)],
)
def test_amounts_are_exact(amount: str, currency: str, minor: int) -> None:
    """A decimal becomes minor units without rounding."""
    assert minor == initiations.minor_of(amount, currency)


@pytest.mark.parametrize("amount", ["12.345", "1e3", "-1", "1,5", "NaN", "", " 1", "1" * 30])
def test_amounts_that_cannot_be_are_refused(amount: str) -> None:
    """Finer than the currency, or no plain decimal: refused, never rounded."""
    with pytest.raises(InvalidValueError, match="amount: must be a decimal such as"):
        initiations.minor_of(amount, "USD")


def test_means_from_flags() -> None:
    """A wallet's name and CUSTOMER:PAYMENT become the schema's records."""
    googled = initiations.token_record("t", "google_pay")
    assert "COMMON.GOOGLE.INAPP.PAYMENT" == googled["data_descriptor"]
    assert PROFILE == initiations.profile_record("901:77")
    profile = initiations.from_record(record()).means
    assert StoredProfile("901", "77") == profile
    with pytest.raises(InvalidValueError, match="accept_js, apple_pay, google_pay"):
        initiations.token_record("t", "paypal")
    with pytest.raises(InvalidValueError, match="CUSTOMER:PAYMENT"):
        initiations.profile_record("901")


def test_order_lines_from_flags() -> None:
    """SKU:QUANTITY:PRICE, the price in the payment's currency."""
    assert {"sku": "mug", "quantity": 2, "unit_minor": 990} == initiations.line_record(
        "mug:2:9.90", "USD"
    )
    with pytest.raises(InvalidValueError, match="--line"):
        initiations.line_record("mug", "USD")


def test_fresh_ids_are_new_and_sort_by_time() -> None:
    """26 signs of Crockford's alphabet, none twice."""
    ids = {initiations.fresh_id() for _ in range(100)}
    assert 100 == len(ids)
    assert {26} == {len(it) for it in ids}
    assert min(ids)[:6] == max(ids)[:6]
