"""createTransaction: the rules by which a charge is approved, declined, held, refused or repeated.

One function per transaction type in `VERBS`; a type that is not in the table gets reason 123 with
words, never a made-up success. The caller (`app.py`) has checked the schema and the credentials.
The shape of replies stands in `replies.py`, what steers a verdict in `triggers.py`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from worker.demo.simulator import duplicates, replies, triggers
from worker.demo.simulator.ledger import Row
from worker.demo.simulator.means import DESCRIPTORS, Means, from_token
from worker.demo.simulator.money import minor_units
from worker.demo.simulator.reasons import APPROVED, HELD, REASONS, WITHOUT_TRANSACTION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from worker.demo.simulator.faults import Fault
    from worker.demo.simulator.gateway import Gateway
    from worker.demo.simulator.protocol import Call, Reply

_AUTHORISED = {1: True, 253: True, 295: True}
_STATUS_OF_HELD = {
    252: "FDSPendingReview",
    193: "FDSPendingReview",
    253: "FDSAuthorizedPendingReview",
    295: "authorizedPendingRelease",
}
_TRUE = frozenset({"true", "1", "t", "yes", "y"})
_CLEAR_PAYMENTS = ("creditCard", "bankAccount", "trackData", "encryptedTrackData", "emv")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One delivery of a request to the gateway, with the fault that it meets."""

    gateway: Gateway
    call: Call
    fault: Fault


@dataclass(frozen=True, slots=True)
class Charge:
    """A charge whose means and amount are known."""

    request: Mapping[str, Any]
    means: Means
    amount_minor: int
    settings: Mapping[str, str]

    def is_on(self, name: str, *, default: bool) -> bool:
        """A yes-or-no setting of the request."""
        return self.settings[name].lower() in _TRUE if name in self.settings else default


def create_transaction(gateway: Gateway, call: Call, *, fault: Fault) -> Reply:
    """Perform the request as often as it is delivered; the last answer counts."""
    request = call.body["transactionRequest"]
    verb = VERBS.get(request["transactionType"])
    if verb is None:
        text = f"{REASONS[123][1]} ({request['transactionType']!r} is not served here.)"
        return replies.refused(call, 123, text=text)
    reply: Reply = {}
    for _ in range(fault.times):
        reply = verb(Attempt(gateway, call, fault))
    return reply


def _charge(attempt: Attempt) -> Reply:
    gateway, call = attempt.gateway, attempt.call
    request = call.body["transactionRequest"]
    currency = gateway.settings.currency
    if (request.get("currencyCode") or currency) != currency:
        return replies.refused(call, 39)
    amount_minor = _amount(request.get("amount"), currency)
    if amount_minor is None:
        return replies.refused(call, 5)
    means = _resolved(attempt, request)
    if not isinstance(means, Means):
        return means
    charge = Charge(request, means, amount_minor, _settings(request))
    if gateway.settings.test_mode or charge.is_on("testRequest", default=False):
        return replies.test_answer(call, account=means.masked, account_type=means.account_type)
    _spend(gateway, request)
    return _decided(attempt, charge)


def _decided(attempt: Attempt, charge: Charge) -> Reply:
    gateway, call, fault = attempt.gateway, attempt.call, attempt.fault
    wanted = charge.settings.get("duplicateWindow")
    window = duplicates.window_s(wanted, default=gateway.settings.duplicate_window_s)
    key = duplicates.content_key(
        charge.request,
        charge.means,
        login=call.login,
        amount_minor=charge.amount_minor,
        window=window,
    )
    original = duplicates.original(gateway, key, window=window)
    if original is not None:
        enhanced = wanted is not None and gateway.settings.enhanced_duplicates
        return replies.refused(call, 11, original=original if enhanced else None)
    verdict = triggers.verdict(
        charge.request,
        charge.means,
        amount_minor=charge.amount_minor,
        partial=charge.is_on("allowPartialAuth", default=True),
        settings=gateway.settings,
    )
    if fault.reason is not None:
        authorised = _AUTHORISED.get(fault.reason, False)
        approved = charge.amount_minor if authorised else 0
        verdict = replace(
            verdict, reason=fault.reason, approved_minor=approved, prepaid_balance=None
        )
    if verdict.reason in WITHOUT_TRANSACTION:
        return replies.refused(call, verdict.reason)
    row = _row(attempt, charge, verdict=verdict)
    gateway.ledger.write(row)
    gateway.ledger.latest_by_content[key] = row
    return replies.recorded(call, row, seed=gateway.seed, prepaid_balance=verdict.prepaid_balance)


