"""Which function applies which move, and how many outbox numbers a batch may use. One literal table."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from db_client import admit, progress, takeover, telling
from db_client.ground import Ground
from db_client.moves import (
    Admit,
    Answer,
    Conclude,
    Mirror,
    Move,
    Open,
    Outrun,
    Park,
    Rehome,
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What admissions need to know: how long an intent may be under way, where a repeat is answered."""

    deadline_s: float
    status_topic: str


def _admit(ground: Ground, moves: Sequence[Admit], *, limits: Limits) -> Sequence[Any]:
    return [
        admit.admit(ground, it, deadline_s=limits.deadline_s, status_topic=limits.status_topic)
        for it in moves
    ]


_Apply = Callable[[Ground, Sequence[Any], Limits], Sequence[Any]]
_APPLY: Final[Mapping[type[Any], _Apply]] = {
    Rehome: lambda ground, moves, _: [takeover.rehome(ground, it) for it in moves],
    Admit: lambda ground, moves, limits: _admit(ground, moves, limits=limits),
    Open: lambda ground, moves, _: progress.open_intents(ground, moves),
    Answer: lambda ground, moves, _: progress.answer(ground, moves),
    Outrun: lambda ground, moves, _: progress.outrun(ground, moves),
    Park: lambda ground, moves, _: progress.park(ground, moves),
    Conclude: lambda ground, moves, _: telling.conclude(ground, moves),
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
    telling.flush_outbox(ground)
    return [results[place] for place in range(len(moves))]


def numbers(moves: Sequence[Move]) -> int:
    """How many outbox numbers `moves` may use at most. Numbers may have gaps, never inversions."""
    return sum(_numbers(move) for move in moves)


def _numbers(move: Move) -> int:
    if isinstance(move, Admit):
        return len(move.admissions) + len(move.dead_letters)
    return len(move.messages) if isinstance(move, Conclude) else 0
