"""The figures of a campaign: as lines for a person, as one object for a script. Nothing is measured here."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tests.campaign.chronicle import Chronicle
from tests.campaign.claims import Breach, Difference
from tests.campaign.hearing import Decision
from tests.campaign.terms import Terms

DECIDED_WITHIN_S: Final = 600.0
_CLAIMED_SHARE: Final = 0.99


@dataclass(frozen=True, slots=True)
class Unknowns:
    """How many were told and decided; of those that no person had to decide, how many in ten minutes, how long (s)."""

    told: int
    decided: int
    ruled: int
    in_time: int
    p50_s: float
    p99_s: float
    longest_s: float

    @property
    def holds(self) -> bool:
        """Whether so many were decided in time as is claimed."""
        return self.in_time >= _CLAIMED_SHARE * (self.told - self.ruled)


@dataclass(frozen=True, slots=True)
class Report:
    """What a campaign came to. `load_s` and `rest_s`: how long the load took, and then everything until rest."""

    terms: Terms
    commands: Counter[str]
    faults: Counter[str]
    left_out: int
    take_overs: int
    sessions: int
    unknowns: Unknowns
    states: Counter[str]
    requests: Counter[str]
    dead_letters: Counter[str]
    charged: int
    events: int
    outages_s: float
    load_s: float
    rest_s: float
    differences: list[Difference] = field(default_factory=list)
    stories: dict[str, list[str]] = field(default_factory=dict)

    @property
    def equal(self) -> bool:
        """True where nothing differs."""
        return not self.differences

    @property
    def again(self) -> str:
        """The command that runs it once more."""
        terms = self.terms
        minutes = f"{terms.lasts_s / 60:g}"
        return f"make campaign SEED={terms.seed} PAYMENTS={terms.payments} MINUTES={minutes}"

    def breaches(self) -> dict[str, int]:
        """What must be none, and how many there were."""
        found = Counter(it.breach for it in self.differences)
        return {breach.value: found[breach] for breach in Breach}

    def as_object(self) -> dict[str, Any]:
        """For --json."""
        terms, unknowns = self.terms, self.unknowns
        return {
            "equal": self.equal,
            "seed": terms.seed,
            "again": self.again,
            "payments": terms.payments,
            "commands": dict(self.commands),
            "faults": dict(self.faults),
            "faults_left_out": self.left_out,
            "take_overs": self.take_overs,
            "sessions": self.sessions,
            "unknowns": {name: getattr(unknowns, name) for name in Unknowns.__dataclass_fields__},
            "list_lag_s": terms.lag_s,
            "absence_after_s": terms.absence_after_s,
            "states": dict(self.states),
            "requests": dict(self.requests),
            "dead_letters": dict(self.dead_letters),
            "charged": self.charged,
            "events": self.events,
            "outages_s": round(self.outages_s, 1),
            "load_s": round(self.load_s, 1),
            "rest_s": round(self.rest_s, 1),
            "breaches": self.breaches(),
            "differences": [str(it) for it in self.differences],
            "stories": self.stories,
        }

    def lines(self) -> Iterator[str]:
        """For a person: what differs with its stories first, then the figures."""
        for it in self.differences:
            yield f"DIFFERS: {it}"
        for story in self.stories.values():
            yield ""
            yield from story
        yield ""
        yield from self._figures()
        if self.equal:
            yield "The books are equal."
        else:
            yield f"The books DIFFER. Seed {self.terms.seed}; again: {self.again}"

    def _figures(self) -> Iterator[str]:
        terms, unknowns = self.terms, self.unknowns
        yield f"payments: {terms.payments}; commands: {counted(self.commands)}"
        late = f"; {self.left_out} left out, their time was over" if self.left_out else ""
        yield f"faults: {self.faults.total()} ({counted(self.faults)}){late}"
        yield (
            f"the gateway: {self.outages_s:.0f} s away in all, 5 % of the answers lost,"
            f" lists {terms.lag_s:g} s late, absence proven after {terms.absence_after_s:g} s at the earliest"
        )
        yield f"sessions: {self.sessions}; take-overs: {self.take_overs}"
        yield (
            f"unknowns: {unknowns.told} told, {unknowns.decided} decided, after the gateway answered again:"
            f" p50 {unknowns.p50_s:.1f} s, p99 {unknowns.p99_s:.1f} s, longest {unknowns.longest_s:.1f} s;"
            f" within {DECIDED_WITHIN_S / 60:g} min: {unknowns.in_time}; left to a person, who decided them"
            f" (refunds that no list shows): {unknowns.ruled}"
        )
        yield f"payments at the end: {counted(self.states)}"
        yield f"requests at the end: {counted(self.requests)}"
        yield f"charged: {self.charged}; events: {self.events}; dead letters: {counted(self.dead_letters)}"
        yield "; ".join(f"{what}: {count}" for what, count in self.breaches().items())
        yield f"duration: {self.load_s:.0f} s of load, {self.rest_s:.0f} s until all was at rest"


def unknowns_of(decisions: Iterable[Decision]) -> Unknowns:
    """The figures of all that was told as unknown."""
    found = list(decisions)
    ruled = sum(it.ruled for it in found)
    took = sorted(it.took_s for it in found if it.took_s is not None and not it.ruled)
    return Unknowns(
        told=len(found),
        decided=len(took) + ruled,
        ruled=ruled,
        in_time=sum(it <= DECIDED_WITHIN_S for it in took),
        p50_s=_percentile(took, 0.5),
        p99_s=_percentile(took, 0.99),
        longest_s=took[-1] if took else 0.0,
    )


def _percentile(ordered: Sequence[float], share: float) -> float:
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


def outages_s(chronicle: Chronicle) -> float:
    """How long the gateway was away in all."""
    return sum(ended - began for began, ended in chronicle.outages)


def counted(counts: Counter[str]) -> str:
    """`3 of this, 1 of that`, or `none`."""
    return ", ".join(f"{count} {what}" for what, count in sorted(counts.items())) or "none"
