"""Claims about intake and publisher without their threads: the real ones, on the broker in memory, struck anywhere."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from confluent_kafka import TopicPartition

from avro.catalog import Catalog
from avro.reader import Reader
from avro.writer import Writer, single_object_headers
from db_client.moves import Admit, Admitted, Fate, Numbered
from db_client.reading import Position
from db_client.sealing import Sealer
from handlers.domain.commands import InitiatePayment, Mode
from handlers.domain.errors import SessionOver, Unavailable
from handlers.domain.means import OpaqueData
from handlers.domain.money import Money
from handlers.domain.secret import Secret
from handlers.ports import Message, Operation
from tests.simulation.memory_kafka import MemoryKafka
from tests.simulation.memory_kafka_broker import Fault
from tests.simulation.sim_loop import SimLoop
from tests.simulation.sim_nap import Bell
from tests.simulation.sim_process import Process
from tests.simulation.sim_turns import keep_publishing, keep_reading
from worker.decode import Decoder
from worker.fuse import Fuse, FuseSettings
from worker.intake import Intake
from worker.offsets import Offsets
from worker.publisher import Publisher
from worker.telemetry import Metrics

BEGAN: Final = datetime(2026, 11, 20, 12, tzinfo=UTC)
TOPIC: Final = "payment_initiation"
KINDS: Final = {TOPIC: TOPIC}
CATALOG: Final = Catalog()
WRITER: Final = Writer(CATALOG, single_object_headers(CATALOG, KINDS))
SEALER: Final = Sealer({"k": b"k" * 32})
DECODER: Final = Decoder(Reader(CATALOG), SEALER, KINDS, max_age_s=3600, signing_key=b"k" * 32)
METRICS: Final = Metrics()
COMMANDS: Final = 8
BATCH: Final = 2
SESSION_S: Final = 6.0
STRIKES: Final = range(1, 40)


@dataclass(slots=True)
class Books:
    """The journal and the crew, as far as intake leans on them. `slow_s`: how long a commit takes."""

    loop: SimLoop
    kafka: MemoryKafka
    slow_s: float = 0.0
    admitted: dict[tuple[int, int], int] = field(default_factory=dict)  # place → how often
    known: dict[int, Position] = field(default_factory=dict)
    crowded: bool = False
    incarnation: str = "one"

    def positions(self, topic_id: str) -> dict[int, Position]:
        """How far each partition was read."""
        assert topic_id
        return dict(self.known)

    def topic_ids(self, names: Sequence[str]) -> dict[str, str]:
        """The cluster's."""
        return self.kafka.topic_ids(names)

    def admit(self, move: Admit) -> "Future[Admitted | None]":
        """In one commit, after a while."""
        future: Future[Admitted | None] = Future()
        self.loop.call_later(self.slow_s, self._commit, move, future)
        return future

    def _commit(self, move: Admit, future: "Future[Admitted | None]") -> None:
        for it in move.admissions:
            place = it.source.partition, it.source.offset
            self.admitted[place] = self.admitted.get(place, 0) + 1
        for (_, _, partition), offset in move.positions.items():
            known = self.known.get(partition)
            self.known[partition] = Position(max(offset, known.next_offset if known else 0), BEGAN)
        future.set_result(Admitted([Fate.ADMITTED for _ in move.admissions], []))

    def room(self) -> int:
        """Plenty."""
        return 100

    def take(self, operations: Sequence[Operation]) -> None:
        """Nothing to carry."""

    def wake(self) -> None:
        """Nothing waits."""


def now(loop: SimLoop) -> datetime:
    """The simulated time of day."""
    return BEGAN + timedelta(seconds=loop.time())


@contextmanager
def world() -> Iterator[tuple[SimLoop, MemoryKafka]]:
    """A loop, and a broker with what the tests need."""
    loop = SimLoop()
    kafka = MemoryKafka(loop, starts_at_ms=int(BEGAN.timestamp() * 1000))
    for name, partitions in ((TOPIC, 3), ("events", 2), ("progress", 1)):
        kafka.make_topic(name, partitions)
    try:
        yield loop, kafka
    finally:
        loop.close()


