"""The books as they are compared: one small record for each transaction, payment and refund. Nothing is read here.

A gateway may be any: what its statuses mean is said by `Standing`, once for a charge and once for a refund, because
lists do not tell which of them a voided or declined row was.
"""

from dataclasses import dataclass, field
from datetime import datetime

from handlers.domain.facts import Standing
from handlers.domain.states import PaymentState, RequestState


@dataclass(frozen=True, slots=True)
class Span:
    """The time that is compared: from `since` until before `until`."""

    since: datetime
    until: datetime

    def holds(self, at: datetime) -> bool:
        """Whether a moment lies in it."""
        return self.since <= at < self.until

    def touches(self, first: datetime, last: datetime) -> bool:
        """Whether what lived from `first` to `last` lived in it."""
        return first < self.until and last >= self.since


@dataclass(frozen=True, slots=True)
class GatewayRow:
    """A transaction at the gateway. `charge` and `refund`: what its status means, were it the one or the other.

    `is_refund` and `is_return` where its status says so. `of`: the charge that it gives back, where that was asked.
    """

    account: str
    transaction_id: str
    invoice_number: str
    status: str
    charge: Standing
    refund: Standing
    is_refund: bool
    is_return: bool
    amount_minor: int
    currency: str
    submitted_at: datetime
    of: str = ""


@dataclass(frozen=True, slots=True)
class Batch:
    """A settled batch: its totals as the gateway tells them, and what its transactions came to."""

    account: str
    batch_id: str
    settled_at: datetime
    currency: str
    charged_told_minor: int
    refunded_told_minor: int
    charged_minor: int
    refunded_minor: int


@dataclass(slots=True)
class GatewayBook:
    """Transactions by id. `gaps`: account → why its lists were not read to their end, "" where they were.

    `currencies`: account → those that it is said to take; more than one, and a row's currency is not known.
    """

    rows: dict[str, GatewayRow] = field(default_factory=dict)
    batches: list[Batch] = field(default_factory=list)
    gaps: dict[str, str] = field(default_factory=dict)
    currencies: dict[str, frozenset[str]] = field(default_factory=dict)

    def complete(self, account: str) -> bool:
        """Whether the account's lists were read, to their end."""
        return self.gaps.get(account) == ""


@dataclass(frozen=True, slots=True)
class PaymentEntry:
    """A payment in the journal.

    `invoice_number` is its charge's, derived where the journal has no attempt. `account` and `opened_at` are of the
    charge, "" and None where nothing was opened.
    """

    payment_id: str
    currency: str
    state: PaymentState
    version: int
    amount_minor: int
    authorised_minor: int
    captured_minor: int
    refunded_minor: int
    transaction_id: str
    created_at: datetime
    updated_at: datetime
    invoice_number: str
    account: str
    opened_at: datetime | None

    @property
    def charged_at(self) -> datetime:
        """When its charge can have reached the gateway first."""
        return self.opened_at or self.created_at


@dataclass(frozen=True, slots=True)
class RefundEntry:
    """An operation of a refund in the journal; one refund may have several, in their order `part`.

    `invoice_numbers` are those of the attempts to refund; `opened_at` is the last one's, None where there was none (a
    void gave it back, or nothing was sent). `told_at`: when its last news came.
    """

    operation_id: str
    refund_id: str
    part: int
    payment_id: str
    state: RequestState
    amount_minor: int
    transaction_id: str
    invoice_numbers: tuple[str, ...]
    account: str
    opened_at: datetime | None
    told_at: datetime


@dataclass(slots=True)
class JournalBook:
    """Payments that moved in the span, and those that the gateway's rows lead to; with all their refunds."""

    payments: dict[str, PaymentEntry] = field(default_factory=dict)
    refunds: list[RefundEntry] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Recorded:
    """A payment as the db-service has it."""

    currency: str
    state: str
    version: int
    amount_minor: int
    authorised_minor: int
    captured_minor: int
    refunded_minor: int
    transaction_id: str
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class RecordedRefund:
    """A refund as the db-service has it."""

    payment_id: str
    currency: str
    state: str
    version: int
    amount_minor: int
    transaction_id: str
    occurred_at: datetime


@dataclass(slots=True)
class ServiceBook:
    """What the db-service has of the journal's payments and refunds; None: it says that it has none.

    An id that is in neither was not asked for. `claims`: transaction id → payment, for transactions that the journal
    does not explain. `gap` says why it was not read to its end.
    """

    payments: dict[str, Recorded | None] = field(default_factory=dict)
    refunds: dict[str, RecordedRefund | None] = field(default_factory=dict)
    claims: dict[str, str] = field(default_factory=dict)
    gap: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """The last version of a payment on Kafka."""

    version: int
    state: str
    occurred_at: datetime


@dataclass(slots=True)
class EventsBook:
    """What was told of the journal's payments, by payment. `gap` says why it was not read to its end."""

    last: dict[str, Told] = field(default_factory=dict)
    gap: str = ""


@dataclass(frozen=True, slots=True)
class Books:
    """Everything that is compared, as it stood at `now`.

    The gateway was read first, the journal after it and the others last: what stands at the gateway was written here
    before, and what stands here was told before. `grace_s`: how old a difference must be to count. `account`: only what
    belongs to it; None is all. `events` is None where they were not asked for.
    """

    span: Span
    now: datetime
    grace_s: float
    gateway: GatewayBook
    journal: JournalBook
    service: ServiceBook
    events: EventsBook | None = None
    account: str | None = None

    def young(self, *moments: datetime | None) -> bool:
        """Whether the latest of these is too young for a difference to count."""
        known = [it for it in moments if it is not None]
        return bool(known) and (self.now - max(known)).total_seconds() < self.grace_s
