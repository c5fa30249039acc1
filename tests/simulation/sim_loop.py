"""An asyncio event loop with simulated time: deterministic, without threads, sockets and signals.

What is ready runs in the order in which it came; only when nothing is ready does time jump to the next timer, and
timers of one moment run in the order in which they were set. `asyncio.to_thread` runs its function on the loop, one
turn later. An exception that a callback (not a task) lets through ends the run: asyncio would log it and go on, but
it is a bug of ours.

Several processes live in one loop. A process is a context variable: tasks, callbacks and timers belong to the process
that made them, and a task's own context decides, not who wakes it. So code of one process may settle a future of
another one, as a socket would; it must not call another one's methods, which would then run here. A killed process
never goes on: what it awaits may come, nobody is there. No `finally` of it runs before `close`. A frozen one's
callbacks and timers are kept back until it is woken, and clocks go on meanwhile.

It stands on `asyncio.BaseEventLoop` because `AbstractEventLoop` cannot be made under mypy (its sixty methods count as
abstract there). Of the base's internals nothing is used: whatever touches its queues is overridden here. What is left
of it are `create_future`, `get_debug`, and the methods for networks, which fail.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator
from concurrent.futures import Executor
from contextvars import Context, copy_context
from functools import partial
from heapq import heappop, heappush
from itertools import count
from typing import Any, Final, TypeVar, TypeVarTuple, Unpack

from tests.simulation.sim_nap import Errand, Nap
from tests.simulation.sim_process import PROCESS, Call, Process, State

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_MOST_CALLS_IN_A_MOMENT: Final = 100_000
_MOST_CLOSES: Final = 100
_NEVER: Final = float("inf")


class DeadlockError(RuntimeError):
    """Nothing is ready, no timer is set, and what is waited for cannot come any more."""


class LivelockError(RuntimeError):
    """Callbacks follow each other without end and time stands still."""


class SimLoop(asyncio.BaseEventLoop):
    """One run's loop; close it at the end. `world` is the process of everything that belongs to no other.

    `thread_s`: how long a function that was handed to a thread takes to begin, in simulated seconds; asked each time.
    """

    def __init__(self) -> None:
        self._stops = False
        self._runs = False  # the base's constructor asks already
        self._is_closed = False
        super().__init__()
        self.world = Process("world")
        self.thread_s: Callable[[], float] | None = None
        self._processes = [self.world]
        self._outside = copy_context()
        self._outside.run(PROCESS.set, self.world)
        self._now_s = 0.0
        self._calls: deque[Call] = deque()
        self._timers: list[tuple[float, int, Call]] = []
        self._numbers = count()
        self._left = _MOST_CALLS_IN_A_MOMENT

    # Processes

    @property
    def processes(self) -> list[Process]:
        """All that ever were, the world first."""
        return self._processes

    def process(self, name: str) -> Process:
        """A new process, running and empty."""
        process = Process(name)
        self._processes.append(process)
        return process

    def spawn(
        self, process: Process, coroutine: Coroutine[Any, Any, T], *, name: str | None = None
    ) -> asyncio.Task[T]:
        """Begin a task of this process. What the task begins is the process's, too."""
        context = self._outside.copy()
        context.run(PROCESS.set, process)
        return self.create_task(coroutine, name=name, context=context)

    def kill(self, process: Process) -> None:
        """SIGKILL. Whoever kills its own process should await something next: that never comes back."""
        if process.state is not State.DEAD:
            process.state = State.DEAD
            process.held.clear()
            self._fall_silent(process)

    def freeze(self, process: Process) -> None:
        """SIGSTOP. In a process that freezes itself the present stretch goes on until its next await."""
        if process.state is State.RUNNING:
            process.state = State.FROZEN
            self._fall_silent(process)

    def wake(self, process: Process) -> None:
        """SIGCONT: what fell due meanwhile runs now, in order."""
        if process.state is not State.FROZEN:
            return
        for hear in process.on_wake:
            self._outside.copy().run(hear)
        process.state, process.silent_since = State.RUNNING, None
        held, process.held = process.held, []
        for call in held:
            if call.when_s > self._now_s:
                heappush(self._timers, (call.when_s, next(self._numbers), call))
            else:
                self._calls.append(call)

    def _fall_silent(self, process: Process) -> None:
        if process.silent_since is None:
            process.silent_since = self._now_s
        for hear in process.on_silence:
            self._outside.copy().run(hear)

    # Running

    def run_for(self, seconds: float) -> None:
        """Let so many simulated seconds pass."""
        until_s = self._now_s + seconds
        self._run(until_s)
        self._now_s = max(self._now_s, until_s)

    def run_until_complete(self, future: Generator[Any, None, T] | Awaitable[T]) -> T:
        """Run until it is done; its result. Raises DeadlockError where nothing can happen any more, LivelockError."""
        assert not isinstance(future, Generator), "a coroutine or a future"
        task = asyncio.ensure_future(future, loop=self)
        task.add_done_callback(lambda _: self.stop(), context=self._outside)
        if not task.done():
            self._run(_NEVER)
        if not task.done():
            raise DeadlockError(f"nothing can happen any more, at {self._now_s:.3f} s")
        return task.result()

    def run_forever(self) -> None:
        """Run until `stop`, or until nothing can happen any more."""
        self._run(_NEVER)

    def stop(self) -> None:
        """Return from running after the present callback."""
        self._stops = True

    def _run(self, until_s: float) -> None:
        assert not self._runs, "a loop does not run inside itself"
        self._runs = True
        asyncio._set_running_loop(self)
        try:
            while not self._stops and (self._calls or self._advance(until_s)):
                self._drain()
        finally:
            asyncio._set_running_loop(None)
            self._runs = self._stops = False

    def _drain(self) -> None:
        """Run what is ready, and what becomes ready by that."""
        calls, running = self._calls, State.RUNNING
        while calls and not self._stops:
            call = calls.popleft()
            process = call.process
            if call.dropped:
                continue
            if process.state is not running:
                self._keep_back(call)
                continue
            process.turns += 1
            if process.turns == process.strike_at:
                process.strike()
                if process.state is not running:
                    self._keep_back(call)
                    continue
            call.context.run(call.callback, *call.arguments)
            self._left -= 1
            if not self._left:
                raise LivelockError(f"time stands still at {self._now_s:.3f} s: last ran {call!r}")

    def _keep_back(self, call: Call) -> None:
        if call.process.state is State.FROZEN:
            call.process.held.append(call)

    def _advance(self, until_s: float) -> bool:
        """Jump to the next moment at which something can run; False where there is none until `until_s`."""
        timers = self._timers
        while timers and timers[0][0] <= until_s:
            when_s, _, call = heappop(timers)
            if call.dropped:
                continue
            if call.process.state is not State.RUNNING:
                self._keep_back(call)
                continue
            if when_s > self._now_s:
                self._now_s, self._left = when_s, _MOST_CALLS_IN_A_MOMENT
            self._calls.append(call)
            while timers and timers[0][0] <= when_s:
                self._calls.append(heappop(timers)[2])
            return True
        return False

    # What asyncio asks of a loop

    def time(self) -> float:
        """Simulated seconds since the loop was made."""
        return self._now_s

    def sleep(self, seconds: float) -> Nap:
        """What `asyncio.sleep` is, in half the time. To be awaited at once."""
        return Nap(self, self._now_s + seconds)

    def call_soon(
        self,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> Call:
        """Run it after what is ready now."""
        if context is None:
            context = copy_context()
        process = context.get(PROCESS, self.world)
        call = Call(callback, args, context=context, process=process, when_s=self._now_s)
        self._calls.append(call)
        return call

    def call_soon_threadsafe(
        self,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> Call:
        """The same: there is one thread."""
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> Call:
        """Run it in `delay` simulated seconds."""
        return self.call_at(self._now_s + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> Call:
        """Run it at `when`, or at once where that is over."""
        if context is None:
            context = copy_context()
        process = context.get(PROCESS, self.world)
        call = Call(callback, args, context=context, process=process, when_s=when)
        heappush(self._timers, (when, next(self._numbers), call))
        return call

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: object = None,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        """A task of the process that its context names."""
        if context is None:
            context = copy_context()
        process = context.get(PROCESS, self.world)
        told = process.next_name() if name is None else str(name)
        task: asyncio.Task[T] = asyncio.Task(coro, loop=self, name=told, context=context)
        process.own(task)
        return task

    def run_in_executor(
        self,
        executor: Executor | None,
        func: Callable[[Unpack[Ts]], T],
        *args: *Ts,
    ) -> asyncio.Future[T]:
        """Run it on the loop: its process may be killed before it begins, and before its result is heard."""
        del executor
        if self.thread_s is None:
            errand: Any = Errand(self, partial(func, *args) if args else func)
            return errand  # type: ignore[no-any-return]  # of a future it has what a task asks for
        return self.create_task(self._as_if_in_a_thread(func, *args))

    async def _as_if_in_a_thread(self, func: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
        if self.thread_s is not None:
            await asyncio.sleep(self.thread_s())
        return func(*args)

    def is_running(self) -> bool:
        """Whether it is inside `run_…`."""
        return self._runs

    def is_closed(self) -> bool:
        """Whether it ended."""
        return self._is_closed

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Hears of tasks that nobody asked for their exception, when they are collected: `crashed` has told of them."""

    # The end

    def crashed(self) -> list[tuple[Process, asyncio.Task[Any]]]:
        """Tasks that ended by an exception that nobody asked for, in the order in which they were begun."""
        return [
            (process, task)
            for process in self._processes
            for task in process.tasks
            if task.done() and task._log_traceback
        ]

    def close(self) -> None:
        """Throw everything away. Only now do the `finally` blocks of what never ended run, unheard."""
        if self._is_closed:
            return
        assert not self._runs, "stop it first"
        left = [task for it in self._processes for task in it.tasks if not task.done()]
        self._is_closed = True
        self._timers.clear()
        self._calls.clear()
        closing = [
            asyncio.Task(_closed(task.get_coro()), loop=self, context=self._outside.copy())
            for task in left
        ]
        calls = list(self._calls)
        asyncio._set_running_loop(self)
        try:
            for call in calls:
                call.context.run(call.callback, *call.arguments)
        finally:
            asyncio._set_running_loop(None)
        for task in closing:
            task._log_traceback = False
        for process in self._processes:
            process.tasks.clear()
            process.held.clear()
        self._calls.clear()
        self._timers.clear()


async def _closed(coroutine: Any) -> None:
    """Close it, in a task of its own: whatever its cleaning-up raises ends there."""
    for _ in range(_MOST_CLOSES):
        try:
            coroutine.close()
        except RuntimeError:  # it awaits in a `finally`: go on with the next one
            continue
        return
