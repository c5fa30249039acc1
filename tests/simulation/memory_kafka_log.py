"""The broker's logs in memory: records, kafka_txns, partitions and topics. Who may write what is not decided here.

Offsets count like Kafka's: each end of a kafka_txn puts a marker into every partition that it wrote to, so there are
gaps. A `read_committed` reader stops at the last stable offset and skips what was aborted; there are no other readers.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from zlib import crc32

Headers = Sequence[tuple[str, bytes]]
Place = tuple[str, int]  # topic and partition
_CREATE_TIME = 1


class TxnState(Enum):
    """A kafka_txn's."""

    OPEN = "open"
    COMMITTED = "committed"
    ABORTED = "aborted"


class Txn:
    """One kafka_txn: what it wrote to, and the offsets that move with it, by group and place."""

    __slots__ = ("offsets", "partitions", "state", "until_s")

    def __init__(self, *, until_s: float) -> None:
        self.state = TxnState.OPEN
        self.until_s = until_s
        self.partitions: list[Partition] = []
        self.offsets: dict[tuple[str, Place], int] = {}

    def end(self, state: TxnState) -> None:
        """Commit or abort it; its readers hear of it."""
        self.state = state
        for partition in self.partitions:
            partition.mark(self)


class MemoryMessage:
    """A record as the client library hands it out: every property is a method."""

    __slots__ = (
        "_headers",
        "_key",
        "_offset",
        "_partition",
        "_timestamp_ms",
        "_topic",
        "_value",
        "txn",
    )

    def __init__(
        self,
        topic: str,
        *,
        partition: int,
        offset: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
        timestamp_ms: int,
        txn: Txn | None,
    ) -> None:
        self._topic = topic
        self._partition = partition
        self._offset = offset
        self._key = key
        self._value = value
        self._headers = headers
        self._timestamp_ms = timestamp_ms
        self.txn = txn

    def topic(self) -> str:
        """Its topic's name."""
        return self._topic

    def partition(self) -> int:
        """Its partition's number."""
        return self._partition

    def offset(self) -> int:
        """Its place in the partition."""
        return self._offset

    def key(self) -> bytes | None:
        """Its key."""
        return self._key

    def value(self) -> bytes | None:
        """Its value."""
        return self._value

    def headers(self) -> list[tuple[str, bytes]] | None:
        """Its headers in order; None where it has none."""
        return list(self._headers) or None

    def timestamp(self) -> tuple[int, int]:
        """What kind of time, and the milliseconds since 1970."""
        return _CREATE_TIME, self._timestamp_ms

    def error(self) -> None:
        """It is a record, and no report of an error."""


class Partition:
    """One partition's log. `None` in it is a marker. `gone`: its topic was deleted."""

    __slots__ = ("gone", "log", "number", "open", "readers", "topic")

    def __init__(self, topic: str, number: int) -> None:
        self.topic = topic
        self.number = number
        self.log: list[MemoryMessage | None] = []
        self.open: dict[Txn, int] = {}  # and where each began here
        self.readers: dict[object, Callable[[], None]] = {}  # what to call when there is news
        self.gone = False

    @property
    def place(self) -> Place:
        """Topic and number."""
        return self.topic, self.number

    def append(  # a hot call: the producer's own words, in its order
        self,
        key: bytes | None,
        value: bytes | None,
        *,
        headers: Headers,
        timestamp_ms: int,
        txn: Txn | None = None,
    ) -> MemoryMessage:
        """Write one record."""
        message = MemoryMessage(
            self.topic,
            partition=self.number,
            offset=len(self.log),
            key=key,
            value=value,
            headers=headers,
            timestamp_ms=timestamp_ms,
            txn=txn,
        )
        if txn is not None and txn not in self.open:
            self.open[txn] = len(self.log)
            txn.partitions.append(self)
        self.log.append(message)
        if txn is None:
            self.stir()
        return message

    def mark(self, txn: Txn) -> None:
        """The kafka_txn has ended."""
        self.open.pop(txn, None)
        self.log.append(None)
        self.stir()

    def stir(self) -> None:
        """Tell the readers that there is news."""
        for hear in list(self.readers.values()):
            hear()

    def stable_end(self) -> int:
        """The last stable offset: nothing from here on may be read yet."""
        return min(self.open.values()) if self.open else len(self.log)

    def read(self, position: int, most: int) -> tuple[list[MemoryMessage], int]:
        """At most so many committed records from there, and where to go on."""
        found: list[MemoryMessage] = []
        log, end = self.log, self.stable_end()
        while position < end and len(found) < most:
            message = log[position]
            position += 1
            if message is None or (
                message.txn is not None and message.txn.state is TxnState.ABORTED
            ):
                continue
            found.append(message)
        return found, position


@dataclass(slots=True)
class Topic:
    """A topic and its id, which another topic of the same name does not have."""

    name: str
    topic_id: str
    partitions: list[Partition] = field(default_factory=list)

    def of(self, key: bytes | None) -> Partition:
        """Where a record with this key goes: as librdkafka's default deals them."""
        return self.partitions[crc32(key or b"") % len(self.partitions)]


def committed(partitions: Iterable[Partition]) -> list[MemoryMessage]:
    """Everything that a `read_committed` reader can see of them, partition by partition."""
    return [message for it in partitions for message in it.read(0, len(it.log))[0]]
