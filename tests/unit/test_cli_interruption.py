"""Ctrl-C that is not lost: what swallows the exception does not swallow the wish."""

import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_PRESSED = """
import os, signal
from worker.commands.interruption import heed, listen
{before}
listen()
try:
    os.kill(os.getpid(), signal.SIGINT)
    signal.getsignal(signal.SIGINT)  # handlers run between two steps
except KeyboardInterrupt:
    print("swallowed")
heed()
print("goes on")
"""


@pytest.mark.parametrize(
    ("before", "says", "ends"),
    [
        ("", ["swallowed"], True),
        ("signal.signal(signal.SIGINT, signal.SIG_IGN)", ["goes on"], False),
    ],
    ids=["pressed", "ignored"],
)
def test_whoever_goes_round_hears_of_it(before: str, says: list[str], *, ends: bool) -> None:
    """An exception that went astray is raised again; a process that ignores the signal goes on."""
    done = subprocess.run(
        [sys.executable, "-c", _PRESSED.format(before=before)],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert says == done.stdout.split("\n")[:-1]
    assert ends == ("KeyboardInterrupt" in done.stderr)
    assert ends == (done.returncode != 0)
