"""Many runs on several cores: seeds in small series, each in a process of its own, and what came of all of them.

A process ends with its series, so nothing of a run is ever thrown away by the garbage collector, which would cost as
much as a fifth of the runs.
"""

import gc
import multiprocessing
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from tests.simulation.planted import BUGS
from tests.simulation.sim_run import Run, prepared
from tests.simulation.sim_ways import SOUND, Plan

SERIES: Final = 100  # runs in one process: some 60 MB of what nobody collects


@dataclass(slots=True)
class Tally:
    """What came of some runs. `failed`: seed → what the auditor found; `cpu_s`: seconds on a core."""

    runs: int = 0
    commands: int = 0
    sends: int = 0
    cpu_s: float = 0.0
    blows: Counter[str] = field(default_factory=Counter)
    failed: dict[int, list[str]] = field(default_factory=dict)

    def add(self, other: "Tally") -> None:
        """Those runs, too."""
        self.runs += other.runs
        self.commands += other.commands
        self.sends += other.sends
        self.cpu_s += other.cpu_s
        self.blows += other.blows
        self.failed |= other.failed

    @property
    def per_s(self) -> float:
        """Runs a second and core."""
        return self.runs / self.cpu_s if self.cpu_s else 0.0


@dataclass(frozen=True, slots=True)
class Series:
    """Seeds from `first` on, under the plan of this name, "" for the sound one."""

    first: int
    runs: int
    bug: str = ""


def plan_of(bug: str) -> Plan:
    """The plan of this name."""
    return BUGS[bug] if bug else SOUND


def play(series: Series) -> Tally:
    """Play them here, one after the other. With a bug planted, the first that catches it is the last."""
    tally, plan = Tally(), plan_of(series.bug)
    with prepared(plan):
        began = time.process_time()
        for seed in range(series.first, series.first + series.runs):
            outcome = Run(seed, plan).play()
            tally.runs += 1
            tally.commands += outcome.commands
            tally.sends += outcome.sends
            tally.blows.update(outcome.blows)
            if outcome.violations:
                tally.failed[seed] = [str(it) for it in outcome.violations]
                if series.bug:
                    break
        tally.cpu_s = time.process_time() - began
    return tally


def played(first: int, seeds: int, *, jobs: int, bug: str = "") -> Iterator[Tally]:
    """What came of each series, in the order of the seeds; with a bug planted, until it is caught."""
    end = first + seeds
    many = [Series(at, min(SERIES, end - at), bug) for at in range(first, end, SERIES)]
    gc.collect()
    gc.freeze()  # what is here already is the same in all processes: the collector is not to touch it
    with multiprocessing.get_context("fork").Pool(jobs, maxtasksperchild=1) as pool:
        for tally in pool.imap(play, many):
            yield tally
            if bug and tally.failed:
                return
