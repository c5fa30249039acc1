"""Looking at processes from a test: who descends from whom, and whether they are gone. No claims live here."""

import psutil  # type: ignore[import-untyped]  # ships no types


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
