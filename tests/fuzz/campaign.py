"""Runs inputs in rounds and keeps the figures. A round is made from its seed, target and number alone, so it replays.

Within a round what went another way than anything before is kept and changed further: another outcome, or a line of
ours that no input had reached. No claims here.
"""

import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Final

from tests.fuzz.cases import Case, Target, size
from tests.fuzz.mutations import mutated_case
from tests.fuzz.oracle import Finding, Oracle

ROUND: Final = 5_000
_KEPT: Final = 400  # inputs worth changing, in one round
_LARGEST_KEPT: Final = 65_536  # bytes; what grows from a large one is larger still


@dataclass(slots=True)
class Tally:
    """What the inputs of one target came to. `memory` and `steps` are the worst shares of their bounds."""

    target: str
    inputs: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    memory: float = 0.0
    steps: float = 0.0
    largest: int = 0
    lasted_s: float = 0.0
    findings: dict[tuple[str, str], tuple[int, Finding]] = field(default_factory=dict)

    @property
    def per_s(self) -> float:
        """Inputs a second, looks at memory and steps included."""
        return self.inputs / self.lasted_s if self.lasted_s else 0.0


class Campaign:
    """The inputs of one target under one seed."""

    def __init__(self, target: Target, *, seed: int) -> None:
        self._target = target
        self._seed = seed
        self._oracle = Oracle(target)
        self.tally = Tally(target.name)

    def run(self, inputs: int) -> Tally:
        """That many inputs, in rounds from the first on."""
        for number in range(-(-inputs // ROUND)):
            self.round(number, inputs=min(ROUND, inputs - number * ROUND))
        return self.tally

    def round(self, number: int, *, inputs: int = ROUND) -> Tally:
        """The round of this number."""
        began_s = time.perf_counter()
        rng = Random(f"{self._seed}/{self._target.name}/{number}")
        corpus = list(self._target.seeds())
        self._oracle.forget()
        shapes: set[str] = set()
        for index in range(inputs):
            case = self._next(rng, corpus)
            judged = self._oracle.judge(case, number=index)
            tally = self.tally
            tally.inputs += 1
            tally.memory = max(tally.memory, judged.memory)
            tally.steps = max(tally.steps, judged.steps)
            tally.largest = max(tally.largest, size(case))
            for finding in judged.findings:
                tally.findings.setdefault((finding.kind, finding.place), (number, finding))
            if judged.seen is None:
                continue
            tally.outcomes[judged.seen.name] += 1
            is_news = judged.is_new or judged.seen.shape not in shapes
            if is_news and size(case) <= _LARGEST_KEPT:
                shapes.add(judged.seen.shape)
                _keep(corpus, case, rng=rng)
        self.tally.lasted_s += time.perf_counter() - began_s
        return self.tally

    def judge(self, case: Case) -> tuple[Finding, ...]:
        """What is wrong with one input."""
        return self._oracle.judge(case, number=0).findings

    def _next(self, rng: Random, corpus: list[Case]) -> Case:
        chance = rng.randrange(10)
        if chance < 5:
            return self._target.wild(rng)
        case = self._target.wild(rng) if chance == 5 else rng.choice(corpus)
        return mutated_case(case, rng, other=rng.choice(corpus))


def _keep(corpus: list[Case], case: Case, *, rng: Random) -> None:
    if len(corpus) < _KEPT:
        corpus.append(case)
    else:
        corpus[rng.randrange(_KEPT)] = case
