"""Capture and void: they change a row that exists, keep its transaction id, and may be repeated.

A capture may be repeated (311) and a void too (310), both with responseCode 1 and the same id; that
says that something was captured or voided, not how much. An authorisation is captured once. States
that no rule names are refused: 16 for a capture, 327 for a void.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.demo.simulator import attempts, replies
from worker.demo.simulator.ledger import Row
from worker.demo.simulator.reasons import ERROR, HELD, REASONS

if TYPE_CHECKING:
    from worker.demo.simulator.attempts import Attempt
    from worker.demo.simulator.protocol import Reply

_CAPTURED = frozenset(
    {"capturedPendingSettlement", "settledSuccessfully", "settlementError", "chargeback"}
)
_VOIDABLE = frozenset(
    {
        "authorizedPendingCapture",
        "authorizedPendingRelease",
        "capturedPendingSettlement",
        "refundPendingSettlement",
        "FDSPendingReview",
        "FDSAuthorizedPendingReview",
    }
)


def capture(attempt: Attempt) -> Reply:
    """All or a part of an authorisation, once."""
    row = attempts.referenced(attempt)
    if not isinstance(row, Row):
        return row
    if attempt.is_test:
        return _test_answer(attempt, row)
    given = attempt.request.get("amount")
    wanted = attempts.amount(given, row.currency) if given else row.approved_minor
    amount_minor = wanted or 0
    reason = _against_capture(attempt, row, amount_minor=amount_minor) or _fault(attempt)
    if reason is not None:
        return _undone(attempt, row, reason=reason)
    row.status, row.captured_minor = "capturedPendingSettlement", amount_minor
    row.batched_from = attempt.gateway.clock.now()
    return replies.acted(attempt.call, row, reason=1)


def void(attempt: Attempt) -> Reply:
    """All of a transaction that is not settled yet; there is no void of a part."""
    row = attempts.referenced(attempt)
    if not isinstance(row, Row):
        return row
    if attempt.is_test:
        return _test_answer(attempt, row)
    reason = _against_void(row) or _fault(attempt)
    if reason is not None:
        return _undone(attempt, row, reason=reason)
    row.status, row.captured_minor = "voided", 0
    row.batched_from = attempt.gateway.clock.now()
    attempt.gateway.ledger.held.pop(row.transaction_id, None)
    return replies.acted(attempt.call, row, reason=1)


def _against_capture(attempt: Attempt, row: Row, *, amount_minor: int) -> int | None:
    """The first reason against a capture, or None."""
    above = amount_minor > row.approved_minor and attempt.gateway.settings.checks_amounts
    rules = (
        (attempts.wrong_currency(attempt), 39),
        (row.kind != "authOnlyTransaction", 16),
        (row.status in _CAPTURED, 311),
        (row.status != "authorizedPendingCapture", 16),
        (amount_minor == 0, 5),
        (above, 47),
    )
    return next((reason for is_broken, reason in rules if is_broken), None)


def _against_void(row: Row) -> int | None:
    """The reason against a void, or None."""
    if row.status == "voided":
        return 310
    return None if row.status in _VOIDABLE else 327


def _fault(attempt: Attempt) -> int | None:
    """The reason of a fault; the fraud filters, which hold, see charges and refunds only."""
    reason = attempt.fault.reason
    return None if reason is None or reason == 1 or REASONS[reason][0] == HELD else reason


def _undone(attempt: Attempt, row: Row, *, reason: int) -> Reply:
    """The answer where the row stays as it is."""
    if REASONS[reason][0] == ERROR:
        return replies.refused(attempt.call, reason)
    return replies.acted(attempt.call, row, reason=reason)


def _test_answer(attempt: Attempt, row: Row) -> Reply:
    means = row.means
    return replies.test_answer(attempt.call, account=means.masked, account_type=means.account_type)
