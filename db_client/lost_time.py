"""From where to where records of lost time are to be read again: what intake finds out when it places a partition.

It stands in the journal, or it would be forgotten with the process that found it out: what was not done in that time is
not sent before all of it is read (`parking.py`), and nobody tells news of it (`observing.py`, `orphans.py`).
"""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import BigInteger, Integer, Text, bindparam, case, func, select, update
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.dialects.postgresql import insert as upsert

from db_client.ground import Ground
from db_client.moves import LostTime
from db_client.recordset import given, rows
from db_client.tables import position

_begun = given(
    topic=Text(),
    topic_id=Text(),
    partition=Integer(),
    suspect_below=BigInteger(),
    since=TIMESTAMP(timezone=True),
)
_new = upsert(position).from_select(
    ["topic", "topic_id", "partition", "next_offset", "updated_at", "suspect_below"],
    select(
        _begun.c.topic,
        _begun.c.topic_id,
        _begun.c.partition,
        bindparam("nothing", 0, type_=BigInteger),
        _begun.c.since,
        _begun.c.suspect_below,
    ),
)
_BEGINS: Final = _new.on_conflict_do_update(
    index_elements=["topic_id", "partition"],
    set_={"suspect_below": func.greatest(position.c.suspect_below, _new.excluded.suspect_below)},
)
_ended = given(topic_id=Text(), partition=Integer(), end=BigInteger())
_ENDS: Final = (
    update(position)
    .where(position.c.topic_id == _ended.c.topic_id, position.c.partition == _ended.c.partition)
    .values(
        suspect_below=0,
        next_offset=func.greatest(position.c.next_offset, _ended.c.end),
        updated_at=case(
            (_ended.c.end > position.c.next_offset, func.clock_timestamp()),
            else_=position.c.updated_at,
        ),
    )
)


def note_lost_time(ground: Ground, moves: Sequence[LostTime]) -> list[None]:
    """Write it down, one after the other."""
    for move in moves:
        _write(ground, move)
    return [None for _ in moves]


def _write(ground: Ground, move: LostTime) -> None:
    begins = [
        {
            "topic": topic,
            "topic_id": topic_id,
            "partition": partition,
            "suspect_below": below,
            "since": since.isoformat(),
        }
        for (topic, topic_id, partition), (below, since) in sorted(move.begins.items())
    ]
    ends = [
        {"topic_id": topic_id, "partition": partition, "end": end}
        for (_, topic_id, partition), end in sorted(move.ends.items())
    ]
    if begins:
        ground.connection.execute(_BEGINS, rows(begins))
    if ends:
        ground.connection.execute(_ENDS, rows(ends))
