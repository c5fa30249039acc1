"""Money: integers of minor units, exact texts, and what comes back from a gateway."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.domain.errors import InvalidValueError
from handlers.domain.money import EXPONENTS, MAX_MINOR, Money, minor_units

amounts = st.integers(min_value=0, max_value=MAX_MINOR)
currencies = st.sampled_from(sorted(EXPONENTS))


@pytest.mark.parametrize(
    ("text", "amount_minor", "currency"),
    [
        ("12.34", 1234, "USD"),
        ("0.01", 1, "EUR"),
        ("0.00", 0, "USD"),
        ("5", 5, "JPY"),
        ("1.005", 1005, "BHD"),
        ("100000000000.00", MAX_MINOR, "USD"),
        ("10000000000000", MAX_MINOR, "JPY"),
    ],
)
def test_the_decimal_is_exact(text: str, amount_minor: int, currency: str) -> None:
    """The text has as many places as the currency, and never an exponent."""
    assert text == Money(amount_minor, currency).decimal_text()


@given(amounts, currencies)
def test_there_and_back(amount_minor: int, currency: str) -> None:
    """What is told as a decimal is read as the same minor units."""
    text = Money(amount_minor, currency).decimal_text()
    assert amount_minor == minor_units(Decimal(text), currency)


@pytest.mark.parametrize(
    ("expected", "amount", "currency"),
    [
        (1230, "12.3", "USD"),
        (1200, "12", "USD"),
        (1200, "12.000", "USD"),
        (500, "5E2", "JPY"),
        (None, "12.345", "USD"),
        (None, "0.5", "JPY"),
        (None, "NaN", "USD"),
    ],
)
def test_an_amount_finer_than_the_currency_is_not_trusted(
    expected: int | None, amount: str, currency: str
) -> None:
    """A reply with a fraction of a minor unit gives None instead of a rounded amount."""
    assert expected == minor_units(Decimal(amount), currency)


@pytest.mark.parametrize("amount_minor", [-1, MAX_MINOR + 1])
def test_the_bounds_name_the_field(amount_minor: int) -> None:
    """An amount out of bounds is refused with the field's name."""
    with pytest.raises(InvalidValueError, match=r"^amount_minor: ") as refused:
        Money(amount_minor, "USD")
    assert "amount_minor" == refused.value.field


@pytest.mark.parametrize("currency", ["", "usd", "XXX", "USD ", "EURO", "BTC"])
def test_an_unknown_currency_is_refused(currency: str) -> None:
    """Only ISO 4217 codes in capitals are taken."""
    with pytest.raises(InvalidValueError, match=r"^currency: "):
        Money(1, currency)


def test_the_currencies_are_well_formed() -> None:
    """The table has three capitals for each code, none twice, and the exponents that ISO 4217 has for money in use."""
    assert {0, 2, 3} == set(EXPONENTS.values())
    assert all(len(code) == 3 and code.isascii() and code.isupper() for code in EXPONENTS)
    assert {"USD": 2, "JPY": 0, "KWD": 3, "ISK": 0, "HUF": 2}.items() <= EXPONENTS.items()


def test_every_sum_fits_a_column() -> None:
    """A hundred thousand of the largest amounts still fit a signed 64-bit column."""
    assert 2**63 > 100_000 * MAX_MINOR
