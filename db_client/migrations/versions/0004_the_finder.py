"""The finder: who looks into which merchant account, and how far its lists were walked."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    moment = postgresql.TIMESTAMP(timezone=True)
    op.create_table(
        "finder",
        sa.Column("merchant_account", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("session_id", sa.Text(), nullable=True),
        sa.Column("held_since", moment, nullable=True),
        sa.Column("walked_until", moment, nullable=True),
        sa.PrimaryKeyConstraint("merchant_account", name=op.f("pk_finder")),
    )
