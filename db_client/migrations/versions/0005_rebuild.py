"""Rebuild: what was marked after a restore, and below which offset a partition's unknown records are suspect."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    moment = postgresql.TIMESTAMP(timezone=True)
    op.add_column(
        "position",
        sa.Column("suspect_below", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
    )
    op.create_table(
        "rebuild",
        sa.Column("rebuild_id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("since", moment, nullable=False),
        sa.Column("counts_from", moment, nullable=False),
        sa.Column("marked_at", moment, nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("gone", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", moment, nullable=True),
        sa.PrimaryKeyConstraint("rebuild_id", name=op.f("pk_rebuild")),
    )
