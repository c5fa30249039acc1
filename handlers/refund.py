"""The verb of a refund: never above what was captured, minus what is refunded, open, undecided or deferred.

The look comes first, for the gateway has two ways to give money back and refuses the wrong one: before settlement it
can only void the whole, after it only refund. So a full refund of an unsettled charge is a void, a partial one waits
for the settlement, and what the gateway refuses as "not settled" is a deferral, never the customer's failure.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import assert_never

from handlers.decisions import (
    REFUND_DIFFERS,
    Again,
    Keep,
    Pause,
    Proof,
    Said,
    account_of,
    denied,
    invoice,
    look_at_charge,
    not_yours,
    origin_of,
    ours,
    question_about,
    ruled,
    unclear,
    unseen,
    void_of,
)
from handlers.domain.commands import RefundPayment, Ruling
from handlers.domain.facts import Facts, Needs, Sight, Standing
from handlers.domain.intents import About, Question, Refund, Void
from handlers.domain.money import Money
from handlers.domain.payments import News
from handlers.domain.recovery import Inquiry, Stage
from handlers.domain.states import Fact, PaymentState, RequestFact
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
from handlers.ports import Operation, Recorded, Rules

_UNANSWERED = ours(
    "unanswered", "The refund may have been sent; the gateway is asked.", advice=Advice.UNDECIDED
)
_ABSENT = "the refund is not in the gateway's list"
_REFUNDED = ours("refunded", "Refunded.", advice=Advice.UNDECIDED)
_REFUNDABLE = frozenset(
    {PaymentState.CAPTURED, PaymentState.SETTLED, PaymentState.PARTIALLY_REFUNDED}
)
_MOST_ATTEMPTS = 4  # at a settled charge that the gateway calls unsettled: then a person looks


def _command(operation: Operation) -> RefundPayment:
    assert isinstance(operation.command, RefundPayment), "this verb's own command"
    return operation.command


def _money(operation: Operation) -> Money:
    """What it gives back: what was asked for, or of that what is left. Once it is reserved it stays the same."""
    command, request = _command(operation), operation.request
    if not command.up_to:
        return command.money
    own = request.reserved_minor if request else 0
    minor = own or max(0, min(command.money.amount_minor, _free_minor(operation)))
    return Money(minor, command.money.currency)


def _free_minor(operation: Operation) -> int:
    """What this refund may take: what no other one has taken or reserved."""
    own = operation.request.reserved_minor if operation.request else 0
    return operation.payment.refundable_minor + own


def needs(operation: Operation, *, rules: Rules) -> Needs:
    """How the charge stands, unless what we know forbids the refund."""
    return Needs() if _forbidden(operation) else look_at_charge(operation, rules)


def _forbidden(operation: Operation) -> Said | None:
    payment, money = operation.payment, _money(operation)
    strange = not_yours(operation, _command(operation))
    if strange is not None:
        return strange
    if money.currency != payment.money.currency:
        return denied(
            "other_currency",
            text=f"The payment is in {payment.money.currency}, the refund in {money.currency}. Nothing was given back:"
            " publish a new refund in the payment's currency.",
        )
    if payment.state is PaymentState.CONFLICTED:
        return denied(
            "in_review",
            text="The payment is conflicted: a person must decide about it first (`review list`).",
            advice=Advice.REVIEW,
        )
    if payment.state is PaymentState.REFUNDED:
        return denied(
            "refunded_already",
            text="The payment is refunded in full already. Give more back another way.",
        )
    if payment.state not in _REFUNDABLE:
        return denied(
            "nothing_captured",
            text=f"The payment is {payment.state}: nothing is captured to give back. Look at its last status.",
        )
    if not 1 <= money.amount_minor <= _free_minor(operation):
        return denied(
            "above_captured",
            text=f"{money.amount_minor} minor units are more than the {_free_minor(operation)} that are"
            f" left: {payment.captured_minor} captured, {payment.refunded_minor} refunded,"
            f" {payment.refunding_minor} in refunds under way."
            " Nothing was given back: publish a new refund of what is left.",
        )
    return None


def plan(
    operation: Operation, facts: Facts, *, rules: Rules, now: datetime
) -> Refund | Void | Said | Pause:
    """Void, refund, wait for the settlement, or why not."""
    forbidden = _forbidden(operation)
    if forbidden is not None:
        return forbidden
    sight = facts.sight
    if sight is None:
        return unseen(operation, facts.unseen)
    match sight.standing:
        case Standing.TAKEN:
            return _unsettled(operation, sight, rules=rules, now=now)
        case Standing.SETTLED:
            return _settled(operation, sight, rules=rules, now=now)
        case Standing.VOIDED:
            return _voided(operation)
        case Standing.RETURNED:
            text = "The bank transfer came back: there is nothing to refund. Ask for a new payment if the order stands."
            return denied("returned", text=text, fact=Fact.RETURNED)
        case Standing.CHARGED_BACK:
            text = "The bank took the money back: a refund would give it twice. Look at the dispute with the bank."
            return denied("charged_back", text=text, fact=Fact.CHARGED_BACK)
        case Standing.HELD | Standing.UNCLEAR:
            return unclear(sight.status)
        case Standing.RESERVED | Standing.EXPIRED | Standing.DECLINED:
            text = f"The transaction is {sight.status} at the gateway: nothing is captured. Compare it there."
            return denied("nothing_captured", text=text, advice=Advice.REVIEW)
        case never:
            assert_never(never)


def _is_whole(operation: Operation) -> bool:
    """True where nothing of the charge is left after this refund, and nothing else was given back of it."""
    payment = operation.payment
    return _money(operation).amount_minor == payment.captured_minor


def _unsettled(operation: Operation, sight: Sight, *, rules: Rules, now: datetime) -> Void | Said:
    if _is_whole(operation):
        is_ours = sight.money == _money(operation)
        return void_of(operation, sight, rules=rules) if is_ours else _differs(operation, sight)
    due = sight.settles_at or now + timedelta(seconds=rules.settlement_wait_s)
    due = max(due, now + timedelta(seconds=rules.unsent_wait_s))
    text = (
        f"The charge settles first; the refund goes out after {due.isoformat(timespec='seconds')}."
    )
    return Said(
        _deferred(
            operation, due=due, reason=ours("waits_for_settlement", text, advice=Advice.UNDECIDED)
        )
    )


def _differs(operation: Operation, sight: Sight) -> Said:
    """A void gives all of it back, and all of it is not what we know of."""
    what = f"{sight.money.amount_minor}" if sight.money else "an unreadable amount"
    return denied(
        "amount_differs",
        text=f"The gateway shows {what} minor units captured, we know of {operation.payment.captured_minor}."
        " Nothing was done; a person must decide about the payment (`review list`).",
        advice=Advice.REVIEW,
        fact=Fact.CONTRADICTED,
    )


def _deferred(operation: Operation, *, due: datetime, reason: Reason) -> News:
    return News(
        asked=RequestFact.DEFERRED,
        reason=reason,
        reserve_minor=_money(operation).amount_minor,
        due_at=due,
    )


def _settled(operation: Operation, sight: Sight, *, rules: Rules, now: datetime) -> Refund | Said:
    settled_at = sight.settled_at or sight.submitted_at
    if settled_at is not None and now > settled_at + timedelta(days=rules.refund_days):
        return denied(
            "too_old_to_refund",
            text=f"The charge settled at {settled_at.date().isoformat()}; the gateway refunds for"
            f" {rules.refund_days} days only. Give the money back another way.",
        )
    method = operation.payment.method if operation.payment.method.last4 else sight.method
    if sight.method.is_bank and settled_at is not None:
        free_at = settled_at + timedelta(days=rules.bank_return_days)
        if now < free_at:
            text = f"The bank transfer may come back until {free_at.date().isoformat()}; the refund waits for that."
            reason = ours("waits_for_return_window", text, advice=Advice.UNDECIDED)
            return Said(_deferred(operation, due=free_at, reason=reason))
    return _refund(operation, sight, rules=rules, method=replace(method, brand=sight.method.brand))


def _refund(operation: Operation, sight: Sight, *, rules: Rules, method: Method) -> Refund | Said:
    account = account_of(operation, rules)
    assert account is not None, "it was looked at in this account"
    if not method.last4:
        return denied(
            "no_last_digits",
            text="The gateway does not show the last digits of the card, which a refund must name.",
            advice=Advice.REVIEW,
        )
    number = invoice(operation, rules)
    return Refund(
        operation_id=operation.operation_id,
        attempt=operation.attempt,
        invoice_number=number,
        reference=number,
        money=_money(operation),
        merchant_account=account,
        transaction_id=sight.transaction_id,
        method=method,
    )


def _voided(operation: Operation) -> Said:
    """The charge is void: the whole of it went back, whoever did that."""
    if _is_whole(operation):
        return Said(_given_back(operation))
    text = (
        "The charge is void at the gateway: nothing was taken. Look at the payment's last status."
    )
    return denied("voided", text=text, fact=Fact.VOIDED)


def question(operation: Operation, inquiry: Inquiry, *, rules: Rules) -> Question | None:
    """Whether the charge is void, or whether the refund is in the gateway's lists under its own invoice number."""
    if operation.tried is About.VOID:
        return question_about(operation, inquiry, rules=rules, about=About.VOID)
    account = inquiry.merchant_account or account_of(operation, rules)
    if account is None:
        return None
    ruled_id = operation.ruling.transaction_id if operation.ruling else None
    was_sent = operation.tried is About.REFUND and operation.stage is not Stage.ADMITTED
    return Question(
        merchant_account=account,
        invoice_number=(inquiry.invoice_number if was_sent else None) or invoice(operation, rules),
        money=_money(operation),
        mode=origin_of(operation).mode,
        since=inquiry.since,
        transaction_id=inquiry.transaction_id or ruled_id or None,
        about=About.REFUND,
    )


