"""The db-service seen from the worker: `handlers.ports.Records`, many payments in one call.

A group commit: what arrives while calls are under way goes into the next `POST /outcomes`. Idle, a record leaves at
once; beside k calls under way the next one starts only where a share k/connections of a full batch waits, so that load
makes batches and not calls. A call that takes longer than `patience_s` counts no more in this: nobody waits behind a
slow one while there are connections. One payment is never twice in flight (`outcome_lanes.py`). A payment and its
refund go in one call, which the service applies as one: both are stored, or the record is not.

Here stands what an answer means for a payment and for the breaker; how a call is made is `service_calls.py`.
Refusals travel as values up to the port's three calls, which raise them where their caller waits.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Final, assert_never
from urllib.parse import quote

from db_client.breaker import Breaker
from db_client.order_body import StrangeOrder, read_order
from db_client.order_shelf import Looked, OrderShelf
from db_client.outcome_body import (
    OutcomeBody,
    Past,
    PaymentBody,
    Result,
    Stored,
    encode_batch,
    named_field,
    outcome_bodies,
    read_history,
    read_payment,
    read_refund,
    read_results,
)
from db_client.outcome_judging import judged, name_of, names_request, recorded_of_refund, worst
from db_client.outcome_lanes import OutcomeLanes
from db_client.service_calls import (
    Ask,
    Failed,
    Heard,
    Observe,
    ReadT,
    Refused,
    ServiceCalls,
    unobserved,
)
from db_client.service_settings import DbServiceSettings
from handlers.domain.commands import (
    CapturePayment,
    InitiatePayment,
    RefundPayment,
    VerifyPayment,
    VoidPayment,
)
from handlers.domain.errors import Unavailable
from handlers.domain.facts import Order
from handlers.domain.payments import Snapshot
from handlers.ports import Ahead, Operation, Recorded

__all__ = ["DbService", "DbServiceSettings"]  # the whole of what the wiring needs

_NAME: Final = "db-service"
_CLOSED: Final = "its client was closed"
_TOKEN: Final = frozenset({401, 403})
_STORED: Final = 200
_OLDER: Final = 409
_CONFLICTS: Final = frozenset({"version_conflict", "older_version"})
_INVALID: Final = 422
_CONTRACT: Final = frozenset({400, 413, _INVALID})  # this body is at fault, not the service
_BROKEN_OFF: Final = "the call was broken off"


@dataclass(slots=True, eq=False)
class _Entry:
    """One caller of `record`. `settled` gets None where all its `bodies` are stored, else why not."""

    payment_id: str
    version: int
    bodies: tuple[OutcomeBody, ...]
    settled: asyncio.Future[Unavailable | Ahead | None]

    @property
    def abandoned(self) -> bool:
        return self.settled.done()


class DbService:
    """Used in one event loop, then closed."""

    def __init__(self, settings: DbServiceSettings, *, observe: Observe = unobserved) -> None:
        self._settings = settings
        self._calls = ServiceCalls(settings, observe=observe)
        self._breaker = Breaker(
            after=settings.breaker_after,
            first_s=settings.breaker_first_open_s,
            longest_s=settings.breaker_longest_open_s,
        )
        self._lanes: OutcomeLanes[_Entry] = OutcomeLanes()
        self._look_ups = asyncio.Semaphore(settings.look_ups)
        self._orders = OrderShelf(
            self._look_at_order, keep_s=settings.order_cache_s, most=settings.order_cache_entries
        )
        self._posts: set[asyncio.Task[None]] = set()
        self._quick: set[asyncio.Task[None]] = set()  # of them, younger than `patience_s`
        self._closed = False

    @property
    def available(self) -> bool:
        """False while `record` would raise at once: open no new operation."""
        return self._breaker.lets_pass and not self._closed

    @property
    def answers(self) -> bool:
        """False until a call has succeeded again: what health shows, for one that may try proves nothing yet."""
        return self._breaker.answers and not self._closed

    async def record(self, told: Snapshot, *, occurred_at: datetime) -> Ahead | None:
        """None once this news is stored, the refund's beside the payment's; Ahead where other news is.

        Raises Unavailable, within `give_up_s`.
        """
        self._refuse_while_away()
        payment = told.payment
        entry = _Entry(
            payment.payment_id,
            payment.version,
            outcome_bodies(told, occurred_at=occurred_at),
            asyncio.get_running_loop().create_future(),
        )
        self._lanes.put(entry)
        self._start_posts()
        try:
            async with asyncio.timeout(self._settings.give_up_s):
                settled = await entry.settled
        except TimeoutError:
            why = (
                f"payment {entry.payment_id} was not recorded within {self._settings.give_up_s:g} s"
            )
            raise Unavailable(_NAME, why) from None
        if isinstance(settled, Unavailable):
            raise settled
        return settled

    async def recorded(self, operation: Operation) -> Recorded:
        """What was ever recorded of this operation, among the newest 1,000 versions. Raises Unavailable.

        An initiation is known where its payment is. A refund has a record of its own, in which a continuation counts
        only from where the command before it ended, and not what the operation knows to have been told. A capture,
        void or verification has none: it is known where a version of its payment names it as what the news was about.
        """
        command = operation.command
        payment = f"/payments/{quote(command.payment_id, safe='')}"
        match command:
            case InitiatePayment():
                known = await self._look(Ask("payment", "GET", payment, read_payment)) is not None
            case RefundPayment():
                past = await self._past(f"/refunds/{quote(command.refund_id, safe='')}")
                return recorded_of_refund(past, command.continuation, known=operation.told_so_far)
            case CapturePayment() | VoidPayment() | VerifyPayment():
                known = names_request(await self._past(payment), command)
            case never:
                assert_never(never)
        return Recorded.SOMETHING if known else Recorded.NOTHING

    async def order(self, order_id: str) -> Order | None:
        """The order, at most `order_cache_s` old; None where the service says there is none. Raises Unavailable."""
        looked = await self._orders.order(order_id)
        if isinstance(looked, Unavailable):
            raise Unavailable(looked.what, looked.why)  # its own for each: several may wait for one
        return looked

    async def probe(self) -> str:
        """Ask whether address and token are good, writing nothing: "" where they are, else what is wrong."""
        if self._closed:
            return _CLOSED
        ask = Ask("probe", "POST", "/outcomes", partial(read_results, count=0), encode_batch([]))
        result = await self._calls.call(ask, tries=1, worth_it=lambda: True)
        match result:
            case Heard():
                return ""
            case Refused(status):
                return _advice(status)
            case Failed(why):
                return why
            case _:
                assert_never(result)

    async def aclose(self) -> None:
        """Turn away who waits, break off what is under way, close the connections."""
        self._closed = True
        self._turn_away(_CLOSED)
        posts = tuple(self._posts)
        for post in posts:
            post.cancel()
        await asyncio.gather(*posts, return_exceptions=True)
        await self._orders.aclose()
        await self._calls.aclose()

    def _refuse_while_away(self) -> None:
        if not self.available:
            raise Unavailable(_NAME, _CLOSED if self._closed else self._breaker.why)

    async def _past(self, path: str) -> list[Past]:
        return await self._look(Ask("history", "GET", f"{path}/history", read_history)) or []

    async def _look_at_order(self, order_id: str) -> Looked:
        path = f"/orders/{quote(order_id, safe='')}"
        try:
            found = await self._look(
                Ask("order", "GET", path, partial(read_order, order_id=order_id))
            )
        except Unavailable as unavailable:
            return unavailable
        if isinstance(found, StrangeOrder):  # the service is well: nobody else is held up
            return Unavailable(
                _NAME, f"order {order_id} cannot be used: {found.why}; mend it there"
            )
        return found

    async def _look(self, ask: Ask[ReadT]) -> ReadT | None:
        """What is stored there, None where the service says that nothing is. Raises Unavailable, within `give_up_s`."""
        try:
            async with asyncio.timeout(self._settings.give_up_s), self._look_ups:
                self._refuse_while_away()
                trying = self._breaker.enter()
                try:
                    result = await self._call(ask, trying=trying)
                finally:
                    self._breaker.leave(trying=trying)
        except TimeoutError:
            why = f"no answer to {ask.path} within {self._settings.give_up_s:g} s"
            raise Unavailable(_NAME, why) from None
        match result:
            case Heard(value):
                return value
            case Refused() if result.says_absent:
                return None
            case Refused(status):
                raise Unavailable(_NAME, _advice(status))
            case Failed(why):
                raise Unavailable(_NAME, why)

    def _start_posts(self) -> None:
        """Start as many posts as what waits is worth. Each takes its entries when it runs, so bursts meet in one."""
        settings = self._settings
        loop = asyncio.get_running_loop()
        while (
            not self._closed
            and len(self._posts) < settings.connections
            and self._lanes.ready > settings.batch * len(self._quick) // settings.connections
        ):
            post = loop.create_task(self._post())
            self._posts.add(post)
            self._quick.add(post)
            slow = loop.call_later(settings.patience_s, self._grow_impatient, post)
            post.add_done_callback(partial(self._ended, slow=slow))

    def _grow_impatient(self, post: asyncio.Task[None]) -> None:
        self._quick.discard(post)
        self._start_posts()

    def _ended(self, post: asyncio.Task[None], slow: asyncio.TimerHandle) -> None:
        slow.cancel()
        self._posts.discard(post)
        self._grow_impatient(post)

    async def _post(self) -> None:
        entries = self._lanes.take(self._settings.batch)
        if not entries:
            return
        trying = False
        try:
            if self._breaker.lets_pass:
                trying = self._breaker.enter()
                await self._deliver(entries, trying=trying)
        finally:
            self._breaker.leave(trying=trying)
            is_open = not self._breaker.lets_pass
            why = self._breaker.why if is_open else _CLOSED if self._closed else _BROKEN_OFF
            for entry in entries:
                self._settle(entry, why)
            if is_open:
                self._turn_away(why)

    async def _deliver(self, entries: Sequence[_Entry], *, trying: bool) -> None:
        bodies = [body for entry in entries for body in entry.bodies]
        content = encode_batch(bodies)
        read = partial(read_results, count=len(bodies))
        ask = Ask("outcomes", "POST", "/outcomes", read, content)
        result = await self._call(ask, trying=trying)
        match result:
            case Heard(results):
                await self._settle_each(entries, results)
            case Refused(status) if status in _CONTRACT and len(entries) > 1:
                middle = len(entries) // 2  # one bad payment must not hold up its neighbours
                await self._deliver(entries[:middle], trying=False)
                await self._deliver(entries[middle:], trying=False)
            case Refused(status):
                for entry in entries:
                    self._settle(entry, f"payment {entry.payment_id}: {_advice(status)}")
            case Failed(why):
                for entry in entries:
                    self._settle(entry, why)
            case _:
                assert_never(result)

    async def _call(self, ask: Ask[ReadT], *, trying: bool) -> Heard[ReadT] | Refused | Failed:
        """Call, and tell the breaker how it went: a try gets one go, others stop where the breaker opened meanwhile."""
        result = await self._calls.call(
            ask,
            tries=1 if trying else self._settings.tries,
            worth_it=lambda: self._breaker.lets_pass,
        )
        match result:
            case Refused(status) if status not in _CONTRACT and not result.says_absent:
                definite = status in _TOKEN
                self._breaker.heard_ill(_advice(status), trying=trying, definite=definite)
            case Heard() | Refused():
                self._breaker.heard_well()
            case Failed(why):
                self._breaker.heard_ill(why, trying=trying)
            case _:
                assert_never(result)
        return result

    async def _settle_each(self, entries: Sequence[_Entry], results: Sequence[Result]) -> None:
        conflicts: list[tuple[_Entry, list[OutcomeBody]]] = []
        told = iter(results)
        for entry in entries:
            pairs = list(zip(entry.bodies, islice(told, len(entry.bodies)), strict=True))
            refused = [_refusal(body, result) for body, result in pairs if not _is_taken(result)]
            other = [body for body, result in pairs if result.status == _OLDER]
            if refused:
                self._settle(entry, "; ".join(refused))
            elif other:
                conflicts.append((entry, other))
            else:
                self._settle(entry, None)
        for entry, bodies in conflicts:  # last: nobody else waits for these questions
            self._settle(entry, worst([await self._conflict(body) for body in bodies]))

    async def _conflict(self, ours: OutcomeBody) -> str | Ahead | None:
        """What the service has instead, judged. Asked one by one: this happens after a loss of time only."""
        result = await self._call(_ask_for(ours), trying=False)
        match result:
            case Heard(stored):
                return judged(ours, stored)
            case Refused(status):
                why = _advice(status)
            case Failed(why):
                pass
            case _:
                assert_never(result)
        return f"{name_of(ours)} is stored there with other content, and could not be read: {why}"

    def _settle(self, entry: _Entry, end: str | Ahead | None) -> None:
        """Tell the caller, once, and let the payment's next version go."""
        if not entry.settled.done():
            entry.settled.set_result(Unavailable(_NAME, end) if isinstance(end, str) else end)
        self._lanes.done(entry)

    def _turn_away(self, why: str) -> None:
        for entry in self._lanes.clear():
            self._settle(entry, why)


def _advice(status: int) -> str:
    if status in _TOKEN:
        return f"it answered HTTP {status}: check the token (WORKER_DB_SERVICE_TOKEN)"
    if status in _CONTRACT:
        return f"it answered {status}: it does not take this body; compare it with openapi.yaml"
    return f"it answered HTTP {status}: check the address (WORKER_DB_SERVICE_URL)"


def _is_taken(result: Result) -> bool:
    """True where it is stored, or other content is."""
    code = result.problem.code if result.problem else ""
    return result.status == _STORED or (result.status == _OLDER and code in _CONFLICTS)


def _refusal(body: OutcomeBody, result: Result) -> str:
    if result.status != _INVALID:
        return f"it answered {result.status} for {name_of(body)}; see its log"
    field = named_field(result.problem)
    at = f" (field {field})" if field else ""
    return f"{name_of(body)}{at}: {_advice(_INVALID)}"


def _ask_for(ours: OutcomeBody) -> Ask[Stored]:
    if isinstance(ours, PaymentBody):
        return Ask("payment", "GET", f"/payments/{quote(ours.payment_id, safe='')}", read_payment)
    return Ask("refund", "GET", f"/refunds/{quote(ours.refund_id, safe='')}", read_refund)
