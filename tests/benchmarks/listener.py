"""Listens to `payment_status` as another service would, with `read_committed`, and notes when each record came."""

import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

_TIMEOUT_S: Final = 20.0
_POLL_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Told:
    """One status record: when the broker appended it, and when a `read_committed` reader had it."""

    key: bytes
    partition: int
    offset: int
    appended_ms: int
    seen_ms: int


class Listener:
    """Reads the topic from its beginning on a thread, inside a `with` block."""

    def __init__(self, properties: Mapping[str, str], topic: str) -> None:
        self.told: list[Told] = []
        self._consumer = Consumer(
            {
                **properties,
                "group.id": "benchmark-listener",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "log_level": "2",
            }
        )
        partitions = self._consumer.list_topics(topic, timeout=_TIMEOUT_S).topics[topic].partitions
        self._consumer.assign([TopicPartition(topic, it, OFFSET_BEGINNING) for it in partitions])
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="listener", daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._stop.set()
        self._thread.join()
        self._consumer.close()

    def count(self) -> int:
        """How many records have come."""
        return len(self.told)

    def between(self, began_ms: float, ended_ms: float) -> list[Told]:
        """What was appended in the window."""
        return [it for it in list(self.told) if began_ms <= it.appended_ms < ended_ms]

    def _run(self) -> None:
        while not self._stop.is_set():
            message = self._consumer.poll(_POLL_S)
            if message is None or message.error() is not None:
                continue
            key, partition, offset = message.key(), message.partition(), message.offset()
            assert isinstance(key, bytes)
            assert partition is not None
            assert offset is not None
            seen_ms = int(time.time() * 1000)
            self.told.append(Told(key, partition, offset, message.timestamp()[1], seen_ms))


def transactions(told: Sequence[Told]) -> int:
    """About how many kafka_txns told this.

    Each leaves one marker, an offset without a record, in every partition that it touched; under load it touches all,
    so the partition with the most of them counts.
    """
    offsets: dict[int, list[int]] = defaultdict(list)
    for it in told:
        offsets[it.partition].append(it.offset)
    return max((max(they) - min(they) + 1 - len(they) for they in offsets.values()), default=0)
