"""What waits to be recorded: in order of arrival, but one of a payment at a time, its lowest version first.

Pure: no HTTP, no clock. Nothing here bounds the number that waits, since each entry is a caller that waits for it:
the payments in work at once are the bound.
"""

import heapq
from collections import deque
from typing import Generic, Protocol, TypeVar


class Versioned(Protocol):
    """An entry: which payment, which version, and whether its caller has gone."""

    @property
    def payment_id(self) -> str:
        """The lane."""
        ...

    @property
    def version(self) -> int:
        """The order within the lane."""
        ...

    @property
    def abandoned(self) -> bool:
        """True where nobody waits for it any more."""
        ...


EntryT = TypeVar("EntryT", bound=Versioned)


class OutcomeLanes(Generic[EntryT]):
    """A lane that has something waiting and nothing in flight stands in `_ready`, once."""

    def __init__(self) -> None:
        self._lanes: dict[str, list[tuple[int, int, EntryT]]] = {}
        self._ready: deque[str] = deque()
        self._in_flight: dict[str, EntryT] = {}
        self._arrivals = 0

    @property
    def ready(self) -> int:
        """How many payments could go out now."""
        return len(self._ready)

    def put(self, entry: EntryT) -> None:
        """Append it to its payment's lane."""
        key = entry.payment_id
        lane = self._lanes.setdefault(key, [])
        if not lane and key not in self._in_flight:
            self._ready.append(key)
        self._arrivals += 1
        heapq.heappush(lane, (entry.version, self._arrivals, entry))

    def take(self, most: int) -> list[EntryT]:
        """At most `most` entries, of as many payments. They are in flight until `done`."""
        taken: list[EntryT] = []
        while self._ready and len(taken) < most:
            key = self._ready.popleft()
            lane = self._lanes[key]
            entry = _first(lane)
            if not lane:
                del self._lanes[key]
            if entry is not None:
                self._in_flight[key] = entry
                taken.append(entry)
        return taken

    def done(self, entry: EntryT) -> None:
        """It is not in flight any more: the next one of its payment may go. Said twice, it counts once."""
        key = entry.payment_id
        if self._in_flight.get(key) is entry:
            del self._in_flight[key]
            if key in self._lanes:
                self._ready.append(key)

    def clear(self) -> list[EntryT]:
        """Take out everything that waits; what is in flight stays there."""
        waiting = [entry for lane in self._lanes.values() for _, _, entry in lane]
        self._lanes.clear()
        self._ready.clear()
        return waiting


def _first(lane: list[tuple[int, int, EntryT]]) -> EntryT | None:
    while lane:
        _, _, entry = heapq.heappop(lane)
        if not entry.abandoned:
            return entry
    return None
