"""The journal's database in memory: tables, indexes, its clock, what it loses, and when it is away. No move lives here.

All workers of a simulation share one. A transaction is one call that either raises before it changes anything, or does
all of it; so nothing is ever rolled back. The clock is handed in, and never shows two transactions the same
microsecond: what is first come is told apart as on a server, also where the simulated time stands still.

A snapshot costs nothing until rows change: each row is copied before its first change after a snapshot. Putting one
back is what a restored copy of a server's files is: connections break, the sessions' counts of commits are those of
then, the incarnation is another. The time goes on.
"""

from collections.abc import Callable, MutableMapping
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from handlers.domain.errors import Unavailable
from handlers.domain.recovery import Stage
from tests.simulation.memory_journal_rows import (
    AttemptRow,
    ClaimRow,
    Estate,
    EvidenceRow,
    FinderRow,
    Folder,
    Key,
    OperationRow,
    OutboxRow,
    PaymentRow,
    PositionRow,
    Row,
    SessionRow,
    in_line,
    unshelve,
)

_TICK: Final = timedelta(microseconds=1)
_LONG_AGO: Final = timedelta(days=365)


@dataclass(slots=True, eq=False)
class Snapshot:
    """A moment to which the journal can be put back; `changed` holds what was changed since, as it was then."""

    evidence: int
    changed: dict[tuple[type[Row], Key], Row | None] = field(default_factory=dict)


