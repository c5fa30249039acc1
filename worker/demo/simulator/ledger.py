"""The gateway's book and its clock: every transaction that was really recorded, by id and invoice.

What happened, never what was answered: a charge whose answer got lost stands here like any other.
Nothing here decides; totals and the auditor's violations are in `auditing.py`. The book grows for
as long as the process runs or until it is reset; a row is about a kilobyte.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from worker.demo.simulator.money import decimal_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.demo.simulator.means import Means

_MONEY_MOVES = frozenset(
    {
        "authorizedPendingCapture",
        "capturedPendingSettlement",
        "settledSuccessfully",
        "settlementError",  # not final: the next batch takes it again
        "chargeback",
    }
)
_REFUNDED = frozenset({"refundPendingSettlement", "refundSettledSuccessfully", "settlementError"})
STATUS_OF_APPROVED = {
    "authCaptureTransaction": "capturedPendingSettlement",
    "authOnlyTransaction": "authorizedPendingCapture",
    "refundTransaction": "refundPendingSettlement",
}
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
    """One recorded transaction.

    `approved_minor` is what was authorised, whatever became of it; `captured_minor` what is captured
    now, 0 after a void. `batched_from`: only a cut-off after this moment takes the row.
    """

    transaction_id: str
    kind: str
    login: str
    means: Means
    amount_minor: int
    approved_minor: int
    captured_minor: int
    currency: str
    status: str
    response_code: str
    reason: int
    at: float
    batched_from: float
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
    batch_id: str = ""
    returned_by: str = ""

    @property
    def invoice(self) -> str:
        """The merchant's only searchable key."""
        return str(self.order.get("invoiceNumber") or "")

    @property
    def approved(self) -> bool:
        """A charge whose money moves, or will at settlement."""
        return self.status in _MONEY_MOVES and self.kind != "refundTransaction"

    @property
    def refunds(self) -> bool:
        """A refund whose money moves, or will at settlement."""
        return self.kind == "refundTransaction" and self.status in _REFUNDED

    @property
    def listed(self) -> bool:
        """Stands in the unsettled list: no batch took it, and it has not expired."""
        return not self.batch_id and self.status != "expired"

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
            "login": self.login,
            "refTransId": self.ref_transaction_id,
            "amount": decimal_text(self.amount_minor, self.currency),
            "amountMinor": self.amount_minor,
            "approvedMinor": self.approved_minor,
            "capturedMinor": self.captured_minor,
            "currency": self.currency,
            "status": self.status,
            "responseCode": int(self.response_code),
            "reasonCode": self.reason,
            "approved": self.approved,
            "settled": self.settled_at is not None,
            "batchId": self.batch_id,
            "at": iso_utc(self.at),
            "refId": self.ref_id,
            "description": self.order.get("description") or "",
            "poNumber": self.po_number,
            "customerId": str(self.customer.get("id") or ""),
            "account": self.means.masked,
            "fault": self.fault,
        }


@dataclass(slots=True)
class Batch:
    """One night's rows of one account and one kind of means."""

    batch_id: str
    account: str
    method: str
    at: float
    failed: bool
    rows: list[Row]

    @property
    def state(self) -> str:
        """As the gateway names it."""
        return "settlementError" if self.failed else "settledSuccessfully"


@dataclass(slots=True)
class Ledger:
    """All rows, in the order in which they were recorded."""

    seed: int
    rows: list[Row] = field(default_factory=list)
    by_id: dict[str, Row] = field(default_factory=dict)
    by_invoice: dict[str, list[Row]] = field(default_factory=dict)
    by_original: dict[str, list[Row]] = field(default_factory=dict)
    batches: dict[str, Batch] = field(default_factory=dict)
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
        if row.ref_transaction_id:
            self.by_original.setdefault(row.ref_transaction_id, []).append(row)
        if row.pending_review:
            self.held[row.transaction_id] = row

    def visible(self, before: float) -> list[Row]:
        """The rows recorded up to a moment, oldest first."""
        return self.rows[: bisect_right(self.rows, before, key=lambda row: row.at)]

    def refunded_minor(self, transaction_id: str) -> int:
        """What went back of a charge, or is on its way, or waits for a person."""
        rows = self.by_original.get(transaction_id, [])
        return sum(
            row.amount_minor
            for row in rows
            if row.kind == "refundTransaction" and (row.refunds or row.pending_review)
        )

    def decide(self, row: Row, *, approve: bool, now: float) -> None:
        """A person's answer to a held transaction; a held authorisation that is refused is void."""
        assert row.pending_review
        authorised = row.status == "FDSAuthorizedPendingReview"
        if approve:
            row.status = STATUS_OF_APPROVED[row.kind]
            row.response_code, row.reason = "1", 1
            row.approved_minor = row.amount_minor
            if row.status == "capturedPendingSettlement":
                row.captured_minor = row.amount_minor
            row.auth_code = row.auth_code or row.transaction_id[-6:]
        else:
            row.status = "voided" if authorised else "declined"
            row.response_code, row.reason = "2", 254
            row.approved_minor = 0
        row.batched_from = now
        self.held.pop(row.transaction_id, None)


def iso_utc(moment: float) -> str:
    """A moment as the gateway writes it: UTC, milliseconds, Z."""
    text = datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
