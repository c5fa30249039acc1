"""What the memory db-service can do beyond the port's suite: answers that get lost, late writes, stale orders."""

from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Final

import pytest

from handlers.domain.errors import Unavailable
from handlers.domain.facts import Order
from handlers.domain.money import Money
from handlers.domain.payments import Payment, Snapshot
from handlers.domain.states import PaymentState
from handlers.ports import Ahead
from tests.doubles.clock import ClockDouble
from tests.doubles.values import MIDNIGHT
from tests.simulation.memory_records import (
    MemoryDbService,
    MemoryRecords,
    RecordDice,
    RecordFate,
    RecordOdds,
    RecordScript,
)

PAYMENT: Final = Payment("p1", "o1", "u1", Money(500, "USD"), PaymentState.CAPTURED, version=1)
ORDER: Final = Order("o1", "u1", "payable", Money(500, "USD"))
UNHEARD: Final = RecordFate(arrives_s=0.0, answer_s=None)


class Platform:
    """One db-service and one worker's client, in simulated time."""

    def __init__(self) -> None:
        self.clock = ClockDouble()
        self.script = RecordScript()
        self.service = MemoryDbService(now=self.clock.now)
        self.records = MemoryRecords(self.service, fates=self.script, sleep=self.sleep)

    async def sleep(self, seconds: float) -> None:
        """Time passes."""
        self.clock.forward(seconds)

    async def record(self, version: int, *fates: RecordFate) -> Ahead | None:
        """Tell a version, under these fates."""
        self.script.fates.extend(fates)
        told = Snapshot(replace(PAYMENT, version=version))
        return await self.records.record(told, occurred_at=MIDNIGHT)

    def versions(self) -> list[int]:
        """What was taken, in order."""
        self.service.run()
        return [row["version"] for row in self.service.payment_rows]


@pytest.mark.parametrize(
    ("fate", "taken"), [(RecordFate(arrives_s=None, answer_s=None), []), (UNHEARD, [1])]
)
async def test_who_hears_nothing_does_not_know(fate: RecordFate, taken: list[int]) -> None:
    """Given up after half a minute, whether it was stored or not; told again, it is stored once."""
    platform = Platform()
    with pytest.raises(Unavailable):
        await platform.record(1, fate)
    assert timedelta(seconds=30) == platform.clock.at - MIDNIGHT
    assert taken == platform.versions()
    assert await platform.record(1) is None
    assert [1] == platform.versions()


async def test_a_late_write_never_goes_back() -> None:
    """What arrives after its successor was told changes nothing."""
    platform = Platform()
    with pytest.raises(Unavailable):
        await platform.record(1, RecordFate(arrives_s=300.0, answer_s=None))
    assert await platform.record(2) is None
    platform.clock.forward(300.0)
    assert [2] == platform.versions()


async def test_a_service_that_fails_again_and_again_is_left_alone() -> None:
    """After five failures the client turns away at once, and tries again later."""
    platform = Platform()
    platform.service.away = "connection refused"
    for _ in range(5):
        with pytest.raises(Unavailable):
            await platform.record(1)
    assert not platform.records.available
    platform.service.away = ""
    with pytest.raises(Unavailable):
        await platform.record(1)
    platform.clock.forward(1.0)
    assert await platform.record(1) is None
    assert platform.records.available


async def test_an_order_may_be_told_as_it_was() -> None:
    """Seconds old, as far as the worker keeps it; the shop counts what it is told of."""
    platform = Platform()
    platform.service.keep(ORDER)
    platform.clock.forward(10.0)
    platform.service.pay("o1", 500)
    platform.script.fates.append(RecordFate(stale_s=2.0))
    assert ORDER == await platform.records.order("o1")
    paid = replace(ORDER, status="paid", paid_minor=500)
    assert paid == await platform.records.order("o1")
    platform.service.pay("o1", -200)
    assert replace(ORDER, paid_minor=300) == await platform.records.order("o1")
    assert ORDER.money == platform.service.total("o1")


async def test_faults_are_drawn_from_the_runs_own_chance() -> None:
    """The same seed has the same calls fail."""
    odds = RecordOdds(lost_before=0.2, lost_after=0.2, late=0.2)

    def drawn(seed: int) -> list[RecordFate]:
        dice = RecordDice(Random(seed), odds)
        return [dice.of_record("one") for _ in range(30)]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
