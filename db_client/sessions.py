"""Sessions and their leases: one row for each running worker process, and a lease that a thread of its own renews.

`alive_until` is the database's time; the local deadline is taken from a clock that runs through suspend, and read
before each renewal, so it is never later than what others see. A session that expired never revives.
"""

import math
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import (
    Engine,
    Integer,
    Text,
    bindparam,
    column,
    delete,
    func,
    insert,
    literal,
    select,
    table,
    text,
    update,
)
from sqlalchemy.exc import DBAPIError

from db_client.failures import away
from db_client.incarnation import read_incarnation
from db_client.tables import lease, operation, outbox, session
from handlers.domain.errors import SessionOver

_SECOND: Final = text("interval '1 second'")
_RENEWALS_A_LEASE: Final = 4
_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

_RENEW: Final = (
    update(lease)
    .where(
        lease.c.session_id == bindparam("me"),
        lease.c.alive_until > func.clock_timestamp(),
        select(session.c.session_id)
        .where(session.c.session_id == bindparam("me"), session.c.ended_at.is_(None))
        .exists(),
    )
    .values(alive_until=func.clock_timestamp() + bindparam("lease_s") * _SECOND)
    .returning(func.clock_timestamp().label("now"))
)


@dataclass(frozen=True, slots=True)
class Started:
    """A new session: its id, the database it began on, and how long it is alive unless renewed."""

    session_id: str
    incarnation: str
    lease_s: float


def boottime() -> float:
    """Seconds on a clock that runs through suspend."""
    return time.clock_gettime(_CLOCK)


def start_session(engine: Engine, *, session_id: str, group: str, lease_s: float) -> Started:
    """Write the session's row and its lease. Raises Unavailable."""
    try:
        with engine.begin() as connection:
            incarnation = read_incarnation(connection)
            connection.execute(
                insert(session),
                {
                    "session_id": session_id,
                    "group_name": group,
                    "host": socket.gethostname(),
                    "pid": os.getpid(),
                    "incarnation": incarnation,
                },
            )
            until = func.clock_timestamp() + literal(lease_s) * _SECOND
            connection.execute(insert(lease).values(session_id=session_id, alive_until=until))
    except DBAPIError as error:
        raise away(error) from None
    return Started(session_id, incarnation, lease_s)


def end_session(engine: Engine, *, session_id: str, why: str, watermark: int | None = None) -> bool:
    """End the row; waits for its last commit. True where nothing is left to take over. Raises Unavailable."""
    try:
        return _end(engine, session_id=session_id, why=why, watermark=watermark)
    except DBAPIError as error:
        raise away(error) from None


def _end(engine: Engine, *, session_id: str, why: str, watermark: int | None) -> bool:
    with engine.begin() as connection:
        ended = {"ended_at": func.clock_timestamp(), "ended_why": why}
        if watermark is not None:
            ended["watermark"] = func.greatest(session.c.watermark, watermark)
        connection.execute(
            update(session)
            .where(session.c.session_id == session_id, session.c.ended_at.is_(None))
            .values(**ended)
        )
        connection.execute(delete(lease).where(lease.c.session_id == session_id))
        left = connection.execute(
            select(
                select(operation.c.operation_id)
                .where(operation.c.session_id == session_id, operation.c.stage != "concluded")
                .exists()
                | select(outbox.c.number)
                .join(session, session.c.session_id == outbox.c.session_id)
                .where(outbox.c.session_id == session_id, outbox.c.number >= session.c.watermark)
                .exists()
            )
        ).scalar_one()
        if not left:
            connection.execute(
                update(session)
                .where(session.c.session_id == session_id, session.c.rehomed_at.is_(None))
                .values(rehomed_at=func.clock_timestamp(), rehomed_by=session_id)
            )
        return not left


def end_if_expired(engine: Engine, *, session_id: str) -> bool:
    """End another session's row whose lease ran out; waits for its locks. True where it is ended now."""
    with engine.begin() as connection:
        # The lease goes first: a renewal that is under way either counts, or finds nothing to renew any more.
        connection.execute(
            delete(lease).where(
                lease.c.session_id == session_id, lease.c.alive_until <= func.clock_timestamp()
            )
        )
        alive = select(lease.c.session_id).where(lease.c.session_id == session_id).exists()
        ended = connection.execute(
            update(session)
            .where(session.c.session_id == session_id, session.c.ended_at.is_(None), ~alive)
            .values(ended_at=func.clock_timestamp(), ended_why="its lease ran out")
        )
        if ended.rowcount:
            return True
        row = connection.execute(
            select(session.c.ended_at).where(session.c.session_id == session_id)
        ).one_or_none()
        return row is not None and row.ended_at is not None


