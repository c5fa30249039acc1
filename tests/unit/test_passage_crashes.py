"""The passage under power cuts: at every point of every story, once, and at random points again and again.

After a cut only what the journal, the gateway and the db-service stored stays; somebody else goes on with a raised
token. Whatever happens: sent at most once, told exactly once for each version, and never without a next step.
"""

import random
from dataclasses import dataclass
from typing import Final

import pytest

from handlers.domain.errors import SessionOver
from handlers.domain.recovery import Stage
from handlers.domain.states import UNDECIDED, PaymentState
from handlers.domain.verdicts import Unsent
from tests.doubles.gateway import Reply
from tests.doubles.power import PowerCut
from tests.doubles.values import APPROVED, DECLINED, HELD, UNKNOWN, operation
from tests.doubles.world import World

_STEPS: Final = 60
_S: Final = PaymentState


@dataclass(frozen=True)
class Story:
    """What the gateway does, and in which states it may end: as told, or failed where it was never sent."""

    replies: tuple[Reply, ...]
    ends: frozenset[PaymentState]
    suspect: bool = False
    down_for: int = 0  # how often the db-service turns the record away


STORIES: Final = {
    "approved": Story((Reply(APPROVED, APPROVED),), frozenset({_S.CAPTURED})),
    "declined": Story((Reply(DECLINED, DECLINED),), frozenset({_S.DECLINED})),
    "declined, not listed": Story((Reply(DECLINED),), frozenset({_S.DECLINED})),
    "held": Story((Reply(HELD, HELD),), frozenset({_S.HELD})),
    "lost answer": Story((Reply(UNKNOWN, APPROVED),), frozenset({_S.CAPTURED})),
    "lost request": Story((Reply(UNKNOWN),), frozenset()),
    "unsent first": Story(
        (Reply(Unsent("no connection")), Reply(APPROVED, APPROVED)), frozenset({_S.CAPTURED})
    ),
    "suspect": Story((Reply(APPROVED, APPROVED),), frozenset({_S.CAPTURED}), suspect=True),
    "db-service down": Story((Reply(APPROVED, APPROVED),), frozenset({_S.CAPTURED}), down_for=2),
}


async def play(story: Story, cuts: list[int]) -> World:
    """Play the story to its end; `cuts` names the points of one carriage after the other that a cut comes at."""
    world = World()
    world.gateway.replies.extend(story.replies)
    of = world.journal.admit(operation(suspect=story.suspect))
    world.records.down = story.down_for > 0
    for rounds in range(1, _STEPS):
        row = world.row(of.operation_id)
        settled = row.operation.stage is Stage.ASKING and row.operation.payment.state is _S.HELD
        if row.operation.stage is Stage.CONCLUDED or (settled and not cuts):
            break
        world.power.passed.clear()
        world.power.cut_at = cuts.pop(0) if cuts else None
        try:
            await world.again(of.operation_id)
        except PowerCut:
            world.clock.forward(30)
            world.restart(of.operation_id)
        else:
            later = world.row(of.operation_id)
            final = later.operation.stage is Stage.CONCLUDED
            assert final != (later.due_at is not None), "what is not final has a due time"
            world.pass_due(of.operation_id)
        world.records.down = rounds < story.down_for
    check(world, of.operation_id, story=story)
    return world


def check(world: World, operation_id: str, *, story: Story) -> None:
    """The promises that no power cut may break."""
    gateway, row = world.gateway, world.row(operation_id)
    payment = row.operation.payment
    assert len(gateway.sent) <= 1, "P2: sent at most once"
    assert sum(map(len, gateway.ledger.values())) <= 1, "P2: booked at most once"
    assert payment.state in story.ends | {_S.FAILED}, "P1: an outcome"
    assert (payment.state in UNDECIDED) == (row.operation.stage is Stage.ASKING)
    if payment.state is _S.FAILED:
        assert not gateway.ledger, "P4: what was booked is never told as failed"
    assert [] == world.twice(), "P5: told once"
    assert payment.version == world.statuses(), "P5: every version is told"
    assert payment == world.records.stored[payment.payment_id][0], "P5: recorded as told"


@pytest.mark.parametrize("name", STORIES)
async def test_a_cut_at_every_point_once(name: str) -> None:
    """Each story is played with one power cut at each point of its first three carriages in turn."""
    for carriage in range(3):
        for point in range(12):
            await play(STORIES[name], [*([10**6] * carriage), point])


@pytest.mark.parametrize("name", STORIES)
@pytest.mark.parametrize("seed", range(25))
async def test_cuts_at_random_points_again_and_again(name: str, seed: int) -> None:
    """Up to eight power cuts in a row, at random points: the promises hold all the same."""
    dice = random.Random(f"{name}:{seed}")
    await play(STORIES[name], [dice.randrange(12) for _ in range(dice.randrange(2, 9))])


@pytest.mark.parametrize("name", STORIES)
async def test_the_story_without_a_cut(name: str) -> None:
    """Without a power cut each story ends as the gateway has it."""
    world = await play(STORIES[name], [])
    [row] = world.journal.rows.values()
    ends = STORIES[name].ends or frozenset({_S.FAILED})
    assert {row.operation.payment.state} == ends


@pytest.mark.parametrize("call", ["open", "answer", "conclude"])
async def test_a_session_that_is_over_goes_no_further(call: str) -> None:
    """SessionOver climbs out of the passage: nothing is sent, recorded or told after it."""

    def over() -> None:
        raise SessionOver("the lease ran out")

    world = World()
    of = world.journal.admit(operation())
    world.power.before[call] = over
    with pytest.raises(SessionOver):
        await world.carry(of)
    assert call == world.power.passed[-1]
    assert 0 == world.gateway.in_slot
    assert [] == world.told()
