"""What every transaction type shares: one delivery of a request, its amount, its duplicate, its row.

Which rules a type follows stands in `charging.py`, `capturing.py` and `refunding.py`; which types
there are in `verbs.py`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from worker.demo.simulator import duplicates, replies
from worker.demo.simulator.ledger import STATUS_OF_APPROVED, Row
from worker.demo.simulator.money import minor_units
from worker.demo.simulator.reasons import APPROVED, HELD, REASONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.demo.simulator.faults import Fault
    from worker.demo.simulator.gateway import Gateway
    from worker.demo.simulator.means import Means
    from worker.demo.simulator.protocol import Call, Reply
    from worker.demo.simulator.triggers import Verdict

AUTHORISED = frozenset({1, 253, 295})
_STATUS_OF_HELD = {
    252: "FDSPendingReview",
    193: "FDSPendingReview",
    253: "FDSAuthorizedPendingReview",
    295: "authorizedPendingRelease",
}
_TRUE = frozenset({"true", "1", "t", "yes", "y"})


@dataclass(frozen=True, slots=True)
class Attempt:
    """One delivery of a request to the gateway, with the fault that it meets."""

    gateway: Gateway
    call: Call
    fault: Fault

    @property
    def request(self) -> Mapping[str, Any]:
        """The transactionRequest."""
        request: Mapping[str, Any] = self.call.body["transactionRequest"]
        return request

    @property
    def currency(self) -> str:
        """The one currency of the account that asks."""
        return self.gateway.currency_of(self.call.login)

    @property
    def settings(self) -> dict[str, str]:
        """The request's own transactionSettings."""
        given = (self.request.get("transactionSettings") or {}).get("setting") or []
        rows = given if isinstance(given, list) else [given]
        return {str(row.get("settingName")): str(row.get("settingValue") or "") for row in rows}

    def is_on(self, name: str, *, default: bool) -> bool:
        """A yes-or-no setting of the request."""
        settings = self.settings
        return settings[name].lower() in _TRUE if name in settings else default

    @property
    def is_test(self) -> bool:
        """A test, by account or by request: answered and not recorded."""
        return self.gateway.settings.test_mode or self.is_on("testRequest", default=False)


@dataclass(frozen=True, slots=True)
class Movement:
    """A charge or refund whose means and amount are known."""

    attempt: Attempt
    means: Means
    amount_minor: int


def amount(given: Any, currency: str) -> int | None:
    """Minor units, zero included, or None for an amount that the gateway does not take."""
    try:
        wanted = Decimal(str(given))
    except InvalidOperation:
        return None
    minor = minor_units(wanted, currency)
    return minor if minor is not None and minor >= 0 else None


def wrong_currency(attempt: Attempt) -> bool:
    """The request names another currency than its account's."""
    return (attempt.request.get("currencyCode") or attempt.currency) != attempt.currency


def referenced(attempt: Attempt) -> Row | Reply:
    """The account's own row that `refTransId` names, or the refusal: 15 or 16."""
    wanted = str(attempt.request.get("refTransId") or "")
    if not (wanted.isascii() and wanted.isdigit()):
        return replies.refused(attempt.call, 15)
    row = attempt.gateway.ledger.by_id.get(wanted)
    if row is None or not attempt.gateway.may_see(attempt.call.login, row):
        return replies.refused(attempt.call, 16)
    return row


def content(movement: Movement) -> tuple[Any, ...]:
    """What another request must have in common with this one to be its repeat."""
    attempt = movement.attempt
    return duplicates.content_key(
        attempt.request,
        movement.means,
        login=attempt.call.login,
        amount_minor=movement.amount_minor,
        window=_window(attempt),
    )


def repeated(movement: Movement, key: tuple[Any, ...]) -> Reply | None:
    """The refusal of a repeat inside the window, or None."""
    attempt = movement.attempt
    gateway = attempt.gateway
    original = duplicates.original(gateway, key, window=_window(attempt))
    if original is None:
        return None
    enhanced = "duplicateWindow" in attempt.settings and gateway.settings.enhanced_duplicates
    return replies.refused(attempt.call, 11, original=original if enhanced else None)


def _window(attempt: Attempt) -> int:
    default = attempt.gateway.settings.duplicate_window_s
    return duplicates.window_s(attempt.settings.get("duplicateWindow"), default=default)


def written(movement: Movement, key: tuple[Any, ...], *, verdict: Verdict) -> Row:
    """The new row, in the book."""
    row = _row(movement, verdict=verdict)
    ledger = movement.attempt.gateway.ledger
    ledger.write(row)
    ledger.latest_by_content[key] = row
    return row


def _row(movement: Movement, *, verdict: Verdict) -> Row:
    attempt, means = movement.attempt, movement.means
    gateway, fault, request = attempt.gateway, attempt.fault, attempt.request
    kind = str(request["transactionType"])
    transaction_id = gateway.ledger.next_id()
    code = gateway.settings.partial_code if verdict.reason == 295 else REASONS[verdict.reason][0]
    charged = verdict.reason in AUTHORISED and kind != "refundTransaction"
    status = _status(kind, verdict.reason)
    marks = hashlib.blake2b(transaction_id.encode(), digest_size=10).hexdigest().upper()
    now = gateway.clock.now()
    return Row(
        transaction_id=transaction_id,
        kind=kind,
        login=attempt.call.login,
        means=means,
        amount_minor=movement.amount_minor,
        approved_minor=verdict.approved_minor,
        captured_minor=verdict.approved_minor if status == "capturedPendingSettlement" else 0,
        currency=attempt.currency,
        status=status,
        response_code=code,
        reason=verdict.reason,
        at=now,
        batched_from=now,
        auth_code=marks[:6] if charged else "",
        avs=verdict.avs,
        cvv=verdict.cvv,
        network_id=marks[5:20] if charged and not means.is_bank else "",
        ref_id=attempt.call.ref_id or "",
        ref_transaction_id=str(request.get("refTransId") or ""),
        fault=None if fault.name == "none" else fault.name,
        order=request.get("order") or {},
        customer=request.get("customer") or {},
        bill_to=request.get("billTo") or {},
        po_number=str(request.get("poNumber") or ""),
        customer_ip=str(request.get("customerIP") or ""),
    )


def _status(kind: str, reason: int) -> str:
    code = REASONS[reason][0]
    if code == HELD:
        return _STATUS_OF_HELD[reason]
    if code == APPROVED:
        return STATUS_OF_APPROVED[kind]
    return "declined" if code == "2" else "generalError"
