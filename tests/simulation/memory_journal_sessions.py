"""Sessions and leases in memory: `db_client/sessions.py` and `takeovers.py`. Nothing runs by itself.

A lease is renewed by whoever steps the worker (`MemoryLease.tick`), so a frozen process is one that is not stepped.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from db_client.sessions import Started
from handlers.domain.errors import SessionOver, Unavailable
from tests.simulation.memory_journal_database import MemoryDatabase
from tests.simulation.memory_journal_rows import SessionRow

RENEWALS_A_LEASE: Final = 4


def start_session(
    database: MemoryDatabase, *, session_id: str, group: str, lease_s: float
) -> Started:
    """Write the session's row and its lease. Raises Unavailable."""
    database.insist(session_id, "journal")
    now = database.begin()
    database.add_session(
        SessionRow(
            session_id,
            group=group,
            incarnation=database.incarnation,
            started_at=now,
            alive_until=now + timedelta(seconds=lease_s),
            epoch=database.epoch,
        )
    )
    return Started(session_id, database.incarnation, lease_s)


def end_session(
    database: MemoryDatabase, *, session_id: str, why: str, watermark: int | None = None
) -> bool:
    """End the row. True where nothing is left to take over. Raises Unavailable."""
    database.insist(session_id)
    now, row = database.begin(), database.sessions.get(session_id)
    estate = database.estate(session_id)
    if row is None:
        return not estate.unfinished
    database.touch(row)
    if row.ended_at is None:
        row.ended_at, row.ended_why = now, why
        row.watermark = max(row.watermark, watermark or row.watermark)
    row.alive_until = None
    is_left = bool(estate.unfinished or estate.unpublished(row.watermark))
    if not is_left and row.rehomed_at is None:
        row.rehomed_at, row.rehomed_by = now, session_id
    return not is_left


def end_if_expired(database: MemoryDatabase, session_id: str) -> bool:
    """End another session's row whose lease ran out. True where it is ended now."""
    now, row = database.begin(), database.sessions.get(session_id)
    if row is None:
        return False
    if row.alive_until is not None and row.alive_until <= now:
        database.touch(row)
        row.alive_until = None
    if row.ended_at is None and row.alive_until is None:
        database.touch(row)
        row.ended_at, row.ended_why = now, "its lease ran out"
    return row.ended_at is not None


def dead_sessions(database: MemoryDatabase, *, me: str, group: str, settled_s: float) -> list[str]:
    """Sessions of the group to be taken over, the oldest first. None while the database is young, but those ended."""
    now = database.now()
    is_settled = database.up_since < now - timedelta(seconds=settled_s)
    return [
        row.session_id
        for row in database.sessions.values()
        if row.rehomed_at is None
        and row.group == group
        and row.session_id != me
        and (row.ended_at is not None or (is_settled and (row.alive_until or row.started_at) < now))
    ]


@dataclass(frozen=True, slots=True)
class MemorySessions:
    """The group's other sessions, as the janitor of `me` sees them. Every method raises Unavailable."""

    database: MemoryDatabase
    me: str
    group: str
    settled_s: float

    def dead(self) -> list[str]:
        """Ids of sessions that are to be taken over, the oldest first."""
        self.database.insist(self.me)
        return dead_sessions(self.database, me=self.me, group=self.group, settled_s=self.settled_s)

    def end_if_expired(self, session_id: str) -> bool:
        """End its row where its lease ran out; True where it is ended now."""
        self.database.insist(self.me)
        return end_if_expired(self.database, session_id)


@dataclass(slots=True, eq=False)
class MemoryLease:
    """Implements `handlers.ports.Lease` and `Clock`, as `db_client.sessions.LeaseKeeper` does.

    `boottime` and `wall` are the process's own clocks, which may be wrong; `taken_at` is `boottime` before the start.
    """

    database: MemoryDatabase
    started: Started
    taken_at: float
    boottime: Callable[[], float]
    wall: Callable[[], datetime]
    on_over: Callable[[SessionOver], None]
    beat: float = 0.0
    _deadline: float = field(init=False)
    _ahead: timedelta = timedelta()
    _revoked: bool = False
    _stopped: bool = False

    def __post_init__(self) -> None:
        self._deadline = self.taken_at + self.started.lease_s

    @property
    def every_s(self) -> float:
        """How often the keeper's thread would renew."""
        return self.started.lease_s / RENEWALS_A_LEASE

    def start(self) -> None:
        """There is no thread to start."""

    def stop(self) -> None:
        """Renew no more."""
        self._stopped = True

    def remaining_s(self) -> float:
        """Seconds for which this session surely is alive. Negative: over."""
        return -math.inf if self._revoked else self._deadline - self.boottime()

    def alive(self) -> bool:
        """Whether the lease still runs, as far as this process knows."""
        return self.remaining_s() > 0

    def revoke(self) -> None:
        """This session is over: from now on the gate lets nothing pass."""
        self._revoked = True

    def now(self) -> datetime:
        """The database's time, estimated from the last renewal."""
        return self.wall() + self._ahead

    def tick(self) -> bool:
        """One round of the keeper's thread; False where it was the last."""
        if self._stopped:
            return False
        try:
            is_alive, why = self.renew(), "the lease ran out"
        except Unavailable:
            is_alive, why = self.alive(), "the lease ran out while the database was away"
        if not is_alive:
            self.on_over(SessionOver(why))
        return is_alive

    def renew(self, *, sent_at: float | None = None) -> bool:
        """Renew; False where there is nothing to renew. `sent_at`: `boottime` when it was sent, if that was before."""
        before = self.boottime() if sent_at is None else sent_at
        self.database.insist(self.started.session_id, "lease")
        now = self.database.begin()
        row = self.database.sessions.get(self.started.session_id)
        if row is None or row.ended_at is not None or row.alive_until is None:
            return False
        if row.alive_until <= now:
            return False
        self.database.touch(row)
        row.alive_until = now + timedelta(seconds=self.started.lease_s)
        if self._revoked:
            return False
        self._deadline = before + self.started.lease_s
        self._ahead = now - self.wall()
        return True
