"""`python -m tests.benchmarks`: starts the stage, measures, compares the books, prints the tables."""

import argparse
import json
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

from rich.console import Console

from tests.benchmarks.measure import AddedLatency, Throughput, added_latency, throughput
from tests.benchmarks.report import Report, conditions, show
from tests.benchmarks.scenarios import FULL, QUICK, BenchmarkError, Program
from tests.benchmarks.yardstick import yardstick
from worker.demo.stage import open_stage
from worker.demo.stage_error import StageError

_WIDE = 150  # columns where the output is no terminal


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description="Throughput, CPU and added latency of one worker on real parts, on this machine.",
    )
    parser.add_argument(
        "--quick", action="store_true", help="seconds instead of minutes; says little"
    )
    parser.add_argument("--seconds", type=float, help="how long each run is watched")
    parser.add_argument("--only", metavar="NAMES", help="names of runs, separated by commas")
    parser.add_argument("--seed", type=int, default=1, help="of latencies and arrivals")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    return parser.parse_args()


def _program(arguments: argparse.Namespace) -> Program:
    program = QUICK if arguments.quick else FULL
    if arguments.seconds is not None:
        program = replace(program, window_s=arguments.seconds)
    return program.only(arguments.only.split(",")) if arguments.only else program


def _measured(program: Program, *, seed: int, say: Console) -> Report:
    with tempfile.TemporaryDirectory(prefix="payment-worker-bench-") as name:
        folder = Path(name)
        found = conditions(folder, seed=seed, window_s=program.window_s)
        closed: list[Throughput] = []
        opened: list[AddedLatency] = []
        if program.closed or program.opened:
            with open_stage(
                folder, say=lambda text: say.print(text, style="dim"), seed=seed
            ) as base:
                for it in program.closed:
                    say.print(f"{it.name}: {it.in_flight} in flight, gateway {it.latency}")
                    closed.append(throughput(base, it, program=program))
                reached = {it.name: it.per_s for it in closed}
                for it in program.opened:
                    full = reached.get(it.half_of, it.ideal)
                    say.print(f"{it.name}: open loop at half of {full:.0f}/s, gateway {it.latency}")
                    opened.append(added_latency(base, it, program=program, full=full, seed=seed))
    yardsticks = []
    for it in program.yardsticks:
        say.print(f"{it.name}: the SDK in {it.in_flight} threads, gateway {it.latency}")
        yardsticks.append(yardstick(it, program))
    return Report(found, closed, opened, yardsticks)


def main() -> int:
    """Measure; 1 where a run was wrong."""
    arguments = _arguments()
    progress = Console(stderr=True)
    try:
        report = _measured(_program(arguments), seed=arguments.seed, say=progress)
    except (BenchmarkError, StageError) as error:
        progress.print(str(error), style="red", markup=False)
        return 1
    console = Console() if sys.stdout.isatty() else Console(width=_WIDE)
    show(report, console)
    if arguments.json:
        arguments.json.write_text(json.dumps(asdict(report), indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
