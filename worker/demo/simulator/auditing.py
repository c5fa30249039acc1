"""What an auditor reads out of the book: counts, totals, and what must never be. Changes nothing."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from worker.demo.simulator.ledger import Ledger, Row

_MOST_NAMED = 100


def summary(ledger: Ledger) -> dict[str, Any]:
    """Counts, totals in minor units by currency, and the violations, which must be empty.

    `approved_minor` is what live charges may take, `captured` what they did take, `refunded` what
    went back or is on its way, `returned` what banks took back, `voided` what was authorised in
    charges that are void.
    """
    rows = ledger.rows
    approved = [row for row in rows if row.approved]
    twice = sorted(
        name for name, named in ledger.by_invoice.items() if name and _charged(named) > 1
    )
    above = [row.transaction_id for row in rows if row.captured_minor > row.approved_minor]
    too_much = [name for name in ledger.by_original if _given_back_too_much(ledger, name)]
    return {
        "transactions": len(rows),
        "approved": len(approved),
        "by_status": Counter(row.status for row in rows),
        "approved_minor": _total((row, row.approved_minor) for row in approved),
        "captured": _total((row, row.captured_minor) for row in rows),
        "refunded": _total((row, row.amount_minor) for row in rows if row.refunds),
        "returned": _total((row, row.amount_minor) for row in rows if row.status == "returnedItem"),
        "voided": _total((row, row.approved_minor) for row in rows if _is_void_charge(row)),
        "invoices": sum(1 for name in ledger.by_invoice if name),
        "invoices_charged_twice": len(twice),
        "charged_twice": twice[:_MOST_NAMED],
        "captured_above_authorised": above[:_MOST_NAMED],
        "refunded_above_captured": too_much[:_MOST_NAMED],
    }


def _charged(rows: Iterable[Row]) -> int:
    return sum(1 for row in rows if row.approved)


def _is_void_charge(row: Row) -> bool:
    return row.status == "voided" and row.kind != "refundTransaction"


def _given_back_too_much(ledger: Ledger, transaction_id: str) -> bool:
    """Refunds and bank returns together: the gateway's own guard knows of refunds only."""
    returned = sum(
        row.amount_minor
        for row in ledger.by_original[transaction_id]
        if row.status == "returnedItem"
    )
    back = ledger.refunded_minor(transaction_id) + returned
    return back > ledger.by_id[transaction_id].captured_minor


def _total(amounts: Iterable[tuple[Row, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for row, minor in amounts:
        if minor:
            total[row.currency] = total.get(row.currency, 0) + minor
    return total
