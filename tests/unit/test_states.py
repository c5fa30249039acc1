"""The states of a payment and of a request: an exhaustive walk of both tables, and what is told of each state.

What `learn` makes of the tables is `test_verbs_learning.py`.
"""

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from itertools import product
from typing import Final

import pytest

from handlers.domain.commands import Kind
from handlers.domain.money import Money
from handlers.domain.outcomes import (
    REQUEST_TELLS,
    TELLS,
    NotificationEvent,
    OrderEvent,
    OrderNews,
    StatusEvent,
    Template,
    events,
)
from handlers.domain.payments import Payment, Request, Snapshot
from handlers.domain.states import (
    NOTHING_TAKEN,
    PAYMENT_ROWS,
    REQUEST_ROWS,
    REQUEST_TRANSITIONS,
    SEEN,
    SEEN_REQUEST,
    TRANSITIONS,
    UNDECIDED,
    Fact,
    PaymentState,
    PaymentStatus,
    RequestFact,
    RequestState,
    RequestStatus,
)

S, F, R, G = PaymentState, Fact, RequestState, RequestFact
REQUESTS: Final = tuple(sorted(set(Kind) - {Kind.INITIATION}))
RULINGS: Final = {F.RULED_TAKEN, F.RULED_RESERVED, F.RULED_NOT_CHARGED}
REQUEST_RULINGS: Final = {G.RULED_DONE, G.RULED_DENIED}
# News that leaves the state as it is, and is told all the same: another refund; the hold of a verified means is gone.
ON_THE_SPOT: Final = {
    (S.PARTIALLY_REFUNDED, F.PARTLY_REFUNDED),
    (S.VERIFIED, F.VOIDED),
    (S.VERIFIED, F.EXPIRED),
}
FAILURES: Final = [state for state in S if SEEN[state] is PaymentStatus.FAILURE]
NO_CHARGE: Final = [S.DECLINED, S.REFUSED, S.FAILED, S.VOIDED, S.EXPIRED]
NEW: Final = Payment("pay-1", "order-1", "user-1", Money(1000, "USD"))


@pytest.mark.parametrize("table", [SEEN, TELLS, PAYMENT_ROWS], ids=["SEEN", "TELLS", "ROWS"])
def test_every_state_has_its_row(table: Mapping[PaymentState, object]) -> None:
    """What a state means outside, what it tells and what may follow it is written for each one."""
    assert set(S) == set(table)


@pytest.mark.parametrize("table", [SEEN_REQUEST, REQUEST_ROWS], ids=["SEEN", "ROWS"])
def test_every_state_of_a_request_has_its_row(table: Mapping[RequestState, object]) -> None:
    """The same for requests."""
    assert set(R) == set(table)


def test_the_flat_tables_are_the_rows() -> None:
    """Nothing is lost or added between the rows that people read and the table that is looked up."""
    of_payments = {(state, fact) for state, row in PAYMENT_ROWS.items() for fact in row}
    of_requests = {(state, asked) for state, row in REQUEST_ROWS.items() for asked in row}
    assert (of_payments, of_requests) == (set(TRANSITIONS), set(REQUEST_TRANSITIONS))
    assert [] == [
        pair for pair in of_payments if PAYMENT_ROWS[pair[0]][pair[1]] is not TRANSITIONS[pair]
    ]


@pytest.mark.parametrize("table", [TRANSITIONS, REQUEST_TRANSITIONS], ids=["payment", "request"])
def test_every_state_can_be_reached_and_none_leads_to_the_first(
    table: Mapping[tuple[StrEnum, StrEnum], StrEnum],
) -> None:
    """No state is dead, and no news is a step back to `requested`."""
    states = {state for state, _ in table} | set(table.values())
    reached = {state for state in states if state.value == "requested"}
    for _ in states:
        reached |= {to for (state, _), to in table.items() if state in reached}
    assert states == reached
    assert "requested" not in {to.value for to in table.values()}


def test_every_fact_means_something_somewhere() -> None:
    """A fact that moves no state at all would be a word without meaning."""
    assert set(F) == {fact for _, fact in TRANSITIONS}
    assert set(G) == {fact for _, fact in REQUEST_TRANSITIONS}


def test_news_on_the_spot_are_the_ones_that_are_meant() -> None:
    """Three rows keep their state and are news all the same, a day may move; no other row is a step on the spot."""
    assert {pair for pair, to in TRANSITIONS.items() if pair[0] is to} == ON_THE_SPOT
    another_day = {(R.DEFERRED, G.DEFERRED)}
    assert another_day == {pair for pair, to in REQUEST_TRANSITIONS.items() if pair[0] is to}


