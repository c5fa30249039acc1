"""What may go wrong around the journal in memory, and that it is told apart as on PostgreSQL.

The same claims about the real one: `tests/contract/test_group_commit_outages.py` and `test_sessions.py`.
"""

import heapq
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from db_client.group_commit import JournalRefusedError, LostTimeError
from db_client.moves import Admit, Admitted, Answer, Conclude, Mirror, Move, Numbered, Open
from db_client.moving import Limits
from handlers.domain.errors import SessionOver, Unavailable
from handlers.domain.payments import Snapshot
from handlers.domain.recovery import Stage
from handlers.domain.states import PaymentState
from handlers.ports import Moved, Operation
from tests.contract.journal_stage import DEADLINE_S, admission, intent, message
from tests.doubles.values import MIDNIGHT
from tests.simulation.memory_journal import MemoryCommits
from tests.simulation.memory_journal_database import MemoryDatabase
from tests.simulation.memory_journal_faults import SMOOTH, Course, Loss
from tests.simulation.memory_journal_reading import MemoryReader
from tests.simulation.memory_journal_sessions import (
    MemoryLease,
    MemorySessions,
    end_session,
    start_session,
)
from worker.routes import STATUS

_LEASE_S = 60.0


@dataclass
class World:
    """A time that goes on by steps, dice that were thrown before, and a database."""

    at_s: float = 0.0
    courses: list[Course] = field(default_factory=list)
    database: MemoryDatabase = field(init=False)
    _timers: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.database = MemoryDatabase(lambda: MIDNIGHT + timedelta(seconds=self.at_s))

    def course(self, _session_id: str, _move: Move) -> Course:
        """The next throw; smooth where none is left."""
        return self.courses.pop(0) if self.courses else SMOOTH

    def later(self, seconds: float, do: Callable[[], None]) -> None:
        """Remember a timer."""
        heapq.heappush(self._timers, (self.at_s + seconds, len(self._timers), do))

    def run(self, seconds: float) -> None:
        """Let so much time pass, with all that falls due in it."""
        until = self.at_s + seconds
        while self._timers and self._timers[0][0] <= until:
            self.at_s, _, do = heapq.heappop(self._timers)
            do()
        self.at_s = until


@dataclass
class Worker:
    """One session at work."""

    world: World
    name: str = "one"
    over: list[SessionOver] = field(default_factory=list)
    outbox: list[Numbered] = field(default_factory=list)
    commits: MemoryCommits = field(init=False)
    lease: MemoryLease = field(init=False)

    def __post_init__(self) -> None:
        world = self.world
        started = start_session(
            world.database, session_id=self.name, group="tests", lease_s=_LEASE_S
        )
        self.lease = MemoryLease(
            world.database,
            started,
            taken_at=world.at_s,
            boottime=lambda: world.at_s,
            wall=lambda: MIDNIGHT + timedelta(seconds=world.at_s - 5),  # its clock is late
            on_over=self.over.append,
        )
        self.commits = MemoryCommits(
            world.database,
            session_id=self.name,
            incarnation=started.incarnation,
            limits=Limits(DEADLINE_S, STATUS),
            on_outbox=self.outbox.extend,
            on_over=self.over.append,
            alive=self.lease.alive,
            faults=world,
            later=world.later,
        )

    def write(self, move: Move) -> Any:
        """The result of a move, once enough time has passed for it."""
        future = self.commits.submit(move)
        self.world.run(1.0)
        return future.result(0)

    def admit(self) -> Operation:
        """A new operation."""
        [operation] = self.write(Admit([admission()], [], {})).operations
        assert isinstance(operation, Operation)
        return operation

    def load(self, of: Operation) -> Operation:
        """As it is on disk."""
        [operation] = (
            MemoryReader(self.world.database, self.name).whole([of.operation_id]).operations
        )
        return operation

    def charge(self) -> None:
        """One operation from its admission to its end."""
        of = self.admit()
        opened = self.write(opening(of))
        answered = self.write(answering(opened.operation, said="no"))
        told = [message(of.operation_id)]
        assert isinstance(self.write(Conclude(answered.operation, told, None)), Moved)


def opening(of: Operation) -> Open:
    """The move that opens it."""
    return Open(of, intent(of), {"request": "frozen"}, DEADLINE_S)


def answering(of: Operation, *, said: str) -> Answer:
    """A decline."""
    known = replace(of.payment, state=PaymentState.DECLINED, version=of.payment.version + 1)
    return Answer(of, Snapshot(known), {"said": said})


def available(worker: Worker) -> bool:
    """Whether the journal counts as there."""
    return worker.commits.available


def said(world: World) -> list[object]:
    """All evidence."""
    return [it.body["said"] for it in world.database.evidence]


@pytest.fixture
def world() -> World:
    """An empty one."""
    return World()


@pytest.fixture
def worker(world: World) -> Worker:
    """A session at work in it."""
    return Worker(world)


