"""`handlers.ports.Records` in memory: one db-service for all simulated workers, and each worker's client before it.

The service keeps every version that it took, numbered by `step` in one order with all other books. A write that is on
its way belongs to the service's time: it may be applied after its caller gave up, or died. The client has the real
one's breaker. Its contract suite: `tests/contract/test_records_port.py`.

The shop's orders count what was paid only when somebody tells the shop (`pay`): how late it hears of it is a fault.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from random import Random
from typing import Any, Final, Protocol, assert_never

from db_client.breaker import Breaker
from handlers.domain.commands import (
    CapturePayment,
    InitiatePayment,
    Kind,
    RefundPayment,
    VerifyPayment,
    VoidPayment,
)
from handlers.domain.errors import Unavailable
from handlers.domain.facts import Order
from handlers.domain.money import Money
from handlers.domain.payments import NO_REASON, Payment, Request, Snapshot
from handlers.domain.verdicts import Method
from handlers.orders import PAID, PAYABLE
from handlers.ports import Ahead, Operation, Recorded
from tests.doubles.records import recorded_of_refund
from tests.simulation.memory_timeline import Timeline

_NAME: Final = "db-service"
_GIVE_UP_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class RecordFate:
    """What becomes of one call: seconds until the service works on it, and until it is heard, which is not before that.

    None: never; what is not heard is given up after half a minute. `stale_s`: an order is told as it was so long ago.
    """

    arrives_s: float | None = 0.0
    answer_s: float | None = 0.0
    stale_s: float = 0.0


CALM_RECORD: Final = RecordFate()


class RecordFates(Protocol):
    """The hook: asked once for each call."""

    def of_record(self, session: str) -> RecordFate:
        """The fate of a call."""
        ...


@dataclass
class RecordScript:
    """What a test wrote down, one after the other; calm when there is no more."""

    fates: deque[RecordFate] = field(default_factory=deque)

    def of_record(self, session: str) -> RecordFate:
        """The next one of the script."""
        del session
        return self.fates.popleft() if self.fates else CALM_RECORD


@dataclass(frozen=True, slots=True)
class RecordOdds:
    """A mix of faults: shares of calls that get lost on their way, whose answer is lost, that are applied late."""

    lost_before: float = 0.0
    lost_after: float = 0.0
    late: float = 0.0
    answer_s: tuple[float, float] = (0.002, 0.05)
    late_s: tuple[float, float] = (30.0, 600.0)
    stale_s: tuple[float, float] = (0.0, 2.0)


class RecordDice:
    """Draws from `odds`, with the run's own chance."""

    def __init__(self, random: Random, odds: RecordOdds) -> None:
        self._random = random
        self.odds = odds

    def of_record(self, session: str) -> RecordFate:
        """A fault, or just its time."""
        del session
        odds, drawn = self.odds, self._random.random()
        answer_s, stale_s = self._within(odds.answer_s), self._within(odds.stale_s)
        if drawn < odds.lost_before:
            return RecordFate(None, None, stale_s)
        drawn -= odds.lost_before
        if drawn < odds.lost_after:
            return RecordFate(answer_s, None, stale_s)
        if drawn < odds.lost_after + odds.late:
            return RecordFate(self._within(odds.late_s), None, stale_s)
        return RecordFate(answer_s / 2, answer_s, stale_s)

    def _within(self, span: tuple[float, float]) -> float:
        first, last = span
        return first + (last - first) * self._random.random()


@dataclass(slots=True, eq=False)
class _Stored:
    """A payment as it is stored, every request that its news was about, and the newest of those."""

    payment: Payment
    request: Request | None
    past: list[Request]


