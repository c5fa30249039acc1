"""What Kafka must still hear of how far was read: the hint for lag displays, and for a journal that loses time.

A record below the committed offsets that the journal does not know is one that it forgot. So nothing that was admitted
begins before its offset is committed: it might be sent, forgotten, and not be suspect. What is taken away before that
begins when the janitor finds it. Where intake starts is never decided by these offsets.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from confluent_kafka import Consumer, KafkaException, TopicPartition

from handlers.ports import Operation
from worker.telemetry import log

_AGAIN_S: Final = 1.0


@dataclass(slots=True)
class Offsets:
    """Offsets that are not committed yet, by (topic, partition), and the operations that wait for that."""

    take: Callable[[Sequence[Operation]], None]
    monotonic: Callable[[], float] = time.monotonic
    _uncommitted: dict[tuple[str, int], int] = field(default_factory=dict)
    _untaken: list[Operation] = field(default_factory=list)
    _again_at: float = 0.0

    def note(self, topic: str, partition: int, *, offset: int) -> None:
        """So far it was read; to be committed at the next call."""
        self._uncommitted[topic, partition] = offset
        self._again_at = 0.0

    def forget(self, parts: Sequence[tuple[str, int]]) -> None:
        """They are another member's now, who starts from the journal's position."""
        self._untaken.clear()
        for part in parts:
            self._uncommitted.pop(part, None)

    def begin(self, operations: Sequence[Operation]) -> None:
        """Take these, as soon as Kafka knows how far was read."""
        self._untaken.extend(operations)
        self._take_what_is_safe()

    def commit(self, consumer: Consumer) -> None:
        """Commit what is not committed yet. What fails (a rebalance, a broker away) is tried again.

        Else the hint would stay behind until the partition's next record.
        """
        if not self._uncommitted or self.monotonic() < self._again_at:
            return
        self._again_at = self.monotonic() + _AGAIN_S
        offsets = [TopicPartition(*part, offset) for part, offset in self._uncommitted.items()]
        try:
            results = consumer.commit(offsets=offsets, asynchronous=False) or []
        except KafkaException as error:
            log.warning("offsets were not committed", why=error.args[0].str())
            return
        for done in results:
            if done.error is None:
                self._uncommitted.pop((done.topic, done.partition), None)
            else:
                log.warning("offsets were not committed", why=done.error.str())
        self._take_what_is_safe()

    def _take_what_is_safe(self) -> None:
        if self._untaken and not self._uncommitted:
            taken, self._untaken = self._untaken, []
            self.take(taken)
