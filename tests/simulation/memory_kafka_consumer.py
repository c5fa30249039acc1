"""A consumer on the broker in memory: it reads committed records only, and is a member of its group if it subscribes.

Callbacks of a rebalance run inside `consume`, as with the client library. What is paused stays so when a partition is
taken away and given back: the library forgets it as little.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from confluent_kafka import OFFSET_BEGINNING, OFFSET_INVALID, KafkaError, TopicPartition

from tests.simulation.memory_kafka_broker import Fault, MemoryBroker, failure
from tests.simulation.memory_kafka_group import Liveness, Member
from tests.simulation.memory_kafka_log import MemoryMessage, Partition, Place
from tests.simulation.memory_kafka_producer import GroupMetadata

_SESSION_TIMEOUT_MS: Final = 45_000
Rebalanced = Callable[[Any, list[TopicPartition]], None]


class _Reading:
    """Where we are in one partition. A negative `position` is one of the library's names for a place."""

    __slots__ = ("partition", "place", "position")

    def __init__(self, place: Place, position: int) -> None:
        self.place = place
        self.position = position
        self.partition: Partition | None = None


class MemoryConsumer:
    """Has the signatures of `confluent_kafka.Consumer`. Nothing here takes time.

    `owes_s`: how long the last `consume` would have waited, where it found nothing; `is_drained`: it found less than
    it was asked for; `is_deaf`: it did not even reach the broker. `on_news` is called when another one may find some,
    or has to hear of a rebalance.
    """

    def __init__(
        self,
        broker: MemoryBroker,
        properties: Mapping[str, Any],
        *,
        process: Liveness | None = None,
    ) -> None:
        self.owes_s = 0.0
        self.is_drained = False
        self.is_deaf = False
        self.on_news: Callable[[], None] = _unheard
        self._broker = broker
        self._group = broker.group(str(properties["group.id"]))
        self._timeout_s = int(properties.get("session.timeout.ms", _SESSION_TIMEOUT_MS)) / 1000
        self._process = process
        self._topics: tuple[str, ...] = ()
        self._callbacks: dict[str, Rebalanced | None] = {}
        self._member: Member | None = None
        self._stirred = False
        self._has_fetched = False  # before it was left behind
        self._readings: list[_Reading] = []
        self._first = 0
        self._paused: set[Place] = set()

    # The group

    def subscribe(
        self,
        topics: list[str],
        on_assign: Rebalanced | None = None,
        *,
        on_revoke: Rebalanced | None = None,
        on_lost: Rebalanced | None = None,
    ) -> None:
        """Become a member at the next poll."""
        self._topics = tuple(topics)
        self._callbacks = {"assign": on_assign, "revoke": on_revoke, "lost": on_lost or on_revoke}
        self._stirred = True
        if self._process is not None:
            self._broker.watch(self._process, timeout_s=self._timeout_s)

    def close(self) -> None:
        """Leave the group."""
        member, self._member = self._member, None
        if member is not None:
            self._give_up("revoke")
            self._broker.when_back(lambda: self._group.leave(member, self._broker.count))
        self._topics = ()
        self.unassign()

    def consumer_group_metadata(self) -> GroupMetadata:
        """In whose name offsets are sent to a kafka_txn."""
        return GroupMetadata(self._group.name)

    def _hear(self) -> None:
        self._stirred = True
        self.on_news()

    def _heed(self) -> None:
        """Whatever the group wants of us."""
        self._stirred = False
        member = self._member
        if member is not None and member.out:
            if self._has_fetched:  # what the library has it hands out before it hears of this
                self._has_fetched = False
                self._hear()
                return
            self._give_up("lost")
            member = None
        if member is None:
            member = self._member = self._joined()
        elif self._group.prepares and not member.is_back:
            self._give_up("revoke")
            self._group.come_back(member, self._broker.count)
        if member.dealt is not None:
            dealt, member.dealt = member.dealt, None
            self._stirred = False
            self._call("assign", [TopicPartition(*it) for it in dealt])

    def _joined(self) -> Member:
        member = Member(
            f"member-{next(self._broker.numbers):06d}",
            topics=self._topics,
            timeout_s=self._timeout_s,
            process=self._process,
            hear=self._hear,
        )
        self._group.join(member, self._broker.count)
        return member

    def _give_up(self, why: str) -> None:
        if self._readings:
            self._call(why, [TopicPartition(*it.place) for it in self._readings])

    def _call(self, why: str, partitions: list[TopicPartition]) -> None:
        told = self._callbacks.get(why)
        if told is not None:
            told(self, partitions)
        elif why == "assign":
            self.assign(partitions)
        if why != "assign":
            self.unassign()

    # Reading

    def assign(self, partitions: Sequence[TopicPartition]) -> None:
        """Read these from their offsets: a number, OFFSET_BEGINNING, or OFFSET_INVALID for what is committed."""
        self.unassign()
        self._readings = [_Reading((it.topic, it.partition), it.offset) for it in partitions]
        for reading in self._readings:
            self._open(reading)

    def unassign(self) -> None:
        """Read nothing."""
        for reading in self._readings:
            if reading.partition is not None:
                reading.partition.readers.pop(self, None)
        self._readings = []
        self._first = 0

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        """Hand out nothing of these, now and after any rebalance, until they are resumed."""
        self._paused.update((it.topic, it.partition) for it in partitions)

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        """Go on where they stood."""
        self._paused.difference_update((it.topic, it.partition) for it in partitions)

    def seek(self, partition: TopicPartition) -> None:
        """Go on from there."""
        for reading in self._readings:
            if reading.place == (partition.topic, partition.partition):
                reading.position = partition.offset
                return
        raise failure(KafkaError._UNKNOWN_PARTITION, "Failed to seek: Local: Unknown partition")

    def consume(self, num_messages: int = 1, timeout: float = -1) -> list[MemoryMessage]:
        """What is there now, at most so much."""
        self.owes_s, self.is_drained = max(timeout, 0.0), True
        self.is_deaf = self._broker.fault("consume", self._group.name) is not None
        if self.is_deaf:
            return []
        if self._stirred and self._topics:
            self._heed()
        self._broker.end_overdue()
        found = self._fetch(num_messages)
        if found:
            self.owes_s, self.is_drained = 0.0, len(found) < num_messages
            self._has_fetched = self._member is not None and not self._member.out
        return found

    def _fetch(self, most: int) -> list[MemoryMessage]:
        """From each partition in turn, another one first after each time."""
        found: list[MemoryMessage] = []
        readings = self._readings
        for step in range(len(readings)):
            reading = readings[(self._first + step) % len(readings)]
            if reading.place in self._paused:
                continue
            partition = reading.partition
            if partition is None or partition.gone or reading.position < 0:
                partition = self._open(reading)
                if partition is None:
                    continue
            end = len(partition.log)
            if reading.position >= end:
                if reading.position == end:
                    continue
                reading.position = 0  # out of range: auto.offset.reset is `earliest`
            some, reading.position = partition.read(reading.position, most - len(found))
            found += some
            if len(found) >= most:
                break
        if found:
            self._first = (self._first + 1) % len(readings)
        return found

    def _open(self, reading: _Reading) -> Partition | None:
        """Find the partition and the place to begin."""
        topic = self._broker.topics.get(reading.place[0])
        if topic is None or reading.place[1] >= len(topic.partitions):
            return None
        partition = reading.partition = topic.partitions[reading.place[1]]
        partition.readers[self] = self._news
        if reading.position == OFFSET_INVALID:
            reading.position = self._group.offsets.get(reading.place, 0)
        elif reading.position == OFFSET_BEGINNING:
            reading.position = 0
        return partition

    def _news(self) -> None:
        self.on_news()

    # Offsets

    def commit(
        self, *, offsets: Sequence[TopicPartition], asynchronous: bool = True
    ) -> list[TopicPartition]:
        """Commit for the group, whoever owns the partitions: only who is not in the group is refused."""
        assert not asynchronous, "nothing here commits without waiting"
        fault = self._broker.fault("commit", self._group.name)
        if fault is not Fault.UNHEARD:
            is_in = self._member is not None and not self._member.out
            if not is_in and (self._group.members or self._topics):
                raise failure(KafkaError.UNKNOWN_MEMBER_ID, "Commit failed: Broker: Unknown member")
            for it in offsets:
                if it.topic in self._broker.topics:
                    self._group.offsets[it.topic, it.partition] = it.offset
        if fault is not None:
            raise failure(KafkaError._WAIT_COORD, "Commit failed: Local: Waiting for coordinator")
        return [TopicPartition(it.topic, it.partition, it.offset) for it in offsets]

    def committed(
        self, partitions: Sequence[TopicPartition], timeout: float = -1
    ) -> list[TopicPartition]:
        """The group's offsets, OFFSET_INVALID where there is none; not answered while a kafka_txn may move them."""
        del timeout
        self._broker.end_overdue()
        fault = self._broker.fault("committed", self._group.name)
        places = [(it.topic, it.partition) for it in partitions]
        if fault is not None or any(
            self._broker.is_undecided(self._group.name, it) for it in places
        ):
            raise failure(
                KafkaError._TIMED_OUT, "Failed to get committed offsets: Local: Timed out"
            )
        offsets = self._group.offsets
        return [TopicPartition(*it, offsets.get(it, OFFSET_INVALID)) for it in places]


def _unheard() -> None:
    """Nobody waits for news."""
