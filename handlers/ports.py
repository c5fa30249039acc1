"""What the passage needs of the world, as protocols. Frozen values go in, frozen values come back.

No implementation lives here. Each port has one contract suite under `tests/contract/`.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from handlers.domain.commands import Command, Line, Mode, Ruling
from handlers.domain.facts import Entry, Order, Sight
from handlers.domain.intents import About, Intent, Question
from handlers.domain.outcomes import Event
from handlers.domain.payments import Payment, Request, Snapshot
from handlers.domain.recovery import Inquiry, Stage
from handlers.domain.states import RequestState
from handlers.domain.verdicts import NO_EVIDENCE, Answer, Evidence, Finding, NotSeen


@dataclass(frozen=True, slots=True)
class Origin:
    """How a payment began: what requests about it need. The account and invoice number are those it was sent with.

    Both are "" where nothing was ever opened. `since`: the earliest moment at which it can have been sent.
    """

    mode: Mode
    merchant_account: str
    invoice_number: str
    since: datetime
    lines: tuple[Line, ...] = ()


@dataclass(frozen=True, slots=True)
class Coordinates:
    """Where the record of a command lies: the topic's id outlives its name."""

    topic_id: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Operation:
    """A command in work: how far it came, and the `token` that guards every move (raised at each takeover).

    `request` is None for an initiation. `attempt` is the number of the intent that is open or asked for, else of the
    next; `tried` is what the last one was. `origin`: how its payment began, None for the initiation itself. `canceled`:
    a void of this payment came before its initiation. `ruling`: a person's word about it that waits to be applied.
    `follow_up`: the command that its last news asks for, published with the events. `record`: where it was read.
    """

    operation_id: str
    command: Command
    payment: Payment
    stage: Stage
    token: int
    suspect: bool = False
    inquiry: Inquiry | None = None
    answered_at: datetime | None = None
    traceparent: str = ""
    request: Request | None = None
    attempt: int = 1
    tried: About | None = None
    origin: Origin | None = None
    canceled: bool = False
    ruling: Ruling | None = None
    follow_up: Command | None = None
    record: Coordinates | None = None

    @property
    def snapshot(self) -> Snapshot:
        """What is known, as it is told."""
        return Snapshot(self.payment, self.request)

    @property
    def told_so_far(self) -> RequestState | None:
        """What we know to have been told of the request last; None where nothing was."""
        state = None if self.request is None else self.request.state
        return None if state is RequestState.REQUESTED else state

    @property
    def lines(self) -> tuple[Line, ...]:
        """The lines of the order that its payment is about."""
        if self.origin is not None:
            return self.origin.lines
        return getattr(self.command, "lines", ())


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
    again: bool = False  # proven not done, and safe to repeat: back to ADMITTED, with a new attempt
    told: bool = False  # an open intent of which nobody knows, as was told before: on to ASKING
    release: bool = False  # others of its payment may pass: DEFERRED until it is due


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
class Taken:
    """The order is being paid, or was paid, by another payment: nothing was opened."""

    payment_id: str


@dataclass(frozen=True, slots=True)
class Ahead:
    """News was told up to `version` in time that the journal has lost.

    The news is to be told under `version + 1`.
    """

    version: int


class Gateway(Protocol):
    """The payment gateway. A second one needs no change outside its own folder and the wiring."""

    def slot(self, merchant_account: str) -> AbstractAsyncContextManager[None]:
        """A place among the account's calls in flight. Taken before the intent is opened: none waits open in line.

        Raises Unavailable where the account's breaker is open.
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

    async def look(self, question: Question) -> Sight | NotSeen:
        """How a charge stands today, settled or not. Moves nothing. Raises Unavailable where nobody answered."""
        ...


class Lists(Protocol):
    """The gateway's own books, as far as the finder walks them."""

    def walk(self, merchant_account: str, *, since: datetime) -> AsyncIterator[Sequence[Entry]]:
        """What was submitted or settled since, page by page, the unsettled first. Raises Unavailable.

        It ends only where everything was read; a row may come more than once.
        """
        ...


