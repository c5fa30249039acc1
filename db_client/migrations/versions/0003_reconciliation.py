"""Breaks between the books, and what people said of them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    moment = postgresql.TIMESTAMP(timezone=True)
    now = sa.text("clock_timestamp()")
    op.create_table(
        "reconciliation_break",
        sa.Column("break_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("becomes", sa.Text(), nullable=False),
        sa.Column("book", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column("transaction_id", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("happened_at", moment, nullable=False),
        sa.Column("said", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default=sa.text("'open'"), nullable=False),
        sa.Column("openings", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("first_seen", moment, server_default=now, nullable=False),
        sa.Column("last_seen", moment, server_default=now, nullable=False),
        sa.Column("fixed_at", moment, nullable=True),
        sa.CheckConstraint(
            "state IN ('open', 'explained', 'fixed')",
            name=op.f("ck_reconciliation_break_state_known"),
        ),
        sa.CheckConstraint(
            "amount_minor >= 0", name=op.f("ck_reconciliation_break_amount_not_negative")
        ),
        sa.PrimaryKeyConstraint("break_id", name=op.f("pk_reconciliation_break")),
    )
    op.create_index(
        "ix_reconciliation_break_standing",
        "reconciliation_break",
        ["happened_at"],
        unique=False,
        postgresql_where=sa.text("state <> 'fixed'"),
    )
    op.create_table(
        "reconciliation_note",
        sa.Column("note_id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("break_id", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("at", moment, server_default=now, nullable=False),
        sa.ForeignKeyConstraint(
            ["break_id"],
            ["reconciliation_break.break_id"],
            name=op.f("fk_reconciliation_note_break_id"),
        ),
        sa.PrimaryKeyConstraint("note_id", name=op.f("pk_reconciliation_note")),
    )
    op.create_index(
        "ix_reconciliation_note_break_id", "reconciliation_note", ["break_id"], unique=False
    )
