"""The journal in memory as a simulated session has it: a commit is waited for without locks, and may be counted."""

from collections.abc import Callable
from typing import Any

from db_client.moves import Move
from tests.simulation.memory_journal import MemoryCommits


class Slip:
    """What is left of `concurrent.futures.Future` where there is one thread."""

    __slots__ = ("_hears", "_is_done", "_outcome")

    def __init__(self) -> None:
        self._is_done = False
        self._outcome: Any = None
        self._hears: Callable[[Any], object] | None = None

    def done(self) -> bool:
        """Whether the commit is over, well or not."""
        return self._is_done

    def result(self) -> Any:
        """What came of it. Raises what the journal said instead."""
        assert self._is_done, "nobody waits here"
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome

    def set_result(self, outcome: Any) -> None:
        """It is over."""
        self._outcome, self._is_done = outcome, True
        if self._hears is not None:
            self._hears(self)

    set_exception = set_result

    def add_done_callback(self, hears: Callable[[Any], object]) -> None:
        """Call this when it is over."""
        self._hears = hears


class SimCommits(MemoryCommits):
    """`count`: how many commits of this session were acknowledged."""

    @property
    def count(self) -> int:
        """So far."""
        return self._commits

    def submit(self, move: Move) -> Any:
        """For whoever has no event loop; a `Slip`."""
        slip: Any = Slip()
        self._put(move, slip)
        return slip

    def post(self, move: Move) -> None:
        """Submit and forget."""
        self.submit(move)
