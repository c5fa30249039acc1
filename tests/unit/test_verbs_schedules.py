"""Schedules in which money was nearly lost, given twice or stuck: each claim here was broken when it was written.

A mark `finding` names one that still is; it is strict, so it goes with its flaw.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pytest

from handlers.decisions import Said
from handlers.domain.commands import RefundPayment
from handlers.domain.facts import Facts, Order, Sight, Standing
from handlers.domain.intents import Void
from handlers.domain.money import Money
from handlers.domain.payments import Payment, learn
from handlers.domain.recovery import Inquiry, Stage
from handlers.domain.states import PaymentState, RequestFact, RequestState
from handlers.domain.verdicts import Advice, NotYet, Reason
from handlers.orders import objection
from handlers.passage import Done, Parked
from handlers.plans import verb
from handlers.ports import OnePayment, OrderCheck
from tests.doubles.gateway import Reply
from tests.doubles.values import APPROVED, MIDNIGHT, RULES, UNKNOWN, command, operation
from tests.doubles.world import World, at_rules
from tests.unit.request_stage import (
    DENIED_BY_A_PERSON,
    RULED,
    TOTAL,
    Desk,
    asked,
    asking,
    authorized,
    balanced,
    capture,
    in_state,
    refund,
    settled,
    unsettled,
    verification,
    void,
)

S, R, G = PaymentState, RequestState, RequestFact
NOT_YET: Final = Reply(NotYet(Reason("327", "It has no void.", Advice.UNDECIDED)))
NOT_YET_SETTLED: Final = Reply(NotYet(Reason("54", "Not settled.", Advice.UNDECIDED)))
LATE: Final = Inquiry(9, 9, since=MIDNIGHT, until=MIDNIGHT, now=MIDNIGHT + timedelta(hours=1))


@pytest.mark.parametrize("make", [lambda: refund(200), verification], ids=["refund", "look"])
async def test_a_charge_that_was_voided_outside_while_two_refunds_wait(make: Any) -> None:
    """Two parts are deferred, somebody voids the charge in the merchant interface: the books stay lawful."""
    stage = unsettled()
    first, second = refund(100), refund(200)
    assert R.DEFERRED is (await stage.done(first)).state
    assert R.DEFERRED is (await stage.done(second)).state
    stage.row.stands(Standing.VOIDED)
    await stage.done(make() if make is verification else first.operation_id)
    assert balanced(stage.payment)


@pytest.mark.parametrize("make", [capture, void], ids=["capture", "void"])
async def test_a_second_attempt_without_an_answer_is_asked_for_like_the_first(make: Any) -> None:
    """Both requests were lost on their way: after the proof that the second is absent, a third attempt is made."""
    stage = authorized()
    at_rules(stage.world, absence_after_s=0.0)
    stage.world.gateway.replies.extend([Reply(UNKNOWN), Reply(UNKNOWN)])
    operation_id = stage.take(make())
    for _ in range(40):
        at = await stage.once(operation_id)
        if at.stage is Stage.CONCLUDED:
            break
        assert Stage.OPEN is not at.stage, (
            "what was told as unknown is asked for, whichever attempt it is"
        )
    assert R.PROCESSED is stage.request(operation_id).state


async def test_a_person_ends_a_second_attempt_without_an_answer() -> None:
    """Their word counts however often it was tried."""
    stage = authorized()
    at_rules(stage.world, absence_after_s=0.0)
    stage.world.gateway.replies.extend([Reply(UNKNOWN), Reply(UNKNOWN)])
    operation_id = stage.take(capture())
    while len(stage.world.gateway.sent) < 2:
        await stage.once(operation_id)
    row = stage.world.row(operation_id)
    row.operation = replace(row.operation, ruling=DENIED_BY_A_PERSON)
    for _ in range(2):
        await stage.once(operation_id)
    assert (R.FAILED, 2) == (stage.request(operation_id).state, len(stage.world.gateway.sent))
    assert 0 == stage.payment.capturing_minor


async def test_a_person_ends_a_refund_that_is_under_suspicion() -> None:
    """The journal lost time, the refund was told before, no list shows it: a person is asked, and must be heard."""
    stage = settled()
    operation_id = stage.take(refund(200), suspect=True, inquiry=LATE, ruling=DENIED_BY_A_PERSON)
    known = replace(stage.request(operation_id), state=R.UNKNOWN)
    stage.world.records.past[stage.payment.payment_id] = [known]
    for _ in range(4):
        await stage.once(operation_id)
    assert Stage.CONCLUDED is stage.at(operation_id).stage


async def test_a_refund_that_waited_when_time_was_lost_goes_on() -> None:
    """It was told to wait for the settlement, no list shows it: that is no end, so it is refunded by itself, once.

    Regression: PostgreSQL was away for longer than every lease. All refunds that waited for the night became suspects,
    the db-service knew of their waiting, and so each of them was left to a person.
    """
    stage = settled()
    at_rules(stage.world, absence_after_s=0.0)
    operation_id = stage.take(refund(200), suspect=True, inquiry=LATE)
    waiting = replace(stage.request(operation_id), state=R.DEFERRED)
    row = stage.world.row(operation_id)
    row.operation = replace(row.operation, request=waiting)
    stage.world.records.past[stage.payment.payment_id] = [waiting]
    await stage.done(operation_id)
    assert R.PROCESSED is stage.request(operation_id).state
    assert (200, 1) == (stage.refunded_minor(), len(stage.world.gateway.sent))


async def test_a_void_that_is_never_possible_is_no_loop() -> None:
    """The charge is unsettled and of a kind that has no void: the refund waits for the settlement."""
    stage = unsettled()
    stage.world.gateway.replies.extend([NOT_YET] * 3)
    whole = refund()
    asked_for: list[str] = [whole.operation_id]
    await stage.done(whole)
    for _ in range(2):
        follow_up = stage.commands()[-1][1]
        assert isinstance(follow_up, RefundPayment)
        asked_for.append(stage.goes_on(follow_up, after=asked_for[-1]))
        await stage.done(asked_for[-1])
    assert MIDNIGHT + timedelta(minutes=1) < stage.world.clock.at or 1 == len(stage.commands())


async def test_the_last_continuation_is_an_answer_too() -> None:
    """Whatever the gateway says to it, a verdict is judged and never a crash of the lane."""
    stage = unsettled()
    stage.world.gateway.replies.append(NOT_YET)
    request = await stage.done(refund(continuation=9))
    assert request.state in {R.DEFERRED, R.FAILED}


async def test_a_strangers_void_after_a_loss_of_time_moves_no_money() -> None:
    """It was denied in the lost time; now the charge is settled, and no refund follows from a stranger's command."""
    stage = settled()
    operation_id = stage.take(void(user_id="somebody-else"), suspect=True, inquiry=LATE)
    await stage.once(operation_id)
    assert [] == stage.commands()


