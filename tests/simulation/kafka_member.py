"""A consumer of Apache Kafka in a process of its own, which a test may stop and kill: told what to do line by line.

`python -m tests.simulation.kafka_member BOOTSTRAP GROUP TIMEOUT_MS TOPIC…`; one JSON array in, one JSON value out.
"""

import json
import sys
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

_POLL_S = 0.05


class Member:
    """A member of the group; `told` is what the callbacks of rebalances were told."""

    def __init__(self, bootstrap: str, group: str, *, timeout_ms: int, topics: list[str]) -> None:
        self.told: list[Any] = []
        self.consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": group,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 20,
                "partition.assignment.strategy": "range",
                "session.timeout.ms": timeout_ms,
                "heartbeat.interval.ms": timeout_ms // 5,
                "log_level": "0",
                "error_cb": lambda _: None,
            }
        )
        self.consumer.subscribe(
            topics, on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost
        )

    def poll(self) -> Any:
        """Records, and what the callbacks were told since the last time."""
        messages = self.consumer.consume(100, timeout=_POLL_S)
        told, self.told = self.told, []
        found = [
            [it.topic(), it.partition(), it.offset(), (it.value() or b"").decode()]
            for it in messages
            if it.error() is None
        ]
        return {"found": found, "told": told}

    def commit(self, topic: str, *place: int) -> Any:
        """Commit one offset (partition, offset); the error's name, or nothing."""
        partition, offset = place
        one = [TopicPartition(topic, partition, offset)]
        try:
            self.consumer.commit(offsets=one, asynchronous=False)
        except KafkaException as error:
            return error.args[0].name()
        return ""

    def pause(self, topic: str, partition: int) -> Any:
        """Pause one partition."""
        self.consumer.pause([TopicPartition(topic, partition)])

    def resume(self, topic: str, partition: int) -> Any:
        """Resume it."""
        self.consumer.resume([TopicPartition(topic, partition)])

    def close(self) -> Any:
        """Leave the group; what the callbacks were told."""
        self.consumer.close()
        told, self.told = self.told, []
        return told

    def _assigned(self, consumer: Consumer, parts: list[TopicPartition]) -> None:
        self._tell("assign", parts)
        consumer.assign(parts)

    def _revoked(self, consumer: Consumer, parts: list[TopicPartition]) -> None:
        self._tell("revoke", parts)
        consumer.unassign()

    def _lost(self, consumer: Consumer, parts: list[TopicPartition]) -> None:
        self._tell("lost", parts)
        consumer.unassign()

    def _tell(self, what: str, parts: list[TopicPartition]) -> None:
        self.told.append([what, sorted([it.topic, it.partition] for it in parts)])


def main() -> None:
    """Do what each line asks."""
    bootstrap, group, timeout_ms, *topics = sys.argv[1:]
    member = Member(bootstrap, group, timeout_ms=int(timeout_ms), topics=topics)
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        print(json.dumps(getattr(member, name)(*arguments)), flush=True)  # noqa: T201 - this is how it speaks


if __name__ == "__main__":
    main()
