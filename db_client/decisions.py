"""What an operator decided about dead letters: one row for each letter, written once and never changed.

The letters themselves lie in Kafka. A decision is written after the replayed record was acknowledged: a crash between
the two leaves no row, and a second replay counts once by the ids of its command.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import Engine, Text, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert

from db_client.tables import dead_letter_decision as decision

_CHUNK: Final = 5000


class What(StrEnum):
    """What was done with a letter. The closed list of the table's CHECK."""

    REPLAYED = "replayed"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Decision:
    """Who decided what about a letter, why and when (database time)."""

    letter_id: str
    what: What
    by: str
    why: str
    at: datetime


_OF_THESE: Final = select(decision).where(decision.c.letter_id == func.any(bindparam("ids")))
_WRITE: Final = (
    upsert(decision)
    .from_select(
        ["letter_id", "what", "by", "why"],
        select(
            func.unnest(bindparam("ids", type_=ARRAY(Text))),
            bindparam("what", type_=Text),
            bindparam("by", type_=Text),
            bindparam("why", type_=Text),
        ),
    )
    .on_conflict_do_nothing(index_elements=["letter_id"])
    .returning(decision.c.letter_id)
)


def decided(engine: Engine, letter_ids: Iterable[str]) -> dict[str, Decision]:
    """Letter id → what was decided about it; undecided ones are left out."""
    ids = list(letter_ids)
    found: dict[str, Decision] = {}
    with engine.connect() as connection:
        for start in range(0, len(ids), _CHUNK):
            for row in connection.execute(_OF_THESE, {"ids": ids[start : start + _CHUNK]}):
                found[row.letter_id] = Decision(
                    row.letter_id, What(row.what), row.by, why=row.why, at=row.at
                )
    return found


def decide(engine: Engine, letter_ids: Iterable[str], *, what: What, by: str, why: str) -> set[str]:
    """Write the decision, one commit for all; the ids of those that nobody had decided about before."""
    parameters = {"ids": sorted(set(letter_ids)), "what": what.value, "by": by, "why": why}
    with engine.begin() as connection:
        return {row.letter_id for row in connection.execute(_WRITE, parameters)}
