"""What a verb may decide, and how it says so. Pure; the words of each verb live in its own file.

A verb's plan is an intent, `Said` (nothing is to be sent, this is the news) or `Pause` (look again soon). What proven
absence means is news, `Again` (safe to repeat) or `Keep` (ask on; a person may rule).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from handlers.domain.commands import (
    CapturePayment,
    RefundPayment,
    Ruling,
    VerifyPayment,
    VoidPayment,
)
from handlers.domain.facts import Needs, Sight
from handlers.domain.intents import About, Question, Void
from handlers.domain.invoices import invoice_number
from handlers.domain.payments import News
from handlers.domain.recovery import Inquiry
from handlers.domain.states import Fact, RequestFact
from handlers.domain.verdicts import Advice, Reason
from handlers.ports import Operation, Origin, Recorded, Rules

MOST_LOOKS = 8  # how often a transaction that cannot be seen is looked for before a request about it is refused
REFUND_DIFFERS = "worker.refund_differs"  # the gateway refunded another amount than ours
_LOOK_AGAIN_S = 30.0
_LOOK_LATER_S = 900.0
_LOOKS_FOR = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Said:
    """Nothing is sent: what is known decides."""

    news: News


@dataclass(frozen=True, slots=True)
class Pause:
    """Look again in `seconds`; others of its payment may pass. `why` is for people.

    `counts`: towards the looks after which it is given up.
    """

    seconds: float
    why: str
    counts: bool = False


@dataclass(frozen=True, slots=True)
class Proof:
    """Complete scans have shown nothing of it, for so long that it would stand there.

    `told`: what the db-service knows of a suspect. `overtaken`: what the journal has as tried is impossible by now.
    `at`: when that was proven.
    """

    told: Recorded
    overtaken: bool
    at: datetime


@dataclass(frozen=True, slots=True)
class Again:
    """Proven not done, and safe to repeat: plan it anew, as the next attempt."""


@dataclass(frozen=True, slots=True)
class Keep:
    """Absence proves too little to act: it is asked for on, and listed for review. `why` is for people."""

    why: str


Absence = News | Again | Keep
_Request = CapturePayment | VoidPayment | RefundPayment | VerifyPayment


def ours(code: str, text: str, *, advice: Advice = Advice.FIX) -> Reason:
    """A reason in our own words."""
    return Reason(f"worker.{code}", text, advice)


def denied(code: str, *, text: str, advice: Advice = Advice.FIX, fact: Fact | None = None) -> Said:
    """We say no to a request; `fact` where the payment, too, is not what it was."""
    return Said(News(fact=fact, asked=RequestFact.DENIED, reason=ours(code, text, advice=advice)))


def done(code: str, *, text: str, fact: Fact | None = None) -> Said:
    """What was asked for is so already."""
    return Said(
        News(fact=fact, asked=RequestFact.DONE, reason=ours(code, text, advice=Advice.UNDECIDED))
    )


def not_yours(operation: Operation, command: _Request) -> Said | None:
    """A request in another user's name than the payment's."""
    if not command.user_id or command.user_id == operation.payment.user_id:
        return None
    return denied(
        "not_yours",
        text="The payment is another user's. Nothing was done: publish it with the payment's user_id.",
    )


def invoice(operation: Operation, rules: Rules) -> str:
    """The operation's invoice number."""
    return invoice_number(
        rules.invoice_key, environment=rules.environment, operation_id=operation.operation_id
    )


def origin_of(operation: Operation) -> Origin:
    """How the payment of a request began."""
    assert operation.origin is not None, "a request's payment has an initiation"
    return operation.origin


def account_of(operation: Operation, rules: Rules) -> str | None:
    """The account that took the charge; today's account of the currency where nothing was ever opened."""
    taken_by = origin_of(operation).merchant_account
    return taken_by or rules.merchant_accounts.get(operation.payment.money.currency)


def look_at_charge(operation: Operation, rules: Rules) -> Needs:
    """The look at the charge that a request is about; nothing where no account can know it."""
    asked = _about(operation, rules, about=About.CHARGE)
    return Needs(look=asked)


def question_about(
    operation: Operation, inquiry: Inquiry, *, rules: Rules, about: About
) -> Question | None:
    """What became of a capture or a void: the charge's own transaction says it."""
    assert inquiry is not None
    return _about(operation, rules, about=about)


def _about(operation: Operation, rules: Rules, *, about: About) -> Question | None:
    origin, payment = origin_of(operation), operation.payment
    account = account_of(operation, rules)
    if account is None or not (payment.transaction_id or origin.invoice_number):
        return None  # nothing of it was ever sent
    return Question(
        merchant_account=account,
        invoice_number=origin.invoice_number,
        money=payment.money,
        mode=origin.mode,
        since=origin.since,
        transaction_id=payment.transaction_id,
        about=about,
    )


def void_of(operation: Operation, sight: Sight, *, rules: Rules) -> Void:
    """The intent that undoes the charge as a whole; a full refund before settlement is one, too."""
    account = account_of(operation, rules)
    assert account is not None, "it was looked at in this account"
    number = invoice(operation, rules)
    return Void(
        operation_id=operation.operation_id,
        attempt=operation.attempt,
        invoice_number=number,
        reference=number,
        money=operation.payment.money,
        merchant_account=account,
        transaction_id=sight.transaction_id,
    )


def unseen(operation: Operation, why: str) -> Pause | Said:
    """The gateway does not show the transaction: it may lag behind, for a while. `why` is "" where nobody was asked."""
    if not why:
        return Pause(_LOOK_LATER_S, "no account takes its currency any more: configure it again")
    inquiry = operation.inquiry
    # Whoever asks often must not make it sooner.
    early = inquiry is not None and inquiry.now < inquiry.since + _LOOKS_FOR
    if early or inquiry is None or inquiry.asked < MOST_LOOKS:
        return Pause(_LOOK_AGAIN_S, f"the gateway does not show the charge yet: {why}", counts=True)
    return denied(
        "charge_not_found",
        text="The gateway does not show the charge that this is about. Nothing was done;"
        " compare the payment in the merchant interface.",
    )


def unclear(status: str) -> Pause:
    """The transaction is on its way to another status: within moments as a rule, within days in a bad batch."""
    return Pause(_LOOK_AGAIN_S, f"the charge is {status or 'without a status'} at the gateway")


def ruled(ruling: Ruling, *, asked: RequestFact | None, fact: Fact | None) -> News:
    """The news that a person's word makes."""
    did = "happened" if ruling.happened else "did not happen"
    reason = ours("ruled", f"Decided by a person: it {did}.", advice=Advice.UNDECIDED)
    return News(fact=fact, asked=asked, reason=reason)
