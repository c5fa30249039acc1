"""Kafka's admin corner: topics, topic ids, the fence of a dead session, and plain readers and writers for the CLI.

The worker's own consumer and producer live in `intake.py` and `publisher.py`. This corner is for everything that is
not on the way of a payment.
"""

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.cimpl import NewTopic

from handlers.domain.errors import InvalidValueError, Unavailable

_TIMEOUT_S: Final = 10.0
_SETTLE_S: Final = 0.1
_TAIL: Final = 100  # records
_QUIET: Final[dict[str, Any]] = {"log_level": "2", "error_cb": lambda _error: None}


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """A topic as the cluster has it."""

    name: str
    topic_id: str
    partitions: int
    replicas: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record lies."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Seen:
    """A record as the CLI and the demo see it."""

    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes
    headers: dict[str, bytes]
    timestamp_ms: int


@dataclass(frozen=True, slots=True)
class Extent:
    """A partition: its first offset that is still there, and the one behind the last record that can be read by now."""

    topic: str
    partition: int
    first: int
    end: int


def transactional_id(group: str, session_id: str) -> str:
    """The producer's identity of one session."""
    return f"{group}-{session_id}"


def progress_group(group: str, session_id: str) -> str:
    """The group without members whose offset is the session's watermark."""
    return f"{group}-{session_id}-progress"


class Admin:
    """Topics of one cluster. Raises Unavailable where it does not answer."""

    def __init__(self, properties: Mapping[str, str]) -> None:
        self._client = AdminClient({**properties, **_QUIET})

    def create(
        self, topics: Mapping[str, int], *, replicas: int, config: Mapping[str, str]
    ) -> list[str]:
        """Create those of `topics` (name → partitions) that are missing; their names."""
        missing = {name: count for name, count in topics.items() if name not in self.names()}
        if not missing:
            return []
        new = [
            NewTopic(name, num_partitions=count, replication_factor=replicas, config=dict(config))
            for name, count in missing.items()
        ]
        for name, done in self._client.create_topics(new, operation_timeout=_TIMEOUT_S).items():
            try:
                done.result(timeout=2 * _TIMEOUT_S)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise Unavailable("Kafka", f"topic {name}: {error.args[0].str()}") from None
        self._wait_for(missing)
        return sorted(missing)

    def _wait_for(self, names: Iterable[str]) -> None:
        """A created topic is not at once known to every broker."""
        wanted = set(names)
        deadline = time.monotonic() + _TIMEOUT_S
        while wanted - self.describe(wanted).keys():
            if time.monotonic() > deadline:
                raise Unavailable("Kafka", "created topics do not appear; try again in a moment")
            time.sleep(_SETTLE_S)

    def names(self) -> set[str]:
        """Every topic's name."""
        try:
            return set(self._client.list_topics(timeout=_TIMEOUT_S).topics)
        except KafkaException as error:
            raise Unavailable("Kafka", error.args[0].str()) from None

    def brokers(self) -> int:
        """How many brokers the cluster has now."""
        try:
            return len(self._client.list_topics(timeout=_TIMEOUT_S).brokers)
        except KafkaException as error:
            raise Unavailable("Kafka", error.args[0].str()) from None

    def min_in_sync(self, names: Iterable[str]) -> dict[str, int]:
        """Topic → min.insync.replicas, for those that the cluster has and lets us see."""
        asked = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names]
        if not asked:
            return {}
        found = {}
        for resource, future in self._client.describe_configs(
            asked, request_timeout=_TIMEOUT_S
        ).items():
            try:
                config = future.result(timeout=2 * _TIMEOUT_S)
            except KafkaException:
                continue  # not there, or not ours to see: the caller knows which by `describe`
            found[resource.name] = int(config["min.insync.replicas"].value)
        return found

    def describe(self, names: Iterable[str]) -> dict[str, TopicFacts]:
        """What the cluster knows of these topics; those that it does not have are left out."""
        futures = self._client.describe_topics(
            TopicCollection(list(names)), request_timeout=_TIMEOUT_S
        )
        facts = {}
        for name, future in futures.items():
            try:
                found = future.result(timeout=2 * _TIMEOUT_S)
            except KafkaException as error:
                if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                    continue
                raise Unavailable("Kafka", error.args[0].str()) from None
            replicas = min((len(part.replicas) for part in found.partitions), default=0)
            facts[name] = TopicFacts(name, str(found.topic_id), len(found.partitions), replicas)
        return facts


