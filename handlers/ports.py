"""What the passage needs of the world, as protocols. Frozen values go in, frozen values come back.

No implementation lives here. Each port has one contract suite under `tests/contract/`.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from handlers.domain.commands import Command
from handlers.domain.intents import Intent, Question
from handlers.domain.outcomes import Event
from handlers.domain.payments import Payment
from handlers.domain.recovery import Inquiry, Stage
from handlers.domain.verdicts import NO_EVIDENCE, Answer, Evidence, Finding


@dataclass(frozen=True, slots=True)
class Operation:
    """A command in work: how far it came, and the `token` that guards every move (raised at each takeover)."""

    operation_id: str
    command: Command
    payment: Payment
    stage: Stage
    token: int
    suspect: bool = False
    inquiry: Inquiry | None = None
    answered_at: datetime | None = None
    traceparent: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """One Kafka record to be published: encoded, size-checked, with its stable `event_id`."""

    topic: str
    key: bytes
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    event_id: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Not yet: due again in `seconds`. `why` is for people."""

    seconds: float
    why: str
    evidence: Evidence = field(default_factory=lambda: NO_EVIDENCE)
    unsent: bool = False  # the gate let no byte pass: back to ADMITTED, the intent is open no more
    asked: bool = False  # the gateway was asked: the schedule moves on
    complete_scan: bool = False  # counts towards absence
    trust: bool = False  # absence is proven: a suspect operation may be planned


@dataclass(frozen=True, slots=True)
class Moved:
    """The journal took the move: the operation as it stands after the commit."""

    operation: Operation


@dataclass(frozen=True, slots=True)
class Lost:
    """The move was refused: the operation belongs to another session now. Evidence was kept all the same."""


@dataclass(frozen=True, slots=True)
class Queued:
    """The payment's last event still lies unpublished in another session's outbox: conclude again a little later."""


@dataclass(frozen=True, slots=True)
class Ahead:
    """News was told up to `version` in time that the journal has lost.

    The news is to be told under `version + 1`.
    """

    version: int


class Gateway(Protocol):
    """The payment gateway. A second one needs no change outside its own folder and the wiring."""

    def slot(self) -> AbstractAsyncContextManager[None]:
        """A place among the calls in flight. Taken before the intent is opened, so that no open intent waits in line.

        Raises Unavailable where the breaker is open.
        """
        ...

    def frozen(self, intent: Intent) -> Evidence:
        """The request as it will be sent, without credentials and without the means' secret: what the journal keeps."""
        ...

    async def send(self, intent: Intent) -> Answer:
        """Send it, at most once. Never raises for anything the gateway or the network does."""
        ...

    async def find(self, question: Question) -> Finding:
        """Ask what became of an intent. Never raises; a scan that failed is a NotSeen that is not complete."""
        ...


class Journal(Protocol):
    """What is on disk before anything else happens. Every call returns after its commit.

    While the database is away a call waits, for at most the lease. Raises SessionOver where this session may not write
    any more. Every move names the stage it starts from, so a stale one is Lost and changes nothing.
    """

    async def open(self, operation: Operation, *, intent: Intent, frozen: Evidence) -> Moved | Lost:
        """Write the intent first (P3)."""
        ...

    async def answer(
        self, operation: Operation, *, payment: Payment, evidence: Evidence
    ) -> Moved | Lost:
        """Append the evidence whoever holds the lease, then move the payment; the operation is ANSWERED."""
        ...

    async def outrun(self, operation: Operation, *, version: int) -> Moved | Lost:
        """Tell the news under `version`, above all that was told: a journal that lost time would use a number twice."""
        ...

    async def wait(self, operation: Operation, *, wait: Wait) -> Moved | Lost:
        """Park it in its stage until it is due."""
        ...

    async def conclude(
        self, operation: Operation, *, messages: Sequence[Message], wait: Wait | None
    ) -> Moved | Lost | Queued:
        """Events into the outbox; the operation is CONCLUDED, or ASKING where `wait` says when to ask again."""
        ...


class Records(Protocol):
    """The db-service, where the rest of the platform looks payments up."""

    async def record(self, payment: Payment, *, occurred_at: datetime) -> Ahead | None:
        """Idempotent by version; None when this news is stored, under this version or a later one.

        Raises Unavailable.
        """
        ...

    async def knows(self, payment_id: str) -> bool:
        """Whether any version of this payment was ever recorded. Raises Unavailable."""
        ...


class Wire(Protocol):
    """Encodes events for Kafka."""

    def message(self, event: Event, *, occurred_at: datetime, traceparent: str) -> Message:
        """The record that tells `event`. Raises InvalidValueError where it exceeds the size limit."""
        ...


class Clock(Protocol):
    """The database's time, estimated between readings."""

    def now(self) -> datetime:
        """UTC, aware."""
        ...


class Lease(Protocol):
    """This session's lease, seen from the gate."""

    def remaining_s(self) -> float:
        """Seconds for which this session surely is alive, on a clock that runs through suspend. Negative: over."""
        ...


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings that decide: merchant account by currency, absence, schedules, the key of invoice numbers."""

    environment: str
    merchant_accounts: dict[str, str]
    invoice_key: bytes = field(repr=False)
    absence_after_s: float = 900.0
    max_command_age_s: float = 86_400.0
    ask_schedule_s: tuple[float, ...] = (5, 15, 45, 120, 300, 900, 3600, 21_600, 86_400)
    unsent_wait_s: float = 5.0
    unrecorded_wait_s: float = 5.0
