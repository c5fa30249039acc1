"""The invoice number: derived, stable for ever, within the gateway's limit."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.domain.invoices import INVOICE_LENGTH, invoice_number

KEY = bytes(range(32))
ID = "initiation:pay-1"


def test_it_never_changes() -> None:
    """The number of one known operation is written down here: if it changes, no charge that is out is found again."""
    assert "47GMK6ZJ6J7FUYBOM5BA" == invoice_number(KEY, environment="sandbox", operation_id=ID)


@given(st.binary(min_size=1), st.text(), st.text())
def test_it_fits_the_gateway(key: bytes, environment: str, operation_id: str) -> None:
    """Always 20 characters of A to Z and 2 to 7."""
    number = invoice_number(
        key,
        environment=environment.encode(errors="ignore").decode(),
        operation_id=operation_id.encode(errors="ignore").decode(),
    )
    assert re.fullmatch(r"[A-Z2-7]{20}", number)
    assert 20 == INVOICE_LENGTH


@pytest.mark.parametrize(
    ("key", "environment", "operation_id"),
    [
        (KEY[::-1], "sandbox", ID),
        (KEY, "production", ID),
        (KEY, "sandbox", "initiation:pay-2"),
    ],
    ids=["key", "environment", "operation"],
)
def test_each_part_counts(key: bytes, environment: str, operation_id: str) -> None:
    """Another key, environment or operation is another number."""
    one = invoice_number(KEY, environment="sandbox", operation_id=ID)
    assert one != invoice_number(key, environment=environment, operation_id=operation_id)


def test_the_parts_do_not_run_together() -> None:
    """What moves from one part into the next is another number."""
    one = invoice_number(KEY, environment="a", operation_id="b1")
    assert one != invoice_number(KEY, environment="ab", operation_id="1")


def test_a_hundred_thousand_are_different() -> None:
    """Numbers of neighbours do not meet."""
    count = 100_000
    found = {
        invoice_number(KEY, environment="sandbox", operation_id=f"initiation:{at}")
        for at in range(count)
    }
    assert count == len(found)
