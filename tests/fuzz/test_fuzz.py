"""A slice of the campaign in every run of the tests, and proof that its oracle finds what it is there to find."""

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final

import pytest

from tests.fuzz import markers
from tests.fuzz.campaign import Campaign
from tests.fuzz.cases import Bounds, Case, Seen, insist, read, written
from tests.fuzz.mutations import OPERATORS, mutated_case
from tests.fuzz.oracle import Oracle
from tests.fuzz.targets import TARGETS, inputs_of

_INPUTS: Final = 3_000  # of all targets; `python -m tests.fuzz` sends a million
_FEWEST: Final = 60


@pytest.mark.parametrize("name", TARGETS)
def test_only_named_errors_come_of_wild_inputs(name: str, tmp_path: Path) -> None:
    """Nothing foreign is raised, no marker is told, no bound of memory or time is passed, and many ways are taken."""
    campaign = Campaign(TARGETS[name].make(tmp_path), seed=1)
    tally = campaign.run(max(_FEWEST, inputs_of(name, _INPUTS)))

    assert [] == [str(finding) for _, finding in tally.findings.values()]
    assert len(tally.outcomes) >= 3, tally.outcomes


class _Faulty:
    """A target that is good for its seeds, and does something else for a byte of zero."""

    name = "faulty"
    bounds = Bounds(memory_fixed=100_000, memory_each=10, steps_fixed=500, steps_each=10)

    def __init__(self, fault: Callable[[], str]) -> None:
        self._fault = fault

    def seeds(self) -> list[Case]:
        """Ones."""
        return [(b"\x01",)]

    def wild(self, rng: Random) -> Case:
        """One byte."""
        return (rng.randbytes(1),)

    def run(self, case: Case) -> Seen:
        """The fault, or nothing."""
        return Seen("value", "value", self._fault() if case[0] == b"\x00" else "")


def _foreign() -> str:
    raise KeyError("what nobody named")


def _broken() -> str:
    insist(holds=False, claim="a rule of the target's own")
    return ""


FAULTS: Final[dict[str, Callable[[], str]]] = {
    "KeyError": _foreign,
    "BrokenClaimError": _broken,
    "leak": lambda: f"no good: {markers.spellings(markers.CARDS[0])[4]}",
    "memory": lambda: str(len(bytes(3_000_000)))[:1],
    "time": lambda: str(sum(range(400_000)))[:1],
}


@pytest.mark.parametrize("kind", FAULTS)
def test_the_oracle_finds_the_fault(kind: str) -> None:
    """A foreign error, a broken rule, a card number that is told, memory and time without bound: each is a finding."""
    oracle = Oracle(_Faulty(FAULTS[kind]))

    assert kind in {it.kind for it in oracle.judge((b"\x00",), number=0).findings}
    assert () == oracle.judge((b"\x01",), number=0).findings


def test_the_oracle_counts_the_lines_of_ours(tmp_path: Path) -> None:
    """A record of a megabyte runs more lines than a bound for small ones allows, however fast the machine."""
    target = TARGETS["records"].make(tmp_path)
    target.bounds = Bounds(memory_fixed=10**9, memory_each=0, steps_fixed=100, steps_each=0)
    case = target.seeds()[0]

    assert ["steps"] == [it.kind for it in Oracle(target).judge(case, number=0).findings]


def test_a_seed_makes_the_same_inputs_again(tmp_path: Path) -> None:
    """A round alone comes to what it came to among others; so a finding's round replays it."""
    both = Campaign(TARGETS["answers"].make(tmp_path), seed=7)
    both.round(0, inputs=300)
    first = both.tally.outcomes.copy()
    both.round(1, inputs=300)
    alone = Campaign(TARGETS["answers"].make(tmp_path), seed=7)
    alone.round(1, inputs=300)

    assert both.tally.outcomes - first == alone.tally.outcomes


def test_an_input_replays_from_its_word() -> None:
    """What is written beside a finding is read back as the same case."""
    case = (b"", b"\x00\xff", b"a.b")
    assert case == read(written(case))


def test_every_operator_changes_something() -> None:
    """No operator on bytes is idle, and none makes an input grow beyond what is sent."""
    rng = Random(1)
    for operator in OPERATORS:
        data = bytes(range(200))
        assert any(operator(data, rng) != data for _ in range(20)), operator
    grown: Case = (b"x" * 1_000_000,)
    for _ in range(200):
        grown = mutated_case(grown, rng, other=grown)
    assert len(grown[0]) <= 1_200_000


@pytest.mark.parametrize("spelling", markers.SPELLED)
def test_a_marker_is_found_in_every_spelling(spelling: str) -> None:
    """The search that proves absence finds each spelling that is sent in, alone and in a sentence."""
    assert len(markers.leaks(spelling)) == 1
    assert len(markers.leaks(f"the card {spelling}, and 12 more")) == 1
