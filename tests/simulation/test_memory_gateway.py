"""What the memory gateway can do beyond the port's suite: its door, its faults, and what is written down."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest

from handlers.domain.commands import Mode
from handlers.domain.errors import Unavailable
from handlers.domain.money import Money
from handlers.domain.verdicts import Approved, Declined, Found, NotSeen, Unknown, Unsent
from tests.contract.gateway_fixtures import fresh
from tests.contract.gateway_shop import capture_of, refund_of
from tests.simulation.memory_gateway import DoorSettings
from tests.simulation.memory_gateway_faults import Dice, Fate, Odds
from tests.simulation.memory_gateway_shop import HOUR_S, NOON, PROFILE, Shop, code_of


async def test_a_request_may_be_worked_on_when_nobody_waits_any_more() -> None:
    """Unknown at the deadline, absent in a complete scan, and there in the end."""
    shop, charge = Shop(), fresh()
    late = Fate(arrives_s=HOUR_S, answer_s=None)
    assert "worker.no_answer" == code_of(await shop.send(charge, late))
    assert timedelta(seconds=60) == shop.clock.at - NOON
    unseen = await shop.find(charge)
    assert isinstance(unseen, NotSeen)
    assert unseen.complete
    shop.clock.forward(HOUR_S)
    assert isinstance(await shop.find(charge), Found)


async def test_a_worker_that_dies_takes_nothing_back() -> None:
    """A call that is broken off is worked on all the same, and nobody heard its end."""
    shop, charge = Shop(), fresh()
    call = asyncio.create_task(shop.send(charge, Fate(arrives_s=5.0, answer_s=9.0)))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert 1 == shop.rows(charge)
    assert [None] == [send["heard_n"] for send in shop.ledger.sends]


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("code", ["E00053", "worker.http_503"])
async def test_an_error_hides_what_was_done(code: str, *, done: bool) -> None:
    """The same code is heard whether the charge was booked or not."""
    shop, charge = Shop(), fresh()
    fate = Fate(arrives_s=0.0 if done else None, instead=code)
    assert code == code_of(await shop.send(charge, fate))
    assert int(done) == shop.rows(charge)


@pytest.mark.parametrize("enhanced", [True, False])
async def test_the_same_content_within_the_window_is_a_duplicate(*, enhanced: bool) -> None:
    """Reason 11 is unknown, and names the original where the gateway does; nothing is booked twice."""
    shop = Shop(enhanced=enhanced)
    charge, sold = await shop.sold(means=PROFILE)
    async with shop.gateway.slot("main"):
        again = await shop.gateway.send(charge)
    assert "11" == code_of(again.verdict)
    assert (sold if enhanced else None) == again.evidence.get("transaction_id")
    assert 1 == shop.rows(charge)
    other = replace(charge, money=Money(1, "USD"))
    assert isinstance(await shop.send(other), Approved)
    shop.clock.forward(28_800.0)
    assert isinstance(await shop.send(charge), Approved)
    assert 3 == shop.rows(charge)


async def test_a_request_that_is_delivered_twice_is_worked_on_once() -> None:
    """The answer of the second delivery is a duplicate's, on the first attempt."""
    shop, charge = Shop(), fresh()
    assert "11" == code_of(await shop.send(charge, Fate(twice=True)))
    assert 1 == shop.rows(charge)


async def test_a_token_is_good_for_one_request() -> None:
    """Another charge with the same token is not decided by its answer."""
    shop = Shop()
    charge, _ = await shop.sold()
    other = replace(fresh(), means=charge.means)
    assert "E00114" == code_of(await shop.send(other))
    assert 0 == shop.rows(other)


@pytest.mark.parametrize(
    ("left_s", "connect_s", "passes"),
    [(62.0, 0.0, False), (62.1, 0.0, True), (42.1, 20.0, True), (99.0, 60.0, False)],
)
async def test_the_gate_wants_a_lease_that_outlives_the_call(
    left_s: float, connect_s: float, *, passes: bool
) -> None:
    """What is left of the deadline of 60 s and a margin of 2 s must fit into the lease; nothing else leaves."""
    shop, charge = Shop(), fresh()
    shop.lease.left_s = left_s
    verdict = await shop.send(charge, Fate(connect_s=connect_s))
    assert passes is isinstance(verdict, Approved)
    assert passes or isinstance(verdict, Unsent)
    assert int(passes) == len(shop.ledger.sends) == shop.rows(charge)


