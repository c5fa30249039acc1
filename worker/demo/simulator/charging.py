"""The rules by which a charge or an authorisation is approved, declined, held, refused or repeated.

No card number is taken: means are tokens, stored profiles and network tokens (a card number that is
marked as a token and comes with its cryptogram). The shape of replies stands in `replies.py`, what
steers a verdict in `triggers.py`, what other types share in `attempts.py`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from worker.demo.simulator import attempts, replies, triggers
from worker.demo.simulator.attempts import AUTHORISED, Attempt, Movement
from worker.demo.simulator.means import DESCRIPTORS, Means, from_network_token, from_token
from worker.demo.simulator.reasons import WITHOUT_TRANSACTION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.demo.simulator.gateway import Gateway
    from worker.demo.simulator.protocol import Reply

_CLEAR_PAYMENTS = ("creditCard", "bankAccount", "trackData", "encryptedTrackData", "emv")


def charge(attempt: Attempt) -> Reply:
    """An authorisation, with its capture or without."""
    gateway, call, request = attempt.gateway, attempt.call, attempt.request
    if attempts.wrong_currency(attempt):
        return replies.refused(call, 39)
    amount_minor = attempts.amount(request.get("amount"), attempt.currency)
    if amount_minor is None or (amount_minor == 0 and _captures(attempt)):
        return replies.refused(call, 5)
    if amount_minor == 0 and not gateway.settings.zero_auth:
        return replies.refused(call, 289)
    means = _resolved(attempt)
    if not isinstance(means, Means):
        return means
    if attempt.is_test:
        return replies.test_answer(call, account=means.masked, account_type=means.account_type)
    _spend(gateway, request)
    return _decided(Movement(attempt, means, amount_minor))


def _captures(attempt: Attempt) -> bool:
    return bool(attempt.request["transactionType"] == "authCaptureTransaction")


def _decided(movement: Movement) -> Reply:
    attempt = movement.attempt
    gateway, call, fault = attempt.gateway, attempt.call, attempt.fault
    key = attempts.content(movement)
    repeated = attempts.repeated(movement, key)
    if repeated is not None:
        return repeated
    verdict = triggers.verdict(
        attempt.request,
        movement.means,
        amount_minor=movement.amount_minor,
        partial=attempt.is_on("allowPartialAuth", default=True),
        settings=gateway.settings,
    )
    if fault.reason is not None:
        approved = movement.amount_minor if fault.reason in AUTHORISED else 0
        verdict = replace(
            verdict, reason=fault.reason, approved_minor=approved, prepaid_balance=None
        )
    if verdict.reason in WITHOUT_TRANSACTION:
        return replies.refused(call, verdict.reason)
    row = attempts.written(movement, key, verdict=verdict)
    return replies.recorded(call, row, seed=gateway.seed, prepaid_balance=verdict.prepaid_balance)


def _resolved(attempt: Attempt) -> Means | Reply:
    """The means of a charge, or the refusal of the request."""
    call, request = attempt.call, attempt.request
    payment, profile = request.get("payment") or {}, request.get("profile") or {}
    card = payment.get("creditCard") or {}
    if any(payment.get(name) for name in _CLEAR_PAYMENTS) and not _is_network_token(card):
        return replies.raw_number(attempt.gateway, call)
    if profile and payment:
        return replies.without_transaction(call, "E00091")
    if profile:
        return _from_vault(attempt, profile)
    if card:
        found = from_network_token(card)
        return found if found is not None else replies.refused(call, 156)
    return _from_opaque(attempt, payment.get("opaqueData") or {})


def _is_network_token(card: Mapping[str, Any]) -> bool:
    marked = card.get("isPaymentToken")
    return (marked is True or marked in {"true", "1"}) and bool(card.get("cryptogram"))


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


def _from_opaque(attempt: Attempt, opaque: Mapping[str, Any]) -> Means | Reply:
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
