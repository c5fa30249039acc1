"""The db-service seen from the worker: `handlers.ports.Records`, many payments in one call.

A group commit: what arrives while calls are under way goes into the next `POST /outcomes`. Idle, a record leaves at
once; beside k calls under way the next one starts only where a share k/connections of a full batch waits, so that load
makes batches and not calls. A call that takes longer than `patience_s` counts no more in this: nobody waits behind a
slow one while there are connections. One payment is never twice in flight (`outcome_lanes.py`).

Here stands what an answer means for a payment and for the breaker; how a call is made is `service_calls.py`.
Refusals travel as values up to `record`, which raises them where its caller waits.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final, assert_never
from urllib.parse import quote

from db_client.breaker import Breaker
from db_client.outcome_body import (
    PaymentBody,
    Result,
    differences,
    encode_batch,
    named_field,
    payment_body,
    read_results,
    read_stored,
)
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
from handlers.domain.errors import Unavailable
from handlers.domain.payments import Payment
from handlers.ports import Ahead

__all__ = ["DbService", "DbServiceSettings"]  # the whole of what the wiring needs

_NAME: Final = "db-service"
_WHOSE: Final = frozenset({"payment_id", "order_id", "user_id", "amount_minor", "currency"})
_CLOSED: Final = "its client was closed"
_TOKEN: Final = frozenset({401, 403})
_NOT_FOUND: Final = 404
_CONTRACT: Final = frozenset({400, 413, 422})  # this body is at fault, not the service
_BROKEN_OFF: Final = "the call was broken off"


@dataclass(slots=True, eq=False)
class _Entry:
    """One caller of `record`. `settled` gets None where it is stored, else why not."""

    body: PaymentBody
    settled: asyncio.Future[Unavailable | Ahead | None]

    @property
    def payment_id(self) -> str:
        return self.body.payment_id

    @property
    def version(self) -> int:
        return self.body.version

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
        self._posts: set[asyncio.Task[None]] = set()
        self._quick: set[asyncio.Task[None]] = set()  # of them, younger than `patience_s`
        self._closed = False

    @property
    def available(self) -> bool:
        """False while `record` would raise at once: open no new operation."""
        return self._breaker.lets_pass and not self._closed

    async def record(self, payment: Payment, *, occurred_at: datetime) -> Ahead | None:
        """None once this news is stored; Ahead where other news is. Raises Unavailable, within `give_up_s`."""
        if not self.available:
            raise Unavailable(_NAME, _CLOSED if self._closed else self._breaker.why)
        body = payment_body(payment, occurred_at=occurred_at)
        entry = _Entry(body, asyncio.get_running_loop().create_future())
        self._lanes.put(entry)
        self._start_posts()
        try:
            async with asyncio.timeout(self._settings.give_up_s):
                settled = await entry.settled
        except TimeoutError:
            why = (
                f"payment {body.payment_id} was not recorded within {self._settings.give_up_s:g} s"
            )
            raise Unavailable(_NAME, why) from None
        if isinstance(settled, Unavailable):
            raise settled
        return settled

    async def knows(self, payment_id: str) -> bool:
        """Whether any version of it was ever recorded. Raises Unavailable."""
        if not self.available:
            raise Unavailable(_NAME, _CLOSED if self._closed else self._breaker.why)
        path = f"/payments/{quote(payment_id, safe='')}"
        ask = Ask("payment", "GET", path, read_stored)
        match await self._call(ask, trying=False, fine=_NOT_FOUND):
            case Heard():
                return True
            case Refused(status) if status == _NOT_FOUND:
                return False
            case Refused(status):
                raise Unavailable(_NAME, _advice(status))
            case Failed(why):
                raise Unavailable(_NAME, why)

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
        await self._calls.aclose()

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
        content = encode_batch([entry.body for entry in entries])
        read = partial(read_results, count=len(entries))
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

    async def _call(
        self, ask: Ask[ReadT], *, trying: bool, fine: int | None = None
    ) -> Heard[ReadT] | Refused | Failed:
        """Call, and tell the breaker how it went: a try gets one go, others stop where the breaker opened meanwhile.

        `fine` is a status that is an answer here, and no fault of the service.
        """
        result = await self._calls.call(
            ask,
            tries=1 if trying else self._settings.tries,
            worth_it=lambda: self._breaker.lets_pass,
        )
        match result:
            case Refused(status) if status not in _CONTRACT and status != fine:
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
        conflicts: list[_Entry] = []
        for entry, result in zip(entries, results, strict=True):
            code = result.problem.code if result.problem else ""
            match result.status, code:
                case 200, _:
                    self._settle(entry, None)
                case 409, "version_conflict" | "older_version":
                    conflicts.append(entry)
                case 422, _:
                    field = named_field(result.problem)
                    at = f" (field {field})" if field else ""
                    self._settle(entry, f"payment {entry.payment_id}{at}: {_advice(422)}")
                case _:
                    why = f"it answered {result.status} for payment {entry.payment_id}; see its log"
                    self._settle(entry, why)
        for entry in conflicts:  # last: nobody else waits for these questions
            self._settle(entry, await self._conflict(entry.body))

    async def _conflict(self, ours: PaymentBody) -> str | Ahead | None:
        """The service has our version with other content, or a later one.

        None where it holds the same news under the same version (only texts or times differ). Ahead where the journal
        lost the time in which that was told: the same news is told again under the version that it has there, other
        news under the next one. Otherwise why not: it is another payment under our id, or it could not be read.
        """
        path = f"/payments/{quote(ours.payment_id, safe='')}"
        result = await self._call(Ask("payment", "GET", path, read_stored), trying=False)
        name = f"payment {ours.payment_id} version {ours.version}"
        match result:
            case Heard(stored):
                different = differences(ours, stored)
                if _WHOSE & set(different):
                    who = ", ".join(different)
                    return f"{name} is stored there with other {who}: compare both, a person must decide"
                if different:
                    return Ahead(stored.version)
                return Ahead(stored.version - 1) if stored.version > ours.version else None
            case Refused(status):
                return f"{name} is stored there with other content, and could not be read: {_advice(status)}"
            case Failed(why):
                return f"{name} is stored there with other content, and could not be read: {why}"
            case _:
                assert_never(result)

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
