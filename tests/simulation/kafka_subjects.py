"""What the contract suite of Kafka asks of a broker and of a member of a group. No claims here.

Apache Kafka stands behind it in `kafka_in_earnest.py`, the one in memory in `kafka_in_memory.py`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any, Final

from confluent_kafka import KafkaException, TopicPartition

from worker.kafka_admin import TopicFacts, transactional_id

SESSION_S: Final = 1.5  # after which a silent member is left behind
WAIT_S: Final = 1.0  # how long a call waits for a broker that does not answer
LONG_S: Final = 10.0  # for one that does
AWAY: Final = "_TIMED_OUT", False, True  # name, fatal, retriable
FENCED: Final = "_FENCED", True, False
STATE: Final = "_STATE", False, False
_MORE_S: Final = 0.15
_runs = count(1)


class SubjectMember(ABC):
    """A member of a group in a process of its own. `found`: records (topic, partition, offset, value); `told`: news."""

    def __init__(self) -> None:
        self.found: list[tuple[str, int, int, str]] = []
        self.told: list[tuple[str, list[tuple[str, int]]]] = []

    @abstractmethod
    def ask(self, name: str, *arguments: Any) -> Any:
        """Call the `Member`'s method of this name."""

    @abstractmethod
    def freeze(self) -> None:
        """SIGSTOP."""

    @abstractmethod
    def wake(self) -> None:
        """SIGCONT."""

    @abstractmethod
    def kill(self) -> None:
        """SIGKILL."""

    def poll(self) -> None:
        """Once; what comes is added to `found` and `told`."""
        news = self.ask("poll")
        self.found += [(it[0], it[1], it[2], it[3]) for it in news["found"]]
        self.hear(news["told"])

    def hear(self, told: Any) -> None:
        """Callbacks that were called."""
        self.told += [(what, [(it[0], it[1]) for it in places]) for what, places in told]

    def close(self) -> None:
        """Leave the group."""
        self.hear(self.ask("close"))

    @property
    def owned(self) -> list[tuple[str, int]]:
        """The partitions that it was given last."""
        return self.told[-1][1] if self.told and self.told[-1][0] == "assign" else []


class Subject(ABC):
    """A broker. Names that a test uses are made its own by `own`."""

    def __init__(self) -> None:
        self._run = next(_runs)

    def own(self, name: str) -> str:
        """The name, as no other test has it."""
        return f"{name}-{self._run}"

    @abstractmethod
    def topic(self, name: str, partitions: int) -> str:
        """Make it; its own name."""

    @abstractmethod
    def delete(self, topic: str) -> None:
        """Delete it."""

    @abstractmethod
    def describe(self, names: Sequence[str]) -> dict[str, TopicFacts]:
        """As the admin corner does."""

    @abstractmethod
    def send(self, *records: tuple[str, bytes, bytes, dict[str, bytes]]) -> None:
        """Without a kafka_txn: topic, key, value, headers."""

    @abstractmethod
    def producer(self, name: str, *, timeout_s: float = 15.0) -> Any:
        """A transactional one, which has not claimed its identity yet."""

    @abstractmethod
    def metadata(self, group: str) -> Any:
        """Of a group without members."""

    @abstractmethod
    def consumer(self, group: str) -> Any:
        """One that has subscribed to nothing."""

    @abstractmethod
    def member(self, group: str, *topics: str) -> SubjectMember:
        """One that subscribes."""

    @abstractmethod
    def fence(self, session_id: str, topic: str) -> int | None:
        """As the admin corner does."""

    @abstractmethod
    def watermark(self, session_id: str, topic: str) -> int | None:
        """As the admin corner does."""

    @abstractmethod
    def until(self, claim: Callable[[], bool]) -> None:
        """Let time pass until it holds."""

    @abstractmethod
    @contextmanager
    def away(self) -> Iterator[None]:
        """Meanwhile the broker is dead."""

    @abstractmethod
    @contextmanager
    def mute(self) -> Iterator[None]:
        """Meanwhile the broker does what it is asked (at the latest in the end), and says nothing."""

    def session(self, name: str) -> tuple[str, str]:
        """A session's id, and the name of its producer for `producer`."""
        return self.own(name), transactional_id("group", self.own(name))

    # What most claims need

    def poll(self, *members: SubjectMember, until: Callable[[], bool]) -> None:
        """Poll all of them until it holds."""

        def polled() -> bool:
            for member in members:
                member.poll()
            return until()

        self.until(polled)

    def serve(self, member: SubjectMember) -> None:
        """Poll it until it was given something."""
        self.poll(member, until=lambda: bool(member.owned))

    def ready(self, name: str, *, timeout_s: float = 15.0) -> Any:
        """A producer that has claimed this transactional id."""
        producer = self.producer(name, timeout_s=timeout_s)
        producer.init_transactions(LONG_S)
        return producer

    def begun(self, name: str, topic: str, *values: bytes, timeout_s: float = 15.0) -> Any:
        """A producer with these records in an open kafka_txn, at the broker already."""
        producer = self.ready(name, timeout_s=timeout_s)
        producer.begin_transaction()
        for value in values:
            producer.produce(topic, value, b"k")
        assert not producer.flush(LONG_S)
        return producer

    def take(self, consumer: Any, least: int, *, at_once: int = 100) -> list[Any]:
        """Poll until there are so many records, then (unless `at_once` says enough) whether more come."""
        found: list[Any] = []

        def enough() -> bool:
            found.extend(consumer.consume(at_once, timeout=0.05))
            return len(found) >= least

        self.until(enough)
        if at_once > least:
            found += consumer.consume(at_once, timeout=_MORE_S)
        return found

    def read(self, consumer: Any, least: int) -> list[tuple[int, int, bytes]]:
        """The same as partition, offset and value."""
        return [(it.partition(), it.offset(), it.value()) for it in self.take(consumer, least)]

    def values(self, topic: str, least: int) -> list[bytes]:
        """What a `read_committed` reader sees in the topic's first partition, from its beginning."""
        consumer = self.consumer(self.own("reader"))
        consumer.assign([TopicPartition(topic, 0, 0)])
        found = [it.value() for it in self.take(consumer, least)]
        consumer.close()
        return found


def fails(call: Callable[..., object], *arguments: Any) -> tuple[str, bool, bool]:
    """The error that the client library raises: its name, whether it is fatal, whether it is retriable."""
    try:
        call(*arguments)
    except KafkaException as raised:
        error = raised.args[0]
        return error.name(), error.fatal(), error.retriable()
    raise AssertionError("it did not fail")
