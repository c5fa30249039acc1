"""The rows of the journal in memory: plain mutable objects, one class for each table of `db_client/tables.py`.

No move lives here. Whoever changes a row says so first (`MemoryDatabase.touch`): that is what a snapshot stands on.
Where the real table has many columns for one value of the domain (a payment, a request, a source), the row keeps the
value itself; `journal_twin_rows.py` spells the columns out.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from operator import attrgetter
from typing import Any, Final, Generic, TypeVar

from db_client.moves import Source
from handlers.domain.commands import Command, Kind
from handlers.domain.intents import About
from handlers.domain.payments import Payment, Request, Snapshot
from handlers.domain.recovery import Inquiry, Stage
from handlers.domain.verdicts import Evidence
from handlers.ports import Message, Operation

ValueT = TypeVar("ValueT")
OPEN: Final = "open"
UNSENT: Final = "unsent"
ANSWERED: Final = "answered"
Key = str | int | tuple[str, int]


class Changed(Generic[ValueT]):
    """Frozen values with changes, as `dataclasses.replace` makes them, in half the time."""

    def __init__(self, kind: Callable[..., ValueT], names: tuple[str, ...]) -> None:
        self._kind = kind
        self._values = attrgetter(*names)
        self._place: Mapping[str, int] = {name: place for place, name in enumerate(names)}

    def __call__(self, value: ValueT, **changes: Any) -> ValueT:
        """`value` with `changes`."""
        values = list(self._values(value))
        place = self._place
        for name, changed in changes.items():
            values[place[name]] = changed
        return self._kind(*values)


changed_operation: Final = Changed(Operation, tuple(it.name for it in fields(Operation)))
changed_inquiry: Final = Changed(Inquiry, tuple(it.name for it in fields(Inquiry)))
changed_payment: Final = Changed(Payment, tuple(it.name for it in fields(Payment)))
changed_request: Final = Changed(Request, tuple(it.name for it in fields(Request)))


@dataclass(slots=True, eq=False)
class AttemptRow:
    """One attempt. It belongs to its operation's row, and is kept and put back together with it."""

    number: int
    invoice_number: str
    merchant_account: str
    about: About
    state: str
    request: Evidence
    session_id: str
    opened_at: datetime


@dataclass(slots=True, eq=False)
class OperationRow:
    """One operation. `request` is None for an initiation; its amount counts as unsaid until it was answered.

    `erased`: its means are gone. `serial`, `folder`, `entry` and `shelf` belong to the indexes, `epoch` to snapshots.
    """

    operation_id: str
    kind: Kind
    payment_id: str
    command: Command
    traceparent: str
    source: Source
    session_id: str
    stage: Stage
    arrival: int
    suspect: bool
    since: datetime
    until: datetime
    admitted_at: datetime
    request: Request | None
    serial: int
    folder: "Folder"
    epoch: int
    token: int = 1
    due_at: datetime | None = None
    why: str = ""
    asked: int = 0
    complete_scans: int = 0
    answered_at: datetime | None = None
    concluded_at: datetime | None = None
    follow_up: Command | None = None
    erased: bool = False
    blank: Command | None = None
    attempts: list[AttemptRow] = field(default_factory=list)
    entry: "Entry | None" = None
    shelf: "list[Entry] | None" = None

    @property
    def key(self) -> Key:
        """Its table's key."""
        return self.operation_id


Entry = tuple[datetime, int, OperationRow]


@dataclass(slots=True, eq=False)
class PaymentRow:
    """One payment: what is known of it, who holds its lane, and where its last event lies."""

    payment_id: str
    known: Payment
    held_by: str | None
    created_at: datetime
    updated_at: datetime
    epoch: int
    event_session: str | None = None
    event_number: int | None = None

    @property
    def key(self) -> Key:
        """Its table's key."""
        return self.payment_id


@dataclass(slots=True, eq=False)
class OutboxRow:
    """One message under its number. `place` is where it stands in the whole outbox, whoever owns it."""

    place: int
    session_id: str
    number: int
    message: Message
    payment_id: str | None
    operation_id: str | None
    answers: str | None
    created_at: datetime
    epoch: int

    @property
    def key(self) -> Key:
        """Its place: the number changes with the owner."""
        return self.place


