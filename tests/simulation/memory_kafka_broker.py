"""What the broker in memory keeps: topics, groups, producers' identities and their kafka_txns, and how it can fail.

The clients on it are `memory_kafka_consumer.py` and `memory_kafka_producer.py`; the door to all is `memory_kafka.py`.
Everything happens at once, on the thread and at the simulated time of the call; what falls due by itself (a silent
member, a kafka_txn past its time) is looked for when it could be seen.
"""

import asyncio
from collections.abc import Callable
from enum import Enum
from itertools import count
from typing import Final

from confluent_kafka import KafkaError, KafkaException

from tests.simulation.memory_kafka_group import Group, Liveness, forget
from tests.simulation.memory_kafka_log import (
    Headers,
    MemoryMessage,
    Partition,
    Topic,
    Txn,
    TxnState,
)

_A_MOMENT_S: Final = (
    1e-6  # sums of seconds are not exact: at the very moment nobody might be late yet
)


class Fault(Enum):
    """How one call of a client goes wrong; to the client both look the same."""

    UNHEARD = "unheard"  # the broker never got it
    UNANSWERED = "unanswered"  # the broker did it, and the client hears nothing


Faults = Callable[[str, str], Fault | None]


def failure(
    code: int, words: str, *, fatal: bool = False, retriable: bool = False
) -> KafkaException:
    """The client library's exception."""
    return KafkaException(KafkaError(code, words, fatal, retriable))


class Identity:
    """One transactional id: who has it now is told by the epoch."""

    __slots__ = ("epoch", "txn")

    def __init__(self) -> None:
        self.epoch = -1
        self.txn: Txn | None = None


class MemoryBroker:
    """One cluster. `faults` is asked for every call of a client: by the method's name and the client's id.

    The methods are those of the client library, and `describe_topics`; the id is the transactional id or the group.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, *, starts_at_ms: int = 0) -> None:
        self.loop = loop
        self.topics: dict[str, Topic] = {}
        self.groups: dict[str, Group] = {}
        self.identities: dict[str, Identity] = {}
        self.faults: Faults | None = None
        self.numbers = count(1)
        self._starts_at_ms = starts_at_ms
        self._open: dict[Identity, None] = {}  # those with an open kafka_txn
        self._away_since_s: float | None = None
        self._back_s = 0.0
        self._later: list[Callable[[], None]] = []

    # Topics

    def make_topic(self, name: str, partitions: int) -> Topic:
        """A new topic, empty, under an id that no other has."""
        assert name not in self.topics, name
        topic = Topic(name, f"topic-{next(self.numbers):06d}")
        topic.partitions = [Partition(name, number) for number in range(partitions)]
        self.topics[name] = topic
        return topic

    def delete_topic(self, name: str) -> None:
        """The topic goes with its records and with the groups' offsets of it; its readers are told nothing."""
        for partition in self.topics.pop(name).partitions:
            partition.gone = True
        forget(self.groups.values(), name)

    def append(
        self, topic: str, key: bytes | None, *, value: bytes | None, headers: Headers = ()
    ) -> MemoryMessage:
        """One acknowledged record of a producer without transactions."""
        place = self.topics[topic].of(key)
        return place.append(key, value, headers=headers, timestamp_ms=self.now_ms())

    def now_ms(self) -> int:
        """Milliseconds since 1970."""
        return self._starts_at_ms + int(self.loop.time() * 1000)

    # Being there

    @property
    def is_away(self) -> bool:
        """Whether nobody can reach it."""
        return self._away_since_s is not None

    def go_away(self) -> None:
        """Nothing that a client asks reaches it any more."""
        if self._away_since_s is None:
            self._away_since_s = self.loop.time()

    def come_back(self) -> None:
        """It is there again with all that it had; who it has not heard of for a session timeout has to come back."""
        if self._away_since_s is None:
            return
        away_s = self.loop.time() - self._away_since_s
        self._away_since_s, self._back_s = None, self.loop.time()
        later, self._later = self._later, []
        for what in later:
            what()
        for group in self.groups.values():
            timeouts_s = [it.timeout_s for it in group.members.values()]
            if timeouts_s and away_s >= min(timeouts_s):
                group.prepare()
            for timeout_s in timeouts_s:
                self.loop.call_later(timeout_s + _A_MOMENT_S, self.look)
        for topic in self.topics.values():
            for partition in topic.partitions:
                partition.stir()

    def when_back(self, what: Callable[[], None]) -> None:
        """Do it now, or as soon as the broker is back."""
        if self._away_since_s is None:
            what()
        else:
            self._later.append(what)

    def fault(self, call: str, client: str) -> Fault | None:
        """What goes wrong with this call."""
        if self._away_since_s is not None:
            return Fault.UNHEARD
        return None if self.faults is None else self.faults(call, client)

    # Groups

    def group(self, name: str) -> Group:
        """The group of this name, with or without members."""
        group = self.groups.get(name)
        if group is None:
            group = self.groups[name] = Group(name)
        return group

    def count(self, topic: str) -> int:
        """How many partitions it has; 0 where it does not exist."""
        found = self.topics.get(topic)
        return 0 if found is None else len(found.partitions)

    def watch(self, process: Liveness, *, timeout_s: float) -> None:
        """A member lives in this process: what its silence means is noticed in time, and before it wakes."""

        def look_then() -> None:
            self.loop.call_later(timeout_s + _A_MOMENT_S, self.look)

        process.on_silence.append(look_then)
        process.on_wake.append(self.look)

    def look(self) -> None:
        """Leave silent members behind."""
        if self._away_since_s is None:
            for group in self.groups.values():
                group.expire(self.loop.time(), since_s=self._back_s, partitions=self.count)

    # kafka_txns

    def identity(self, name: str) -> Identity:
        """The transactional id's present state."""
        identity = self.identities.get(name)
        if identity is None:
            identity = self.identities[name] = Identity()
        return identity

    def begun(self, identity: Identity, *, timeout_s: float) -> Txn:
        """Its open kafka_txn; the first thing sent begins it."""
        if identity.txn is None:
            identity.txn = Txn(until_s=self.loop.time() + timeout_s)
            self._open[identity] = None
        return identity.txn

    def end(self, identity: Identity, state: TxnState) -> None:
        """Commit or abort what is open."""
        txn, identity.txn = identity.txn, None
        self._open.pop(identity, None)
        if txn is None:
            return
        txn.end(state)
        if state is TxnState.COMMITTED:
            for (group, place), offset in txn.offsets.items():
                if place[0] in self.topics:
                    self.group(group).offsets[place] = offset

    def end_overdue(self) -> None:
        """Abort the kafka_txns that are past their time; their producers are fenced by it."""
        if self._open:
            for identity in list(self._open):
                if identity.txn is not None and identity.txn.until_s <= self.loop.time():
                    self.end(identity, TxnState.ABORTED)
                    identity.epoch += 1

    def is_undecided(self, group: str, place: tuple[str, int]) -> bool:
        """Whether an open kafka_txn may still move this offset."""
        return any(
            identity.txn is not None and (group, place) in identity.txn.offsets
            for identity in self._open
        )
