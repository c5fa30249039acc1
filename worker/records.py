"""From the client library's message to a record with its place in the journal, and what became of it for the fuse."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from confluent_kafka import Message

from db_client.moves import Admission, DeadLetter, Fate, Source
from worker.dead_letters import Reason, Record, reason_of
from worker.fuse import Weighed

Read = tuple[Record, Admission | DeadLetter]
_FLAWS: Final = {Fate.CONFLICT: Reason.CONFLICT, Fate.REFUSED: Reason.REFUSED}


@dataclass(slots=True)
class Assigned:
    """One partition of ours: its topic's id, and the offset below which an unknown record is suspect.

    That was found out under this `incarnation` of the database, and holds no longer (`placing.py`).
    Such a record was first read after the journal wrote the position that it has now, so it was not sent before
    `suspect_since`; a journal without a position knows only how old a command may be.
    """

    topic_id: str
    suspect_below: int
    suspect_since: datetime
    incarnation: str


def to_record(message: Message, part: Assigned) -> Record:
    """The record that `message` is, of the partition `part`."""
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    assert topic is not None
    assert partition is not None
    assert offset is not None
    key, value = message.key(), message.value()
    return Record(
        source=Source(topic, part.topic_id, partition, offset),
        key=key if isinstance(key, bytes) else b"",
        value=value if isinstance(value, bytes) else b"",
        headers=_headers(message),
        timestamp_ms=message.timestamp()[1],
        suspect_since=part.suspect_since if offset < part.suspect_below else None,
    )


def _headers(message: Message) -> dict[str, bytes]:
    """The first value of each name. Names that are no text make the client library fail: such a record has none."""
    try:
        pairs = message.headers() or []
    except (SystemError, UnicodeDecodeError):
        return {}
    headers: dict[str, bytes] = {}
    for pair in pairs:
        headers.setdefault(pair[0], pair[1] if isinstance(pair[1], bytes) else b"")
    return headers


def flaw_of(found: Admission | DeadLetter) -> Reason | None:
    """Why a record is a dead letter before it is admitted."""
    return None if isinstance(found, Admission) else reason_of(found)


def came_out_as(found: Admission | DeadLetter, fates: Iterator[Fate]) -> Reason | None:
    """Why it is a dead letter after the commit, which alone knows of conflicts; `fates` are the admissions'."""
    return reason_of(found) if isinstance(found, DeadLetter) else _FLAWS.get(next(fates))


def weighed(record: Record, flaw: Reason | None) -> Weighed:
    """The record on the fuse's scale."""
    source = record.source
    return Weighed(source.topic, flaw, at=f"partition {source.partition} offset {source.offset}")
