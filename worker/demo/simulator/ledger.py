"""The gateway's book and its clock: every transaction that was really recorded, by id and invoice.

What happened, never what was answered: a charge whose answer got lost stands here like any other.
Nothing here decides. The book grows for as long as the process runs or until it is reset; a row is
about a kilobyte.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from worker.demo.simulator.money import decimal_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from worker.demo.simulator.means import Means

_MONEY_MOVES = frozenset(
    {"authorizedPendingCapture", "capturedPendingSettlement", "settledSuccessfully"}
)
_PENDING_REVIEW = frozenset({"FDSPendingReview", "FDSAuthorizedPendingReview"})

# Transaction numbers look random and are not in order of time, as at the vendor: n * step mod prime.
_ID_BASE, _ID_STEP, _ID_PRIME = 60_000_000_000, 387_420_489, 10_000_000_019


class Clock:
    """The gateway's time: the machine's, moved forward by the control port."""

    def __init__(self) -> None:
        self.offset_s = 0.0

    def now(self) -> float:
        """Seconds since the epoch, as the gateway sees it."""
        return time.time() + self.offset_s

    def advance(self, seconds: float) -> None:
        """Move the clock; it never goes back."""
        self.offset_s += max(0.0, seconds)


@dataclass(slots=True)
class Row:
    """One recorded transaction."""

    transaction_id: str
    kind: str
    means: Means
    amount_minor: int
    approved_minor: int
    currency: str
    status: str
    response_code: str
    reason: int
    at: float
    auth_code: str
    avs: str
    cvv: str
    network_id: str
    ref_id: str
    fault: str | None
    order: Mapping[str, Any]
    customer: Mapping[str, Any]
    bill_to: Mapping[str, Any]
    po_number: str = ""
    customer_ip: str = ""
    ref_transaction_id: str = ""
    settled_at: float | None = None

    @property
    def invoice(self) -> str:
        """The merchant's only searchable key."""
        return str(self.order.get("invoiceNumber") or "")

    @property
    def approved(self) -> bool:
        """Money moves, or will at settlement."""
        return self.status in _MONEY_MOVES

    @property
    def pending_review(self) -> bool:
        """Waits for a person to approve or decline."""
        return self.status in _PENDING_REVIEW

    def told(self) -> dict[str, Any]:
        """The row as the control port shows it."""
        return {
            "transId": self.transaction_id,
            "invoiceNumber": self.invoice,
            "type": self.kind,
            "amount": decimal_text(self.amount_minor, self.currency),
            "amountMinor": self.amount_minor,
            "approvedMinor": self.approved_minor,
            "currency": self.currency,
            "status": self.status,
            "responseCode": int(self.response_code),
            "reasonCode": self.reason,
            "approved": self.approved,
            "at": iso_utc(self.at),
            "refId": self.ref_id,
            "description": self.order.get("description") or "",
            "poNumber": self.po_number,
            "customerId": str(self.customer.get("id") or ""),
            "account": self.means.masked,
            "fault": self.fault,
        }


@dataclass(slots=True)
class Ledger:
    """All rows, in the order in which they were recorded."""

    seed: int
    rows: list[Row] = field(default_factory=list)
    by_id: dict[str, Row] = field(default_factory=dict)
    by_invoice: dict[str, list[Row]] = field(default_factory=dict)
    latest_by_content: dict[tuple[Any, ...], Row] = field(default_factory=dict)
    spent_tokens: set[str] = field(default_factory=set)
    held: dict[str, Row] = field(default_factory=dict)

    def next_id(self) -> str:
        """A transaction id that no other row has."""
        step = (len(self.rows) + 1) * _ID_STEP + self.seed * 7_919
        return str(_ID_BASE + step % _ID_PRIME)

    def write(self, row: Row) -> None:
        """Record a transaction."""
        assert row.transaction_id not in self.by_id
        self.rows.append(row)
        self.by_id[row.transaction_id] = row
        self.by_invoice.setdefault(row.invoice, []).append(row)
        if row.pending_review:
            self.held[row.transaction_id] = row

    def visible(self, before: float) -> list[Row]:
        """What a list may show: unsettled rows recorded up to a moment, oldest first."""
        end = bisect_right(self.rows, before, key=lambda row: row.at)
        return [row for row in self.rows[:end] if row.settled_at is None]

    def decide(self, row: Row, *, approve: bool) -> None:
        """A person's answer to a held transaction; a held authorisation that is refused is void."""
        assert row.pending_review
        authorised = row.status == "FDSAuthorizedPendingReview"
        if approve:
            captures = row.kind == "authCaptureTransaction"
            row.status = "capturedPendingSettlement" if captures else "authorizedPendingCapture"
            row.response_code, row.reason = "1", 1
            row.approved_minor = row.amount_minor
            row.auth_code = row.auth_code or row.transaction_id[-6:]
        else:
            row.status = "voided" if authorised else "declined"
            row.response_code, row.reason = "2", 254
            row.approved_minor = 0
        self.held.pop(row.transaction_id, None)

    def summary(self) -> dict[str, Any]:
        """Counts and totals, and the one number that must be zero: invoices charged twice."""
        approved = [row for row in self.rows if row.approved]
        statuses: dict[str, int] = {}
        for row in self.rows:
            statuses[row.status] = statuses.get(row.status, 0) + 1
        total: dict[str, int] = {}
        for row in approved:
            total[row.currency] = total.get(row.currency, 0) + row.approved_minor
        twice = sorted(
            name for name, rows in self.by_invoice.items() if name and _charged(rows) > 1
        )
        return {
            "transactions": len(self.rows),
            "approved": len(approved),
            "by_status": statuses,
            "approved_minor": total,
            "invoices": sum(1 for name in self.by_invoice if name),
            "invoices_charged_twice": len(twice),
            "charged_twice": twice[:100],
        }


def _charged(rows: Sequence[Row]) -> int:
    return sum(1 for row in rows if row.approved)


def iso_utc(moment: float) -> str:
    """A moment as the gateway writes it: UTC, milliseconds, Z."""
    text = datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
