"""A process of the simulation: what runs in it, what is kept back while it is frozen, and who hears of its silence.

`SimLoop` moves it from state to state; nothing here runs by itself.
"""

import asyncio
from collections.abc import Callable
from contextvars import Context, ContextVar
from enum import Enum
from typing import Any, Final

PROCESS: "Final[ContextVar[Process]]" = ContextVar("PROCESS")
_FORGETS_AT: Final = 64  # tasks; then those that are done are let go of


class State(Enum):
    """What the kernel lets a process do."""

    RUNNING = "running"
    FROZEN = "frozen"
    DEAD = "dead"


class Call(asyncio.TimerHandle):
    """A callback and whose it is. `when_s`: not before; a call that is due at once has the time of its making.

    It stands on none of the fields of asyncio's handles, whose constructor costs more than all the rest of a switch.
    """

    __slots__ = ("arguments", "callback", "context", "dropped", "process", "when_s")

    def __init__(  # the fields of a hot constructor, not a call that anybody has to read
        self,
        callback: Callable[..., object],
        arguments: tuple[Any, ...],
        *,
        context: Context,
        process: "Process",
        when_s: float,
    ) -> None:
        self.callback = callback
        self.arguments = arguments
        self.context = context
        self.process = process
        self.when_s = when_s
        self.dropped = False

    def cancel(self) -> None:
        """Never call it; what it held is let go of."""
        self.dropped = True
        self.callback = _nothing
        self.arguments = ()

    def cancelled(self) -> bool:
        """Whether it was taken back."""
        return self.dropped

    def when(self) -> float:
        """Simulated seconds."""
        return self.when_s

    def __repr__(self) -> str:
        return f"<call of {self.process.name} at {self.when_s:.6f} s: {self.callback!r}>"

    __eq__ = object.__eq__
    __hash__ = object.__hash__


class Process:
    """One worker, or the world around them all. Made by `SimLoop.process`.

    `turns` counts the callbacks that ran in it: steps of tasks from one await to the next, and timers that wake them.
    Before the turn with the number `strike_at` begins `strike` is called, which may kill or freeze it there, and may
    name a later number. `silent_since`: when it was frozen
    or killed, in simulated seconds, None while it runs. `on_silence` and `on_wake` are called as that begins and ends
    (`on_wake` before anything of the process itself goes on); they run outside of every process.
    """

    __slots__ = (
        "_begun",
        "_forgets_at",
        "held",
        "name",
        "on_silence",
        "on_wake",
        "silent_since",
        "state",
        "strike",
        "strike_at",
        "tasks",
        "turns",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.state = State.RUNNING
        self.silent_since: float | None = None
        self.turns = 0
        self.strike_at = 0
        self.strike: Callable[[], None] = _nothing
        self.on_silence: list[Callable[[], None]] = []
        self.on_wake: list[Callable[[], None]] = []
        self.held: list[Call] = []
        self.tasks: list[asyncio.Task[Any]] = []
        self._begun = 0
        self._forgets_at = _FORGETS_AT

    def next_name(self) -> str:
        """For a task that has none: asyncio's own count would go on from run to run."""
        self._begun += 1
        return f"{self.name} {self._begun}"

    @property
    def runs(self) -> bool:
        """Whether it is neither frozen nor dead."""
        return self.state is State.RUNNING

    def own(self, task: "asyncio.Task[Any]") -> None:
        """Keep the task alive for as long as it is not done: a dead process's coroutines must not be collected.

        Their `finally` blocks would run then, which a SIGKILL does not do.
        """
        tasks = self.tasks
        tasks.append(task)
        if len(tasks) >= self._forgets_at:
            tasks[:] = [it for it in tasks if not it.done() or it._log_traceback]
            self._forgets_at = 2 * len(tasks) + _FORGETS_AT

    def __repr__(self) -> str:
        return f"<{self.name}: {self.state.value}>"


def _nothing() -> None:
    """What is left of a call that was taken back, and what strikes by default."""