def _row(attempt: Attempt, charge: Charge, *, verdict: triggers.Verdict) -> Row:
    gateway, fault = attempt.gateway, attempt.fault
    transaction_id = gateway.ledger.next_id()
    code = REASONS[verdict.reason][0]
    if verdict.reason == 295:
        code = gateway.settings.partial_code
    authorised = _AUTHORISED.get(verdict.reason, False)
    marks = hashlib.blake2b(transaction_id.encode(), digest_size=10).hexdigest().upper()
    return Row(
        transaction_id=transaction_id,
        kind=charge.request["transactionType"],
        means=charge.means,
        amount_minor=charge.amount_minor,
        approved_minor=verdict.approved_minor,
        currency=gateway.settings.currency,
        status=_status(charge.request["transactionType"], verdict.reason),
        response_code=code,
        reason=verdict.reason,
        at=gateway.clock.now(),
        auth_code=marks[:6] if authorised else "",
        avs=verdict.avs,
        cvv=verdict.cvv,
        network_id=marks[5:20] if authorised and not charge.means.is_bank else "",
        ref_id=attempt.call.ref_id or "",
        fault=None if fault.name == "none" else fault.name,
        order=charge.request.get("order") or {},
        customer=charge.request.get("customer") or {},
        bill_to=charge.request.get("billTo") or {},
        po_number=str(charge.request.get("poNumber") or ""),
        customer_ip=str(charge.request.get("customerIP") or ""),
    )


def _status(kind: str, reason: int) -> str:
    code = REASONS[reason][0]
    if code == HELD:
        return _STATUS_OF_HELD[reason]
    if code == APPROVED:
        captures = kind == "authCaptureTransaction"
        return "capturedPendingSettlement" if captures else "authorizedPendingCapture"
    return "declined" if code == "2" else "generalError"


def _amount(given: Any, currency: str) -> int | None:
    """Minor units, or None for an amount that the gateway does not take."""
    try:
        amount = Decimal(str(given))
    except InvalidOperation:
        return None
    minor = minor_units(amount, currency)
    return minor if minor is not None and minor > 0 else None


def _resolved(attempt: Attempt, request: Mapping[str, Any]) -> Means | Reply:
    """The means of a charge, or the refusal of the request."""
    call = attempt.call
    payment, profile = request.get("payment") or {}, request.get("profile") or {}
    if any(payment.get(name) for name in _CLEAR_PAYMENTS):
        attempt.gateway.calls.raw_card_attempts += 1
        text = f"{REASONS[66][1]} (This simulator takes no card or account numbers.)"
        return replies.refused(call, 66, text=text)
    if profile and payment:
        return replies.without_transaction(call, "E00091")
    if profile:
        return _from_vault(attempt, profile)
    return _from_token(attempt, payment.get("opaqueData") or {})


def _from_vault(attempt: Attempt, profile: Mapping[str, Any]) -> Means | Reply:
    gateway, call = attempt.gateway, attempt.call
    profile_id = str(profile.get("customerProfileId") or "")
    payment_profile = profile.get("paymentProfile") or {}
    payment_profile_id = str(payment_profile.get("paymentProfileId") or "")
    if not profile_id or not payment_profile_id:
        return replies.without_transaction(
            call, "E00014", text="customerProfileId and paymentProfileId are required."
        )
    found = gateway.vault.find(profile_id, payment_profile_id)
    if found is None:
        text = "Customer Profile ID or Customer Payment Profile ID not found."
        return replies.without_transaction(call, "E00040", text=text)
    return found


def _from_token(attempt: Attempt, opaque: Mapping[str, Any]) -> Means | Reply:
    gateway, call = attempt.gateway, attempt.call
    value = str(opaque.get("dataValue") or "")
    if not value:
        return replies.refused(call, 33, text="Payment information is required.")
    if opaque.get("dataDescriptor") not in DESCRIPTORS:
        return replies.refused(call, 153)
    if value in gateway.ledger.spent_tokens:
        return replies.without_transaction(call, "E00114")
    found = from_token(value)
    return found if isinstance(found, Means) else replies.without_transaction(call, found)


def _spend(gateway: Gateway, request: Mapping[str, Any]) -> None:
    """A token is good for one use, whatever comes of the charge."""
    opaque = (request.get("payment") or {}).get("opaqueData") or {}
    if opaque:
        gateway.ledger.spent_tokens.add(str(opaque["dataValue"]))


def _settings(request: Mapping[str, Any]) -> dict[str, str]:
    given = (request.get("transactionSettings") or {}).get("setting") or []
    rows = given if isinstance(given, list) else [given]
    return {str(row.get("settingName")): str(row.get("settingValue") or "") for row in rows}


VERBS: dict[str, Callable[[Attempt], Reply]] = {
    "authCaptureTransaction": _charge,
    "authOnlyTransaction": _charge,
}
