"""The verb of a void: undo an authorisation, or a capture that is not settled, as a whole."""

from datetime import datetime
from typing import assert_never

from handlers.decisions import (
    Again,
    Pause,
    Proof,
    Said,
    denied,
    done,
    invoice,
    look_at_charge,
    not_yours,
    ours,
    question_about,
    ruled,
    unclear,
    unseen,
    void_of,
)
from handlers.domain.commands import RefundPayment, Ruling, VoidPayment
from handlers.domain.facts import Facts, Needs, Sight, Standing
from handlers.domain.intents import About, Question, Void
from handlers.domain.money import Money
from handlers.domain.payments import News
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
    "unanswered", "The void may have been sent; the gateway is asked.", advice=Advice.UNDECIDED
)
_VOIDED = ours("voided", "Voided: no money moves.", advice=Advice.UNDECIDED)
_TOO_LATE = (
    "The charge is settled, which nobody can void. Ask for a refund instead (refund_request)."
)
_SETTLED_UNKNOWN = (
    "The charge is settled at the gateway, and we never captured it. Ask for a verification of the payment"
    " (payment_verification_request), then for a refund."
)
_PAST = frozenset(
    {
        PaymentState.SETTLED,
        PaymentState.PARTIALLY_REFUNDED,
        PaymentState.REFUNDED,
        PaymentState.RETURNED,
        PaymentState.CHARGED_BACK,
    }
)


def _command(operation: Operation) -> VoidPayment:
    assert isinstance(operation.command, VoidPayment), "this verb's own command"
    return operation.command


def needs(operation: Operation, *, rules: Rules) -> Needs:
    """How the charge stands, unless what we know decides."""
    return Needs() if _known(operation) else look_at_charge(operation, rules)


def _known(operation: Operation) -> Said | None:
    payment = operation.payment
    strange = not_yours(operation, _command(operation))
    if strange is not None:
        return strange
    if payment.state is PaymentState.VOIDED:
        return done("voided_already", text="The payment was void already.")
    if payment.state in NOTHING_TAKEN:
        return done("nothing_to_void", text=f"The payment is {payment.state}: nothing was taken.")
    if payment.state in _PAST:
        return denied("settled", text=_TOO_LATE)
    if payment.refunding_minor:
        return denied(
            "refund_under_way",
            text="A refund is under way; a void would give it twice. Ask for a refund of the rest instead.",
        )
    return None


def plan(operation: Operation, facts: Facts, *, rules: Rules, now: datetime) -> Void | Said | Pause:
    """Void it, or why not."""
    assert now.tzinfo is not None
    known = _known(operation)
    if known is not None:
        return known
    if facts.sight is None:
        return unseen(operation, facts.unseen)
    return _standing(operation, facts.sight, rules=rules)


def _standing(operation: Operation, sight: Sight, *, rules: Rules) -> Void | Said | Pause:
    match sight.standing:
        case Standing.RESERVED | Standing.TAKEN | Standing.HELD:
            return void_of(operation, sight, rules=rules)
        case Standing.VOIDED:
            text = "The charge was void at the gateway already."
            return done("voided_already", text=text, fact=Fact.VOIDED)
        case Standing.EXPIRED:
            text = "The authorisation had expired: nothing was taken."
            return done("nothing_to_void", text=text, fact=Fact.EXPIRED)
        case Standing.DECLINED:
            text = "The charge is declined at the gateway: nothing was taken."
            return done("nothing_to_void", text=text)
        case Standing.SETTLED:
            return denied("settled", text=_TOO_LATE, fact=Fact.SETTLED)
        case Standing.RETURNED:
            return denied("settled", text=_TOO_LATE, fact=Fact.RETURNED)
        case Standing.CHARGED_BACK:
            return denied("settled", text=_TOO_LATE, fact=Fact.CHARGED_BACK)
        case Standing.UNCLEAR:
            return unclear(sight.status)
        case never:
            assert_never(never)


def question(operation: Operation, inquiry: Inquiry, *, rules: Rules) -> Question | None:
    """Whether the charge is void."""
    return question_about(operation, inquiry, rules=rules, about=About.VOID)


def silence(operation: Operation) -> News:
    """It may be void."""
    assert operation.request is not None
    return News(asked=RequestFact.UNDECIDED, reason=_UNANSWERED)


def absence(operation: Operation, proof: Proof) -> Again:
    """It is not void, and a second void does nothing: try again."""
    assert operation.request is not None
    del proof
    return Again()


def rule(operation: Operation, ruling: Ruling) -> News | None:
    """A person's word about an undecided void. That it happened, the gateway must say."""
    assert operation.request is not None
    if ruling.happened:
        return None
    return ruled(ruling, asked=RequestFact.RULED_DENIED, fact=None)


def judge(
    operation: Operation, verdict: Definite | Unknown, *, rules: Rules, now: datetime
) -> News:
    """What a verdict means. A void that the settlement overtook becomes a refund, asked for by a new command."""
    strange = not_yours(operation, _command(operation))
    if strange is not None:  # found after a loss of time, in which it was denied
        return strange.news
    match verdict:
        case Approved():
            return News(fact=Fact.VOIDED, asked=RequestFact.DONE, reason=_VOIDED)
        case NotYet() if operation.payment.captured_minor:
            return _overtaken(operation, rules=rules, now=now)
        case NotYet():
            return denied("settled_unknown", text=_SETTLED_UNKNOWN, advice=Advice.REVIEW).news
        case Declined():
            return News(asked=RequestFact.DENIED, reason=verdict.reason)
        case Held() | Unknown():
            return News(asked=RequestFact.UNDECIDED, reason=verdict.reason)
        case _:
            assert_never(verdict)


def _overtaken(operation: Operation, *, rules: Rules, now: datetime) -> News:
    payment = operation.payment
    refund_id = f"void-{invoice(operation, rules)}"
    refund = RefundPayment(
        payment_id=payment.payment_id,
        refund_id=refund_id,
        money=Money(payment.captured_minor, payment.money.currency),
        issued_at=now,
        reason=_command(operation).reason,
        up_to=True,
    )
    text = f"The charge settled before the void arrived. Refund {refund_id} gives the money back instead."
    return News(
        asked=RequestFact.DENIED,
        reason=ours("settled_meanwhile", text, advice=Advice.UNDECIDED),
        follow_up=refund,
    )
