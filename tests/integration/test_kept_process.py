"""What keeps the stage's processes, gives them ports and caches their downloads: tried on small children."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # ships no types
import pytest

from tests.integration.watching import all_gone, family
from tests.waiting import SETTLES_WITHIN_S, wait_until
from worker.demo import cache, ports
from worker.demo.kept_process import KeptProcess
from worker.demo.stage_error import StageError

ROOT = Path(__file__).parents[2]
SAYS_READY = (
    "import sys, pathlib, time; pathlib.Path(sys.argv[1]).write_text('yes'); time.sleep(300)"
)


def sleeper(
    folder: Path,
    *,
    before: str = "",
    ready: Callable[[], bool] | None = None,
    start_timeout_s: float = 30.0,
    advice: str = "",
) -> KeptProcess:
    """A child that says it is ready, then does nothing for minutes."""
    file = folder / "sleeper.ready"
    return KeptProcess(
        "Sleeper",
        [sys.executable, "-c", before + SAYS_READY, file],
        log=folder / "sleeper.log",
        ready=ready or file,
        start_timeout_s=start_timeout_s,
        advice=advice,
    )


def test_a_child_that_dies_while_it_starts_tells_who_how_and_what_to_do(tmp_path: Path) -> None:
    """The error names the child, its exit code, its last words and the next step."""
    child = sleeper(tmp_path, before="raise SystemExit('no bread today');", advice="buy bread")
    with pytest.raises(StageError) as caught:
        child.start()
    text = str(caught.value)
    assert "Sleeper ended with exit code 1 while it started" in text
    assert "no bread today" in text
    assert "Next: buy bread." in text
    assert child.alive is False


def test_a_program_that_is_not_there_is_an_error_of_its_own(tmp_path: Path) -> None:
    """A missing program is told by its path, not by a traceback."""
    child = KeptProcess(
        "Ghost", [tmp_path / "ghost"], log=tmp_path / "log", ready=tmp_path / "ready"
    )
    with pytest.raises(StageError, match="ghost cannot be run: No such file"):
        child.start()


def test_a_child_that_is_never_ready_is_ended(tmp_path: Path) -> None:
    """A start that takes too long leaves nothing running."""
    child = sleeper(tmp_path, ready=lambda: False, start_timeout_s=0.3)
    with pytest.raises(StageError, match=r"was not ready after 0\.3 s"):
        child.start()
    assert child.alive is False
    assert -signal.SIGKILL == child.returncode


def test_a_child_that_ignores_the_request_to_end_is_killed(tmp_path: Path) -> None:
    """stop() waits for its grace, then kills."""
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    with sleeper(tmp_path, before=deaf) as child:
        child.stop(grace_s=0.2)
        assert -signal.SIGKILL == child.returncode


def test_a_frozen_child_can_be_stopped(tmp_path: Path) -> None:
    """stop() wakes what is frozen, so that it can end in order."""
    with sleeper(tmp_path) as child:
        child.freeze()
        wait_until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_STOPPED)
        child.stop()
        assert -signal.SIGTERM == child.returncode


def test_a_child_outlives_the_thread_that_asked_for_it(tmp_path: Path) -> None:
    """The tie to the parent is a tie to the process: a thread's end changes nothing."""
    child = sleeper(tmp_path)
    thread = threading.Thread(target=child.start)
    thread.start()
    thread.join()
    time.sleep(0.2)
    try:
        assert child.alive is True
    finally:
        child.stop()


def test_a_child_that_dies_on_its_own_is_found_dead(tmp_path: Path) -> None:
    """insist_alive() turns a silent death into an error that names it."""
    with sleeper(tmp_path) as child:
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        wait_until(lambda: not child.alive)
        with pytest.raises(StageError, match="Sleeper is not running: signal SIGKILL"):
            child.insist_alive()


PARENT = """
import sys, time
from pathlib import Path
from worker.demo.broker import Broker
from worker.demo.postgres import Postgres

folder = Path(sys.argv[1])
postgres = Postgres(folder / "postgres")
kafka = Broker(folder / "kafka")
postgres.start()
kafka.start()
print(postgres.pid, kafka.pid, file=open(folder / "pids.draft", "w"), flush=True)
(folder / "pids.draft").rename(folder / "pids")
time.sleep(300)
"""


def test_a_parent_killed_with_sigkill_takes_its_servers_along(tmp_path: Path) -> None:
    """No server of the stage outlives the process that started it, however that one ends."""
    with (tmp_path / "parent.log").open("w") as log:
        parent = subprocess.Popen(
            [sys.executable, "-c", PARENT, tmp_path], cwd=ROOT, stdout=log, stderr=log
        )
    try:
        wait_until(lambda: (tmp_path / "pids").exists() or parent.poll() is not None, within_s=120)
        assert parent.poll() is None, (tmp_path / "parent.log").read_text()
        roots = [int(word) for word in (tmp_path / "pids").read_text().split()]
        servers = [process for pid in roots for process in family(pid)]
        assert len(servers) > len(roots), "PostgreSQL has processes of its own"
        assert all_gone(servers) is False
    finally:
        parent.kill()
        parent.wait()
    wait_until(lambda: all_gone(servers))


# Ports and the cache.


def test_free_ports_are_different_and_below_the_range_of_outgoing_connections() -> None:
    """A server that comes back finds no client sitting on its port."""
    found = ports.free_ports(20)
    assert 20 == len(set(found))
    assert all(15_000 <= port < 32_000 for port in found)


@pytest.mark.parametrize(
    ("own", "shared", "expected"),
    [
        ("a", "b", "a"),
        ("", "b", "b/payment-worker"),
        ("", "", "home/.cache/payment-worker"),
    ],
)
def test_the_cache_is_where_the_settings_say(
    own: str, shared: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first setting that is not empty wins."""
    monkeypatch.setenv("PAYMENT_WORKER_CACHE", own and str(tmp_path / own))
    monkeypatch.setenv("XDG_CACHE_HOME", shared and str(tmp_path / shared))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert tmp_path / expected == cache.folder()
    assert (tmp_path / expected).is_dir()


def test_the_cache_lets_one_in_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes second says that it waits, and goes on when the first is done."""
    monkeypatch.setenv("PAYMENT_WORKER_CACHE", str(tmp_path))
    said: list[str] = []
    done = threading.Event()

    def second() -> None:
        with cache.alone("kafka", say=said.append):
            done.set()

    with cache.alone("kafka", say=said.append):
        thread = threading.Thread(target=second)
        thread.start()
        wait_until(lambda: bool(said))
        assert done.is_set() is False
    thread.join(SETTLES_WITHIN_S)
    assert done.is_set() is True
    assert ["kafka: another process is at it, waiting"] == said
