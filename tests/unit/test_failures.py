"""What the database's errors mean for a command: only its own faults may make it a dead letter."""

import pytest
from sqlalchemy.exc import DBAPIError, OperationalError

from db_client.failures import is_away, is_passing, is_twin


class _SaidError(Exception):
    """What a driver raises."""

    def __init__(self, sqlstate: str | None) -> None:
        super().__init__("said")
        self.sqlstate = sqlstate


def _error(sqlstate: str | None, kind: type[DBAPIError] = DBAPIError) -> DBAPIError:
    return kind("", {}, _SaidError(sqlstate))


@pytest.mark.parametrize(
    "sqlstate",
    ["08006", "25006", "42501", "42P01", "53100", "53200", "53300", "57P01", "58030", "XX000"],
)
def test_an_operators_slip_is_waited_for(sqlstate: str) -> None:
    """No rights, no table, no memory, no disk, read-only, shutting down: the command is good, and waits."""
    assert is_away(_error(sqlstate))
    assert not is_passing(_error(sqlstate))


@pytest.mark.parametrize("sqlstate", ["40001", "40P01", "55P03", "57014", "23505"])
def test_what_met_another_is_tried_again(sqlstate: str) -> None:
    """Deadlocks, locks, timeouts, and a row that another session wrote at the same moment."""
    assert is_passing(_error(sqlstate))
    assert not is_away(_error(sqlstate))
    assert is_twin(_error(sqlstate)) == (sqlstate == "23505")


@pytest.mark.parametrize("sqlstate", ["22001", "22P05", "23514", "23502"])
def test_a_value_that_cannot_be_is_refused(sqlstate: str) -> None:
    """A value or a constraint: this move alone is at fault."""
    assert not is_away(_error(sqlstate))
    assert not is_passing(_error(sqlstate))


def test_a_driver_that_says_nothing_lost_its_connection() -> None:
    """Without a code an operational error is a broken connection; any other is a value that cannot be encoded."""
    assert is_away(_error(None, OperationalError))
    assert not is_away(_error(None))
