"""The journal as an auditor reads it: every payment, every request about one, and what is still open."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Text, cast, func, select
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by

from db_client.database import engine
from db_client.tables import attempt, operation, outbox, payment, session
from handlers.domain.commands import Kind


@dataclass(frozen=True, slots=True)
class Entry:
    """One payment in the journal. `due_at` and `why` where it waits; `invoice_number` where something was opened."""

    payment_id: str
    order_id: str
    user_id: str
    amount_minor: int
    currency: str
    state: str
    version: int
    authorised_minor: int
    captured_minor: int
    refunded_minor: int
    capturing_minor: int
    refunding_minor: int
    transaction_id: str | None
    stage: str
    why: str
    due_at: datetime | None
    invoice_number: str | None
    suspect: bool


@dataclass(frozen=True, slots=True)
class RequestEntry:
    """One capture, void, refund or verification: an operation of its own, whose `state` is the request's.

    `invoice_numbers` are those of its attempts, in their order. A refund that went on has one operation for each part.
    """

    operation_id: str
    kind: str
    payment_id: str
    state: str
    amount_minor: int | None
    transaction_id: str | None
    reason_code: str
    stage: str
    why: str
    due_at: datetime | None
    invoice_numbers: tuple[str, ...]

    @property
    def request_id(self) -> str:
        """The id that the asker gave it."""
        return self.operation_id.partition(":")[2].partition("#")[0]

    @property
    def part(self) -> int:
        """Which of the operations of one refund, from 1."""
        return int(self.operation_id.partition("#")[2] or 1)


@dataclass(frozen=True, slots=True)
class JournalBook:
    """All payments, all requests, and how many outbox rows are not published yet."""

    entries: list[Entry]
    unpublished: int
    requests: Sequence[RequestEntry] = ()


_ENTRIES: Final = (
    select(
        payment.c.payment_id,
        payment.c.order_id,
        payment.c.user_id,
        payment.c.amount_minor,
        payment.c.currency,
        payment.c.state,
        payment.c.version,
        payment.c.authorised_minor,
        payment.c.captured_minor,
        payment.c.refunded_minor,
        payment.c.capturing_minor,
        payment.c.refunding_minor,
        payment.c.transaction_id,
        operation.c.stage,
        operation.c.why,
        operation.c.due_at,
        attempt.c.invoice_number,
        operation.c.suspect,
    )
    .join(operation, operation.c.payment_id == payment.c.payment_id)
    .outerjoin(attempt, attempt.c.operation_id == operation.c.operation_id)
    .where(operation.c.kind == Kind.INITIATION.value)
    .order_by(payment.c.payment_id)
)
_numbers = (
    select(
        attempt.c.operation_id,
        func.array_agg(aggregate_order_by(attempt.c.invoice_number, attempt.c.number)).label(
            "invoice_numbers"
        ),
    )
    .group_by(attempt.c.operation_id)
    .subquery()
)
_REQUESTS: Final = (
    select(
        operation.c.operation_id,
        operation.c.kind,
        operation.c.payment_id,
        operation.c.request_state.label("state"),
        operation.c.amount_minor,
        operation.c.transaction_id,
        operation.c.reason_code,
        operation.c.stage,
        operation.c.why,
        operation.c.due_at,
        func.coalesce(_numbers.c.invoice_numbers, cast([], ARRAY(Text))).label("invoice_numbers"),
    )
    .outerjoin(_numbers, _numbers.c.operation_id == operation.c.operation_id)
    .where(operation.c.kind != Kind.INITIATION.value)
    .order_by(operation.c.payment_id, operation.c.arrival, operation.c.operation_id)
)
_UNPUBLISHED: Final = (
    select(func.count())
    .select_from(outbox.join(session, session.c.session_id == outbox.c.session_id))
    .where(outbox.c.number >= session.c.watermark)
)


def read_journal(url: str) -> JournalBook:
    """The whole journal at one moment. For demos, tests and small installations: it reads every operation."""
    audited = engine(url, role="payment-worker audit", pool_size=1)
    try:
        with audited.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
            entries = [Entry(**row) for row in connection.execute(_ENTRIES).mappings()]
            requests = [
                RequestEntry(**{**row, "invoice_numbers": tuple(row["invoice_numbers"])})
                for row in connection.execute(_REQUESTS).mappings()
            ]
            unpublished = connection.execute(_UNPUBLISHED).scalar_one()
            return JournalBook(entries, unpublished, requests)
    finally:
        audited.dispose()
