"""Janitor and finder without idle rounds: they wake when something falls due, which is what a shorter tick would do.

Production looks every half second. Here an alarm knows what falls due first in a session's part of the journal, so a
simulated minute in which nothing happens costs next to nothing. The rounds themselves are the real ones. What wakes by
no due time (a dead session, a journal that was put back) is woken from outside, by `World.stir`, or by the slow tick.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Callable
from contextvars import copy_context
from datetime import datetime
from math import ceil
from operator import itemgetter
from typing import Any, Final

from handlers.domain.recovery import Stage
from tests.simulation.memory_journal_database import MemoryDatabase
from tests.simulation.memory_journal_rows import Entry
from tests.simulation.sim_commits import SimCommits
from tests.simulation.sim_nap import Bell
from tests.simulation.sim_terms import BEGIN
from worker.finder import Finder
from worker.janitor import Janitor

_GRID_S: Final = 0.5  # what falls due within so long shares a round
_AGAIN_S: Final = 1.0  # while operations wait for a place, or for what is down
_ASKED: Final = frozenset({Stage.OPEN, Stage.ASKING})
_first_of = itemgetter(0)


class Alarm:
    """Rings when the next thing of a session falls due. `stray`: it may be another session's to ask about it."""

    def __init__(
        self,
        database: MemoryDatabase,
        session_id: str,
        *,
        loop: asyncio.AbstractEventLoop,
        bell: Bell,
        stray: Callable[[], None],
    ) -> None:
        self._database = database
        self._session_id = session_id
        self._loop = loop
        self._bell = bell
        self._stray = stray
        self._context = copy_context()
        self._looked_at = BEGIN
        self._set_for: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def looked(self, at: datetime) -> None:
        """What was due then is taken, or is another's."""
        self._looked_at = at
        self.heed()

    def heed(self) -> None:
        """Something has changed in the journal."""
        estate = self._database.estates.get(self._session_id)
        if estate is None:
            return
        for shelf in (estate.dated, estate.deferred):
            first = _next(shelf, self._looked_at)
            if first is not None:
                self._set(first)

    def soon(self) -> None:
        """Something overdue came in."""
        self._set_at(self._loop.time() + _GRID_S, is_asked=False)

    def _set(self, first: Entry) -> None:
        seconds = (first[0] - BEGIN).total_seconds()
        at_s = ceil(seconds / _GRID_S) * _GRID_S
        self._set_at(at_s, is_asked=first[2].stage in _ASKED or first[2].suspect)

    def _set_at(self, at_s: float, *, is_asked: bool) -> None:
        if self._set_for is not None:
            if self._set_for <= at_s:
                return
            assert self._timer is not None
            self._timer.cancel()
        self._set_for = at_s
        self._timer = self._loop.call_at(at_s, self._ring, is_asked, context=self._context)

    def _ring(self, is_asked: bool) -> None:
        self._set_for = None
        self._bell.ring()
        if is_asked:
            self._stray()


def _next(shelf: list[Entry], looked_at: datetime) -> Entry | None:
    place = bisect_right(shelf, looked_at, key=_first_of)
    return shelf[place] if place < len(shelf) else None


class SimJanitor(Janitor):
    """Wakes by its bell."""

    def __init__(
        self, *, database: MemoryDatabase, commits: SimCommits, bell: Bell, **parts: Any
    ) -> None:
        journal: Any = commits
        super().__init__(commits=journal, **parts)
        self._sim_commits = commits
        self.alarm: Alarm | None = None
        self._database = database
        self._bell = bell
        self._proven = -1

    def poke(self) -> None:
        """Something is due just now: look at once."""
        self._bell.ring()

    async def _rest(self) -> None:
        is_full = self._crew._work.queue or self._crew._questions.queue
        await self._bell.heard(_AGAIN_S if is_full else self._rounds.tick_s)

    # Whatever would find nothing is left out, and costs no turn.

    async def _go_on(self) -> None:
        if self._reader.must_go_on():
            await super()._go_on()

    async def _wake(self) -> None:
        looked_at = self._database.now()
        if self._reader.due(most=1, held=self._crew.occupied()):
            await super()._wake()
        if self.alarm is not None:
            self.alarm.looked(looked_at)

    async def _sweep(self) -> None:
        if self._reader.undated(most=1, held=self._crew.occupied()):
            await super()._sweep()

    async def _let_orphans_go(self) -> None:
        if self._reader.orphans(most=1):
            await super()._let_orphans_go()

    async def _take_over(self) -> None:
        if self._sessions.dead():
            await super()._take_over()

    async def _prove(self) -> None:
        """Whoever has just committed something has noticed already what an empty commit would show."""
        if self._sim_commits.count == self._proven:
            await super()._prove()
        self._proven = self._sim_commits.count

    async def _measure(self) -> None:
        """So small a shop is never crowded, and nobody reads the gauges."""

    async def _watch_topics(self) -> None:
        """No topic is made anew here."""
        await Bell(self._loop).heard()


class SimFinder(Finder):
    """Wakes by its bell."""

    def __init__(self, *, bell: Bell, **parts: Any) -> None:
        super().__init__(**parts)
        self._bell = bell

    async def _rest(self) -> None:
        await self._bell.heard(self._tick_s)
