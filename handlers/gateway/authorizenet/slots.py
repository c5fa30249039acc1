"""The places among the calls in flight, and the circuit breaker in front of them. Knows nothing of HTTP.

The number of places is fixed; a limit that adapts itself (backing off on E00053, 429 and time-outs) would replace the
semaphore in `Slots` and hear of each call through `Slots.heard`, as the breaker does.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol

from handlers.domain.errors import Unavailable


class Turned(Protocol):
    """Hears when the breaker opens (`failed` calls in a row, the last one because of `why`) and closes (0 and "")."""

    def __call__(self, *, failed: int, why: str) -> None:
        """Tell it. Must not raise."""
        ...


def _unheard(*, failed: int, why: str) -> None:
    """A `Turned` that tells nobody."""


class Breaker:
    """Opens after `after` failures in a row, for a time that doubles up to `longest_s`; then one call tries."""

    def __init__(
        self,
        *,
        after: int,
        first_s: float,
        longest_s: float,
        clock_s: Callable[[], float] = time.monotonic,
        turned: Turned = _unheard,
    ) -> None:
        self._after = after
        self._first_s = first_s
        self._longest_s = longest_s
        self._clock_s = clock_s
        self._turned = turned
        self._failures = 0
        self._open_for_s = 0.0
        self._open_until_s: float | None = None
        self._trying = False

    @property
    def lets_pass(self) -> bool:
        """True where a call may start now: closed, or half open with nobody trying."""
        if self._open_until_s is None:
            return True
        return not self._trying and self._clock_s() >= self._open_until_s

    @property
    def answers(self) -> bool:
        """False from the failure that opened it until a call has succeeded, also while the next one may try."""
        return self._open_until_s is None

    def enter(self) -> bool:
        """Start a call; True where it is the one that tries. Raises Unavailable while it is open."""
        if self._open_until_s is None:
            return False
        if not self.lets_pass:
            left_s = max(0.0, self._open_until_s - self._clock_s())
            raise Unavailable(
                "gateway", f"{self._failures} calls failed in a row; tried again in {left_s:.1f} s"
            )
        self._trying = True
        return True

    def leave(self, *, trying: bool) -> None:
        """End a call; one that tried and was never heard of leaves the try to the next."""
        if trying:
            self._trying = False

    def heard(self, *, well: bool, definite: bool = False, why: str = "") -> None:
        """Count a call's end: `well` where the gateway worked. `definite`: every other call would fail, too."""
        answered = self.answers
        if well:
            self._failures = 0
            self._open_for_s = 0.0
            self._open_until_s = None
            if not answered:
                self._turned(failed=0, why="")
            return
        self._failures += 1
        half_open = self._open_until_s is not None and self._clock_s() >= self._open_until_s
        due = definite or self._failures >= self._after
        if half_open or (answered and due):
            self._open_for_s = min(max(self._first_s, self._open_for_s * 2), self._longest_s)
            self._open_until_s = self._clock_s() + self._open_for_s
        if answered and due:
            self._turned(failed=self._failures, why=why)


class Slots:
    """`in_flight` places behind a breaker."""

    def __init__(self, breaker: Breaker, *, in_flight: int) -> None:
        self._breaker = breaker
        self._places = asyncio.Semaphore(in_flight)

    @property
    def available(self) -> bool:
        """False while calls would be turned away: intake pauses."""
        return self._breaker.lets_pass

    @property
    def answers(self) -> bool:
        """False until a call has succeeded again: what a person is shown, for one that may try proves nothing yet."""
        return self._breaker.answers

    def heard(self, *, well: bool, definite: bool = False, why: str = "") -> None:
        """Tell how a call ended, and `why` where it failed: for people, nothing secret."""
        self._breaker.heard(well=well, definite=definite, why=why)

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """A place. Raises Unavailable at once while the breaker is open, and again after the wait in line."""
        if not self._breaker.lets_pass:
            self._breaker.enter()
        async with self._places:
            trying = self._breaker.enter()
            try:
                yield
            finally:
                self._breaker.leave(trying=trying)
