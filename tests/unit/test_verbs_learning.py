"""What `learn` makes of the tables: every pair of states and facts, with the reserves and totals that hang on them."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise, product
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.domain.commands import Kind
from handlers.domain.money import Money
from handlers.domain.payments import News, Payment, Request, Snapshot, learn
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
)
from handlers.domain.verdicts import Advice, Method, Reason
from tests.doubles.values import MIDNIGHT

S, F, R, G = PaymentState, Fact, RequestState, RequestFact
REASON: Final = Reason("1", "approved", Advice.SOFT)
NEW: Final = Payment("pay-1", "order-1", "user-1", Money(1000, "USD"))
REQUESTS: Final = (Kind.CAPTURE, Kind.VOID, Kind.REFUND, Kind.VERIFICATION)
RESERVES: Final = {Kind.CAPTURE: "capturing_minor", Kind.REFUND: "refunding_minor"}
# A request that waits keeps what it reserved; so does a refund of which nobody knows how much of it went out.
KEEPS: Final = {
    *product(RESERVES, (R.REQUESTED, R.DEFERRED, R.UNKNOWN, R.CONTINUED)),
    (Kind.REFUND, R.CONFLICTED),
}
BACK: Final = {F.PARTLY_REFUNDED, F.REFUNDED}
RULED: Final = (F.RULED_TAKEN, F.RULED_RESERVED, F.RULED_NOT_CHARGED)


def _news(fact: Fact | None, asked: RequestFact | None = None, **changes: Any) -> News:
    amounts: dict[str, Any] = {
        "authorised_minor": 1000 if fact in {F.RESERVED, F.TAKEN, F.CONTRADICTED} else 0,
        "captured_minor": 1000 if fact is F.TAKEN else 0,
        "refunded_minor": 100 if fact in BACK else 0,
    }
    news = News(
        REASON,
        fact=fact,
        asked=asked,
        **amounts,
        transaction_id="42",
        method=Method("card", "Visa", "1111"),
    )
    return replace(news, **changes)


def _payment(state: PaymentState, **changes: Any) -> Payment:
    """A payment in `state` of which 1000 were authorised, 600 captured, 200 refunded, and 300 are reserved."""
    amounts: dict[str, Any] = {
        "authorised_minor": 1000,
        "captured_minor": 600,
        "refunded_minor": 200,
        "capturing_minor": 300,
        "refunding_minor": 300,
    }
    known = replace(NEW, state=state, version=3, state_version=2, **amounts)
    return replace(known, **changes)


def _request(kind: Kind, state: RequestState, *, reserved_minor: int = 100) -> Request:
    reserved_minor = reserved_minor if kind in RESERVES else 0
    return Request(kind, "it-1", 100, state=state, reserved_minor=reserved_minor)


def _leads_to(state: PaymentState, fact: Fact | None) -> PaymentState | None:
    """What the table says; money that went back where it has no row for it is a conflict, and never uncounted."""
    to = None if fact is None else TRANSITIONS.get((state, fact))
    if to is None and fact in BACK:
        return TRANSITIONS.get((state, F.CONTRADICTED), state)
    return to


@pytest.mark.parametrize(("state", "fact"), list(product(S, F)))
def test_each_pair_moves_as_the_table_says(state: PaymentState, fact: Fact) -> None:
    """A pair in the table moves the state and the version by one; any other brings no news."""
    before = _payment(state)
    after = learn(Snapshot(before), _news(fact))
    to = _leads_to(state, fact)
    if to is None:
        assert after is None
        return
    assert after is not None
    known = after.payment
    assert to is known.state
    assert (before.version + 1, before.version + 1) == (known.version, known.state_version)
    assert SEEN[known.state] is known.status
    assert ("42", Method("card", "Visa", "1111"), REASON) == (
        known.transaction_id,
        known.method,
        known.reason,
    )
    assert (before.payment_id, before.order_id, before.user_id, before.money) == (
        known.payment_id,
        known.order_id,
        known.user_id,
        known.money,
    )


@pytest.mark.parametrize("reserved_minor", [0, 100])
@pytest.mark.parametrize(("kind", "state", "asked"), list(product(REQUESTS, R, G)))
def test_each_pair_of_a_request_moves_as_the_table_says(
    kind: Kind, state: RequestState, asked: RequestFact, reserved_minor: int
) -> None:
    """The request moves along its table, its payment is told under a new version, and the reserve follows it."""
    before = Snapshot(_payment(S.CAPTURED), _request(kind, state, reserved_minor=reserved_minor))
    after = learn(before, _news(None, asked))
    if REQUEST_TRANSITIONS.get((state, asked), state) is state:  # nothing, or the same day again
        assert after is None
        return
    assert after is not None
    assert after.request is not None
    assert before.request is not None
    assert REQUEST_TRANSITIONS[state, asked] is after.request.state
    assert SEEN_REQUEST[after.request.state] is after.request.status
    kept = before.request.reserved_minor if (kind, after.request.state) in KEEPS else 0
    assert kept == after.request.reserved_minor
    more = {RESERVES[kind]: -before.request.reserved_minor + kept} if kind in RESERVES else {}
    moved = {name: getattr(before.payment, name) + minor for name, minor in more.items()}
    assert replace(before.payment, version=4, **moved) == after.payment


def test_every_pair_of_pairs_keeps_the_rules() -> None:
    """Any state, request and news: only the tables move, versions grow by one, reserves are exactly the request's."""
    kinds = (Kind.CAPTURE, Kind.VOID, Kind.REFUND)  # a verification is to `learn` what a void is
    for state, kind, of, fact, asked in product(S, kinds, R, (None, *F), (None, *G)):
        before = Snapshot(_payment(state), _request(kind, of))
        after = learn(before, _news(fact, asked))
        what = (state, kind, of, fact, asked)
        to = _leads_to(state, fact)
        asked_to = None if asked is None else REQUEST_TRANSITIONS.get((of, asked))
        asked_to = None if asked_to is of else asked_to  # the same day again
        if to is None and asked_to is None:
            assert after is None, what
            continue
        assert after is not None, what
        assert after.request is not None, what
        assert before.request is not None, what
        assert (to or state, asked_to or of) == (after.payment.state, after.request.state), what
        assert before.payment.version + 1 == after.payment.version, what
        assert (to is not None) == (after.payment.state_version == after.payment.version), what
        for its, name in RESERVES.items():
            more = after.request.reserved_minor - before.request.reserved_minor
            moved = getattr(after.payment, name) - getattr(before.payment, name)
            assert (more if its is kind else 0) == moved, what
        if after.payment.state not in {S.VOIDED, S.FAILED}:  # there nothing was taken
            assert before.payment.captured_minor <= after.payment.captured_minor, what
        assert before.payment.refunded_minor <= after.payment.refunded_minor, what


