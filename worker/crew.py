"""The crew: carries operations through the passage, hundreds at once, one of a payment at a time.

The lane runner stands here, one of the two places with `except Exception`: a crash of ours in one payment stops that
payment, not the worker. Its operation stays in the journal in the stage it had reached, and the janitor wakes it.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from db_client.group_commit import JournalRefusedError
from handlers.domain.errors import SessionOver
from handlers.domain.recovery import STEPS, Step
from handlers.passage import Done, House, Parked, carry
from handlers.ports import Lost, Operation
from worker.telemetry import Metrics, log, where

_CRASH_REST_S: Final = 5.0


class Crew:
    """Runs at most `in_flight` operations; holds as many again, so that a free place is filled at once."""

    def __init__(
        self,
        house: House,
        *,
        in_flight: int,
        healthy: Callable[[], bool],
        metrics: Metrics,
        on_over: Callable[[SessionOver], None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._house = house
        self._most = in_flight
        self._healthy = healthy
        self._metrics = metrics
        self._on_over = on_over
        self._loop = loop
        self._queue: deque[Operation] = deque()
        self._held: set[str] = set()  # everything that is in memory here, by operation id
        self._tasks: set[asyncio.Task[None]] = set()
        self._on_the_way = 0  # handed over by intake, not yet seen by the loop
        self._lock = threading.Lock()
        self._closed = False

    def room(self) -> int:
        """How many more may be taken now; 0 while anything that a payment needs is down. From any thread."""
        if self._closed or not self._healthy():
            return 0
        with self._lock:
            return 2 * self._most - len(self._held) - self._on_the_way

    def places(self) -> int:
        """How many more the janitor may wake: due work finds a place even where intake has filled its own."""
        return 0 if self._closed else 3 * self._most - len(self._held)

    def take(self, operations: Sequence[Operation]) -> None:
        """Start these as soon as there is a place. From any thread."""
        if operations:
            with self._lock:
                self._on_the_way += len(operations)
            self._loop.call_soon_threadsafe(self._take, operations)

    def reserve(self, ids: Iterable[str]) -> list[str]:
        """Those of `ids` that are not held here; they are from now on. For the janitor, before it loads them."""
        new = [name for name in ids if name not in self._held]
        self._held.update(new)
        return new

    def release(self, ids: Iterable[str]) -> None:
        """Give reserved ids back that were not started after all."""
        self._held.difference_update(ids)

    def start_reserved(self, operations: Sequence[Operation]) -> None:
        """Start operations whose ids were reserved."""
        self._queue.extend(operations)
        self.pump()

    @property
    def in_flight(self) -> int:
        """How many are in work."""
        return len(self._tasks)

    def holds(self, operation_id: str) -> bool:
        """Whether it is in memory here."""
        return operation_id in self._held

    def pump(self) -> None:
        """Fill the free places. What is in the queue but may not be opened now stays there."""
        waiting: list[Operation] = []
        healthy = self._healthy()
        while self._queue and len(self._tasks) < self._most and not self._closed:
            operation = self._queue.popleft()
            if not healthy and STEPS[operation.stage, operation.suspect] is Step.PLAN:
                waiting.append(operation)
                continue
            task = self._loop.create_task(self._run(operation), name=operation.operation_id)
            self._tasks.add(task)
            task.add_done_callback(self._finished)
        self._queue.extendleft(reversed(waiting))
        self._metrics.in_flight.set(len(self._tasks))
        self._metrics.queued.set(len(self._queue))

    async def drain(self, *, grace_s: float) -> int:
        """Start nothing more; wait for what is in flight. Returns how many were left behind, in the journal."""
        self._closed = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_s)
        left = [task for task in self._tasks if not task.done()]
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=_CRASH_REST_S)
        return len(left) + len(self._queue)

    def _take(self, operations: Sequence[Operation]) -> None:
        with self._lock:
            self._on_the_way -= len(operations)
        fresh = [it for it in operations if it.operation_id not in self._held]
        self._held.update(it.operation_id for it in fresh)
        self._queue.extend(fresh)
        self.pump()

    def _finished(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self._held.discard(task.get_name())
        self.pump()

    async def _run(self, operation: Operation) -> None:
        try:
            ending = await carry(operation, self._house)
        except SessionOver as over:
            self._on_over(over)
            return
        except JournalRefusedError as refused:
            self._crashed(operation, str(refused))
            await asyncio.sleep(_CRASH_REST_S)
            return
        except Exception as crash:  # noqa: BLE001 - the lane runner: one payment's crash is not the worker's
            self._crashed(operation, where(crash))
            await asyncio.sleep(_CRASH_REST_S)
            return
        match ending:
            case Done():
                self._metrics.endings.labels("done").inc()
            case Parked(why):
                self._metrics.endings.labels("parked").inc()
                log.info("parked", operation_id=operation.operation_id, why=why)
            case Lost():
                self._metrics.endings.labels("lost").inc()
                log.info("belongs to another session", operation_id=operation.operation_id)

    def _crashed(self, operation: Operation, why: str) -> None:
        self._metrics.crashes.inc()
        log.error(
            "a lane crashed",
            operation_id=operation.operation_id,
            stage=operation.stage.value,
            why=why,
        )
