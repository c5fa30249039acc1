"""The verb of a verification: ask the gateway how the charge stands, answer with a snapshot. Knowledge only improves.

It is also the way in which a person's ruling about a conflicted payment comes in.
"""

from dataclasses import replace
from datetime import datetime
from typing import Final

from handlers.decisions import (
    REFUND_DIFFERS,
    Again,
    Proof,
    Said,
    denied,
    look_at_charge,
    not_yours,
    ours,
    ruled,
)
from handlers.domain.commands import Ruling, VerifyPayment, VoidPayment
from handlers.domain.facts import Facts, Needs, Sight, Standing
from handlers.domain.payments import News, Payment
from handlers.domain.recovery import SETTLED_SINCE, Inquiry
from handlers.domain.states import Fact, PaymentState, RequestFact
from handlers.domain.verdicts import Advice, Definite, Reason, Unknown
from handlers.ports import LateCharge, Operation, Rules

_VERIFIED: Final = ours("verified", "The gateway was asked.", advice=Advice.UNDECIDED)
_NOT_SETTLED: Final = ours(
    "not_settled",
    "The bank refused the charge when it was to be settled: no money came. Start a new payment.",
    advice=Advice.SOFT,
)
FACTS: Final = {  # what a standing says of a payment; None: nothing by itself
    Standing.RESERVED: Fact.RESERVED,
    Standing.TAKEN: Fact.TAKEN,
    Standing.SETTLED: Fact.SETTLED,
    Standing.HELD: None,
    Standing.VOIDED: Fact.VOIDED,
    Standing.EXPIRED: Fact.EXPIRED,
    Standing.DECLINED: None,
    Standing.RETURNED: Fact.RETURNED,
    Standing.CHARGED_BACK: Fact.CHARGED_BACK,
    Standing.UNCLEAR: None,
}
_MOVED: Final = frozenset({Standing.TAKEN, Standing.SETTLED})
_LIVE: Final = _MOVED | {Standing.RESERVED, Standing.HELD}
_TOLD_NO: Final = frozenset({PaymentState.DECLINED, PaymentState.REFUSED, PaymentState.FAILED})


def _command(operation: Operation) -> VerifyPayment:
    assert isinstance(operation.command, VerifyPayment), "this verb's own command"
    return operation.command


def needs(operation: Operation, *, rules: Rules) -> Needs:
    """How the charge stands. What was never opened, no gateway knows."""
    origin = operation.origin
    known = operation.payment.transaction_id or (origin is not None and origin.invoice_number)
    command = _command(operation)
    if not known or command.ruling is not None or command.settlement is not None:
        return Needs()
    looked = look_at_charge(operation, rules)
    if command.other and looked.look is not None:
        return Needs(look=replace(looked.look, transaction_id=command.other))
    return looked


def plan(operation: Operation, facts: Facts, *, rules: Rules, now: datetime) -> Said:
    """What the look says."""
    command = _command(operation)
    strange = not_yours(operation, command)
    if strange is not None:
        return strange
    if command.ruling is not None:
        return _ruled(operation, command.ruling)
    sight = _settled(command) or facts.sight
    if sight is None:
        text = facts.unseen or "Nothing of this payment was ever sent to the gateway."
        return Said(_news(ours("not_seen", text, advice=Advice.UNDECIDED)))
    if _is_another(operation.payment, sight):
        return Said(_charged_twice(operation.payment, sight))
    news = _seen(operation.payment, sight)
    let_go = _let_go(operation, sight, rules=rules, now=now)
    return Said(
        replace(news, follow_up=let_go or _look_again(operation, sight, news=news, now=now))
    )


def _is_another(payment: Payment, sight: Sight) -> bool:
    """A second charge lives under the payment's invoice number, beside the one that we know."""
    known = payment.transaction_id
    is_other = known is not None and known != sight.transaction_id
    return is_other and payment.state not in _TOLD_NO and sight.standing in _LIVE


def _charged_twice(payment: Payment, sight: Sight) -> News:
    text = (
        f"The gateway has {sight.transaction_id} ({sight.status}) beside {payment.transaction_id}, both under this"
        " payment's invoice number. A person must decide."
    )
    return News(
        fact=Fact.CONTRADICTED,
        asked=RequestFact.DONE,
        reason=ours("charged_twice", text, advice=Advice.REVIEW),
    )


def _settled(command: VerifyPayment) -> Sight | None:
    """What the finder saw in a settled batch."""
    seen = command.settlement
    if seen is None:
        return None
    return Sight(seen.transaction_id, Standing.SETTLED, seen.money, status="settledSuccessfully")


