"""The db-service in memory. Its contract suite: `tests/contract/test_records_port.py`."""

import re
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, assert_never

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
from handlers.domain.payments import NO_REASON, Payment, Request, Snapshot
from handlers.domain.states import RequestState
from handlers.domain.verdicts import Method
from handlers.ports import Ahead, Operation, Recorded
from tests.doubles.power import Power


@dataclass
class RecordsDouble:
    """Implements `handlers.ports.Records`. `down` turns every call away; `orders` are what the shop wrote.

    `stored` and `refunds` are the newest versions, `past` every request that a payment's news was about.
    """

    power: Power = field(default_factory=Power)
    stored: dict[str, tuple[Payment, datetime]] = field(default_factory=dict)
    refunds: dict[str, tuple[Request, int]] = field(default_factory=dict)
    past: dict[str, list[Request]] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)
    down: bool = False
    _last: dict[str, Request | None] = field(default_factory=dict)

    async def record(self, told: Snapshot, *, occurred_at: datetime) -> Ahead | None:
        """Keep the newest versions; where this version, or a later one, holds other news, say which is the last."""
        self._point("record")
        ahead = [self._record_payment(told, occurred_at)]
        if told.request is not None and told.request.kind is Kind.REFUND:
            ahead.append(self._record_refund(told.request, told.payment.version))
        worst = max((it.version for it in ahead if it is not None), default=None)
        if worst is not None:
            return Ahead(worst)
        self.power.point("record done")
        return None

    async def recorded(self, operation: Operation) -> Recorded:
        """What was stored of it."""
        self._point("recorded")
        command = operation.command
        past = self.past.get(command.payment_id, [])
        match command:
            case InitiatePayment():
                known = command.payment_id in self.stored
            case RefundPayment():
                return recorded_of_refund(past, command, known=operation.told_so_far)
            case CapturePayment() | VoidPayment() | VerifyPayment():
                ours = command.kind, command.request_id
                known = any((it.kind, it.request_id) == ours for it in past)
            case never:
                assert_never(never)
        return Recorded.SOMETHING if known else Recorded.NOTHING

    async def order(self, order_id: str) -> Order | None:
        """What the shop wrote."""
        self._point("order")
        return self.orders.get(order_id)

    def _point(self, name: str) -> None:
        self.power.point(name)
        if self.down:
            raise Unavailable("db-service", "it is down")

    def _record_payment(self, told: Snapshot, occurred_at: datetime) -> Ahead | None:
        payment = told.payment
        there, _ = self.stored.get(payment.payment_id, (None, None))
        if there is not None and there.version >= payment.version:
            last = Snapshot(there, self._last.get(payment.payment_id))
            return _ahead(
                payment.version,
                there=there.version,
                same=_payment_news(last) == _payment_news(told),
            )
        self.stored[payment.payment_id] = payment, occurred_at
        self._last[payment.payment_id] = told.request
        if told.request is not None:
            self.past.setdefault(payment.payment_id, []).append(told.request)
        return None

    def _record_refund(self, request: Request, version: int) -> Ahead | None:
        there, stored = self.refunds.get(request.request_id, (request, 0))
        if stored >= version:
            return _ahead(version, there=stored, same=_refund_news(there) == _refund_news(request))
        self.refunds[request.request_id] = request, version
        return None


def _ahead(ours: int, *, there: int, same: bool) -> Ahead | None:
    if not same:
        return Ahead(there)
    return Ahead(there - 1) if there > ours else None


def _payment_news(told: Snapshot) -> tuple[Payment, tuple[str, str, str] | None]:
    """A snapshot without what may differ in the same news: texts, times, marks, reserves and numbers of versions."""
    request = told.request
    about = (request.kind.value, request.request_id, request.state.value) if request else None
    return replace(
        told.payment,
        version=0,
        state_version=0,
        capturing_minor=0,
        refunding_minor=0,
        reason=NO_REASON,
        method=Method(),
        expires_at=None,
        marks=(),
    ), about


def _refund_news(request: Request) -> tuple[str, int, str, str | None]:
    return request.request_id, request.amount_minor, request.state.value, request.transaction_id


_NO_NEWS: Final[dict[RequestState | None, str]] = {
    RequestState.DEFERRED: "d*",
    RequestState.UNKNOWN: "u*d*",  # first letters of what was told
}


def recorded_of_refund(
    past: list[Request], command: RefundPayment, *, known: RequestState | None
) -> Recorded:
    """What follows the end of the continuation before this one, but for what is `known`; a gap counts as news."""
    states = [
        it.state for it in past if (it.kind, it.request_id) == (Kind.REFUND, command.refund_id)
    ]
    went_on = states.index(RequestState.CONTINUED) if RequestState.CONTINUED in states else None
    if command.continuation > 1:
        if went_on is None:
            return Recorded.SOMETHING if states else Recorded.NOTHING
        states = [state for state in states[went_on:] if state is not RequestState.CONTINUED]
    elif went_on is not None:
        return Recorded.WENT_ON
    if RequestState.PROCESSED in states or RequestState.FAILED in states:
        return Recorded.ENDED
    told = "".join(state.value[0] for state in states)
    no_news = re.fullmatch(_NO_NEWS.get(known, ""), told)
    return Recorded.NOTHING if no_news else Recorded.SOMETHING
