"""The journal's schema on a real PostgreSQL: the migrations make what the code believes in."""

import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine

from db_client.database import engine
from db_client.schema import migrate, needed_revision, present_revision
from db_client.tables import metadata
from worker.demo.postgres import Postgres

_ROOT = Path(__file__).parents[2]
_numbers = count(1)
_MIGRATE = """
import sys
from db_client.database import engine
from db_client.schema import migrate
one = engine(sys.stdin.read(), role="migrate")
migrate(one)
one.dispose()
"""


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A server for this file."""
    folder = tmp_path_factory.mktemp("migrations")
    with Postgres(folder, durable=False, say=lambda _: None) as one:
        yield one


@pytest.fixture
def url(postgres: Postgres) -> str:
    """An empty database."""
    return postgres.database(f"empty_{next(_numbers)}")


@pytest.fixture
def empty(url: str) -> Iterator[Engine]:
    """An engine on it."""
    one = engine(url, role="test")
    yield one
    one.dispose()


def test_the_migrations_make_the_tables(empty: Engine) -> None:
    """A migrated database and `tables.py` say the same, types and defaults included."""
    assert present_revision(empty) is None
    migrate(empty)
    with empty.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        assert [] == compare_metadata(context, metadata)
    assert needed_revision() == present_revision(empty)


def test_checks_are_compared_by_hand(empty: Engine, postgres: Postgres) -> None:
    """Alembic does not compare CHECKs and partial indexes: their definitions equal those of tables made directly."""
    migrate(empty)
    direct = engine(postgres.database(f"direct_{next(_numbers)}"), role="test")
    metadata.create_all(direct)
    assert definitions(direct) == definitions(empty)
    direct.dispose()


def definitions(of: Engine) -> list[tuple[str, str]]:
    """Name and definition of every constraint and index but alembic's own."""
    with of.connect() as connection:
        found = connection.exec_driver_sql(
            "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE connamespace = 'public'::regnamespace"
            " UNION ALL SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"
            " ORDER BY 1, 2"
        )
        return [(name, text) for name, text in found if not name.startswith("alembic_")]


def test_migrating_again_changes_nothing(empty: Engine) -> None:
    """A second run finds the revision there."""
    for _ in range(2):
        migrate(empty)
    assert needed_revision() == present_revision(empty)


def test_two_processes_may_migrate_at_once(url: str, empty: Engine) -> None:
    """Two workers that are rolled out together: one migrates, the other waits; both succeed."""
    running = [
        subprocess.Popen(
            [sys.executable, "-c", _MIGRATE], cwd=_ROOT, stdin=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for process in running:
        assert process.stdin is not None
        process.stdin.write(url)
        process.stdin.close()
    assert [0, 0] == [process.wait(60) for process in running]
    assert needed_revision() == present_revision(empty)
