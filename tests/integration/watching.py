"""Looking at processes from a test: who descends from whom, and whether they are gone. No claims live here."""

import time
from collections.abc import Callable

import psutil  # type: ignore[import-untyped]  # ships no types

SETTLES_WITHIN_S = 10.0


def wait_until(claim: Callable[[], bool]) -> None:
    """Return as soon as the claim holds; fail if it does not within ten seconds."""
    deadline = time.monotonic() + SETTLES_WITHIN_S
    while not claim():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.02)


def family(pid: int | None) -> list[psutil.Process]:
    """The process and all that descend from it."""
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def all_gone(processes: list[psutil.Process]) -> bool:
    """Whether none of them runs any more (a zombie does not run)."""
    return not any(_runs(process) for process in processes)


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
