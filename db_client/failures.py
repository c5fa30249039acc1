"""What the database's errors mean for a move: away, passing, or a refusal. No statement stands here."""

from typing import Final

from sqlalchemy.exc import DBAPIError, OperationalError

from handlers.domain.errors import Unavailable

_RETRIED: Final = frozenset(
    {"40001", "40P01", "55P03", "57014"}
)  # serialisation, deadlock, lock and statement timeout
# What says nothing about the move, but that the database cannot write now: a broken connection, shutting down or
# starting up, read-only (a standby, or a guard against a full disk), disk full, no connection left, an I/O error.
_AWAY: Final = ("08", "57P", "25006", "53100", "53300", "58030")


def is_away(error: DBAPIError) -> bool:
    """The database is not there for anybody: find out what became of the db_txn, and wait."""
    code = sqlstate(error)
    if error.connection_invalidated or (isinstance(error, OperationalError) and code is None):
        return True
    return code is not None and code.startswith(_AWAY)


def is_passing(error: Exception) -> bool:
    """The same move may succeed at once: it met another one."""
    return isinstance(error, DBAPIError) and sqlstate(error) in _RETRIED


def away(error: DBAPIError) -> Unavailable:
    """The same for whoever waits: what the database or its driver said, in one line and without any value."""
    said = str(error.orig).splitlines()
    return Unavailable("journal", said[0] if said else type(error.orig).__name__)


def sqlstate(error: DBAPIError) -> str | None:
    """The five characters, or None where no server said anything."""
    code: str | None = getattr(error.orig, "sqlstate", None)
    return code