def command(kafka: MemoryKafka, number: int) -> None:
    """Somebody asks for a payment."""
    asked = InitiatePayment(
        payment_id=f"pay-{number}",
        order_id=f"o-{number}",
        user_id="u",
        money=Money(1290, "USD"),
        mode=Mode.SALE,
        means=OpaqueData("COMMON.ACCEPT.INAPP.PAYMENT", Secret("nonce")),
        issued_at=BEGAN,
    )
    value = WRITER.encode_command(asked, topic=TOPIC)
    kafka.append(TOPIC, asked.payment_id.encode(), value=value)


def reading(loop: SimLoop, kafka: MemoryKafka, *, books: Books) -> tuple[Process, Intake]:
    """A worker's intake, at work in a process of its own."""
    process = loop.process("worker")

    def connect(properties: dict[str, Any]) -> Any:
        return kafka.consumer(properties, process=process)

    intake = Intake(
        properties={"group.id": "group", "session.timeout.ms": SESSION_S * 1000},
        topics=[TOPIC],
        decoder=DECODER,
        journal=books,
        crew=books,
        metrics=METRICS,
        batch=BATCH,
        now=lambda: now(loop),
        fuse=Fuse(FuseSettings()),
        eager=True,
        unhindered=frozenset(),
        on_over=lambda over: pytest.fail(str(over)),
        offsets=Offsets(loop.time),
        connect=connect,
        monotonic=loop.time,
    )
    loop.spawn(process, keep_reading(intake))
    return process, intake


def all_places(kafka: MemoryKafka) -> list[tuple[int, int]]:
    """Where the commands lie."""
    return [(it.partition(), it.offset()) for it in kafka.records(TOPIC)]


