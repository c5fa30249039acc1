"""A transactional producer on the broker in memory, with the states and errors of librdkafka.

Records reach the broker at `flush`. A producer that was fenced, or whose kafka_txn took too long, hears of it at its
next call that reaches the broker: a fatal `_FENCED`, and nothing else ever after.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, NoReturn

from confluent_kafka import KafkaError, TopicPartition

from tests.simulation.memory_kafka_broker import Fault, Identity, MemoryBroker, failure
from tests.simulation.memory_kafka_log import Headers, MemoryMessage, Txn, TxnState

_TIMEOUT_MS = 60_000
Delivered = Callable[[KafkaError | None, Any], None]


@dataclass(frozen=True, slots=True)
class GroupMetadata:
    """In whose name offsets are sent to a kafka_txn."""

    group: str


class _State(Enum):
    INIT = "Init"
    READY = "Ready"
    OPEN = "InTransaction"
    ENDING = "CommittingTransaction"  # the call timed out: nobody knows
    FENCED = "FatalError"


class _Queued:
    """A record that waits to be sent, or (with `message`) for its acknowledgement."""

    __slots__ = ("headers", "key", "message", "on_delivery", "topic", "value")

    def __init__(
        self,
        topic: str,
        *,
        value: bytes | None,
        key: bytes | None,
        headers: Headers,
        on_delivery: Delivered | None,
    ) -> None:
        self.topic = topic
        self.value = value
        self.key = key
        self.headers = headers
        self.on_delivery = on_delivery
        self.message: MemoryMessage | None = None


class MemoryProducer:
    """Has the signatures of `confluent_kafka.Producer`. Nothing here takes time: a timeout is over at once."""

    def __init__(self, broker: MemoryBroker, properties: Mapping[str, Any]) -> None:
        self._broker = broker
        self._id = str(properties["transactional.id"])
        self._timeout_s = int(properties.get("transaction.timeout.ms", _TIMEOUT_MS)) / 1000
        self._epoch = -1
        self._state = _State.INIT
        self._queue: list[_Queued] = []

    def init_transactions(self, timeout: float = -1) -> None:
        """Take the identity: an older producer is fenced, and what it had open is aborted."""
        del timeout
        fault = self._broker.fault("init_transactions", self._id)
        if fault is not Fault.UNHEARD:
            self._broker.end_overdue()
            identity = self._identity()
            self._broker.end(identity, TxnState.ABORTED)
            identity.epoch += 1
            self._epoch = identity.epoch
        if fault is not None:
            raise _timed_out()
        self._state = _State.READY

    def begin_transaction(self) -> None:
        """Nothing that the broker hears of."""
        self._insist(_State.READY)
        self._state = _State.OPEN

    def produce(
        self,
        topic: str,
        *record: bytes | None,
        headers: Headers = (),
        on_delivery: Delivered | None = None,
    ) -> None:
        """Queue a record: its value, then its key."""
        self._insist(_State.OPEN)
        value, key = record
        self._queue.append(
            _Queued(topic, value=value, key=key, headers=headers, on_delivery=on_delivery)
        )

    def flush(self, timeout: float = -1) -> int:
        """Send what is queued; how much of it was not acknowledged."""
        del timeout
        if not self._queue:
            return 0
        fault = self._broker.fault("flush", self._id)
        if fault is Fault.UNHEARD:
            return len(self._queue)
        txn = self._begun()
        left = [it for it in self._queue if not self._sent(it, txn)]
        if fault is not None:
            return len(self._queue)
        queue, self._queue = self._queue, left
        for queued in queue:
            if queued.message is not None and queued.on_delivery is not None:
                queued.on_delivery(None, queued.message)
        return len(left)

    def purge(self) -> None:
        """Forget what is queued."""
        self._queue.clear()

    def send_offsets_to_transaction(
        self,
        offsets: Sequence[TopicPartition],
        metadata: GroupMetadata,
        *timeout: float,
    ) -> None:
        """These offsets of the group move with the kafka_txn."""
        del timeout
        self._insist(_State.OPEN)
        fault = self._broker.fault("send_offsets_to_transaction", self._id)
        if fault is not Fault.UNHEARD:
            txn = self._begun()
            for it in offsets:
                txn.offsets[metadata.group, (it.topic, it.partition)] = it.offset
        if fault is not None:
            raise _timed_out()

    def commit_transaction(self, timeout: float = -1) -> None:
        """All of it, or nothing. Where it times out, only a new producer under this id can tell which."""
        self._end(TxnState.COMMITTED, timeout)

    def abort_transaction(self, timeout: float = -1) -> None:
        """Nothing of it."""
        if self._state is _State.ENDING:
            raise failure(
                KafkaError._CONFLICT,
                "Conflicting commit_transaction API call is already in progress",
                retriable=True,
            )
        self.purge()
        self._end(TxnState.ABORTED, timeout)

    def _end(self, state: TxnState, timeout: float) -> None:
        if self._state is not _State.ENDING:
            self._insist(_State.OPEN)
        if self.flush(timeout):
            raise _timed_out()
        if self._state is _State.OPEN and self._identity().txn is None and not self._is_fenced():
            self._state = _State.READY  # nothing was sent: the broker need not hear of it
            return
        fault = self._broker.fault(
            f"{'commit' if state is TxnState.COMMITTED else 'abort'}_transaction", self._id
        )
        if fault is not Fault.UNHEARD:
            self._broker.end_overdue()
            if self._is_fenced():
                self._fence()
            self._broker.end(self._identity(), state)
        self._state = _State.ENDING
        if fault is not None:
            raise _timed_out()
        self._state = _State.READY

    def _sent(self, queued: _Queued, txn: Txn) -> bool:
        topic = self._broker.topics.get(queued.topic)
        if topic is None:
            return False
        if queued.message is None:
            queued.message = topic.of(queued.key).append(
                queued.key,
                queued.value,
                headers=queued.headers,
                timestamp_ms=self._broker.now_ms(),
                txn=txn,
            )
        return True

    def _identity(self) -> Identity:
        return self._broker.identity(self._id)

    def _is_fenced(self) -> bool:
        return self._identity().epoch != self._epoch

    def _begun(self) -> Txn:
        """Our kafka_txn, which the broker knows from now on."""
        self._broker.end_overdue()
        if self._is_fenced():
            self._fence()
        return self._broker.begun(self._identity(), timeout_s=self._timeout_s)

    def _fence(self) -> NoReturn:
        queue, self._queue = self._queue, []
        self._state = _State.FENCED
        for queued in queue:
            if queued.on_delivery is not None:
                queued.on_delivery(
                    KafkaError(KafkaError._PURGE_QUEUE, "Local: Purged in queue"), None
                )
        raise _fenced()

    def _insist(self, state: _State) -> None:
        if self._state is _State.FENCED:
            raise _fenced()
        if self._state is not state:
            raise failure(KafkaError._STATE, f"Operation not valid in state {self._state.value}")


def _timed_out() -> Exception:
    return failure(
        KafkaError._TIMED_OUT, "Timed out waiting for operation to finish", retriable=True
    )


def _fenced() -> Exception:
    return failure(
        KafkaError._FENCED, "This instance has been fenced by a newer instance", fatal=True
    )
