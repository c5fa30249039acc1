"""Shows what was measured, ratios first, with the conditions. Nothing is measured here but the machine's fsync."""

import os
import platform
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

import confluent_kafka
from rich.console import Console
from rich.table import Table

from tests.benchmarks.measure import AddedLatency, Throughput
from tests.benchmarks.yardstick import Yardstick
from worker.demo.broker import KAFKA_VERSION

_FSYNCS: Final = 30
_DISTURBED: Final = 0.1
_WARNING: Final = "Other programs used much of this machine: rates and latencies say little, CPU a charge says more."
_PACKAGES: Final = ("confluent-kafka", "psycopg", "sqlalchemy", "httpx", "aiohttp", "uvloop")


@dataclass(frozen=True, slots=True)
class Conditions:
    """Where and with what it was measured. `fsync_ms` is the disk's, which a durable journal waits for."""

    cores: int
    processor: str
    system: str
    python: str
    versions: dict[str, str]
    fsync_ms: float
    load_average: float
    seed: int
    window_s: float


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that one run found."""

    conditions: Conditions
    throughput: Sequence[Throughput]
    added_latency: Sequence[AddedLatency]
    yardsticks: Sequence[Yardstick]


def conditions(folder: Path, *, seed: int, window_s: float) -> Conditions:
    """Look around. Call it before the load starts."""
    versions = {name: version(name) for name in _PACKAGES}
    versions |= {"librdkafka": confluent_kafka.libversion()[0], "Apache Kafka": KAFKA_VERSION}
    return Conditions(
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else _cores(),
        processor=_processor(),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        versions=versions,
        fsync_ms=_fsync_ms(folder),
        load_average=os.getloadavg()[0],
        seed=seed,
        window_s=window_s,
    )


def _cores() -> int:
    return os.cpu_count() or 1


def _processor() -> str:
    """The processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _fsync_ms(folder: Path) -> float:
    """Median of writing 8 KiB durably."""
    place, took = folder / "fsync", []
    with place.open("wb", buffering=0) as file:
        for _ in range(_FSYNCS):
            began_s = time.perf_counter()
            file.write(bytes(8192))
            os.fsync(file.fileno())
            took.append(1000 * (time.perf_counter() - began_s))
    place.unlink()
    return statistics.median(took)


def show(report: Report, console: Console) -> None:
    """Print the tables."""
    runs = _runs(report)
    if report.throughput:
        console.print(_throughput(report.throughput))
    if report.added_latency:
        console.print(_added(report.added_latency))
    if report.yardsticks:
        console.print(_yardsticks(report.yardsticks))
    if runs:
        console.print(_costs(runs))
    if any(it.cost.others > _DISTURBED for it in runs):
        console.print(_WARNING, style="bold red")
    for line in _told(report):
        console.print(line, highlight=False)


def _runs(report: Report) -> list[Throughput | AddedLatency]:
    return [*report.throughput, *report.added_latency]


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _throughput(found: Sequence[Throughput]) -> Table:
    table = _table(
        "Throughput, closed loop: from the command's topic to `payment_status`",
        *("of ideal", "in flight", "gateway", "charges/s", "ideal/s", "CPU ms/charge"),
        *("memory MiB", "moves/commit", "events/txn", "in flight seen"),
    )
    for it in found:
        table.add_row(
            *(f"{it.ratio:.0%}", str(it.in_flight), it.latency, f"{it.per_s:.0f}"),
            *(f"{it.ideal:.0f}", f"{it.cost.worker_cpu_ms:.2f}", f"{it.cost.memory_mib:.0f}"),
            *(f"{it.moves_a_commit:.1f}", f"{it.events_a_transaction:.1f}"),
            f"{it.in_flight_seen:.0f}",
        )
    return table


def _costs(found: Sequence[Throughput | AddedLatency]) -> Table:
    names = list(found[0].cost.neighbours_ms)
    title = "CPU ms a charge, by program: all of them share the cores of this machine"
    table = _table(title, "run", "worker", *names, "machine idle", "used by others")
    for it in found:
        others = (f"{it.cost.neighbours_ms[name]:.2f}" for name in names)
        table.add_row(
            *(it.name, f"{it.cost.worker_cpu_ms:.2f}", *others),
            *(f"{it.cost.idle:.0%}", f"{it.cost.others:.0%}"),
        )
    return table


def _added(found: Sequence[AddedLatency]) -> Table:
    table = _table(
        "Added latency, open loop: command's timestamp to status, less the gateway's own latency",
        *("load/s", "told/s", "gateway", "told p50 ms", "told p99 ms", "seen p50 ms"),
        *("seen p99 ms", "sender late p99 ms", "events/txn"),
    )
    for it in found:
        table.add_row(
            *(f"{it.offered:.0f}", f"{it.per_s:.0f}", it.latency),
            *(f"{it.told_p50_ms:.0f}", f"{it.told_p99_ms:.0f}"),
            *(f"{it.seen_p50_ms:.0f}", f"{it.seen_p99_ms:.0f}", f"{it.late_p99_ms:.1f}"),
            f"{it.events_a_transaction:.1f}",
        )
    return table


def _yardsticks(found: Sequence[Yardstick]) -> Table:
    title = "Yardstick: a plain loop with the SDK, which writes nothing, remembers nothing, tells nobody"
    table = _table(
        title, "of ideal", "threads", "gateway", "charges/s", "ideal/s", "CPU ms/charge", "MiB"
    )
    for it in found:
        table.add_row(
            *(f"{it.ratio:.0%}", str(it.threads), it.latency, f"{it.per_s:.1f}"),
            *(f"{it.ideal:.1f}", f"{it.cpu_ms:.1f}", f"{it.memory_mib:.0f}"),
        )
    return table


def _told(report: Report) -> list[str]:
    it = report.conditions
    audited = sum(run.books for run in _runs(report))
    versions = ", ".join(f"{name} {number}" for name, number in it.versions.items())
    return [
        f"Books of all runs compared and equal: {audited} charges, each once, each told once.",
        f"{it.cores} cores ({it.processor}), {it.system}, Python {it.python}; everything on this one machine.",
        f"{versions}; journal durable, one fsync {it.fsync_ms:.2f} ms.",
        f"Windows of {it.window_s:g} s, seed {it.seed}; load average before the start {it.load_average:.1f}.",
    ]
