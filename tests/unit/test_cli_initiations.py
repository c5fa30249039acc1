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