def silence(operation: Operation) -> News:
    """It may have been sent; its amount stays reserved."""
    return News(
        asked=RequestFact.UNDECIDED,
        reason=_UNANSWERED,
        reserve_minor=_money(operation).amount_minor,
    )


def absence(operation: Operation, proof: Proof) -> News | Again | Keep:
    """A void that is not there may be repeated. A refund may not: the list alone does not prove that it is absent.

    What was told of it in lost time decides first. A void that the settlement has overtaken, and that did not go on as
    a refund of its own, goes on under another command, as it would have done without that loss.
    """
    if proof.told is Recorded.ENDED:
        return Keep(f"{_ABSENT}, but its end was told; a person must say whether it happened")
    if proof.told is Recorded.SOMETHING and proof.overtaken:
        return Keep(f"{_ABSENT}, but it may have left; a person must say whether it happened")
    is_first = _command(operation).continuation == 1
    if is_first and (proof.overtaken or proof.told is Recorded.WENT_ON):
        return _continued(operation, now=proof.at)
    if operation.tried is About.VOID:
        return Again()
    return Keep(f"{_ABSENT}; a person must say whether it happened")


def rule(operation: Operation, ruling: Ruling) -> News | None:
    """A person's word about an undecided refund. That it happened, the gateway must confirm where it is told where."""
    if not ruling.happened:
        return ruled(ruling, asked=RequestFact.RULED_DENIED, fact=None)
    if ruling.transaction_id or operation.tried is About.VOID:
        return None
    news = ruled(ruling, asked=RequestFact.RULED_DONE, fact=_fact(operation))
    return replace(news, refunded_minor=_money(operation).amount_minor)


