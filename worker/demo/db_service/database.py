"""The way to PostgreSQL: one small pool, one thread for each of its connections.

Blocking psycopg in threads: no second way of speaking SQL, and a thread that waits for the
database costs the event loop nothing.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeVar

import sqlalchemy as sa

from worker.demo.db_service.tables import METADATA

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_CONNECTIONS: Final = 8
_SESSION: Final = "-c timezone=UTC -c lock_timeout=5s -c statement_timeout=10s"

Answer = TypeVar("Answer")


class Database:
    """An engine and its threads. `write` and `read` are the only ways in."""

    def __init__(self, url: str) -> None:
        """Connects and makes the tables where they are missing; `url` is `postgresql://…`."""
        self._engine = sa.create_engine(
            sa.make_url(url).set(drivername="postgresql+psycopg"),
            pool_size=MOST_CONNECTIONS,
            max_overflow=0,
            connect_args={"options": _SESSION, "connect_timeout": 5},
        )
        # A read is one statement: no BEGIN before it, no ROLLBACK behind it. The pool is the same.
        self._reading = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._threads = ThreadPoolExecutor(MOST_CONNECTIONS, thread_name_prefix="db")
        METADATA.create_all(self._engine)

    async def write(self, work: Callable[[sa.Engine], Answer]) -> Answer:
        """Runs blocking work that opens its own db_txn, in a thread with a connection to itself."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, work, self._engine)

    async def read(self, work: Callable[[sa.Engine], Answer]) -> Answer:
        """Runs blocking work of single statements, each on its own."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, work, self._reading)

    def close(self) -> None:
        """Ends the threads, then the connections."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._engine.dispose()


def alive(engine: sa.Engine) -> bool:
    """True when the database answers; raises SQLAlchemy's error when it does not."""
    with engine.connect() as connection:
        return bool(connection.execute(sa.select(1)).scalar_one())
