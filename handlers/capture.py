"""The verb of a capture: once per authorisation, never above it. The charge's own transaction says how it stands."""

from datetime import datetime
from typing import assert_never

from handlers.decisions import (
    Again,
    Pause,
    Proof,
    Said,
    account_of,
    denied,
    invoice,
    look_at_charge,
    not_yours,
    ours,
    question_about,
    ruled,
    unclear,
    unseen,
)
from handlers.domain.commands import CapturePayment, Ruling
from handlers.domain.facts import Facts, Needs, Sight, Standing
from handlers.domain.intents import About, Capture, Question
from handlers.domain.money import Money
from handlers.domain.payments import News, Payment
from handlers.domain.recovery import Inquiry
from handlers.domain.states import NOTHING_TAKEN, Fact, PaymentState, RequestFact
from handlers.domain.verdicts import (
    Advice,
    Approved,
    Declined,
    Definite,
    Held,
    NotYet,
    Unknown,
)
from handlers.ports import Operation, Rules

_UNANSWERED = ours(
    "unanswered", "The capture may have been sent; the gateway is asked.", advice=Advice.UNDECIDED
)
_CAPTURED = frozenset(
    {
        PaymentState.CAPTURED,
        PaymentState.SETTLED,
        PaymentState.PARTIALLY_REFUNDED,
        PaymentState.REFUNDED,
        PaymentState.RETURNED,
        PaymentState.CHARGED_BACK,
    }
)


def _command(operation: Operation) -> CapturePayment:
    assert isinstance(operation.command, CapturePayment), "this verb's own command"
    return operation.command


def _amount(operation: Operation) -> int:
    asked = _command(operation).amount_minor
    return operation.payment.authorised_minor if asked is None else asked


def needs(operation: Operation, *, rules: Rules) -> Needs:
    """How the authorisation stands, unless what we know forbids the capture."""
    return Needs() if _forbidden(operation) else look_at_charge(operation, rules)


def _forbidden(operation: Operation) -> Said | None:
    payment, currency = operation.payment, _command(operation).currency
    strange = not_yours(operation, _command(operation))
    if strange is not None:
        return strange
    if currency is not None and currency != payment.money.currency:
        return denied(
            "other_currency",
            text=f"The payment is in {payment.money.currency}, the capture in {currency}. Nothing was captured:"
            " publish a new capture in the payment's currency.",
        )
    if payment.state in _CAPTURED:
        return _captured_already(payment)
    if payment.state in NOTHING_TAKEN or payment.state is PaymentState.VERIFIED:
        return denied(
            "nothing_authorised",
            text=f"The payment is {payment.state}: there is no authorisation to capture."
            " Start a new payment.",
        )
    if payment.state is not PaymentState.AUTHORIZED:
        return denied(
            "in_review",
            text=f"The payment is {payment.state}: a person must decide about it first.",
            advice=Advice.REVIEW,
        )
    free = payment.authorised_minor - payment.captured_minor - payment.capturing_minor
    own = operation.request.reserved_minor if operation.request else 0
    if _amount(operation) > free + own:
        return denied(
            "above_authorised",
            text=f"{_amount(operation)} minor units are more than the {free + own} that are authorised."
            " Nothing was captured: ask for less, or start a new payment for the rest.",
        )
    return None


def _captured_already(payment: Payment) -> Said:
    return denied(
        "captured_already",
        text=f"{payment.captured_minor} of {payment.authorised_minor} minor units are captured already:"
        " the gateway takes one capture for an authorisation. Start a new payment for the rest.",
    )


def plan(
    operation: Operation, facts: Facts, *, rules: Rules, now: datetime
) -> Capture | Said | Pause:
    """Capture it, or why not."""
    assert now.tzinfo is not None
    forbidden = _forbidden(operation)
    if forbidden is not None:
        return forbidden
    if facts.sight is None:
        return unseen(operation, facts.unseen)
    return _standing(operation, facts.sight, rules=rules)


