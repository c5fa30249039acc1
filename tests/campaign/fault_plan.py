"""The faults of a campaign, drawn from its seed: what happens to whom, when, and for how long. Pure.

Legend of `SORTS`: to whom it may happen; how often it is dealt in one deck; how long it lasts, from the shortest to the
longest, in leases, in seconds, or in the outages of the terms (0 is the shortest of them, 1 the longest). Faults of one
victim never overlap, those of two may.
"""

import random
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tests.campaign.terms import Terms

WORKERS: Final = ("w1", "w2", "w3")
BROKER, POSTGRES, DB_SERVICE, GATEWAY, NIGHT = (
    "broker",
    "postgres",
    "db-service",
    "gateway",
    "the night",
)
_OPENS: Final = 0.04  # of the campaign's time: before that there is no load to speak of
_CLOSES: Final = 0.93


class FaultKind(StrEnum):
    """What happens."""

    WORKER_KILLED = "worker killed"
    WORKER_FROZEN_BRIEFLY = "worker frozen for less than its lease"
    WORKER_FROZEN = "worker frozen for longer than its lease"
    WORKER_LEAVES = "worker leaves in order and comes back"
    BROKER_KILLED = "broker killed"
    BROKER_FROZEN = "broker frozen"
    POSTGRES_KILLED = "PostgreSQL killed (the journal's and the db-service's)"
    POSTGRES_FROZEN = "PostgreSQL frozen"
    DB_SERVICE_KILLED = "db-service killed"
    DB_SERVICE_FROZEN = "db-service frozen"
    GATEWAY_SLOW = "gateway slow"
    GATEWAY_REFUSES = "gateway refuses connections"
    GATEWAY_SILENT = "gateway silent"
    GATEWAY_FAILS = "gateway answers 5xx, charged or not"
    BATCH_SETTLES = "a nightly batch"


class Span(StrEnum):
    """What a fault's time is measured in."""

    LEASE = "leases"
    OUTAGE = "the outages of these terms"
    SECOND = "seconds"


@dataclass(frozen=True, slots=True)
class Sort:
    """A row of the table."""

    victims: tuple[str, ...]
    weight: int
    span: Span
    shortest: float
    longest: float


_K = FaultKind
SORTS: Final[Mapping[FaultKind, Sort]] = {
    _K.WORKER_KILLED: Sort(WORKERS, 3, Span.LEASE, 0.05, 1.3),
    _K.WORKER_FROZEN_BRIEFLY: Sort(WORKERS, 2, Span.LEASE, 0.1, 0.8),
    _K.WORKER_FROZEN: Sort(WORKERS, 3, Span.LEASE, 1.3, 2.5),
    _K.WORKER_LEAVES: Sort(WORKERS, 2, Span.SECOND, 0.5, 5.0),
    _K.BROKER_KILLED: Sort((BROKER,), 1, Span.SECOND, 0.0, 3.0),
    _K.BROKER_FROZEN: Sort((BROKER,), 1, Span.LEASE, 0.2, 1.3),
    _K.POSTGRES_KILLED: Sort((POSTGRES,), 1, Span.LEASE, 0.0, 1.4),
    _K.POSTGRES_FROZEN: Sort((POSTGRES,), 1, Span.LEASE, 0.2, 1.4),
    _K.DB_SERVICE_KILLED: Sort((DB_SERVICE,), 1, Span.SECOND, 0.0, 6.0),
    _K.DB_SERVICE_FROZEN: Sort((DB_SERVICE,), 1, Span.SECOND, 1.0, 8.0),
    _K.GATEWAY_SLOW: Sort((GATEWAY,), 1, Span.LEASE, 0.8, 2.5),
    _K.GATEWAY_REFUSES: Sort((GATEWAY,), 0, Span.OUTAGE, 0.0, 1.0),
    _K.GATEWAY_SILENT: Sort((GATEWAY,), 0, Span.OUTAGE, 0.0, 1.0),
    _K.GATEWAY_FAILS: Sort((GATEWAY,), 0, Span.OUTAGE, 0.0, 1.0),
    _K.BATCH_SETTLES: Sort((NIGHT,), 1, Span.SECOND, 0.0, 0.0),
}
OUTAGES: Final = frozenset(kind for kind, sort in SORTS.items() if sort.span is Span.OUTAGE)


@dataclass(frozen=True, slots=True)
class Fault:
    """So long after the opening, `victim` meets `kind` for `lasts_s`."""

    at_s: float
    kind: FaultKind
    victim: str
    lasts_s: float


def drawn(terms: Terms, *, kinds: Collection[FaultKind] = tuple(FaultKind)) -> tuple[Fault, ...]:
    """The faults in their order, spread evenly: each kind once before any comes again; each outage once, one twice."""
    dice = random.Random(f"faults:{terms.seed}")
    outages = [it for it in FaultKind if it in OUTAGES and it in kinds]
    if len(outages) > 1:
        outages.append(dice.choice(outages))
    others = [it for it in FaultKind if it in kinds and it not in OUTAGES]
    dealt = _dealt(others, dice)
    chosen = [next(dealt) for _ in range(max(0, terms.faults - len(outages)))] if others else []
    dice.shuffle(chosen)
    for number, kind in enumerate(dice.sample(outages, len(outages))):
        # Between the others at equal distances: minutes without a gateway must not come in a row.
        chosen.insert(round((number + 0.5) * (len(chosen) + 1) / len(outages)), kind)
    first_s, last_s = _OPENS * terms.lasts_s, _CLOSES * terms.lasts_s
    step_s = (last_s - first_s) / max(1, len(chosen))
    return tuple(
        _fault(kind, first_s + (place + dice.random()) * step_s, terms=terms, dice=dice)
        for place, kind in enumerate(chosen)
    )


def _dealt(kinds: Collection[FaultKind], dice: random.Random) -> Iterator[FaultKind]:
    """From decks that hold each kind as often as it weighs; the first one holds each once."""
    weight = 1
    while True:
        deck = [kind for kind in kinds for _ in range(min(weight, SORTS[kind].weight))]
        dice.shuffle(deck)
        yield from deck
        weight = max(sort.weight for sort in SORTS.values())


def _fault(kind: FaultKind, at_s: float, *, terms: Terms, dice: random.Random) -> Fault:
    sort = SORTS[kind]
    part = dice.uniform(sort.shortest, sort.longest)
    match sort.span:
        case Span.LEASE:
            lasts_s = part * terms.lease_s
        case Span.OUTAGE:
            shortest_s, longest_s = terms.outage_s
            lasts_s = shortest_s + part * (longest_s - shortest_s)
        case Span.SECOND:
            lasts_s = part
    return Fault(round(at_s, 2), kind, dice.choice(sort.victims), round(lasts_s, 2))
