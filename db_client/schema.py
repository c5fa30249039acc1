"""The journal's schema: migrate it, and say whether a database has the one that this code needs."""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from db_client.failures import away

_MIGRATIONS: Final = Path(__file__).with_name("migrations")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    return config


def needed_revision() -> str:
    """The revision that this code was written for."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None, "migrations/versions/ holds at least one"
    return head


def present_revision(engine: Engine) -> str | None:
    """The revision of the database, or None where it was never migrated. Raises Unavailable."""
    try:
        with engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()
    except DBAPIError as error:
        raise away(error) from None


def migrate(engine: Engine) -> None:
    """Bring the database to the needed revision. Safe to run from two processes at once: a lock lets one wait."""
    config = _config()
    with engine.connect() as connection:
        connection.exec_driver_sql("SET lock_timeout = '60s'")
        connection.exec_driver_sql("SELECT pg_advisory_lock(7205759403)")
        connection.commit()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()
        connection.exec_driver_sql("SELECT pg_advisory_unlock(7205759403)")
        connection.commit()
