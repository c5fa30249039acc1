"""What the finder sees after the end: a charge that shows up late, a settlement, the bank's refusal at settlement."""

from dataclasses import replace
from typing import Final

import pytest

from handlers.decisions import Said
from handlers.domain.commands import Settlement, VerifyPayment, VoidPayment
from handlers.domain.facts import Facts, Needs, Sight, Standing
from handlers.domain.money import Money
from handlers.domain.payments import News, Payment, learn
from handlers.domain.recovery import Stage
from handlers.domain.states import Fact, PaymentState, RequestFact, RequestState
from handlers.domain.verdicts import Advice
from handlers.plans import verb
from handlers.ports import LateCharge
from tests.doubles.values import APPROVED, MIDNIGHT, RULES
from tests.unit.request_stage import TOTAL, Desk, asked, in_state, refund, unsettled, verification

S, T = PaymentState, Standing
OURS: Final = APPROVED.transaction_id
PAID: Final = Money(TOTAL, "USD")
TOLD_NO: Final = (S.DECLINED, S.REFUSED, S.FAILED)
SETTLED: Final = Settlement(OURS, PAID)


def news_of(
    known: Payment,
    *,
    standing: Standing | None = None,
    settlement: Settlement | None = None,
    late: LateCharge = LateCharge.VOID,
) -> News:
    """What the verb makes of a sight, or of what the finder carries."""
    of = asked(verification(settlement=settlement), known)
    sight = None if standing is None else Sight(OURS, standing, PAID, f"status-{standing}")
    rules = replace(RULES, late_charge=late)
    plan = verb(of.command).plan(of, Facts(sight=sight), rules=rules, now=MIDNIGHT)
    assert isinstance(plan, Said)
    return plan.news


def after(known: Payment, news: News) -> Payment:
    """The payment with this news."""
    told = learn(asked(verification(), known).snapshot, news)
    assert told is not None
    return told.payment


@pytest.mark.parametrize("standing", [T.RESERVED, T.TAKEN])
@pytest.mark.parametrize("state", TOLD_NO)
def test_a_late_charge_is_told_and_let_go(state: PaymentState, standing: Standing) -> None:
    """The customer was told no: it is conflicted at once, and a void of its own goes after it."""
    known = in_state(state, transaction_id=None)
    news = news_of(known, standing=standing)
    assert (S.CONFLICTED, OURS) == (
        after(known, news).state,
        after(known, news).transaction_id,
    )
    assert isinstance(news.follow_up, VoidPayment)
    assert (known.payment_id, f"late-{OURS}") == (news.follow_up.payment_id, news.follow_up.void_id)
    assert news.follow_up == news_of(known, standing=standing).follow_up  # seen again: the same one


@pytest.mark.parametrize("standing", [T.RESERVED, T.TAKEN])
@pytest.mark.parametrize("state", TOLD_NO)
def test_a_late_charge_is_a_persons_where_the_rule_says_so(
    state: PaymentState, standing: Standing
) -> None:
    """Told as conflicted all the same; nothing is done to it."""
    known = in_state(state, transaction_id=None)
    news = news_of(known, standing=standing, late=LateCharge.REVIEW)
    assert S.CONFLICTED is after(known, news).state
    assert news.follow_up is None


@pytest.mark.parametrize("state", TOLD_NO)
def test_what_is_settled_is_never_let_go(state: PaymentState) -> None:
    """Nobody can void it: refunded or delivered, that is for a person."""
    known = in_state(state, transaction_id=None)
    news = news_of(known, standing=T.SETTLED)
    assert S.CONFLICTED is after(known, news).state
    assert news.follow_up is None


@pytest.mark.parametrize("standing", Standing)
@pytest.mark.parametrize("state", sorted(set(S) - set(TOLD_NO)))
def test_nothing_else_is_let_go(state: PaymentState, standing: Standing) -> None:
    """Only a charge whose payment was told as failed is voided without anybody asking for it."""
    news = news_of(in_state(state), standing=standing)
    assert not isinstance(news.follow_up, VoidPayment)


async def test_a_late_charge_ends_void() -> None:
    """The whole way: told as failed, seen as captured, conflicted, voided by a command of our own, each told once."""
    stage = Desk(in_state(S.FAILED), Standing.TAKEN)
    stage.row.stands(Standing.TAKEN, PAID)
    await stage.done(verification())
    assert S.CONFLICTED is stage.payment.state
    [(_, command)] = stage.commands()
    let_go = stage.goes_on(command, after="")
    assert RequestState.PROCESSED is (await stage.done(let_go)).state
    assert (S.VOIDED, Standing.VOIDED) == (stage.payment.state, stage.row.standing)
    assert [] == stage.world.twice()