def judge(
    operation: Operation, verdict: Definite | Unknown, *, rules: Rules, now: datetime
) -> News:
    """What a verdict means, for a refund and for the void that a full one is before settlement."""
    match verdict:
        case Approved():
            return _approved(operation, verdict)
        case NotYet():
            return _not_yet(operation, rules=rules, now=now)
        case Declined() if operation.tried is About.VOID:
            due = now + timedelta(seconds=rules.settlement_wait_s)
            return _deferred(operation, due=due, reason=verdict.reason)
        case Declined():
            return News(asked=RequestFact.DENIED, reason=verdict.reason)
        case Held() | Unknown():
            return News(
                asked=RequestFact.UNDECIDED,
                reason=verdict.reason,
                reserve_minor=_money(operation).amount_minor,
            )
        case _:
            assert_never(verdict)


def _approved(operation: Operation, verdict: Approved) -> News:
    asked = _money(operation)
    if operation.tried is About.VOID:
        return _given_back(operation)
    minor = asked.amount_minor if verdict.amount_minor is None else verdict.amount_minor
    currency = verdict.currency or asked.currency
    if (minor, currency) != (asked.amount_minor, asked.currency):
        text = (
            f"The gateway refunded {minor} minor units of {currency}, we asked for"
            f" {asked.amount_minor} of {asked.currency}. A person must decide."
        )
        return News(
            fact=Fact.CONTRADICTED,
            asked=RequestFact.CONTRADICTED,
            refunded_minor=minor if currency == asked.currency else 0,
            reason=Reason(REFUND_DIFFERS, text, Advice.REVIEW),
            request_transaction_id=verdict.transaction_id,
        )
    return replace(_given_back(operation), request_transaction_id=verdict.transaction_id)


def _given_back(operation: Operation) -> News:
    return News(
        fact=_fact(operation),
        asked=RequestFact.DONE,
        reason=_REFUNDED,
        amount_minor=_money(operation).amount_minor,
        refunded_minor=_money(operation).amount_minor,
    )


def _fact(operation: Operation) -> Fact:
    payment = operation.payment
    after = payment.refunded_minor + _money(operation).amount_minor
    return Fact.REFUNDED if after >= payment.captured_minor else Fact.PARTLY_REFUNDED


def _not_yet(operation: Operation, *, rules: Rules, now: datetime) -> News:
    if operation.tried is About.VOID and _command(operation).continuation == 1:
        return _continued(operation, now=now)
    if operation.attempt >= _MOST_ATTEMPTS:
        due = now + timedelta(days=1)
        text = (
            "The gateway says again and again that this charge does not qualify for a refund. Look at it in the"
            " merchant interface; then decide (`review decide`), and give the money back another way if need be."
        )
        reason = ours("not_refundable", text, advice=Advice.REVIEW)
        return _deferred(operation, due=due, reason=reason)
    due = now + timedelta(seconds=rules.settlement_wait_s)
    text = f"The charge settles first; the refund is tried again after {due.isoformat(timespec='seconds')}."
    return _deferred(
        operation, due=due, reason=ours("waits_for_settlement", text, advice=Advice.UNDECIDED)
    )


def _continued(operation: Operation, *, now: datetime) -> News:
    """Another command goes on with it."""
    command = _command(operation)
    text = "The charge settled before the void arrived; the refund goes on."
    return News(
        asked=RequestFact.CONTINUED,
        reason=ours("settled_meanwhile", text, advice=Advice.UNDECIDED),
        follow_up=replace(command, continuation=command.continuation + 1, issued_at=now),
    )
