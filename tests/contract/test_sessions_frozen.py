"""Why a lease ran out: a process that stood still is told apart from a database that was away."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from db_client.sessions import drop_connections
from tests.contract.journal_stage import JournalStage, staged

LEASE_S = 1.0


@pytest.fixture
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JournalStage]:
    """A server of its own: one test takes it away."""
    with staged(tmp_path_factory.mktemp("journal")) as one:
        yield one


@pytest.fixture
def keeper(stage: JournalStage) -> Iterator["subprocess.Popen[str]"]:
    """A process that keeps the session "kept"."""
    argv = [sys.executable, "-m", "tests.contract.frozen_keeper", stage.url, str(LEASE_S)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "kept\n" == process.stdout.readline()
        yield process
        process.kill()


def why_over(keeper: "subprocess.Popen[str]") -> str:
    """What it says at its end."""
    assert keeper.stdout is not None
    return keeper.stdout.readline().strip()


@pytest.mark.parametrize("cut_off", [True, False])
def test_a_process_that_stood_still_says_so(
    stage: JournalStage, keeper: "subprocess.Popen[str]", *, cut_off: bool
) -> None:
    """Regression: after a SIGSTOP the log blamed a database that had been there all the time."""
    keeper.send_signal(signal.SIGSTOP)
    time.sleep(3 * LEASE_S)
    if cut_off:
        assert drop_connections(stage.engine, session_id="kept")
    keeper.send_signal(signal.SIGCONT)
    assert "the lease ran out: this process stood still for about 3 s" == why_over(keeper)


def test_a_database_that_is_away_is_named(
    stage: JournalStage, keeper: "subprocess.Popen[str]"
) -> None:
    """The process ran all the time, and could not renew."""
    stage.server.stop()
    assert "the lease ran out while the database was away" == why_over(keeper)