def open_admin(properties: Mapping[str, str]) -> Admin:
    """An `Admin`. Raises InvalidValueError, with the property's name alone, where librdkafka refuses one."""
    try:
        return Admin(properties)
    except KafkaException as error:
        named = re.search(r'property[^"]*"([\w.-]+)"', error.args[0].str())
        what = f"the property {named.group(1)}" if named else "one of the properties, or a pair"
        raise InvalidValueError(
            "WORKER_KAFKA_CONFIG_FILE", f"librdkafka refuses {what}: no such name, or a wrong value"
        ) from None


def fence(properties: Mapping[str, str], *, group: str, session_id: str, topic: str) -> int | None:
    """Fence a dead session's producer, then read its watermark: nothing of it can be published afterwards."""
    producer = Producer(
        {**properties, **_QUIET, "transactional.id": transactional_id(group, session_id)}
    )
    try:
        producer.init_transactions(2 * _TIMEOUT_S)
    except KafkaException as error:
        raise Unavailable("Kafka", error.args[0].str()) from None
    finally:
        producer.purge()
    return read_watermark(properties, group=group, session_id=session_id, topic=topic)


def read_watermark(
    properties: Mapping[str, str], *, group: str, session_id: str, topic: str
) -> int | None:
    """The session's watermark as its last kafka_txn left it; None where it never committed one."""
    name = progress_group(group, session_id)
    consumer = Consumer(
        {**properties, **_QUIET, "group.id": name, "isolation.level": "read_committed"}
    )
    try:
        found = consumer.committed([TopicPartition(topic, 0)], timeout=_TIMEOUT_S)[0]
    except KafkaException as error:
        raise Unavailable("Kafka", error.args[0].str()) from None
    finally:
        consumer.close()
    if found.error is not None:
        raise Unavailable("Kafka", found.error.str())
    return found.offset if found.offset >= 0 else None


def send(
    properties: Mapping[str, str], records: Iterable[tuple[str, bytes, bytes, dict[str, bytes]]]
) -> list[Place]:
    """Publish `(topic, key, value, headers)` with an idempotent producer; returns when all are acknowledged.

    Where each record lies now, in the records' order.
    """
    producer = Producer({**properties, **_QUIET, "enable.idempotence": True, "linger.ms": 5})
    failures: list[str] = []
    places: dict[int, Place] = {}

    def delivered(error: KafkaError | None, message: Any, *, number: int) -> None:
        if error is not None:
            failures.append(error.str())
        else:
            places[number] = Place(message.topic(), message.partition(), message.offset())

    count = 0
    for topic, key, value, headers in records:
        pairs: list[tuple[str, str | bytes | None]] = list(headers.items())
        heard = partial(delivered, number=count)
        while True:
            try:
                producer.produce(topic, value, key, headers=pairs, on_delivery=heard)
                break
            except BufferError:
                producer.poll(0.1)
        count += 1
    left = producer.flush(3 * _TIMEOUT_S)
    if failures or left:
        raise Unavailable(
            "Kafka", failures[0] if failures else f"{left} records were not acknowledged"
        )
    return [places[number] for number in range(count)]


class Tail:
    """Follows topics with `read_committed`, from where they end at the moment of making, or from the beginning.

    Close it. Raises Unavailable.
    """

    def __init__(
        self, properties: Mapping[str, str], topics: Iterable[str], *, from_beginning: bool
    ) -> None:
        self._consumer = Consumer(_reader_properties(properties))
        try:
            known = self._consumer.list_topics(timeout=_TIMEOUT_S).topics
            self._consumer.assign(
                [
                    TopicPartition(
                        name, number, self._start(name, number, from_beginning=from_beginning)
                    )
                    for name in topics
                    if name in known
                    for number in known[name].partitions
                ]
            )
        except KafkaException as error:
            self._consumer.close()
            raise Unavailable("Kafka", error.args[0].str()) from None

    def close(self) -> None:
        """Leave."""
        self._consumer.close()

    def take(self, *, timeout_s: float) -> list[Seen]:
        """What came within `timeout_s`; returns early once there is something."""
        seen = []
        for message in self._consumer.consume(500, timeout=0) or self._consumer.consume(
            1, timeout=timeout_s
        ):
            error = message.error()
            if error is None:
                seen.append(_seen(message))
            elif error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - the library's public constant has this name
                raise Unavailable("Kafka", error.str())
        return seen

    def _start(self, name: str, number: int, *, from_beginning: bool) -> int:
        if from_beginning:
            return int(OFFSET_BEGINNING)
        # Asked now: a symbolic end is looked up later, and what came in between would be missed.
        end: int = self._consumer.get_watermark_offsets(
            TopicPartition(name, number), timeout=_TIMEOUT_S
        )[1]
        return end