class MemoryDbService:
    """What the platform remembers. `payment_rows` and `refund_rows` are every version that was taken, in order."""

    def __init__(
        self, *, now: Callable[[], datetime], step: Callable[[], int] | None = None
    ) -> None:
        self.away = ""  # why nobody answers, "" where somebody does
        self.payments: dict[str, _Stored] = {}
        self.refunds: dict[str, tuple[Request, int]] = {}
        self.payment_rows: list[dict[str, Any]] = []
        self.refund_rows: list[dict[str, Any]] = []
        self._orders: dict[str, list[tuple[datetime, Order]]] = {}
        self._step = step or count(1).__next__
        self._timeline = Timeline(now)
        self.run = self._timeline.run  # do what is due; the time of now (UTC)
        self.plan = self._timeline.plan
        self.is_expecting = self._timeline.is_expecting

    def keep(self, order: Order) -> None:
        """The shop writes an order."""
        self._orders.setdefault(order.order_id, []).append((self.run(), order))

    def pay(self, order_id: str, minor: int) -> None:
        """The shop hears of money for an order; what went back is negative."""
        order = self.order(order_id, at=self.run())
        if order is not None:
            paid_minor = max(0, order.paid_minor + minor)
            status = PAID if paid_minor >= order.money.amount_minor else PAYABLE
            self.keep(replace(order, paid_minor=paid_minor, status=status))

    def order(self, order_id: str, *, at: datetime) -> Order | None:
        """The order as it was at `at`; None where there was none."""
        for since, order in reversed(self._orders.get(order_id, ())):
            if since <= at:
                return order
        return None

    def total(self, order_id: str) -> Money | None:
        """What an order is worth."""
        past = self._orders.get(order_id)
        return past[-1][1].money if past else None

    def take(self, told: Snapshot) -> Ahead | None:
        """Keep the newest versions; where this version, or a later one, holds other news, say which is the last."""
        payment, request = told.payment, told.request
        ahead = self._take_payment(payment, request)
        if request is None or request.kind is not Kind.REFUND:
            return ahead
        of_refund = self._take_refund(request, payment)
        if ahead is None or of_refund is None:
            return ahead or of_refund
        return Ahead(max(ahead.version, of_refund.version))

    def recorded(self, operation: Operation) -> Recorded:
        """What was stored of it."""
        command = operation.command
        stored = self.payments.get(command.payment_id)
        past = stored.past if stored else []
        match command:
            case InitiatePayment():
                known = stored is not None
            case RefundPayment():
                return recorded_of_refund(past, command, known=operation.told_so_far)
            case CapturePayment() | VoidPayment() | VerifyPayment():
                ours = command.kind, command.request_id
                known = any((it.kind, it.request_id) == ours for it in past)
            case never:
                assert_never(never)
        return Recorded.SOMETHING if known else Recorded.NOTHING

    def _take_payment(self, payment: Payment, request: Request | None) -> Ahead | None:
        there = self.payments.get(payment.payment_id)
        if there is None:
            there = self.payments[payment.payment_id] = _Stored(payment, request, [])
        elif there.payment.version >= payment.version:
            same = _news(there.payment, there.request) == _news(payment, request)
            return _ahead(payment.version, there=there.payment.version, same=same)
        there.payment, there.request = payment, request
        if request is not None:
            there.past.append(request)
        self.payment_rows.append(
            _payment_row(self._step(), payment, request=request, at=self.run())
        )
        return None

    def _take_refund(self, request: Request, payment: Payment) -> Ahead | None:
        there, stored = self.refunds.get(request.request_id, (request, 0))
        version = payment.version
        if stored >= version:
            same = _refund_news(there) == _refund_news(request)
            return _ahead(version, there=stored, same=same)
        self.refunds[request.request_id] = request, version
        self.refund_rows.append(
            {
                "n": self._step(),
                "refund_id": request.request_id,
                "payment_id": payment.payment_id,
                "version": version,
                "state": request.state.value,
                "amount_minor": request.amount_minor,
                "transaction_id": request.transaction_id,
            }
        )
        return None


