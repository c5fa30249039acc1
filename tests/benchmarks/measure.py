"""Measures one scenario on the stage: its own installation, warm-up, a watched window, and then the books.

Each figure comes from what a consumer of `payment_status` could see, not from what the worker says of itself. A run
whose books differ, or whose topic ran dry, raises BenchmarkError: no figure comes from a wrong run.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from tests.benchmarks.listener import Listener, transactions
from tests.benchmarks.load import Load
from tests.benchmarks.meters import Watched, watch
from tests.benchmarks.scenarios import LOAD, BenchmarkError, Program, Scenario
from worker import routes, wiring
from worker.config import Settings
from worker.demo.audit import audit, settings_of, wait_for_rest
from worker.demo.kept_process import KeptProcess
from worker.demo.shop import Record, Shop
from worker.demo.stage import Stage
from worker.kafka_admin import Admin

_START_S: Final = 60.0
_REST_S: Final = 300.0
# Times in flight at most: in work, waiting inside, and told but not heard of yet.
_HELD_BY_WORKER: Final = 4
_IN_TOPIC_S: Final = 0.5  # how long the worker could go on without the producer
_PARTITIONS: Final = 6
_BY_BROKER: Final = {"message.timestamp.type": "LogAppendTime"}  # the producer's would be too early
_MOVES: Final = 3  # a charge moves in the journal when it is opened, answered and concluded
_EVENTS: Final = 3  # status, order, notification


@dataclass(frozen=True, slots=True)
class Cost:
    """What a charge cost in the window. CPU in milliseconds; `neighbours_ms` by program.

    `idle` and `others` are shares of the machine: unused, and used by programs that are no part of this.
    """

    worker_cpu_ms: float
    neighbours_ms: dict[str, float]
    memory_mib: float
    idle: float
    others: float


@dataclass(frozen=True, slots=True)
class Throughput:
    """Closed loop. `ratio` is charges/s ÷ (in flight ÷ latency)."""

    name: str
    in_flight: int
    latency: str
    ideal: float
    per_s: float
    ratio: float
    cost: Cost
    in_flight_seen: float
    moves_a_commit: float
    events_a_transaction: float
    window_s: float
    charges: int
    books: int


@dataclass(frozen=True, slots=True)
class AddedLatency:
    """Open loop: what was added to the gateway's latency, from the command's timestamp on, in milliseconds.

    `told` until the broker appended the status, `seen` until a `read_committed` consumer had it.
    """

    name: str
    in_flight: int
    latency: str
    offered: float
    per_s: float
    told_p50_ms: float
    told_p99_ms: float
    seen_p50_ms: float
    seen_p99_ms: float
    late_p99_ms: float
    cost: Cost
    events_a_transaction: float
    window_s: float
    charges: int
    books: int


@dataclass(frozen=True, slots=True)
class Run:
    """A worker at work on an installation of its own."""

    name: str
    stage: Stage
    worker: KeptProcess
    listener: Listener
    settings: Settings


def throughput(base: Stage, scenario: Scenario, *, program: Program) -> Throughput:
    """How many charges are told a second while as many as fit are in flight all the time."""
    ahead = int(_HELD_BY_WORKER * scenario.in_flight + _IN_TOPIC_S * scenario.ideal)
    with _run(base, scenario) as run:
        seconds = program.warm_up_s + program.window_s + _slack_s(program)
        load = _load(run, count=ahead + int(scenario.ideal * seconds))
        run.worker.start()
        load.keep_filled(ahead=ahead, told=run.listener.count)
        seen = _watched(run, load, program=program)
        books = _settled(run, load)
        told = run.listener.between(seen.began_ms, seen.ended_ms)
        per_s = len(told) / seen.seconds
        return Throughput(
            name=scenario.name,
            in_flight=scenario.in_flight,
            latency=str(scenario.latency),
            ideal=scenario.ideal,
            per_s=per_s,
            ratio=per_s / scenario.ideal,
            cost=_cost(seen, len(told)),
            in_flight_seen=seen.in_flight,
            moves_a_commit=_MOVES * len(told) / max(1, seen.commits),
            events_a_transaction=_EVENTS * len(told) / max(1, transactions(told)),
            window_s=seen.seconds,
            charges=len(told),
            books=books,
        )


def added_latency(
    base: Stage, scenario: Scenario, *, program: Program, full: float, seed: int
) -> AddedLatency:
    """How much later than the gateway's answer the outcome is told while commands come by chance, at half of `full`."""
    rate = LOAD * full
    with _run(base, scenario) as run:
        seconds = program.warm_up_s + program.window_s + _slack_s(program)
        load = _load(run, count=int(1.2 * rate * seconds) + 100)
        run.worker.start()
        load.by_chance(rate=rate, seed=seed)
        seen = _watched(run, load, program=program)
        books = _settled(run, load)
        told = run.listener.between(seen.began_ms, seen.ended_ms)
        taken_off = 1000 * scenario.latency.mean_s
        appended = sorted(it.appended_ms - load.sent[it.key] - taken_off for it in told)
        read = sorted(it.seen_ms - load.sent[it.key] - taken_off for it in told)
        return AddedLatency(
            name=scenario.name,
            in_flight=scenario.in_flight,
            latency=str(scenario.latency),
            offered=rate,
            per_s=len(told) / seen.seconds,
            told_p50_ms=_percentile(appended, 0.5),
            told_p99_ms=_percentile(appended, 0.99),
            seen_p50_ms=_percentile(read, 0.5),
            seen_p99_ms=_percentile(read, 0.99),
            late_p99_ms=1000 * _percentile(sorted(load.lateness_s), 0.99),
            cost=_cost(seen, len(told)),
            events_a_transaction=_EVENTS * len(told) / max(1, transactions(told)),
            window_s=seen.seconds,
            charges=len(told),
            books=books,
        )


