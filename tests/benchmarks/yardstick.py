"""The yardstick: a plain loop with the vendor's SDK, against the same simulator program.

Each thread charges, reads the answer, charges again. Nothing is written first, nothing is remembered, nothing is told:
this is the least that a merchant's own loop does. It runs as a program of its own, so that its CPU is its own.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import psutil  # type: ignore[import-untyped]  # ships no types

from tests.benchmarks.scenarios import BenchmarkError, Program, Scenario
from worker.demo.stage import serve

_ROOT: Final = Path(__file__).parents[2]
_START_S: Final = 90.0
_APPROVED: Final = "1"


@dataclass(frozen=True, slots=True)
class Yardstick:
    """What the SDK's loop reached. `ratio` as for the worker."""

    name: str
    threads: int
    latency: str
    ideal: float
    per_s: float
    ratio: float
    cpu_ms: float
    memory_mib: float
    window_s: float
    charges: int


def yardstick(scenario: Scenario, program: Program) -> Yardstick:
    """Measure the SDK with `in_flight` threads against a simulator of its own (which asks for no credentials)."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="yardstick-")))
        argv = ("-m", "worker.demo.simulator")
        _, simulator = serve(stack, folder, name="simulator", argv=argv)
        plan = scenario.latency.plan
        httpx.put(f"{simulator['control_url']}/plan", json=plan, trust_env=False).raise_for_status()
        warm_up_s = program.warm_up_s + scenario.latency.high_ms / 1000
        done = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.yardstick", simulator["url"],
             "--threads", str(scenario.in_flight), "--seconds", str(program.window_s),
             "--warm-up", str(warm_up_s)],
            cwd=_ROOT, capture_output=True, text=True, check=False,
            timeout=_START_S + warm_up_s + program.window_s,
        )  # fmt: skip
    if done.returncode:
        raise BenchmarkError(f"{scenario.name} ended with {done.returncode}: {done.stderr[-500:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    per_s = found["charges"] / found["window_s"]
    return Yardstick(
        name=scenario.name,
        threads=scenario.in_flight,
        latency=str(scenario.latency),
        ideal=scenario.ideal,
        per_s=per_s,
        ratio=per_s / scenario.ideal,
        cpu_ms=1000 * found["cpu_s"] / max(1, found["charges"]),
        memory_mib=found["memory_mib"],
        window_s=found["window_s"],
        charges=found["charges"],
    )


class _Loop:
    """The threads that charge, and how often they did."""

    def __init__(self, url: str, threads: int) -> None:
        self._url = url
        self._stop = threading.Event()
        self._counts = [0] * threads
        self._failures: list[str] = []
        self._threads = [threading.Thread(target=self._run, args=(it,)) for it in range(threads)]

    def charges(self) -> int:
        """So far. Raises BenchmarkError where a charge failed."""
        if self._failures:
            raise BenchmarkError(self._failures[0])
        return sum(self._counts)

    def start(self) -> None:
        """Begin to charge."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Finish what is under way."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int) -> None:
        from tests.contract import vendor_sdk

        while not self._stop.is_set():
            invoice = f"Y{number}-{self._counts[number]}"
            answer = vendor_sdk.charge(self._url, invoice=invoice, amount="12.90")
            if answer.response_code != _APPROVED:
                self._failures.append(f"the SDK's charge was answered {answer}")
                return
            self._counts[number] += 1


def main() -> None:
    """Charge for a while; one line of JSON says what was reached in the window."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.yardstick")
    parser.add_argument("url")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--warm-up", type=float, required=True)
    arguments = parser.parse_args()
    from tests.contract import vendor_sdk  # noqa: F401 - its import takes seconds: before the clock runs

    loop = _Loop(arguments.url, arguments.threads)
    loop.start()
    try:
        time.sleep(arguments.warm_up)
        began_s, cpu_s, charges = time.monotonic(), time.process_time(), loop.charges()
        time.sleep(arguments.seconds)
        found = {
            "window_s": time.monotonic() - began_s,
            "cpu_s": time.process_time() - cpu_s,
            "charges": loop.charges() - charges,
            "memory_mib": psutil.Process().memory_info().rss / 1024 / 1024,
        }
    finally:
        loop.stop()
    print(json.dumps(found))  # noqa: T201 - the answer to the program that started this one


if __name__ == "__main__":
    main()
