"""The broker in memory as a subject of the contract suite: simulated time passes while a test waits."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tests.simulation.kafka_member import Member
from tests.simulation.kafka_subjects import SESSION_S, Subject, SubjectMember
from tests.simulation.memory_kafka import MemoryKafka
from tests.simulation.memory_kafka_broker import Fault
from tests.simulation.memory_kafka_producer import GroupMetadata
from tests.simulation.sim_loop import SimLoop
from worker.kafka_admin import TopicFacts


@contextmanager
def in_memory() -> Iterator[Subject]:
    """A broker of its own."""
    subject = _Memory()
    try:
        yield subject
    finally:
        subject.loop.close()


class _MemoryMember(SubjectMember):
    def __init__(
        self, kafka: MemoryKafka, loop: SimLoop, *, group: str, topics: Sequence[str]
    ) -> None:
        super().__init__()
        self._loop = loop
        self._process = loop.process("member")
        self._member = Member.__new__(Member)
        self._member.told = []
        properties = {"group.id": group, "session.timeout.ms": int(SESSION_S * 1000)}
        made: Any = kafka.consumer(properties, process=self._process)
        self._member.consumer = made
        made.subscribe(
            list(topics),
            on_assign=self._member._assigned,
            on_revoke=self._member._revoked,
            on_lost=self._member._lost,
        )

    def ask(self, name: str, *arguments: Any) -> Any:
        return getattr(self._member, name)(*arguments)

    def freeze(self) -> None:
        self._loop.freeze(self._process)

    def wake(self) -> None:
        self._loop.wake(self._process)

    def kill(self) -> None:
        self._loop.kill(self._process)


class _Memory(Subject):
    """The broker in memory, with a loop whose time passes while a test waits."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = SimLoop()
        self.kafka = MemoryKafka(self.loop, starts_at_ms=int(time.time() * 1000))

    def topic(self, name: str, partitions: int) -> str:
        return self.kafka.make_topic(self.own(name), partitions).name

    def delete(self, topic: str) -> None:
        self.kafka.delete_topic(topic)

    def describe(self, names: Sequence[str]) -> dict[str, TopicFacts]:
        return self.kafka.describe(names)

    def send(self, *records: tuple[str, bytes, bytes, dict[str, bytes]]) -> None:
        self.kafka.send({}, records)

    def producer(self, name: str, *, timeout_s: float = 15.0) -> Any:
        return self.kafka.producer(
            {"transactional.id": name, "transaction.timeout.ms": int(timeout_s * 1000)}
        )

    def metadata(self, group: str) -> Any:
        return GroupMetadata(group)

    def consumer(self, group: str) -> Any:
        return self.kafka.consumer({"group.id": group})

    def member(self, group: str, *topics: str) -> SubjectMember:
        return _MemoryMember(self.kafka, self.loop, group=group, topics=topics)

    def fence(self, session_id: str, topic: str) -> int | None:
        return self.kafka.fence({}, group="group", session_id=session_id, topic=topic)

    def watermark(self, session_id: str, topic: str) -> int | None:
        return self.kafka.read_watermark({}, group="group", session_id=session_id, topic=topic)

    def until(self, claim: Callable[[], bool]) -> None:
        for _ in range(1000):
            if claim():
                return
            self.loop.run_for(0.05)
        raise AssertionError("did not come true in time")

    @contextmanager
    def away(self) -> Iterator[None]:
        self.kafka.go_away()
        try:
            yield
        finally:
            self.kafka.come_back()

    @contextmanager
    def mute(self) -> Iterator[None]:
        self.kafka.faults = lambda _call, _client: Fault.UNANSWERED
        try:
            yield
        finally:
            self.kafka.faults = None