async def test_a_gate_without_the_lease_is_a_bug_that_can_be_planted() -> None:
    """It passes, and the log of the door shows the lease."""
    shop = Shop(settings=DoorSettings(checks_lease=False))
    shop.lease.left_s = 1.0
    await shop.sold()
    assert [(1.0, 60.0)] == [(it["lease_s"], it["left_s"]) for it in shop.ledger.sends]


async def test_what_was_refused_before_the_gate_leaves_no_trace() -> None:
    """No row, no log, and the breaker has heard of it."""
    shop, charge = Shop(settings=DoorSettings(breaker_after=1)), fresh()
    assert isinstance(await shop.send(charge, Fate(unsent="connection refused")), Unsent)
    assert 0 == shop.rows(charge) == len(shop.ledger.sends)
    assert not shop.gateway.available
    with pytest.raises(Unavailable):
        await shop.send(charge)
    shop.clock.forward(1.0)
    assert shop.gateway.available


@pytest.mark.parametrize("swallows", [True, False])
async def test_an_outage_refuses_or_swallows(*, swallows: bool) -> None:
    """Nothing is booked; nobody can be asked, and a look says so."""
    shop, charge = Shop(), fresh()
    shop.ledger.away, shop.ledger.swallows = "no route to host", swallows
    assert isinstance(await shop.send(charge), Unknown if swallows else Unsent)
    unseen = await shop.find(charge)
    assert isinstance(unseen, NotSeen)
    assert not unseen.complete
    with pytest.raises(Unavailable):
        await shop.look(charge)
    shop.ledger.away = ""
    assert 0 == shop.rows(charge)


async def test_too_much_is_refused_where_the_gateway_checks() -> None:
    """Else only the worker stands between a customer and a second refund, be it the same one once more."""
    for checks in (True, False):
        shop = Shop(checks_amounts=checks)
        _, sold = await shop.sold()
        _, held = await shop.sold(mode=Mode.AUTHORISE)
        shop.ledger.settle()
        first = refund_of(sold, 600)
        assert isinstance(await shop.send(first), Approved)
        again = await shop.send(replace(first, attempt=2))
        assert isinstance(again, Unknown if checks else Approved)
        for intent in (refund_of(sold, 700), capture_of(held, 1235)):
            expected = Declined if checks else Approved
            assert isinstance(await shop.send(intent), expected)


async def test_what_passes_the_gate_is_written_down() -> None:
    """Who sent what, what stood in the journal at that moment, and who heard the end of it; questions likewise."""
    shop = Shop()
    charge, _ = await shop.sold()
    await shop.find(fresh())
    [send] = shop.ledger.sends
    known = {"state": "open", "invoice_number": charge.invoice_number}
    assert (charge.operation_id, "charge", "one", known) == (
        send["operation_id"],
        send["about"],
        send["session"],
        send["known"],
    )
    assert send["n"] < send["heard_n"]
    assert [("find", True)] == [(ask["what"], ask["complete"]) for ask in shop.ledger.asks]


async def test_the_same_seed_is_the_same_day() -> None:
    """Every draw comes from the run's own chance."""

    async def day(seed: int) -> list[str]:
        odds = Odds(lost_after=0.2, late=0.1, hidden=0.2, declined=0.2, held=0.1)
        shop = Shop(fates=Dice(Random(seed), odds))
        said = []
        for number in range(20):
            charge = replace(fresh(), invoice_number=f"D{number}", means=PROFILE)
            said.append(str(await shop.send(charge)))
            said.append(str(await shop.find(charge)))
        return said

    assert await day(1) == await day(1)
    assert await day(1) != await day(2)


async def test_an_account_that_is_refused_makes_payments_wait() -> None:
    """Surely not sent, as far as money goes; the door's log says so, and the breaker opens at once."""
    shop, charge = Shop(), fresh()
    assert isinstance(await shop.send(charge, Fate(arrives_s=None, locked_out=True)), Unsent)
    assert 0 == shop.rows(charge)
    assert [True] == [send["refused"] for send in shop.ledger.sends]
    assert not shop.gateway.available
