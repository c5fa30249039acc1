"""Our partitions: where each is read from, and what in it is suspect. The journal's position beside Kafka's offsets.

A record below the committed offsets that the journal does not know is one that the journal forgot; so is one below what
`rebuild` wrote down, for Kafka's offsets may be lost as well. All of it is found out under one incarnation of the
database, and holds no longer: when it was started anew, it may have been put back in time, while this worker was frozen
and others, of whom it never hears, had read on and charged.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from db_client.reading import Position
from handlers.domain.errors import Unavailable
from worker.doors import JournalDoor
from worker.offsets import Offsets
from worker.records import Assigned

_SETTLE_S: Final = 5.0
_CATCH_UP_S: Final = 5.0


@dataclass(slots=True)
class Places:
    """The partitions that are ours, and those that wait for their place. `monotonic` counts seconds.

    `max_age_s`: no command that is heeded is older.
    """

    journal: JournalDoor
    offsets: Offsets
    now: Callable[[], datetime]
    max_age_s: float
    monotonic: Callable[[], float] = time.monotonic
    of: dict[tuple[str, int], Assigned] = field(default_factory=dict)
    waiting: list[TopicPartition] = field(default_factory=list)
    _catch_up_at: float = 0.0

    def place(
        self, consumer: Consumer, partitions: Sequence[TopicPartition]
    ) -> list[TopicPartition]:
        """Each with the offset to start from; Kafka will hear of it, where it has not.

        They are ours from now on. Raises Unavailable or KafkaException before anything is.
        """
        incarnation = self.journal.incarnation  # before anything is found out under it
        ids = self.journal.topic_ids(sorted({it.topic for it in partitions}))
        known = {topic_id: self.journal.positions(topic_id) for topic_id in ids.values()}
        hints = consumer.committed(list(partitions), timeout=_SETTLE_S) if partitions else []
        for hint in hints:
            if hint.error is not None:  # without it nobody could say what the journal forgot
                raise Unavailable("Kafka", hint.error.str())
        placed = []
        for hint in hints:
            topic_id, number = ids[hint.topic], hint.partition
            position = known[topic_id].get(number)
            part = self._judged(topic_id, position, hint=hint.offset, incarnation=incarnation)
            self.of[hint.topic, number] = part
            self.offsets.learn(topic_id, number, offset=max(hint.offset, 0))
            start = OFFSET_BEGINNING if position is None else position.next_offset
            if position is not None:  # else its last owner may have died before it committed
                self.offsets.note(hint.topic, number, topic_id=topic_id, offset=start)
            placed.append(TopicPartition(hint.topic, number, start))
        return placed

    def _judged(
        self, topic_id: str, position: Position | None, *, hint: int, incarnation: str
    ) -> Assigned:
        if position is None:
            oldest = self.now() - timedelta(seconds=self.max_age_s)
            return Assigned(topic_id, hint, oldest, incarnation=incarnation)
        below = max(hint, position.suspect_below)
        return Assigned(topic_id, below, position.updated_at, incarnation=incarnation)

    def forget(self, partitions: Sequence[TopicPartition]) -> None:
        """They are another member's now."""
        gone = {(it.topic, it.partition) for it in partitions}
        self.offsets.forget(sorted(gone))
        for part in gone:
            self.of.pop(part, None)
        self.waiting = [it for it in self.waiting if (it.topic, it.partition) not in gone]

    @property
    def outlived(self) -> bool:
        """Whether partitions were placed under another incarnation of the database."""
        now = self.journal.incarnation
        return any(part.incarnation != now for part in self.of.values())

    @property
    def incarnations(self) -> frozenset[str]:
        """Under which they were placed."""
        return frozenset(part.incarnation for part in self.of.values())

    def give_up(self) -> None:
        """All wait to be placed anew, and are read again from the journal's positions."""
        self.waiting.extend(TopicPartition(*part) for part in self.of)
        self.of.clear()

    def catch_up(self) -> None:
        """Kafka will hear, now and then, of what others have admitted from partitions of ours, whether we read or not.

        Who lost a partition in the middle of an admission waits for that: what it admitted may not be sent before.
        """
        if self.monotonic() < self._catch_up_at:
            return
        self._catch_up_at = self.monotonic() + _CATCH_UP_S
        known: dict[str, Mapping[int, Position]] = {}
        try:
            for part in self.of.values():
                if part.topic_id not in known:
                    known[part.topic_id] = self.journal.positions(part.topic_id)
        except Unavailable:
            return
        for (topic, number), part in self.of.items():
            position = known[part.topic_id].get(number)
            if position is not None:
                offset = position.next_offset
                self.offsets.note(topic, number, topic_id=part.topic_id, offset=offset)
