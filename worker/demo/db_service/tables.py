"""The db-service's tables. Full snapshots lie in `document`; the columns beside it are for finding.

No statement is made here but the tables' own.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

METADATA: Final = sa.MetaData()


def _current(name: str, *found_by: str) -> sa.Table:
    return sa.Table(
        name,
        METADATA,
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        # The version that this one replaced, 0 where it is the first: the upsert compares it, so
        # that a write which was judged against an outdated row is not applied.
        sa.Column("supersedes", sa.BigInteger, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("occurred_at", sa.TIMESTAMP(timezone=True), nullable=False),
        *(sa.Column(column, sa.Text, nullable=False) for column in found_by),
        sa.Column("document", JSONB, nullable=False),
        sa.Index(f"{name}_by_time", "occurred_at", "id"),
        *(sa.Index(f"{name}_by_{column}", column, "occurred_at", "id") for column in found_by),
    )


def _history(name: str) -> sa.Table:
    return sa.Table(
        name,
        METADATA,
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("version", sa.BigInteger, primary_key=True),
        sa.Column(
            "applied_at",
            sa.TIMESTAMP(timezone=True),
            nullable=False,
            server_default=sa.func.clock_timestamp(),
        ),
        sa.Column("document", JSONB, nullable=False),
    )


def _seeded(name: str) -> sa.Table:
    return sa.Table(
        name,
        METADATA,
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("document", JSONB, nullable=False),
    )


PAYMENTS: Final = _current("payments", "order_id", "user_id")
REFUNDS: Final = _current("refunds", "payment_id")
PAYMENT_HISTORY: Final = _history("payment_history")
REFUND_HISTORY: Final = _history("refund_history")
ORDERS: Final = _seeded("orders")
USERS: Final = _seeded("users")
