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
    57 orders are in the db-service
    the shop opens: 60 payments and 10 requests will come
    is held for review at the gateway: told as pending
    was approved by a person: told as success
    is held for review and stays so: told as pending
    charged, but the answer was lost: told as pending
    asked for and found, not sent again: told as success
    sent, but the connection broke: told as pending
    proven absent at the gateway: told as failure
    is declined by the bank: told as failure
    is in EUR on a USD account: refused
    is for an order that does not exist: refused
    pays an order that is paid already: refused
    was voided before it came: refused
    the means of payment is good, nothing was taken
    is authorised: reserved on the card
    a half of it is captured, the rest let go
    a second capture is refused:
    is voided: nothing was taken
    refunded in full before it settled, which is a void
    a partial refund waits for the settlement: told as initiated, due at
    the gateway's batch settles
    settled now, so the partial refund went out
    a second refund is refused:
    settled, and refunded in full
    somebody asked what became of it, and was answered
    asked for twice: answered again under the same event id
    dead letter, unreadable:
    dead letter, card_number:
    dead letter, invalid: amount_minor
    dead letter, invalid: currency
    dead letter, conflict:
    dead letter, payment_unknown:
    rush hour:
    gets SIGKILL:
    takes over:
    everything is published
    all is at rest
    requests: 1 capture failed, 1 capture processed, 1 refund failed, 3 refund processed
    run_worker.py dead-letters list
    run_worker.py review list
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
@pytest.mark.parametrize("moment", ["Apache Kafka answers", "gets SIGKILL"])
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
