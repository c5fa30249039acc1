"""A real journal for tests: a PostgreSQL of their own, a migrated database, and sessions that work on it.

No test lives here. Each suite starts its own server (two seconds), and clears the tables between its tests.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, text

from db_client.database import engine
from db_client.group_commit import GroupCommit
from db_client.journal import Journal
from db_client.moves import Admission, Admit, Admitted, DeadLetter, Move, Numbered, Source
from db_client.moving import Limits
from db_client.reading import Reader
from db_client.schema import migrate
from db_client.sealing import Sealer
from db_client.sessions import Started, boottime, start_session
from db_client.tables import metadata
from handlers import charge
from handlers.domain.commands import Command
from handlers.domain.errors import SessionOver
from handlers.domain.facts import Facts
from handlers.domain.intents import Charge
from handlers.ports import Message, OnePayment, Operation
from tests.doubles.values import RULES, command
from worker.demo.postgres import Postgres
from worker.routes import STATUS

DEADLINE_S: Final = 60.0
WAITS_S: Final = 20.0
SEALER: Final = Sealer({"k1": b"k" * 32})
_offsets = count(100)


class JournalStage:
    """One migrated database on a running server."""

    def __init__(self, server: Postgres) -> None:
        self.server = server
        self.url = server.database("journal")
        self.engine = engine(self.url, role="test", pool_size=2)
        migrate(self.engine)

    def clear(self) -> None:
        """Forget everything but the schema."""
        names = ", ".join(f'"{table.name}"' for table in metadata.sorted_tables)
        self.sql(f"TRUNCATE {names}")

    def sql(self, statement: str, **parameters: Any) -> list[Any]:
        """Run one statement and commit; its rows."""
        with self.engine.begin() as connection:
            done = connection.execute(text(statement), parameters)
            return list(done) if done.returns_rows else []

    def one(self, statement: str, **parameters: Any) -> Any:
        """The one value that a statement returns."""
        [row] = self.sql(statement, **parameters)
        return row[0]


@contextmanager
def staged(folder: Path, *, durable: bool = False) -> Iterator[JournalStage]:
    """A server with a journal, stopped at the end. `durable` where a test kills it or puts it back."""
    with Postgres(folder, durable=durable, say=lambda _: None) as server:
        stage = JournalStage(server)
        try:
            yield stage
        finally:
            stage.engine.dispose()


@dataclass
class Desk:
    """One session at work."""

    session_id: str
    started: Started
    engine: Engine
    commits: GroupCommit
    journal: Journal
    reader: Reader
    outbox: list[Numbered] = field(default_factory=list)
    over: list[SessionOver] = field(default_factory=list)

    def write(self, *moves: Move) -> list[Any]:
        """Submit them together; their results, after the commit."""
        futures = [self.commits.submit(move) for move in moves]
        return [future.result(WAITS_S) for future in futures]

    def admit(self, *admissions: Admission, letters: Sequence[DeadLetter] = ()) -> Admitted:
        """One batch of intake's."""
        [admitted] = self.write(Admit(admissions, letters, {}))
        assert isinstance(admitted, Admitted)
        return admitted

    def admit_one(self, of: Command | None = None, **changes: Any) -> Operation:
        """A new operation, as the journal has it."""
        [operation] = self.admit(admission(of, **changes)).operations
        return operation

    def load(self, operation_id: str) -> Operation:
        """The operation as the janitor reads it."""
        [operation] = self.reader.whole([operation_id]).operations
        return operation


@contextmanager
def working(
    stage: JournalStage,
    session_id: str = "one",
    *,
    lease_s: float = 60.0,
    url: str | None = None,
    alive: Callable[[], bool] | None = None,
    one_payment: OnePayment = OnePayment.OFF,
) -> Iterator[Desk]:
    """A session with its thread, without a keeper: its lease ends after `lease_s`."""
    own = engine(url or stage.url, role=session_id, pool_size=1)
    until = boottime() + lease_s
    started = start_session(stage.engine, session_id=session_id, group="tests", lease_s=lease_s)
    outbox: list[Numbered] = []
    over: list[SessionOver] = []
    commits = GroupCommit(
        own,
        session_id=session_id,
        incarnation=started.incarnation,
        sealer=SEALER,
        limits=Limits(deadline_s=DEADLINE_S, status_topic=STATUS, one_payment=one_payment),
        on_outbox=outbox.extend,
        on_over=over.append,
        alive=alive or (lambda: boottime() < until),
    )
    commits.start()
    journal = Journal(commits, deadline_s=DEADLINE_S)
    reader = Reader(stage.engine, session_id=session_id, sealer=SEALER)
    try:
        yield Desk(session_id, started, own, commits, journal, reader, outbox, over)
    finally:
        commits.stop()
        own.dispose()


def admission(of: Command | None = None, **changes: Any) -> Admission:
    """A command as intake hands it over, from an offset of its own unless `offset` says which."""
    base: dict[str, Any] = {
        "command": of or command(),
        "source": Source("payments", "topic-1", 0, changes.pop("offset", next(_offsets))),
        "since": None,
        "traceparent": "",
        "suspect": False,
        "conflict": lambda: message("conflict", topic="payments.dlq"),
        "refused": lambda: message("refused", topic="payments.dlq"),
    }
    return Admission(**{**base, **changes})


def message(event_id: str, *, topic: str = STATUS) -> Message:
    """A record to be published."""
    headers = (("ce_id", event_id.encode()),)
    return Message(topic, b"key", event_id.encode(), headers, event_id)


def intent(of: Operation) -> Charge:
    """What the plan makes of it."""
    assert of.inquiry is not None
    planned = charge.plan(of, Facts(), rules=RULES, now=of.command.issued_at)
    assert isinstance(planned, Charge)
    return planned
