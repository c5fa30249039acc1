"""What Kafka has heard: who waits for it, when it is asked, and that its offsets never go back."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final

import pytest
from confluent_kafka import TopicPartition

from db_client.moves import FINDER_TOPIC_ID
from handlers.ports import Coordinates, Operation
from tests.doubles.values import operation
from tests.simulation.memory_kafka import MemoryKafka
from tests.simulation.sim_loop import SimLoop
from worker.offsets import Offsets

TOPIC: Final = "payments"
GROUP: Final = "group"


class Scene:
    """A broker in memory, a clock that is moved by hand, and two consumers of one group, neither subscribed."""

    def __init__(self, loop: SimLoop) -> None:
        self.kafka = MemoryKafka(loop, starts_at_ms=0)
        self.kafka.make_topic(TOPIC, 2)
        self.now_s = 100.0
        self.asked = 0  # how often Kafka was
        self.offsets = Offsets(lambda: self.now_s)
        self.ours: Any = self.kafka.consumer({"group.id": GROUP})
        self.theirs: Any = self.kafka.consumer({"group.id": GROUP})
        [self.topic_id] = self.kafka.topic_ids([TOPIC]).values()

    def at(self, offset: int, *, topic_id: str = "", partition: int = 0) -> Operation:
        """An operation whose record lies there."""
        return operation(record=Coordinates(topic_id or self.topic_id, partition, offset))

    def note(self, offset: int) -> None:
        """Read so far."""
        self.offsets.note(TOPIC, 0, topic_id=self.topic_id, offset=offset)

    def committed(self) -> int:
        """What the group has of it."""
        [it] = self.theirs.committed([TopicPartition(TOPIC, 0)])
        return int(it.offset)

    def ask(self) -> bool:
        """As intake does."""
        return self.offsets.ask(self.ours, self.topic_ids)

    def topic_ids(self) -> dict[str, str]:
        """The cluster's."""
        self.asked += 1
        return self.kafka.topic_ids([TOPIC])


@pytest.fixture
def scene() -> Iterator[Scene]:
    """Nothing is read yet."""
    with closing(SimLoop()) as loop:
        yield Scene(loop)


def test_what_was_read_is_heard_once_it_is_committed(scene: Scene) -> None:
    """Not before, and not what lies behind it; who waited is told so."""
    scene.note(5)
    assert not scene.offsets.heard(scene.at(4))
    assert scene.offsets.commit(scene.ours)
    assert scene.offsets.heard(scene.at(4))
    assert not scene.offsets.heard(scene.at(5))
    assert not scene.offsets.heard(scene.at(0, partition=1))


def test_offsets_never_go_back(scene: Scene) -> None:
    """What is read again is below what Kafka has heard, and stays so for whoever reads next."""
    scene.offsets.learn(scene.topic_id, 0, offset=9)
    scene.note(9)
    scene.note(3)
    assert not scene.offsets.commit(scene.ours)
    assert 0 > scene.committed()
    scene.note(10)
    scene.offsets.commit(scene.ours)
    assert 10 == scene.committed()


def test_of_what_another_member_reads_kafka_is_asked_once_a_second(scene: Scene) -> None:
    """It may go on as soon as that one has committed, and no sooner."""
    waits = scene.at(4)
    assert not scene.ask()
    assert not scene.offsets.heard(waits)
    assert not scene.ask()
    assert not scene.offsets.heard(waits)
    assert not scene.ask()
    assert 1 == scene.asked
    scene.theirs.commit(offsets=[TopicPartition(TOPIC, 0, 5)], asynchronous=False)
    scene.now_s += 1
    assert scene.ask()
    assert scene.offsets.heard(waits)
    scene.now_s += 1
    assert not scene.ask()
    assert 2 == scene.asked


def test_what_is_ours_to_commit_is_not_asked_for(scene: Scene) -> None:
    """Our own commit will tell; a partition that was taken away is asked for like any other."""
    scene.note(5)
    assert not scene.offsets.heard(scene.at(4))
    scene.theirs.commit(offsets=[TopicPartition(TOPIC, 0, 5)], asynchronous=False)
    assert not scene.ask()
    scene.offsets.forget([(TOPIC, 0)])
    scene.now_s += 1
    assert scene.ask()
    assert scene.offsets.heard(scene.at(4))


def test_a_broker_that_is_away_is_asked_again(scene: Scene) -> None:
    """Nothing goes on meanwhile, and nothing breaks."""
    assert not scene.offsets.heard(scene.at(4))
    scene.kafka.go_away()
    for _ in range(5):
        assert not scene.ask()
    assert 1 == scene.asked
    scene.kafka.come_back()
    scene.theirs.commit(offsets=[TopicPartition(TOPIC, 0, 5)], asynchronous=False)
    scene.now_s += 1
    assert scene.ask()


def test_nobody_waits_for_what_nobody_can_read_again(scene: Scene) -> None:
    """Records of a topic that is gone, and the finder's own verifications, which lie in no topic."""
    gone = scene.at(4, topic_id="deleted")
    assert not scene.offsets.heard(gone)
    assert scene.ask()
    assert scene.offsets.heard(gone)
    assert scene.offsets.heard(scene.at(4, topic_id=FINDER_TOPIC_ID))
    assert scene.offsets.heard(operation())


def test_a_commit_that_fails_is_tried_again(scene: Scene) -> None:
    """A second later, whatever was the matter."""
    scene.note(5)
    scene.kafka.go_away()
    assert not scene.offsets.commit(scene.ours)
    scene.kafka.come_back()
    assert not scene.offsets.commit(scene.ours)
    assert 0 > scene.committed()
    scene.now_s += 1
    scene.offsets.commit(scene.ours)
    assert 5 == scene.committed()
