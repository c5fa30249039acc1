"""The passage of requests under power cuts: at every point of every verb's way, and at random points again and again.

After a cut somebody else goes on with a raised token. Whatever happens: no attempt is sent twice and no refund a second
time unless it is proven undone; every version is told once; what follows is published once, under one id.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

import pytest

from handlers.domain.commands import Command, RefundPayment, Request
from handlers.domain.facts import Standing
from handlers.domain.intents import Intent, Refund
from handlers.domain.recovery import Stage
from handlers.domain.states import PaymentState, RequestState
from handlers.domain.verdicts import Advice, Approved, NotYet, Reason, Unsent
from tests.doubles.gateway import Reply
from tests.doubles.power import PowerCut
from tests.doubles.values import APPROVED, DECLINED, UNKNOWN
from tests.doubles.world import at_rules
from tests.unit.request_stage import (
    DENIED_BY_A_PERSON,
    PAYMENT_ID,
    TOTAL,
    Desk,
    asking,
    authorized,
    balanced,
    capture,
    refund,
    settled,
    unsettled,
    verification,
    void,
)

S, R = PaymentState, RequestState
_STEPS: Final = 90
_PATIENCE: Final = (
    6  # questions about a refund that no list shows, before a person says that it did not happen
)
BOOKED: Final = replace(APPROVED, transaction_id="77")
NOT_YET: Final = Reply(NotYet(Reason("54", "Not settled.", Advice.UNDECIDED)))


@dataclass(frozen=True)
class Story:
    """A payment, what is asked of it, what the gateway answers first, and how it ends.

    `settles`: at which point the nightly batch comes. `follows`: how many commands the worker publishes itself.
    """

    desk: Callable[[], Desk]
    make: Callable[[], Request]
    ends: PaymentState
    replies: tuple[Reply, ...] = ()
    settles: str = ""
    follows: int = 0
    also: frozenset[PaymentState] = frozenset()  # where a cut lets it end too
    state: RequestState = R.PROCESSED


STORIES: Final = {
    "capture": Story(authorized, capture, S.CAPTURED),
    "capture in part": Story(authorized, lambda: capture(1000), S.CAPTURED),
    "capture, lost answer": Story(
        authorized, capture, S.CAPTURED, replies=(Reply(UNKNOWN, APPROVED),)
    ),
    "capture, lost request": Story(authorized, capture, S.CAPTURED, replies=(Reply(UNKNOWN),)),
    "capture, unsent first": Story(
        authorized, capture, S.CAPTURED, replies=(Reply(Unsent("no connection")),)
    ),
    "capture, declined": Story(
        authorized,
        capture,
        S.AUTHORIZED,
        replies=(Reply(DECLINED),),
        also=frozenset({S.CAPTURED}),  # declined, and nobody heard it: it was sent once more
        state=R.FAILED,
    ),
    "capture denied": Story(authorized, lambda: capture(TOTAL + 1), S.AUTHORIZED, state=R.FAILED),
    "void of an authorisation": Story(authorized, void, S.VOIDED),
    "void of a capture": Story(unsettled, void, S.VOIDED),
    "void, lost answer": Story(unsettled, void, S.VOIDED, replies=(Reply(UNKNOWN, APPROVED),)),
    "void, lost request": Story(unsettled, void, S.VOIDED, replies=(Reply(UNKNOWN),)),
    "void, overtaken": Story(
        unsettled, void, S.REFUNDED, settles="send", follows=1, state=R.FAILED
    ),
    "refund": Story(settled, refund, S.REFUNDED),
    "refund in part": Story(settled, lambda: refund(200), S.PARTIALLY_REFUNDED),
    "refund as a void": Story(unsettled, refund, S.REFUNDED),
    "refund as a void, lost answer": Story(
        unsettled, refund, S.REFUNDED, replies=(Reply(UNKNOWN, APPROVED),)
    ),
    "refund as a void, overtaken": Story(
        unsettled, refund, S.REFUNDED, settles="send", follows=1, state=R.CONTINUED
    ),
    "refund that waits for the batch": Story(
        unsettled, lambda: refund(200), S.PARTIALLY_REFUNDED, settles="deferred"
    ),
    "refund, lost answer": Story(
        settled, lambda: refund(200), S.PARTIALLY_REFUNDED, replies=(Reply(UNKNOWN, BOOKED),)
    ),
    "refund, lost request": Story(
        settled, lambda: refund(200), S.SETTLED, replies=(Reply(UNKNOWN),), state=R.FAILED
    ),
    "refund, not settled yet": Story(
        settled, lambda: refund(200), S.PARTIALLY_REFUNDED, replies=(NOT_YET,)
    ),
    "verification": Story(settled, verification, S.SETTLED),
    "verification that learns": Story(unsettled, verification, S.SETTLED, settles="look"),
}


@dataclass
class Play:
    """One play of a story; `cuts` names the points of one carriage after the other that a cut comes at."""

    story: Story
    cuts: list[int]
    work: list[str] = field(default_factory=list)
    admitted: list[Command] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    ruled: bool = False

    def __post_init__(self) -> None:
        self.stage = self.story.desk()
        at_rules(self.stage.world, absence_after_s=0.0, ask_schedule_s=(5, 15, 100))
        self.stage.world.gateway.replies.extend(self.story.replies)
        if self.story.settles in {"send", "look"}:
            self.stage.world.power.before[self.story.settles] = self._settle_once
        self.asked = self.story.make()
        self.work.append(self.stage.take(self.asked))

    async def to_its_end(self) -> None:
        """Until everything that was asked for is over."""
        for _ in range(_STEPS):
            if not self.work:
                return
            await self._step(self.work[0])
        raise AssertionError(f"{self.work} never ends: {self.stage.world.row(self.work[0]).why}")

    async def _step(self, operation_id: str) -> None:
        world = self.stage.world
        world.power.passed.clear()
        world.power.cut_at = self.cuts.pop(0) if self.cuts else None
        try:
            of = await self.stage.once(operation_id)
        except PowerCut:
            world.clock.forward(30)
            world.restart(operation_id)
            return
        finally:
            self.calls += world.power.calls
        row = world.row(operation_id)
        assert (of.stage is Stage.CONCLUDED) == (row.due_at is None), "what goes on has a due time"
        if of.stage is Stage.DEFERRED and self.story.settles == "deferred":
            self.stage.settle()
        if asking(of) and of.inquiry is not None and of.inquiry.asked > _PATIENCE:
            # No list shows what a refund left behind that was opened, and perhaps sent: a person says that it was not.
            row.operation = replace(row.operation, ruling=DENIED_BY_A_PERSON)
            self.ruled = True
        if of.stage is Stage.CONCLUDED:
            self.work.pop(0)
            for _, command in self.stage.commands():
                if command not in self.admitted:
                    self.admitted.append(command)
                    self.work.append(self.stage.goes_on(command, after=operation_id))

    def _settle_once(self) -> None:
        self.stage.settle()
        self.stage.world.power.before.clear()


def check(play: Play) -> None:
    """The promises that no power cut may break."""
    stage, story = play.stage, play.story
    gateway, payment = stage.world.gateway, stage.payment
    attempts = [(intent.invoice_number, intent.attempt) for intent in gateway.sent]
    assert len(attempts) == len(set(attempts)), "P2: an attempt is sent once"
    assert sends_of_refunds(gateway.sent) <= 1 + (NOT_YET in story.replies), "P2: never again"
    assert stage.refunded_minor() <= TOTAL, "P2: never above what was captured"
    if payment.state is not S.VOIDED:
        assert stage.refunded_minor() == payment.refunded_minor, "the books are equal"
    assert balanced(payment)
    assert (0, 0) == (payment.capturing_minor, payment.refunding_minor), "no reserve is left over"
    assert [] == stage.world.twice(), "P5: told once"
    versions = payment.version - story.desk().payment.version
    assert versions == stage.world.statuses(), "P5: every version is told"
    assert payment == stage.world.records.stored[PAYMENT_ID][0], "P5: recorded as told"
    assert "outrun" not in play.calls, "a version is never told with other content"
    untouched = {S.SETTLED, story.desk().payment.state} if play.ruled else set()
    assert payment.state in {story.ends, *story.also, *untouched}, "P1: an outcome"


def sends_of_refunds(sent: list[Intent]) -> int:
    """How often a refund left: at most once for each refund, whatever continuation it has."""
    return sum(isinstance(intent, Refund) for intent in sent)


def follow_ups(play: Play) -> list[Command]:
    """What the worker asked for itself, after it was checked that it is what the journal has."""
    kept = [
        row.operation.follow_up
        for row in play.stage.world.journal.rows.values()
        if row.operation.follow_up is not None
    ]
    assert kept == play.admitted, "P5: what goes on is published as it was decided, once"
    return play.admitted


@pytest.mark.parametrize("name", STORIES)
async def test_the_story_without_a_cut(name: str) -> None:
    """Without a power cut each story ends as the gateway has it, with as many commands as it needs."""
    play = Play(STORIES[name], [])
    await play.to_its_end()
    check(play)
    assert STORIES[name].ends is play.stage.payment.state
    assert STORIES[name].state is play.stage.request(play.asked.operation_id).state
    assert STORIES[name].follows == len(follow_ups(play))


@pytest.mark.parametrize("name", STORIES)
async def test_a_cut_at_every_point_once(name: str) -> None:
    """Each story is played with one power cut at each point of each of its carriages in turn."""
    for carriage in range(4):
        for point in range(12):
            play = Play(STORIES[name], [*([10**6] * carriage), point])
            await play.to_its_end()
            check(play)
            follow_ups(play)


@pytest.mark.parametrize("name", STORIES)
async def test_cuts_at_random_points_again_and_again(name: str) -> None:
    """Up to eight power cuts in a row, at random points, in a dozen plays: the promises hold all the same."""
    for seed in range(12):
        dice = random.Random(f"{name}:{seed}")
        play = Play(STORIES[name], [dice.randrange(12) for _ in range(dice.randrange(2, 9))])
        await play.to_its_end()
        check(play)
        follow_ups(play)


@pytest.mark.parametrize("name", [name for name, story in STORIES.items() if story.follows])
async def test_what_goes_on_has_one_id_whenever_it_is_published(name: str) -> None:
    """Cut before, in and after the moment it is decided: one command under one event id, for the same money."""
    seen: set[tuple[str, int]] = set()
    asked = STORIES[name].make()
    for point in range(12):
        play = Play(replace(STORIES[name], make=lambda: asked), [point])
        await play.to_its_end()
        for event_id, command in play.stage.commands():
            assert isinstance(command, RefundPayment)
            seen.add((event_id, command.money.amount_minor))
    assert 1 == len(seen)


def test_the_stories_are_wide_enough() -> None:
    """Every verb is among them, and every end that a request can have without a person's conflict."""
    kinds = {story.make().kind for story in STORIES.values()}
    assert {"capture", "void", "refund", "verification"} == {kind.value for kind in kinds}
    assert {R.PROCESSED, R.FAILED, R.CONTINUED} == {story.state for story in STORIES.values()}
    assert any(
        isinstance(reply.booked, Approved) for it in STORIES.values() for reply in it.replies
    )
    assert {Standing.RESERVED, Standing.TAKEN, Standing.SETTLED} == {
        story.desk().standing for story in STORIES.values()
    }
