"""The verb of a payment initiation: what to send, and what a verdict means. Pure; no branch of it lives elsewhere."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import assert_never

from handlers.domain.commands import WALLET_DESCRIPTORS, InitiatePayment, Mode, OpaqueData
from handlers.domain.intents import Charge, Question
from handlers.domain.invoices import invoice_number
from handlers.domain.payments import News
from handlers.domain.recovery import Inquiry
from handlers.domain.states import Fact
from handlers.domain.verdicts import (
    Advice,
    Approved,
    Declined,
    Held,
    Method,
    Reason,
    Unknown,
)
from handlers.ports import Operation, Rules

# A charge is sent at most once in its life, so there is no attempt but the first. The number stands in the invoice
# number all the same: refunds, which may be sent again on proof, share the derivation.
_ONLY_ATTEMPT = 1

NOT_CHARGED = Reason(
    code="worker.not_charged",
    text="The gateway never saw this charge: it is absent from complete scans. Nothing was taken;"
    " start a new payment to try again.",
    advice=Advice.SOFT,
)

UNANSWERED = Reason(
    code="worker.unanswered",
    text="The charge may have been sent; the gateway is asked what became of it.",
    advice=Advice.UNDECIDED,
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """We say no before the gateway: nothing is sent."""

    news: News


def _refusal(code: str, *, text: str, advice: Advice) -> Refusal:
    return Refusal(News(fact=Fact.REFUSED, reason=Reason(f"worker.{code}", text, advice)))


def _invoice(operation: Operation, rules: Rules) -> str:
    return invoice_number(
        rules.invoice_key,
        environment=rules.environment,
        operation_id=operation.operation_id,
        attempt=_ONLY_ATTEMPT,
    )


def plan(operation: Operation, *, rules: Rules, now: datetime) -> Charge | Refusal:
    """The intent of this initiation, or why it is refused."""
    command: InitiatePayment = operation.command
    if command.not_after is not None and now > command.not_after:
        return _refusal(
            "too_late",
            text=f"The payment was to be made by {command.not_after.isoformat()}, which has passed."
            " Nothing was taken; start a new payment.",
            advice=Advice.SOFT,
        )
    if now - command.issued_at > timedelta(seconds=rules.max_command_age_s):
        return _refusal(
            "too_old",
            text=f"The payment was asked for at {command.issued_at.isoformat()}, longer ago than is allowed."
            " Nothing was taken; start a new payment.",
            advice=Advice.SOFT,
        )
    account = rules.merchant_accounts.get(command.money.currency)
    if account is None:
        known = ", ".join(sorted(rules.merchant_accounts)) or "none"
        return _refusal(
            "no_account_for_currency",
            text=f"No merchant account takes {command.money.currency}; configured currencies: {known}.",
            advice=Advice.FIX,
        )
    number = _invoice(operation, rules)
    return Charge(
        operation_id=operation.operation_id,
        attempt=_ONLY_ATTEMPT,
        invoice_number=number,
        reference=number,
        mode=command.mode,
        money=command.money,
        means=command.means,
        merchant_account=account,
        order_id=command.order_id,
        user_id=command.user_id,
        description=command.description,
        billing=command.billing,
        customer_ip=command.customer_ip,
        lines=command.lines,
    )


def question(operation: Operation, inquiry: Inquiry, *, rules: Rules) -> Question | None:
    """What to ask the gateway about this operation; None where no account can know it."""
    command = operation.command
    account = inquiry.merchant_account or rules.merchant_accounts.get(command.money.currency)
    if account is None:
        return None
    return Question(
        merchant_account=account,
        invoice_number=inquiry.invoice_number or _invoice(operation, rules),
        money=command.money,
        mode=command.mode,
        since=inquiry.since,
        transaction_id=operation.payment.transaction_id or inquiry.transaction_id,
    )


def silence() -> News:
    """A charge that may have been sent and is not seen yet: neither success nor failure (P4)."""
    return News(fact=Fact.UNDECIDED, reason=UNANSWERED)


def absence() -> News:
    """What proven absence means for a charge: it failed, and is never sent again."""
    return News(fact=Fact.NOT_CHARGED, reason=NOT_CHARGED)


def judge(command: InitiatePayment, verdict: Approved | Declined | Held | Unknown) -> News:
    """What a verdict means for the payment. An approval of another amount or currency than ours contradicts."""
    match verdict:
        case Approved():
            return _approval(command, verdict)
        case Declined():
            return News(
                fact=Fact.DECLINED,
                reason=verdict.reason,
                transaction_id=verdict.transaction_id,
                method=_method(command, verdict.method),
            )
        case Held():
            return News(
                fact=Fact.HELD,
                reason=verdict.reason,
                transaction_id=verdict.transaction_id,
                method=_method(command, verdict.method),
            )
        case Unknown():
            return News(fact=Fact.UNDECIDED, reason=verdict.reason)
        case _:
            assert_never(verdict)


def _approval(command: InitiatePayment, verdict: Approved) -> News:
    asked = command.money
    told_minor = asked.amount_minor if verdict.amount_minor is None else verdict.amount_minor
    told_currency = verdict.currency or asked.currency
    captured = verdict.captured
    # Foreign minor units would be another amount: the reason says what the gateway told.
    moved_minor = told_minor if told_currency == asked.currency else 0
    if told_minor != asked.amount_minor or told_currency != asked.currency:
        reason = Reason(
            "worker.amount_differs",
            f"The gateway approved {told_minor} minor units of {told_currency}, we asked for"
            f" {asked.amount_minor} of {asked.currency}. A person must decide.",
            Advice.REVIEW,
        )
        fact = Fact.CONTRADICTED
    elif captured and command.mode is Mode.AUTHORISE:
        reason = Reason(
            "worker.captured_unasked",
            "Only an authorisation was asked for, and the gateway captured it. A person must decide.",
            Advice.REVIEW,
        )
        fact = Fact.CONTRADICTED
    else:
        reason = verdict.reason
        fact = Fact.TAKEN if captured else Fact.RESERVED
    return News(
        fact=fact,
        reason=reason,
        authorised_minor=moved_minor,
        captured_minor=moved_minor if captured else 0,
        transaction_id=verdict.transaction_id,
        method=_method(command, verdict.method),
    )


def _method(command: InitiatePayment, seen: Method) -> Method:
    """The means that the gateway saw; which kind they were, its lists do not say and the command does."""
    if seen.kind or seen == Method():
        return seen
    means = command.means
    kind = (
        WALLET_DESCRIPTORS[means.descriptor] if isinstance(means, OpaqueData) else "stored_profile"
    )
    return replace(seen, kind=kind)
