"""What is due in a simulated part, done lazily: in order, before anybody looks. No clock and no thread of its own."""

from collections.abc import Callable
from datetime import UTC, datetime
from heapq import heappop, heappush
from itertools import count
from typing import Final

Due = Callable[[datetime], None]
_NEVER: Final = datetime.max.replace(tzinfo=UTC)


class Timeline:
    """Things to happen, each at its time (UTC, aware); what is due at once happens in the order of its planning."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._due: list[tuple[datetime, int, Due]] = []
        self._numbers = count(1)
        self._next_at = _NEVER

    def run(self) -> datetime:
        """Do what is due; the time of now."""
        now = self._now()
        if now >= self._next_at:
            self._catch_up(now)
        return now

    def plan(self, at: datetime, due: Due) -> None:
        """Let `due` happen at `at`; it is handed that time, however late it is looked for."""
        heappush(self._due, (at, next(self._numbers), due))
        self._next_at = self._due[0][0]

    def is_expecting(self, until: datetime) -> bool:
        """Whether anything is due until then."""
        return self._next_at <= until

    def _catch_up(self, now: datetime) -> None:
        while self._due and self._due[0][0] <= now:
            at, _, due = heappop(self._due)
            due(at)
        self._next_at = self._due[0][0] if self._due else _NEVER
