"""Reads of the journal in memory: `db_client.reading.Reader`, method for method. Nothing is written here.

What has no order on PostgreSQL comes in order of admission.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from db_client import command_json
from db_client.reading import Backlog, Loaded, Orphan, Position
from handlers.domain.commands import (
    Command,
    InitiatePayment,
    RefundPayment,
    Ruling,
    VerifyPayment,
    VoidPayment,
    initiation_of,
)
from handlers.domain.recovery import Inquiry, Stage
from handlers.domain.states import RequestState
from handlers.ports import Operation, Origin
from tests.simulation.memory_journal_database import MemoryDatabase
from tests.simulation.memory_journal_finders import is_asked_elsewhere, strayed
from tests.simulation.memory_journal_rows import UNSENT, OperationRow, changed_request

_ASLEEP: Final = frozenset({Stage.QUEUED, Stage.DEFERRED})
_TRIED: Final = frozenset({Stage.OPEN, Stage.ANSWERED, Stage.ASKING, Stage.CONCLUDED})


@dataclass(slots=True, eq=False)
class MemoryReader:
    """Reads of one session. Every method raises Unavailable where the database is away."""

    database: MemoryDatabase
    session_id: str

    def positions(self, topic_id: str) -> dict[int, Position]:
        """Partition → how far it was read, for the topic of this id."""
        self.database.insist(self.session_id)
        return {
            row.partition: Position(row.next_offset, row.updated_at, row.suspect_below)
            for row in self.database.positions.values()
            if row.topic_id == topic_id
        }

    def ended(self) -> bool:
        """Whether this session's own row was ended, or is not there."""
        self.database.insist(self.session_id)
        row = self.database.sessions.get(self.session_id)
        return row is None or row.ended_at is not None

    def holds(self, number: int) -> bool:
        """Whether the row of this session's outbox with this number is there."""
        self.database.insist(self.session_id)
        rows = self.database.estate(self.session_id).unpublished(number)
        return bool(rows) and rows[0].number == number

    def due(self, *, most: int, held: Sequence[str] = ()) -> list[str]:
        """Ids of what is due, the longest overdue first, without those in `held`."""
        self.database.insist(self.session_id)
        now, without, found = self.database.now(), frozenset(held), list[str]()
        for due_at, _, row in self.database.estate(self.session_id).dated:
            if due_at > now or len(found) >= most:
                break
            if row.operation_id in without:
                continue
            if not is_asked_elsewhere(self.database, row, me=self.session_id):
                found.append(row.operation_id)
        return found

    def undated(self, *, most: int = 1000, held: Sequence[str] = ()) -> list[str]:
        """Ids of what is unfinished and has no due time, without those in `held`."""
        self.database.insist(self.session_id)
        without = frozenset(held)
        found = [
            name
            for name, row in self.database.estate(self.session_id).unfinished.items()
            if row.due_at is None and row.stage not in _ASLEEP and name not in without
        ]
        return found[:most]

    def asked_elsewhere(self, accounts: Sequence[str]) -> bool:
        """Whether another session has a due question about one of these accounts, which this one looks into."""
        self.database.insist(self.session_id)
        now = self.database.now()
        mine = self.database.sessions[self.session_id].incarnation
        found = strayed(self.database, accounts, me=self.session_id, incarnation=mine, now=now)
        return bool(found)

    def must_go_on(self) -> bool:
        """Whether a deferred operation is due, or one stands in line before a free lane."""
        self.database.insist(self.session_id)
        deferred = self.database.estate(self.session_id).deferred
        if deferred and deferred[0][0] <= self.database.now():
            return True
        return any(
            folder.payment is not None
            and folder.payment.held_by is None
            and any(row.session_id == self.session_id for row in folder.line)
            for folder in self.database.lines.values()
        )

    def orphans(self, *, most: int = 100) -> list[Orphan]:
        """Requests whose payment did not come in time."""
        self.database.insist(self.session_id)
        return [
            Orphan(
                row.operation_id,
                row.command,
                topic_id=row.source.topic_id,
                partition=row.source.partition,
                offset=row.source.offset,
                suspect_since=row.since if row.suspect else None,
            )
            for row in self._orphans()
        ][:most]

    def _orphans(self) -> Iterator[OperationRow]:
        now, waits = self.database.now(), self.database.has_unread
        for folder in self.database.lines.values():
            if folder.payment is None:
                for row in folder.line:
                    is_late = row.due_at is not None and row.due_at <= now
                    if (
                        is_late
                        and row.session_id == self.session_id
                        and not (row.suspect and waits)
                    ):
                        yield row

    def backlog(self) -> Backlog:
        """What is not concluded, over all sessions."""
        self.database.insist(self.session_id)
        now = oldest = self.database.now()
        by_stage: dict[str, int] = {}
        for estate in self.database.estates.values():
            for row in estate.unfinished.values():
                by_stage[row.stage.value] = by_stage.get(row.stage.value, 0) + 1
                oldest = min(oldest, row.admitted_at)
        return Backlog(by_stage, (now - oldest).total_seconds())

    def whole(self, ids: Collection[str]) -> Loaded:
        """The operations themselves, as they stand now; those of other sessions are left out."""
        self.database.insist(self.session_id)
        loaded = Loaded([], [])
        for name in dict.fromkeys(ids):
            row = self.database.operations.get(name)
            if row is None or row.session_id != self.session_id or row.folder.payment is None:
                continue
            loaded.operations.append(_inheriting(self.database, self._operation(row)))
        return loaded

    def _operation(self, row: OperationRow) -> Operation:
        payment = row.folder.payment
        assert payment is not None
        last = row.attempts[-1] if row.attempts else None
        used = max((it.number for it in row.attempts if it.state != UNSENT), default=0)
        return Operation(
            row.operation_id,
            _command(row),
            payment.known,
            stage=row.stage,
            token=row.token,
            suspect=row.suspect,
            inquiry=Inquiry(
                row.asked,
                row.complete_scans,
                since=row.since,
                until=row.until,
                now=self.database.now(),
                merchant_account=None if last is None else last.merchant_account,
                invoice_number=None if last is None else last.invoice_number,
                transaction_id=self.database.told.get(row.operation_id),
            ),
            answered_at=row.answered_at,
            traceparent=row.traceparent,
            request=row.request,
            attempt=max(used, 1) if row.stage in _TRIED else used + 1,
            tried=None if last is None else last.about,
            origin=_origin(self.database, row),
            canceled=row.request is None and _canceled(row, payment.known.user_id),
            ruling=_ruling(row, payment.known.version),
            follow_up=row.follow_up,
            record=row.source.coordinates,
        )


