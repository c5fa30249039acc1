"""Intake: one thread owns the consumer. Poll, decode, admit in one commit of the journal, only then commit the offsets.

It starts each partition at the journal's position, and what the journal may have forgotten is admitted as suspect
(`placing.py`); when the database was started anew, both are found out again, and what was judged before that is not
admitted. While anything that a payment needs is down, or enough is in flight, the partitions are paused and polling
goes on, so that the member stays in its group. Nothing here waits without a bound. A topic whose fuse has blown
(`fuse.py`) stays paused.

The loop's body is `turn`, which needs no thread (`turns.py`): the simulation steps it with a consumer of its own.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from db_client.group_commit import JournalRefusedError
from db_client.moves import Admission, Admit, Admitted, DeadLetter, Fate
from handlers.domain.errors import SessionOver, Unavailable
from worker.dead_letters import Record, reason_of
from worker.decode import Decoder
from worker.doors import CrewDoor, JournalDoor
from worker.fuse import Blown, Fuse
from worker.offsets import Offsets
from worker.placing import Places
from worker.records import Read, came_out_as, flaw_of, to_record, weighed
from worker.telemetry import Metrics, log, where
from worker.turns import AT_ONCE, Pause, Turn, go_through

_POLL_S: Final = 0.05
_SETTLE_S: Final = 5.0
_PAUSE_S: Final = 1.0


def _connected(properties: dict[str, Any]) -> Consumer:
    return Consumer(properties)


@dataclass(slots=True)
class Intake:
    """The consumer's thread. `connect` makes the consumer; `monotonic` counts seconds, for beats and second tries."""

    properties: dict[str, Any]
    topics: Sequence[str]
    decoder: Decoder
    journal: JournalDoor
    crew: CrewDoor
    metrics: Metrics
    batch: int
    now: Callable[[], datetime]
    fuse: Fuse
    eager: bool  # each rebalance takes all partitions and deals them anew
    unhindered: frozenset[str]  # topics that are read however much waits: they can end the waiting
    on_over: Callable[[SessionOver], None]
    offsets: Offsets
    connect: Callable[[dict[str, Any]], Consumer] = _connected
    monotonic: Callable[[], float] = time.monotonic
    beat: float = field(default_factory=time.monotonic)
    ready: bool = False
    _paused: bool = False
    _crowded: bool = False
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _places: Places = field(init=False)

    def __post_init__(self) -> None:
        self._places = Places(
            self.journal,
            self.offsets,
            now=self.now,
            max_age_s=self.decoder.max_age_s,
            monotonic=self.monotonic,
        )

    def start(self) -> None:
        """Join the group and begin."""
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)
        self._thread.start()

    def stop(self, *, grace_s: float) -> None:
        """Leave the group."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=grace_s)

    def _run(self) -> None:
        consumer = self.connect(self.properties)
        try:
            self.join(consumer)
            while not self._stop.is_set():
                go_through(self.turn(consumer))
        except SessionOver as over:
            self.on_over(over)
        except Exception as crash:  # noqa: BLE001 - the thread's door: its death must end the session, not hide
            log.error("intake crashed", why=where(crash))
            self.on_over(SessionOver(f"intake crashed: {where(crash)}"))
        finally:
            consumer.close()

    def join(self, consumer: Consumer) -> None:
        """Let this consumer become a member of the group; its partitions come with the turns."""
        consumer.subscribe(
            list(self.topics),
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_revoke,
        )

    def turn(self, consumer: Consumer) -> Turn[None]:
        """One turn of the loop: what can be read now is admitted. Raises SessionOver."""
        self.beat = self.monotonic()
        if self._places.outlived:
            log.warning("the journal was started anew: partitions are placed anew")
            self._places.give_up()
        yield from self._place(consumer)
        self._settle(consumer)
        room = self._breathe(consumer)
        messages = consumer.consume(min(room, self.batch) or 1, timeout=_POLL_S)
        yield from self._handle(consumer, messages)

    def stale_topic(self, ids: Mapping[str, str]) -> str:
        """A topic of ours whose id is not the one of `ids` (topic name → id) any more, or ""."""
        for (topic, _), part in list(self._places.of.items()):
            if topic in ids and ids[topic] != part.topic_id:
                return topic
        return ""

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        try:
            self._assign(consumer, partitions)
        except (Unavailable, KafkaException) as error:
            log.warning("partitions wait for their position", count=len(partitions), why=str(error))
            self._take_on(consumer, partitions)
            consumer.pause(partitions)
            self._places.waiting.extend(partitions)

    def _assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Assign at the journal's position. Raises Unavailable before anything is assigned."""
        placed = self._places.place(consumer, partitions)
        self._take_on(consumer, placed)
        waiting = [it for it in placed if self._paused or not self._may_be_read(it.topic)]
        # A pause outlives revocation and assignment in librdkafka: without this, a partition that was given back while
        # it was paused would never be read again.
        consumer.resume([it for it in placed if it not in waiting])
        if waiting:
            consumer.pause(waiting)
        self.ready = True
        for it in placed:
            log.info("partition assigned", topic=it.topic, partition=it.partition, offset=it.offset)

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._places.forget(partitions)
        if self.eager:
            consumer.unassign()
        else:
            consumer.incremental_unassign(partitions)

    def _take_on(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        (consumer.assign if self.eager else consumer.incremental_assign)(partitions)

    def _place(self, consumer: Consumer) -> Turn[None]:
        """Try again what could not be placed when it was assigned."""
        places = self._places
        if not places.waiting:
            return
        try:
            self.journal.topic_ids(sorted({it.topic for it in places.waiting}))
        except Unavailable:
            yield Pause(_POLL_S)
            return
        waiting, places.waiting = places.waiting, []
        if not self.eager:
            consumer.incremental_unassign(waiting)
        self._on_assign(consumer, waiting)

    def _breathe(self, consumer: Consumer) -> int:
        """Pause where there is no room, resume where there is; returns the room."""
        room = self.crew.room()
        if (room <= 0) != self._paused:
            self._paused = room <= 0
            self.metrics.intake_paused.set(int(self._paused))
            parts = self._parts(self._may_be_read)
            (consumer.pause if self._paused else consumer.resume)(parts)
        if self.crew.crowded != self._crowded:
            self._crowded = not self._crowded
            crowd = self._parts(lambda topic: topic not in self.unhindered)
            if self._crowded:
                log.warning("too much waits: intake reads only what can end it")
                consumer.pause(crowd)
            elif not self._paused:
                consumer.resume([it for it in crowd if self._may_be_read(it.topic)])
        return max(room, 0)

    def _may_be_read(self, topic: str) -> bool:
        if self._crowded and topic not in self.unhindered:
            return False
        return topic not in self.fuse.blown

    def _parts(self, wanted: Callable[[str], bool]) -> list[TopicPartition]:
        return [TopicPartition(topic, number) for topic, number in self._places.of if wanted(topic)]

    def _handle(self, consumer: Consumer, messages: Sequence[Message]) -> Turn[None]:
        records = [it for it in (self._record(message) for message in messages) if it is not None]
        if not records:
            return
        under = self._places.incarnations
        decoded = yield from self._decoded(consumer, records)
        read = self._fused(consumer, decoded)
        move = replace(self._move(read), judged_under=under)
        yield AT_ONCE
        admitted = yield from self._admitted(consumer, move)
        if admitted is None:
            self._places.give_up()  # so that all of it is read again
            return
        self._commit_offsets(consumer, move)
        self._count(move, admitted)
        fates = iter(admitted.fates)
        came_out = [(record, found, came_out_as(found, fates)) for record, found in read]
        blown = self.fuse.count([weighed(record, flaw) for record, _, flaw in came_out])
        if blown is not None:
            self._stop_topic(consumer, blown)
        self.crew.take(admitted.operations)

    def _fused(self, consumer: Consumer, read: Sequence[Read]) -> list[Read]:
        """What of the batch may be admitted: nothing of a topic whose records have gone bad all at once."""
        kept = list(read)
        while blown := self.fuse.judge([weighed(it, flaw_of(found)) for it, found in kept]):
            dropped = [it.source for it, _ in kept if it.source.topic == blown.topic]
            kept = [(it, found) for it, found in kept if it.source.topic != blown.topic]
            self._stop_topic(consumer, blown)
            for partition in sorted({it.partition for it in dropped}):
                first = min(it.offset for it in dropped if it.partition == partition)
                consumer.seek(TopicPartition(blown.topic, partition, first))
        return kept

    def _stop_topic(self, consumer: Consumer, blown: Blown) -> None:
        log.error("the fuse has blown", topic=blown.topic, why=blown.why)
        self.metrics.fuse_blown.labels(blown.topic).set(1)
        consumer.pause(self._parts(lambda topic: topic == blown.topic))

    def _record(self, message: Message) -> Record | None:
        error = message.error()
        if error is not None:
            if error.fatal():
                raise SessionOver(f"the consumer died: {error.str()}")
            if error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - the library's public constant has this name
                log.warning("the consumer reports", why=error.str())
            return None
        part = self._places.of.get((str(message.topic()), message.partition() or 0))
        if part is None:
            return None  # taken away meanwhile: its next owner starts from the journal's position
        return to_record(message, part)

    def _move(self, read: Sequence[Read]) -> Admit:
        admissions: list[Admission] = []
        letters: list[DeadLetter] = []
        positions: dict[tuple[str, str, int], int] = {}
        since: dict[tuple[str, str, int], datetime] = {}
        for record, found in read:
            source = record.source
            if isinstance(found, Admission):
                admissions.append(found)
            else:
                letters.append(found)
                self.metrics.dead_letters.labels(reason_of(found)).inc()
                log.warning(
                    "dead letter",
                    reason=reason_of(found).value,
                    topic=source.topic,
                    partition=source.partition,
                    offset=source.offset,
                )
            place = source.topic, source.topic_id, source.partition
            positions[place] = source.offset + 1
            if record.suspect_since is not None:
                since[place] = record.suspect_since
        return Admit(admissions, letters, positions, since)

    def _decoded(self, consumer: Consumer, records: Sequence[Record]) -> Turn[list[Read]]:
        """Decode; a schema registry or key set that is down pauses intake and never fills the dead letters."""
        read: list[Read] = []
        while len(read) < len(records):
            record = records[len(read)]
            try:
                read.append((record, self.decoder.decode(record, now=self.now())))
            except Unavailable as unavailable:
                log.warning("intake waits", why=str(unavailable))
                self._keep_polling(consumer, _PAUSE_S)
                yield AT_ONCE
                if self._stop.is_set():
                    raise SessionOver(f"stopped while it waited: {unavailable}") from None
        return read

    def _admitted(self, consumer: Consumer, move: Admit) -> Turn[Admitted | None]:
        """Wait for the commit; a record that the database refuses is found by bisection and becomes a dead letter."""
        try:
            return (yield from self._await(consumer, self.journal.admit(move)))
        except JournalRefusedError as refused:
            log.error("the journal refuses a batch", count=len(move.admissions), why=str(refused))
        if len(move.admissions) > 1:
            middle = len(move.admissions) // 2
            half = Admit(move.admissions[:middle], [], {}, judged_under=move.judged_under)
            first = yield from self._admitted(consumer, half)
            rest = replace(move, admissions=move.admissions[middle:])
            second = yield from self._admitted(consumer, rest)
            if first is None or second is None:
                return None
            return Admitted([*first.fates, *second.fates], [*first.operations, *second.operations])
        bad = [DeadLetter(it.source, it.refused()) for it in move.admissions]
        letters = replace(move, admissions=[], dead_letters=[*move.dead_letters, *bad])
        written = yield from self._await(consumer, self.journal.admit(letters))
        return written and Admitted([Fate.REFUSED for _ in bad], [])

    def _await(
        self, consumer: Consumer, future: "Future[Admitted | None]"
    ) -> Turn[Admitted | None]:
        """The commit's result; meanwhile the member stays in its group by polling paused partitions."""
        while True:
            yield Pause(_PAUSE_S, until=future)
            if future.done():
                return future.result()
            self._keep_polling(consumer, 0.0)

    def _keep_polling(self, consumer: Consumer, seconds: float) -> None:
        """Poll without taking anything: all is paused, and what was fetched before is fetched again later."""
        self._settle(consumer)
        parts = self._parts(lambda _: True)
        if not self._paused:
            self._paused = True
            self.metrics.intake_paused.set(1)
            consumer.pause(parts)
        self.beat = self.monotonic()
        for message in consumer.consume(1, timeout=max(seconds, _POLL_S)):
            topic, partition, offset = message.topic(), message.partition(), message.offset()
            if message.error() is None and topic and partition is not None and offset is not None:
                consumer.seek(TopicPartition(topic, partition, offset))

    def _commit_offsets(self, consumer: Consumer, move: Admit) -> None:
        """Tell Kafka how far was read."""
        for (topic, topic_id, partition), offset in move.positions.items():
            if (topic, partition) in self._places.of:
                self.offsets.note(topic, partition, topic_id=topic_id, offset=offset)
        self._settle(consumer)

    def _settle(self, consumer: Consumer) -> None:
        """Kafka hears what it has not heard; what waits for that goes on."""
        self._places.catch_up()
        news = self.offsets.commit(consumer)
        news |= self.offsets.ask(consumer, lambda: self.journal.topic_ids(self.topics))
        if news:
            self.crew.wake()

    def _count(self, move: Admit, admitted: Admitted) -> None:
        for fate in admitted.fates:
            self.metrics.admitted.labels(fate.value).inc()
            if fate is Fate.CONFLICT:
                self.metrics.dead_letters.labels("conflict").inc()
                log.warning("dead letter", reason="conflict")
        suspects = sum(operation.suspect for operation in admitted.operations)
        if suspects:
            log.warning(
                "suspect commands: the gateway is asked before they may be sent", count=suspects
            )
        if move.dead_letters:
            self.metrics.admitted.labels("dead_letter").inc(len(move.dead_letters))
