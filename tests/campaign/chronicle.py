"""What really happened in a campaign, and when: faults, and workers that ended by themselves. Only written down."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tests.campaign.fault_plan import OUTAGES, Fault

Interval = tuple[float, float]  # seconds since 1970


class TroubleError(Exception):
    """The campaign itself cannot go on: something of its own was not there in time. The text says what."""


@dataclass(frozen=True, slots=True)
class Happened:
    """A fault from its first moment until what it took was there again."""

    fault: Fault
    began: float
    ended: float

    def __str__(self) -> str:
        return f"{clock(self.began)} to {clock(self.ended)}: {self.fault.kind}, {self.fault.victim}"


@dataclass(frozen=True, slots=True)
class Ended:
    """A worker that nobody had ended."""

    worker: str
    code: int | None
    last_words: str
    at: float


@dataclass(slots=True)
class Chronicle:
    """Written by many threads."""

    happened: list[Happened] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)
    under_way: dict[Fault, float] = field(default_factory=dict)
    left_out: int = 0  # faults whose time was over before their victim was well again
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def write(self, fault: Fault) -> Iterator[None]:
        """A fault lasts as long as the block."""
        began = time.time()
        with self._lock:
            self.under_way[fault] = began
        try:
            yield
        finally:
            with self._lock:
                del self.under_way[fault]
                self.happened.append(Happened(fault, began, time.time()))

    def leave_out(self) -> None:
        """One more fault that did not happen."""
        with self._lock:
            self.left_out += 1

    def now(self) -> list[str]:
        """What is happening."""
        with self._lock:
            return sorted(f"{it.victim}: {it.kind}" for it in self.under_way)

    @property
    def by_kind(self) -> Counter[str]:
        """How often each kind happened."""
        return Counter(it.fault.kind.value for it in self.happened)

    @property
    def outages(self) -> list[Interval]:
        """When the gateway did not answer, in order; none overlaps another."""
        return sorted((it.began, it.ended) for it in self.happened if it.fault.kind in OUTAGES)

    def between(self, first: float, last: float) -> list[Happened]:
        """What happened then, or was happening."""
        met = [it for it in self.happened if it.began <= last and it.ended >= first]
        return sorted(met, key=lambda it: it.began)


def clock(at: float) -> str:
    """A moment as logs and histories write it, without the day."""
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S.%f")[:-3] + "Z"
