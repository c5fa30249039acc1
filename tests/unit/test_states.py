"""The states of a payment: an exhaustive walk of the table, and of what `learn` makes of it."""

from dataclasses import replace
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.domain.money import Money
from handlers.domain.outcomes import TELLS, StatusEvent, events
from handlers.domain.payments import News, Payment, learn
from handlers.domain.states import SEEN, TRANSITIONS, UNDECIDED, Fact, PaymentState, PaymentStatus
from handlers.domain.verdicts import Advice, Method, Reason

S, F = PaymentState, Fact
REASON = Reason("1", "approved", Advice.SOFT)
FAILURES = (S.DECLINED, S.REFUSED, S.FAILED)
SUCCESSES = (S.AUTHORIZED, S.CAPTURED)
NEW = Payment("pay-1", "order-1", "user-1", Money(1000, "USD"))
PAIRS = list(product(S, F))


def _news(fact: Fact, amount_minor: int = 1000) -> News:
    return News(
        fact,
        REASON,
        authorised_minor=amount_minor if fact in {F.RESERVED, F.TAKEN, F.CONTRADICTED} else 0,
        captured_minor=amount_minor if fact is F.TAKEN else 0,
        transaction_id="42",
        method=Method("card", "Visa", "1111"),
    )


def _with_totals(state: PaymentState) -> Payment:
    """A payment in `state` as it can have come there."""
    reserved = 1000 if state in {*SUCCESSES, S.CONFLICTED} else 0
    captured = 1000 if state is S.CAPTURED else 0
    return replace(NEW, state=state, version=3, authorised_minor=reserved, captured_minor=captured)


@pytest.mark.parametrize("table", [SEEN, TELLS], ids=["SEEN", "TELLS"])
def test_every_state_has_its_row(table: dict[PaymentState, object]) -> None:
    """What a state means outside, and what it tells, is written for each one."""
    assert set(S) == set(table)


def test_every_state_but_the_first_can_be_reached() -> None:
    """No state is dead: facts lead to each of them from the first."""
    reached = {S.REQUESTED}
    for _ in S:
        reached |= {to for (state, _), to in TRANSITIONS.items() if state in reached}
    assert set(S) == reached


def test_nothing_leads_back_to_the_first_or_to_itself() -> None:
    """News is never a step back to `requested` and never a step on the spot."""
    assert S.REQUESTED not in TRANSITIONS.values()
    assert [] == [pair for pair, to in TRANSITIONS.items() if pair[0] is to]


def test_the_table_has_no_circle() -> None:
    """Knowledge only improves: no walk comes back to where it was, so every walk ends."""
    rank = {
        S.REQUESTED: 0,
        S.UNKNOWN: 1,
        S.HELD: 2,
        **dict.fromkeys((*SUCCESSES, *FAILURES), 3),
        S.CONFLICTED: 4,
    }
    assert [] == [(pair, to) for pair, to in TRANSITIONS.items() if rank[pair[0]] >= rank[to]]


def test_a_first_fact_always_moves() -> None:
    """Every fact means something for a payment of which nothing is known yet."""
    assert {fact: (S.REQUESTED, fact) in TRANSITIONS for fact in F} == dict.fromkeys(F, True)


@pytest.mark.parametrize("fact", [F.RESERVED, F.TAKEN, F.CONTRADICTED])
@pytest.mark.parametrize("state", FAILURES)
def test_evidence_of_approval_after_a_failure_is_a_conflict(
    state: PaymentState, fact: Fact
) -> None:
    """The customer was told no and the card was billed: that must never be lost."""
    assert S.CONFLICTED is TRANSITIONS[state, fact]


@pytest.mark.parametrize("fact", set(F) - {F.CONTRADICTED})
@pytest.mark.parametrize("state", SUCCESSES)
def test_a_success_stays(state: PaymentState, fact: Fact) -> None:
    """After a success only a contradiction is news; no late decline, silence or absence takes it away."""
    assert (state, fact) not in TRANSITIONS


@pytest.mark.parametrize("fact", F)
def test_a_conflict_waits_for_a_person(fact: Fact) -> None:
    """No fact ends a conflict by itself."""
    assert learn(_with_totals(S.CONFLICTED), _news(fact)) is None