@pytest.mark.parametrize("loss", list(Loss))
def test_a_lost_commit_is_told_apart(world: World, worker: Worker, loss: Loss) -> None:
    """Lost before or after: the results are right, no row is there twice, and it only took longer."""
    for place in range(4):
        world.courses = [*[SMOOTH] * place, Course(loss=loss)]
        worker.charge()
    assert 4 * 4 == world.database.sessions["one"].commits
    assert 4 == len(world.database.evidence)
    assert [it.number for it in worker.outbox] == [
        it.number for it in world.database.outbox.values()
    ]
    assert 4 == len(worker.outbox)
    assert [] == worker.over


def test_a_commit_takes_its_time(world: World, worker: Worker) -> None:
    """It is on disk before it is acknowledged, and what comes meanwhile waits for it, in order."""
    world.courses = [Course(before_s=1.0, after_s=1.0), Course(before_s=1.0)]
    first, second = worker.commits.submit(Mirror(3)), worker.commits.submit(Mirror(5))
    row = world.database.sessions["one"]
    seen = []
    for _ in range(4):
        seen.append((row.watermark, first.done(), second.done()))
        world.run(1.0)
    assert [(1, False, False), (3, False, False), (3, True, False), (5, True, True)] == seen
    assert worker.commits.is_idle


async def test_a_lane_waits_for_its_commit(world: World, worker: Worker) -> None:
    """Written from a coroutine the result comes back there; without faults and waits, in the same turn."""
    smooth = MemoryCommits(
        world.database,
        session_id="one",
        incarnation=world.database.incarnation,
        limits=Limits(DEADLINE_S, STATUS),
        on_outbox=worker.outbox.extend,
        on_over=worker.over.append,
        alive=worker.lease.alive,
    )
    await smooth.write(Mirror(1))
    [of] = (await smooth.write(Admit([admission()], [], {}))).operations
    with pytest.raises(JournalRefusedError):
        await smooth.write(answering(replace(of, payment=replace(of.payment, version=4)), said="5"))
    assert ["5"] == said(world)


def test_it_goes_on_by_itself_when_the_database_is_back(world: World, worker: Worker) -> None:
    """What waited is committed in its order, without a word to the lanes; meanwhile it is known to be away."""
    of = worker.admit()
    world.database.go_away()
    waiting: list[Future[Any]] = [worker.commits.submit(it) for it in (opening(of), Mirror(2))]
    world.run(10.0)
    assert not available(worker)
    assert [False, False] == [it.done() for it in waiting]
    with pytest.raises(Unavailable):
        worker.load(of)
    world.database.come_back()
    world.run(2.0)
    assert available(worker)
    assert isinstance(waiting[0].result(0), Moved)
    assert waiting[1].done()


def test_the_first_read_after_a_restart_fails(world: World, worker: Worker) -> None:
    """The connections of the pool are dead, and nobody has noticed; the next read has a new one."""
    of = worker.admit()
    worker.load(of)
    world.database.go_away()
    world.database.come_back()
    with pytest.raises(Unavailable):
        worker.load(of)
    worker.load(of)


def test_a_session_that_is_cut_off_waits_alone(world: World, worker: Worker) -> None:
    """The network to one worker is gone: the others go on, and it goes on when it is back."""
    other = Worker(world, "two")
    world.database.cut_off("one")
    waiting = worker.commits.submit(Mirror(2))
    other.charge()
    assert not waiting.done()
    world.database.join_up("one")
    world.run(2.0)
    assert waiting.done()
    assert [] == [*worker.over, *other.over]


def test_a_lease_that_ends_while_the_database_is_away_ends_the_session(
    world: World, worker: Worker
) -> None:
    """Nobody waits longer than the lease; evidence that cannot be written is lost with it."""
    of = worker.admit()
    world.database.go_away()
    waiting = worker.commits.submit(answering(of, said="late"))
    world.run(_LEASE_S)
    assert isinstance(waiting.exception(0), SessionOver)
    assert ["the database was away for longer than the lease"] == [str(it) for it in worker.over]
    assert [] == said(world)


def test_a_database_put_back_in_time_ends_the_session(world: World, worker: Worker) -> None:
    """Restored to before our last commits: it is over at once, with the reason; what was said last is kept."""
    kept = worker.admit()
    backup = world.database.snapshot()
    lost = worker.admit()
    world.database.restore(backup)
    with pytest.raises(LostTimeError, match="back in time"):
        worker.write(answering(kept, said="kept"))
    with pytest.raises(SessionOver):
        worker.write(answering(lost, said="lost"))
    assert [LostTimeError] == [type(it) for it in worker.over]
    assert [kept.operation_id] == list(world.database.operations)
    assert ["kept", "lost"] == said(world)


def test_a_copy_may_be_put_back_again(world: World, worker: Worker) -> None:
    """Each time it is the same moment, whatever came between; a later copy is gone with its time."""
    first = world.database.snapshot()
    worker.admit()
    second = world.database.snapshot()
    world.database.restore(first)
    Worker(world, "two").charge()
    world.database.restore(first)
    assert ["one"] == list(world.database.sessions)
    assert ([], []) == (list(world.database.operations), list(world.database.outbox))
    with pytest.raises(AssertionError):
        world.database.restore(second)


