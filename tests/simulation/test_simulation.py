"""Claims about the simulation: sound workers keep every promise, each planted bug is caught, a seed is one run.

The long runs are `make simulate SEEDS=`; here is a slice of them.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

import pytest

from handlers import charge, passage, plans
from tests.simulation import memory_journal_takeover
from tests.simulation.memory_journal_ground import MemoryGround
from tests.simulation.planted import BUGS
from tests.simulation.sim_series import Series, play
from tests.simulation.sim_story import digest, replay_of, told
from tests.simulation.sim_ways import SOUND

_ROOT: Final = Path(__file__).parents[2]
_SOUND: Final = 400
_IN_A_SERIES: Final = 50
_MOST: Final = 20_000
_SAME: Final = 12
# Where the search for each bug begins: a few seeds before the one that was seen to catch it.
_FROM: Final = MappingProxyType(
    {
        "send before open": 0,
        "offsets before admit": 0,
        "unknown treated as failed": 10,
        "a second send of a charge": 0,
        "lease not checked at the gate": 5,
        "token not raised at take-over": 0,
        "watermark ignored at take-over": 40,
        "outbox numbers not in commit order": 0,
        "refund sum without the open ones": 45,
        "janitor that takes live operations": 0,
        "duplicate reply taken as decline": 0,
        "missing dedup on admit": 0,
        "absence believed after one scan": 0,
        "answer thrown away because the lease was lost": 0,
        "suspect rule left out after a restore": 15,
        "two payments claiming one order": 0,
        "told before it is recorded": 0,
        "told past another session's news": 10,
        "sent before Kafka has heard of it": 4200,
        "judged before the journal was put back": 5570,
        "sent before all suspects were asked for": 45100,
    }
)


@pytest.mark.parametrize("first", range(0, _SOUND, _IN_A_SERIES))
def test_sound_workers_keep_every_promise(first: int) -> None:
    """Under any mix of faults the auditor finds nothing, and each run asks for twenty commands or more."""
    tally = play(Series(first, _IN_A_SERIES))
    failed = min(tally.failed, default=None)
    assert failed is None, told(failed)[1]
    assert tally.commands >= 20 * tally.runs
    assert tally.sends > tally.runs
    assert tally.blows


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_caught(bug: str) -> None:
    """Within 20,000 seeds, by a run in which sound workers do nothing wrong."""
    first = _FROM[bug]
    for at in range(first, first + _MOST, _IN_A_SERIES):
        failed = play(Series(at, _IN_A_SERIES, bug)).failed
        if failed:
            break
    assert failed, f"{bug}: not caught within {_MOST} seeds from {first} on"
    assert not play(Series(min(failed), 1)).failed


def _absent() -> object:
    """What the passage takes for proof, as it stands in its module now."""
    return vars(passage)["absent"]


def test_what_is_planted_is_taken_out_again() -> None:
    """After a run with a bug everything is as it was."""
    parts = (_absent(), MemoryGround.mine, memory_journal_takeover.take)
    for bug in BUGS:
        play(Series(0, 1, bug))
    assert parts == (_absent(), MemoryGround.mine, memory_journal_takeover.take)
    assert charge in plans._VERBS.values()


def test_the_same_seed_is_the_same_run() -> None:
    """In any process, whatever ran there before and however it hashes: story and books are the same, byte for byte."""
    code = f"from tests.simulation.sim_story import digest\nfor it in range({_SAME}): print(digest(it))"
    here = [digest(it) for it in reversed(range(_SAME))][::-1]
    assert here == _in_a_process(["-c", code], hashes=1).split()
    assert here == _in_a_process(["-c", code], hashes=4711).split()


def test_a_failing_seed_prints_its_story_and_how_to_replay_it() -> None:
    """The command at the end of the story tells the same story again, and exits with 1."""
    bug = "send before open"
    args = ["-m", "tests.simulation", "--seeds", "100", "--jobs", "1", "--bug", bug]
    printed = _in_a_process(args, hashes=3, code=1)
    _, story = told(0, BUGS[bug], bug=bug)
    assert story in printed
    for word in ("what the auditor found: ", "P3 ", "sent operation_id", "told payment_status"):
        assert word in story
    assert story.endswith(f"again: {replay_of(0, bug)}")
    again = ["-m", "tests.simulation", "--replay", "0", "--bug", bug]
    assert f"{story}\n" == _in_a_process(again, hashes=5, code=1)


def test_a_sound_run_is_told_too() -> None:
    """A replay of what kept its promises says so."""
    outcome, story = told(0, SOUND)
    assert () == outcome.violations
    assert "at rest" in story
    assert "what the auditor found: 0" in story


def _in_a_process(args: Sequence[str], *, hashes: int, code: int = 0) -> str:
    """What another process prints, which hashes in its own way."""
    done = subprocess.run(
        [sys.executable, *args],
        cwd=_ROOT,
        env={**os.environ, "PYTHONHASHSEED": str(hashes)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert code == done.returncode, done.stderr
    return done.stdout