def read_topics(
    properties: Mapping[str, str], topics: Iterable[str], *, follow: bool, idle_s: float = 1.0
) -> Iterator[Seen]:
    """Every committed record of `topics` from the beginning; ends at the present end unless `follow`.

    Reads with `read_committed`, as every consumer of these topics must.
    """
    consumer = Consumer(_reader_properties(properties))
    try:
        metadata = consumer.list_topics(timeout=_TIMEOUT_S)
        parts = [
            TopicPartition(name, number, OFFSET_BEGINNING)
            for name in topics
            if name in metadata.topics
            for number in metadata.topics[name].partitions
        ]
        consumer.assign(parts)
        yield from _read(
            consumer, {(it.topic, it.partition) for it in parts}, follow=follow, idle_s=idle_s
        )
    except KafkaException as error:
        raise Unavailable("Kafka", error.args[0].str()) from None
    finally:
        consumer.close()


def extents(properties: Mapping[str, str], topics: Iterable[str]) -> list[Extent]:
    """Every partition of `topics`. The end is 0 where nothing can be read: marks of a kafka_txn are no records."""
    consumer = Consumer(_reader_properties(properties))
    try:
        known = consumer.list_topics(timeout=_TIMEOUT_S).topics
        places = [(name, number) for name in topics for number in known[name].partitions]
        bounds = {
            it: consumer.get_watermark_offsets(TopicPartition(*it), timeout=_TIMEOUT_S)
            for it in places
        }
        ends, back = dict.fromkeys(places, 0), _TAIL
        unread = {it for it, (first, end) in bounds.items() if first < end}
        while unread:
            starts = {it: max(bounds[it][0], bounds[it][1] - back) for it in unread}
            consumer.assign([TopicPartition(*it, start) for it, start in starts.items()])
            for seen in _read(consumer, set(unread), follow=False, idle_s=1.0):
                ends[seen.topic, seen.partition] = seen.offset + 1
            unread = {it for it in unread if not ends[it] and starts[it] > bounds[it][0]}
            back *= _TAIL
        return [Extent(*it, bounds[it][0], ends[it]) for it in places]
    except KafkaException as error:
        raise Unavailable("Kafka", error.args[0].str()) from None
    finally:
        consumer.close()


def _reader_properties(properties: Mapping[str, str]) -> dict[str, Any]:
    return {
        **properties,
        **_QUIET,
        "group.id": "payment-worker-reader",  # assigned by hand, so nobody is a member
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
    }


def _read(
    consumer: Consumer, unread: set[tuple[str, int]], *, follow: bool, idle_s: float
) -> Iterator[Seen]:
    quiet_until = time.monotonic() + 3 * _TIMEOUT_S
    while unread or follow:
        for message in consumer.consume(500, timeout=min(idle_s, 0.2)):
            error = message.error()
            if error is None:
                yield _seen(message)
                quiet_until = time.monotonic() + 3 * _TIMEOUT_S
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - the library's public constant has this name
                unread.discard((message.topic(), message.partition()))
            else:
                raise KafkaException(error)
        if not follow and time.monotonic() > quiet_until:
            raise Unavailable("Kafka", "no answer while reading to the end")


def _seen(message: Any) -> Seen:
    return Seen(
        topic=message.topic(),
        partition=message.partition(),
        offset=message.offset(),
        key=message.key() or b"",
        value=message.value() or b"",
        headers={name: value or b"" for name, value in message.headers() or []},
        timestamp_ms=message.timestamp()[1],
    )
