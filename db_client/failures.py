"""What the database's errors mean for a move: away, passing, or a refusal. No statement stands here."""

from typing import Final

from sqlalchemy.exc import DBAPIError, InternalError, OperationalError

from handlers.domain.errors import Unavailable

# Serialisation, deadlock, lock and statement timeout; a row that another session wrote at the same moment.
_RETRIED: Final = frozenset({"40001", "40P01", "55P03", "57014", "23505"})
_TWIN: Final = "23505"
_REFUSED: Final = ("22", "23")  # a value or a constraint: this move, and no other, is at fault


def is_away(error: DBAPIError) -> bool:
    """Nothing is said about the move, but that the database cannot write now: find out what became of it, and wait.

    Everything that is neither a refusal nor passing: a broken connection, shutting down or starting, read-only, disk
    full, no memory, no rights, no table. Good commands must not become dead letters because of an operator's slip.
    """
    code = sqlstate(error)
    if error.connection_invalidated or code is None:
        return isinstance(error, OperationalError | InternalError) or error.connection_invalidated
    return code not in _RETRIED and not code.startswith(_REFUSED)


def is_passing(error: Exception) -> bool:
    """The same move may succeed at once: it met another one."""
    return isinstance(error, DBAPIError) and sqlstate(error) in _RETRIED


def is_twin(error: Exception) -> bool:
    """Another session wrote the same row first; after a few tries it is the move that is at fault."""
    return isinstance(error, DBAPIError) and sqlstate(error) == _TWIN


def away(error: DBAPIError) -> Unavailable:
    """The same for whoever waits: what the database or its driver said, in one line and without any value."""
    said = str(error.orig).splitlines()
    return Unavailable("journal", said[0] if said else type(error.orig).__name__)


def sqlstate(error: DBAPIError) -> str | None:
    """The five characters, or None where no server said anything."""
    code: str | None = getattr(error.orig, "sqlstate", None)
    return code
