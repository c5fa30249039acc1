"""A consumer group in memory, as the classic protocol deals partitions: by range, all revoked and all dealt anew.

A rebalance waits for every member to come back (each gives up what it has at its next poll); who is silent for longer
than the session timeout is left behind. What it does not model: how long joining takes, and members that are alive but
do not poll (`max.poll.interval.ms`).
"""

from collections.abc import Callable, Iterable
from typing import Protocol

from tests.simulation.memory_kafka_log import Place


class Liveness(Protocol):
    """The process that a client lives in (`sim_process.Process`): its heartbeats stop with it."""

    silent_since: float | None
    on_silence: list[Callable[[], None]]
    on_wake: list[Callable[[], None]]


class Member:
    """One consumer in its group. `dealt`: what it was given and has not taken on yet; `out`: it was left behind."""

    __slots__ = ("dealt", "hear", "is_back", "member_id", "out", "process", "timeout_s", "topics")

    def __init__(
        self,
        member_id: str,
        *,
        topics: tuple[str, ...],
        timeout_s: float,
        process: Liveness | None,
        hear: Callable[[], None],
    ) -> None:
        self.member_id = member_id
        self.topics = topics
        self.timeout_s = timeout_s
        self.process = process
        self.hear = hear
        self.is_back = True
        self.out = False
        self.dealt: list[Place] | None = None


class Group:
    """One consumer group: its members, its generation, and its committed offsets."""

    __slots__ = ("generation", "members", "name", "offsets", "prepares")

    def __init__(self, name: str) -> None:
        self.name = name
        self.offsets: dict[Place, int] = {}
        self.members: dict[str, Member] = {}
        self.generation = 0
        self.prepares = False

    def join(self, member: Member, partitions: Callable[[str], int]) -> None:
        """A new member; everybody has to come back. `partitions`: how many a topic has."""
        self.prepare()
        self.members[member.member_id] = member
        self.come_back(member, partitions)

    def come_back(self, member: Member, partitions: Callable[[str], int]) -> None:
        """The member gave up what it had."""
        member.is_back = True
        self._deal_if_all_are_back(partitions)

    def leave(self, member: Member, partitions: Callable[[str], int]) -> None:
        """The member is gone, of its own will or not."""
        if self.members.pop(member.member_id, None) is None:
            return
        member.out = True
        member.hear()
        if self.members:
            self.prepare()
        self._deal_if_all_are_back(partitions)

    def expire(self, now_s: float, *, since_s: float, partitions: Callable[[str], int]) -> None:
        """Leave behind who was silent for too long; nobody was before `since_s`, when the broker came back."""
        for member in list(self.members.values()):
            silent_since = None if member.process is None else member.process.silent_since
            if silent_since is not None and now_s - max(silent_since, since_s) >= member.timeout_s:
                self.leave(member, partitions)

    def prepare(self) -> None:
        """Everybody has to come back."""
        if self.prepares:
            return  # who is back already stays back
        self.prepares = True
        for member in self.members.values():
            member.is_back = False
            member.dealt = None
            member.hear()

    def _deal_if_all_are_back(self, partitions: Callable[[str], int]) -> None:
        if not self.prepares or not all(it.is_back for it in self.members.values()):
            return
        self.prepares = False
        self.generation += 1
        for member in self.members.values():
            member.dealt = []
        for topic in sorted({topic for it in self.members.values() for topic in it.topics}):
            self._deal(topic, partitions(topic))
        for member in self.members.values():
            member.hear()

    def _deal(self, topic: str, count: int) -> None:
        """By range: neighbours stay together, the first members get one more where it does not come out even."""
        takers = [it for _, it in sorted(self.members.items()) if topic in it.topics]
        first = 0
        for place, taker in enumerate(takers):
            some = count // len(takers) + (place < count % len(takers))
            assert taker.dealt is not None
            taker.dealt += [(topic, number) for number in range(first, first + some)]
            first += some


def forget(groups: Iterable[Group], topic: str) -> None:
    """A deleted topic takes its offsets along."""
    for group in groups:
        for place in [it for it in group.offsets if it[0] == topic]:
            del group.offsets[place]
