"""The verb of a verification: what each standing adds to each state, and what a person's word about a payment does."""

from dataclasses import replace
from typing import Final

import pytest

from handlers.decisions import Again, Said
from handlers.domain.commands import Ruling
from handlers.domain.facts import Facts, Needs, Sight, Standing
from handlers.domain.money import Money
from handlers.domain.payments import News, Payment, learn
from handlers.domain.states import PaymentState, RequestFact, RequestState
from handlers.domain.verdicts import Advice
from handlers.plans import verb
from handlers.ports import Operation
from tests.doubles.values import APPROVED, MIDNIGHT, PROVEN, RULES, UNKNOWN
from tests.unit.request_stage import (
    DENIED_BY_A_PERSON,
    RULED,
    TOTAL,
    asked,
    in_state,
    verification,
)

S, G = PaymentState, RequestFact
# (state, standing) → state: the whole list of what a look at the same amount improves.
IMPROVES: Final = {
    (S.CAPTURED, Standing.DECLINED): S.VOIDED,  # refused when it was to be settled
    **{
        (state, standing): S.CONFLICTED
        for state in (S.DECLINED, S.REFUSED, S.FAILED)
        for standing in (Standing.RESERVED, Standing.TAKEN, Standing.SETTLED)
    },
    **{
        (state, standing): S.CONFLICTED
        for state in (S.VOIDED, S.EXPIRED, S.VERIFIED)
        for standing in (Standing.TAKEN, Standing.SETTLED)
    },
    (S.REQUESTED, Standing.RESERVED): S.AUTHORIZED,
    (S.REQUESTED, Standing.TAKEN): S.CAPTURED,
    (S.UNKNOWN, Standing.RESERVED): S.AUTHORIZED,
    (S.UNKNOWN, Standing.TAKEN): S.CAPTURED,
    (S.HELD, Standing.RESERVED): S.AUTHORIZED,
    (S.HELD, Standing.TAKEN): S.CAPTURED,
    (S.AUTHORIZED, Standing.TAKEN): S.CAPTURED,
    (S.AUTHORIZED, Standing.SETTLED): S.CAPTURED,  # captured without us comes first, and is told
    (S.AUTHORIZED, Standing.VOIDED): S.VOIDED,
    (S.AUTHORIZED, Standing.EXPIRED): S.EXPIRED,
    (S.VERIFIED, Standing.VOIDED): S.VERIFIED,
    (S.VERIFIED, Standing.EXPIRED): S.VERIFIED,
    (S.CAPTURED, Standing.SETTLED): S.SETTLED,
    (S.CAPTURED, Standing.VOIDED): S.VOIDED,
    **{
        (state, standing): to
        for state in (S.CAPTURED, S.SETTLED, S.PARTIALLY_REFUNDED)
        for standing, to in (
            (Standing.RETURNED, S.RETURNED),
            (Standing.CHARGED_BACK, S.CHARGED_BACK),
        )
    },
    (S.REFUNDED, Standing.CHARGED_BACK): S.CHARGED_BACK,
    (S.CONFLICTED, Standing.VOIDED): S.VOIDED,
    (S.CONFLICTED, Standing.EXPIRED): S.EXPIRED,
}


def seen(known: Payment, sight: Sight | None, *, unseen: str = "") -> News:
    """What a look says of a payment."""
    of = asked(verification(), known)
    plan = verb(of.command).plan(of, Facts(sight=sight, unseen=unseen), rules=RULES, now=MIDNIGHT)
    assert isinstance(plan, Said)
    return plan.news


def sight(standing: Standing, money: Money | None = Money(TOTAL, "USD")) -> Sight:  # noqa: B008 - a frozen value
    """The charge as it stands."""
    return Sight("60001", standing, money, f"status-{standing}")


def after(of: Operation, news: News) -> Payment:
    """The payment after it; the request is done."""
    told = learn(of.snapshot, news)
    assert told is not None
    assert told.request is not None
    assert RequestState.PROCESSED is told.request.state
    return told.payment


@pytest.mark.parametrize("standing", Standing)
@pytest.mark.parametrize("state", S)
def test_a_look_only_improves(state: PaymentState, standing: Standing) -> None:
    """Every state with every standing: it moves as the list says, else it stays, and is answered all the same."""
    known = in_state(state)
    news = seen(known, sight(standing))
    moved = after(asked(verification(), known), news)
    assert IMPROVES.get((state, standing), state) is moved.state
    assert known.version + 1 == moved.version
    assert known.refunded_minor == moved.refunded_minor


@pytest.mark.parametrize("money", [Money(TOTAL - 1, "USD"), Money(TOTAL, "CAD"), None])
@pytest.mark.parametrize("standing", [Standing.TAKEN, Standing.SETTLED])
@pytest.mark.parametrize("state", [S.CAPTURED, S.SETTLED, S.PARTIALLY_REFUNDED, S.REFUNDED])
def test_another_amount_than_ours_is_a_conflict(
    state: PaymentState, standing: Standing, money: Money | None
) -> None:
    """What is captured there is not what we know of: a person's case, and our totals stay what we know."""
    known = in_state(state)
    news = seen(known, sight(standing, money))
    moved = after(asked(verification(), known), news)
    assert (S.CONFLICTED, known.captured_minor) == (moved.state, moved.captured_minor)
    assert Advice.REVIEW is moved.reason.advice


