"""Commands as JSON columns: nothing lost on the way, no secret in them, fingerprints that hold for ever."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings

from db_client import command_json
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
    MerchantReason,
    NetworkToken,
    OpaqueData,
    StoredCredential,
    StoredProfile,
)
from handlers.domain.money import Money
from handlers.domain.secret import Secret
from tests.doubles.strategies import COMMANDS
from tests.doubles.values import MEANS, MIDNIGHT

FULL = InitiatePayment(
    money=Money(1234, "USD"),
    mode=Mode.SALE,
    means=OpaqueData("COMMON.ACCEPT.INAPP.PAYMENT", Secret("one-time-token")),
    issued_at=MIDNIGHT,
    lines=(Line("sku-1", "A book", 2, 617),),
    payment_id="pay-1",
    order_id="ord-1",
    user_id="usr-1",
    not_after=MIDNIGHT + timedelta(hours=1),
    billing=Address(first_name="Ada", zip="98004", email="ada@example.org"),
    customer_ip="192.0.2.7",
    description="Two bööks",
)
# What was once written must be recognised for ever: this text never changes. A new rule is a new version beside it.
PINNED = "1:aba17739880b54578f2dde4479e964c367edb7196eb4c1a45730aa49b9c480e1"

# The same for each kind that came later.
PINNED_LATER = {
    "capture": "1:44f21a5502f7afe7f9a74e47b9d9bd688903afbe8f7c2fa7c4f1ad81ea67082d",
    "void": "1:8ce5c4e6a7b6f90636caa2f428c1e197c8dd788bbe259945d75a1886188cc0b5",
    "refund": "1:a707b10a5d638cde6c176d8b4e90bd0c6088f1adc76ec5a506b5d49de6bfc53c",
    "verification": "1:8a9e08eceb891d00fd287467d378d110256143ef8c8479156c5287b9e283e472",
    "network token": "1:0b918ac6c626f936f658e91624e9f6b3efafb60029fdacc3799d2d68a417894d",
}
OLD_ROW = {  # as the first release wrote it
    "payment_id": "pay-1",
    "order_id": "ord-1",
    "user_id": "usr-1",
    "amount_minor": 1234,
    "currency": "USD",
    "mode": "sale",
    "means": {"kind": "opaque_data", "descriptor": "COMMON.ACCEPT.INAPP.PAYMENT"},
    "issued_at": "2026-03-01T00:00:00+00:00",
    "not_after": "2026-03-01T01:00:00+00:00",
    "billing": {"first_name": "Ada", "zip": "98004", "email": "ada@example.org"},
    "customer_ip": "192.0.2.7",
    "description": "Two bööks",
    "lines": [{"sku": "sku-1", "name": "A book", "quantity": 2, "unit_minor": 617}],
}
TOKEN = NetworkToken(Secret("4111111111111111"), "2030-01", Secret("one-time-cryptogram"))
RULING = Ruling(happened=True, by="ann", why="the bank says so", transaction_id="60001")
LATER: dict[str, Command] = {
    "capture": CapturePayment("pay-1", MIDNIGHT, "usr-1", "shipped", capture_id="cap-1"),
    "void": VoidPayment("pay-1", MIDNIGHT, "usr-1", "sold out", void_id="void-1"),
    "refund": RefundPayment(
        "pay-1", MIDNIGHT, "usr-1", "too small", refund_id="ref-1", money=Money(500, "USD")
    ),
    "verification": VerifyPayment("pay-1", MIDNIGHT, verification_id="ver-1", ruling=RULING),
    "network token": replace(
        FULL,
        means=TOKEN,
        shipping=Address(zip="98005"),
        tax_minor=100,
        stored_credential=StoredCredential(
            Credential.BY_MERCHANT, "net1", 5, MerchantReason.NO_SHOW
        ),
        cardholder_authentication=CardholderAuthentication("05", Secret("one-time-cavv")),
    ),
}


@settings(deadline=None, max_examples=100)  # the clock of a busy machine proves nothing
@given(COMMANDS)
def test_there_and_back(of: Command) -> None:
    """Every command comes back equal from JSON text and its secrets, with the same fingerprint."""
    value = json.loads(json.dumps(command_json.to_json(of)))
    back = command_json.from_json(value, secret=command_json.secret_of(of))
    assert of == back
    assert command_json.fingerprint(of) == command_json.fingerprint(back)


@settings(deadline=None, max_examples=100)
@given(COMMANDS)
def test_without_its_secrets_a_command_still_reads(of: Command) -> None:
    """Once all is final the secrets are erased: whatever command it was, the rest of it can be shown."""
    back = command_json.from_json(command_json.to_json(of), secret=None)
    assert command_json.to_json(of).keys() - {"sealed"} == command_json.to_json(back).keys() - {
        "sealed"
    }
    assert of.operation_id == back.operation_id


def test_old_rows_read() -> None:
    """What the first release wrote into the journal is the same command today, and is written the same."""
    assert FULL == command_json.from_json(OLD_ROW, secret="one-time-token")
    assert OLD_ROW == command_json.to_json(FULL)
    profile = {"kind": "stored_profile", "customer_profile_id": "1", "payment_profile_id": "2"}
    kept = command_json.from_json({**OLD_ROW, "means": profile}, secret=None)
    assert replace(FULL, means=StoredProfile("1", "2")) == kept


@pytest.mark.parametrize("of", [FULL, *LATER.values()], ids=["token", *LATER])
def test_no_secret_is_in_the_clear(of: Command) -> None:
    """Neither the JSON nor the fingerprint holds a secret, however many there are; the sealed text holds all."""
    clear = json.dumps(command_json.to_json(of)) + command_json.fingerprint(of)
    sealed = command_json.secret_of(of) or ""
    secrets = ["one-time-token"] if of is FULL else []
    if of is LATER["network token"]:
        secrets = ["4111111111111111", "one-time-cryptogram", "one-time-cavv"]
    assert all(secret not in clear and secret in sealed for secret in secrets)
    assert bool(secrets) == bool(sealed)


def test_a_security_code_leaves_no_trace() -> None:
    """Three digits can be guessed from any hash of them: that there is a code counts, which one does not."""
    plain = replace(FULL, means=StoredProfile("1", "2"))
    coded, other = (
        replace(FULL, means=StoredProfile("1", "2", security_code=Secret(code)))
        for code in ("123", "987")
    )
    assert command_json.fingerprint(coded) == command_json.fingerprint(other)
    assert command_json.fingerprint(coded) != command_json.fingerprint(plain)
    assert coded == command_json.from_json(
        command_json.to_json(coded), secret=command_json.secret_of(coded)
    )
    assert plain == command_json.from_json(command_json.to_json(coded), secret=None)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("capture", {"amount_minor": 5}),
        ("capture", {"payment_id": "pay-2"}),
        ("void", {"reason": "broken"}),
        ("void", {"user_id": ""}),
        ("refund", {"money": Money(501, "USD")}),
        ("refund", {"money": Money(500, "EUR")}),
        ("refund", {"continuation": 2}),
        ("verification", {"ruling": None}),
        ("verification", {"ruling": replace(RULING, happened=False)}),
        ("network token", {"means": replace(TOKEN, token=Secret("4111111111111112"))}),
        ("network token", {"means": replace(TOKEN, cryptogram=Secret("another"))}),
        ("network token", {"means": replace(TOKEN, expires="2031-01")}),
        ("network token", {"shipping": Address()}),
        ("network token", {"tax_minor": 0}),
        ("network token", {"stored_credential": None}),
        ("network token", {"cardholder_authentication": None}),
        (
            "network token",
            {"cardholder_authentication": CardholderAuthentication("05", Secret("another"))},
        ),
    ],
)
def test_every_field_of_the_later_kinds_counts(name: str, changes: dict[str, Any]) -> None:
    """The same rule for every kind of command: other content under the same id is seen."""
    command = LATER[name]
    assert command_json.fingerprint(command) != command_json.fingerprint(
        replace(command, **changes)
    )


@pytest.mark.parametrize("name", LATER)
def test_the_later_fingerprints_never_change(name: str) -> None:
    """A release that computes another one makes a conflict of every repeat; a new time of issue is no new content."""
    command = LATER[name]
    assert PINNED_LATER[name] == command_json.fingerprint(command)
    later = replace(command, issued_at=MIDNIGHT + timedelta(days=1))
    assert PINNED_LATER[name] == command_json.fingerprint(later)


def test_an_erased_token_says_so() -> None:
    """Without its secret the command says that it was erased, and what holds none seals none."""
    assert "one-time-token" == command_json.secret_of(FULL)
    erased = command_json.from_json(command_json.to_json(FULL), secret=None)
    assert isinstance(erased, InitiatePayment)
    assert isinstance(erased.means, OpaqueData)
    assert "erased" == erased.means.value.reveal()
    assert command_json.secret_of(replace(FULL, means=StoredProfile("1", "2"))) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"order_id": "ord-2"},
        {"user_id": "usr-2"},
        {"money": Money(1235, "USD")},
        {"money": Money(1234, "EUR")},
        {"mode": Mode.AUTHORISE},
        {"means": replace(MEANS, value=Secret("another"))},
        {"means": StoredProfile("1", "2")},
        {"billing": Address(first_name="Ada", zip="98005")},
        {"customer_ip": "192.0.2.8"},
        {"description": "Two books"},
        {"lines": ()},
    ],
)
def test_every_business_field_is_in_the_fingerprint(changes: dict[str, Any]) -> None:
    """Other content under the same id is seen, whichever field it is in."""
    assert command_json.fingerprint(FULL) != command_json.fingerprint(replace(FULL, **changes))


def test_when_it_was_issued_is_not_in_the_fingerprint() -> None:
    """A producer that publishes again may stamp the times anew: it is the same command."""
    later = replace(FULL, issued_at=MIDNIGHT + timedelta(days=1), not_after=None)
    assert command_json.fingerprint(FULL) == command_json.fingerprint(later)


def test_the_fingerprint_never_changes() -> None:
    """A release that would compute other fingerprints would turn every redelivery into a conflict."""
    assert PINNED == command_json.fingerprint(FULL)
