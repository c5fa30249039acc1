"""Apache Kafka as a subject of the contract suite; the members of groups are processes of their own."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from confluent_kafka import Consumer, Producer

from tests.simulation.kafka_subjects import SESSION_S, WAIT_S, Subject, SubjectMember
from tests.waiting import wait_until
from worker import kafka_admin
from worker.demo.broker import Broker
from worker.kafka_admin import Admin, TopicFacts

_QUIET: Final[Mapping[str, Any]] = {"log_level": "0", "error_cb": lambda _: None}
_ROOT: Final = Path(__file__).parents[2]


@contextmanager
def apache(broker: Broker) -> Iterator[Subject]:
    """A running broker; ends the members that a test leaves behind."""
    subject = _Apache(broker, Admin({"bootstrap.servers": broker.bootstrap}))
    try:
        yield subject
    finally:
        subject.end()


class _ApacheMember(SubjectMember):
    def __init__(self, bootstrap: str, group: str, *, topics: Sequence[str]) -> None:
        super().__init__()
        argv = ["-m", "tests.simulation.kafka_member", bootstrap, group, str(int(SESSION_S * 1000))]
        self._process = subprocess.Popen(
            [sys.executable, *argv, *topics],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, name: str, *arguments: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([name, *arguments]) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


class _Apache(Subject):
    """A real broker, shared by the tests of a module."""

    def __init__(self, broker: Broker, admin: Admin) -> None:
        super().__init__()
        self._broker = broker
        self._admin = admin
        self._properties = {"bootstrap.servers": broker.bootstrap}
        self._members: list[_ApacheMember] = []

    def topic(self, name: str, partitions: int) -> str:
        own = self.own(name)
        self._admin.create({own: partitions}, replicas=1, config={})
        return own

    def delete(self, topic: str) -> None:
        self._admin._client.delete_topics([topic])[topic].result(WAIT_S * 10)
        wait_until(lambda: not self.describe([topic]))

    def describe(self, names: Sequence[str]) -> dict[str, TopicFacts]:
        return self._admin.describe(names)

    def send(self, *records: tuple[str, bytes, bytes, dict[str, bytes]]) -> None:
        kafka_admin.send(self._properties, records)

    def producer(self, name: str, *, timeout_s: float = 15.0) -> Any:
        return Producer(
            {
                **self._properties,
                **_QUIET,
                "transactional.id": name,
                "transaction.timeout.ms": int(timeout_s * 1000),
            }
        )

    def metadata(self, group: str) -> Any:
        consumer = self.consumer(group)
        found = consumer.consumer_group_metadata()
        consumer.close()
        return found

    def consumer(self, group: str) -> Any:
        return Consumer(
            {
                **self._properties,
                **_QUIET,
                "group.id": group,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 20,
                "enable.auto.commit": False,
            }
        )

    def member(self, group: str, *topics: str) -> SubjectMember:
        member = _ApacheMember(self._broker.bootstrap, group, topics=topics)
        self._members.append(member)
        return member

    def fence(self, session_id: str, topic: str) -> int | None:
        return kafka_admin.fence(
            self._properties, group="group", session_id=session_id, topic=topic
        )

    def watermark(self, session_id: str, topic: str) -> int | None:
        return kafka_admin.read_watermark(
            self._properties, group="group", session_id=session_id, topic=topic
        )

    def until(self, claim: Callable[[], bool]) -> None:
        wait_until(claim)

    @contextmanager
    def away(self) -> Iterator[None]:
        self._broker.kill()
        try:
            yield
        finally:
            self._broker.restart_after_kill()

    @contextmanager
    def mute(self) -> Iterator[None]:
        self._broker.freeze()
        try:
            yield
        finally:
            self._broker.thaw()

    def end(self) -> None:
        """No process of ours is left."""
        for member in self._members:
            member.wake()
            member.kill()