def drop_connections(engine: Engine, *, session_id: str) -> int:
    """End the database connections of another session whose lease ran out; how many there were.

    PostgreSQL ends what is idle inside a db_txn by itself. But a process that was frozen while it sent a statement in
    pieces (some eight kilobytes each) is not idle: its locks stay for as long as it is frozen, and no time-out before
    PostgreSQL 17 ends that. Its connection carries the session's id as the end of its `application_name`.
    """
    name, pid = column("application_name", Text), column("pid", Integer)
    alive = select(lease.c.session_id).where(
        lease.c.session_id == session_id, lease.c.alive_until > func.clock_timestamp()
    )
    with engine.begin() as connection:
        ended = connection.execute(
            select(func.pg_terminate_backend(pid))
            .select_from(table("pg_stat_activity"))
            .where(func.right(name, len(session_id)) == session_id, ~alive.exists())
        )
        return len(ended.all())


def dead_sessions(engine: Engine, *, me: str, group: str, settled_s: float) -> list[str]:
    """Sessions of the group to be taken over. None while the database has been up for less than `settled_s`.

    After an outage every lease looks expired: nobody takes over until those who live had time to renew.
    """
    up_long_enough = (
        func.pg_postmaster_start_time() < func.clock_timestamp() - literal(settled_s) * _SECOND
    )
    waiting = (
        select(session.c.session_id)
        .outerjoin(lease, lease.c.session_id == session.c.session_id)
        .where(
            session.c.rehomed_at.is_(None),
            session.c.group_name == group,
            session.c.session_id != me,
            session.c.ended_at.is_not(None)
            | (
                (func.coalesce(lease.c.alive_until, session.c.started_at) < func.clock_timestamp())
                & up_long_enough
            ),
        )
        .order_by(session.c.started_at)
    )
    with engine.connect() as connection:
        return [row.session_id for row in connection.execute(waiting)]


class LeaseKeeper:
    """Renews the lease on a thread and a connection of its own. Implements `handlers.ports.Lease` and `Clock`."""

    def __init__(
        self,
        engine: Engine,
        started: Started,
        *,
        taken_at: float,
        on_over: Callable[[SessionOver], None],
    ) -> None:
        self._engine = engine
        self._session_id = started.session_id
        self._lease_s = started.lease_s
        self._deadline = taken_at + started.lease_s
        self._on_over = on_over
        self._ahead = timedelta()
        self._revoked = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)
        self.beat = time.monotonic()

    def start(self) -> None:
        """Begin to renew."""
        self._thread.start()

    def stop(self) -> None:
        """Renew no more."""
        self._stop.set()
        self._thread.join(timeout=self._lease_s)

    def remaining_s(self) -> float:
        """Seconds for which this session surely is alive. Negative: over."""
        return -math.inf if self._revoked else self._deadline - boottime()

    def alive(self) -> bool:
        """Whether the lease still runs, as far as this process knows."""
        return self.remaining_s() > 0

    def revoke(self) -> None:
        """This session is over: from now on the gate lets nothing pass."""
        self._revoked = True

    def now(self) -> datetime:
        """The database's time, estimated from the last renewal."""
        return datetime.now(UTC) + self._ahead

    def _run(self) -> None:
        every_s = self._lease_s / _RENEWALS_A_LEASE
        stood_s, slept_at = 0.0, boottime()
        while not self._stop.wait(every_s):
            stood_s = max(stood_s, boottime() - slept_at - every_s)
            # A process that was frozen finds its connection cut off by its heir, which looks like a database away.
            still = f": this process stood still for about {stood_s:.0f} s"
            try:
                if not self._renew():
                    why = still if stood_s > every_s else ""
                    self._on_over(SessionOver(f"the lease ran out{why}"))
                    return
                stood_s = 0.0
            except DBAPIError:
                if not self.alive():
                    why = still if stood_s > every_s else " while the database was away"
                    self._on_over(SessionOver(f"the lease ran out{why}"))
                    return
            slept_at, self.beat = boottime(), time.monotonic()

    def _renew(self) -> bool:
        before = boottime()
        with self._engine.begin() as connection:
            now = connection.execute(
                _RENEW, {"me": self._session_id, "lease_s": self._lease_s}
            ).scalar_one_or_none()
        if now is None or self._revoked:
            return False
        self._deadline = before + self._lease_s
        self._ahead = now - datetime.now(UTC)
        return True