def _command(row: OperationRow) -> Command:
    """With its secrets where it may still be sent, without them from then on."""
    command = row.command
    if not isinstance(command, InitiatePayment):
        return command
    if row.stage is Stage.ADMITTED and not row.erased:
        return command
    if row.blank is None:
        row.blank = command_json.from_json(command_json.to_json(command), secret=None)
    return row.blank


def _origin(database: MemoryDatabase, row: OperationRow) -> Origin | None:
    if row.request is None:
        return None
    first = database.operations[initiation_of(row.payment_id)]
    assert isinstance(first.command, InitiatePayment), "the first operation of a payment"
    opened = next((it for it in first.attempts if it.number == 1), None)
    return Origin(
        first.command.mode,
        merchant_account=opened.merchant_account if opened else "",
        invoice_number=opened.invoice_number if opened else "",
        since=first.since,
        lines=first.command.lines,
    )


def _canceled(row: OperationRow, user_id: str) -> bool:
    """Whether a void of this user's, or of a service that names none, stands in line."""
    return any(
        isinstance(it.command, VoidPayment) and it.command.user_id in {"", user_id}
        for it in row.folder.line
    )


def _ruling(row: OperationRow, version: int) -> Ruling | None:
    """A person's word in a verification that waits behind the operation; a later word mends an earlier one."""
    for waiting in reversed(row.folder.line):
        command = waiting.command
        if isinstance(command, VerifyPayment) and command.ruling is not None:
            ruling = command.ruling
            if ruling.about == row.operation_id and ruling.version == version:
                return ruling
    return None


def _inheriting(database: MemoryDatabase, of: Operation) -> Operation:
    """A refund that goes on under a command of its own takes over what its predecessor has reserved."""
    command, request = of.command, of.request
    if request is None or not isinstance(command, RefundPayment) or command.goes_on is None:
        return of
    if request.state is not RequestState.REQUESTED or request.reserved_minor:
        return of
    before = database.operations.get(command.goes_on)
    if before is None or before.request is None:
        return of
    if before.request.state is not RequestState.CONTINUED:
        return of
    reserved_minor = before.request.reserved_minor
    return replace(of, request=changed_request(request, reserved_minor=reserved_minor))
