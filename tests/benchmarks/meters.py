"""What a run costs while it is watched: CPU by program, memory, commits of the journal, how busy the machine is.

Nothing here starts load. The worker's own figures come from outside of it, so that measuring costs it nothing.
"""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil  # type: ignore[import-untyped]  # ships no types
import psycopg

from tests.benchmarks.scenarios import BenchmarkError
from worker.demo.kept_process import KeptProcess
from worker.demo.stage import Stage

_LOOK_S: Final = 0.5
_MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Watched:
    """What was seen in one window. `cpu_s` by program.

    `idle` is the share of the machine's CPU that nobody used, `others` what programs used that are no part of this.
    """

    began_ms: float
    ended_ms: float
    cpu_s: dict[str, float]
    idle: float
    others: float
    memory_mib: float
    in_flight: float
    commits: int

    @property
    def seconds(self) -> float:
        """How long it was."""
        return (self.ended_ms - self.began_ms) / 1000


def watch(
    stage: Stage, worker: KeptProcess, *, seconds: float, check: Callable[[], None]
) -> Watched:
    """Watch `worker` on `stage`; `check` is called twice a second and raises where the run is worth nothing."""
    programs = _programs(stage, worker)
    commits = _commits(stage.journal_url)
    machine, before = psutil.cpu_times(), {name: _cpu_s(pid) for name, pid in programs.items()}
    began_ms, until = time.time() * 1000, time.monotonic() + seconds
    memory: list[float] = []
    in_flight: list[int] = []
    while time.monotonic() < until:
        time.sleep(min(_LOOK_S, max(0.0, until - time.monotonic())))
        check()
        memory.append(psutil.Process(worker.pid).memory_info().rss / _MIB)
        with suppress(OSError, ValueError, KeyError):  # between two states
            in_flight.append(json.loads(_state_file(stage, worker).read_text())["in_flight"])
    ended_ms, after = time.time() * 1000, {name: _cpu_s(pid) for name, pid in programs.items()}
    cpu_s = {name: after[name] - before[name] for name in programs}
    idle = _idle(machine, psutil.cpu_times())
    cores = psutil.cpu_count() or 1
    ours = sum(cpu_s.values()) / cores * 1000 / (ended_ms - began_ms)
    return Watched(
        began_ms=began_ms,
        ended_ms=ended_ms,
        cpu_s=cpu_s,
        idle=idle,
        others=max(0.0, 1 - idle - ours),
        memory_mib=max(memory),
        in_flight=sum(in_flight) / max(1, len(in_flight)),
        commits=_commits(stage.journal_url) - commits,
    )


def _programs(stage: Stage, worker: KeptProcess) -> dict[str, int]:
    found = {
        "worker": worker.pid,
        "broker": stage.broker and stage.broker.pid,
        "PostgreSQL": stage.postgres and stage.postgres.pid,
        "db-service": stage.db_service.pid,
        "simulator": stage.simulator.pid,
        "this program": psutil.Process().pid,
    }
    return {name: pid for name, pid in found.items() if pid}


def _cpu_s(pid: int) -> float:
    """CPU seconds of a program, all its processes; those that ended count where they were waited for."""
    root = psutil.Process(pid)
    times = root.cpu_times()
    total: float = times.user + times.system
    if pid == psutil.Process().pid:
        return total  # its children are the other programs
    total += times.children_user + times.children_system
    for child in root.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            times = child.cpu_times()
            total += times.user + times.system
    return total


def _idle(before: object, after: object) -> float:
    """The share of idle between two readings of the machine's times."""
    fields = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
    spent = {it: getattr(after, it, 0.0) - getattr(before, it, 0.0) for it in fields}
    whole = sum(spent.values())
    return (spent["idle"] + spent["iowait"]) / whole if whole else 0.0


def _commits(journal_url: str) -> int:
    """Commits of the journal's threads so far."""
    with psycopg.connect(journal_url) as connection:
        row = connection.execute("SELECT coalesce(sum(commits), 0) FROM session").fetchone()
    if row is None:
        raise BenchmarkError("the journal does not answer")
    return int(row[0])


def _state_file(stage: Stage, worker: KeptProcess) -> Path:
    return stage.folder / f"{worker.name}.state"
