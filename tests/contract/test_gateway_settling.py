"""What time, banks and people do to a charge at the simulated gateway, and how we see it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import time, timedelta

import pytest

from handlers.domain.facts import Standing
from handlers.domain.intents import About
from handlers.domain.money import Money
from handlers.domain.verdicts import (
    Approved,
    Declined,
    Found,
    Held,
    NotSeen,
    NotYet,
    Unknown,
)
from handlers.gateway.authorizenet.settings import CutOff
from tests.contract.gateway_fixtures import fresh
from tests.contract.gateway_shop import (
    DAY_S,
    Shop,
    capture_of,
    refund_of,
    shop_at,
    void_of,
)
from tests.contract.simulated_gateway import SimulatedGateway

# The simulator's own cut-off is midnight UTC, and its batches are through at once.
MIDNIGHT = CutOff(time(0), "UTC", through_after_s=600.0)


@pytest.fixture
async def shop(simulator: SimulatedGateway) -> AsyncIterator[Shop]:
    """A shop whose day ends when the simulator's does."""
    async with shop_at(simulator, cut_off=MIDNIGHT) as one:
        yield one


async def test_a_look_says_when_the_charge_is_settled(shop: Shop) -> None:
    """At the time that it told, the batch is through: settled, and the batch's time is known."""
    charge, sold = await shop.charged()
    sight = await shop.look(charge, sold)
    assert (Standing.TAKEN, None) == (sight.standing, sight.settled_at)
    assert sight.settles_at is not None
    assert sight.settles_at > shop.now()
    shop.advance((sight.settles_at - shop.now()).total_seconds())
    settled = await shop.look(charge, sold)
    assert (Standing.SETTLED, None) == (settled.standing, settled.settles_at)
    assert Money(1234, "USD") == settled.money
    assert settled.settled_at is not None
    assert settled.submitted_at is not None
    assert settled.submitted_at < settled.settled_at <= sight.settles_at


@pytest.mark.parametrize("days", [1, 40])
async def test_a_charge_that_settled_meanwhile_is_found(
    shop: Shop, simulator: SimulatedGateway, days: int
) -> None:
    """Its answer was lost and the night passed: it stands in a batch, and is looked at by its number just as well."""
    simulator.script("lost_answer")
    charge = fresh()
    assert isinstance(await shop.send(charge), Unknown)
    await shop.charged()
    shop.advance(days * DAY_S)
    found = await shop.find(charge, None)
    assert isinstance(found, Found)
    assert isinstance(found.verdict, Approved)
    assert (True, 1234) == (found.verdict.captured, found.verdict.amount_minor)
    sight = await shop.look(charge, None)
    assert (Standing.SETTLED, found.verdict.transaction_id) == (
        sight.standing,
        sight.transaction_id,
    )


async def test_a_charge_that_never_was_is_absent_after_the_night(shop: Shop) -> None:
    """A night with a batch in between, and hours after its cut-off: the search is complete without it."""
    await shop.charged()
    charge = fresh()
    shop.advance(DAY_S + MIDNIGHT.through_after_s)
    last = MIDNIGHT.last(shop.now())
    # Away from both ends of the day, wherever this test began.
    shop.advance((last + timedelta(hours=36) - shop.now()).total_seconds())
    finding = await shop.find(charge, None)
    assert isinstance(finding, NotSeen)
    assert finding.complete
    assert 1 == finding.evidence["batches"]


async def test_a_refund_settles_in_its_own_batch_and_is_found_there(shop: Shop) -> None:
    """By its own number, the next night."""
    _, sold = await shop.charged()
    shop.advance(DAY_S)
    refund = refund_of(sold)
    verdict = await shop.send(refund)
    assert isinstance(verdict, Approved)
    shop.advance(DAY_S)
    found = await shop.find_refund(refund)
    assert isinstance(found, Found)
    assert isinstance(found.verdict, Approved)
    assert "refundSettledSuccessfully" == found.verdict.reason.code
    assert verdict.transaction_id == found.verdict.transaction_id


async def test_a_partial_capture_settles_as_such(shop: Shop) -> None:
    """What was captured is what settles, and what may be given back."""
    charge, held = await shop.authorised()
    await shop.send(capture_of(held, 1000))
    shop.advance(DAY_S)
    sight = await shop.look(charge, held)
    assert (Standing.SETTLED, Money(1000, "USD")) == (sight.standing, sight.money)
    assert isinstance(await shop.send(refund_of(held, 1001)), Declined)
    assert isinstance(await shop.send(refund_of(held, 1000)), Approved)


async def test_an_authorisation_expires(shop: Shop) -> None:
    """After thirty days nothing can be captured, and a capture is surely not done; a void has nothing to undo."""
    charge, held = await shop.authorised()
    shop.advance(30 * DAY_S)
    assert Standing.EXPIRED is (await shop.look(charge, held)).standing
    assert isinstance(await shop.send(capture_of(held)), Declined)
    for about in (About.CAPTURE, About.VOID):
        finding = await shop.find(charge, held, about=about)
        assert isinstance(finding, NotSeen)
        assert finding.complete
    found = await shop.find(charge, held)
    assert isinstance(found, Found)
    assert isinstance(found.verdict, Declined)


