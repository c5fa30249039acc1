"""A payment as the journal knows it, and how a fact moves it. Pure: the same fact twice brings no news."""

from dataclasses import dataclass, field, replace

from handlers.domain.money import Money
from handlers.domain.states import SEEN, TRANSITIONS, Fact, PaymentState, PaymentStatus
from handlers.domain.verdicts import Advice, Method, Reason

NO_REASON = Reason(code="", text="", advice=Advice.UNDECIDED)


@dataclass(frozen=True, slots=True)
class Payment:
    """The snapshot that events and the db-service tell. `version` grows by one with each piece of news."""

    payment_id: str
    order_id: str
    user_id: str
    money: Money
    state: PaymentState = PaymentState.REQUESTED
    version: int = 0
    authorised_minor: int = 0
    captured_minor: int = 0
    refunded_minor: int = 0
    transaction_id: str | None = None
    method: Method = field(default_factory=Method)
    reason: Reason = NO_REASON

    @property
    def status(self) -> PaymentStatus:
        """What the outside sees."""
        return SEEN[self.state]


@dataclass(frozen=True, slots=True)
class News:
    """What we learned: the fact, why, and what the gateway told of it.

    `authorised_minor` and `captured_minor` are what moved by this, in the payment's currency.
    """

    fact: Fact
    reason: Reason
    authorised_minor: int = 0
    captured_minor: int = 0
    transaction_id: str | None = None
    method: Method = field(default_factory=Method)


def learn(payment: Payment, news: News) -> Payment | None:
    """The payment after `news`, one version on; None where it brings no news (final states are sticky, P6)."""
    state = TRANSITIONS.get((payment.state, news.fact))
    if state is None:
        return None
    return replace(
        payment,
        state=state,
        version=payment.version + 1,
        # News never makes less of what is known to have moved; captured stays within authorised.
        authorised_minor=max(payment.authorised_minor, news.authorised_minor, news.captured_minor),
        captured_minor=max(payment.captured_minor, news.captured_minor),
        transaction_id=news.transaction_id or payment.transaction_id,
        method=news.method if news.method != Method() else payment.method,
        reason=news.reason,
    )