def test_the_payments_table_has_no_circle_but_through_a_person() -> None:
    """Knowledge only improves: no walk comes back to where it was, unless a conflict was ended on the way."""
    order = (
        {S.REQUESTED},
        {S.UNKNOWN},
        {S.HELD},
        {S.AUTHORIZED},
        {S.CAPTURED},
        {S.SETTLED},
        {S.PARTIALLY_REFUNDED},
        {S.REFUNDED},
        {S.RETURNED, S.CHARGED_BACK, S.VERIFIED, *NO_CHARGE},
        {S.CONFLICTED},
    )
    rank = {state: place for place, states in enumerate(order) for state in states}
    back = {pair for pair, to in TRANSITIONS.items() if rank[pair[0]] >= rank[to]}
    assert {state for state, _ in back - ON_THE_SPOT} == {S.CONFLICTED}


def test_the_requests_table_has_no_circle_but_by_another_attempt() -> None:
    """A deferred one may become unknown and an unknown one be deferred again; nothing else ever comes back."""
    rank = {R.REQUESTED: 0, R.DEFERRED: 1, R.UNKNOWN: 2, R.CONTINUED: 3}
    rank |= {R.PROCESSED: 3, R.FAILED: 3, R.CONFLICTED: 4}
    back = {pair for pair, to in REQUEST_TRANSITIONS.items() if rank[pair[0]] >= rank[to]}
    by_a_person = {(R.CONFLICTED, G.RULED_DONE), (R.CONFLICTED, G.RULED_DENIED)}
    again = {(R.UNKNOWN, G.DEFERRED), (R.DEFERRED, G.DEFERRED)}
    assert again | by_a_person == back


@pytest.mark.parametrize("fact", sorted(set(F) - RULINGS - {F.SETTLED, F.VOIDED, F.EXPIRED}))
def test_a_first_fact_of_a_charge_always_moves(fact: Fact) -> None:
    """What a charge can bring as its first news is news; money cannot go back before it came."""
    back = {F.PARTLY_REFUNDED, F.REFUNDED, F.RETURNED, F.CHARGED_BACK}
    assert (fact not in back) == ((S.REQUESTED, fact) in TRANSITIONS)


@pytest.mark.parametrize("state", NO_CHARGE)
def test_evidence_of_a_charge_after_a_failure_is_a_conflict(state: PaymentState) -> None:
    """The customer was told no and the card was billed: that must never be lost, and nothing else is news."""
    billed = {F.TAKEN, F.SETTLED, F.CONTRADICTED}
    if state not in {S.VOIDED, S.EXPIRED}:  # there it was reserved, and the customer knows
        billed |= {F.RESERVED}
    assert dict.fromkeys(billed, S.CONFLICTED) == PAYMENT_ROWS[state]


def test_a_success_ends_only_where_money_did_not_stay() -> None:
    """No late decline, silence or absence takes a success away: only a void, an expiry, a return or a chargeback."""
    lost = {
        fact
        for (state, fact), to in TRANSITIONS.items()
        if (SEEN[state], SEEN[to]) == (PaymentStatus.SUCCESS, PaymentStatus.FAILURE)
    }
    assert {F.VOIDED, F.EXPIRED, F.RETURNED, F.CHARGED_BACK} == lost


def test_a_failure_becomes_a_success_only_through_a_person() -> None:
    """From each failure there is one way on: into a conflict."""
    assert {S.CONFLICTED} == {to for state in FAILURES for to in PAYMENT_ROWS[state].values()}


def test_a_conflict_ends_by_a_person_or_where_no_money_is_left() -> None:
    """Evidence alone never decides a conflict, unless the money is surely back with the customer."""
    assert {F.VOIDED, F.EXPIRED, F.REFUNDED} | RULINGS == set(PAYMENT_ROWS[S.CONFLICTED])


def test_a_person_rules_only_on_what_is_open() -> None:
    """Rulings move what is undecided or conflicted; a final end is nobody's to change."""
    assert {S.REQUESTED, S.CONFLICTED, *UNDECIDED} == {
        state for state, fact in TRANSITIONS if fact in RULINGS
    }
    ruled = {state for state, fact in REQUEST_TRANSITIONS if fact in REQUEST_RULINGS}
    assert {R.REQUESTED, R.DEFERRED, R.UNKNOWN, R.CONFLICTED} == ruled