async def test_a_refund_found_before_its_capture_is_not_lost() -> None:
    """The journal lost time and meets the refund first: what went back is counted, or is a person's case."""
    stage = authorized()
    stage.world.gateway.has("77", Standing.SETTLED, original="60001", money=Money(200, "USD"))
    operation_id = stage.take(refund(200), suspect=True, inquiry=replace(LATE, transaction_id="77"))
    await stage.once(operation_id)
    assert stage.refunded_minor() == stage.payment.refunded_minor or (
        S.CONFLICTED is stage.payment.state
    )


async def test_a_ruling_is_not_lost_with_time() -> None:
    """A person's word in a command that the journal forgot still ends the conflict."""
    stage = Desk(in_state(S.CONFLICTED), Standing.TAKEN)
    word = verification(replace(RULED, version=stage.payment.version))
    await stage.done(stage.take(word, suspect=True, inquiry=LATE))
    assert S.CAPTURED is stage.payment.state


def test_the_refund_of_a_void_has_one_id_whatever_the_attempt() -> None:
    """One void is followed by one refund, however often the void was tried before the settlement overtook it."""
    of = replace(asked(void(), in_state(S.CAPTURED)), tried=Void.about)
    ids = {
        getattr(news.follow_up, "refund_id", None)
        for news in (
            verb(of.command).judge(replace(of, attempt=n), NOT_YET.says, rules=RULES, now=MIDNIGHT)  # type: ignore[arg-type]  # it is a NotYet, which no gate holds back
            for n in (1, 2)
        )
    }
    assert 1 == len(ids)


async def test_a_void_that_was_overtaken_gives_the_rest_back() -> None:
    """The void promised the money back; a part of it was refunded before the command came: the rest follows."""
    stage = unsettled()
    stage.world.power.before["send"] = stage.settle
    late = void()
    await stage.done(late)
    stage.world.power.before.clear()
    [(_, follow_up)] = stage.commands()
    assert R.PROCESSED is (await stage.done(refund(200))).state
    await stage.done(stage.goes_on(follow_up, after=late.operation_id))
    assert TOTAL == stage.refunded_minor()


