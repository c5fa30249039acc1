"""The passage after the journal lost time: what was told under a version is never told under it as something else."""

from dataclasses import replace
from datetime import timedelta

from handlers.domain.recovery import Inquiry, Stage
from handlers.domain.states import PaymentState
from handlers.domain.verdicts import NotSeen
from handlers.passage import Done, Parked
from handlers.ports import Lost
from tests.doubles.gateway import Reply
from tests.doubles.values import APPROVED, MIDNIGHT, operation
from tests.doubles.world import World
from worker.routes import NOTIFICATIONS, ORDERS, STATUS


def _world_after(before: World) -> World:
    """The same db-service, and a journal that knows nothing of it."""
    after = World()
    after.records.stored.update(before.records.stored)
    return after


async def test_other_news_outrun_what_was_told() -> None:
    """Told as unknown under version 3 in the lost time: the approval is told once, under version 4."""
    world = World()
    of = world.journal.admit(operation())
    told = replace(of.payment, state=PaymentState.UNKNOWN, version=3)
    world.records.stored[of.payment.payment_id] = (told, MIDNIGHT)
    world.gateway.replies.append(Reply(APPROVED))
    assert isinstance(await world.carry(of), Parked)
    world.pass_due(of.operation_id)
    assert Done() == await world.again(of.operation_id)
    assert 4 == world.payment(of.operation_id).version
    assert 4 == world.records.stored[of.payment.payment_id][0].version
    assert 1 == world.statuses()


async def test_the_same_news_keep_the_version_that_was_told() -> None:
    """Found a second time: the number, and with it the event ids, are those that consumers know."""
    first = World()
    of = first.journal.admit(operation())
    first.gateway.replies.append(Reply(APPROVED))
    assert Done() == await first.carry(of)
    payment, at = first.records.stored[of.payment.payment_id]
    first.records.stored[of.payment.payment_id] = (replace(payment, version=2), at)
    second = _world_after(first)
    again = second.journal.admit(of)
    second.gateway.replies.append(Reply(APPROVED))
    assert isinstance(await second.carry(again), Parked)
    second.pass_due(again.operation_id)
    assert Done() == await second.again(again.operation_id)
    assert 2 == second.payment(again.operation_id).version
    assert 1 == second.statuses()


async def test_a_suspect_that_was_told_of_is_never_sent() -> None:
    """Refused before processing in the lost time: no list shows it, but the customer was told, so it stays failed."""
    world = World()
    late = Inquiry(1, 1, since=MIDNIGHT, until=MIDNIGHT, now=MIDNIGHT + timedelta(hours=1))
    of = world.journal.admit(operation(suspect=True, inquiry=late))
    told = replace(of.payment, state=PaymentState.DECLINED, version=1)
    world.records.stored[of.payment.payment_id] = (told, MIDNIGHT)
    world.gateway.findings.append(NotSeen(complete=True, why="not in the list"))
    assert isinstance(await world.carry(of), Parked)
    world.pass_due(of.operation_id)
    assert Done() == await world.again(of.operation_id)
    assert PaymentState.FAILED is world.payment(of.operation_id).state
    assert [] == world.gateway.sent


async def test_an_open_charge_is_asked_for_as_it_was_sent() -> None:
    """Its own number and account, whatever today's key, environment and settings would make of it."""
    world = World()
    before = Inquiry(
        0,
        0,
        since=MIDNIGHT,
        until=MIDNIGHT,
        now=MIDNIGHT,
        merchant_account="old-account",
        invoice_number="OLDNUMBER",
        transaction_id="60001",
    )
    of = world.journal.admit(operation(stage=Stage.OPEN, inquiry=before))
    world.gateway.findings.append(NotSeen(complete=False, why="the list moved"))
    await world.carry(of)
    [asked] = world.gateway.asked
    assert ("old-account", "OLDNUMBER", "60001") == (
        asked.merchant_account,
        asked.invoice_number,
        asked.transaction_id,
    )


async def test_what_belongs_to_another_session_outruns_nothing() -> None:
    """A session that lost the operation meanwhile renumbers nothing."""
    world = World()
    of = world.journal.admit(operation())
    world.records.stored[of.payment.payment_id] = (replace(of.payment, version=3), MIDNIGHT)
    world.gateway.replies.append(Reply(APPROVED))
    world.power.before["outrun"] = lambda: world.journal.take_over(of.operation_id)
    assert Lost() == await world.carry(of)
    assert 0 == world.statuses()


async def test_news_that_outrun_are_told_to_everyone() -> None:
    """Told as unknown under version 3 in the lost time; the approval under version 4 is the order's news, too."""
    world = World()
    of = world.journal.admit(operation())
    told = replace(of.payment, state=PaymentState.UNKNOWN, version=3)
    world.records.stored[of.payment.payment_id] = (told, MIDNIGHT)
    world.gateway.replies.append(Reply(APPROVED))
    await world.carry(of)
    world.pass_due(of.operation_id)
    assert Done() == await world.again(of.operation_id)
    assert [STATUS, ORDERS, NOTIFICATIONS] == world.told()
