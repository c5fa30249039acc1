"""The circuit breaker in front of the db-service: when calls may start. Knows nothing of HTTP or payments.

The gateway has a breaker of its own: the two folders stand side by side and import nothing of each other.
"""

import time
from collections.abc import Callable


class Breaker:
    """Opens after `after` failures in a row, for a time that doubles up to `longest_s`; then one call tries.

    That try decides: it closes the breaker, or opens it for longer. A call that began before it opened and is
    answered well closes it, too; one that fails late changes nothing.
    """

    def __init__(
        self,
        *,
        after: int,
        first_s: float,
        longest_s: float,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._after = after
        self._first_s = first_s
        self._longest_s = longest_s
        self._clock_s = clock_s
        self._failures = 0
        self._open_for_s = 0.0
        self._open_until_s: float | None = None
        self._trying = False
        self._why = ""

    @property
    def lets_pass(self) -> bool:
        """True where a call may start now: closed, or its time is up and nobody tries yet."""
        if self._open_until_s is None:
            return True
        return not self._trying and self._clock_s() >= self._open_until_s

    @property
    def answers(self) -> bool:
        """False from the failure that opened it until a call has succeeded, also while the next one may try."""
        return self._open_until_s is None

    @property
    def why(self) -> str:
        """Why it is open, for people."""
        left_s = max(0.0, (self._open_until_s or 0.0) - self._clock_s())
        return f"{self._why}; tried again in {left_s:.1f} s"

    def enter(self) -> bool:
        """Start a call; True where it is the one that tries. Ask `lets_pass` first."""
        assert self.lets_pass, "whoever enters has asked"
        self._trying = self._open_until_s is not None
        return self._trying

    def leave(self, *, trying: bool) -> None:
        """End a call. One that tried and was never heard of leaves the try to the next."""
        if trying:
            self._trying = False

    def heard_well(self) -> None:
        """The service worked, whatever it answered."""
        self._failures = 0
        self._open_for_s = 0.0
        self._open_until_s = None

    def heard_ill(self, why: str, *, trying: bool, definite: bool = False) -> None:
        """A call failed. `definite`: every other one would, too, so the breaker opens at once."""
        self._failures += 1
        due = definite or self._failures >= self._after
        if trying or (self._open_until_s is None and due):
            self._why = why
            self._open_for_s = min(max(self._first_s, self._open_for_s * 2), self._longest_s)
            self._open_until_s = self._clock_s() + self._open_for_s
