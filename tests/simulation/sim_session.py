"""One session of a simulated worker: the real parts, on the world's journal, broker, gateway and db-service.

What `worker/parts.py` does with threads and connections is done here with tasks, in the same order.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from db_client.journal import Journal
from db_client.moves import Mirror, Numbered
from db_client.sessions import Started
from handlers.domain.errors import SessionOver, Unavailable
from handlers.passage import House
from handlers.ports import Operation
from tests.simulation.memory_journal_faults import Faults
from tests.simulation.memory_journal_finders import MemoryObservations
from tests.simulation.memory_journal_reading import MemoryReader
from tests.simulation.memory_journal_sessions import MemoryLease
from tests.simulation.memory_kafka_consumer import MemoryConsumer
from tests.simulation.memory_records import MemoryRecords
from tests.simulation.sim_commits import SimCommits
from tests.simulation.sim_nap import Bell
from tests.simulation.sim_process import Process
from tests.simulation.sim_quiet import METRICS
from tests.simulation.sim_rounds import Alarm, SimFinder, SimJanitor
from tests.simulation.sim_terms import (
    ACCOUNT,
    BEGIN,
    COMMAND_TOPICS,
    CURRENCY,
    DEAD_S,
    GROUP,
    KAFKA_SESSION_S,
    KAFKA_TXN_S,
    LEASE_S,
    LONGEST_SEND_S,
    TICK_S,
    TOPICS,
    WALK_S,
)
from tests.simulation.sim_turns import keep_publishing, keep_reading
from tests.simulation.sim_ways import Ways
from tests.simulation.sim_wire import SEALER
from tests.simulation.sim_world import World
from worker.dead_letters import orphan_letter
from worker.fuse import Fuse, FuseSettings
from worker.janitor import Rounds
from worker.routes import VERIFICATION
from worker.walking import Walker

_AGAIN_S: Final = 1.0
_GRACE_S: Final = 1.0
_GATHER_S: Final = 0.05
_IN_FLIGHT: Final = 8
_BATCH: Final = 6
_MOST_WAITING: Final = 1000
_NEVER_BLOWS: Final = FuseSettings()
_UNHINDERED: Final = frozenset({VERIFICATION})
_CONSUMER: Final = {"session.timeout.ms": int(KAFKA_SESSION_S * 1000), "group.id": GROUP}


@dataclass(slots=True, eq=False)
class Door:
    """The journal as intake sees it."""

    reader: MemoryReader
    commits: SimCommits
    world: World

    def positions(self, topic_id: str) -> Any:
        """Partition → how far it was read."""
        return self.reader.positions(topic_id)

    @property
    def incarnation(self) -> str:
        """Of the database, as it was when this session last reached it."""
        return self.commits.incarnation

    def admit(self, move: Any) -> Any:
        """One batch in one commit."""
        return self.commits.submit(move)

    def topic_ids(self, names: Any) -> dict[str, str]:
        """Topic name → the cluster's id of it."""
        return self.world.kafka.topic_ids(names)


