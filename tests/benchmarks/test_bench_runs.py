"""Holds that the benchmarks run from end to end. What they measure is no matter of a test."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_quick_run_measures_and_its_books_are_equal(tmp_path: Path) -> None:
    """`--quick` ends well, which it does only with equal books, and every kind of measurement has its figures."""
    figures = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", "--quick", "--json", str(figures)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert 0 == done.returncode, done.stderr[-2000:]
    found = json.loads(figures.read_text())
    for kind in ("throughput", "added_latency", "yardsticks"):
        [run] = found[kind]
        assert 0 < run["charges"]
    audited = [run for kind in ("throughput", "added_latency") for run in found[kind]]
    assert all(run["charges"] <= run["books"] for run in audited)
    assert "Books of all runs compared and equal" in done.stdout


def test_a_name_that_there_is_not_is_told_with_those_that_there_are() -> None:
    """`--only` with a wrong name starts nothing and names the right ones."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", "--only", "c7"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert 1 == done.returncode
    assert "no c7; there are: c100, c500, c1000, half, sdk1, sdk100" in done.stderr
