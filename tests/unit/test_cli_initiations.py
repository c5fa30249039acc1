"""What `publish` takes: amounts, tokens and order lines; records are in `test_cli_publish.py`."""

import pytest

from handlers.domain.errors import InvalidValueError
from worker.commands import initiations

PROFILE = {"customer_profile_id": "901", "payment_profile_id": "77"}


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [("12.34", "USD", 1234), ("5", "JPY", 5), ("1.5", "KWD", 1500), ("0.10", "EUR", 10)],
)
def test_amounts_are_exact(amount: str, currency: str, minor: int) -> None:
    """A decimal becomes minor units without rounding."""
    assert minor == initiations.minor_of(amount, currency)


@pytest.mark.parametrize(
    ("amount", "currency", "rule"),
    [
        ("1e3", "USD", "must be a decimal such as 12.34, without a sign"),
        ("-1", "USD", "must be a decimal such as 12.34, without a sign"),
        ("1,5", "USD", "must be a decimal such as 12.34, without a sign"),
        ("NaN", "USD", "must be a decimal such as 12.34, without a sign"),
        ("", "USD", "must be a decimal such as 12.34, without a sign"),
        (" 1", "USD", "must be a decimal such as 12.34, without a sign"),
        ("12.34" + "0" * 20 + "1", "USD", "must be a decimal such as 12.34, without a sign"),
        ("12.345", "USD", "must be a decimal of 2 decimals at most: USD has no more"),
        ("5.5", "JPY", "must be a decimal without decimals: JPY has no more"),
        ("1" * 30, "USD", "must be a decimal of at most 100000000000.00 USD"),
        ("10000000000001", "JPY", "must be a decimal of at most 10000000000000 JPY"),
    ],
)
def test_amounts_that_cannot_be_are_refused(amount: str, currency: str, rule: str) -> None:
    """Refused, never rounded, and each for what is wrong: no decimal, too fine, too large."""
    with pytest.raises(InvalidValueError) as caught:
        initiations.minor_of(amount, currency)
    assert ("amount", rule) == (caught.value.field, caught.value.rule)


def test_means_from_flags() -> None:
    """A wallet's name and CUSTOMER:PAYMENT become the schema's records."""
    googled = initiations.token_record("t", "google_pay")
    assert "COMMON.GOOGLE.INAPP.PAYMENT" == googled["data_descriptor"]
    assert PROFILE == initiations.profile_record("901:77")
    with pytest.raises(InvalidValueError, match="accept_js, apple_pay, google_pay"):
        initiations.token_record("t", "paypal")
    with pytest.raises(InvalidValueError, match="CUSTOMER:PAYMENT"):
        initiations.profile_record("901")


def test_order_lines_from_flags() -> None:
    """SKU:QUANTITY:PRICE, the price in the payment's currency."""
    assert {"sku": "mug", "quantity": 2, "unit_minor": 990} == initiations.line_record(
        "mug:2:9.90", "USD"
    )
    for text, rule in {
        "mug": "must be SKU:QUANTITY:UNIT_PRICE, such as mug:2:9.90",
        "mug:1": "must be SKU:QUANTITY:UNIT_PRICE, such as mug:2:9.90",
        ":1:2": "must be SKU:QUANTITY:UNIT_PRICE, such as mug:2:9.90",
        "mug:1:-2": "its price must be a decimal such as 12.34, without a sign",
    }.items():
        with pytest.raises(InvalidValueError) as caught:
            initiations.line_record(text, "USD")
        assert ("--line", rule) == (caught.value.field, caught.value.rule)


def test_a_billing_address_from_flags() -> None:
    """FIELD=TEXT each; what has no sign between the two was once taken for an empty field, and charged."""
    given = ["city=Berlin", "address=Unter = 1"]
    assert {"city": "Berlin", "address": "Unter = 1"} == initiations.billing_record(given)
    for wrong in ("city", "=Berlin", ""):
        with pytest.raises(InvalidValueError, match=r"--billing: must be FIELD=TEXT"):
            initiations.billing_record([wrong])


def test_an_address_of_the_net_and_a_deadline_are_looked_at() -> None:
    """What the gateway or the worker would refuse, or drop, is refused before anything is sent."""
    assert "" == initiations.ip_address("")
    assert "203.0.113.7" == initiations.ip_address("203.0.113.7")
    with pytest.raises(InvalidValueError, match=r"--customer-ip: must be an address"):
        initiations.ip_address("999.1.1.1")
    assert initiations.deadline(None) is None
    assert initiations.deadline("+60") is not None
    for over in ("2020-01-01T00:00:00Z", "+0"):
        with pytest.raises(InvalidValueError, match=r"--not-after: must be a time to come"):
            initiations.deadline(over)
    with pytest.raises(InvalidValueError, match=r"--not-after: must be a time with its zone"):
        initiations.deadline("tomorrow")


def test_fresh_ids_are_new_and_sort_by_time() -> None:
    """26 signs of Crockford's alphabet, none twice."""
    ids = {initiations.fresh_id() for _ in range(100)}
    assert 100 == len(ids)
    assert {26} == {len(it) for it in ids}
    assert min(ids)[:6] == max(ids)[:6]
