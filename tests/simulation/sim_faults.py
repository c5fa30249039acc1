"""What goes wrong in a run: a mix drawn from the seed (a swarm: some seeds know only some faults), and a plan of blows.

Blows fall from outside, at moments of simulated time or at a turn of a process; the small mishaps of single calls are
drawn by the parts themselves from the mix's odds. No claims live here.
"""

from dataclasses import dataclass, field, replace
from random import Random
from typing import Final

from db_client.moves import Move
from tests.simulation.memory_gateway_faults import Odds
from tests.simulation.memory_gateway_ledger import GatewayRules
from tests.simulation.memory_journal_faults import SMOOTH, Course, Loss
from tests.simulation.memory_kafka_broker import Fault
from tests.simulation.memory_records import RecordOdds
from tests.simulation.sim_terms import ABSENCE_S, DEADLINE_S, LEASE_S

_HALF: Final = 0.5
STRIKES_UNTIL_S: Final = 30.0
_MOST_BLOWS: Final = 5
_SETTLES: Final = 0.8
KINDS: Final = (
    "kill",
    "kill at a turn",
    "kill at a turn",
    "kill at a turn",
    "freeze",
    "freeze long",
    "freeze at a turn",
    "leave",
    "journal away",
    "journal cut off",
    "journal put back",
    "broker away",
    "gateway away",
    "db-service away",
    "merchant",
)


@dataclass(frozen=True, slots=True)
class Blow:
    """A blow from outside: what, when, for how long; `chance` decides what is left open."""

    at_s: float
    what: str
    for_s: float
    chance: float


@dataclass(frozen=True, slots=True)
class Mix:
    """One run's faults. `loss`: share of commits whose connection breaks; `kafka`: share of calls that go unheard."""

    odds: Odds
    record_odds: RecordOdds
    rules: GatewayRules
    loss: float
    kafka: float
    commit_s: float
    skew_s: float
    workers: int
    blows: tuple[Blow, ...] = field(default_factory=tuple)

    @property
    def is_rough(self) -> bool:
        """Whether commits take time, or may get lost."""
        return bool(self.loss or self.commit_s)


def mix(random: Random) -> Mix:
    """A swarm's member: each kind of fault is in it or not, and then more or less of it."""

    def some(most: float) -> float:
        return most * random.random() if random.random() < 0.5 else 0.0

    def blow(what: str) -> Blow:
        at_s, for_s = random.uniform(1.0, STRIKES_UNTIL_S), random.uniform(0.2, 1.6) * LEASE_S
        return Blow(at_s, what, for_s, random.random())

    kinds = [it for it in KINDS if random.random() < _HALF]
    blows = (
        [blow(random.choice(kinds)) for _ in range(random.randint(0, _MOST_BLOWS))] if kinds else []
    )
    if random.random() < _SETTLES:
        blows.append(replace(blow("settle"), for_s=0.0))
    blows.sort(key=lambda it: it.at_s)
    return Mix(
        odds=Odds(
            unsent=some(0.1),
            lost_before=some(0.15),
            lost_after=some(0.15),
            late=some(0.1),
            hidden=some(0.1),
            twice=some(0.05),
            slow=some(0.1),
            declined=some(0.1),
            soft=some(0.05),
            held=some(0.08),
            other_amount=some(0.03),
            bank=some(0.1),
            reads_fail=some(0.15),
            reads_gap=some(0.15),
            batches_fail=some(0.2),
            slow_s=(1.0, 2.0 * DEADLINE_S),
            late_s=(DEADLINE_S, 0.6 * ABSENCE_S),
            listed_s=(0.0, 0.5 * ABSENCE_S if random.random() < 0.5 else 1.0),
            told_s=(0.0, 2.0),
            batch_s=(5.0, 60.0),
        ),
        record_odds=RecordOdds(
            lost_before=some(0.08),
            lost_after=some(0.08),
            late=some(0.04),
            late_s=(3.0, 60.0),
        ),
        rules=GatewayRules(
            checks_amounts=random.random() < 0.5,
            enhanced=random.random() < 0.5,
        ),
        loss=some(0.05),
        kafka=some(0.03),
        commit_s=random.choice((0.0, 0.0, 0.002, 0.05)),
        skew_s=random.choice((0.0, 0.0, 3.0, -3.0)),
        workers=random.choice((1, 2, 2, 2, 3)),
        blows=tuple(blows),
    )


@dataclass(slots=True)
class JournalDice:
    """The journal's small mishaps, while faults last."""

    random: Random
    mix: Mix
    over: bool = False

    def course(self, session_id: str, move: Move) -> Course:
        """How this commit goes."""
        del session_id, move
        if self.over or not self.mix.is_rough:
            return SMOOTH
        drawn = self.random.random()
        loss = None
        if drawn < self.mix.loss:
            loss = Loss.BEFORE if self.random.random() < _HALF else Loss.AFTER
        elif not self.mix.commit_s:
            return SMOOTH
        took_s = self.mix.commit_s * self.random.random()
        before_s = took_s if self.random.random() < _HALF else 0.0
        return Course(before_s, took_s - before_s, loss)


@dataclass(slots=True)
class KafkaDice:
    """The broker's small mishaps, while faults last."""

    random: Random
    mix: Mix
    over: bool = False

    def __call__(self, call: str, client: str) -> Fault | None:
        """What goes wrong with this call."""
        del call, client
        if self.over or not self.mix.kafka or self.random.random() >= self.mix.kafka:
            return None
        return Fault.UNHEARD if self.random.random() < _HALF else Fault.UNANSWERED
