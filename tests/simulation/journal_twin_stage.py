"""Two journals that are asked the same: one on PostgreSQL, one in memory, under one clock that a test moves.

PostgreSQL's clock is replaced by a function of the same name in a schema that stands before `pg_catalog` in the search
path, so every time in both journals is the same to the microsecond. No claim lives here.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, text

from db_client.database import engine
from db_client.group_commit import GroupCommit, JournalRefusedError
from db_client.moves import Move, Numbered
from db_client.moving import Limits
from db_client.observing import Observations
from db_client.reading import Reader
from db_client.sessions import end_session, start_session
from db_client.tables import metadata
from db_client.takeovers import Sessions
from handlers.domain.errors import SessionOver, Unavailable
from handlers.ports import OnePayment, Operation
from tests.contract.journal_stage import DEADLINE_S, SEALER, WAITS_S, JournalStage
from tests.doubles.values import MIDNIGHT
from tests.simulation import memory_journal_sessions as memory_sessions
from tests.simulation.journal_twin_rows import differences, indexes, memory_rows, real_rows
from tests.simulation.memory_journal import MemoryCommits
from tests.simulation.memory_journal_database import MemoryDatabase, Snapshot
from tests.simulation.memory_journal_finders import MemoryObservations
from tests.simulation.memory_journal_reading import MemoryReader
from tests.simulation.memory_journal_sessions import MemorySessions
from worker.demo.postgres import Postgres
from worker.routes import STATUS

GROUP: Final = "tests"
_ROLE: Final = "twin"
_NAMES: Final = [table.name for table in metadata.sorted_tables]
_CLOCKED: Final = (
    "CREATE SCHEMA clocked",
    "CREATE SCHEMA kept",
    "CREATE TABLE clocked.clock AS SELECT now() AS at, now() AS started",
    "CREATE FUNCTION clocked.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS 'SELECT at FROM clocked.clock'",
    (
        "CREATE FUNCTION clocked.pg_postmaster_start_time() RETURNS timestamptz LANGUAGE sql"
        " AS 'SELECT started FROM clocked.clock'"
    ),
    "ALTER DATABASE journal SET search_path = clocked, pg_catalog",
)


def _function(name: str, statements: Iterable[str]) -> str:
    """Many small statements in one call."""
    body = "; ".join(statements)
    return f"CREATE FUNCTION {name}() RETURNS void LANGUAGE plpgsql AS $$ BEGIN {body}; END $$"


def _copied(into: str, *, of: str) -> list[str]:
    """Statements that copy every table from one schema to another."""
    return [f'INSERT INTO {into}."{name}" SELECT * FROM {of}."{name}"' for name in _NAMES]  # noqa: S608 - names of ours


def _emptied(schema: str) -> list[str]:
    """Statements that empty every table, in an order that no foreign key forbids."""
    return [f'DELETE FROM {schema}."{name}"' for name in reversed(_NAMES)]  # noqa: S608 - names of ours


_COPIES: Final = (
    *(f'CREATE TABLE kept."{name}" AS TABLE "{name}"' for name in _NAMES),
    _function("forget", _emptied("clocked")),
    _function("keep", [*_emptied("kept"), *_copied("kept", of="clocked")]),
    _function("put_back", _copied("clocked", of="kept")),
)


@contextmanager
def clocked(folder: Path) -> Iterator[JournalStage]:
    """A server whose journal takes its time from a table."""
    with Postgres(folder, durable=False, say=lambda _: None) as server:
        first = engine(server.database("journal"), role="clock", pool_size=1)
        with first.begin() as connection:
            for statement in _CLOCKED:
                connection.execute(text(statement))
        first.dispose()
        stage = JournalStage(server)
        for statement in _COPIES:
            stage.sql(statement)
        try:
            yield stage
        finally:
            stage.engine.dispose()


@dataclass(slots=True)
class TwinDesk:
    """One session on both journals. What each handed on, how often it woke somebody, and why it is over."""

    session_id: str
    writing: Engine
    real: GroupCommit
    memory: MemoryCommits
    reader: Reader
    memory_reader: MemoryReader
    observations: Observations
    memory_observations: MemoryObservations
    handed_on: tuple[list[Numbered], list[Numbered]]
    woken: tuple[list[None], list[None]]
    over: tuple[list[SessionOver], list[SessionOver]]

    def insist_same(self) -> None:
        """What went out of the two is the same."""
        assert self.handed_on[0] == self.handed_on[1], f"handed on: {self.handed_on}"
        woken = tuple(len(it) for it in self.woken)
        assert woken[0] == woken[1], f"woken: {woken}"
        assert [str(it) for it in self.over[0]] == [str(it) for it in self.over[1]]


@dataclass(slots=True)
class Twins:
    """The two journals. The connections of the real desks are killed where a server would have been started anew."""

    stage: JournalStage
    one_payment: OnePayment = OnePayment.OFF
    at: datetime = MIDNIGHT
    desks: list[TwinDesk] = field(default_factory=list)
    kept: Snapshot | None = None
    database: MemoryDatabase = field(init=False)

    def __post_init__(self) -> None:
        self.stage.sql("SELECT forget()")
        self._set_clock(started=self.at)
        self.database = MemoryDatabase(lambda: self.at, up_since=self.at)

    def close(self) -> None:
        """End the threads."""
        for desk in self.desks:
            desk.real.stop()
            desk.writing.dispose()

    def pass_time(self, seconds: float) -> None:
        """Let time pass for both."""
        self.at += timedelta(seconds=seconds)
        self._set_clock()

    def _set_clock(self, *, started: datetime | None = None) -> None:
        self.stage.sql(
            "UPDATE clocked.clock SET at = :at, started = coalesce(:started, started)",
            at=self.at,
            started=started,
        )

    def start(self, *, lease_s: float) -> TwinDesk:
        """Another session."""
        self.pass_time(1)
        name = f"s{len(self.desks)}"
        writing = engine(self.stage.url, role=_ROLE, pool_size=1)
        started = start_session(writing, session_id=name, group=GROUP, lease_s=lease_s)
        here = memory_sessions.start_session(
            self.database, session_id=name, group=GROUP, lease_s=lease_s
        )
        limits = Limits(DEADLINE_S, STATUS, one_payment=self.one_payment)
        handed_on: tuple[list[Numbered], list[Numbered]] = ([], [])
        woken: tuple[list[None], list[None]] = ([], [])
        over: tuple[list[SessionOver], list[SessionOver]] = ([], [])
        desk = TwinDesk(
            name,
            writing=writing,
            real=GroupCommit(
                writing,
                session_id=name,
                incarnation=started.incarnation,
                sealer=SEALER,
                limits=limits,
                on_outbox=handed_on[0].extend,
                on_over=over[0].append,
                alive=lambda: True,
            ),
            memory=MemoryCommits(
                self.database,
                session_id=name,
                incarnation=here.incarnation,
                limits=limits,
                on_outbox=handed_on[1].extend,
                on_over=over[1].append,
                alive=lambda: True,
            ),
            reader=Reader(self.stage.engine, session_id=name, sealer=SEALER),
            memory_reader=MemoryReader(self.database, name),
            observations=Observations(self.stage.engine),
            memory_observations=MemoryObservations(self.database, name),
            handed_on=handed_on,
            woken=woken,
            over=over,
        )
        desk.real.on_granted = lambda: woken[0].append(None)
        desk.memory.on_granted = lambda: woken[1].append(None)
        desk.real.start()
        self.desks.append(desk)
        self.insist_same()
        return desk

    def write(self, desk: TwinDesk, move: Move) -> Any:
        """The same move for both: the same result, or the same refusal, and the same rows afterwards."""
        self.pass_time(1)
        there = _outcome(lambda: desk.real.submit(move).result(WAITS_S))
        here = _outcome(lambda: desk.memory.submit(move).result(0))
        assert there == here, f"{move}\n{there}\nin memory:\n{here}"
        desk.insist_same()
        self.insist_same(move)
        return there

    def insist_same(self, after: Move | None = None) -> None:
        """Every row of every table is the same, and memory's indexes are those of its rows."""
        found = differences(real_rows(self.stage), memory_rows(self.database))
        assert not found, "\n".join([*found, f"after {after}"])
        kept = indexes(self.database)
        self.database._index()
        anew = indexes(self.database)
        assert kept == anew, f"{kept}\nfrom the rows:\n{anew}"

    def end(self, desk: TwinDesk, *, watermark: int | None) -> None:
        """End a session by itself."""
        self.pass_time(1)
        why = "a test ended it"
        there = end_session(
            self.stage.engine, session_id=desk.session_id, why=why, watermark=watermark
        )
        here = memory_sessions.end_session(
            self.database, session_id=desk.session_id, why=why, watermark=watermark
        )
        assert there == here
        self.insist_same()

    def end_if_expired(self, me: TwinDesk, other: TwinDesk) -> bool:
        """End another session whose lease ran out."""
        self.pass_time(1)
        there = Sessions(self.stage.engine, me.session_id, GROUP, 0.0)
        here = MemorySessions(self.database, me.session_id, GROUP, 0.0)
        ended = there.end_if_expired(other.session_id)
        assert ended == here.end_if_expired(other.session_id)
        self.insist_same()
        return ended

    def dead(self, me: TwinDesk, *, settled_s: float) -> list[str]:
        """Who is to be taken over."""
        self.pass_time(1)
        there = Sessions(self.stage.engine, me.session_id, GROUP, settled_s).dead()
        memory = MemorySessions(self.database, me.session_id, GROUP, settled_s)
        here = memory.dead()
        assert there == here, f"dead: {there}, in memory {here}"
        return there

    def expire(self, desk: TwinDesk) -> None:
        """Its lease runs out now."""
        name = desk.session_id
        self.stage.sql(
            "UPDATE lease SET alive_until = :at WHERE session_id = :me", at=self.at, me=name
        )
        row = self.database.sessions.get(name)
        if row is not None and row.alive_until is not None:
            self.database.touch(row)
            row.alive_until = self.at

    def lose_lane(self, payment_id: str) -> None:
        """Nobody holds the payment's lane, and nobody hears of it."""
        self.stage.sql("UPDATE payment SET held_by = NULL WHERE payment_id = :id", id=payment_id)
        row = self.database.payments.get(payment_id)
        if row is not None:
            self.database.touch(row)
            row.held_by = None

    def due(self, desk: TwinDesk) -> list[str]:
        """What is due for it."""
        self.pass_time(1)
        there = desk.reader.due(most=99)
        here = desk.memory_reader.due(most=99)
        assert sorted(there) == sorted(here), f"due: {there}, in memory {here}"
        return sorted(here)

    def whole(self, desk: TwinDesk, names: Sequence[str]) -> list[Operation]:
        """These operations of its own, by name."""
        self.pass_time(1)
        there, here = desk.reader.whole(names), desk.memory_reader.whole(names)
        operations = _named(here.operations)
        for one, other in zip(_named(there.operations), operations, strict=True):
            assert one == other, f"{one}\nin memory:\n{other}"
        return operations

    def read(self, desk: TwinDesk) -> None:
        """All else that can be read."""
        self.dead(desk, settled_s=0)
        self.pass_time(1)
        names = sorted(self.database.operations)
        invoices = list(self.database.invoices)
        there, here = desk.reader, desk.memory_reader
        reads: tuple[tuple[Callable[[], Any], Callable[[], Any]], ...] = (
            (there.ended, here.ended),
            (there.must_go_on, here.must_go_on),
            (lambda: _held(there), lambda: _held(here)),
            (there.backlog, here.backlog),
            (lambda: there.positions("topic-1"), lambda: here.positions("topic-1")),
            (lambda: _named(there.orphans()), lambda: _named(here.orphans())),
            (lambda: sorted(there.undated()), lambda: sorted(here.undated())),
            *(
                (partial(_some, there, names[part::3]), partial(_some, here, names[part::3]))
                for part in range(2)
            ),
            *(
                (partial(there.asked_elsewhere, [it]), partial(here.asked_elsewhere, [it]))
                for it in ("main", "euro")
            ),
            (
                lambda: desk.observations.known(invoices),
                lambda: desk.memory_observations.known(invoices),
            ),
            (
                lambda: sorted(desk.observations.expired("main"), key=repr),
                lambda: sorted(desk.memory_observations.expired("main"), key=repr),
            ),
        )
        for real, memory in reads:
            found, other = real(), memory()
            assert found == other, f"{found}\nin memory:\n{other}"

    def keep(self) -> None:
        """A copy of both, to be put back later."""
        self.stage.sql("SELECT keep()")
        self.kept = self.database.snapshot()

    def lose_time(self) -> None:
        """Put both back to the copy, as a restored server: what came since is gone, and all connections are."""
        assert self.kept is not None
        self.pass_time(1)
        self.stage.sql("SELECT forget(), put_back()")
        self._restarted()
        self.database.restore(self.kept)
        self._reconnect()
        self.insist_same()

    def restart(self) -> None:
        """Both servers start anew, with all that they had."""
        self.pass_time(1)
        self._restarted()
        self.database.go_away()
        self.database.come_back()
        self._reconnect()
        self.insist_same()

    def _reconnect(self) -> None:
        """The first read of a pool fails in memory, as it does in life. The real side's readers lost no connection."""
        for desk in self.desks:
            with suppress(Unavailable):
                desk.memory_reader.ended()

    def _restarted(self) -> None:
        self._set_clock(started=self.at)
        self.stage.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = :role",
            role=_ROLE,
        )


def _named(values: Iterable[Any]) -> list[Any]:
    return sorted(values, key=lambda it: it.operation_id)


def _some(reader: Reader | MemoryReader, held: Sequence[str]) -> tuple[list[str], int, list[str]]:
    """What is due, without these; how many where few are wanted; and what has no time."""
    due = reader.due(most=99, held=held)
    return sorted(due), len(reader.due(most=2, held=held)), sorted(reader.undated(held=held))


def _held(reader: Reader | MemoryReader) -> list[bool]:
    """Which of the first numbers its outbox has."""
    return [reader.holds(it) for it in range(6)]


def _outcome(ask: Callable[[], Any]) -> Any:
    """A result, or what was raised instead; the words of a refusal are the server's own."""
    try:
        done = ask()
        return sorted(done, key=repr) if isinstance(done, list) else done  # which has no order
    except JournalRefusedError as refused:
        return type(refused)
    except SessionOver as over:
        return type(over), str(over)