@pytest.mark.parametrize(("state", "fact"), PAIRS)
def test_each_pair_moves_as_the_table_says(state: PaymentState, fact: Fact) -> None:
    """A pair in the table moves the state and the version by one; any other brings no news."""
    before = _with_totals(state)
    after = learn(before, _news(fact))
    if (state, fact) not in TRANSITIONS:
        assert after is None
        return
    assert after is not None
    assert TRANSITIONS[state, fact] is after.state
    assert before.version + 1 == after.version
    assert SEEN[after.state] is after.status
    assert ("42", Method("card", "Visa", "1111"), REASON) == (
        after.transaction_id,
        after.method,
        after.reason,
    )
    assert (before.payment_id, before.order_id, before.user_id, before.money) == (
        after.payment_id,
        after.order_id,
        after.user_id,
        after.money,
    )


@pytest.mark.parametrize(
    ("state", "fact", "amount_minor"),
    [
        (state, fact, amount_minor)
        for (state, fact), amount_minor in product(PAIRS, (1, 999, 1000, 1001))
    ],
)
def test_totals_stay_within_each_other(state: PaymentState, fact: Fact, amount_minor: int) -> None:
    """Whatever amount is told, never is more captured than authorised: the journal's CHECK would refuse it."""
    after = learn(_with_totals(state), _news(fact, amount_minor))
    if after is not None:
        assert 0 <= after.refunded_minor <= after.captured_minor <= after.authorised_minor


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
    amount = 1000 if authorised else 0
    after = learn(NEW, _news(fact, amount))
    assert after is not None
    assert (authorised, captured, 0) == (
        after.authorised_minor,
        after.captured_minor,
        after.refunded_minor,
    )


@given(st.lists(st.sampled_from(F), max_size=12))
def test_any_history_only_improves(facts: list[Fact]) -> None:
    """Along any facts versions grow by one, no state is seen twice, and the same news twice is none."""
    walk = [NEW]
    for fact in facts:
        after = learn(walk[-1], _news(fact))
        if after is not None:
            assert learn(after, _news(fact)) is None
            walk.append(after)
    assert list(range(len(walk))) == [payment.version for payment in walk]
    assert len(walk) == len({payment.state for payment in walk})
    decided = [payment.state for payment in walk if payment.state in {*SUCCESSES, *FAILURES}]
    assert 1 >= len(decided)


@given(st.lists(st.sampled_from(F), max_size=12))
def test_what_was_decided_changes_only_into_a_conflict(facts: list[Fact]) -> None:
    """Outside, success never turns into failure and failure never into success: only a conflict follows either."""
    walk = [NEW]
    for fact in facts:
        walk += [after for after in [learn(walk[-1], _news(fact))] if after is not None]
    for before, after in pairwise(walk):
        if before.status is not PaymentStatus.PENDING:
            assert S.CONFLICTED is after.state


def test_news_without_details_keeps_what_was_known() -> None:
    """A poorer answer does not wipe out the transaction id or the method."""
    held = learn(NEW, _news(F.HELD))
    assert held is not None
    after = learn(held, News(F.DECLINED, REASON))
    assert after is not None
    assert ("42", "Visa") == (after.transaction_id, after.method.brand)


def test_what_is_undecided_is_pending_outside() -> None:
    """Each state that is asked about again is pending for the others; nothing final is asked about."""
    assert {PaymentStatus.PENDING} == {SEEN[state] for state in UNDECIDED}
    assert set() == UNDECIDED & {*SUCCESSES, *FAILURES, S.CONFLICTED}


@pytest.mark.parametrize("state", S)
def test_each_state_tells_its_status_first(state: PaymentState) -> None:
    """`payment_status` is told of every state, first, once; the rest is the table's row and nothing else."""
    payment = _with_totals(state)
    told = events(payment, ())
    assert StatusEvent(payment) == told[0]
    assert 1 + sum(part is not None for part in TELLS[state]) == len(told)
    assert 1 == sum(isinstance(event, StatusEvent) for event in told)


@pytest.mark.parametrize("state", S)
def test_orders_are_told_only_what_is_decided(state: PaymentState) -> None:
    """Orders hear of success and failure always, of an unknown or conflicted payment never."""
    order_news, _ = TELLS[state]
    if SEEN[state] is not PaymentStatus.PENDING:
        assert order_news is not None
    if state in {S.REQUESTED, S.UNKNOWN, S.CONFLICTED}:
        assert order_news is None
