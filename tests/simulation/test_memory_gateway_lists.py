"""What the memory gateway's lists and details show: lags, the night, walks, and what others do to a charge."""

from dataclasses import replace
from datetime import timedelta

import pytest

from handlers.domain.commands import Mode
from handlers.domain.errors import Unavailable
from handlers.domain.facts import Entry, Sight, Standing
from handlers.domain.intents import About
from handlers.domain.money import Money
from handlers.domain.verdicts import Approved, Declined, Found, NotSeen, NotYet
from tests.contract.gateway_fixtures import fresh
from tests.contract.gateway_shop import capture_of, refund_of, void_of
from tests.simulation.memory_gateway_faults import BatchFate, Fate, ReadFate
from tests.simulation.memory_gateway_shop import HOUR_S, LOST, NOON, PROFILE, UNHEARD, Shop


async def test_lists_lag() -> None:
    """What is not listed yet is not seen by a scan that is complete all the same: absence needs time."""
    shop, charge = Shop(), fresh()
    await shop.send(charge, replace(UNHEARD, listed_s=60.0))
    unseen = await shop.find(charge)
    assert isinstance(unseen, NotSeen)
    assert unseen.complete
    shop.clock.forward(60.0)
    assert isinstance(await shop.find(charge), Found)


async def test_details_lag() -> None:
    """A row in the list whose details are not there yet proves nothing, and is not looked at as absent."""
    shop = Shop()
    charge, sold = await shop.sold(Fate(told_s=60.0))
    for transaction_id in (None, sold):
        unseen = await shop.find(charge, transaction_id)
        assert isinstance(unseen, NotSeen)
        assert not unseen.complete
        assert isinstance(await shop.look(charge, transaction_id), NotSeen)
    shop.clock.forward(60.0)
    assert isinstance(await shop.find(charge, sold), Found)


async def test_a_batch_that_is_cut_off_hides_its_rows() -> None:
    """From the cut-off until its batch is listed a charge is in no list; no scan is complete while that may be."""
    shop = Shop()
    shop.script.batches.append(BatchFate(listed_s=HOUR_S))
    charge, _ = await shop.sold()
    shop.clock.forward(4 * HOUR_S)
    hidden = await shop.find(charge)
    assert isinstance(hidden, NotSeen)
    assert not hidden.complete
    assert "may not be listed yet" in hidden.why
    shop.clock.forward(HOUR_S)
    found = await shop.find(charge)
    assert isinstance(found, Found)
    assert "settledSuccessfully" == found.verdict.reason.code


@pytest.mark.parametrize(
    ("complete", "hours"), [(True, 3.8), (False, 3.9), (False, 4.1), (False, 7.9), (True, 8.1)]
)
async def test_absence_is_proven_outside_of_the_cut_off_only(
    *, complete: bool, hours: float
) -> None:
    """From shortly before the cut-off until the batch is surely through, nobody can know that it never arrived."""
    shop, charge = Shop(), fresh()
    await shop.send(charge, LOST)
    shop.clock.forward(hours * HOUR_S)
    unseen = await shop.find(charge)
    assert isinstance(unseen, NotSeen)
    assert complete is unseen.complete


async def test_a_gap_in_the_list_proves_nothing_but_shows_what_it_has() -> None:
    """A scan with a gap finds what is there, and says of nothing that it is absent."""
    shop = Shop()
    charge, _ = await shop.sold()
    gap = ReadFate(gap="the list shrank while it was read")
    shop.script.reads.extend((gap, gap))
    assert isinstance(await shop.find(charge), Found)
    unseen = await shop.find(fresh())
    assert isinstance(unseen, NotSeen)
    assert not unseen.complete


async def test_a_charge_that_settles_while_it_is_looked_for_is_found() -> None:
    """The unsettled list is read first, so what leaves it in between stands in a batch."""
    shop = Shop()
    charge, _ = await shop.sold()
    shop.clock.forward(4 * HOUR_S - 1.0)
    shop.script.reads.append(ReadFate(first_s=0.5, second_s=1.0))
    assert isinstance(await shop.find(charge), Found)


async def test_a_batch_that_fails_settles_nothing_until_it_goes_again() -> None:
    """Neither void nor refund is taken meanwhile, and the standing is unclear."""
    shop = Shop()
    shop.script.batches.append(BatchFate(fails=True))
    charge, sold = await shop.sold()
    shop.clock.forward(5 * HOUR_S)
    assert Standing.UNCLEAR is await shop.standing(sold)
    for intent in (void_of(sold), refund_of(sold)):
        assert isinstance(await shop.send(intent), NotYet)
    finding = await shop.find(charge, sold)
    assert isinstance(finding, NotSeen)
    assert not finding.complete
    shop.clock.forward(24 * HOUR_S)
    assert Standing.SETTLED is await shop.standing(sold)


async def test_a_look_says_when_the_charge_is_settled() -> None:
    """At that time its batch is through, and the look says since when."""
    shop = Shop()
    charge, _ = await shop.sold()
    waits = await shop.look(charge)
    assert isinstance(waits, Sight)
    assert NOON + timedelta(hours=8) == waits.settles_at
    shop.clock.forward(8 * HOUR_S)
    settled = await shop.look(charge)
    assert isinstance(settled, Sight)
    assert (Standing.SETTLED, None, NOON + timedelta(hours=4)) == (
        settled.standing,
        settled.settles_at,
        settled.settled_at,
    )


