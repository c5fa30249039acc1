"""One suite for `handlers.ports.Gateway`: over the scripted double, and over the adapter against the simulator.

What Authorize.Net alone can do is in `test_gateway_simulator.py`, how a connection dies in `test_gate_*.py`.
"""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import count
from typing import Protocol

import pytest

from handlers.domain.commands import Address, OpaqueData
from handlers.domain.errors import Unavailable
from handlers.domain.intents import Charge
from handlers.domain.secret import Secret
from handlers.domain.verdicts import (
    Approved,
    Declined,
    Finding,
    Found,
    Held,
    NotSeen,
    Unknown,
    Unsent,
)
from handlers.gateway.authorizenet.client import AuthorizeNet
from handlers.ports import Gateway
from tests.contract.gateway_fixtures import CHARGE, KEY, LOGIN, FixedLease, asked_now, settings
from tests.contract.simulated_gateway import SimulatedGateway
from tests.doubles.gateway import GatewayDouble, Reply
from tests.doubles.values import APPROVED, DECLINED, HELD, UNKNOWN

_numbers = count(1)


class Subject(Protocol):
    """What a test does around the port, on either side."""

    @property
    def gateway(self) -> Gateway:
        """The port."""
        ...

    def decline(self, charge: Charge) -> Charge:
        """The charge as it will be declined."""
        ...

    def hold(self) -> None:
        """The next one is held."""
        ...

    def lose(self, *, charged: bool) -> None:
        """The next answer is lost."""
        ...

    def cut_off(self) -> None:
        """From now on no byte may leave."""
        ...

    async def break_(self) -> None:
        """Open the breaker."""
        ...

    def booked(self, charge: Charge) -> int:
        """How often it was booked."""
        ...


class DoubleSubject:
    """The double."""

    def __init__(self) -> None:
        self.gateway = GatewayDouble()

    def decline(self, charge: Charge) -> Charge:
        """By the script."""
        self.gateway.replies.append(Reply(DECLINED, DECLINED))
        return charge

    def hold(self) -> None:
        """By the script."""
        self.gateway.replies.append(Reply(HELD, HELD))

    def lose(self, *, charged: bool) -> None:
        """By the script."""
        self.gateway.replies.append(Reply(UNKNOWN, APPROVED if charged else None))

    def cut_off(self) -> None:
        """By the script."""
        self.gateway.replies.append(Reply(Unsent("no lease")))

    async def break_(self) -> None:
        """By the script."""
        self.gateway.breaker_open = True

    def booked(self, charge: Charge) -> int:
        """By the ledger."""
        return len(self.gateway.ledger.get(charge.invoice_number, []))


class RealSubject:
    """The adapter in front of the simulator."""

    def __init__(self, simulator: SimulatedGateway) -> None:
        self._simulator = simulator
        self._lease = FixedLease()
        config = settings(simulator.url, breaker_after=1, breaker_first_open_s=60)
        self.gateway = AuthorizeNet(config, lease=self._lease)

    def decline(self, charge: Charge) -> Charge:
        """By the vendor's postal code."""
        return replace(charge, billing=Address(zip="46282"))

    def hold(self) -> None:
        """By the simulator's script."""
        self._simulator.script("held_252")

    def lose(self, *, charged: bool) -> None:
        """By the simulator's script."""
        self._simulator.script("lost_answer" if charged else "reset_before_read")

    def cut_off(self) -> None:
        """The lease is too short for a call."""
        self._lease.left_s = 0.0

    async def break_(self) -> None:
        """One silent call is enough for this one's breaker."""
        self.lose(charged=False)
        await send(self.gateway, fresh())

    def booked(self, charge: Charge) -> int:
        """By the simulator's ledger."""
        return len(self._simulator.ledger(charge.invoice_number))


@pytest.fixture(params=["double", "real"])
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    """The gateway under test."""
    if request.param == "double":
        yield DoubleSubject()
        return
    simulator: SimulatedGateway = request.getfixturevalue("simulator")
    simulator.control("POST", "/reset")
    real = RealSubject(simulator)
    yield real
    await real.gateway.aclose()