class Journal(Protocol):
    """What is on disk before anything else happens. Every call returns after its commit.

    While the database is away a call waits, for at most the lease. Raises SessionOver where this session may not write
    any more. Every move names the stage it starts from, so a stale one is Lost and changes nothing.
    """

    async def open(
        self, operation: Operation, *, intent: Intent, frozen: Evidence
    ) -> Moved | Lost | Taken:
        """Write the intent first (P3), with what it reserves; a charge claims its order where that is a rule."""
        ...

    async def answer(
        self,
        operation: Operation,
        *,
        told: Snapshot,
        evidence: Evidence,
        follow_up: Command | None = None,
        found: Question | None = None,
    ) -> Moved | Lost:
        """Append the evidence whoever holds the lease, then move payment and request; the operation is ANSWERED.

        `found`: under what the gateway knows a charge of which the journal has forgotten that it was ever sent.
        """
        ...

    async def outrun(self, operation: Operation, *, version: int) -> Moved | Lost:
        """Tell the news under `version`, above all that was told: a journal that lost time would use a number twice."""
        ...

    async def wait(self, operation: Operation, *, wait: Wait) -> Moved | Lost:
        """Park it in its stage until it is due, or in the one that `wait` names."""
        ...

    async def conclude(
        self, operation: Operation, *, messages: Sequence[Message], wait: Wait | None
    ) -> Moved | Lost | Queued:
        """Events into the outbox; CONCLUDED, or where `wait` says when it goes on: ASKING, or DEFERRED.

        What is concluded or deferred leaves its payment to the next operation in line.
        """
        ...


class Recorded(StrEnum):
    """What the db-service has of an operation. Of a refund it knows the end; others are only named there."""

    NOTHING = "nothing"
    SOMETHING = "something"
    WENT_ON = "went on"  # a refund, under another command of the worker's own
    ENDED = "ended"


class Records(Protocol):
    """The db-service, where the rest of the platform looks payments up."""

    async def record(self, told: Snapshot, *, occurred_at: datetime) -> Ahead | None:
        """Idempotent by version; None when this news is stored, under this version or a later one.

        A refund is recorded beside its payment, under the payment's version. Raises Unavailable.
        """
        ...

    async def recorded(self, operation: Operation) -> Recorded:
        """What was ever recorded of this payment, or of this request. Raises Unavailable.

        What the operation knows to have been told, short of an end, does not count: that it waits for its time, or that
        it is unknown. Unknown after it had waited does: it went out in between, as what the operation may not know.
        """
        ...

    async def order(self, order_id: str) -> Order | None:
        """The order, at most seconds old; None where there is none. Raises Unavailable."""
        ...


class Wire(Protocol):
    """Encodes events for Kafka."""

    def message(self, event: Event, *, occurred_at: datetime, traceparent: str) -> Message:
        """The record that tells `event`. Raises InvalidValueError where it exceeds the size limit."""
        ...

    def command(self, command: Command, *, traceparent: str) -> Message:
        """The record by which the worker itself asks for `command`, signed as ours."""
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


class OrderCheck(StrEnum):
    """Whether an order is looked at before money moves."""

    STRICT = "strict"
    OFF = "off"


class OnePayment(StrEnum):
    """What happens to a second payment of an order that is paid, or being paid."""

    ENFORCE = "enforce"
    SHADOW = "shadow"
    OFF = "off"


class LateCharge(StrEnum):
    """What happens to a charge that shows up after its payment was told as failed."""

    VOID = "void"
    REVIEW = "review"


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings that decide: merchant account by currency, absence, schedules, order checks, invoice key.

    `authorisation_days`: how long the gateway keeps one. `refund_days`: how long after settlement it refunds.
    `bank_return_days`: how long a bank transfer may come back, so is not refunded.
    """

    environment: str
    merchant_accounts: dict[str, str]
    invoice_key: bytes = field(repr=False)
    absence_after_s: float = 900.0
    max_command_age_s: float = 86_400.0
    ask_schedule_s: tuple[float, ...] = (5, 15, 45, 120, 300, 900, 3600, 21_600, 86_400)
    unsent_wait_s: float = 5.0
    unrecorded_wait_s: float = 5.0
    order_check: OrderCheck = OrderCheck.OFF
    one_payment: OnePayment = OnePayment.OFF
    authorisation_days: int = 30
    refund_days: int = 180
    bank_return_days: int = 7
    late_charge: LateCharge = LateCharge.VOID
    settlement_wait_s: float = (
        3600.0  # until the next look, where nobody can say when a batch is through
    )