def test_a_restored_copy_without_loss_lets_the_session_live(world: World, worker: Worker) -> None:
    """A copy that has all our commits is as good as a restart: the session goes on."""
    of = worker.admit()
    world.database.restore(world.database.snapshot())
    assert isinstance(worker.write(opening(of)), Moved)
    assert Stage.OPEN is worker.load(of).stage
    assert [] == worker.over


def test_what_was_judged_before_the_journal_was_started_anew_is_not_admitted(
    world: World, worker: Worker
) -> None:
    """It may have been put back in time: where to read from, and what is suspect, must be found out anew."""
    before = frozenset({worker.commits.incarnation})
    world.database.restore(world.database.snapshot())
    batch = Admit([admission()], [], {("payments", "topic-1", 0): 7}, judged_under=before)
    assert worker.write(batch) is None
    assert ([], []) == (list(world.database.operations), list(world.database.positions))
    after = frozenset({worker.commits.incarnation})
    assert before != after
    assert isinstance(worker.write(replace(batch, judged_under=after)), Admitted)


def test_another_timeline_ends_the_session(world: World, worker: Worker) -> None:
    """A standby took over: also without a loss nobody goes on as if nothing had been."""
    of = worker.admit()
    world.database.restore(world.database.snapshot(), fail_over=True)
    with pytest.raises(LostTimeError, match="timeline"):
        worker.write(opening(of))


def test_what_the_dice_refuse_is_refused_alone(world: World, worker: Worker) -> None:
    """A move that the database does not take writes nothing but its evidence, and the next one goes through."""
    of = worker.admit()
    world.courses = [Course(refused="value too long")]
    with pytest.raises(JournalRefusedError, match="value too long"):
        worker.write(answering(of, said="no"))
    assert ["no"] == said(world)
    assert Stage.ADMITTED is worker.load(of).stage
    assert isinstance(worker.write(opening(of)), Moved)


@pytest.mark.parametrize("lands", [True, False])
def test_a_process_dies_with_a_commit_on_its_way(
    world: World, worker: Worker, *, lands: bool
) -> None:
    """It may reach the disk all the same; either way nobody hears of it, and nothing comes after it."""
    of = worker.admit()
    world.courses = [Course(before_s=1.0)]
    waiting = [worker.commits.submit(it) for it in (opening(of), Mirror(7))]
    worker.commits.die(lands=lands)
    world.run(10.0)
    assert [False, False] == [it.done() for it in waiting]
    assert (Stage.OPEN if lands else Stage.ADMITTED) is world.database.operations[
        of.operation_id
    ].stage
    assert 1 == world.database.sessions["one"].watermark
    assert isinstance(worker.commits.submit(Mirror(1)).exception(0), SessionOver)


def test_a_lease_lives_as_long_as_it_is_renewed(world: World, worker: Worker) -> None:
    """Its own deadline is never later than the database's; the time is the database's, whatever its own clock says."""
    for _ in range(12):
        world.run(worker.lease.every_s)
        assert worker.lease.tick()
        there = world.database.sessions["one"].alive_until
        assert there is not None
        assert worker.lease.remaining_s() <= (there - world.database.now()).total_seconds()
        assert 0 <= (world.database.now() - worker.lease.now()).total_seconds() < 1e-3
    assert worker.lease.alive()


def test_a_late_renewal_finds_nothing(world: World, worker: Worker) -> None:
    """A frozen process that wakes up too late is over, and is ended by whoever looks."""
    other = Worker(world, "two")
    world.run(_LEASE_S / 2)
    assert other.lease.tick()
    world.run(_LEASE_S / 2 + 1)
    sessions = MemorySessions(world.database, "two", "tests", settled_s=_LEASE_S)
    assert ["one"] == sessions.dead()
    assert not worker.lease.alive()
    assert not worker.lease.tick()
    assert sessions.end_if_expired("one")
    assert ["the lease ran out"] == [str(it) for it in worker.over]


def test_nobody_is_dead_while_the_server_is_young(world: World, worker: Worker) -> None:
    """After an outage every lease looks expired: those who live get time to renew first."""
    world.database.go_away()
    assert worker.lease.tick()
    world.run(2 * _LEASE_S)
    assert not worker.lease.tick()
    world.database.come_back()
    world.run(1.0)
    assert [] == MemorySessions(world.database, "two", "tests", settled_s=_LEASE_S).dead()


def test_the_lease_of_an_ended_session_is_not_renewed(world: World, worker: Worker) -> None:
    """Ended by itself or another: the next renewal tells it, and its moves are turned away."""
    assert end_session(world.database, session_id="one", why="a test ended it")
    assert not worker.lease.tick()
    with pytest.raises(SessionOver, match="a test ended it"):
        worker.write(Mirror(1))