@pytest.mark.parametrize("state", [R.PROCESSED, R.FAILED, R.CONTINUED])
def test_a_request_that_ended_is_sticky(state: RequestState) -> None:
    """Only a contradiction is news after an end; what another command goes on with is over for good."""
    assert set(REQUEST_ROWS[state]) <= {G.CONTRADICTED}
    assert R.CONTINUED is not state or {} == REQUEST_ROWS[state]


def test_what_is_undecided_is_pending_outside() -> None:
    """Each state that is asked about again is pending for the others; nothing final is asked about."""
    assert {PaymentStatus.PENDING} == {SEEN[state] for state in UNDECIDED}
    assert {RequestStatus.INITIATED} == {SEEN_REQUEST[it] for it in (R.DEFERRED, R.UNKNOWN)}


def test_an_order_is_free_again_only_where_nothing_was_taken() -> None:
    """Whoever frees an order for another payment must be a failure that left no money with us."""
    assert set(NO_CHARGE) == set(NOTHING_TAKEN)
    assert set() == NOTHING_TAKEN - set(FAILURES)


def _in(state: PaymentState) -> Payment:
    """A payment that came into `state` with its last news."""
    return replace(NEW, state=state, version=3, state_version=3)


@pytest.mark.parametrize("state", S)
def test_each_state_tells_its_status_first(state: PaymentState) -> None:
    """`payment_status` is told of every state, first, once; the rest is the table's row and nothing else."""
    payment = _in(state)
    told = events(Snapshot(payment), ())
    order, template = TELLS[state]
    assert StatusEvent(payment) == told[0]
    assert [order] == [it.news for it in told if isinstance(it, OrderEvent)] or order is None
    assert 1 + (order is not None) + (template is not None) == len(told)


@pytest.mark.parametrize("state", S)
def test_a_state_is_told_to_orders_once(state: PaymentState) -> None:
    """A request that leaves the payment where it is tells the order nothing a second time."""
    known = replace(_in(state), version=4)
    refund = Request(Kind.REFUND, "re-1", 100, state=R.FAILED)
    told = events(Snapshot(known, refund), ())
    assert StatusEvent(known, refund) == told[0]
    assert [] == [it for it in told if isinstance(it, OrderEvent)]


@pytest.mark.parametrize(("kind", "state"), list(product(REQUESTS, R)))
def test_a_request_tells_the_customer_what_its_row_says(kind: Kind, state: RequestState) -> None:
    """Where the payment stays as it is, the customer hears of refunds that wait or fail, and of nothing else."""
    known, request = replace(_in(S.CAPTURED), version=4), Request(kind, "it-1", 100, state=state)
    told = events(Snapshot(known, request), ())
    templates = [it.template for it in told if isinstance(it, NotificationEvent)]
    row = REQUEST_TELLS.get((kind, state))
    assert ([] if row is None else [row]) == templates
    assert (row is not None) == (kind is Kind.REFUND and state in {R.DEFERRED, R.UNKNOWN, R.FAILED})


@pytest.mark.parametrize("state", S)
def test_orders_are_told_only_what_is_decided(state: PaymentState) -> None:
    """Orders hear of success and failure, of an unknown or conflicted payment never; of each success once."""
    order_news, _ = TELLS[state]
    told_before = {S.SETTLED: OrderNews.PAID, S.VERIFIED: None}
    if SEEN[state] is not PaymentStatus.PENDING and state not in told_before:
        assert order_news is not None
    if state in {S.REQUESTED, S.UNKNOWN, S.CONFLICTED}:
        assert order_news is None


@pytest.mark.parametrize("state", S)
def test_a_customer_is_never_told_of_a_payment_what_is_not_so(state: PaymentState) -> None:
    """Received means that money came, refunded that it went back, and a failure is never called anything else."""
    _, template = TELLS[state]
    good = {
        Template.PAYMENT_RECEIVED,
        Template.PAYMENT_AUTHORIZED,
        Template.PAYMENT_REFUNDED,
    }
    bad = {Template.PAYMENT_DECLINED, Template.PAYMENT_FAILED, Template.PAYMENT_CANCELED}
    if template in good:
        assert PaymentStatus.SUCCESS is SEEN[state]
    if template in bad:
        assert PaymentStatus.FAILURE is SEEN[state]