class Session:
    """The living parts, joined as `worker/parts.py` joins them."""

    def __init__(
        self,
        world: World,
        process: Process,
        *,
        ways: Ways,
        faults: Faults,
        started: Started,
        taken_at: float,
        wall: Callable[[], datetime],
    ) -> None:
        self.world, self.process, self.ways = world, process, ways
        self.session_id = session_id = started.session_id
        loop = world.loop
        self.over: asyncio.Future[SessionOver] = loop.create_future()
        self.consumers: list[MemoryConsumer] = []
        self.lease = lease = MemoryLease(
            world.database, started, taken_at, loop.time, wall, self.end
        )
        self.commits = ways.commits(
            world.database,
            session_id=session_id,
            incarnation=started.incarnation,
            limits=ways.limits,
            on_outbox=self._put,
            on_over=self.end,
            alive=lease.alive,
            faults=faults,
            later=loop.call_later,
            apply=world.witnessed(),
        )
        self.reader = MemoryReader(world.database, session_id)
        self.told = Bell(loop)  # to the publisher, of rows
        self.due = Bell(loop)  # to the janitor
        self.asked = Bell(loop)  # to the finder
        self._make_parts()

    def _make_parts(self) -> None:
        world, ways, loop, lease = self.world, self.ways, self.world.loop, self.lease
        session_id = self.session_id
        self.publisher = ways.publisher(
            {},
            group=GROUP,
            session_id=session_id,
            progress_topic=TOPICS.progress,
            transaction_timeout_s=KAFKA_TXN_S,
            metrics=METRICS,
            now=lease.now,
            session_alive=lease.alive,
            on_over=self.end,
            kafka=world.door,
            monotonic=loop.time,
        )
        self.publisher.told = lambda mark: self.commits.post(Mirror(mark))
        self.publisher.ended, self.publisher.holds = self.reader.ended, self.reader.holds
        self.gateway = ways.gateway(
            world.ledger,
            lease=lease,
            sleep=loop.sleep,
            session=session_id,
            witness=world.known,
            step=world.step,
            settings=ways.door,
        )
        self.records = MemoryRecords(
            world.service, fates=world.record_fates, sleep=loop.sleep, session=session_id
        )
        self.offsets = ways.offsets(loop.time)
        self._make_crew()
        self._make_intake()
        self.janitor = self._janitor()
        self.janitor.alarm = world.alarms[session_id] = Alarm(
            world.database,
            session_id,
            loop=loop,
            bell=self.due,
            stray=lambda: world.stray(session_id),
        )
        world.bells[session_id] = self.asked
        self.commits.on_granted = self.janitor.poke
        self.finder = self._finder()

    def _make_crew(self) -> None:
        journal: Any = self.commits
        house = House(
            gateway=self.gateway,
            journal=Journal(journal, deadline_s=LONGEST_SEND_S),
            records=self.records,
            wire=self.world.said,
            clock=self.lease,
            rules=self.ways.rules,
        )
        self.crew = self.ways.crew(
            self.ways.house(house),
            in_flight=_IN_FLIGHT,
            most_waiting=_MOST_WAITING,
            healthy=self._is_healthy,
            heard=self._is_heard,
            metrics=METRICS,
            on_over=self.end,
            loop=self.world.loop,
        )

    def _is_heard(self, of: Operation) -> bool:
        """Intakes that may be asleep ask Kafka, or tell it, where it has not heard; they would look around anyway."""
        heard = self.offsets.heard(of)
        if not heard:
            for consumer in self.world.consumers.values():
                consumer.on_news()
        return heard

    def _make_intake(self) -> None:
        world = self.world
        door: Any = Door(self.reader, self.commits, world)
        decoder: Any = world.decoder
        self.intake = self.ways.intake(
            properties=_CONSUMER,
            topics=COMMAND_TOPICS,
            decoder=decoder,
            journal=door,
            crew=self.crew,
            metrics=METRICS,
            batch=_BATCH,
            now=self.lease.now,
            fuse=Fuse(_NEVER_BLOWS),
            eager=True,
            unhindered=_UNHINDERED,
            on_over=self.end,
            offsets=self.offsets,
            connect=self._connect,
            monotonic=world.loop.time,
        )

    def _connect(self, properties: dict[str, Any]) -> Any:
        made = self.world.kafka.consumer(properties, process=self.process)
        self.consumers.append(made)
        self.world.consumers[self.session_id] = made
        return made

    def _is_healthy(self) -> bool:
        return (
            self.commits.available
            and self.gateway.available
            and self.records.available
            and self.publisher.keeps_up
        )

    def _janitor(self) -> SimJanitor:
        world = self.world

        def fenced(dead: str) -> int | None:
            return world.kafka.fence({}, group=GROUP, session_id=dead, topic=TOPICS.progress)

        def dead_letter(orphan: Any) -> Any:
            record = world.said.command(orphan.command, traceparent="")
            return orphan_letter(orphan, record, sealer=SEALER, now=self.lease.now())

        return self.ways.janitor(
            database=world.database,
            bell=self.due,
            reader=self.reader,
            sessions=self.ways.sessions(world.database, self.session_id, GROUP, LEASE_S),
            commits=self.commits,
            crew=self.crew,
            fence=fenced,
            stale_topic=lambda: "",
            letter=dead_letter,
            deadline_s=LONGEST_SEND_S,
            rounds=Rounds(TICK_S, DEAD_S),
            metrics=METRICS,
            loop=world.loop,
        )

    def _finder(self) -> SimFinder:
        parts: Any = {"commits": self.commits, "crew": self.crew}
        observations: Any = MemoryObservations(self.world.database, self.session_id)
        walker = Walker(
            lists=self.gateway,
            observations=observations,
            now=self.lease.now,
            signing_key=b"k" * 32,
            **parts,
        )
        return self.ways.finder(
            bell=self.asked,
            accounts={ACCOUNT: CURRENCY},
            reader=self.reader,
            walk=walker.walk,
            walk_every_s=WALK_S,
            tick_s=TICK_S,
            **parts,
        )

    # Its life

    def end(self, over: SessionOver) -> None:
        """It is over; from now on the gate lets nothing pass."""
        self.lease.revoke()
        if not self.over.done():
            self.over.set_result(over)
            if not self.hears_the_journal:
                self.be_gone()

    @property
    def hears_the_journal(self) -> bool:
        """Whether it can write down now what it hears, if only as evidence."""
        return self.commits.available and self.world.database.reaches(self.session_id)

    def be_gone(self) -> None:
        """From now on it cannot write down any more what it hears."""
        world = self.world
        at = BEGIN + timedelta(seconds=world.mute_since(self.session_id, self.process.name))
        world.gone_at.setdefault(self.session_id, at.timestamp())

    def leave(self) -> None:
        """Nothing wakes it any more."""
        self.world.alarms.pop(self.session_id, None)
        self.world.consumers.pop(self.session_id, None)
        self.world.bells.pop(self.session_id, None)

    def close(self) -> None:
        """After its end."""
        self.commits.stop()
        self.lease.stop()
        self.leave()

    async def run(self) -> int:
        """Live until the session is over; how many operations were left in the journal."""
        loop = self.world.loop
        self._keep_lease()
        await self._claim()
        tasks = [
            loop.create_task(
                self._guarded(
                    lambda: keep_publishing(self.publisher, self.told, gather_s=_GATHER_S)
                )
            ),
            loop.create_task(self._guarded(self.janitor.run)),
            loop.create_task(self._guarded(self.finder.run)),
            loop.create_task(self._guarded(lambda: keep_reading(self.intake))),
        ]
        await self.over
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for consumer in self.consumers:
            consumer.close()
        return await self.crew.drain(grace_s=_GRACE_S)

    async def _claim(self) -> None:
        """The publisher's identity, as soon as the broker gives it. Raises SessionOver."""
        while True:
            if self.over.done():
                raise self.over.result()
            try:
                self.publisher.claim()
            except Unavailable:
                await self.world.loop.sleep(_AGAIN_S)
            else:
                return

    async def _guarded(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await work()
        except SessionOver as over:
            self.end(over)

    def _keep_lease(self) -> None:
        """What the keeper's thread does. Intake, which may be asleep, hears of a journal that was started anew."""
        if self.consumers and self.intake._places.outlived:
            self.consumers[-1].on_news()
        if self.lease.tick():
            self.world.loop.call_later(self.lease.every_s, self._keep_lease)

    def _put(self, rows: Sequence[Numbered]) -> None:
        self.publisher.put(rows)
        self.told.ring()