def fresh() -> Charge:
    """A charge under its own number with its own token."""
    number = f"PORT{next(_numbers):016d}"
    means = OpaqueData("COMMON.ACCEPT.INAPP.PAYMENT", Secret(f"nonce-{number}"))
    return replace(CHARGE, invoice_number=number, reference=number, means=means)


async def send(gateway: Gateway, charge: Charge) -> object:
    """Send it from a slot; its verdict."""
    async with gateway.slot():
        return (await gateway.send(charge)).verdict


async def find(gateway: Gateway, charge: Charge) -> Finding:
    """Ask for it."""
    asked = asked_now(invoice_number=charge.invoice_number, money=charge.money, mode=charge.mode)
    return await gateway.find(asked)


async def test_what_was_approved_is_booked_once_and_found(subject: Subject) -> None:
    """The answer and the finding are of one transaction, and its evidence is plain JSON."""
    charge = fresh()
    async with subject.gateway.slot():
        answer = await subject.gateway.send(charge)
    assert isinstance(answer.verdict, Approved)
    assert 1 == subject.booked(charge)
    found = await find(subject.gateway, charge)
    assert isinstance(found, Found)
    assert isinstance(found.verdict, Approved)
    assert answer.verdict.transaction_id == found.verdict.transaction_id
    for evidence in (answer.evidence, found.evidence):
        assert json.loads(json.dumps(dict(evidence)))


async def test_a_decline_is_declined_and_found(subject: Subject) -> None:
    """A definite no is the same when it is asked for."""
    charge = subject.decline(fresh())
    assert isinstance(await send(subject.gateway, charge), Declined)
    found = await find(subject.gateway, charge)
    assert isinstance(found, Found)
    assert isinstance(found.verdict, Declined)


async def test_what_is_held_is_held_when_asked_for(subject: Subject) -> None:
    """Held for review is neither success nor failure."""
    subject.hold()
    charge = fresh()
    assert isinstance(await send(subject.gateway, charge), Held)
    found = await find(subject.gateway, charge)
    assert isinstance(found, Found)
    assert isinstance(found.verdict, Held)


@pytest.mark.parametrize("charged", [True, False])
async def test_silence_is_unknown_until_it_is_asked_for(subject: Subject, *, charged: bool) -> None:
    """A lost answer is Unknown whether it was booked or not; the finding tells the two apart."""
    subject.lose(charged=charged)
    charge = fresh()
    assert isinstance(await send(subject.gateway, charge), Unknown)
    assert int(charged) == subject.booked(charge)
    finding = await find(subject.gateway, charge)
    assert isinstance(finding, Found if charged else NotSeen)
    assert isinstance(finding, Found) or finding.complete


async def test_what_was_never_sent_is_not_seen(subject: Subject) -> None:
    """A complete scan without it."""
    finding = await find(subject.gateway, fresh())
    assert isinstance(finding, NotSeen)
    assert finding.complete


async def test_unsent_leaves_no_trace(subject: Subject) -> None:
    """Surely not sent: nothing is booked, nothing is seen."""
    subject.cut_off()
    charge = fresh()
    assert isinstance(await send(subject.gateway, charge), Unsent)
    assert 0 == subject.booked(charge)


async def test_an_open_breaker_gives_no_slot(subject: Subject) -> None:
    """Unavailable names the gateway, and comes before anything is opened."""
    await subject.break_()
    with pytest.raises(Unavailable) as turned_away:
        await send(subject.gateway, fresh())
    assert "gateway" == turned_away.value.what


async def test_the_frozen_request_holds_no_secret(subject: Subject) -> None:
    """What the journal keeps names the charge, is plain JSON, and has neither the token nor the credentials."""
    charge = fresh()
    text = json.dumps(dict(subject.gateway.frozen(charge)))
    assert charge.invoice_number in text
    assert isinstance(charge.means, OpaqueData)
    for secret in (charge.means.value.reveal(), KEY, LOGIN):
        assert secret not in text
