"""Engines for the journal's database, with the bounds that keep a frozen or dead peer from holding locks for ever."""

from typing import Final

from sqlalchemy import Engine as Engine  # noqa: PLC0414 - the one name of SQLAlchemy's that the worker hands around
from sqlalchemy import create_engine, make_url
from sqlalchemy.exc import ArgumentError

from handlers.domain.errors import InvalidValueError

_WRITER: Final = {
    "lock_timeout": "5s",
    "statement_timeout": "30s",
    # A worker that is frozen inside a db_txn would hold its session's row against the take-over.
    "idle_in_transaction_session_timeout": "5s",
    "synchronous_commit": "on",
}
_KEEPALIVE: Final = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}


def engine(url: str, *, role: str, pool_size: int = 2) -> Engine:
    """An engine on psycopg; `role` is shown in pg_stat_activity. Raises InvalidValueError for an unusable URL.

    A session's engines end their role with its id: whoever takes it over finds its connections by that.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # a bare ValueError is a port that is no number
        raise InvalidValueError(
            "journal_url", "must look like postgresql://user@host:5432/name"
        ) from None
    if not parsed.drivername.startswith("postgresql"):
        raise InvalidValueError(
            "journal_url", "must be a PostgreSQL URL: postgresql://user@host:5432/name"
        )
    options = " ".join(f"-c {name}={value}" for name, value in _WRITER.items())
    return create_engine(
        parsed.set(drivername="postgresql+psycopg"),
        pool_size=pool_size,
        max_overflow=2,
        pool_pre_ping=False,
        pool_timeout=10,
        isolation_level="READ COMMITTED",
        connect_args={**_KEEPALIVE, "options": options, "application_name": role},
    )
