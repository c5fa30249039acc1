"""A payment and a request about it as the journal knows them, and how news moves them. Pure: old news brings nothing.

The amounts of a payment: `authorised`, `captured` and `refunded` are what moved, never made less (but that a voided
capture moved nothing). `capturing` and `refunding` are reserved by requests that are open, undecided or deferred, so
that no second request counts on the same money: captured + capturing ≤ authorised, refunded + refunding ≤ captured.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from handlers.domain.commands import Command, Kind
from handlers.domain.money import Money
from handlers.domain.states import (
    REQUEST_TRANSITIONS,
    SEEN,
    SEEN_REQUEST,
    TRANSITIONS,
    Fact,
    PaymentState,
    PaymentStatus,
    RequestFact,
    RequestState,
    RequestStatus,
)
from handlers.domain.verdicts import Advice, Method, Reason

NO_REASON = Reason(code="", text="", advice=Advice.UNDECIDED)
# A continued request leaves its reserve to the command that goes on with it, a conflicted refund to nobody.
_KEEPS_ITS_RESERVE = frozenset(
    {
        RequestState.REQUESTED,
        RequestState.DEFERRED,
        RequestState.UNKNOWN,
        RequestState.CONTINUED,
        RequestState.CONFLICTED,
    }
)


_TOOK_NOTHING = frozenset({PaymentState.VOIDED, PaymentState.FAILED})
_SEEN = Reason("worker.seen", "So it stands at the gateway.", Advice.UNDECIDED)
_WORTH_TELLING = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Payment:
    """The snapshot that events and the db-service tell. `version` grows by one with each piece of news.

    `state_version`: the version with which its state came: an order is told of a state once, not with each snapshot.
    `expires_at`: when an authorisation ends that was not captured. `marks`: rules that it broke in shadow.
    """

    payment_id: str
    order_id: str
    user_id: str
    money: Money
    state: PaymentState = PaymentState.REQUESTED
    version: int = 0
    state_version: int = 0
    authorised_minor: int = 0
    captured_minor: int = 0
    refunded_minor: int = 0
    capturing_minor: int = 0
    refunding_minor: int = 0
    transaction_id: str | None = None
    method: Method = field(default_factory=Method)
    reason: Reason = NO_REASON
    expires_at: datetime | None = None
    marks: tuple[str, ...] = ()

    @property
    def status(self) -> PaymentStatus:
        """What the outside sees."""
        return SEEN[self.state]

    @property
    def refundable_minor(self) -> int:
        """What may still be asked back: captured, neither refunded nor reserved for a refund."""
        return self.captured_minor - self.refunded_minor - self.refunding_minor


@dataclass(frozen=True, slots=True)
class Request:
    """A capture, void, refund or verification: what its operation knows of it.

    `amount_minor`: what it is about, in the payment's currency. `reserved_minor`: how much of the payment's reserve is
    its own. `due_at`: when a deferred one goes on. `reason`: why it stands where it stands, for the one who asked;
    `why`: what that one gave as the reason of a refund.
    """

    kind: Kind
    request_id: str
    amount_minor: int
    state: RequestState = RequestState.REQUESTED
    reserved_minor: int = 0
    reason: Reason = NO_REASON
    transaction_id: str | None = None
    due_at: datetime | None = None
    why: str = ""

    @property
    def status(self) -> RequestStatus:
        """What the outside sees."""
        return SEEN_REQUEST[self.state]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A payment, with the request that its last news was about; None where that was its initiation."""

    payment: Payment
    request: Request | None = None


@dataclass(frozen=True, slots=True)
class News:
    """What we learned: the facts, why, and what the gateway told of them.

    `fact` is about the payment, `asked` about the request; either may be None. `authorised_minor` and `captured_minor`
    are totals, `refunded_minor` is what moved by this, all in the payment's currency. `amount_minor` is what the
    request turned out to be about. `transaction_id` is the payment's, `request_transaction_id` a refund's own.
    `follow_up` is a command to be published with the events: what goes on from here goes through the top again.
    """

    reason: Reason
    fact: Fact | None = None
    asked: RequestFact | None = None
    authorised_minor: int = 0
    captured_minor: int = 0
    refunded_minor: int = 0
    reserve_minor: int = 0
    amount_minor: int | None = None
    transaction_id: str | None = None
    request_transaction_id: str | None = None
    method: Method = field(default_factory=Method)
    due_at: datetime | None = None
    expires_at: datetime | None = None
    follow_up: Command | None = None


