"""The verb of a payment initiation: what to send, and what a verdict means. Pure; no branch of it lives elsewhere."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import assert_never

from handlers.decisions import Proof, Said, invoice, ours, ruled
from handlers.domain.commands import InitiatePayment, Mode, Ruling, VoidPayment
from handlers.domain.facts import Facts, Needs, Order
from handlers.domain.intents import Charge, Question
from handlers.domain.means import method_kind
from handlers.domain.payments import News
from handlers.domain.recovery import Inquiry
from handlers.domain.states import Fact
from handlers.domain.verdicts import (
    Advice,
    Approved,
    Declined,
    Definite,
    Held,
    Method,
    NotYet,
    Reason,
    Unknown,
)
from handlers.orders import MARK_PAID, is_paid, objection
from handlers.ports import Operation, OrderCheck, Rules

# A charge is sent at most once in its life, so there is no attempt but the first. The number stands in the invoice
# number all the same: refunds, which may be sent again on proof, share the derivation.
_ONLY_ATTEMPT = 1

NOT_CHARGED = ours(
    "not_charged",
    "The gateway never saw this charge: it is absent from complete scans. Nothing was taken;"
    " start a new payment to try again.",
    advice=Advice.SOFT,
)
UNANSWERED = ours(
    "unanswered",
    "The charge may have been sent; the gateway is asked what became of it.",
    advice=Advice.UNDECIDED,
)
_CAPTURED_UNASKED = ours(
    "captured_unasked",
    "Only an authorisation was asked for, and the gateway captured it. A person must decide.",
    advice=Advice.REVIEW,
)


def _command(operation: Operation) -> InitiatePayment:
    assert isinstance(operation.command, InitiatePayment), "this verb's own command"
    return operation.command


def _refusal(code: str, *, text: str, advice: Advice) -> Said:
    return _no(ours(code, text, advice=advice))


def _no(reason: Reason) -> Said:
    return Said(News(fact=Fact.REFUSED, reason=reason))


def needs(operation: Operation, *, rules: Rules) -> Needs:
    """The order, where it is to be looked at. A means is verified for no order."""
    command = _command(operation)
    strict = rules.order_check is OrderCheck.STRICT and command.mode is not Mode.VERIFY
    return Needs(order_id=command.order_id if strict and not operation.canceled else None)


def plan(operation: Operation, facts: Facts, *, rules: Rules, now: datetime) -> Charge | Said:
    """The intent of this initiation, or why it is refused."""
    command = _command(operation)
    late = _late(operation, rules=rules, now=now)
    if late is not None:
        return late
    account = rules.merchant_accounts.get(command.money.currency)
    if account is None:
        known = ", ".join(sorted(rules.merchant_accounts)) or "none"
        return _refusal(
            "no_account_for_currency",
            text=f"No merchant account takes {command.money.currency}; configured currencies: {known}.",
            advice=Advice.FIX,
        )
    checked = needs(operation, rules=rules).order_id is not None
    against = objection(command, facts.order, rules=rules) if checked else None
    if against is not None:
        return _no(against)
    return _charge(operation, facts.order, rules=rules, account=account)


def _late(operation: Operation, *, rules: Rules, now: datetime) -> Said | None:
    command = _command(operation)
    if operation.canceled:
        return _refusal(
            "voided_before",
            text="The payment was voided before it began. Nothing was taken.",
            advice=Advice.FIX,
        )
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
    return None


def _charge(operation: Operation, order: Order | None, *, rules: Rules, account: str) -> Charge:
    """The intent. What the command leaves empty of the customer, the order fills in."""
    command = _command(operation)
    number = invoice(operation, rules)
    billing, shipping, lines, tax = (
        command.billing,
        command.shipping,
        command.lines,
        command.tax_minor,
    )
    if order is not None:
        billing, shipping = billing.over(order.billing), shipping.over(order.shipping)
        billing = billing if billing.email else replace(billing, email=order.email)
        lines, tax = lines or order.lines, tax or order.tax_minor
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
        billing=billing,
        shipping=shipping,
        customer_ip=command.customer_ip,
        lines=lines,
        tax_minor=tax,
        stored_credential=command.stored_credential,
        cardholder_authentication=command.cardholder_authentication,
        marks=(MARK_PAID,) if order is not None and is_paid(order) else (),
        claim=command.order_id if command.mode is not Mode.VERIFY else "",
        order_paid_minor=0 if order is None else order.paid_minor,
    )


def question(operation: Operation, inquiry: Inquiry, *, rules: Rules) -> Question | None:
    """What to ask the gateway about this operation; None where no account can know it."""
    command = _command(operation)
    account = inquiry.merchant_account or rules.merchant_accounts.get(command.money.currency)
    if account is None:
        return None
    ruling = operation.ruling
    return Question(
        merchant_account=account,
        invoice_number=inquiry.invoice_number or invoice(operation, rules),
        money=command.money,
        mode=command.mode,
        since=inquiry.since,
        transaction_id=operation.payment.transaction_id
        or inquiry.transaction_id
        or (ruling.transaction_id if ruling else None)
        or None,
    )


def silence(operation: Operation) -> News:
    """A charge that may have been sent and is not seen yet: neither success nor failure (P4)."""
    assert operation.request is None
    return News(fact=Fact.UNDECIDED, reason=UNANSWERED)


def absence(operation: Operation, proof: Proof) -> News:
    """What proven absence means for a charge: it failed, and is never sent again.

    Where the gateway did say why it did not take it (a token that was used before), that is told.
    """
    assert operation.request is None
    del proof
    said = operation.payment.reason
    if said.code.startswith("worker.") or not said.code:
        return News(fact=Fact.NOT_CHARGED, reason=NOT_CHARGED)
    text = f"{NOT_CHARGED.text} It had answered: {said.text.rstrip('.')} ({said.code})."
    return News(fact=Fact.NOT_CHARGED, reason=replace(NOT_CHARGED, text=text))


def rule(operation: Operation, ruling: Ruling) -> News | None:
    """What a person's word means. That it happened, the gateway must confirm: then it is asked, and told where."""
    assert operation.request is None
    return None if ruling.happened else ruled(ruling, asked=None, fact=Fact.RULED_NOT_CHARGED)