@pytest.mark.parametrize("struck", ["killed", "frozen"])
@pytest.mark.parametrize("slow_s", [0.0, 0.3])
def test_intake_struck_at_every_await(struck: str, slow_s: float) -> None:
    """One of two workers dies or sleeps: all is admitted, again only what it held or its library had fetched."""
    for strike_at in STRIKES:
        with world() as (loop, kafka):
            books = Books(loop, kafka, slow_s=slow_s)
            first, _ = reading(loop, kafka, books=books)
            first.strike_at = strike_at
            strike = loop.kill if struck == "killed" else loop.freeze
            first.strike = lambda strike=strike, first=first: strike(first)  # type: ignore[misc]  # bound now
            for number in range(COMMANDS // 2):
                command(kafka, number)
            loop.run_for(1)
            _, second = reading(loop, kafka, books=books)
            loop.run_for(1)
            for number in range(COMMANDS // 2, COMMANDS):
                command(kafka, number)
            loop.run_for(2 * SESSION_S)
            loop.wake(first)
            loop.run_for(2 * SESSION_S)
            assert all_places(kafka) == sorted(books.admitted), strike_at
            assert 2 >= max(books.admitted.values())
            assert 2 * BATCH >= sum(it > 1 for it in books.admitted.values())
            assert second.ready
            assert [] == loop.crashed()
            offsets = kafka.group("group").offsets
            ends = {(TOPIC, part): place.next_offset for part, place in books.known.items()}
            assert ends == offsets, strike_at


def test_intake_rests_while_nothing_happens() -> None:
    """An idle worker costs a turn a second; a command wakes it at once; a broker that is away is waited for."""
    with world() as (loop, kafka):
        books = Books(loop, kafka)
        process, _ = reading(loop, kafka, books=books)
        loop.run_for(100)
        assert process.turns < 1_000
        command(kafka, 1)
        loop.run_for(0.001)
        assert 1 == len(books.admitted)
        kafka.go_away()
        loop.run_for(60)
        with pytest.raises(Unavailable):
            books.topic_ids([TOPIC])
        kafka.come_back()
        command(kafka, 2)
        loop.run_for(3)
        assert all_places(kafka) == sorted(books.admitted)


@dataclass(slots=True)
class Telling:
    """One session's publisher, at work in a process of its own. `over`: why its session ended."""

    process: Process
    publisher: Publisher
    bell: Bell
    over: list[SessionOver] = field(default_factory=list)
    is_ended: bool = False
    forgot: frozenset[int] = frozenset()  # numbers that the journal does not know any more

    def put(self, rows: Sequence[Numbered]) -> None:
        """Of one commit."""
        self.publisher.put(rows)
        self.bell.ring()


def telling(loop: SimLoop, kafka: MemoryKafka, *, session: str) -> Telling:
    """It has claimed its identity."""
    process = loop.process(session)
    over: list[SessionOver] = []
    publisher = Publisher(
        {},
        group="group",
        session_id=session,
        progress_topic="progress",
        transaction_timeout_s=10.0,
        metrics=METRICS,
        now=lambda: now(loop),
        session_alive=lambda: True,
        on_over=over.append,
        kafka=kafka.door(),
        monotonic=loop.time,
    )
    made = Telling(process, publisher, Bell(loop), over)
    publisher.ended = lambda: made.is_ended
    publisher.holds = lambda number: number not in made.forgot
    publisher.claim()
    loop.spawn(process, keep_publishing(publisher, made.bell))
    return made


def rows(*numbers: int) -> list[Numbered]:
    """Events with these numbers, their text being the same."""
    return [
        Numbered(
            it, Message("events", b"%d" % it, b"event %d" % it, (("ce_id", b"x"),), f"e{it}"), BEGAN
        )
        for it in numbers
    ]


def told(kafka: MemoryKafka) -> list[bytes]:
    """What the outside hears, sorted."""
    return sorted(it.value() or b"" for it in kafka.records("events"))


@pytest.mark.parametrize("struck", ["killed", "frozen"])
def test_a_publisher_struck_at_every_await(struck: str) -> None:
    """Whoever fences it and goes on from its watermark tells the rest: each event once, also when it wakes again."""
    for strike_at in STRIKES:
        with world() as (loop, kafka):
            first = telling(loop, kafka, session="first")
            first.process.strike_at = strike_at
            strike = loop.kill if struck == "killed" else loop.freeze
            first.process.strike = lambda strike=strike, it=first.process: strike(it)  # type: ignore[misc]  # bound now
            first.put(rows(1, 2, 3))
            loop.run_for(1)
            first.put(rows(4, 5))
            loop.run_for(1)
            first.is_ended = True
            mark = kafka.fence({}, group="group", session_id="first", topic="progress") or 1
            second = telling(loop, kafka, session="second")
            left = [it for it in range(1, 6) if it >= mark]
            second.put(rows(*left))
            loop.wake(first.process)
            first.put(rows(6))
            loop.run_for(30)
            again = [] if first.process.runs else [b"event 6"]
            assert [b"event %d" % it for it in range(1, 6)] == told(kafka), strike_at
            assert again or 1 == len(first.over)
            assert not second.over
            assert [] == loop.crashed()


def test_a_publisher_that_stood_still_tells_nothing_that_was_forgotten() -> None:
    """Wherever in its turn it stood: what waited for more than a moment is looked up in the journal first."""
    for strike_at in STRIKES:
        with world() as (loop, kafka):
            one = telling(loop, kafka, session="one")
            one.process.strike_at = strike_at
            one.process.strike = lambda it=one.process: loop.freeze(it)  # type: ignore[misc]  # bound now
            one.put(rows(1, 2))
            loop.run_for(1)
            before, stands = told(kafka), not one.process.runs
            one.forgot = frozenset({2})
            loop.run_for(2)
            loop.wake(one.process)
            loop.run_for(5)
            assert before == told(kafka), strike_at
            assert bool(one.over) == (stands and not before)
            assert [] == loop.crashed()


@pytest.mark.parametrize("fault", list(Fault))
def test_a_publisher_whose_calls_fail(fault: Fault) -> None:
    """Each of its calls in turn is lost, or done without an answer: each event is told once, and it goes on."""
    for lost_at in range(30):
        with world() as (loop, kafka):
            one = telling(loop, kafka, session="one")
            calls = iter(range(1000))
            kafka.faults = lambda _call, _client, at=lost_at, calls=calls: (
                fault if next(calls) == at else None
            )
            for number in range(1, 5):
                one.put(rows(number))
                loop.run_for(3)
            assert [b"event %d" % it for it in range(1, 5)] == told(kafka), lost_at
            assert 5 == one.publisher.watermark
            assert not one.over


def test_an_outage_of_the_broker() -> None:
    """While it is away nothing is told and nothing is lost; it goes on by itself."""
    with world() as (loop, kafka):
        one = telling(loop, kafka, session="one")
        kafka.go_away()
        one.put(rows(1, 2))
        loop.run_for(300)
        with pytest.raises(Unavailable):
            kafka.fence({}, group="group", session_id="other", topic="progress")
        kafka.come_back()
        loop.run_for(3)
        assert [b"event 1", b"event 2"] == told(kafka)
        group = kafka.consumer({"group.id": "group-one-progress"})
        assert 3 == group.committed([TopicPartition("progress", 0)])[0].offset