def renumbered(payment: Payment, *, version: int) -> Payment:
    """The same news under a higher version; what came with the old one comes with the new one."""
    same = payment.state_version == payment.version
    return replace(
        payment, version=version, state_version=version if same else payment.state_version
    )


def learn(before: Snapshot, news: News) -> Snapshot | None:
    """The snapshot after `news`, one version on; None where it brings no news (final states are sticky, P6)."""
    payment, request = before.payment, before.request
    state = _state(payment, news)
    asked = _asked(request, news)
    if state is None and asked is None:
        return None
    # A request that ends without moving its payment still leaves it as it was, but for the reserve.
    moved = payment if state is None else _moved(payment, news, state=state)
    after = asked or request
    moved = _reserved(moved, before=request, after=after)
    if state in _TOOK_NOTHING or moved.state is PaymentState.VOIDED:
        # Nothing is taken; what refunds in line have reserved counts until each of them has ended.
        moved = replace(moved, captured_minor=moved.refunded_minor + moved.refunding_minor)
    # What went back, and what is about to, was taken; what is taken was authorised: the books stay lawful, whatever the
    # gateway says of amounts that contradict ours.
    captured = max(moved.captured_minor, moved.refunded_minor + moved.refunding_minor)
    authorised = max(moved.authorised_minor, captured + moved.capturing_minor)
    moved = replace(moved, captured_minor=captured, authorised_minor=authorised)
    return Snapshot(replace(moved, version=payment.version + 1), after)


def _state(payment: Payment, news: News) -> PaymentState | None:
    """The state that follows; None where the payment stays as it is. Money that went back is never left uncounted."""
    state = None if news.fact is None else TRANSITIONS.get((payment.state, news.fact))
    if state is None and news.refunded_minor:
        return TRANSITIONS.get((payment.state, Fact.CONTRADICTED), payment.state)
    return state


def _asked(request: Request | None, news: News) -> Request | None:
    if request is None or news.asked is None:
        return None
    state = REQUEST_TRANSITIONS.get((request.state, news.asked))
    if state is None or (state is request.state and not _is_another_day(request, news)):
        return None
    reserved = request.reserved_minor or news.reserve_minor
    keeps = state in _KEEPS_ITS_RESERVE
    if state is RequestState.CONFLICTED and (request.kind is Kind.CAPTURE or news.refunded_minor):
        keeps = False  # what was moved is known, and counted
    return replace(
        request,
        state=state,
        amount_minor=request.amount_minor if news.amount_minor is None else news.amount_minor,
        reserved_minor=reserved if keeps else 0,
        reason=news.reason,
        transaction_id=news.request_transaction_id or request.transaction_id,
        due_at=news.due_at,
    )


def _is_another_day(request: Request, news: News) -> bool:
    """Whether what was promised for a day is told anew for a later one; hours are not worth another message."""
    if request.due_at is None or news.due_at is None:
        return False
    return news.due_at >= request.due_at + _WORTH_TELLING


def _moved(payment: Payment, news: News, *, state: PaymentState) -> Payment:
    refunded = payment.refunded_minor + news.refunded_minor
    captured = max(payment.captured_minor, news.captured_minor, refunded)
    return replace(
        payment,
        state=state,
        state_version=payment.version + 1,
        # News never makes less of what is known to have moved; captured stays within authorised.
        authorised_minor=max(payment.authorised_minor, news.authorised_minor, captured),
        captured_minor=captured,
        refunded_minor=refunded,
        transaction_id=news.transaction_id or payment.transaction_id,
        method=news.method if news.method != Method() else payment.method,
        # Why a request was refused is no reason of the payment that was looked at on the way.
        reason=_SEEN if news.asked is RequestFact.DENIED else news.reason,
        expires_at=news.expires_at if state is PaymentState.AUTHORIZED else None,
    )


def _reserved(payment: Payment, *, before: Request | None, after: Request | None) -> Payment:
    """The payment's reserve after its request moved."""
    if before is None or after is None:
        return payment
    more = after.reserved_minor - before.reserved_minor
    match after.kind:
        case Kind.CAPTURE:
            return replace(payment, capturing_minor=payment.capturing_minor + more)
        case Kind.REFUND:
            return replace(payment, refunding_minor=payment.refunding_minor + more)
        case _:
            return payment
