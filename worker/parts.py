"""The living parts of one session: how they are joined, started and stopped, and how each of them is.

Order of starting: the publisher claims its identity first, intake joins the group last. Stopping is the reverse: no new
commands, what is in flight finishes, what was told is published, the last commits are written.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from db_client.database import Engine
from db_client.group_commit import GroupCommit
from db_client.journal import Journal
from db_client.moves import Admit, Admitted, DeadLetter, Mirror
from db_client.moving import Limits
from db_client.observing import Observations
from db_client.reading import Orphan, Position, Reader
from db_client.service import DbService
from db_client.sessions import LeaseKeeper, Started
from db_client.takeovers import Sessions
from handlers.domain.errors import SessionOver, Unavailable
from handlers.gateway.authorizenet.client import AuthorizeNet
from handlers.passage import House
from worker import routes, run_state, wiring
from worker.config import Settings
from worker.crew import Crew
from worker.dead_letters import orphan_letter
from worker.finder import Finder
from worker.fuse import Fuse
from worker.intake import Intake
from worker.janitor import Janitor, Rounds
from worker.kafka_admin import Admin, fence
from worker.offsets import Offsets
from worker.publisher import Publisher
from worker.run_state import RunState
from worker.telemetry import Metrics
from worker.walking import Walker

_LOOKS_A_LEASE = 8  # how often in a lease dead sessions are looked for


@dataclass(frozen=True, slots=True)
class Ground:
    """What a session stands on: settings, metrics, its row, its lease, and its two engines."""

    settings: Settings
    metrics: Metrics
    started: Started
    lease: LeaseKeeper
    writing: Engine
    reading: Engine
    on_over: Callable[[SessionOver], None]


@dataclass(frozen=True, slots=True)
class JournalDoor:
    """The journal as intake sees it."""

    reader: Reader
    commits: GroupCommit
    admin: Admin

    def positions(self, topic_id: str) -> dict[int, Position]:
        """Partition → how far it was read."""
        return self.reader.positions(topic_id)

    @property
    def incarnation(self) -> str:
        """Of the database, as it was when this session last reached it."""
        return self.commits.incarnation

    def admit(self, move: Admit) -> "Future[Admitted | None]":
        """One batch in one commit; None where it was judged under another incarnation."""
        return self.commits.submit(move)

    def topic_ids(self, names: Sequence[str]) -> dict[str, str]:
        """Topic name → the cluster's id of it."""
        facts = self.admin.describe(names)
        missing = sorted(set(names) - set(facts))
        if missing:
            raise Unavailable("Kafka", f"no topic {', '.join(missing)}")
        return {name: fact.topic_id for name, fact in facts.items()}


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of one session."""

    session_id: str
    lease: LeaseKeeper
    publisher: Publisher
    commits: GroupCommit
    gateway: AuthorizeNet
    records: DbService
    crew: Crew
    intake: Intake
    janitor: Janitor
    finder: Finder

    async def start(self) -> None:
        """Begin to work. Raises Unavailable where Kafka is away."""
        self.commits.start()
        await asyncio.to_thread(self.publisher.start)
        self.intake.start()

    async def stop(self, *, grace_s: float) -> int:
        """Stop everything within about `grace_s`; how many operations were left in the journal."""
        await asyncio.to_thread(self.intake.stop, grace_s=10.0)
        left = await self.crew.drain(grace_s=grace_s)
        await asyncio.to_thread(self.publisher.stop, grace_s=grace_s)
        await asyncio.to_thread(self.commits.stop)
        await self.gateway.aclose()
        await self.records.aclose()
        return left

    def down(self) -> list[str]:
        """What a payment needs and is not there: intake pauses while this is not empty."""
        return down(
            self.commits, gateway=self.gateway, records=self.records, publisher=self.publisher
        )

    def silent(self) -> list[str]:
        """What has not answered since it failed, though one call may just be let through to try: for people."""
        asked = {
            "gateway": self.gateway.answers,
            "db-service": self.records.answers,
            "Kafka": self.janitor.kafka_answers,
        }
        return [name for name, answers in asked.items() if not answers]

    def beats(self) -> dict[str, float]:
        """Seconds since each thread and each round was heard of."""
        return run_state.ages(
            {
                "journal": lambda: self.commits.beat,
                "publisher": lambda: self.publisher.beat,
                "intake": lambda: self.intake.beat,
                "janitor": lambda: self.janitor.beat,
                "finder": lambda: self.finder.beat,
                "lease": lambda: self.lease.beat,
            }
        )

    def state(self, pid: int) -> RunState:
        """How it is, for the state file."""
        return RunState(
            pid=pid,
            session=self.session_id,
            ready=self.intake.ready,
            written_at=run_state.now(),
            beats=self.beats(),
            down=[
                *dict.fromkeys([*self.down(), *self.silent()]),
                *(f"intake of {it} (its fuse)" for it in self.intake.fuse.blown),
            ],
            in_flight=self.crew.in_flight,
        )


def down(
    commits: GroupCommit, *, gateway: AuthorizeNet, records: DbService, publisher: Publisher
) -> list[str]:
    """The names of the neighbours that are not there."""
    present = {
        "journal": commits.available,
        "gateway": gateway.available,
        "db-service": records.available,
        "Kafka": publisher.keeps_up,
    }
    return [name for name, there in present.items() if not there]


def build(ground: Ground, loop: asyncio.AbstractEventLoop) -> Parts:
    """Join the parts. Raises InvalidValueError for settings that cannot be right, Unavailable for a registry away."""
    settings, metrics, session_id = ground.settings, ground.metrics, ground.started.session_id
    admin = Admin(settings.kafka_properties())
    publisher = _publisher(ground)
    commits = _commits(ground, publisher)
    publisher.told = lambda mark: commits.post(Mirror(mark))
    reader = Reader(ground.reading, session_id=session_id, sealer=wiring.sealer(settings))
    publisher.ended, publisher.holds = reader.ended, reader.holds
    gateway = wiring.gateway(settings, lease=ground.lease, metrics=metrics, now=ground.lease.now)
    records = wiring.records(settings, metrics=metrics)
    offsets = Offsets()
    crew = Crew(
        House(
            gateway=gateway,
            journal=Journal(commits, deadline_s=settings.longest_send_s),
            records=records,
            wire=wiring.event_wire(settings),
            clock=ground.lease,
            rules=wiring.rules(settings),
        ),
        in_flight=settings.in_flight,
        most_waiting=settings.most_waiting,
        healthy=lambda: not down(commits, gateway=gateway, records=records, publisher=publisher),
        heard=offsets.heard,
        metrics=metrics,
        on_over=ground.on_over,
        loop=loop,
    )
    intake = Intake(
        properties=wiring.consumer_properties(settings),
        topics=tuple(wiring.topics(settings).commands),
        decoder=wiring.decoder(settings),
        journal=JournalDoor(reader, commits, admin),
        crew=crew,
        metrics=metrics,
        batch=settings.intake_batch,
        now=ground.lease.now,
        fuse=Fuse(wiring.fuse(settings)),
        eager=settings.kafka_group_protocol == "classic",
        unhindered=frozenset({wiring.topics(settings).name(routes.VERIFICATION)}),
        on_over=ground.on_over,
        offsets=offsets,
    )
    janitor = _janitor(ground, reader=reader, commits=commits, crew=crew, intake=intake, loop=loop)
    commits.on_granted = janitor.poke
    return Parts(
        session_id=session_id,
        lease=ground.lease,
        publisher=publisher,
        commits=commits,
        gateway=gateway,
        records=records,
        crew=crew,
        intake=intake,
        janitor=janitor,
        finder=_finder(ground, reader=reader, commits=commits, crew=crew, gateway=gateway),
    )


def _finder(
    ground: Ground,
    *,
    reader: Reader,
    commits: GroupCommit,
    crew: Crew,
    gateway: AuthorizeNet,
) -> Finder:
    settings = ground.settings
    walker = Walker(
        lists=gateway,
        observations=Observations(ground.reading),
        commits=commits,
        crew=crew,
        now=ground.lease.now,
        signing_key=wiring.signing_key(settings),
    )
    return Finder(
        accounts={name: it.currency for name, it in wiring.accounts(settings).items()},
        reader=reader,
        commits=commits,
        crew=crew,
        walk=walker.walk,
        walk_every_s=settings.walk_every_s,
        tick_s=settings.janitor_tick_s,
    )


def _publisher(ground: Ground) -> Publisher:
    settings = ground.settings
    return Publisher(
        settings.kafka_properties(),
        group=settings.kafka_group,
        session_id=ground.started.session_id,
        progress_topic=wiring.topics(settings).progress,
        transaction_timeout_s=settings.kafka_transaction_timeout_s,
        metrics=ground.metrics,
        now=ground.lease.now,
        session_alive=ground.lease.alive,
        on_over=ground.on_over,
    )


def _commits(ground: Ground, publisher: Publisher) -> GroupCommit:
    settings = ground.settings
    return GroupCommit(
        ground.writing,
        session_id=ground.started.session_id,
        incarnation=ground.started.incarnation,
        sealer=wiring.sealer(settings),
        limits=Limits(
            deadline_s=settings.longest_send_s,
            status_topic=wiring.topics(settings).name(routes.STATUS),
            orphan_wait_s=settings.orphan_wait_s,
            one_payment=settings.one_payment,
        ),
        on_outbox=publisher.put,
        on_over=ground.on_over,
        alive=ground.lease.alive,
    )


def _janitor(
    ground: Ground,
    *,
    reader: Reader,
    commits: GroupCommit,
    crew: Crew,
    intake: Intake,
    loop: asyncio.AbstractEventLoop,
) -> Janitor:
    settings, session_id = ground.settings, ground.started.session_id

    def fenced(dead: str) -> int | None:
        return fence(
            settings.kafka_properties(),
            group=settings.kafka_group,
            session_id=dead,
            topic=wiring.topics(settings).progress,
        )

    wire, sealer = wiring.event_wire(settings), wiring.sealer(settings)

    def dead_letter(orphan: Orphan) -> DeadLetter:
        record = wire.command(orphan.command, traceparent="")
        return orphan_letter(orphan, record, sealer=sealer, now=ground.lease.now())

    return Janitor(
        reader=reader,
        sessions=Sessions(ground.reading, session_id, settings.kafka_group, settings.lease_s),
        commits=commits,
        crew=crew,
        fence=fenced,
        stale_topic=lambda: intake.stale_topic(intake.journal.topic_ids(intake.topics)),
        letter=dead_letter,
        deadline_s=settings.longest_send_s,
        rounds=Rounds(settings.janitor_tick_s, settings.lease_s / _LOOKS_A_LEASE),
        metrics=ground.metrics,
        loop=loop,
    )