def _let_go(
    operation: Operation, sight: Sight, *, rules: Rules, now: datetime
) -> VoidPayment | None:
    """The customer was told no, and the card was billed all the same: by rule the charge is voided at once.

    What is settled nobody can void: a person decides whether it is refunded, or the order is delivered after all.
    """
    billed = sight.standing in {Standing.RESERVED, Standing.TAKEN}
    told_no = operation.payment.state in _TOLD_NO
    if rules.late_charge is not LateCharge.VOID or not (billed and told_no):
        return None
    return VoidPayment(
        payment_id=operation.payment.payment_id,
        void_id=f"late-{sight.transaction_id}",
        issued_at=now,
        reason="charged after the payment had been told as failed",
    )


def _look_again(
    operation: Operation, sight: Sight, *, news: News, now: datetime
) -> VerifyPayment | None:
    """Captured without us, and settled since: one piece of news at a time, so that it is settled is the next one."""
    if news.fact is not Fact.TAKEN or sight.standing is not Standing.SETTLED:
        return None
    return VerifyPayment(
        payment_id=operation.payment.payment_id,
        verification_id=f"{SETTLED_SINCE}{sight.transaction_id}",
        issued_at=now,
        reason="captured without us, and settled since",
    )


def _news(reason: Reason) -> News:
    return News(asked=RequestFact.DONE, reason=reason)


def _seen(payment: Payment, sight: Sight) -> News:
    fact = FACTS[sight.standing]
    told = sight.money
    if sight.standing is Standing.DECLINED and payment.state is PaymentState.CAPTURED:
        return News(fact=Fact.VOIDED, asked=RequestFact.DONE, reason=_NOT_SETTLED)
    known_minor = payment.captured_minor or payment.authorised_minor
    if sight.standing in _MOVED and (
        told is None
        or told.currency != payment.money.currency
        or (payment.captured_minor and told.amount_minor != payment.captured_minor)
        or told.amount_minor > max(payment.authorised_minor, payment.money.amount_minor)
    ):
        what = f"{told.amount_minor} of {told.currency}" if told else "an unreadable amount"
        text = (
            f"The gateway shows {what}, we know of {known_minor} minor units. A person must decide."
        )
        return News(
            fact=Fact.CONTRADICTED,
            asked=RequestFact.DONE,
            reason=ours("amount_differs", text, advice=Advice.REVIEW),
            transaction_id=sight.transaction_id,
        )
    if fact is Fact.SETTLED and payment.state is PaymentState.AUTHORIZED:
        fact = Fact.TAKEN  # captured without us: that comes first, and is told
    moved = told.amount_minor if told is not None else 0
    return News(
        fact=fact,
        asked=RequestFact.DONE,
        reason=_VERIFIED,
        authorised_minor=moved if fact is Fact.RESERVED else 0,
        captured_minor=moved if sight.standing in _MOVED else 0,
        transaction_id=sight.transaction_id,
        expires_at=payment.expires_at,
    )


def _ruled(operation: Operation, ruling: Ruling) -> Said:
    payment = operation.payment
    if ruling.about:  # that operation has heard of it while it was undecided, or has ended before
        text = f"{ruling.about} is decided; its own status says how."
        return Said(_news(ours("decided", text, advice=Advice.UNDECIDED)))
    if ruling.version != payment.version:
        return denied(
            "overtaken",
            text=f"The payment has moved on since (version {ruling.version}, now {payment.version})."
            " Nothing was done; look at it again (`review show`).",
            advice=Advice.REVIEW,
        )
    if payment.state is not PaymentState.CONFLICTED:
        return denied(
            "nothing_to_rule",
            text=f"The payment is {payment.state}: there is nothing that a person must decide.",
        )
    if payment.reason.code == REFUND_DIFFERS:
        fact = Fact.RULED_TAKEN  # the word is about the refund; its amount stays reserved
    elif not ruling.happened:
        fact = Fact.RULED_NOT_CHARGED
    else:
        fact = Fact.RULED_TAKEN if payment.captured_minor else Fact.RULED_RESERVED
    return Said(ruled(ruling, asked=RequestFact.DONE, fact=fact))


def question(operation: Operation, inquiry: Inquiry, *, rules: Rules) -> None:
    """A verification sends nothing, so nothing can have become of it: after a loss of time it is planned anew."""
    del operation, inquiry, rules


def silence(operation: Operation) -> News:
    """It moves nothing, whatever is not known."""
    assert operation.request is not None
    return _news(_VERIFIED)


def absence(operation: Operation, proof: Proof) -> Again:
    """It may always be repeated."""
    assert operation.request is not None
    del proof
    return Again()


def rule(operation: Operation, ruling: Ruling) -> News | None:
    """It is never undecided."""
    del operation, ruling
    return None


def judge(
    operation: Operation, verdict: Definite | Unknown, *, rules: Rules, now: datetime
) -> News:
    """A verification that was asked for after a loss of time ends with what is known."""
    assert operation.request is not None
    del rules, now  # knowledge does not depend on them
    match verdict:
        case Unknown():
            return News(asked=RequestFact.UNDECIDED, reason=verdict.reason)
        case _:
            return _news(_VERIFIED)
