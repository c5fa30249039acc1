"""Claims about the demo as a person starts it: it tells its story, its books are equal, and nothing of it stays."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # ships no types
import pytest

_ROOT = Path(__file__).parents[2]
_WITHIN_S = 240
_BEATS = """
    Apache Kafka answers at
    PostgreSQL answers at
    db-service answers at
    Authorize.Net simulator answers at
    worker-1 and worker-2 are ready
    the shop opens: 60 payments will come
    is held for review at the gateway: told as pending
    was approved by a person: told as success
    is held for review and stays so: told as pending
    charged, but the answer was lost: told as pending
    asked for and found, not sent again: told as success
    sent, but the connection broke: told as pending
    proven absent at the gateway: told as failure
    is declined by the bank: told as failure
    is in EUR on a USD account: refused
    asked for twice: answered again under the same event id
    dead letter, unreadable:
    dead letter, card_number:
    dead letter, invalid: amount_minor
    dead letter, invalid: currency
    dead letter, conflict:
    rush hour:
    worker-1 gets SIGKILL:
    worker-2 takes over:
    everything is published
    all is at rest
    The books are equal: 60 payments
    stopping everything
"""


def _processes_of(place: Path) -> list[list[str]]:
    """Command lines of what still runs with this run's place for temporary folders."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            ours = process.environ().get("TMPDIR") == str(place)
            if ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.cmdline())
    return found


def _demo(place: Path, *options: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, str(_ROOT / "run_worker.py"), "demo", "--payments", "60", "--plain", *options],
        env={**os.environ, "TMPDIR": str(place), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A place for temporary folders, so that the test sees what is left there."""
    found = tmp_path / "tmp"
    found.mkdir()
    return found


@pytest.mark.timeout(_WITHIN_S + 60)
def test_the_whole_morning(place: Path) -> None:
    """The demo ends with 0 and equal books, has told every beat, and leaves no process and no folder."""
    with _demo(place) as running:
        said, _ = running.communicate(timeout=_WITHIN_S)

    assert 0 == running.returncode, said
    missing = [line for line in map(str.strip, _BEATS.strip().splitlines()) if line not in said]
    assert [] == missing, said
    assert [] == _processes_of(place)
    assert [] == list(place.iterdir())


@pytest.mark.timeout(_WITHIN_S)
@pytest.mark.parametrize("moment", ["Apache Kafka answers", "worker-1 gets SIGKILL"])
def test_ctrl_c(place: Path, moment: str) -> None:
    """Ctrl-C, while the stage is built as in the middle of the story, ends with 130 and leaves nothing."""
    with _demo(place) as running:
        assert running.stdout is not None
        for line in running.stdout:
            if moment in line:
                break
        running.send_signal(signal.SIGINT)
        said, _ = running.communicate(timeout=60)

    assert 130 == running.returncode, said
    assert "interrupted: everything is stopped and removed" in said
    assert [] == _processes_of(place)
    assert [] == list(place.iterdir())


@pytest.mark.timeout(_WITHIN_S)
def test_a_part_fails(place: Path) -> None:
    """A server that dies in the middle ends the demo with 3, its name and what to do, and leaves nothing."""
    with _demo(place) as running:
        assert running.stdout is not None
        for line in running.stdout:
            if "the shop opens" in line:
                break
        time.sleep(1)
        _kill_the_simulator(running.pid)
        said, _ = running.communicate(timeout=60)

    assert 3 == running.returncode, said
    assert "error: simulator is not running: signal SIGKILL" in said
    assert "with --keep the folder with the logs stays" in said
    assert [] == _processes_of(place)
    assert [] == list(place.iterdir())


def _kill_the_simulator(demo: int) -> None:
    for child in psutil.Process(demo).children():
        if "worker.demo.simulator" in child.cmdline():
            child.kill()
