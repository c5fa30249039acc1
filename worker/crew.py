"""The crew: carries operations through the passage, hundreds at once, one of a payment at a time.

The lane runner stands here, one of the two places with `except Exception`: a crash of ours in one payment stops that
payment, not the worker. Its operation stays in the journal in the stage it had reached, and the janitor wakes it.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from db_client.group_commit import JournalRefusedError
from handlers.domain.errors import SessionOver
from handlers.domain.recovery import STEPS, Step
from handlers.passage import Done, House, Parked, carry
from handlers.ports import Lost, Operation
from worker.telemetry import Metrics, log, where

_CRASH_REST_S: Final = 5.0
_MAX_QUESTIONS: Final = 500


@dataclass(slots=True)
class _Team:
    """Operations of one kind of work: at most `most` at once, the others in line."""

    most: int
    queue: deque[Operation] = field(default_factory=deque)
    tasks: "set[asyncio.Task[None]]" = field(default_factory=set)

    def __len__(self) -> int:
        return len(self.queue) + len(self.tasks)


class Crew:
    """Runs at most `in_flight` payments; holds as many again, so that a free place is filled at once.

    Questions to the gateway have a team of their own: after a bad day there may be thousands of them, and they must
    neither keep new payments out nor be kept out by them. All that are due are asked at once, for they share a
    scan; how many calls that makes is bounded by the gateway's adapter.

    Nothing is planned, and so sent, before Kafka has `heard` that its record was read (`offsets.py`).
    """

    def __init__(
        self,
        house: House,
        *,
        in_flight: int,
        most_waiting: int,
        healthy: Callable[[], bool],
        heard: Callable[[Operation], bool],
        metrics: Metrics,
        on_over: Callable[[SessionOver], None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._house = house
        self._healthy = healthy
        self._heard = heard
        self._metrics = metrics
        self._on_over = on_over
        self._loop = loop
        self._most_waiting = most_waiting
        self.waiting = 0  # in the journal: in line, asked for, deferred; the janitor counts
        self._work = _Team(in_flight)
        self._questions = _Team(_MAX_QUESTIONS)
        self._held: set[str] = set()  # everything that is in memory here, by operation id
        self._set_aside: set[str] = set()  # what cannot be loaded until a person mends it
        self._on_the_way = 0  # handed over by intake, not yet seen by the loop
        self._lock = threading.Lock()
        self._closed = False

    def room(self) -> int:
        """How many more may be taken now; 0 while anything that a payment needs is down. From any thread."""
        if self._closed or not self._healthy() or len(self._questions) >= _MAX_QUESTIONS:
            return 0
        with self._lock:
            return 2 * self._work.most - len(self._work) - self._on_the_way

    @property
    def crowded(self) -> bool:
        """Whether so much waits that no more may be asked, but for what can end the waiting."""
        return self.waiting >= self._most_waiting

    def places(self) -> int:
        """How many more the janitor may wake: due work finds a place even where intake has filled its own."""
        if self._closed:
            return 0
        work = max(0, 3 * self._work.most - len(self._work))
        return work + self.questions_room()

    def questions_room(self) -> int:
        """How many more questions to the gateway may be gathered here."""
        return 0 if self._closed else max(0, _MAX_QUESTIONS - len(self._questions))

    def take(self, operations: Sequence[Operation]) -> None:
        """Start these as soon as there is a place. From any thread."""
        if operations:
            with self._lock:
                self._on_the_way += len(operations)
            self._loop.call_soon_threadsafe(self._take, operations)

    def wake(self) -> None:
        """What waits may go on. From any thread."""
        self._loop.call_soon_threadsafe(self.pump)

    def occupied(self) -> list[str]:
        """Ids that are in memory here, or set aside: the janitor need not look for them."""
        return [*self._held, *self._set_aside]

    def reserve(self, ids: Iterable[str]) -> list[str]:
        """Those of `ids` that are not held here; they are from now on. For the janitor, before it loads them."""
        new = [name for name in ids if name not in self._held and name not in self._set_aside]
        self._held.update(new)
        return new

    def release(self, ids: Iterable[str]) -> None:
        """Give reserved ids back that were not started after all."""
        self._held.difference_update(ids)

    def set_aside(self, ids: Iterable[str]) -> None:
        """Reserved ids that cannot be loaded: out of the way until this process is started anew."""
        self._held.difference_update(ids)
        self._set_aside.update(ids)

    def start_reserved(self, operations: Sequence[Operation]) -> None:
        """Start operations whose ids were reserved."""
        for operation in operations:
            self._team(operation).queue.append(operation)
        self.pump()

    @property
    def in_flight(self) -> int:
        """How many payments are in work."""
        return len(self._work.tasks)

    def pump(self) -> None:
        """Fill the free places. What is in the queue but may not be opened now stays there."""
        self._fill(self._questions)
        self._fill(self._work)
        self._metrics.in_flight.set(len(self._work.tasks))
        self._metrics.queued.set(len(self._work.queue) + len(self._questions.queue))

    def _fill(self, team: _Team) -> None:
        if not team.queue:
            return
        waiting: list[Operation] = []
        healthy = self._healthy()
        while team.queue and len(team.tasks) < team.most and not self._closed:
            operation = team.queue.popleft()
            if _step(operation) is Step.PLAN and not (healthy and self._heard(operation)):
                waiting.append(operation)
                continue
            task = self._loop.create_task(self._run(operation), name=operation.operation_id)
            team.tasks.add(task)
            task.add_done_callback(partial(self._finished, team))
        team.queue.extendleft(reversed(waiting))

    async def drain(self, *, grace_s: float) -> int:
        """Start nothing more; wait for what is in flight. Returns how many were left behind, in the journal."""
        self._closed = True
        tasks = self._work.tasks | self._questions.tasks
        if tasks:
            await asyncio.wait(tasks, timeout=grace_s)
        left = [task for task in tasks if not task.done()]
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=_CRASH_REST_S)
        return len(left) + len(self._work.queue) + len(self._questions.queue)

    def _team(self, operation: Operation) -> _Team:
        return self._questions if _step(operation) is Step.ASK else self._work

    def _take(self, operations: Sequence[Operation]) -> None:
        with self._lock:
            self._on_the_way -= len(operations)
        self.start_reserved([it for it in operations if self.reserve([it.operation_id])])

    def _finished(self, team: _Team, task: "asyncio.Task[None]") -> None:
        team.tasks.discard(task)
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


def _step(operation: Operation) -> Step:
    return STEPS[operation.stage, operation.suspect]