@dataclass(slots=True, eq=False)
class EvidenceRow:
    """What was said once. `told` is None where it was heard while asking. Never changed."""

    operation_id: str
    payment_id: str
    session_id: str
    at: datetime
    told: Snapshot | None
    body: Evidence

    @property
    def what(self) -> str:
        """What it was said for, as the column has it."""
        if self.told is None:
            return "asked"
        request = self.told.request
        of_request = f":{request.kind}:{request.state}" if request is not None else ""
        return f"answer:{self.told.payment.state}{of_request}"

    @property
    def transaction_id(self) -> str | None:
        """The transaction that the operation itself made: a charge's, or a refund's own."""
        if self.told is None:
            return None
        request = self.told.request
        return self.told.payment.transaction_id if request is None else request.transaction_id


@dataclass(slots=True, eq=False)
class ClaimRow:
    """Who pays an order now; nobody, once that took nothing."""

    claim: str
    payment_id: str | None
    paid_minor: int
    claimed_at: datetime
    epoch: int

    @property
    def key(self) -> Key:
        """Its table's key."""
        return self.claim


@dataclass(slots=True, eq=False)
class PositionRow:
    """How far a partition was read."""

    topic_id: str
    partition: int
    topic: str
    next_offset: int
    updated_at: datetime
    epoch: int
    suspect_below: int = 0

    @property
    def key(self) -> Key:
        """Its table's key."""
        return self.topic_id, self.partition


@dataclass(slots=True, eq=False)
class FinderRow:
    """Who looks into a merchant account's lists, and how far they were walked."""

    merchant_account: str
    currency: str
    session_id: str | None
    held_since: datetime
    epoch: int
    walked_until: datetime | None = None

    @property
    def key(self) -> Key:
        """Its table's key."""
        return self.merchant_account


@dataclass(slots=True, eq=False)
class SessionRow:
    """One session, and its lease: None where there is no lease any more."""

    session_id: str
    group: str
    incarnation: str
    started_at: datetime
    alive_until: datetime | None
    epoch: int
    ended_at: datetime | None = None
    ended_why: str | None = None
    rehomed_at: datetime | None = None
    rehomed_by: str | None = None
    commits: int = 0
    next_number: int = 1
    watermark: int = 1

    @property
    def key(self) -> Key:
        """Its table's key."""
        return self.session_id


Row = OperationRow | PaymentRow | OutboxRow | ClaimRow | PositionRow | FinderRow | SessionRow


@dataclass(slots=True, eq=False)
class Folder:
    """Everything about one payment id, for the moves that look at all of it. An index: made anew from the rows.

    `line`: the operations that are QUEUED, first come first. `told`: its outbox rows, the oldest first.
    """

    payment_id: str
    payment: PaymentRow | None = None
    operations: list[OperationRow] = field(default_factory=list)
    line: list[OperationRow] = field(default_factory=list)
    told: list[OutboxRow] = field(default_factory=list)
    claims: list[ClaimRow] = field(default_factory=list)


def in_line(row: OperationRow) -> tuple[int, str]:
    """Its place in the line before its payment."""
    return row.arrival, row.operation_id


@dataclass(slots=True, eq=False)
class Estate:
    """What one session owns: everything unfinished, and of that what has a due time, the earliest first. An index.

    `outbox` is in the order of its numbers, published ones included.
    """

    unfinished: dict[str, OperationRow] = field(default_factory=dict)
    dated: list[Entry] = field(default_factory=list)
    deferred: list[Entry] = field(default_factory=list)
    outbox: list[OutboxRow] = field(default_factory=list)

    def shelve(self, row: OperationRow) -> None:
        """Put a row where its stage and due time say, if anywhere: what stands in line is found there."""
        due_at, stage = row.due_at, row.stage
        if due_at is None or stage is Stage.QUEUED or stage is Stage.CONCLUDED:
            return
        row.entry = (due_at, row.serial, row)
        row.shelf = self.deferred if stage is Stage.DEFERRED else self.dated
        insort(row.shelf, row.entry)

    def unpublished(self, watermark: int) -> list[OutboxRow]:
        """Its rows from the watermark on."""
        return self.outbox[bisect_left(self.outbox, watermark, key=_number) :]


def unshelve(row: OperationRow) -> None:
    """Take a row off its shelf, if it lies on one."""
    if row.shelf is None or row.entry is None:
        return
    del row.shelf[bisect_left(row.shelf, row.entry)]
    row.shelf = row.entry = None


def _number(row: OutboxRow) -> int:
    return row.number
