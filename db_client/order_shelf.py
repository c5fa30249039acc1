"""Orders that were read a moment ago: bounded in number and age, and no order is asked for twice at once.

An order that is not there is not kept: it may be written the next moment, and a payment would be refused for it.
A plain dict is enough: every entry lives equally long, so the oldest is the first to go, and no library is needed.
Nothing of HTTP here, and one event loop.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from handlers.domain.errors import Unavailable
from handlers.domain.facts import Order

Looked = Order | Unavailable | None


@dataclass(frozen=True, slots=True)
class _Kept:
    order: Order
    until_s: float


class OrderShelf:
    """`look` asks the service, and returns Unavailable instead of raising it: more than one caller may wait for it."""

    def __init__(
        self,
        look: Callable[[str], Awaitable[Looked]],
        *,
        keep_s: float,
        most: int,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._look = look
        self._keep_s = keep_s
        self._most = most
        self._clock_s = clock_s
        self._kept: dict[str, _Kept] = {}
        self._asked: dict[str, asyncio.Task[Looked]] = {}

    async def order(self, order_id: str) -> Looked:
        """The order as it was at most `keep_s` ago. A caller that leaves does not disturb the others."""
        kept = self._kept.get(order_id)
        if kept is not None and self._clock_s() < kept.until_s:
            return kept.order
        task = self._asked.get(order_id)
        if task is None:
            task = asyncio.create_task(self._ask(order_id))
            self._asked[order_id] = task
            task.add_done_callback(lambda _: self._asked.pop(order_id, None))
        await asyncio.wait({task})
        return (
            Unavailable("db-service", "its client was closed")
            if task.cancelled()
            else task.result()
        )

    async def aclose(self) -> None:
        """Break off every question; who waits for one is told."""
        tasks = tuple(self._asked.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, order_id: str) -> Looked:
        began_s = self._clock_s()
        looked = await self._look(order_id)
        self._kept.pop(order_id, None)
        if isinstance(looked, Order) and self._keep_s > 0:
            while len(self._kept) >= self._most:
                del self._kept[next(iter(self._kept))]
            # From the beginning of the question: the answer may have been under way for long.
            self._kept[order_id] = _Kept(looked, began_s + self._keep_s)
        return looked