def _standing(operation: Operation, sight: Sight, *, rules: Rules) -> Capture | Said | Pause:
    match sight.standing:
        case Standing.RESERVED:
            return _capture(operation, sight, rules=rules)
        case Standing.TAKEN | Standing.SETTLED:
            return Said(_captured(operation, sight.money))
        case Standing.VOIDED:
            text = "The authorisation is void at the gateway. Nothing was captured; start a new payment."
            return denied("voided", text=text, fact=Fact.VOIDED)
        case Standing.EXPIRED:
            text = "The authorisation expired. Nothing was captured; start a new payment."
            return denied("expired", text=text, fact=Fact.EXPIRED)
        case Standing.HELD | Standing.UNCLEAR:
            return unclear(sight.status)
        case Standing.DECLINED | Standing.RETURNED | Standing.CHARGED_BACK:
            text = f"The transaction is {sight.status} at the gateway. Nothing was captured; start a new payment."
            return denied("nothing_authorised", text=text, fact=None)
        case never:
            assert_never(never)


def _capture(operation: Operation, sight: Sight, *, rules: Rules) -> Capture | Said:
    account = account_of(operation, rules)
    assert account is not None, "it was looked at in this account"
    number = invoice(operation, rules)
    return Capture(
        operation_id=operation.operation_id,
        attempt=operation.attempt,
        invoice_number=number,
        reference=number,
        money=Money(_amount(operation), operation.payment.money.currency),
        merchant_account=account,
        transaction_id=sight.transaction_id,
    )


def question(operation: Operation, inquiry: Inquiry, *, rules: Rules) -> Question | None:
    """Whether the authorisation was captured."""
    return question_about(operation, inquiry, rules=rules, about=About.CAPTURE)


def silence(operation: Operation) -> News:
    """It may have been captured."""
    assert operation.request is not None
    return News(asked=RequestFact.UNDECIDED, reason=_UNANSWERED)


def absence(operation: Operation, proof: Proof) -> Again:
    """It was not captured, and a second capture of one authorisation is impossible: try again."""
    assert operation.request is not None
    del proof
    return Again()


def rule(operation: Operation, ruling: Ruling) -> News | None:
    """A person's word about an undecided capture. That it happened, the gateway must say."""
    assert operation.request is not None
    if ruling.happened:
        return None
    return ruled(ruling, asked=RequestFact.RULED_DENIED, fact=None)


def judge(
    operation: Operation, verdict: Definite | Unknown, *, rules: Rules, now: datetime
) -> News:
    """What a verdict means. The amount that is captured must be the one that was asked for."""
    del rules, now  # what is captured does not depend on them
    strange = not_yours(operation, _command(operation))
    if strange is not None:  # found after a loss of time, in which it was denied
        return strange.news
    match verdict:
        case Approved():
            currency = verdict.currency or operation.payment.money.currency
            minor = verdict.amount_minor
            told = Money(_amount(operation) if minor is None else minor, currency)
            return _captured(operation, told)
        case Declined():
            return News(asked=RequestFact.DENIED, reason=verdict.reason)
        case Held() | NotYet() | Unknown():
            return News(asked=RequestFact.UNDECIDED, reason=verdict.reason)
        case _:
            assert_never(verdict)


def _captured(operation: Operation, told: Money | None) -> News:
    """The gateway says that so much is captured."""
    payment = operation.payment
    asked = Money(_amount(operation), payment.money.currency)
    if told == asked:
        return News(
            fact=Fact.TAKEN,
            asked=RequestFact.DONE,
            reason=ours("captured", "Captured.", advice=Advice.UNDECIDED),
            captured_minor=asked.amount_minor,
            amount_minor=asked.amount_minor,
        )
    if payment.captured_minor and told == Money(payment.captured_minor, payment.money.currency):
        # Known before, and not what this one asked for: another capture took it, so this one took nothing.
        return _captured_already(payment).news
    what = f"{told.amount_minor} minor units of {told.currency}" if told else "an unreadable amount"
    text = f"The gateway captured {what}, we asked for {asked.amount_minor}. A person must decide."
    same = told is not None and told.currency == asked.currency
    return News(
        fact=Fact.CONTRADICTED,
        asked=RequestFact.CONTRADICTED,
        reason=ours("amount_differs", text, advice=Advice.REVIEW),
        captured_minor=told.amount_minor if told is not None and same else 0,
    )