class MemoryRecords:
    """One worker's client. Raises Unavailable as the real one does."""

    def __init__(
        self,
        service: MemoryDbService,
        *,
        fates: RecordFates,
        sleep: Callable[[float], Awaitable[None]],
        session: str = "",
    ) -> None:
        self._service = service
        self._fates = fates
        self._sleep = sleep
        self._session = session
        self._breaker = Breaker(
            after=5, first_s=1.0, longest_s=30.0, clock_s=lambda: service.run().timestamp()
        )

    @property
    def available(self) -> bool:
        """False while `record` would raise at once: open no new operation."""
        return self._breaker.lets_pass

    async def record(self, told: Snapshot, *, occurred_at: datetime) -> Ahead | None:
        """None once this news is stored; Ahead where other news is."""
        del occurred_at  # the books are compared without times
        said: list[Ahead | None] = []
        await self._call(lambda: said.append(self._service.take(told)))
        assert said, "nothing is heard before it arrived"
        return said[0]

    async def recorded(self, operation: Operation) -> Recorded:
        """What was ever recorded of it."""
        await self._call(None)
        return self._service.recorded(operation)

    async def order(self, order_id: str) -> Order | None:
        """The order, seconds old perhaps."""
        fate = await self._call(None)
        at = self._service.run() - timedelta(seconds=fate.stale_s)
        return self._service.order(order_id, at=at)

    async def _call(self, work: Callable[[], None] | None) -> RecordFate:
        """One call; `work` is done when it arrives, whoever waits."""
        service, breaker = self._service, self._breaker
        now = service.run()
        if not breaker.lets_pass:
            raise Unavailable(_NAME, breaker.why)
        trying = breaker.enter()
        try:
            fate = self._fates.of_record(self._session)
            if service.away:
                raise self._failed(service.away, trying=trying)
            if work is not None:
                self._set_off(work, fate, now=now)
            if fate.answer_s is None:
                await self._sleep(_GIVE_UP_S)
                raise self._failed(f"no answer within {_GIVE_UP_S:g} s", trying=trying)
            if fate.answer_s:
                await self._sleep(fate.answer_s)
                service.run()
            breaker.heard_well()
            return fate
        finally:
            breaker.leave(trying=trying)

    def _set_off(self, work: Callable[[], None], fate: RecordFate, *, now: datetime) -> None:
        if fate.arrives_s is None:
            return
        if fate.arrives_s:
            self._service.plan(now + timedelta(seconds=fate.arrives_s), lambda _: work())
        else:
            work()

    def _failed(self, why: str, *, trying: bool) -> Unavailable:
        self._breaker.heard_ill(why, trying=trying)
        return Unavailable(_NAME, why)


def _ahead(ours: int, *, there: int, same: bool) -> Ahead | None:
    if not same:
        return Ahead(there)
    return Ahead(there - 1) if there > ours else None


def _news(payment: Payment, request: Request | None) -> tuple[object, ...]:
    """A snapshot without what may differ in the same news: texts, times, marks, reserves and numbers of versions."""
    about = (request.kind, request.request_id, request.state) if request else None
    same = replace(
        payment,
        version=0,
        state_version=0,
        capturing_minor=0,
        refunding_minor=0,
        reason=NO_REASON,
        method=Method(),
        expires_at=None,
        marks=(),
    )
    return same, about


def _refund_news(request: Request) -> tuple[object, ...]:
    return request.request_id, request.amount_minor, request.state, request.transaction_id


def _payment_row(
    n: int, payment: Payment, *, request: Request | None, at: datetime
) -> dict[str, Any]:
    """One version as an auditor reads it."""
    about = None
    if request is not None:
        about = {
            "kind": request.kind.value,
            "request_id": request.request_id,
            "state": request.state.value,
        }
    return {
        "n": n,
        "at": at.timestamp(),
        "payment_id": payment.payment_id,
        "order_id": payment.order_id,
        "version": payment.version,
        "state": payment.state.value,
        "amount_minor": payment.money.amount_minor,
        "authorised_minor": payment.authorised_minor,
        "captured_minor": payment.captured_minor,
        "refunded_minor": payment.refunded_minor,
        "transaction_id": payment.transaction_id,
        "request": about,
    }
