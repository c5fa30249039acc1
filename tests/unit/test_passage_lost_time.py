"""The passage after the journal lost time: what was told under a version is never told under it as something else."""

from dataclasses import replace

from handlers.domain.states import PaymentState
from handlers.passage import Done, Parked
from handlers.ports import Lost
from tests.doubles.gateway import Reply
from tests.doubles.values import APPROVED, MIDNIGHT, operation
from tests.doubles.world import World


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


async def test_what_belongs_to_another_session_outruns_nothing() -> None:
    """A session that lost the operation meanwhile renumbers nothing."""
    world = World()
    of = world.journal.admit(operation())
    world.records.stored[of.payment.payment_id] = (replace(of.payment, version=3), MIDNIGHT)
    world.gateway.replies.append(Reply(APPROVED))
    world.power.before["outrun"] = lambda: world.journal.take_over(of.operation_id)
    assert Lost() == await world.carry(of)
    assert 0 == world.statuses()
