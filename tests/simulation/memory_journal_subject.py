"""The journal in memory as `tests/contract/test_journal_port.py` sees it: the real port over moves in memory.

No test lives here.
"""

from typing import Any

from db_client.journal import Journal
from db_client.moves import Admit
from db_client.moving import Limits
from handlers.domain.verdicts import Evidence
from handlers.ports import Operation
from tests.contract.journal_stage import DEADLINE_S, admission
from tests.doubles.clock import ClockDouble
from tests.simulation.memory_journal import MemoryCommits
from tests.simulation.memory_journal_database import MemoryDatabase
from tests.simulation.memory_journal_reading import MemoryReader
from tests.simulation.memory_journal_sessions import start_session
from worker.routes import STATUS

_LEASE_S = 60.0


class MemorySubject:
    """One session on a database in memory."""

    def __init__(self) -> None:
        self._database = MemoryDatabase(ClockDouble().now)
        self._begin("one")

    def _begin(self, session_id: str) -> None:
        self._me = session_id
        started = start_session(
            self._database, session_id=session_id, group="tests", lease_s=_LEASE_S
        )
        self._commits = MemoryCommits(
            self._database,
            session_id=session_id,
            incarnation=started.incarnation,
            limits=Limits(DEADLINE_S, STATUS),
            on_outbox=lambda _: None,
            on_over=lambda _: None,
            alive=lambda: True,
        )
        self.journal = Journal(self._commits, deadline_s=DEADLINE_S)  # type: ignore[arg-type]  # the same methods

    def admit(self, **changes: Any) -> Operation:
        """A new operation."""
        admitted = self._commits.submit(Admit([admission(**changes)], [], {})).result()
        [operation] = admitted.operations
        assert isinstance(operation, Operation)
        return operation

    def load(self, of: Operation) -> Operation:
        """As it is on disk."""
        [operation] = MemoryReader(self._database, self._me).whole([of.operation_id]).operations
        return operation

    def due_s(self, of: Operation) -> float | None:
        """Seconds until it is due."""
        due_at = self._database.operations[of.operation_id].due_at
        return None if due_at is None else (due_at - self._database.now()).total_seconds()

    def take_over(self, of: Operation) -> None:
        """Raise its token."""
        self._database.operations[of.operation_id].token += 1

    def evidence(self, of: Operation) -> list[Evidence]:
        """What was said of it."""
        return [it.body for it in self._database.evidence if it.operation_id == of.operation_id]

    def told(self) -> list[str]:
        """Event ids in the outbox, in order."""
        outbox = self._database.estate(self._me).outbox
        return [it.message.event_id for it in outbox if it.payment_id is not None]

    def attempts(self, of: Operation) -> dict[int, str]:
        """Its attempts' states."""
        attempts = self._database.operations[of.operation_id].attempts
        return {it.number: it.state for it in attempts}

    def hold_back(self, of: Operation) -> None:
        """Let its payment's last event lie unpublished with another session."""
        start_session(self._database, session_id="other", group="tests", lease_s=_LEASE_S)
        payment = self._database.payments[of.payment.payment_id]
        payment.event_session, payment.event_number = "other", 1

    def anew(self) -> None:
        """A new process takes the dead one's work over."""
        before = self._me
        self._begin("next")
        for row in list(self._database.estate(before).unfinished.values()):
            self._database.hand_over(row, to="next", due_at=row.due_at)
