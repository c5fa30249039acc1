"""One invoice number for all attempts of an operation; each is still on one attempt of that number only."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_unique_constraint(
        op.f("uq_attempt_invoice_number_number"), "attempt", ["invoice_number", "number"]
    )
    op.drop_constraint(op.f("uq_attempt_invoice_number"), "attempt", type_="unique")