async def test_a_settlement_needs_no_look() -> None:
    """What the finder read in a batch is believed: there may be a hundred thousand a night."""
    stage = unsettled()
    told = await stage.done(verification(settlement=SETTLED))
    assert (S.SETTLED, RequestState.PROCESSED) == (stage.payment.state, told.state)
    assert [] == stage.world.gateway.looked
    assert TOTAL == stage.payment.captured_minor


def test_who_carries_a_settlement_asks_nobody() -> None:
    """A plain verification of the same payment looks; this one does not."""
    known = in_state(S.CAPTURED)
    carried = asked(verification(settlement=SETTLED), known)
    assert Needs() == verb(carried.command).needs(carried, rules=RULES)
    plain = asked(verification(), known)
    assert verb(plain.command).needs(plain, rules=RULES).look is not None


@pytest.mark.parametrize(
    "money", [Money(TOTAL - 1, "USD"), Money(TOTAL + 1, "USD"), Money(TOTAL, "CAD")]
)
def test_a_settlement_of_another_amount_contradicts(money: Money) -> None:
    """What was settled is not what we captured: conflicted, for a person; our totals stay what we know."""
    known = in_state(S.CAPTURED)
    news = news_of(known, settlement=Settlement(OURS, money))
    moved = after(known, news)
    assert (S.CONFLICTED, TOTAL, Advice.REVIEW) == (
        moved.state,
        moved.captured_minor,
        moved.reason.advice,
    )
    assert "worker.amount_differs" == news.reason.code
    assert news.follow_up is None


async def test_a_settlement_does_not_undo_what_came_after_it() -> None:
    """It stood in line behind a refund: the payment stays refunded, and who asks is answered."""
    stage = unsettled()
    carried = stage.take(verification(settlement=SETTLED))
    stage.row.stands(Standing.SETTLED)
    stage.payment = replace(stage.payment, state=S.SETTLED)
    await stage.done(refund(200))
    assert S.PARTIALLY_REFUNDED is stage.payment.state
    await stage.once(carried)
    assert (S.PARTIALLY_REFUNDED, 200) == (stage.payment.state, stage.payment.refunded_minor)
    assert Stage.CONCLUDED is stage.at(carried).stage


@pytest.mark.parametrize("by_carrying", [True, False])
def test_what_was_captured_without_us_is_told_before_it_is_told_as_settled(
    *, by_carrying: bool
) -> None:
    """The order must hear that it is paid; that it is settled is asked for by a command that follows."""
    known = in_state(S.AUTHORIZED)
    carried = {"settlement": SETTLED} if by_carrying else {"standing": T.SETTLED}
    news = news_of(known, **carried)
    assert (S.CAPTURED, TOTAL) == (after(known, news).state, after(known, news).captured_minor)
    assert isinstance(news.follow_up, VerifyPayment)
    assert (known.payment_id, None) == (news.follow_up.payment_id, news.follow_up.settlement)
    settled = news_of(after(known, news), standing=T.SETTLED)
    assert (Fact.SETTLED, None) == (settled.fact, settled.follow_up)


def test_the_bank_refuses_at_settlement() -> None:
    """It was told as paid, and no money came: voided, and the reason says what to do."""
    known = in_state(S.CAPTURED)
    news = news_of(known, standing=T.DECLINED)
    moved = after(known, news)
    assert (S.VOIDED, 0) == (moved.state, moved.captured_minor)
    assert ("worker.not_settled", Advice.SOFT) == (news.reason.code, news.reason.advice)
    assert "Start a new payment" in news.reason.text


@pytest.mark.parametrize("state", sorted(set(S) - {S.CAPTURED}))
def test_a_decline_takes_nothing_else_away(state: PaymentState) -> None:
    """Of what is settled, reserved or over, a declined row is no news."""
    news = news_of(in_state(state), standing=T.DECLINED)
    assert (None, RequestFact.DONE) == (news.fact, news.asked)


@pytest.mark.parametrize("standing", [T.RESERVED, T.TAKEN, T.SETTLED, T.HELD])
@pytest.mark.parametrize("state", [S.AUTHORIZED, S.CAPTURED, S.SETTLED, S.REFUNDED, S.VOIDED])
def test_a_second_charge_contradicts(state: PaymentState, standing: Standing) -> None:
    """Another transaction lives under the number of a payment that was answered: a person decides, none is voided."""
    known = in_state(state, transaction_id="60002")
    news = news_of(known, standing=standing)
    assert (S.CONFLICTED, "60002") == (
        after(known, news).state,
        after(known, news).transaction_id,
    )
    assert "worker.charged_twice" == news.reason.code
    assert OURS in news.reason.text
    assert news.follow_up is None


def test_another_transaction_is_looked_at_itself() -> None:
    """What the finder saw is looked at, and not the transaction that we know."""
    of = asked(verification(other="60007"), in_state(S.CAPTURED))
    looked = verb(of.command).needs(of, rules=RULES).look
    assert looked is not None
    assert "60007" == looked.transaction_id
