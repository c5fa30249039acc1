"""What the gateway has and no command here explains: orphans, refunds of nobody, returns of nobody. Pure.

There is no such thing as a young stranger: what is sent is written here first, and the journal was read after the
gateway.
"""

from worker.reconciling.agreeing import GIVEN_BACK, MAY_MOVE
from worker.reconciling.books import Books, GatewayRow
from worker.reconciling.kinds import Kind
from worker.reconciling.matching import Index, Matched
from worker.reconciling.weighing import Found, Stake, of_row


def compare_strangers(books: Books, matched: Matched, *, index: Index, found: Found) -> None:
    """Every row that belongs to nobody and may have moved money."""
    for row in matched.strangers:
        if not books.span.holds(row.submitted_at):
            continue
        if row.is_return:
            _add(
                Kind.TAKEN_BACK,
                row,
                text=f"{row.status} of a charge that is unknown here",
                found=found,
            )
        elif row.is_refund:
            if row.refund in GIVEN_BACK:
                _refund(row, index, found=found)
        elif row.charge in MAY_MOVE:
            _add(Kind.ORPHAN, row, text=_orphan(row, books), found=found)


def _refund(row: GatewayRow, index: Index, *, found: Found) -> None:
    entry = index.charge_behind(row)
    if entry is not None:
        text = f"{row.status}: of payment {entry.payment_id}, and nobody here asked for it"
    elif row.of:
        text = f"{row.status}: of transaction {row.of}, which is unknown here"
    else:
        text = f"{row.status}: the gateway's lists name no charge for it"
    payment_id = entry.payment_id if entry else ""
    _add(Kind.REFUND, row, text=text, payment_id=payment_id, found=found)


def _orphan(row: GatewayRow, books: Books) -> str:
    """What may help a person: its invoice number, and whether the db-service knows whose it is."""
    number = f"invoice number {row.invoice_number}" if row.invoice_number else "no invoice number"
    owner = books.service.claims.get(row.transaction_id)
    forgotten = (
        f"; the db-service has it as payment {owner}, so the journal forgot it" if owner else ""
    )
    return f"{row.status} under {number}{forgotten}"


def _add(kind: Kind, row: GatewayRow, *, text: str, found: Found, payment_id: str = "") -> None:
    stake = Stake(row.amount_minor, row.currency)
    found.add(kind, of_row(row, payment_id=payment_id), stake=stake, text=text)
