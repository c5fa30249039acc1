"""What tasks of a simulated process wait on, cheaper than futures: a pause, a bell, and what is handed to a thread.

asyncio's own `sleep` costs two callbacks of the loop and a future; a task that waits on one of these is woken by the
loop itself. That they are awaitable is the protocol of `asyncio.Future` as far as a task asks for it. Each belongs to
one task at a time.
"""

import asyncio
from collections.abc import Callable, Generator
from contextvars import Context
from typing import Any, Final, Protocol

Wakeup = Callable[[Any], object]


class _Cancellable(Protocol):
    def cancel(self) -> None: ...


class _Loop(Protocol):
    def time(self) -> float: ...

    def call_soon(
        self, callback: Wakeup, *args: Any, context: Context | None = None
    ) -> _Cancellable: ...

    def call_at(
        self, when: float, callback: Wakeup, *args: Any, context: Context | None = None
    ) -> _Cancellable: ...


class Nap:
    """A task sleeps: until `until_s` (simulated seconds, None: for ever), or until somebody calls `wake`."""

    __slots__ = (
        "_asyncio_future_blocking",
        "_call",
        "_context",
        "_is_cancelled",
        "_is_over",
        "_loop",
        "_until_s",
        "_wakeup",
    )

    def __init__(self, loop: Any, until_s: float | None) -> None:
        self._asyncio_future_blocking = False
        self._loop: _Loop = loop
        self._until_s = until_s
        self._call: _Cancellable | None = None
        self._is_over = False
        self._is_cancelled = False

    def __await__(self) -> Generator[Any, None, None]:
        self._asyncio_future_blocking = True
        yield self

    def wake(self) -> None:
        """It is over now; nothing happens where it was over already."""
        if not self._is_over:
            self._is_over = True
            if self._call is not None:
                self._call.cancel()
            self._loop.call_soon(self._wakeup, self, context=self._context)

    # What a task asks of a future

    def get_loop(self) -> Any:
        """The one loop."""
        return self._loop

    def add_done_callback(self, wakeup: Wakeup, *, context: Context) -> None:
        """The task goes to sleep."""
        self._wakeup, self._context = wakeup, context
        if self._until_s is not None:
            self._call = self._loop.call_at(self._until_s, wakeup, self, context=context)

    def result(self) -> None:
        """The task wakes up."""
        self._is_over = True
        if self._is_cancelled:
            raise asyncio.CancelledError

    def cancel(self, msg: object = None) -> bool:
        """The task is to end."""
        del msg
        if self._is_over:
            return False
        self._is_cancelled = True
        self.wake()
        return True


class Errand:
    """A function that a thread was asked to run: it runs a turn after it is waited for, and is heard of at once."""

    __slots__ = (
        "_asyncio_future_blocking",
        "_call",
        "_failure",
        "_function",
        "_is_over",
        "_loop",
        "_result",
        "_wakeup",
    )

    def __init__(self, loop: Any, function: Callable[[], Any]) -> None:
        self._asyncio_future_blocking = False
        self._loop: _Loop = loop
        self._function = function
        self._failure: BaseException | None = None
        self._result: Any = None
        self._is_over = False

    def __await__(self) -> Generator[Any, None, Any]:
        self._asyncio_future_blocking = True
        yield self
        return self._result

    def _run(self) -> None:
        try:
            self._result = self._function()
        except Exception as failure:  # noqa: BLE001 - whatever it is, it is whoever awaits this that hears of it
            self._failure = failure
        self._is_over = True
        self._wakeup(self)

    # What a task asks of a future

    def get_loop(self) -> Any:
        """The one loop."""
        return self._loop

    def add_done_callback(self, wakeup: Wakeup, *, context: Context) -> None:
        """The task waits for it."""
        self._wakeup = wakeup
        self._call = self._loop.call_soon(Errand._run, self, context=context)

    def result(self) -> None:
        """What came of it is handed over by `__await__`. Raises what it raised."""
        if self._failure is not None:
            raise self._failure

    def cancel(self, msg: object = None) -> bool:
        """The task is to end, and does not hear of it; where the thread has not begun yet, it never does."""
        del msg
        if self._is_over:
            return False
        self._is_over = True
        self._failure = asyncio.CancelledError()
        self._call.cancel()
        self._call = self._loop.call_soon(self._wakeup, self)
        return True


class Bell:
    """Wakes one task. `ring` may be called by whoever likes, from any process."""

    __slots__ = ("_is_rung", "_loop", "_nap")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._is_rung = False
        self._nap: Nap | None = None

    def ring(self) -> None:
        """Wake it now, or as soon as it wants to sleep."""
        if self._nap is not None:
            self._nap.wake()
        else:
            self._is_rung = True

    async def heard(self, within_s: float | None = None) -> None:
        """Sleep until it is rung, or for so long."""
        if self._is_rung:
            self._is_rung = False
            await TURN
            return
        loop = self._loop
        self._nap = Nap(loop, None if within_s is None else loop.time() + within_s)
        try:
            await self._nap
        finally:
            self._nap = None


class _Turn:
    """The others' turn, once."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, None]:
        yield


TURN: Final = _Turn()