async def test_a_charge_too_old_is_not_refunded(shop: Shop) -> None:
    """The gateway has the same reason for it as for one that is not settled: only the look tells them apart."""
    charge, sold = await shop.charged()
    shop.settle()
    shop.advance(181 * DAY_S)
    assert isinstance(await shop.send(refund_of(sold)), NotYet)
    sight = await shop.look(charge, sold)
    assert sight.settled_at is not None
    assert shop.now() - sight.settled_at > timedelta(days=180)


async def test_a_batch_that_failed_settles_nothing_until_it_goes_again(shop: Shop) -> None:
    """Neither void nor refund is taken meanwhile, and the standing is unclear rather than guessed."""
    charge, sold = await shop.charged()
    shop.settle(fail=True)
    sight = await shop.look(charge, sold)
    assert (Standing.UNCLEAR, None) == (sight.standing, sight.settled_at)
    assert isinstance(await shop.send(void_of(sold)), NotYet)
    assert isinstance(await shop.send(refund_of(sold)), NotYet)
    for about in (About.CHARGE, About.CAPTURE, About.VOID):
        finding = await shop.find(charge, sold, about=about)
        assert isinstance(finding, NotSeen)
        assert not finding.complete
    shop.settle()
    assert Standing.SETTLED is (await shop.look(charge, sold)).standing


async def test_a_bank_transfer_is_refunded_masked_and_may_come_back(
    shop: Shop, simulator: SimulatedGateway
) -> None:
    """It is an echeck; it goes back to the masked account; its return is seen at the charge, and is no refund."""
    charge, sold = await shop.banked()
    sight = await shop.look(charge, sold)
    assert (True, "6789") == (sight.method.is_bank, sight.method.last4)
    shop.advance(DAY_S)
    refund = refund_of(sold, method=sight.method)
    assert isinstance(await shop.send(refund), Approved)
    simulator.control("POST", f"/return/{sold}")
    assert Standing.RETURNED is (await shop.look(charge, sold)).standing
    as_refund = replace(refund, invoice_number=charge.invoice_number)
    finding = await shop.find_refund(as_refund)
    assert isinstance(finding, NotSeen)
    found = await shop.find(charge, sold)
    assert isinstance(found, Found)
    assert isinstance(found.verdict, Approved)


async def test_a_refund_to_a_bank_that_cannot_be_looked_up_is_not_sent(shop: Shop) -> None:
    """What a refund must name is read first; where the gateway does not tell it, surely nothing left."""
    charge, sold = await shop.banked()
    sight = await shop.look(charge, sold)
    refund = refund_of("60000000099", method=sight.method)
    verdict = await shop.send(refund)
    assert "unsent" == type(verdict).__name__.lower()


async def test_a_charge_back_is_seen(shop: Shop, simulator: SimulatedGateway) -> None:
    """By the status of the charge."""
    charge, sold = await shop.charged()
    shop.settle()
    simulator.control("POST", f"/chargeback/{sold}")
    assert Standing.CHARGED_BACK is (await shop.look(charge, sold)).standing


@pytest.mark.parametrize(
    ("fault", "action", "standing"),
    [
        ("held_252", "approve", Standing.TAKEN),
        ("held_252", "decline", Standing.DECLINED),
        ("held_253", "approve", Standing.TAKEN),
        ("held_253", "decline", Standing.VOIDED),
    ],
)
async def test_a_held_charge_is_released_or_declined(
    shop: Shop, simulator: SimulatedGateway, *, fault: str, action: str, standing: Standing
) -> None:
    """A person at the gateway decides; until then it is held, afterwards it stands as any other."""
    simulator.script(fault)
    charge = fresh()
    verdict = await shop.send(charge)
    assert isinstance(verdict, Held)
    held = verdict.transaction_id
    assert Standing.HELD is (await shop.look(charge, held)).standing
    simulator.control("POST", f"/held/{held}", body={"action": action})
    assert standing is (await shop.look(charge, held)).standing
    found = await shop.find(charge, held)
    assert isinstance(found, Found)
    assert isinstance(found.verdict, Approved if action == "approve" else Declined)


async def test_a_held_charge_may_be_void(shop: Shop, simulator: SimulatedGateway) -> None:
    """What waits for a person waits no longer."""
    simulator.script("held_253")
    charge = fresh()
    verdict = await shop.send(charge)
    assert isinstance(verdict, Held)
    assert isinstance(await shop.send(void_of(verdict.transaction_id)), Approved)
    assert Standing.VOIDED is (await shop.look(charge, verdict.transaction_id)).standing
