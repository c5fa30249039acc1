"""The journal's tables. Statements live in `statements.py`, migrations in `migrations/`; a test compares the two.

- `installation`: one row; with which keys and names this journal began, so that nobody goes on under others.
- `session`, `lease`: one running worker process. The lease stands in a row of its own because work locks the session's
  row for the length of a commit, and a renewal must never queue behind work.
- `operation`, `payment`, `attempt`: what was asked, where the payment stands, what may have been sent.
- `evidence`: append-only; whatever the gateway ever said.
- `outbox`: what is to be published, numbered by the session's counter inside the same db_txn: number order is commit
  order. Numbers may have gaps, never inversions.
- `order_claim`: which payment pays an order, so that no second one does. `dead_letter_decision`: what an operator did
  with a dead letter, append-only.
- `finder`: which session looks into the lists of a merchant account, one at a time, and how far they were walked.
- `reconciliation_break`, `reconciliation_note`: what differs between the books, and what people said of it; the notes
  are append-only.
- `position`: how far each partition was read; it belongs to the topic's id, so a topic made anew starts anew.
- `rebuild`: what was marked as suspect after the journal was restored, by whom, and whether that is over.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
_MOMENT: Final = TIMESTAMP(timezone=True)
_NOW: Final = text("clock_timestamp()")
_ZERO: Final = text("0")
_EMPTY: Final = text("''")

installation: Final = Table(
    "installation",
    metadata,
    Column("single", Boolean, primary_key=True, server_default=text("true")),
    Column("fingerprint", Text, nullable=False),
    Column("group_name", Text, nullable=False),
    Column("created_at", _MOMENT, nullable=False, server_default=_NOW),
    CheckConstraint("single", name="one_row"),
)

session: Final = Table(
    "session",
    metadata,
    Column("session_id", Text, primary_key=True),
    Column("group_name", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("started_at", _MOMENT, nullable=False, server_default=_NOW),
    Column("ended_at", _MOMENT),
    Column("ended_why", Text),
    Column("rehomed_at", _MOMENT),
    Column("rehomed_by", Text),
    Column("commits", BigInteger, nullable=False, server_default=_ZERO),
    Column("next_number", BigInteger, nullable=False, server_default=text("1")),
    Column("watermark", BigInteger, nullable=False, server_default=text("1")),
    Column("incarnation", Text, nullable=False),
    Index(
        "ix_session_waiting_for_takeover", "session_id", postgresql_where=text("rehomed_at IS NULL")
    ),
)

lease: Final = Table(
    "lease",
    metadata,
    Column("session_id", Text, ForeignKey("session.session_id"), primary_key=True),
    Column("alive_until", _MOMENT, nullable=False),
)

payment: Final = Table(
    "payment",
    metadata,
    Column("payment_id", Text, primary_key=True),
    Column("order_id", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("version", Integer, nullable=False, server_default=_ZERO),
    Column("authorised_minor", BigInteger, nullable=False, server_default=_ZERO),
    Column("captured_minor", BigInteger, nullable=False, server_default=_ZERO),
    Column("refunded_minor", BigInteger, nullable=False, server_default=_ZERO),
    Column("state_version", Integer, nullable=False, server_default=_ZERO),
    # Reserved by requests that are open, undecided or deferred: no second request counts on the same money.
    Column("capturing_minor", BigInteger, nullable=False, server_default=_ZERO),
    Column("refunding_minor", BigInteger, nullable=False, server_default=_ZERO),
    Column("expires_at", _MOMENT),
    Column("marks", Text, nullable=False, server_default=_EMPTY),  # separated by commas
    Column("transaction_id", Text),
    Column("method_kind", Text, nullable=False, server_default=_EMPTY),
    Column("method_brand", Text, nullable=False, server_default=_EMPTY),
    Column("method_last4", Text, nullable=False, server_default=_EMPTY),
    Column("reason_code", Text, nullable=False, server_default=_EMPTY),
    Column("reason_text", Text, nullable=False, server_default=_EMPTY),
    Column("advice", Text, nullable=False, server_default=text("'undecided'")),
    Column("held_by", Text),  # the operation that holds the payment's lane, between workers too
    Column("event_session", Text),  # where its last event lies: version order between sessions
    Column("event_number", BigInteger),
    Column("created_at", _MOMENT, nullable=False, server_default=_NOW),
    Column("updated_at", _MOMENT, nullable=False, server_default=_NOW),
    CheckConstraint("amount_minor >= 0", name="amount_not_negative"),
    CheckConstraint(
        "captured_minor >= 0 AND capturing_minor >= 0"
        " AND captured_minor + capturing_minor <= authorised_minor",
        name="captured_within_authorised",
    ),
    CheckConstraint(
        "refunded_minor >= 0 AND refunding_minor >= 0"
        " AND refunded_minor + refunding_minor <= captured_minor",
        name="refunded_within_captured",
    ),
    Index("ix_payment_order_id", "order_id"),
    Index("ix_payment_user_id", "user_id"),
)

operation: Final = Table(
    "operation",
    metadata,
    Column("operation_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("payment_id", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("command", JSONB, nullable=False),
    Column("means_sealed", LargeBinary),  # AES-GCM; erased once the operation is final
    Column("traceparent", Text, nullable=False, server_default=_EMPTY),
    Column("topic_id", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("session_id", Text, nullable=False),
    Column("token", Integer, nullable=False, server_default=text("1")),
    Column("stage", Text, nullable=False),
    Column("arrival", BigInteger, nullable=False, server_default=_ZERO),  # orders a payment's line
    # What is known of a request; all empty for an initiation, whose payment says it.
    Column("request_state", Text),
    Column("amount_minor", BigInteger),
    Column("reserved_minor", BigInteger, nullable=False, server_default=_ZERO),
    Column("reason_code", Text, nullable=False, server_default=_EMPTY),
    Column("reason_text", Text, nullable=False, server_default=_EMPTY),
    Column("advice", Text, nullable=False, server_default=text("'undecided'")),
    Column("transaction_id", Text),
    Column("promised_at", _MOMENT),  # when a deferred request goes on, as it was told
    Column("follow_up", JSONB),  # the command that its last news asks for
    Column("suspect", Boolean, nullable=False, server_default=text("false")),
    Column("due_at", _MOMENT),
    Column("why", Text, nullable=False, server_default=_EMPTY),
    Column("asked", Integer, nullable=False, server_default=_ZERO),
    Column("complete_scans", Integer, nullable=False, server_default=_ZERO),
    Column("since", _MOMENT),  # the earliest and the latest moment at which it can have been sent
    Column("until", _MOMENT),
    Column("admitted_at", _MOMENT, nullable=False, server_default=_NOW),
    Column("answered_at", _MOMENT),
    Column("concluded_at", _MOMENT),
    CheckConstraint(
        "stage IN ('queued', 'admitted', 'open', 'answered', 'asking', 'deferred', 'concluded')",
        name="stage_known",
    ),
    Index("ix_operation_payment_id", "payment_id"),
    Index(
        "ix_operation_in_line",
        "payment_id",
        "arrival",
        postgresql_where=text("stage = 'queued'"),
    ),
    Index(
        "ix_operation_in_work",
        "session_id",
        "due_at",
        postgresql_where=text("stage <> 'concluded'"),
    ),
)

attempt: Final = Table(
    "attempt",
    metadata,
    Column("operation_id", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("invoice_number", Text, nullable=False),
    Column("merchant_account", Text, nullable=False),
    Column("about", Text, nullable=False, server_default=text("'charge'")),
    Column("state", Text, nullable=False),
    Column("request", JSONB, nullable=False),
    Column("session_id", Text, nullable=False),
    Column("opened_at", _MOMENT, nullable=False, server_default=_NOW),
    UniqueConstraint("invoice_number", "number"),
    CheckConstraint("state IN ('open', 'unsent', 'answered')", name="state_known"),
)

evidence: Final = Table(
    "evidence",
    metadata,
    Column("evidence_id", BigInteger, Identity(), primary_key=True),
    Column("operation_id", Text, nullable=False),
    Column("payment_id", Text, nullable=False),
    Column("session_id", Text, nullable=False),
    Column("at", _MOMENT, nullable=False, server_default=_NOW),
    Column("what", Text, nullable=False),
    Column(
        "transaction_id", Text
    ),  # what a late answer told: asked for before anything is called absent
    Column("body", JSONB, nullable=False),
    Index("ix_evidence_payment_id", "payment_id"),
    Index("ix_evidence_operation_id", "operation_id"),
)

outbox: Final = Table(
    "outbox",
    metadata,
    Column("session_id", Text, primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("topic", Text, nullable=False),
    Column("key", LargeBinary, nullable=False),
    Column("value", LargeBinary),
    Column("headers", LargeBinary, nullable=False),  # msgpack of [[name, bytes], …]
    Column("event_id", Text, nullable=False),
    Column("payment_id", Text),
    Column("operation_id", Text),
    Column(
        "answers", Text, unique=True
    ),  # topic id, partition and offset of the one record this row answers
    Column("created_at", _MOMENT, nullable=False, server_default=_NOW),
    Index("ix_outbox_payment_id", "payment_id"),
)

order_claim: Final = Table(
    "order_claim",
    metadata,
    Column("claim", Text, primary_key=True),
    Column("payment_id", Text),  # who pays it now; nobody, once that took nothing
    Column("paid_minor", BigInteger, nullable=False, server_default=_ZERO),  # by those before
    Column("claimed_at", _MOMENT, nullable=False, server_default=_NOW),
    Index("ix_order_claim_payment_id", "payment_id"),
)

dead_letter_decision: Final = Table(
    "dead_letter_decision",
    metadata,
    Column("letter_id", Text, primary_key=True),
    Column("what", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("at", _MOMENT, nullable=False, server_default=_NOW),
    CheckConstraint("what IN ('replayed', 'dropped')", name="what_known"),
)

reconciliation_break: Final = Table(
    "reconciliation_break",
    metadata,
    Column("break_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("becomes", Text, nullable=False),  # the kind, or what a young one ages into
    Column("book", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("payment_id", Text, nullable=False),
    Column("transaction_id", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("happened_at", _MOMENT, nullable=False),
    Column("said", Text, nullable=False),
    Column("state", Text, nullable=False, server_default=text("'open'")),
    Column("openings", Integer, nullable=False, server_default=text("1")),
    Column("first_seen", _MOMENT, nullable=False, server_default=_NOW),
    Column("last_seen", _MOMENT, nullable=False, server_default=_NOW),
    Column("fixed_at", _MOMENT),
    CheckConstraint("state IN ('open', 'explained', 'fixed')", name="state_known"),
    CheckConstraint("amount_minor >= 0", name="amount_not_negative"),
    Index(
        "ix_reconciliation_break_standing",
        "happened_at",
        postgresql_where=text("state <> 'fixed'"),
    ),
)

reconciliation_note: Final = Table(
    "reconciliation_note",
    metadata,
    Column("note_id", BigInteger, Identity(), primary_key=True),
    Column("break_id", Text, ForeignKey("reconciliation_break.break_id"), nullable=False),
    Column("by", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("at", _MOMENT, nullable=False, server_default=_NOW),
    Index("ix_reconciliation_note_break_id", "break_id"),
)

finder: Final = Table(
    "finder",
    metadata,
    Column("merchant_account", Text, primary_key=True),
    Column("currency", Text, nullable=False),
    Column("session_id", Text),  # who looks; it counts for as long as that session has not ended
    Column("held_since", _MOMENT),
    Column(
        "walked_until", _MOMENT
    ),  # what happened at the gateway before that was told, or is no news
)

position: Final = Table(
    "position",
    metadata,
    Column("topic_id", Text, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("topic", Text, nullable=False),
    Column("next_offset", BigInteger, nullable=False),
    Column("updated_at", _MOMENT, nullable=False, server_default=_NOW),
    # What lies below, and is not known, may have been carried out in time that the journal lost.
    Column("suspect_below", BigInteger, nullable=False, server_default=_ZERO),
)

rebuild: Final = Table(
    "rebuild",
    metadata,
    Column("rebuild_id", BigInteger, Identity(), primary_key=True),
    Column("since", _MOMENT, nullable=False),  # as the operator gave it
    Column("counts_from", _MOMENT, nullable=False),  # never later than the journal's last word
    Column("marked_at", _MOMENT, nullable=False),
    Column("by", Text, nullable=False),
    Column("gone", BigInteger, nullable=False),  # offsets that Kafka had deleted by then, unread
    Column("finished_at", _MOMENT),
)
