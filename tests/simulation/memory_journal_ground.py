"""What a move stands on while the journal in memory applies it, and the guard that every move stands behind.

A move that is refused raises before it has changed anything: there is no rollback here. The texts of the refusals are
those of PostgreSQL's constraints where one of them would have refused.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from db_client.moves import Numbered
from db_client.moving import Limits
from handlers.domain.errors import WorkerError
from handlers.domain.payments import Payment
from handlers.ports import Operation
from tests.simulation.memory_journal_database import MemoryDatabase
from tests.simulation.memory_journal_rows import OperationRow, SessionRow


class RefusedError(WorkerError):
    """The database does not take this move, or it contradicts the journal."""


@dataclass(slots=True, eq=False)
class MemoryGround:
    """One transaction of `me`: its own row, its time, the next numbers, and what it puts into the outbox."""

    database: MemoryDatabase
    me: str
    session: SessionRow
    limits: Limits
    incarnation: str
    now: datetime
    next_number: int
    outbox: list[Numbered] = field(default_factory=list)
    granted: bool = False

    def after(self, seconds: float) -> datetime:
        """The database's time so many seconds from now."""
        return self.now + timedelta(seconds=seconds)

    def number(self) -> int:
        """The next outbox number."""
        taken = self.next_number
        self.next_number = taken + 1
        return taken

    def mine(self, of: Operation) -> OperationRow | None:
        """The operation's row where it is still this session's, under the same token and in the same stage."""
        row = self.database.operations.get(of.operation_id)
        if row is None or row.token != of.token or row.stage is not of.stage:
            return None
        return row if row.session_id == self.me else None


def insist_lawful(known: Payment) -> None:
    """The CHECKs of the payment's row."""
    captured, refunded = known.captured_minor, known.refunded_minor
    capturing, refunding = known.capturing_minor, known.refunding_minor
    if captured < 0 or capturing < 0 or captured + capturing > known.authorised_minor:
        raise RefusedError("check constraint ck_payment_captured_within_authorised is violated")
    if refunded < 0 or refunding < 0 or refunded + refunding > captured:
        raise RefusedError("check constraint ck_payment_refunded_within_captured is violated")