def judge(
    operation: Operation, verdict: Definite | Unknown, *, rules: Rules, now: datetime
) -> News:
    """What a verdict means for the payment. An approval of another amount or currency than ours contradicts."""
    command = _command(operation)
    match verdict:
        case Approved():
            return _approval(operation, verdict, rules=rules, now=now)
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
        case Unknown() | NotYet():
            return News(fact=Fact.UNDECIDED, reason=verdict.reason)
        case _:
            assert_never(verdict)


def _approval(operation: Operation, verdict: Approved, *, rules: Rules, now: datetime) -> News:
    command = _command(operation)
    asked = command.money
    told_minor = asked.amount_minor if verdict.amount_minor is None else verdict.amount_minor
    told_currency = verdict.currency or asked.currency
    captured = verdict.captured
    # Foreign minor units would be another amount: the reason says what the gateway told.
    moved_minor = told_minor if told_currency == asked.currency else 0
    fact, reason = _weighed(command, verdict, told_minor=told_minor, told_currency=told_currency)
    ends = now + timedelta(days=rules.authorisation_days)
    return News(
        fact=fact,
        reason=reason,
        authorised_minor=moved_minor,
        captured_minor=moved_minor if captured else 0,
        transaction_id=verdict.transaction_id,
        method=_method(command, verdict.method),
        expires_at=ends if fact is Fact.RESERVED else None,
        follow_up=_undo(operation, rules=rules, now=now) if fact is Fact.VERIFIED else None,
    )


def _weighed(
    command: InitiatePayment, verdict: Approved, *, told_minor: int, told_currency: str
) -> tuple[Fact, Reason]:
    asked = command.money
    if verdict.others:
        text = (
            f"The gateway approved it more than once, as {verdict.transaction_id} and as"
            f" {', '.join(verdict.others)}. A person must decide."
        )
        return Fact.CONTRADICTED, ours("charged_twice", text, advice=Advice.REVIEW)
    if told_minor != asked.amount_minor or told_currency != asked.currency:
        text = (
            f"The gateway approved {told_minor} minor units of {told_currency}, we asked for"
            f" {asked.amount_minor} of {asked.currency}. A person must decide."
        )
        return Fact.CONTRADICTED, ours("amount_differs", text, advice=Advice.REVIEW)
    if verdict.captured and command.mode is not Mode.SALE:
        return Fact.CONTRADICTED, _CAPTURED_UNASKED
    if command.mode is Mode.VERIFY:
        return Fact.VERIFIED, verdict.reason
    return (Fact.TAKEN if verdict.captured else Fact.RESERVED), verdict.reason


def _undo(operation: Operation, *, rules: Rules, now: datetime) -> VoidPayment:
    """A means was verified by reserving: the hold is let go by a command of its own."""
    number = invoice(operation, rules)
    return VoidPayment(
        payment_id=operation.payment.payment_id,
        void_id=f"verified-{number}",
        issued_at=now,
        reason="the means of payment was verified",
    )


def _method(command: InitiatePayment, seen: Method) -> Method:
    """The means that the gateway saw; which kind they were, its lists do not say and the command does."""
    if seen.kind or seen == Method():
        return seen
    return replace(seen, kind=method_kind(command.means))
