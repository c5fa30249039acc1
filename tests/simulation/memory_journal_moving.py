"""One db_txn of the journal in memory, and which function applies which move: one literal table.

A move that is new in `db_client/moving.py` needs a function of its own and a row here. A simulation may hand in a table
with a bug planted.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from db_client.group_commit import LostTimeError
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
from db_client.moving import Limits, numbers
from handlers.domain.errors import SessionOver
from tests.simulation.memory_journal_admission import admit
from tests.simulation.memory_journal_database import MemoryDatabase
from tests.simulation.memory_journal_finders import gather, hold, walked
from tests.simulation.memory_journal_ground import MemoryGround, RefusedError
from tests.simulation.memory_journal_lanes import go_on
from tests.simulation.memory_journal_opening import open_intent
from tests.simulation.memory_journal_outbox import mirror, orphaned
from tests.simulation.memory_journal_progress import answer, conclude, outrun, park
from tests.simulation.memory_journal_takeover import rehome

Apply = Callable[[MemoryGround, Any], Any]
APPLY: Final[Mapping[type[Any], Apply]] = MappingProxyType(
    {
        Rehome: rehome,
        Admit: admit,
        Open: open_intent,
        Answer: answer,
        Outrun: outrun,
        Park: park,
        Conclude: conclude,
        GoOn: lambda ground, _: go_on(ground),
        Orphaned: orphaned,
        Hold: hold,
        Gather: gather,
        Walked: walked,
        Mirror: mirror,
    }
)


@dataclass(slots=True, eq=False)
class Author:
    """Who writes, on which incarnation of the database, under which limits, with which functions."""

    session_id: str
    incarnation: str
    limits: Limits
    apply: Mapping[type[Any], Apply]


def commit(
    database: MemoryDatabase, move: Move, *, by: Author, after: int, refused: str = ""
) -> tuple[Any, MemoryGround]:
    """All of it or nothing. `after`: how many commits of this session there must be.

    Raises RefusedError (with `refused`, where the dice say so), SessionOver.
    """
    row = database.sessions.get(by.session_id)
    if row is None or row.commits != after:
        raise lost_time()
    if row.ended_at is not None:
        raise SessionOver(f"this session was ended: {row.ended_why}")
    now = database.begin()
    if row.alive_until is None or row.alive_until <= now:
        raise SessionOver("the lease ran out")
    if refused:
        raise RefusedError(refused)
    database.touch(row)
    ground = MemoryGround(
        database,
        by.session_id,
        session=row,
        limits=by.limits,
        incarnation=by.incarnation,
        now=now,
        next_number=row.next_number,
    )
    result = by.apply[type(move)](ground, move)
    row.commits += 1
    row.next_number += numbers((move,))
    row.incarnation = by.incarnation
    return result, ground


def lost_time() -> LostTimeError:
    """The database does not know commits that it acknowledged."""
    return LostTimeError("the database lost commits of this session: it was put back in time")