class MemoryDatabase:
    """One database. `now`: the simulated time, UTC and aware.

    `outbox` is keyed by place, not by number; `told` is the last transaction id that evidence names, by operation.
    """

    def __init__(self, now: Callable[[], datetime], *, up_since: datetime | None = None) -> None:
        self.operations: dict[str, OperationRow] = {}
        self.payments: dict[str, PaymentRow] = {}
        self.sessions: dict[str, SessionRow] = {}
        self.claims: dict[str, ClaimRow] = {}
        self.positions: dict[tuple[str, int], PositionRow] = {}
        self.finders: dict[str, FinderRow] = {}
        self.outbox: dict[int, OutboxRow] = {}
        self.evidence: list[EvidenceRow] = []
        self.up_since = now() - _LONG_AGO if up_since is None else up_since
        self.away = False
        self.connections = 1  # grows whenever all of them break
        self.epoch = 0
        self.answers: dict[str, OutboxRow] = {}
        self.told: dict[str, str] = {}
        self.folders: dict[str, Folder] = {}
        self.lines: dict[str, Folder] = {}  # those in which somebody waits
        self.invoices: dict[str, dict[int, str]] = {}  # invoice number → attempt → operation
        self.estates: dict[str, Estate] = {}
        self._now = now
        self._last = self.up_since
        self._serial = 0
        self._places = 0
        self._timeline = 1
        self._starts = 1
        self._cut_off: set[str] = set()  # asked for membership only
        self._pools: dict[tuple[str, str], int] = {}  # the connections that each has
        self._snapshots: list[Snapshot] = []
        self._changed: dict[tuple[type[Row], Key], Row | None] | None = None
        self._tables: dict[type[Row], MutableMapping[Any, Any]] = {
            OperationRow: self.operations,
            PaymentRow: self.payments,
            SessionRow: self.sessions,
            ClaimRow: self.claims,
            PositionRow: self.positions,
            FinderRow: self.finders,
            OutboxRow: self.outbox,
        }

    def now(self) -> datetime:
        """The database's time, as a read sees it."""
        return max(self._now(), self._last)

    def begin(self) -> datetime:
        """The time of a new transaction: later than that of the one before."""
        self._last = max(self._now(), self._last + _TICK)
        return self._last

    def take_time(self, microseconds: int) -> None:
        """A transaction of many commands stamps them one behind the other: the next one begins later."""
        self._last += _TICK * microseconds

    @property
    def incarnation(self) -> str:
        """`system/timeline/start`, as `db_client/incarnation.py` has it."""
        return f"memory/{self._timeline:08X}/{self._starts}.1.1.1"

    # Whether it is there.

    def reaches(self, session_id: str) -> bool:
        """Whether this session can speak to the database now."""
        return not self.away and session_id not in self._cut_off

    def insist(self, session_id: str, role: str = "reads") -> None:
        """Raise Unavailable where it cannot, and once for each of its pools whose connections broke."""
        if not self.reaches(session_id):
            raise Unavailable("journal", "connection refused")
        before = self._pools.get((session_id, role))
        if before != self.connections:
            self._pools[session_id, role] = self.connections
            if before is not None:
                raise Unavailable("journal", "server closed the connection unexpectedly")

    def go_away(self) -> None:
        """Nobody reaches it any more, and all connections are gone."""
        self.away = True
        self.connections += 1

    def come_back(self, *, restarted: bool = True) -> None:
        """It is there again, with all that it had. Whoever waits sees it at the next try."""
        self.away = False
        if restarted:
            self._started_anew()

    def cut_off(self, session_id: str) -> None:
        """The network between this session and the database is gone; the others go on."""
        self._cut_off.add(session_id)

    def join_up(self, session_id: str) -> None:
        """The network is back. A connection that stood idle meanwhile still works."""
        self._cut_off.discard(session_id)

    def _started_anew(self) -> None:
        self.connections += 1
        self._starts += 1
        self.up_since = self.now()

    # Losing time.

    def snapshot(self) -> Snapshot:
        """This moment, to put back later."""
        taken = Snapshot(len(self.evidence))
        self._snapshots.append(taken)
        self._changed = taken.changed
        self.epoch += 1
        return taken

    def has(self, taken: Snapshot) -> bool:
        """Whether it can be put back still: no older one was."""
        return any(it is taken for it in self._snapshots)

    def restore(self, to: Snapshot, *, fail_over: bool = False) -> None:
        """Forget everything since `to`, which may be put back again; later snapshots are gone.

        `fail_over`: a standby without our last commits took over, on a timeline of its own.
        """
        assert self.has(to), "an older one was put back meanwhile"
        while True:
            last = self._snapshots[-1]
            self._put_back(last)
            if last is to:
                break
            self._snapshots.pop()
        del self.evidence[to.evidence :]
        to.changed.clear()
        self._changed = to.changed
        self.epoch += 1
        self._timeline += fail_over
        self._started_anew()
        self._index()

    def _put_back(self, snapshot: Snapshot) -> None:
        for (kind, key), row in snapshot.changed.items():
            if row is None:
                self._tables[kind].pop(key, None)
            else:
                self._tables[kind][key] = row

    def touch(self, row: Row) -> None:
        """To be called before a row is changed or deleted."""
        if row.epoch != self.epoch:
            self._keep(row)

    def _keep(self, row: Row) -> None:
        assert self._changed is not None, "rows are of an older epoch only after a snapshot"
        kept = copy(row)
        if isinstance(kept, OperationRow):
            kept.attempts = [copy(it) for it in kept.attempts]
        self._changed[type(row), row.key] = kept
        row.epoch = self.epoch

    def _added(self, row: Row) -> None:
        if self._changed is not None:
            self._changed.setdefault((type(row), row.key), None)

    def _index(self) -> None:
        """Make all indexes anew from the rows."""
        for index in (
            self.answers, self.told, self.folders, self.lines, self.invoices, self.estates
        ):  # fmt: skip
            index.clear()
        for payment in self.payments.values():
            self.folder(payment.payment_id).payment = payment
        for claim in self.claims.values():
            if claim.payment_id is not None:
                self.folder(claim.payment_id).claims.append(claim)
        for row in sorted(self.operations.values(), key=lambda it: it.serial):
            row.entry = row.shelf = None
            self._file(row)
            for it in row.attempts:
                self.invoices.setdefault(it.invoice_number, {})[it.number] = row.operation_id
        for place in sorted(self.outbox):
            self._list(self.outbox[place])
        for estate in self.estates.values():
            estate.outbox.sort(key=lambda it: it.number)
        for evidence in self.evidence:
            self._hear(evidence)

    def _file(self, row: OperationRow) -> None:
        folder = row.folder = self.folder(row.payment_id)
        folder.operations.append(row)
        if row.stage is Stage.CONCLUDED:
            return
        self.estate(row.session_id).unfinished[row.operation_id] = row
        self.estate(row.session_id).shelve(row)
        if row.stage is Stage.QUEUED:
            self._line_up(row)

    def _list(self, row: OutboxRow) -> None:
        self.estate(row.session_id).outbox.append(row)
        if row.payment_id is not None:
            self.folder(row.payment_id).told.append(row)
        if row.answers is not None:
            self.answers[row.answers] = row

    def _hear(self, row: EvidenceRow) -> None:
        transaction_id = row.transaction_id
        if transaction_id is not None:
            self.told[row.operation_id] = transaction_id

    # Rows in and out of tables and indexes.

    def folder(self, payment_id: str) -> Folder:
        """Everything about this payment id, known or not."""
        folder = self.folders.get(payment_id)
        if folder is None:
            folder = self.folders[payment_id] = Folder(payment_id)
        return folder

    def estate(self, session_id: str) -> Estate:
        """What this session owns."""
        estate = self.estates.get(session_id)
        if estate is None:
            estate = self.estates[session_id] = Estate()
        return estate

    def serial(self) -> int:
        """The next operation's."""
        self._serial += 1
        return self._serial

    def add_operation(self, row: OperationRow) -> None:
        """A new operation, in the stage that it starts from and without a due time."""
        self.operations[row.operation_id] = row
        row.folder.operations.append(row)
        self.estate(row.session_id).unfinished[row.operation_id] = row
        if row.stage is Stage.QUEUED:
            self._line_up(row)
        self._added(row)

    def add_payment(self, row: PaymentRow) -> None:
        """A new payment."""
        self.payments[row.payment_id] = row
        self.folder(row.payment_id).payment = row
        self._added(row)

    def add_session(self, row: SessionRow) -> None:
        """A new session, whose name nobody had before."""
        assert row.session_id not in self.sessions
        self.sessions[row.session_id] = row
        self._added(row)

    def add_claim(self, row: ClaimRow) -> None:
        """A new claim of an order."""
        self.claims[row.claim] = row
        if row.payment_id is not None:
            self.folder(row.payment_id).claims.append(row)
        self._added(row)

    def hand_claim(self, row: ClaimRow, *, to: str | None) -> None:
        """Another payment has the order now, or none."""
        self.touch(row)
        if row.payment_id is not None:
            self.folder(row.payment_id).claims.remove(row)
        row.payment_id = to
        if to is not None:
            self.folder(to).claims.append(row)

    def add_position(self, row: PositionRow) -> None:
        """A partition that was never read before."""
        self.positions[row.topic_id, row.partition] = row
        self._added(row)

    @property
    def has_unread(self) -> bool:
        """Whether records of lost time are still to be read again."""
        return any(it.next_offset < it.suspect_below for it in self.positions.values())

    def add_finder(self, row: FinderRow) -> None:
        """An account that nobody looked into before."""
        self.finders[row.merchant_account] = row
        self._added(row)

    def add_outbox(self, row: OutboxRow) -> None:
        """A message under the next number of its session."""
        self.outbox[row.place] = row
        self._list(row)
        self._added(row)

    def place(self) -> int:
        """The next place in the outbox."""
        self._places += 1
        return self._places

    def add_evidence(self, row: EvidenceRow) -> None:
        """What was said is never changed again."""
        self.evidence.append(row)
        self._hear(row)

    def add_attempt(self, row: OperationRow, attempt: AttemptRow) -> None:
        """An attempt of an operation that was touched."""
        row.attempts.append(attempt)
        row.attempts.sort(key=lambda it: it.number)
        self.invoices.setdefault(attempt.invoice_number, {})[attempt.number] = row.operation_id

    def move(self, row: OperationRow, *, stage: Stage, due_at: datetime | None) -> None:
        """A touched operation enters `stage` and is due then; it is found where the two say."""
        if row.shelf is not None:
            unshelve(row)
        before, row.stage, row.due_at = row.stage, stage, due_at
        if before is not stage:
            if before is Stage.QUEUED:
                self._step_out(row)
            elif stage is Stage.QUEUED:
                self._line_up(row)
            if stage is Stage.CONCLUDED:
                del self.estates[row.session_id].unfinished[row.operation_id]
            elif before is Stage.CONCLUDED:  # no worker does that
                self.estate(row.session_id).unfinished[row.operation_id] = row
        if due_at is not None:
            self.estates[row.session_id].shelve(row)

    def _line_up(self, row: OperationRow) -> None:
        """It waits before its payment, behind whoever came first."""
        line = row.folder.line
        line.append(row)
        if len(line) > 1:
            line.sort(key=in_line)
        self.lines[row.payment_id] = row.folder

    def _step_out(self, row: OperationRow) -> None:
        """It leaves the line."""
        row.folder.line.remove(row)
        if not row.folder.line:
            del self.lines[row.payment_id]

    def hand_over(self, row: OperationRow, *, to: str, due_at: datetime | None) -> None:
        """A touched operation gets another owner, and is due then."""
        unshelve(row)
        row.due_at = due_at
        del self.estates[row.session_id].unfinished[row.operation_id]
        row.session_id = to
        estate = self.estate(to)
        estate.unfinished[row.operation_id] = row
        estate.shelve(row)

    def remove(self, row: OperationRow) -> None:
        """Delete an operation that stands in line, and nothing was ever opened for."""
        self.touch(row)
        unshelve(row)
        self._step_out(row)
        row.folder.operations.remove(row)
        del self.operations[row.operation_id]
        del self.estates[row.session_id].unfinished[row.operation_id]
