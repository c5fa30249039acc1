"""Commands as JSON columns: nothing lost on the way, no secret in them, fingerprints that hold for ever."""

import json
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db_client import command_json
from handlers.domain.commands import (
    Address,
    InitiatePayment,
    Line,
    Mode,
    OpaqueData,
    StoredProfile,
)
from handlers.domain.money import Money
from handlers.domain.secret import Secret
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

_texts = st.text(st.characters(min_codepoint=32, codec="utf-8"), max_size=40)
_ids = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}", fullmatch=True)
_commands = st.builds(
    InitiatePayment,
    payment_id=_ids,
    order_id=_ids,
    user_id=_ids,
    money=st.builds(Money, st.integers(1, 10**13), st.sampled_from(["USD", "JPY", "BHD"])),
    mode=st.sampled_from(Mode),
    means=st.one_of(
        st.builds(StoredProfile, st.just("123"), st.just("456")),
        st.builds(
            OpaqueData, st.just(MEANS.descriptor), st.text(min_size=1, max_size=9).map(Secret)
        ),
    ),
    issued_at=st.just(MIDNIGHT),
    not_after=st.one_of(st.none(), st.just(MIDNIGHT + timedelta(microseconds=1))),
    billing=st.builds(Address, **{spec.name: _texts for spec in fields(Address)}),
    customer_ip=_texts,
    description=_texts,
    lines=st.lists(
        st.builds(Line, _ids, _texts, st.integers(1, 9), st.integers(0, 99)), max_size=3
    ).map(tuple),
)


@settings(deadline=None, max_examples=60)  # the clock of a busy machine proves nothing
@given(_commands)
def test_there_and_back(of: InitiatePayment) -> None:
    """Every command comes back equal from JSON text and its secret, with the same fingerprint."""
    value = json.loads(json.dumps(command_json.to_json(of)))
    back = command_json.from_json(value, secret=command_json.secret_of(of))
    assert of == back
    assert command_json.fingerprint(of) == command_json.fingerprint(back)


def test_the_secret_is_not_in_the_json() -> None:
    """Neither the JSON nor the fingerprint holds the token; without it the command says that it was erased."""
    assert "one-time-token" not in json.dumps(command_json.to_json(FULL))
    assert "one-time-token" == command_json.secret_of(FULL)
    assert "one-time-token" not in command_json.fingerprint(FULL)
    erased = command_json.from_json(command_json.to_json(FULL), secret=None)
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