@pytest.mark.parametrize("asked", [G.UNDECIDED, G.DEFERRED])
def test_a_refund_reserves_once(asked: RequestFact) -> None:
    """A deferral reserves what no intent has reserved yet, and never a second time."""
    news = _news(None, asked, reserve_minor=100, due_at=MIDNIGHT)
    first = learn(
        Snapshot(_payment(S.SETTLED), _request(Kind.REFUND, R.REQUESTED, reserved_minor=0)), news
    )
    assert first is not None
    assert first.request is not None
    assert (400, 100) == (first.payment.refunding_minor, first.request.reserved_minor)
    assert (MIDNIGHT, REASON) == (first.request.due_at, first.request.reason)
    other = G.DEFERRED if asked is G.UNDECIDED else G.UNDECIDED
    second = learn(first, replace(news, asked=other))
    assert second is not None
    assert 400 == second.payment.refunding_minor


@pytest.mark.parametrize(("hours", "told"), [(0, False), (1, False), (30, True)])
def test_another_day_is_news_and_an_hour_is_none(hours: int, *, told: bool) -> None:
    """A deferral that moves by a day is told, with the new day; the same again, or an hour later, is no message."""
    promised = replace(_request(Kind.REFUND, R.DEFERRED), due_at=MIDNIGHT)
    later = MIDNIGHT + timedelta(hours=hours)
    after = learn(Snapshot(_payment(S.CAPTURED), promised), _news(None, G.DEFERRED, due_at=later))
    assert told == (after is not None)
    if after is not None:
        assert after.request is not None
        assert (later, 100) == (after.request.due_at, after.request.reserved_minor)


@pytest.mark.parametrize("state", [S.VOIDED, S.CAPTURED])
def test_what_refunds_have_reserved_of_a_void_charge_goes_as_they_end(state: PaymentState) -> None:
    """A charge that is void holds nothing but what refunds in line still count on; when the last ends, nothing."""
    before = _payment(state, refunded_minor=0, refunding_minor=300, capturing_minor=0)
    request = _request(Kind.REFUND, R.DEFERRED)
    after = learn(Snapshot(before, request), _news(F.VOIDED, G.DENIED))
    assert after is not None
    assert (S.VOIDED, 200, 200) == (
        after.payment.state,
        after.payment.captured_minor,
        after.payment.refunding_minor,
    )
    last = _request(Kind.REFUND, R.DEFERRED, reserved_minor=200)
    end = learn(Snapshot(after.payment, last), _news(None, G.DENIED))
    assert end is not None
    assert (0, 0) == (end.payment.captured_minor, end.payment.refunding_minor)


def test_news_about_the_request_alone_leaves_the_payment_as_it_was() -> None:
    """A denied refund does not take the payment's reason, method or transaction away."""
    before = replace(_payment(S.SETTLED), reason=Reason("1", "was approved", Advice.HARD))
    request = _request(Kind.REFUND, R.REQUESTED, reserved_minor=0)
    after = learn(
        Snapshot(before, request),
        _news(None, G.DENIED, request_transaction_id="77", amount_minor=9),
    )
    assert after is not None
    assert replace(before, version=4) == after.payment
    assert after.request is not None
    assert ("77", 9, REASON) == (
        after.request.transaction_id,
        after.request.amount_minor,
        after.request.reason,
    )


