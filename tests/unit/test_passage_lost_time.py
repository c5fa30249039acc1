"""A refund of the whole that the journal, put back in time, has as an open void: what it became is not done twice.

Gateway and db-service live on; the heir knows the copy alone, and that time was lost.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Final

import pytest

from handlers.domain.commands import RefundPayment
from handlers.domain.facts import Standing
from handlers.domain.intents import About
from handlers.domain.recovery import Inquiry, Stage
from handlers.domain.states import PaymentState as S
from handlers.domain.states import RequestState as R
from handlers.domain.verdicts import Advice, Declined, Found, Reason
from handlers.ports import Operation
from tests.doubles.gateway import Reply
from tests.doubles.power import PowerCut
from tests.doubles.values import MIDNIGHT
from tests.doubles.world import World
from tests.unit.request_stage import RULED, TOTAL, Desk, asking, refund, unsettled

MOST: Final = 40  # questions until absence is proven


async def opened(desk: Desk, of: RefundPayment) -> Operation:
    """The copy: the void is on disk, and nobody knows whether it left."""
    operation_id = desk.take(of)

    def cut() -> None:
        raise PowerCut("send")

    desk.world.power.before["send"] = cut
    with pytest.raises(PowerCut):
        await desk.once(operation_id)
    desk.world.power.before.clear()
    desk.world.restart(operation_id)
    desk.world.clock.at += timedelta(seconds=90)
    copy = desk.at(operation_id)
    assert (Stage.OPEN, About.VOID) == (copy.stage, copy.tried)
    return replace(copy, payment=desk.payment)


def heir_of(desk: Desk, copy: Operation) -> Desk:
    """Another session on the journal that was put back to the copy."""
    world = World()
    world.clock.at = desk.world.clock.at + timedelta(hours=1)
    world.gateway.book, world.gateway.ledger = desk.world.gateway.book, desk.world.gateway.ledger
    world.records = desk.world.records
    world.records.power = world.power
    heir = Desk.on(world, payment=copy.payment, row=desk.row)
    inquiry = copy.inquiry
    assert inquiry is not None
    late = replace(inquiry, until=world.clock.at + timedelta(seconds=60), complete_scans=0)
    world.journal.admit(replace(copy, token=copy.token + 1, suspect=True, inquiry=late))
    world.journal.rows[copy.operation_id].attempts = {1: "open"}
    return heir


def told_at_the_end(desk: Desk, of: RefundPayment) -> R:
    """What the db-service has of the refund."""
    return desk.world.records.refunds[of.refund_id][0].state


async def overtaken(desk: Desk, operation_id: str) -> RefundPayment:
    """The settlement was quicker: told as continued; the command that goes on."""
    desk.settle()
    assert R.CONTINUED is (await desk.done(operation_id)).state
    [(_, command)] = desk.commands()
    assert isinstance(command, RefundPayment)
    return command


async def test_what_went_on_in_the_lost_time_goes_on_there() -> None:
    """Told as continued at once, as before; the command that went on is found under its own number, and done once."""
    desk, of = unsettled(), refund()
    copy = await opened(desk, of)
    second = await overtaken(desk, of.operation_id)
    assert R.PROCESSED is (await desk.done(desk.goes_on(second, after=of.operation_id))).state
    heir = heir_of(desk, copy)
    assert R.CONTINUED is (await heir.done(of.operation_id, most=MOST)).state
    late = heir.world.clock.at - timedelta(hours=1)
    name = heir.goes_on(second, after=of.operation_id)
    row = heir.world.row(name)
    known = Inquiry(0, 0, since=MIDNIGHT, until=late, now=late)
    row.operation = replace(row.operation, suspect=True, inquiry=known)
    assert R.PROCESSED is (await heir.done(name)).state
    assert (S.REFUNDED, TOTAL, TOTAL, 0) == (
        heir.payment.state,
        heir.payment.captured_minor,
        heir.payment.refunded_minor,
        heir.payment.refunding_minor,
    )
    assert R.PROCESSED is told_at_the_end(heir, of)
    assert [] == heir.world.gateway.sent


async def test_a_void_that_was_done_in_the_lost_time_is_found_at_once() -> None:
    """The same news under the same version and the same event ids: nobody hears of it twice."""
    desk, of = unsettled(), refund()
    copy = await opened(desk, of)
    desk.row.stands(Standing.VOIDED)
    assert R.PROCESSED is (await desk.done(of.operation_id)).state
    told = [it.event_id for it in desk.world.journal.outbox]
    heir = heir_of(desk, copy)
    assert R.PROCESSED is (await heir.done(of.operation_id, most=MOST)).state
    assert told == [it.event_id for it in heir.world.journal.outbox]


async def deferred(desk: Desk, operation_id: str) -> None:
    """The void is declined, so the refund waits for the settlement, which comes."""
    no = Declined(Reason("E1", "no", Advice.SOFT))
    desk.world.gateway.findings.append(Found(no, {}))
    assert R.DEFERRED is (await desk.done(operation_id)).state
    desk.settle()


async def test_a_refund_that_left_in_the_lost_time_is_found_and_not_sent_again() -> None:
    """The void was kept back, and the refund went out after the batch: the heir asks for that, too."""
    desk, of = unsettled(), refund()
    copy = await opened(desk, of)
    await deferred(desk, of.operation_id)
    assert R.PROCESSED is (await desk.done(of.operation_id)).state
    assert [About.REFUND] == [it.about for it in desk.world.gateway.sent]
    heir = heir_of(desk, copy)
    assert R.PROCESSED is (await heir.done(of.operation_id, most=MOST)).state
    assert ([], TOTAL) == (heir.world.gateway.sent, heir.refunded_minor())


async def test_what_was_told_as_failed_in_the_lost_time_is_a_persons_case() -> None:
    """A refusal leaves no row at the gateway: what was told once is not made untrue by sending it all the same."""
    desk, of = unsettled(), refund()
    copy = await opened(desk, of)
    await deferred(desk, of.operation_id)
    refused = Declined(Reason("E00051", "no", Advice.FIX))
    desk.world.gateway.replies.append(Reply(refused))
    assert R.FAILED is (await desk.done(of.operation_id)).state
    heir = heir_of(desk, copy)
    for _ in range(MOST):
        assert (await heir.once(of.operation_id)).stage is not Stage.CONCLUDED
    assert "a person must say" in heir.world.row(of.operation_id).why
    assert [] == heir.world.gateway.sent


async def test_a_void_that_nobody_sent_is_sent() -> None:
    """Nothing was done in the lost time, and the charge is not settled yet: proven absent, it is voided."""
    desk, of = unsettled(), refund()
    heir = heir_of(desk, await opened(desk, of))
    assert R.PROCESSED is (await heir.done(of.operation_id, most=MOST)).state
    assert [About.VOID] == [it.about for it in heir.world.gateway.sent]


async def test_what_nobody_sent_before_the_settlement_goes_on_as_a_command() -> None:
    """Neither void nor refund is there, and the charge has settled: another command refunds it."""
    desk, of = unsettled(), refund()
    copy = await opened(desk, of)
    desk.settle()
    heir = heir_of(desk, copy)
    assert R.CONTINUED is (await heir.done(of.operation_id, most=MOST)).state
    [(_, second)] = heir.commands()
    assert R.PROCESSED is (await heir.done(heir.goes_on(second, after=of.operation_id))).state
    assert ([About.REFUND], TOTAL) == (
        [it.about for it in heir.world.gateway.sent],
        heir.refunded_minor(),
    )


async def test_a_persons_word_about_a_void_is_not_taken_for_money() -> None:
    """That a void happened the gateway must show, after a loss of time as before it: what it shows counts."""
    desk, of = unsettled(), refund()
    heir = heir_of(desk, await opened(desk, of))
    while not asking(await heir.once(of.operation_id)):
        pass
    row = heir.world.row(of.operation_id)
    row.operation = replace(row.operation, ruling=RULED)
    await heir.once(of.operation_id)
    assert heir.payment.refunded_minor == heir.refunded_minor() == 0


async def test_what_went_on_and_was_told_as_failed_goes_on_no_further() -> None:
    """That it went on is told twice; the end of the command that goes on stands between, and is an end."""
    desk, of = unsettled(), refund()
    copy = await opened(desk, of)
    second = await overtaken(desk, of.operation_id)
    refused = Declined(Reason("E00051", "no", Advice.FIX))
    desk.world.gateway.replies.append(Reply(refused))
    assert R.FAILED is (await desk.done(desk.goes_on(second, after=of.operation_id))).state
    heir = heir_of(desk, copy)
    assert R.CONTINUED is (await heir.done(of.operation_id)).state
    late = heir.world.clock.at - timedelta(hours=1)
    name = heir.goes_on(second, after=of.operation_id)
    row = heir.world.row(name)
    known = Inquiry(0, 0, since=MIDNIGHT, until=late, now=late)
    row.operation = replace(row.operation, suspect=True, inquiry=known)
    for _ in range(MOST):
        assert (await heir.once(name)).stage is Stage.ADMITTED
    assert "a person must say" in heir.world.row(name).why
    assert [] == heir.world.gateway.sent