def test_a_void_never_gives_back_more_than_was_asked() -> None:
    """More was captured outside than we know of: a refund of what we know is no void of all of it."""
    of = asked(refund(), in_state(S.CAPTURED))
    sight = Sight("60001", Standing.TAKEN, Money(5 * TOTAL, "USD"), "captured")
    plan = verb(of.command).plan(of, Facts(sight=sight), rules=RULES, now=MIDNIGHT)
    assert not isinstance(plan, Void)


def test_a_capture_above_the_authorisation_is_a_conflict() -> None:
    """P2 for captures of others: a verification shows more than was authorised, which a person must see."""
    of = asked(verification(), in_state(S.AUTHORIZED))
    sight = Sight("60001", Standing.TAKEN, Money(TOTAL + 1, "USD"), "captured")
    plan = verb(of.command).plan(of, Facts(sight=sight), rules=RULES, now=MIDNIGHT)
    assert isinstance(plan, Said)
    told = learn(of.snapshot, plan.news)
    assert told is not None
    assert S.CONFLICTED is told.payment.state


async def test_a_word_about_a_refund_is_no_word_about_the_charge() -> None:
    """A refund of another amount made the conflict: a person's no must not tell the order that nothing was paid."""
    stage = settled()
    odd = replace(APPROVED, transaction_id="77", amount_minor=50, currency="USD")
    stage.world.gateway.replies.append(Reply(odd))
    assert R.CONFLICTED is (await stage.done(refund(200))).state
    word = replace(DENIED_BY_A_PERSON, version=stage.payment.version)
    await stage.done(verification(word))
    assert S.FAILED is not stage.payment.state


async def test_a_missing_account_is_not_a_missing_charge() -> None:
    """Nobody can be asked: it waits until the account is configured again, as an open charge does."""
    stage = settled()
    at_rules(stage.world, merchant_accounts={})
    operation_id = stage.take(refund(200))
    row = stage.world.row(operation_id)
    assert row.operation.origin is not None
    origin = replace(row.operation.origin, merchant_account="")
    row.operation = replace(row.operation, origin=origin)
    for _ in range(12):
        await stage.once(operation_id)
    assert R.FAILED is not stage.request(operation_id).state


@pytest.mark.parametrize("one_payment", [OnePayment.SHADOW, OnePayment.OFF])
def test_a_paid_order_is_no_licence_for_any_amount(one_payment: OnePayment) -> None:
    """A second payment may be allowed; one of another currency than the order's is a mistake all the same."""
    rules = replace(RULES, order_check=OrderCheck.STRICT, one_payment=one_payment)
    mine = command()
    paid = Order(mine.order_id, mine.user_id, "paid", Money(1234, "CAD"), paid_minor=1234)
    assert objection(mine, paid, rules=rules) is not None


async def test_a_day_that_moves_is_told() -> None:
    """Promised for tonight's batch, which failed: whoever reads the refund sees the day on which it goes on now."""
    stage = unsettled()
    stage.world.gateway.settles_at = MIDNIGHT + timedelta(hours=9)
    part = refund(200)
    await stage.done(part)
    stage.world.gateway.settles_at = MIDNIGHT + timedelta(hours=33)
    await stage.done(part.operation_id)
    assert stage.request(part.operation_id).due_at == stage.world.gateway.settles_at


async def test_a_suspect_refund_without_an_account_is_not_trusted() -> None:
    """It went out in the lost time; its account is configured again later: it is found, and never sent again."""
    stage = settled()
    stage.world.gateway.has("77", Standing.SETTLED, original="60001", money=Money(200, "USD"))
    operation_id = stage.take(refund(200), suspect=True)
    row = stage.world.row(operation_id)
    assert row.operation.origin is not None
    origin = replace(row.operation.origin, merchant_account="")
    row.operation = replace(row.operation, origin=origin)
    at_rules(stage.world, merchant_accounts={})
    await stage.once(operation_id)
    at_rules(stage.world, merchant_accounts={"USD": "main"})
    stage.world.gateway.book["77"].invoice_number = _number_of(stage, operation_id)
    await stage.done(operation_id)
    assert 200 == stage.refunded_minor()