@pytest.mark.parametrize("minor", [1000, TOTAL])
def test_a_capture_without_us_is_learned_with_its_amount(minor: int) -> None:
    """Somebody captured it in the merchant interface, perhaps in part: that much may be refunded."""
    known = in_state(S.AUTHORIZED)
    news = seen(known, sight(Standing.TAKEN, Money(minor, "USD")))
    moved = after(asked(verification(), known), news)
    assert (S.CAPTURED, minor, TOTAL) == (
        moved.state,
        moved.captured_minor,
        moved.authorised_minor,
    )


def test_nothing_seen_is_answered() -> None:
    """The one who asks hears that the gateway does not show it, and why; the payment stays as it was."""
    known = in_state(S.CAPTURED)
    news = seen(known, None, unseen="the list moved")
    assert (None, G.DONE, "the list moved") == (news.fact, news.asked, news.reason.text)
    assert "ever sent" in seen(in_state(S.REFUSED), None).reason.text


def test_what_was_never_opened_is_not_looked_for() -> None:
    """No gateway knows of it; nor is it asked where a person has decided."""
    of = asked(verification(), in_state(S.REFUSED, transaction_id=None))
    assert of.origin is not None
    never = replace(of, origin=replace(of.origin, invoice_number=""))
    assert Needs() == verb(of.command).needs(never, rules=RULES)
    assert verb(of.command).needs(of, rules=RULES).look is not None
    ruled = asked(verification(RULED), in_state(S.CONFLICTED))
    assert Needs() == verb(of.command).needs(ruled, rules=RULES)


@pytest.mark.parametrize(
    ("ruling", "captured_minor", "state"),
    [
        (RULED, TOTAL, S.CAPTURED),
        (RULED, 0, S.AUTHORIZED),
        (DENIED_BY_A_PERSON, 0, S.FAILED),
    ],
)
def test_a_person_ends_a_conflict(ruling: Ruling, captured_minor: int, state: PaymentState) -> None:
    """Taken or reserved by what is known of it, or not charged at all."""
    known = in_state(S.CONFLICTED, captured_minor=captured_minor)
    of = asked(verification(replace(ruling, version=known.version)), known)
    plan = verb(of.command).plan(of, Facts(), rules=RULES, now=MIDNIGHT)
    assert isinstance(plan, Said)
    assert state is after(of, plan.news).state
    assert "worker.ruled" == plan.news.reason.code


@pytest.mark.parametrize("state", sorted(set(S) - {S.CONFLICTED}))
def test_a_person_rules_on_nothing_that_is_decided(state: PaymentState) -> None:
    """A word about what is in no conflict changes nothing, and says so."""
    known = in_state(state)
    of = asked(verification(replace(DENIED_BY_A_PERSON, version=known.version)), known)
    plan = verb(of.command).plan(of, Facts(), rules=RULES, now=MIDNIGHT)
    assert isinstance(plan, Said)
    assert (None, G.DENIED) == (plan.news.fact, plan.news.asked)
    assert state.value in plan.news.reason.text


@pytest.mark.parametrize("ruling", [RULED, DENIED_BY_A_PERSON])
@pytest.mark.parametrize("behind", [-1, 1])
def test_a_word_about_what_has_moved_on_does_not_count(behind: int, ruling: Ruling) -> None:
    """A person saw another version than there is now: nothing is done, and they are told to look again."""
    known = in_state(S.CONFLICTED, version=7)
    of = asked(verification(replace(ruling, version=known.version + behind)), known)
    plan = verb(of.command).plan(of, Facts(), rules=RULES, now=MIDNIGHT)
    assert isinstance(plan, Said)
    assert (None, G.DENIED, "worker.overtaken") == (
        plan.news.fact,
        plan.news.asked,
        plan.news.reason.code,
    )
    assert "look at it again" in plan.news.reason.text


@pytest.mark.parametrize("state", [S.CONFLICTED, S.CAPTURED, S.FAILED])
def test_a_word_about_an_operation_is_no_word_about_its_payment(state: PaymentState) -> None:
    """It was applied while that operation was undecided, or came too late: the payment stays as it is."""
    known = in_state(state)
    ruling = replace(DENIED_BY_A_PERSON, about="refund:re-1", version=known.version)
    of = asked(verification(ruling), known)
    plan = verb(of.command).plan(of, Facts(), rules=RULES, now=MIDNIGHT)
    assert isinstance(plan, Said)
    assert (None, G.DONE) == (plan.news.fact, plan.news.asked)
    assert "refund:re-1" in plan.news.reason.text


def test_after_a_loss_of_time_it_looks_again_and_ends() -> None:
    """It sends nothing: whatever the gateway says of the charge, it may be repeated, and ends."""
    of = asked(verification(), in_state(S.CAPTURED), suspect=True)
    its = verb(of.command)
    assert G.DONE is its.judge(of, APPROVED, rules=RULES, now=MIDNIGHT).asked
    assert G.UNDECIDED is its.judge(of, UNKNOWN, rules=RULES, now=MIDNIGHT).asked
    assert G.DONE is its.silence(of).asked
    assert Again() == its.absence(of, PROVEN)
    assert its.rule(of, RULED) is None
