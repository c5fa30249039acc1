"""The journal as an auditor reads it: every payment with its charge's invoice number and what is still open."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from db_client.database import engine
from db_client.tables import attempt, operation, outbox, payment, session


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
    transaction_id: str | None
    stage: str
    why: str
    due_at: datetime | None
    invoice_number: str | None
    suspect: bool


@dataclass(frozen=True, slots=True)
class JournalBook:
    """All payments, and how many outbox rows are not published yet."""

    entries: list[Entry]
    unpublished: int


def read_journal(url: str) -> JournalBook:
    """The whole journal at one moment. For demos, tests and small installations: it reads every payment."""
    statement = (
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
            payment.c.transaction_id,
            operation.c.stage,
            operation.c.why,
            operation.c.due_at,
            attempt.c.invoice_number,
            operation.c.suspect,
        )
        .join(operation, operation.c.payment_id == payment.c.payment_id)
        .outerjoin(attempt, attempt.c.operation_id == operation.c.operation_id)
        .order_by(payment.c.payment_id)
    )
    waiting = (
        select(func.count())
        .select_from(outbox.join(session, session.c.session_id == outbox.c.session_id))
        .where(outbox.c.number >= session.c.watermark)
    )
    audited = engine(url, role="payment-worker audit", pool_size=1)
    try:
        with audited.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
            entries = [Entry(**row) for row in connection.execute(statement).mappings()]
            return JournalBook(entries, connection.execute(waiting).scalar_one())
    finally:
        audited.dispose()
