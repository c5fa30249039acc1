"""Kafka in memory, as far as the worker uses it: what its consumer, its producer and its admin corner can be given.

What it does not do: take time, split batches, hold more than one broker, speak the newer group protocol, remember
offsets for a limited time, or tell readers of changed topics. What it does is held against Apache Kafka by
`test_memory_kafka.py`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaException, TopicPartition

from handlers.domain.errors import Unavailable
from tests.simulation.memory_kafka_broker import MemoryBroker
from tests.simulation.memory_kafka_consumer import MemoryConsumer
from tests.simulation.memory_kafka_group import Liveness
from tests.simulation.memory_kafka_log import MemoryMessage, committed
from tests.simulation.memory_kafka_producer import GroupMetadata, MemoryProducer
from worker.kafka_admin import TopicFacts, progress_group, transactional_id
from worker.publisher import KafkaDoor


class MemoryKafka(MemoryBroker):
    """The broker with the clients that live on it. Properties are those of the client library."""

    def consumer(
        self, properties: Mapping[str, Any], *, process: Liveness | None = None
    ) -> MemoryConsumer:
        """A consumer; its heartbeats stop with the process that it lives in."""
        return MemoryConsumer(self, properties, process=process)

    def producer(self, properties: Mapping[str, Any]) -> MemoryProducer:
        """A transactional producer."""
        return MemoryProducer(self, properties)

    def door(self) -> KafkaDoor:
        """What a `Publisher` is given."""
        made: Any = self.producer  # the library's own class is no protocol that this one could have
        return KafkaDoor(made, _metadata, self.read_watermark)

    def records(self, topic: str) -> list[MemoryMessage]:
        """Everything in the topic that a `read_committed` reader sees now, partition by partition."""
        self.end_overdue()
        return committed(self.topics[topic].partitions)

    # The admin corner, with the signatures of `worker.kafka_admin`

    def describe(self, names: Iterable[str]) -> dict[str, TopicFacts]:
        """What is known of these topics; those that do not exist are left out. Raises Unavailable."""
        if self.fault("describe_topics", "admin") is not None:
            raise Unavailable("Kafka", "Local: Timed out")
        return {
            name: TopicFacts(name, found.topic_id, len(found.partitions), 1)
            for name in names
            if (found := self.topics.get(name)) is not None
        }

    def topic_ids(self, names: Sequence[str]) -> dict[str, str]:
        """Topic name → id, as `worker.doors.JournalDoor` wants them. Raises Unavailable."""
        facts = self.describe(names)
        missing = [name for name in names if name not in facts]
        if missing:
            raise Unavailable("Kafka", f"no topic {', '.join(missing)}")
        return {name: fact.topic_id for name, fact in facts.items()}

    def fence(
        self, properties: Mapping[str, str], *, group: str, session_id: str, topic: str
    ) -> int | None:
        """Fence a dead session's producer, then read its watermark."""
        producer = self.producer(
            {**properties, "transactional.id": transactional_id(group, session_id)}
        )
        try:
            producer.init_transactions()
        except KafkaException as error:
            raise Unavailable("Kafka", error.args[0].str()) from None
        return self.read_watermark(properties, group=group, session_id=session_id, topic=topic)

    def read_watermark(
        self, properties: Mapping[str, str], *, group: str, session_id: str, topic: str
    ) -> int | None:
        """The session's watermark; None where it never committed one."""
        name = progress_group(group, session_id)
        consumer = self.consumer({**properties, "group.id": name})
        try:
            found = consumer.committed([TopicPartition(topic, 0)])[0]
        except KafkaException as error:
            raise Unavailable("Kafka", error.args[0].str()) from None
        return found.offset if found.offset >= 0 else None

    def send(
        self,
        properties: Mapping[str, str],
        records: Iterable[tuple[str, bytes, bytes, dict[str, bytes]]],
    ) -> int:
        """Publish `(topic, key, value, headers)` without a kafka_txn; how many."""
        del properties
        count = 0
        for topic, key, value, headers in records:
            if self.fault("produce", "sender") is not None:
                raise Unavailable("Kafka", f"{count} records were not acknowledged")
            self.append(topic, key, value=value, headers=list(headers.items()))
            count += 1
        return count


def _metadata(properties: dict[str, Any]) -> GroupMetadata:
    return GroupMetadata(str(properties["group.id"]))