def test_a_request_keeps_what_poorer_news_do_not_say() -> None:
    """Its transaction and its amount stay, unless the news knows better."""
    request = replace(_request(Kind.REFUND, R.UNKNOWN), transaction_id="77")
    after = learn(Snapshot(_payment(S.SETTLED), request), _news(None, G.DONE))
    assert after is not None
    assert after.request is not None
    assert ("77", 100) == (after.request.transaction_id, after.request.amount_minor)


def test_news_without_details_keeps_what_was_known() -> None:
    """A poorer answer does not wipe out the transaction id or the method."""
    held = learn(Snapshot(NEW), _news(F.HELD))
    assert held is not None
    after = learn(held, News(REASON, fact=F.DECLINED))
    assert after is not None
    assert ("42", "Visa") == (after.payment.transaction_id, after.payment.method.brand)


@pytest.mark.parametrize("state", [state for state in S if (state, F.TAKEN) in TRANSITIONS])
def test_the_end_of_an_authorisation_goes_with_it(state: PaymentState) -> None:
    """What is captured, or in conflict, has no day on which it expires."""
    before = _payment(state, expires_at=MIDNIGHT, captured_minor=0, refunded_minor=0)
    after = learn(Snapshot(before), _news(F.TAKEN))
    assert after is not None
    assert after.payment.expires_at is None


def test_an_authorisation_says_when_it_ends() -> None:
    """The day is told with the news of the reservation."""
    after = learn(Snapshot(NEW), _news(F.RESERVED, expires_at=MIDNIGHT))
    assert after is not None
    assert MIDNIGHT == after.payment.expires_at


@pytest.mark.parametrize("told_minor", [1, 999, 1000, 1001])
@pytest.mark.parametrize("fact", [F.RESERVED, F.TAKEN, F.CONTRADICTED])
@pytest.mark.parametrize("state", [S.REQUESTED, S.FAILED, S.AUTHORIZED, S.VOIDED, S.DECLINED])
def test_totals_stay_within_each_other(state: PaymentState, fact: Fact, told_minor: int) -> None:
    """Whatever amount is told, never is more captured than authorised: the journal's CHECK would refuse it."""
    before = replace(NEW, state=state, version=3, authorised_minor=1000)
    moved: dict[str, Any] = {"authorised_minor": told_minor, "captured_minor": told_minor}
    after = learn(Snapshot(before), _news(fact, **moved))
    if after is not None:
        known = after.payment
        assert 0 <= known.refunded_minor <= known.captured_minor <= known.authorised_minor


@pytest.mark.parametrize(
    ("authorised", "captured", "fact"),
    [
        (1000, 0, F.RESERVED),
        (1000, 1000, F.TAKEN),
        (1000, 0, F.CONTRADICTED),
        (0, 0, F.DECLINED),
        (0, 0, F.HELD),
    ],
)
def test_totals_of_a_first_fact(authorised: int, captured: int, fact: Fact) -> None:
    """A reservation authorises, a sale captures as well, and no money moves by anything else."""
    after = learn(Snapshot(NEW), _news(fact))
    assert after is not None
    known = after.payment
    assert (authorised, captured, 0) == (
        known.authorised_minor,
        known.captured_minor,
        known.refunded_minor,
    )


def test_a_void_takes_back_what_was_captured() -> None:
    """A voided capture moved nothing: this alone makes a total less, and what it was authorised for is history."""
    captured = replace(NEW, state=S.CAPTURED, version=1, authorised_minor=1000, captured_minor=1000)
    after = learn(Snapshot(captured), _news(F.VOIDED))
    assert after is not None
    assert (1000, 0, 0) == (
        after.payment.authorised_minor,
        after.payment.captured_minor,
        after.payment.refunded_minor,
    )


@given(st.lists(st.sampled_from([fact for fact in F if fact not in RULED]), max_size=12))
def test_any_history_only_improves(facts: list[Fact]) -> None:
    """Along any facts that no person rules, versions grow by one and no state is left and come back to."""
    walk = [NEW]
    for fact in facts:
        after = learn(Snapshot(walk[-1]), _news(fact))
        walk += [after.payment] if after is not None else []
    assert list(range(len(walk))) == [payment.version for payment in walk]
    states = [a.state for a, b in pairwise(walk) if a.state is not b.state] + [walk[-1].state]
    conflicts = states.count(S.CONFLICTED)  # out of one, and perhaps into it again
    assert len(states) - len(set(states)) <= 2 * conflicts
    assert all(a.refunded_minor <= b.refunded_minor for a, b in pairwise(walk))


@given(st.lists(st.sampled_from(F), max_size=12))
def test_what_failed_never_succeeds_unseen(facts: list[Fact]) -> None:
    """Outside, failure never turns into success unless it was pending, as a conflict, in between."""
    walk = [NEW]
    for fact in facts:
        after = learn(Snapshot(walk[-1]), _news(fact))
        walk += [after.payment] if after is not None else []
    for before, after_it in pairwise(walk):
        if before.status is PaymentStatus.FAILURE:
            assert S.CONFLICTED is after_it.state
