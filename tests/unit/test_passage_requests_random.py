"""Random schedules of requests about one payment, with batches, lost answers and people in between: the books balance.

One operation holds the payment's lane at a time, as the journal has it; deferred ones come back when they are due.
What this found, and what it cannot find, is in `test_verbs_schedules.py`.
"""

import random
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Final

import pytest

from handlers.domain.commands import Kind, Request
from handlers.domain.facts import Standing
from handlers.domain.recovery import Stage
from handlers.domain.states import PaymentState, RequestState
from handlers.domain.verdicts import Unsent
from tests.doubles.gateway import Reply
from tests.doubles.values import APPROVED, UNKNOWN
from tests.doubles.world import at_rules
from tests.unit.request_stage import (
    DENIED_BY_A_PERSON,
    RULED,
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
_STEPS: Final = 60
_PATIENCE: Final = 4
_KEEPS: Final = {R.REQUESTED, R.DEFERRED, R.UNKNOWN, R.CONTINUED, R.CONFLICTED}


@dataclass
class Shop:
    """One payment, its line, and dice."""

    dice: random.Random
    line: list[str] = field(default_factory=list)
    later: list[str] = field(default_factory=list)
    holder: str | None = None
    continued: set[str] = field(default_factory=set)  # whose reserve another operation has now

    def __post_init__(self) -> None:
        self.desk: Desk = self.dice.choice([authorized, unsettled, settled])()
        self.world = self.desk.world
        at_rules(self.world, absence_after_s=0.0)
        self.published = 0

    def ask(self) -> None:
        """Somebody asks for something."""
        amount = self.dice.choice([1, 200, 617, 1000, TOTAL - 1, TOTAL, TOTAL + 1])
        part = self.dice.choice([None, 1000, TOTAL])
        wanted: list[Request] = [
            capture(part),
            void(),
            refund(amount),
            refund(amount),
            verification(),
        ]
        made = self.dice.choice(wanted)
        self.line.append(self.desk.take(made))

    def nature(self) -> None:
        """A batch, an answer or a connection that is lost."""
        what = self.dice.randrange(7)
        gateway = self.world.gateway
        if what == 0:
            self.desk.settle()
        elif what == 1 and not gateway.replies:
            booked = replace(APPROVED, transaction_id=str(self.dice.randrange(10**6, 10**7)))
            gateway.replies.append(Reply(UNKNOWN, booked))
        elif what == 2 and not gateway.replies:
            gateway.replies.append(Reply(Unsent("no connection")))
        elif what == 3:  # the batch overtakes the next call
            self.world.power.before["send"] = self.desk.settle
        elif what == 4 and not gateway.replies:  # the request is lost on its way
            gateway.replies.append(Reply(UNKNOWN))
        elif what == 5 and self.desk.row.standing in {Standing.RESERVED, Standing.TAKEN}:
            if self.dice.random() < 0.2:
                self.desk.row.stands(Standing.VOIDED)
        else:
            gateway.breaker_open = not gateway.breaker_open

    async def work(self) -> None:
        """One step of whoever holds the lane, or is the next to take it."""
        self.world.power.passed.clear()
        if self.holder is None:
            ready = self.line or self.later
            if not ready:
                return
            self.holder = ready.pop(0)
        of = await self.desk.once(self.holder)
        if asking(of) and of.inquiry is not None and of.inquiry.asked > _PATIENCE:
            ruling = self.dice.choice([RULED, DENIED_BY_A_PERSON])
            row = self.world.row(self.holder)
            # What happened is what the gateway has: a person who looks there is not mistaken.
            booked = any(
                it.invoice_number == self._number() for it in self.world.gateway.book.values()
            )
            ruling = replace(ruling, happened=booked)
            row.operation = replace(row.operation, ruling=ruling)
        if of.stage in {Stage.CONCLUDED, Stage.DEFERRED}:
            self._leave(of.stage)

    def _number(self) -> str:
        assert self.holder is not None
        inquiry = self.desk.at(self.holder).inquiry
        assert inquiry is not None
        return inquiry.invoice_number or ""

    def _leave(self, stage: Stage) -> None:
        assert self.holder is not None
        if stage is Stage.DEFERRED:
            self.later.append(self.holder)
        for _, command in self.desk.commands()[self.published :]:
            self.published += 1
            self.continued.add(self.holder)
            self.line.append(self.desk.goes_on(command, after=self.holder))
        self.holder = None

    async def close(self) -> None:
        """Nothing more is asked, everything works again: what waits goes on to its end."""
        self.world.gateway.breaker_open = False
        self.world.gateway.replies.clear()
        self.line.append(self.desk.take(verification()))
        for _ in range(400):
            if self.holder is None and not self.line + self.later:
                return
            self.desk.settle()
            await self.work()
            self.check()
        raise AssertionError(f"{self.holder} {self.line} {self.later} never end")

    def check(self) -> None:
        """What must hold after every step."""
        known = self.desk.payment
        assert balanced(known), known
        for kind, reserved in (
            (Kind.CAPTURE, known.capturing_minor),
            (Kind.REFUND, known.refunding_minor),
        ):
            assert self._reserves()[kind] == reserved, "a reserve is exactly what its requests hold"
        assert self.desk.refunded_minor() <= TOTAL, "P2: never more than was captured"
        assert [] == self.world.twice()

    def _reserves(self) -> Counter[Kind]:
        held: Counter[Kind] = Counter()
        for name, row in self.world.journal.rows.items():
            request = row.operation.request
            assert request is not None
            if request.state in _KEEPS and name not in self.continued:
                held[request.kind] += request.reserved_minor
        return held

    def check_the_end(self) -> None:
        """What must hold when everything is over: nothing is reserved, and the books are equal."""
        self.check()
        known, row = self.desk.payment, self.desk.row
        assert (0, 0) == (known.capturing_minor, known.refunding_minor)
        if known.state is not S.VOIDED:
            assert self.desk.refunded_minor() == known.refunded_minor, "the books are equal"
        captured = {Standing.TAKEN, Standing.SETTLED}
        if row.standing in captured and known.state is not S.AUTHORIZED:
            assert row.money.amount_minor == known.captured_minor, "the books are equal"
        assert known.version - 1 == self.world.statuses(), "every version is told"


@pytest.mark.parametrize("hundred", range(3))
async def test_the_books_balance_whatever_comes(hundred: int) -> None:
    """A hundred random schedules: lawful after every step, and equal to the gateway's book at the end."""
    for seed in range(hundred * 100, hundred * 100 + 100):
        shop = Shop(random.Random(seed))
        for _ in range(_STEPS):
            dice = shop.dice.random()
            if dice < 0.2:
                shop.ask()
            elif dice < 0.3:
                shop.nature()
            await shop.work()
            shop.check()
        await shop.close()
        shop.check_the_end()
