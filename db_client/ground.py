"""What a move stands on while it is applied: the connection in the db_txn, whose session it is, the next numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection, RowMapping

from db_client.moves import Numbered
from db_client.sealing import Sealer
from handlers.domain.errors import WorkerError


class StaleMoveError(WorkerError):
    """A move that contradicts the journal. Its batch is bisected, so that it fails alone."""


@dataclass(slots=True)
class Ground:
    """One db_txn of this session. `next_number` runs through the numbers that were reserved for it."""

    connection: Connection
    session_id: str
    sealer: Sealer
    incarnation: str
    next_number: int
    now: datetime
    outbox: list[Numbered] = field(default_factory=list)
    outbox_rows: list[dict[str, object]] = field(default_factory=list)
    granted: bool = False  # something of this session or another is due now

    def after(self, seconds: float) -> datetime:
        """The database's time so many seconds from now."""
        return self.now + timedelta(seconds=seconds)

    def number(self) -> int:
        """The next outbox number."""
        taken, self.next_number = self.next_number, self.next_number + 1
        return taken

    def rows(self, statement: object, parameters: Mapping[str, object]) -> list[RowMapping]:
        """Run a statement that returns rows."""
        return list(self.connection.execute(statement, parameters).mappings())  # type: ignore[call-overload]  # any of Core's