def _number_of(stage: Desk, operation_id: str) -> str:
    """The number under which this refund is sent, and was."""
    of = stage.at(operation_id)
    assert of.inquiry is not None
    question = verb(of.command).question(of, of.inquiry, rules=RULES)
    assert question is not None
    return question.invoice_number


async def test_a_word_about_a_charge_under_suspicion_is_told() -> None:
    """The journal lost time, and a person says that the charge did not happen: it fails, and everybody hears it."""
    world = World()
    of = world.journal.admit(operation(suspect=True, ruling=DENIED_BY_A_PERSON))
    await world.carry(of)
    known = world.payment(of.operation_id)
    assert (S.FAILED, 1) == (known.state, world.statuses())


async def test_a_refund_found_beside_the_reserves_of_others_is_lawful() -> None:
    """The journal lost a refund, gave its money to another one that waits, and finds it: the books stay lawful."""
    stage = settled()
    stage.payment = replace(stage.payment, refunding_minor=TOTAL)
    stage.world.gateway.has("77", Standing.SETTLED, original="60001", money=Money(200, "USD"))
    late = replace(LATE, transaction_id="77")
    await stage.once(stage.take(refund(200), suspect=True, inquiry=late))
    assert balanced(stage.payment)


async def test_a_refund_of_too_much_beside_the_reserves_of_others_is_lawful() -> None:
    """Two refunds wait; the gateway gives more back for the first than was asked: the conflict can be written down."""
    stage = Desk(in_state(S.SETTLED, refunding_minor=1000), Standing.SETTLED)
    odd = replace(APPROVED, transaction_id="77", amount_minor=1200, currency="USD")
    stage.world.gateway.replies.append(Reply(odd))
    await stage.done(refund(200))
    assert balanced(stage.payment)


async def test_a_person_ends_a_refund_that_never_qualifies() -> None:
    """Reason 54 for ever, and somebody decides that it did not happen: it fails, and is not tried again."""
    stage = settled()
    stage.world.gateway.replies.extend([NOT_YET_SETTLED] * 4)
    part = refund(200)
    await stage.done(part)
    for _ in range(3):
        await stage.done(part.operation_id)
    row = stage.world.row(part.operation_id)
    row.operation = replace(row.operation, ruling=DENIED_BY_A_PERSON)
    await stage.done(part.operation_id)
    assert (R.FAILED, 4) == (stage.request(part.operation_id).state, len(stage.world.gateway.sent))


_DO: Final = (
    "a person must",
    "another way",
    "ask for",
    "compare",
    "look at",
    "publish",
    "start a new payment",
    "verify",
)


def denials() -> list[tuple[str, str]]:
    """(code, text) of each denial that a request meets, by what is known or by how its charge stands."""
    found: dict[str, str] = {}
    commands = (capture(), capture(TOTAL + 1), void(), refund(), refund(1), refund(TOTAL + 1))
    strange = (refund(1, money=Money(1, "EUR")), void(user_id="somebody-else"))
    for state in S:
        known: Payment = in_state(state)
        for payment in (known, replace(known, refunding_minor=1)):
            for of in (asked(it, payment, inquiry=LATE) for it in (*commands, *strange)):
                sights = [
                    Sight("60001", standing, payment.money, standing) for standing in Standing
                ]
                for sight in (None, *sights):
                    facts = Facts(sight=sight, unseen="not in the list")
                    plan = verb(of.command).plan(of, facts, rules=RULES, now=MIDNIGHT)
                    if isinstance(plan, Said) and plan.news.asked is G.DENIED:
                        found.setdefault(plan.news.reason.code, plan.news.reason.text)
    return sorted(found.items())


def test_every_denial_says_what_to_do() -> None:
    """Whoever reads it alone, at night, knows the next step."""
    dumb = [code for code, text in denials() if not any(it in text.lower() for it in _DO)]
    assert [] == dumb


@pytest.mark.parametrize("make", [capture, void, lambda: refund(200)])
async def test_the_stage_itself_is_sound(make: Any) -> None:
    """The schedules above fail by the heart and not by their stage: without the flaw's cause each ends well."""
    stage = settled() if make not in {capture, void} else authorized()
    operation_id = stage.take(make())
    ending = await stage.world.again(operation_id)
    assert isinstance(ending, Done | Parked)
    assert not asking(stage.at(operation_id))
    assert R.PROCESSED is stage.request(operation_id).state
