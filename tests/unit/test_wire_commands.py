"""Records become commands, or the field and the rule are named; never the value."""

from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avro.catalog import PAYMENT_INITIATION, Catalog
from avro.commands import from_command, to_command
from avro.reader import Reader
from avro.writer import Writer, single_object_headers
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
from handlers.domain.money import EXPONENTS, MAX_MINOR, Money
from handlers.domain.secret import Secret

CATALOG = Catalog()
READER = Reader(CATALOG)
WRITER = Writer(CATALOG, single_object_headers(CATALOG, {"t": PAYMENT_INITIATION}))

IDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], min_codepoint=32), max_size=40)
TIMES = st.datetimes(timezones=st.just(UTC))
MEANS = st.one_of(
    st.builds(
        OpaqueData,
        st.sampled_from(sorted(WALLET_DESCRIPTORS)),
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300).map(Secret),
    ),
    st.builds(
        StoredProfile,
        st.from_regex(r"[0-9]{1,20}", fullmatch=True),
        st.from_regex(r"[0-9]{1,20}", fullmatch=True),
    ),
)
COMMANDS = st.builds(
    InitiatePayment,
    payment_id=IDS,
    order_id=IDS,
    user_id=IDS,
    money=st.builds(Money, st.integers(1, MAX_MINOR), st.sampled_from(sorted(EXPONENTS))),
    mode=st.sampled_from(Mode),
    means=MEANS,
    issued_at=TIMES,
    not_after=st.none() | TIMES,
    billing=st.builds(Address, **{each.name: TEXTS for each in fields(Address)}),
    customer_ip=TEXTS,
    description=TEXTS,
    lines=st.lists(
        st.builds(
            Line, TEXTS.filter(bool), TEXTS, st.integers(1, 1_000_000), st.integers(0, MAX_MINOR)
        ),
        max_size=5,
    ).map(tuple),
)


@settings(max_examples=150, deadline=None)
@given(command=COMMANDS)
def test_every_command_survives_the_wire(command: InitiatePayment) -> None:
    """Whatever the domain accepts is the same after it was encoded and decoded."""
    assert command == to_command(from_command(command))
    payload = WRITER.encode_command(command, topic="t")
    assert command == to_command(READER.read(PAYMENT_INITIATION, payload))


def record() -> dict[str, object]:
    """A good record to be spoilt."""
    return {
        "payment_id": "pay-1",
        "order_id": "order-1",
        "user_id": "user-1",
        "amount_minor": 1234,
        "currency": "USD",
        "mode": "SALE",
        "means": {"data_descriptor": "COMMON.ACCEPT.INAPP.PAYMENT", "data_value": "tok-secret"},
        "issued_at": datetime(2026, 1, 2, tzinfo=UTC),
        "not_after": None,
        "billing": {"zip": "46282"},
        "customer_ip": "",
        "description": "",
        "lines": [{"sku": "a", "name": "b", "quantity": 1, "unit_minor": 1234}],
    }


LINE: dict[str, object] = {"sku": "a", "name": "b", "quantity": 1, "unit_minor": 5}


@pytest.mark.parametrize(
    ("field", "value", "named", "rule"),
    [
        ("payment_id", None, "payment_id", "is missing"),
        ("payment_id", 5, "payment_id", "must be a text"),
        ("payment_id", "a b", "payment_id", "1 to 64 characters"),
        ("payment_id", "x" * 65, "payment_id", "1 to 64 characters"),
        ("order_id", "", "order_id", "1 to 64 characters"),
        ("amount_minor", -5, "amount_minor", "must be from 0"),
        ("amount_minor", 0, "amount_minor", "at least 1"),
        ("amount_minor", 2**62, "amount_minor", "must be from 0"),
        ("amount_minor", True, "amount_minor", "must be a whole number"),
        ("amount_minor", 12.5, "amount_minor", "must be a whole number"),
        ("amount_minor", None, "amount_minor", "is missing"),
        ("currency", "usd", "currency", "ISO 4217"),
        ("currency", "XXX", "currency", "ISO 4217"),
        ("mode", "UNSPECIFIED", "mode", "SALE or AUTHORISE"),
        ("mode", None, "mode", "SALE or AUTHORISE"),
        ("mode", ["SALE"], "mode", "SALE or AUTHORISE"),
        ("means", None, "means", "is missing"),
        ("means", "4111", "means", "must be opaque data"),
        ("means", {}, "means.customer_profile_id", "is missing"),
        ("means", {"data_value": "tok-secret"}, "means.data_descriptor", "is missing"),
        (
            "means",
            {"data_descriptor": "x", "data_value": "tok-secret"},
            "means.data_descriptor",
            "one of",
        ),
        (
            "means",
            {"customer_profile_id": "1" * 21, "payment_profile_id": "1"},
            "means.customer_profile_id",
            "1 to 20 digits",
        ),
        ("issued_at", None, "issued_at", "is missing"),
        ("issued_at", "now", "issued_at", "a time with its zone"),
        ("issued_at", datetime(2026, 1, 2), "issued_at", "a time with its zone"),  # noqa: DTZ001 - the fault
        ("issued_at", 2**62, "issued_at", "years 1 to 9999"),
        ("not_after", "later", "not_after", "a time with its zone"),
        ("billing", [], "billing", "a record of texts"),
        ("billing", {"zip": 46282}, "billing.zip", "must be a text"),
        ("billing", {"city": "a\nb"}, "billing.city", "control characters"),
        ("description", "x" * 256, "description", "at most 255"),
        ("customer_ip", None, "customer_ip", "is missing"),
        ("lines", "none", "lines", "a list of records"),
        ("lines", ["a"], "lines", "a list of records"),
        ("lines", [LINE] * 201, "lines", "at most 200"),
        ("lines", [{**LINE, "quantity": 0}], "lines.quantity", "from 1"),
        ("lines", [{**LINE, "quantity": None}], "lines.quantity", "is missing"),
        ("lines", [{**LINE, "sku": ""}], "lines.sku", "must not be empty"),
        ("lines", [{**LINE, "unit_minor": -1}], "lines.unit_minor", "must be from 0"),
    ],
)
def test_each_fault_names_its_field_and_rule(
    field: str, value: object, named: str, rule: str
) -> None:
    """A wrong field is named with what is allowed; the token next to it is not shown."""
    with pytest.raises(InvalidValueError) as raised:
        to_command({**record(), field: value})
    assert named == raised.value.field
    assert rule in raised.value.rule
    assert "tok-secret" not in str(raised.value)


@pytest.mark.parametrize("field", ["not_after", "billing", "customer_ip", "description", "lines"])
def test_what_may_be_absent_may_be_absent(field: str) -> None:
    """A record from outside Avro, such as a line of JSON, need not name what it does not have."""
    less = record()
    del less[field]
    assert "pay-1" == to_command(less).payment_id


@pytest.mark.parametrize(
    "moment",
    [
        lambda at: at,
        lambda at: at.astimezone(timezone(timedelta(hours=5))),
        lambda at: int(at.timestamp()) * 1_000_000,
    ],
    ids=["utc", "elsewhere", "micros"],
)
def test_a_moment_is_the_same_however_it_is_said(moment: Callable[[datetime], object]) -> None:
    """UTC, another zone and bare microseconds are one moment."""
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert at == to_command({**record(), "issued_at": moment(at)}).issued_at