@contextmanager
def _run(base: Stage, scenario: Scenario) -> Iterator[Run]:
    """An installation of its own, with the settings of production but for what is measured."""
    base.gateway("PUT", "/plan", body=scenario.latency.plan)
    # Books are told apart by how their names begin, and c100 begins c1000.
    name = f"{scenario.name}-shop"
    stage = base.fresh(name)
    settings = settings_of(stage)
    status = wiring.topics(settings).name(routes.STATUS)
    admin = Admin(settings.kafka_properties())
    admin.create({status: _PARTITIONS}, replicas=1, config=_BY_BROKER)
    stage.prepare(partitions=_PARTITIONS)
    worker = stage.worker("w1", in_flight=str(scenario.in_flight))
    try:
        with Listener(settings.kafka_properties(), status) as listener:
            yield Run(name, stage, worker, listener, settings)
    finally:
        stage.stop_workers()


def _load(run: Run, *, count: int) -> Load:
    topic = wiring.topics(run.settings).name(routes.INITIATION)
    shop = Shop(run.name, topic, wiring.wire_writer(run.settings))
    commands: list[Record] = list(shop.records(count))
    return Load(run.settings.kafka_properties(), commands)


def _slack_s(program: Program) -> float:
    """For what a start takes; too little shows as a topic that ran dry."""
    return 5 + program.warm_up_s


def _watched(run: Run, load: Load, *, program: Program) -> Watched:
    """From the first outcome on: warm up, then watch."""

    def check() -> None:
        run.worker.insist_alive()
        if load.ran_dry:
            raise BenchmarkError(f"{run.name}: the topic ran dry; more commands are needed")

    deadline = time.monotonic() + _START_S
    while not run.listener.count():
        check()
        if time.monotonic() > deadline:
            raise BenchmarkError(f"{run.name}: nothing was told in {_START_S:g} s")
        time.sleep(0.02)
    time.sleep(program.warm_up_s)
    return watch(run.stage, run.worker, seconds=program.window_s, check=check)


def _settled(run: Run, load: Load) -> int:
    """Wait until all that was sent is told, then compare the books; how many charges they hold."""
    load.stop()
    published = [key.decode() for key in load.sent]
    deadline = time.monotonic() + _REST_S
    while run.listener.count() < len(published) and time.monotonic() < deadline:
        run.worker.insist_alive()
        time.sleep(0.1)
    if not wait_for_rest(run.stage, admitted=len(published), within_s=30):
        raise BenchmarkError(f"{run.name}: not at rest; {run.worker.tail(5)}")
    verdict = audit(run.stage, published=published, name=run.name)
    wrong = [*verdict.differences, *(f"{it.payment_id} waits: {it.why}" for it in verdict.waiting)]
    if verdict.charged != len(published):
        wrong.append(f"{len(published)} commands, {verdict.charged} charges")
    if wrong:
        raise BenchmarkError(f"{run.name}: the books differ: {'; '.join(wrong[:5])}")
    return verdict.charged


def _cost(seen: Watched, charges: int) -> Cost:
    cpu_ms = {name: 1000 * cpu_s / max(1, charges) for name, cpu_s in seen.cpu_s.items()}
    worker_cpu_ms = cpu_ms.pop("worker")
    return Cost(worker_cpu_ms, cpu_ms, seen.memory_mib, seen.idle, seen.others)


def _percentile(ordered: list[float], share: float) -> float:
    if not ordered:
        raise BenchmarkError("nothing was told in the window")
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
