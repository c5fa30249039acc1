"""What Kafka must still hear of how far was read: the hint for lag displays, and for a journal that loses time.

A record below the committed offsets that the journal does not know is one that it forgot. So nothing is sent before
Kafka has heard that its record was read, whoever admitted it and whoever carries it now: it might be sent, forgotten
by a journal that is put back in time, and read again as if it were new. `heard` is what the crew asks. Of partitions
that are another member's, Kafka is asked; their owner brings it up to the journal's position when it is assigned, and
every few seconds from then on, whether it reads or not (`placing.py`).

Offsets never go back: while records are read again, the hint stays where it is, for whoever is given the partition in
the middle of that must still hear how far it was read before. Where intake starts is never decided by these offsets.
"""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from confluent_kafka import Consumer, KafkaException, TopicPartition

from db_client.moves import FINDER_TOPIC_ID
from handlers.domain.errors import Unavailable
from handlers.ports import Operation
from worker.telemetry import log

_AGAIN_S: Final = 1.0
_SETTLE_S: Final = 5.0
_ALL: Final = sys.maxsize
_Part = tuple[str, int]  # topic id, partition


@dataclass(slots=True)
class Offsets:
    """The group's offsets as far as we know them, those to be committed, and those that somebody waits for.

    Intake's thread does everything but ask `heard`, which any thread may: each step of that is one step of a dict.
    """

    monotonic: Callable[[], float] = time.monotonic
    _uncommitted: dict[tuple[str, int], tuple[str, int]] = field(default_factory=dict)
    _heard: dict[_Part, int] = field(default_factory=dict)  # never falls
    _missed: dict[_Part, int] = field(default_factory=dict)  # an offset that somebody waits for
    _again_at: float = 0.0
    _ask_at: float = 0.0

    def heard(self, of: Operation) -> bool:
        """Whether Kafka knows that its record was read. Where not, it is waited for. From any thread."""
        record = of.record
        if record is None or record.topic_id == FINDER_TOPIC_ID:
            return True
        part = record.topic_id, record.partition
        if self._heard.get(part, 0) > record.offset:
            return True
        self._missed[part] = max(record.offset, self._missed.get(part, 0))
        return False

    def learn(self, topic_id: str, partition: int, *, offset: int) -> None:
        """So far Kafka has heard."""
        self._heard[topic_id, partition] = max(offset, self._heard.get((topic_id, partition), 0))

    def note(self, topic: str, partition: int, *, topic_id: str, offset: int) -> None:
        """So far it was read; to be committed at the next call, where Kafka has not heard of it."""
        if offset > self._heard.get((topic_id, partition), 0):
            self._uncommitted[topic, partition] = topic_id, offset
            self._again_at = 0.0

    def forget(self, parts: Sequence[tuple[str, int]]) -> None:
        """They are another member's now, who starts from the journal's position, and commits that."""
        for part in parts:
            self._uncommitted.pop(part, None)

    def commit(self, consumer: Consumer) -> bool:
        """Commit what is not committed yet; whether somebody waited for that.

        What fails (a rebalance, a broker away) is tried again: else the hint would stay behind until the partition's
        next record.
        """
        if not self._uncommitted or self.monotonic() < self._again_at:
            return False
        self._again_at = self.monotonic() + _AGAIN_S
        offsets = [TopicPartition(*part, offset) for part, (_, offset) in self._uncommitted.items()]
        try:
            results = consumer.commit(offsets=offsets, asynchronous=False) or []
        except KafkaException as error:
            log.warning("offsets were not committed", why=error.args[0].str())
            return False
        for done in results:
            if done.error is None:
                topic_id, offset = self._uncommitted.pop((done.topic, done.partition))
                self.learn(topic_id, done.partition, offset=offset)
            else:
                log.warning("offsets were not committed", why=done.error.str())
        return self._is_news()

    def ask(self, consumer: Consumer, topic_ids: Callable[[], Mapping[str, str]]) -> bool:
        """Ask Kafka how far it has heard of what is waited for, if it is time to; whether that was news.

        `topic_ids`: topic → id; may raise Unavailable. A topic that is there no more is read again by nobody: so
        nothing waits for it.
        """
        if self._is_news():
            return True
        if not self._missed or self.monotonic() < self._ask_at:
            return False
        self._ask_at = self.monotonic() + _AGAIN_S
        try:
            ids = topic_ids()
        except Unavailable as unavailable:
            log.warning("how far Kafka has heard is not known", why=str(unavailable))
            return False
        names = {topic_id: name for name, topic_id in ids.items()}
        ours = {(topic_id, number) for (_, number), (topic_id, _) in self._uncommitted.items()}
        wanted = [part for part in list(self._missed) if part not in ours]
        for part in wanted:
            if part[0] not in names:
                self.learn(*part, offset=_ALL)
        asked = [TopicPartition(names[part[0]], part[1]) for part in wanted if part[0] in names]
        try:
            hints = consumer.committed(asked, timeout=_SETTLE_S) if asked else []
        except KafkaException as error:
            log.warning("how far Kafka has heard is not known", why=error.args[0].str())
            hints = []
        for hint in hints:
            if hint.error is None:
                self.learn(ids[hint.topic], hint.partition, offset=max(hint.offset, 0))
        return self._is_news()

    def _is_news(self) -> bool:
        """Whether somebody may go on now. Who must still wait says so again."""
        reached = [
            it for it, offset in list(self._missed.items()) if self._heard.get(it, 0) > offset
        ]
        for part in reached:
            del self._missed[part]
        return bool(reached)
