"""The publisher: outbox rows in number order, exactly once, on a thread that alone owns the transactional producer.

One kafka_txn produces a batch of rows, flushes, and moves the session's watermark: the next number, as the offset of
the progress topic in a group without members. Both commit or neither does, so after any failure the watermark in Kafka
says what is published. It is mirrored in the journal after the commit, because the offsets of such a group expire.
`flush()` stands before the offsets: without it they race the records' registration and each kafka_txn costs 100 ms.

What has waited for more than a moment is looked up in the journal first: a worker that stood still while the journal
was put back in time would tell what is forgotten, behind the newer news of whoever found it out again.

The loop's body is `turn`, which needs no thread (`turns.py`): the simulation steps it on a `KafkaDoor` of its own.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from db_client.moves import Numbered
from handlers.domain.errors import SessionOver, Unavailable
from worker.kafka_admin import progress_group, read_watermark, transactional_id
from worker.telemetry import Metrics, log, where
from worker.turns import AT_ONCE, Pause, Turn, go_through

_MAX_BATCH: Final = 500
_MAX_PENDING: Final = 10_000
_GATHER_S: Final = 0.004  # what concludes within this time shares a kafka_txn
_REST_S: Final = 0.5
_TIMEOUT_S: Final = 30.0
_FRESH: Final = timedelta(seconds=1)


def _producer(properties: dict[str, Any]) -> Producer:
    return Producer(properties)


def _member_of_nothing(properties: dict[str, Any]) -> Any:
    """The metadata of a group that nobody joins: under it the watermark moves."""
    consumer = Consumer(properties)
    metadata = consumer.consumer_group_metadata()
    consumer.close()
    return metadata


@dataclass(frozen=True, slots=True)
class KafkaDoor:
    """How the publisher reaches Kafka. Each raises KafkaException, `watermark` Unavailable."""

    producer: Callable[[dict[str, Any]], Producer] = _producer
    metadata: Callable[[dict[str, Any]], Any] = _member_of_nothing
    watermark: Callable[..., int | None] = read_watermark


class Publisher:
    """Publishes what `put` hands over. `told` hears each new watermark, `on_over` that this session ends."""

    def __init__(
        self,
        properties: Mapping[str, str],
        *,
        group: str,
        session_id: str,
        progress_topic: str,
        transaction_timeout_s: float,
        metrics: Metrics,
        now: Callable[[], datetime],
        session_alive: Callable[[], bool],
        on_over: Callable[[SessionOver], None],
        kafka: KafkaDoor | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._properties = dict(properties)
        self._group = group
        self._session_id = session_id
        self._progress = progress_topic
        self._transaction_timeout_s = transaction_timeout_s
        self._metrics = metrics
        self._now = now
        self._session_alive = session_alive
        self._on_over = on_over
        self._kafka = kafka or KafkaDoor()
        self._monotonic = monotonic
        self._pending: deque[Numbered] = deque()
        self._wake = threading.Condition()
        self._stopping = False
        self._closed = False
        self._producer: Producer | None = None
        self._metadata: Any = None
        self.told: Callable[[int], None] = lambda _watermark: None
        self.ended: Callable[[], bool] = lambda: False
        self.holds: Callable[[int], bool] = lambda _number: True
        self.watermark = 1
        self.beat = monotonic()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Claim the producer's identity, then begin. Raises Unavailable."""
        self.claim()
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self._thread.start()

    def put(self, rows: Sequence[Numbered]) -> None:
        """Rows of one journal commit, in number order. Called in commit order."""
        with self._wake:
            self._pending.extend(rows)
            self._wake.notify()

    @property
    def waiting(self) -> int:
        """Rows that are committed and not yet published."""
        return len(self._pending)

    @property
    def keeps_up(self) -> bool:
        """False while so much is untold that no more should be charged: intake pauses."""
        return len(self._pending) < _MAX_PENDING

    def stop(self, *, grace_s: float) -> None:
        """Publish what is left, for at most `grace_s`, then end."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join(timeout=grace_s)
        # A thread that hangs in a call to a dead broker comes back later, when the session's row is ended and its
        # rows belong to another session: it must never claim the fenced identity again.
        self._closed = True

    def _lives(self) -> None:
        """A sign of life before each call that may take its time-out; where one hangs for longer, the session ends."""
        self.beat = self._monotonic()

    def _insist_ours(self) -> None:
        if self._closed or not self._session_alive():
            raise SessionOver("this session has ended: its producer publishes no more")

    def _insist_known(self, row: Numbered) -> None:
        if self._now() - row.created_at > _FRESH and not self.holds(row.number):
            raise SessionOver("the journal does not know what this session was to publish")

    def _run(self) -> None:
        try:
            while self._rows_have_come():
                go_through(self.turn())
        except SessionOver as over:
            self._on_over(over)
        except Exception as crash:  # noqa: BLE001 - the thread's door: its death must end the session, not hide
            log.error("the publisher crashed", why=where(crash))
            self._on_over(SessionOver(f"the publisher crashed: {where(crash)}"))

    def _rows_have_come(self) -> bool:
        """Rest until there is something to publish, or a while; False once stopped with nothing left."""
        with self._wake:
            if not self._pending:
                if self._stopping:
                    return False
                self._wake.wait(timeout=_REST_S)
        if self._pending and len(self._pending) < _MAX_BATCH and not self._stopping:
            time.sleep(_GATHER_S)
        return True

    def turn(self) -> Turn[None]:
        """One turn of the loop: what waits now is published in one kafka_txn. Raises SessionOver.

        After a failure it finds out where we stand, and the next turn comes again.
        """
        self._lives()
        with self._wake:
            batch = [self._pending[place] for place in range(min(_MAX_BATCH, len(self._pending)))]
        if not batch:
            return
        try:
            self._insist_known(batch[-1])
        except Unavailable as unavailable:  # before anything was begun that others would wait for
            log.warning("publishing waits", why=str(unavailable))
            yield Pause(_REST_S)
            return
        try:
            if self._producer is None:
                self.claim()  # which may find a part of `batch` published: gather anew
                return
            yield from self._transact(self._producer, batch)
        except KafkaException as failed:
            self._recover(failed.args[0])
            yield Pause(_REST_S)
        except Unavailable as unavailable:
            log.warning("publishing failed", why=str(unavailable))
            self._abort()
            yield Pause(_REST_S)
        else:
            self._published(batch[-1].number + 1)

    def _transact(self, producer: Producer, batch: Sequence[Numbered]) -> Turn[None]:
        """Produce, flush, move the watermark, commit.

        Without delivery callbacks: a record that Kafka refuses fails the whole kafka_txn, and a fatal error would come
        up inside of a callback, where it leaves the library as SystemError.
        """
        self._insist_ours()
        producer.begin_transaction()
        for row in batch:
            message = row.message
            producer.produce(
                message.topic,
                message.value,
                message.key,
                headers=list(message.headers),
            )
        yield AT_ONCE
        self._lives()
        left = producer.flush(_TIMEOUT_S)
        if left:
            raise Unavailable("Kafka", f"{left} unsent")
        yield AT_ONCE
        self._lives()
        offsets = [TopicPartition(self._progress, 0, batch[-1].number + 1)]
        producer.send_offsets_to_transaction(offsets, self._metadata, _TIMEOUT_S)
        yield AT_ONCE
        try:
            self._insist_known(batch[-1])  # it may have stood still since
        except SessionOver:
            self._abort()  # else the readers of these topics wait until it times out
            raise
        self._lives()
        producer.commit_transaction(_TIMEOUT_S)
        yield AT_ONCE

    def _published(self, watermark: int) -> None:
        now = self._now()
        with self._wake:
            while self._pending and self._pending[0].number < watermark:
                row = self._pending.popleft()
                self._metrics.published.labels(row.message.topic).inc()
                self._metrics.publish_lag_s.observe(
                    max(0.0, (now - row.created_at).total_seconds())
                )
        self.watermark = watermark
        self.told(watermark)

    def _recover(self, error: KafkaError) -> None:
        log.warning("a kafka_txn failed", why=error.str(), kind=error.name())
        self._insist_ours()
        if error.fatal():
            self._producer = None
        else:
            self._abort()

    def _abort(self) -> None:
        """Abort, or throw the producer away where even that fails. Either way the watermark says what is published."""
        producer = self._producer
        if producer is None:
            return
        try:
            self._lives()
            producer.purge()
            producer.abort_transaction(_TIMEOUT_S)
        except KafkaException:
            pass
        self._producer = None

    def claim(self) -> None:
        """A new producer under the same identity; then read what is published and forget it.

        Raises Unavailable (come again), SessionOver where the session ended: an ended one never claims its identity.
        """
        self._insist_ours()
        self._lives()
        producer = self._kafka.producer(
            {
                **self._properties,
                "transactional.id": transactional_id(self._group, self._session_id),
                "transaction.timeout.ms": int(self._transaction_timeout_s * 1000),
                "linger.ms": 5,
                "compression.type": "lz4",
                "error_cb": lambda _error: None,
                "log_level": "2",
            }
        )
        try:
            producer.init_transactions(_TIMEOUT_S)
            if self._metadata is None:
                group = progress_group(self._group, self._session_id)
                self._metadata = self._kafka.metadata(
                    {**self._properties, "group.id": group, "log_level": "2"}
                )
        except KafkaException as error:
            raise Unavailable("Kafka", error.args[0].str()) from None
        # The local lease may be wrong (a paused machine, a clock that was set): the janitor ends the row before it
        # fences, so whoever claims the identity after that sees here that it is no longer theirs.
        if self.ended():
            raise SessionOver("this session was ended by another: its producer publishes no more")
        self._lives()
        mark = self._kafka.watermark(
            self._properties, group=self._group, session_id=self._session_id, topic=self._progress
        )
        self._producer = producer
        if mark is not None and mark > self.watermark:
            self._published(mark)
