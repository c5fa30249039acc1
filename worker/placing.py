"""Where each partition of ours is read from, and what in it is suspect: the journal's position beside Kafka's offsets.

A record below the committed offsets that the journal does not know is one that the journal forgot; so is one below what
`rebuild` wrote down, for Kafka's offsets may be lost as well. All of it is found out under one incarnation of the
database, and holds no longer: when it was started anew, it may have been put back in time, while this worker was frozen
and others, of whom it never hears, had read on and charged.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from handlers.domain.errors import Unavailable
from worker.doors import JournalDoor
from worker.offsets import Offsets
from worker.records import Assigned

_SETTLE_S: Final = 5.0


def places(
    partitions: Sequence[TopicPartition],
    consumer: Consumer,
    *,
    journal: JournalDoor,
    offsets: Offsets,
    oldest: datetime,
) -> list[tuple[TopicPartition, Assigned]]:
    """Each with the offset to start from; Kafka will hear of it, where it has not. Nothing is assigned here.

    No command that is heeded was issued before `oldest`. Raises Unavailable, KafkaException.
    """
    incarnation = journal.incarnation  # before anything is found out under it
    ids = journal.topic_ids(sorted({it.topic for it in partitions}))
    known = {topic_id: journal.positions(topic_id) for topic_id in ids.values()}
    hints = consumer.committed(list(partitions), timeout=_SETTLE_S) if partitions else []
    for hint in hints:
        if hint.error is not None:  # without it nobody could say what the journal forgot
            raise Unavailable("Kafka", hint.error.str())
    found = []
    for hint in hints:
        topic_id = ids[hint.topic]
        offsets.learn(topic_id, hint.partition, offset=max(hint.offset, 0))
        position = known[topic_id].get(hint.partition)
        part = Assigned(
            topic_id,
            suspect_below=max(hint.offset, position.suspect_below if position else 0),
            suspect_since=oldest if position is None else position.updated_at,
            incarnation=incarnation,
        )
        start = OFFSET_BEGINNING if position is None else position.next_offset
        found.append((TopicPartition(hint.topic, hint.partition, start), part))
        if position is not None:  # else its last owner may have died before it committed
            offsets.note(hint.topic, hint.partition, topic_id=topic_id, offset=start)
    return found
