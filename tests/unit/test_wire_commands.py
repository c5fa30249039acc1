"""Records become commands, or the field and the rule are named; never the value."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings

from avro import commands
from avro.catalog import (
    PAYMENT_CAPTURE_REQUEST,
    PAYMENT_INITIATION,
    PAYMENT_VERIFICATION_REQUEST,
    PAYMENT_VOID_REQUEST,
    REFUND_REQUEST,
    Catalog,
)
from avro.command_records import kind_of
from avro.commands import from_command, to_command
from avro.reader import Reader
from avro.writer import Writer, single_object_headers
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
)
from handlers.domain.errors import InvalidValueError
from handlers.domain.means import NetworkToken, StoredProfile
from handlers.domain.money import Money
from tests.doubles.strategies import COMMANDS
from worker import routes

CATALOG = Catalog()
READER = Reader(CATALOG)
WRITER = Writer(CATALOG, single_object_headers(CATALOG, {kind: kind for kind in CATALOG.kinds}))


@settings(max_examples=200, deadline=None)
@given(command=COMMANDS)
def test_every_command_survives_the_wire(command: Command) -> None:
    """Whatever the domain accepts, of every kind, is the same after it was encoded and decoded."""
    kind = kind_of(command)
    assert command == to_command(from_command(command), kind=kind)
    payload = WRITER.encode_command(command, topic=kind)
    assert command == to_command(READER.read(kind, payload), kind=kind)


def test_every_command_kind_has_its_reader() -> None:
    """No command topic is without a function, and no function is of a topic that nobody knows."""
    assert set(routes.COMMANDS) == set(commands.COMMANDS)


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


NETWORK_TOKEN: dict[str, object] = {
    "token": "tok-secret",
    "expires": "2030-01",
    "cryptogram": "tok-secret",
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
        (
            "means",
            {"customer_profile_id": "1", "payment_profile_id": "1", "security_code": "12"},
            "means.security_code",
            "3 or 4 digits",
        ),
        ("network_token", NETWORK_TOKEN, "network_token", "must be null where means says"),
        ("network_token", "4111", "network_token", "must be a record"),
        ("shipping", {"zip": 5}, "shipping.zip", "must be a text"),
        ("tax_minor", "19 %", "tax_minor", "must be a whole number"),
        ("tax_minor", -1, "tax_minor", "must be from 0"),
        ("stored_credential", [], "stored_credential", "must be a record"),
        ("stored_credential", {}, "stored_credential.credential", "is missing"),
        (
            "stored_credential",
            {"credential": "UNSPECIFIED"},
            "stored_credential.credential",
            "must be one of FIRST_RECURRING",
        ),
        (
            "stored_credential",
            {"credential": "BY_MERCHANT", "reason": "BECAUSE"},
            "stored_credential.reason",
            "null or one of RESUBMISSION",
        ),
        (
            "cardholder_authentication",
            {"indicator": "05"},
            "cardholder_authentication.value",
            "is missing",
        ),
        (
            "cardholder_authentication",
            {"indicator": "5-5", "value": "tok-secret"},
            "cardholder_authentication.indicator",
            "1 or 2 letters or digits",
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
        to_command({**record(), field: value}, kind=PAYMENT_INITIATION)
    assert named == raised.value.field
    assert rule in raised.value.rule
    assert "tok-secret" not in str(raised.value)


def asked(kind: str) -> dict[str, Any]:
    """A good record of a request about a payment."""
    base: dict[str, Any] = {"payment_id": "pay-1", "issued_at": datetime(2026, 1, 2, tzinfo=UTC)}
    more: dict[str, dict[str, Any]] = {
        PAYMENT_CAPTURE_REQUEST: {"capture_id": "cap-1"},
        PAYMENT_VOID_REQUEST: {"void_id": "void-1"},
        REFUND_REQUEST: {"refund_id": "ref-1", "amount_minor": 5, "currency": "USD"},
        PAYMENT_VERIFICATION_REQUEST: {"verification_id": "ver-1"},
    }
    return base | more.get(kind, {})


CAPTURE, VOID = PAYMENT_CAPTURE_REQUEST, PAYMENT_VOID_REQUEST
REFUND, VERIFICATION = REFUND_REQUEST, PAYMENT_VERIFICATION_REQUEST
PROFILE = {"customer_profile_id": "1", "payment_profile_id": "2"}
RULING = {"happened": True, "by": "ann", "why": "the bank says so"}


@pytest.mark.parametrize("kind", [CAPTURE, VOID, REFUND, VERIFICATION])
def test_little_is_enough(kind: str) -> None:
    """Who asks and why may be left out of every request."""
    command = to_command(asked(kind), kind=kind)
    assert ("pay-1", "", "") == (command.payment_id, command.user_id, getattr(command, "reason", 0))


@pytest.mark.parametrize(
    ("kind", "field", "value", "rule"),
    [
        (CAPTURE, "payment_id", None, "is missing"),
        (CAPTURE, "capture_id", None, "is missing"),
        (CAPTURE, "capture_id", "a b", "1 to 64 characters"),
        (CAPTURE, "amount_minor", 0, "must be from 1"),
        (CAPTURE, "amount_minor", "5", "must be a whole number"),
        (CAPTURE, "issued_at", None, "is missing"),
        (VOID, "void_id", 5, "must be a text"),
        (VOID, "reason", "x" * 256, "at most 255"),
        (VOID, "user_id", "a b", "1 to 64 characters"),
        (REFUND, "refund_id", "", "1 to 64 characters"),
        (REFUND, "amount_minor", None, "is missing"),
        (REFUND, "amount_minor", 0, "at least 1"),
        (REFUND, "currency", "XXX", "ISO 4217"),
        (REFUND, "continuation", 0, "must be from 1"),
        (VERIFICATION, "verification_id", None, "is missing"),
        (VERIFICATION, "verification_id", "", "1 to 64 characters"),
        (VERIFICATION, "ruling", "yes", "must be a record"),
        (VERIFICATION, "currency", "USD", "no means of payment is verified"),
        (VERIFICATION, "amount_minor", 1, "no means of payment is verified"),
        (VERIFICATION, "billing", {"zip": "1"}, "no means of payment is verified"),
        (VERIFICATION, "means", PROFILE, "a means of payment is verified"),
    ],
)
def test_each_fault_of_a_request_is_named(kind: str, field: str, value: object, rule: str) -> None:
    """A request that breaks a rule is told which field, and what is allowed."""
    with pytest.raises(InvalidValueError) as raised:
        to_command({**asked(kind), field: value}, kind=kind)
    assert (field if field != "means" else "verification_id") == raised.value.field
    assert rule in raised.value.rule


@pytest.mark.parametrize(
    ("changes", "field", "rule"),
    [
        ({"happened": 1}, "ruling.happened", "must be true or false"),
        ({"happened": None}, "ruling.happened", "is missing"),
        ({"by": " "}, "ruling.by", "must not be empty"),
        ({"why": None}, "ruling.why", "is missing"),
        ({"transaction_id": "x"}, "ruling.transaction_id", "1 to 20 digits"),
    ],
)
def test_a_ruling_says_who_and_why(changes: dict[str, object], field: str, rule: str) -> None:
    """Even of our own making, a decision without its person or its reason is none."""
    bad = {**asked(VERIFICATION), "ruling": {**RULING, **changes}}
    with pytest.raises(InvalidValueError) as raised:
        to_command(bad, kind=VERIFICATION)
    assert field == raised.value.field
    assert rule in raised.value.rule


def test_our_own_commands_say_more() -> None:
    """A refund that goes on is work of its own, and a ruling comes through as it was given."""
    going_on = to_command({**asked(REFUND), "continuation": 2}, kind=REFUND)
    assert isinstance(going_on, RefundPayment)
    assert "refund:ref-1#2" == going_on.operation_id
    ruled = to_command({**asked(VERIFICATION), "ruling": RULING}, kind=VERIFICATION)
    assert isinstance(ruled, VerifyPayment)
    assert Ruling(happened=True, by="ann", why="the bank says so") == ruled.ruling


def test_a_capture_of_all_names_no_amount() -> None:
    """Null is everything that is authorised."""
    command = to_command({**asked(CAPTURE), "amount_minor": None}, kind=CAPTURE)
    assert isinstance(command, CapturePayment)
    assert command.amount_minor is None


def a_test_of_means(**changes: object) -> dict[str, Any]:
    """A good record that asks whether a means of payment is good."""
    base = asked("") | {"order_id": "o-1", "user_id": "u-1", "currency": "USD", "means": PROFILE}
    return base | changes


def test_a_verification_with_means_is_a_test_of_them() -> None:
    """It becomes an initiation of nothing in mode verify, under the payment id that the caller chose."""
    command = to_command(a_test_of_means(), kind=VERIFICATION)
    assert isinstance(command, InitiatePayment)
    assert (Mode.VERIFY, Money(0, "USD")) == (command.mode, command.money)
    assert StoredProfile("1", "2") == command.means
    token = {"token": "4" * 16, "expires": "2030-01", "cryptogram": "c"}
    command = to_command(a_test_of_means(means=None, network_token=token), kind=VERIFICATION)
    assert isinstance(command, InitiatePayment)
    assert isinstance(command.means, NetworkToken)


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("order_id", None, "is missing"),
        ("currency", None, "is missing"),
        ("amount_minor", 2, "must be 0 or 1"),
        ("verification_id", "ver-1", "a means of payment is verified"),
        ("reason", "because", "a means of payment is verified"),
        ("ruling", RULING, "a means of payment is verified"),
    ],
)
def test_each_fault_of_a_test_of_means_is_named(field: str, value: object, rule: str) -> None:
    """What belongs to the other face of a verification may not stand where nobody would read it."""
    with pytest.raises(InvalidValueError) as raised:
        to_command(a_test_of_means(**{field: value}), kind=VERIFICATION)
    assert field == raised.value.field
    assert rule in raised.value.rule


@pytest.mark.parametrize(
    "more",
    [
        {"shipping": Address(zip="1")},
        {"lines": (Line("a", "b", 1, 1),)},
        {"tax_minor": 1},
    ],
    ids=str,
)
def test_what_has_no_room_is_not_left_out_in_silence(more: dict[str, Any]) -> None:
    """A test of a means that ships goods is refused when it is encoded: the record would be another command."""
    command = to_command(a_test_of_means(), kind=VERIFICATION)
    assert isinstance(command, InitiatePayment)
    with pytest.raises(InvalidValueError, match=next(iter(more))):
        from_command(replace(command, **more))


@pytest.mark.parametrize("field", ["not_after", "billing", "customer_ip", "description", "lines"])
def test_what_may_be_absent_may_be_absent(field: str) -> None:
    """A record from outside Avro, such as a line of JSON, need not name what it does not have."""
    less = record()
    del less[field]
    assert "pay-1" == to_command(less, kind=PAYMENT_INITIATION).payment_id


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
    assert (
        at == to_command({**record(), "issued_at": moment(at)}, kind=PAYMENT_INITIATION).issued_at
    )
