"""The command lines of the test programs: what makes no sense is refused at once, and the help says what counts."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = ["simulation", "fuzz", "campaign", "crash"]


def run(program: str, *argv: str) -> "subprocess.CompletedProcess[str]":
    """`python -m tests.<program>` as somebody types it."""
    command = [sys.executable, "-m", f"tests.{program}", *argv]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("program", "argv", "why"),
    [
        ("simulation", ["--seeds", "0"], "argument --seeds: must be at least 1, is 0"),
        ("simulation", ["--jobs", "-2"], "argument --jobs: must be at least 1, is -2"),
        ("simulation", ["--seeds", "ten"], "argument --seeds: must be a whole number, is 'ten'"),
        ("fuzz", ["--inputs", "0"], "argument --inputs: must be at least 1, is 0"),
        ("fuzz", ["--round", "3"], "--input and --round need their --target"),
        ("fuzz", ["--target", "records", "--input", "nope"], "--input: there is no file nope"),
        ("campaign", ["--payments", "0"], "argument --payments: must be at least 1, is 0"),
        ("campaign", ["--minutes", "nan"], "argument --minutes: must be above 0"),
        ("crash", ["--at-once", "0"], "argument --at-once: must be at least 1, is 0"),
    ],
)
def test_what_makes_no_sense_is_wrong_usage(program: str, argv: list[str], why: str) -> None:
    """Regression: `--seeds 0` found nothing in no run and said so with exit code 0; `--jobs 0` ended in a traceback."""
    done = run(program, *argv)
    assert 2 == done.returncode
    assert done.stderr.rstrip().endswith(why)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_help_says_what_the_exit_codes_mean(program: str) -> None:
    """Whoever puts it into a script need not read its source."""
    assert "Exit codes: 0 " in run(program, "--help").stdout
