"""Which function applies which move, and how many outbox numbers a batch may use. One literal table."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from db_client import (
    admit,
    finders,
    lanes,
    letters,
    opening,
    parking,
    progress,
    takeover,
    telling,
)
from db_client.ground import Ground
from db_client.moves import (
    Admit,
    Answer,
    Conclude,
    Gather,
    GoOn,
    Hold,
    Mirror,
    Move,
    Open,
    Orphaned,
    Outrun,
    Park,
    Rehome,
    Walked,
)
from db_client.outboxing import flush_outbox
from handlers.ports import OnePayment


@dataclass(frozen=True, slots=True)
class Limits:
    """What moves need to know of the settings.

    How long an intent may be under way, where a repeat is answered, how long a request waits for its payment to be
    known, and whether a second payment of an order is refused.
    """

    deadline_s: float
    status_topic: str
    orphan_wait_s: float = 600.0
    one_payment: OnePayment = OnePayment.OFF


def _admit(ground: Ground, moves: Sequence[Admit], *, limits: Limits) -> Sequence[Any]:
    given = admit.Terms(limits.deadline_s, limits.status_topic, limits.orphan_wait_s)
    return [admit.admit(ground, it, terms=given) for it in moves]


_Apply = Callable[[Ground, Sequence[Any], Limits], Sequence[Any]]
_APPLY: Final[Mapping[type[Any], _Apply]] = {
    Rehome: lambda ground, moves, _: [takeover.rehome(ground, it) for it in moves],
    Admit: lambda ground, moves, limits: _admit(ground, moves, limits=limits),
    Open: lambda ground, moves, limits: opening.open_intents(
        ground, moves, one_payment=limits.one_payment
    ),
    Answer: lambda ground, moves, limits: progress.answer(
        ground, moves, one_payment=limits.one_payment, deadline_s=limits.deadline_s
    ),
    Outrun: lambda ground, moves, _: progress.outrun(ground, moves),
    Park: lambda ground, moves, limits: parking.park(
        ground, moves, status_topic=limits.status_topic
    ),
    Conclude: lambda ground, moves, limits: telling.conclude(
        ground, moves, status_topic=limits.status_topic
    ),
    GoOn: lambda ground, moves, _: [lanes.go_on(ground) for _ in moves],
    Orphaned: lambda ground, moves, _: [letters.orphaned(ground, it) for it in moves],
    Hold: lambda ground, moves, _: [finders.hold(ground, it) for it in moves],
    Gather: lambda ground, moves, _: [finders.gather(ground, it) for it in moves],
    Walked: lambda ground, moves, _: [finders.walked(ground, it) for it in moves],
    Mirror: lambda ground, moves, _: telling.mirror(ground, moves),
}


def apply_all(ground: Ground, moves: Sequence[Move], *, limits: Limits) -> list[Any]:
    """Apply `moves` in this db_txn, kind by kind; their results in the order of the moves."""
    results: dict[int, Any] = {}
    for kind, apply in _APPLY.items():
        mine = [(place, move) for place, move in enumerate(moves) if isinstance(move, kind)]
        if mine:
            answers = apply(ground, [move for _, move in mine], limits)
            results.update(zip((place for place, _ in mine), answers, strict=True))
    flush_outbox(ground)
    return [results[place] for place in range(len(moves))]


def numbers(moves: Sequence[Move]) -> int:
    """How many outbox numbers `moves` may use at most. Numbers may have gaps, never inversions."""
    return sum(_numbers(move) for move in moves)


def _numbers(move: Move) -> int:
    if isinstance(move, Admit):
        return len(move.admissions) + len(move.dead_letters)
    if isinstance(move, Conclude):
        return len(move.messages) + 1  # one more answers the verifications in line
    return 1 if isinstance(move, Park | Orphaned) else 0
