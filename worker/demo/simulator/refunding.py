"""A refund: a transaction of its own that refers to a settled charge, with its own id and settlement.

The means are named by what everybody may know: the last four digits, or the stored profile that was
charged. A number in clear is refused as in a charge. The sum of the refunds that are not voided or
declined never exceeds what was captured, unless the setting `checks_amounts` is off.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from worker.demo.simulator import attempts, replies
from worker.demo.simulator.attempts import AUTHORISED, Movement
from worker.demo.simulator.ledger import Row
from worker.demo.simulator.reasons import WITHOUT_TRANSACTION
from worker.demo.simulator.triggers import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.demo.simulator.attempts import Attempt
    from worker.demo.simulator.protocol import Reply

CHARGES = frozenset({"authCaptureTransaction", "authOnlyTransaction"})
OLDEST_S = 180 * 86_400
_MASKED = re.compile(r"X*([0-9]{4})")


def refund(attempt: Attempt) -> Reply:
    """All or a part of a settled charge."""
    call = attempt.call
    original = attempts.referenced(attempt)
    if not isinstance(original, Row):
        return original
    means = original.means
    stranger = _stranger(attempt, original)
    if stranger is not None:
        return stranger
    if attempt.is_test:
        return replies.test_answer(call, account=means.masked, account_type=means.account_type)
    amount_minor = attempts.amount(attempt.request.get("amount"), attempt.currency) or 0
    movement = Movement(attempt, means, amount_minor)
    key = attempts.content(movement)
    repeated = attempts.repeated(movement, key)
    if repeated is not None:
        return repeated
    reason = _against(movement, original)
    return _given(movement, key) if reason is None else replies.refused(call, reason)


def _against(movement: Movement, original: Row) -> int | None:
    """The first reason against a refund, or None."""
    attempt, amount_minor = movement.attempt, movement.amount_minor
    gateway = attempt.gateway
    left_minor = original.captured_minor - gateway.ledger.refunded_minor(original.transaction_id)
    rules = (
        (attempts.wrong_currency(attempt), 39),
        (amount_minor == 0, 5),
        (not _qualifies(attempt, original), 54),
        (gateway.settings.checks_amounts and amount_minor > left_minor, 55),
    )
    return next((reason for is_broken, reason in rules if is_broken), None)


def _given(movement: Movement, key: tuple[Any, ...]) -> Reply:
    attempt = movement.attempt
    reason = 1 if attempt.fault.reason is None else attempt.fault.reason
    if reason in WITHOUT_TRANSACTION:
        return replies.refused(attempt.call, reason)
    approved = movement.amount_minor if reason in AUTHORISED else 0
    row = attempts.written(movement, key, verdict=Verdict(reason, approved, "P", ""))
    return replies.recorded(attempt.call, row, seed=attempt.gateway.seed)


def _qualifies(attempt: Attempt, original: Row) -> bool:
    return (
        original.kind in CHARGES
        and original.status == "settledSuccessfully"
        and original.settled_at is not None
        and attempt.gateway.clock.now() - original.settled_at <= OLDEST_S
    )


def _stranger(attempt: Attempt, original: Row) -> Reply | None:
    """The refusal of means that are not those of the original, or None."""
    call, request = attempt.call, attempt.request
    payment, profile = request.get("payment") or {}, request.get("profile") or {}
    if profile and payment:
        return replies.without_transaction(call, "E00091")
    if profile:
        same = _profile_ids(profile) == (
            original.means.profile_id,
            original.means.payment_profile_id,
        )
        return None if same else replies.without_transaction(call, "E00051")
    bank = original.means.is_bank
    number = _number(payment)
    if number is None:
        return replies.refused(call, 33, text="Payment information is required.")
    masked = _MASKED.fullmatch(number)
    if masked is None and sum(map(str.isdigit, number)) > 4:
        return replies.raw_number(attempt.gateway, call)
    fits = masked is not None and masked[1] == original.means.account[-4:]
    return None if fits and bank == ("bankAccount" in payment) else replies.refused(call, 54)


def _number(payment: Mapping[str, Any]) -> str | None:
    if payment.get("creditCard"):
        return str(payment["creditCard"].get("cardNumber") or "")
    if payment.get("bankAccount"):
        return str(payment["bankAccount"].get("accountNumber") or "")
    return None


def _profile_ids(profile: Mapping[str, Any]) -> tuple[str, str]:
    payment_profile = profile.get("paymentProfile") or {}
    return (
        str(profile.get("customerProfileId") or ""),
        str(payment_profile.get("paymentProfileId") or ""),
    )
