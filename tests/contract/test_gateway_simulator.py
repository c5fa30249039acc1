"""The adapter against the simulated gateway, another program: what was charged there, and what we believe of it."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from handlers.domain.commands import Address, Mode
from handlers.domain.intents import Charge
from handlers.domain.money import Money
from handlers.domain.secret import Secret
from handlers.domain.verdicts import (
    Advice,
    Approved,
    Declined,
    Found,
    Held,
    NotSeen,
    Unknown,
    Unsent,
)
from handlers.gateway.authorizenet.client import AuthorizeNet
from tests.contract.gateway_fixtures import (
    ACCOUNT,
    FixedLease,
    about,
    fresh,
    settings,
)
from tests.contract.simulated_gateway import SimulatedGateway


@pytest.fixture
async def gateway(simulator: SimulatedGateway) -> AsyncIterator[AuthorizeNet]:
    """The adapter in front of a simulator without history."""
    simulator.control("POST", "/reset")
    adapter = AuthorizeNet(settings(simulator.url), lease=FixedLease())
    yield adapter
    await adapter.aclose()


async def unheard(gateway: AuthorizeNet, charge: Charge, *, fault: str) -> bool:
    """Send it where `fault` takes the answer away; True where it is Unknown. Only silence has to be waited for."""
    if not fault.startswith("hang"):
        return isinstance((await gateway.send(charge)).verdict, Unknown)
    config = replace(gateway._settings, total_deadline_s=2.0)
    hasty = AuthorizeNet(config, lease=FixedLease())
    try:
        return isinstance((await hasty.send(charge)).verdict, Unknown)
    finally:
        await hasty.aclose()


@pytest.mark.parametrize("mode", list(Mode))
async def test_a_charge_is_made_and_found(
    gateway: AuthorizeNet, simulator: SimulatedGateway, mode: Mode
) -> None:
    """What we send is taken (so the simulator's schema accepts it), recorded once, and found as it was answered."""
    charge = fresh(mode=mode)
    answer = await gateway.send(charge)
    assert isinstance(answer.verdict, Approved)
    assert answer.verdict.captured is (mode is Mode.SALE)
    assert len(simulator.ledger(charge.invoice_number)) == 1
    found = await gateway.find(about(charge))
    assert isinstance(found, Found)
    assert isinstance(found.verdict, Approved)
    assert answer.verdict.transaction_id == found.verdict.transaction_id
    assert answer.verdict.captured == found.verdict.captured
    assert charge.money.amount_minor == found.verdict.amount_minor
    by_id = await gateway.find(replace(about(charge), transaction_id=answer.verdict.transaction_id))
    assert isinstance(by_id, Found)
    assert found.verdict == by_id.verdict


async def test_a_decline_is_declined_both_ways(gateway: AuthorizeNet) -> None:
    """The vendor's postal code for a decline: declined in the answer and in the list."""
    charge = fresh(billing=Address(zip="46282"))
    answer = await gateway.send(charge)
    assert isinstance(answer.verdict, Declined)
    assert answer.verdict.reason.advice is Advice.SOFT
    found = await gateway.find(about(charge))
    assert isinstance(found, Found)
    assert isinstance(found.verdict, Declined)


@pytest.mark.parametrize("fault", ["held_252", "held_253"])
async def test_a_held_charge_is_held_both_ways(
    gateway: AuthorizeNet, simulator: SimulatedGateway, fault: str
) -> None:
    """What the fraud filters hold is neither success nor failure, in the answer and in the list."""
    simulator.script(fault)
    charge = fresh()
    answer = await gateway.send(charge)
    assert isinstance(answer.verdict, Held)
    found = await gateway.find(about(charge))
    assert isinstance(found, Found)
    assert isinstance(found.verdict, Held)


CHARGED = [
    "lost_answer",
    "hang_after_charge",
    "http_5xx_charged",
    "e00053_charged",
    "e00001_charged",
    "e00104_charged",
    "html_page_charged",
    "half_answer",
]


@pytest.mark.parametrize("fault", CHARGED)
async def test_a_charge_whose_answer_is_lost_is_unknown_and_then_found(
    gateway: AuthorizeNet, simulator: SimulatedGateway, fault: str
) -> None:
    """Charged, and we could not hear it: Unknown at first, the charge itself when asked, charged once."""
    simulator.script(fault)
    charge = fresh()
    assert await unheard(gateway, charge, fault=fault)
    found = await gateway.find(about(charge))
    assert isinstance(found, Found)
    assert isinstance(found.verdict, Approved)
    assert len(simulator.ledger(charge.invoice_number)) == 1


UNCHARGED = [
    "hang_uncharged",
    "reset_before_read",
    "http_5xx_uncharged",
    "e00053_uncharged",
    "e00001_uncharged",
    "e00104_uncharged",
    "html_page_uncharged",
]


@pytest.mark.parametrize("fault", UNCHARGED)
async def test_a_charge_that_never_happened_is_unknown_and_then_absent(
    gateway: AuthorizeNet, simulator: SimulatedGateway, fault: str
) -> None:
    """Not charged, and we could not hear it: Unknown just the same, and a complete scan in which it is absent."""
    simulator.script(fault)
    charge = fresh()
    assert await unheard(gateway, charge, fault=fault)
    finding = await gateway.find(about(charge))
    assert isinstance(finding, NotSeen)
    assert finding.complete
    assert not simulator.ledger(charge.invoice_number)


async def test_a_request_delivered_twice_is_never_declined(
    gateway: AuthorizeNet, simulator: SimulatedGateway
) -> None:
    """The network delivers our one request twice and we hear the second answer: the charge is found, not declined."""
    simulator.script("delivered_twice")
    charge = fresh()
    answer = await gateway.send(charge)
    assert not isinstance(answer.verdict, Declined)
    found = await gateway.find(about(charge))
    assert isinstance(found, Found)
    assert isinstance(found.verdict, Approved)
    assert len(simulator.ledger(charge.invoice_number)) == 1


async def test_a_second_send_of_the_same_charge_is_not_declined(
    gateway: AuthorizeNet, simulator: SimulatedGateway
) -> None:
    """Should a charge ever be sent again, the gateway's guard answers, and we read it as Unknown."""
    charge = fresh()
    await gateway.send(charge)
    answer = await gateway.send(charge)
    assert isinstance(answer.verdict, Unknown)
    assert len(simulator.ledger(charge.invoice_number)) == 1


async def test_test_mode_is_no_success(gateway: AuthorizeNet, simulator: SimulatedGateway) -> None:
    """An account in test mode approves and charges nobody: Unknown with advice to fix it."""
    simulator.control("PUT", "/settings", body={"test_mode": True})
    answer = await gateway.send(fresh())
    assert isinstance(answer.verdict, Unknown)
    assert answer.verdict.reason.advice is Advice.FIX


async def test_a_wrong_currency_is_to_be_fixed(gateway: AuthorizeNet) -> None:
    """The account takes one currency; another is refused before processing."""
    answer = await gateway.send(fresh(money=Money(1234, "EUR")))
    assert isinstance(answer.verdict, Declined)
    assert ("39", Advice.FIX) == (answer.verdict.reason.code, answer.verdict.reason.advice)


async def test_the_probe_tells_good_credentials_from_bad(
    gateway: AuthorizeNet, simulator: SimulatedGateway
) -> None:
    """Good credentials give an empty text, wrong ones the gateway's own words; no charge was sent with them."""
    assert await gateway.probe("main") == ""
    wrong = replace(ACCOUNT, transaction_key=Secret("wrong"))
    config = replace(settings(simulator.url), accounts={"main": wrong})
    stranger = AuthorizeNet(config, lease=FixedLease())
    try:
        assert "E00007" in await stranger.probe("main")
        answer = await stranger.send(fresh())
    finally:
        await stranger.aclose()
    assert isinstance(answer.verdict, Unsent)
    assert "E00007" in answer.verdict.why