async def test_an_authorisation_expires() -> None:
    """After thirty days nothing can be captured, and nothing is there to be void."""
    shop = Shop()
    _, held = await shop.sold(mode=Mode.AUTHORISE)
    shop.clock.forward(31 * 24 * HOUR_S)
    assert Standing.EXPIRED is await shop.standing(held)
    assert isinstance(await shop.send(capture_of(held)), Declined)
    assert isinstance(await shop.send(void_of(held)), NotYet)


async def test_a_person_acts_behind_our_back() -> None:
    """Captures, voids and refunds in the merchant interface change what is found; what the rules forbid is not done."""
    shop = Shop()
    merchant = shop.merchant
    assert not merchant.void("60000000099")
    _, held = await shop.sold(mode=Mode.AUTHORISE)
    assert not merchant.capture(held, 1235)
    assert merchant.capture(held, 1000)
    assert Standing.TAKEN is await shop.standing(held)
    assert not merchant.refund(held, 1)
    shop.ledger.settle()
    assert merchant.refund(held, 1000)
    assert not merchant.void(held)
    assert isinstance(await shop.send(refund_of(held, 1)), Declined)
    charge, sold = await shop.sold()
    assert merchant.void(sold)
    found = await shop.find(charge)
    assert isinstance(found, Found)
    assert isinstance(found.verdict, Declined)
    assert ["worker", "merchant", "worker"] == [row["by"] for row in shop.ledger.told()]


async def test_banks_take_money_back() -> None:
    """A settled card is charged back, a settled bank transfer returned: each seen at the charge, once."""
    shop = Shop()
    merchant = shop.merchant
    _, card = await shop.sold()
    charge, bank = await shop.sold(Fate(bank=True))
    assert not merchant.charge_back(card)
    shop.ledger.settle()
    assert merchant.charge_back(card)
    assert not merchant.give_back(card)
    assert merchant.give_back(bank)
    assert not merchant.give_back(bank)
    assert Standing.CHARGED_BACK is await shop.standing(card)
    assert Standing.RETURNED is await shop.standing(bank)
    as_refund = await shop.find(charge, about=About.REFUND)
    assert isinstance(as_refund, NotSeen)


async def test_two_approvals_under_one_number_are_told() -> None:
    """What a second send out of the window makes: the finding names the other one."""
    shop = Shop()
    charge, first = await shop.sold(means=PROFILE)
    shop.clock.forward(28_800.0)
    assert isinstance(await shop.send(charge), Approved)
    shop.ledger.settle()
    found = await shop.find(charge)
    assert isinstance(found, Found)
    assert isinstance(found.verdict, Approved)
    assert (first,) == found.verdict.others


async def test_a_walk_shows_the_unsettled_first_then_each_batch_once() -> None:
    """The oldest batch first, and the next walk passes over what it has read whole."""
    shop = Shop()
    first, sold = await shop.sold()
    shop.ledger.settle()
    second, more = await shop.sold()
    money = Money(1234, "USD")
    settled = Entry(sold, first.invoice_number, Standing.SETTLED, refunds=False, money=money)
    taken = Entry(more, second.invoice_number, Standing.TAKEN, refunds=False, money=money)
    assert [[taken], [settled]] == await shop.walk()
    assert [[taken]] == await shop.walk()
    shop.ledger.settle()
    assert [[], [replace(taken, standing=Standing.SETTLED)]] == await shop.walk()


async def test_a_batch_that_goes_again_is_walked_again() -> None:
    """Its rows are unclear until the bank has taken them."""
    shop = Shop()
    charge, _ = await shop.sold()
    shop.ledger.settle(fails=True)
    for _ in range(2):
        _, [unclear] = await shop.walk()
        assert (charge.invoice_number, Standing.UNCLEAR) == (
            unclear.invoice_number,
            unclear.standing,
        )
    shop.clock.forward(24 * HOUR_S)
    _, [settled] = await shop.walk()
    assert Standing.SETTLED is settled.standing


@pytest.mark.parametrize("fate", [ReadFate(fails="no answer"), ReadFate(gap="the list shrank")])
async def test_a_walk_that_could_not_read_everything_says_so(fate: ReadFate) -> None:
    """Nobody may take it for the whole."""
    shop = Shop()
    shop.script.reads.append(fate)
    with pytest.raises(Unavailable):
        await shop.walk()
    assert [[]] == await shop.walk()


async def test_a_charge_may_be_rejected_when_it_is_to_be_settled() -> None:
    """Final at the gateway: declined after it was captured."""
    shop = Shop()
    charge, sold = await shop.sold()
    assert shop.merchant.reject(sold)
    assert not shop.merchant.reject(sold)
    shop.ledger.settle()
    assert Standing.DECLINED is await shop.standing(sold)
    found = await shop.find(charge, sold)
    assert isinstance(found, Found)
    assert isinstance(found.verdict, Declined)


@pytest.mark.parametrize("code", ["", "E00053"])
async def test_a_refusal_is_heard_and_silence_is_not(code: str) -> None:
    """Only where the gateway answered was anything learned."""
    shop = Shop()
    shop.script.reads.append(ReadFate(fails="it did not tell", code=code))
    unseen = await shop.find(fresh())
    assert isinstance(unseen, NotSeen)
    assert (False, bool(code)) == (unseen.complete, unseen.heard)
