"""The passage of requests on doubles: each verb's way from command to the last event, and what it waits for.

What waits is `test_passage_requests_waits.py`, power cuts are `test_passage_requests_crashes.py`.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final

import pytest

from handlers.domain.commands import Mode, RefundPayment, Request, VoidPayment
from handlers.domain.facts import Standing
from handlers.domain.intents import About, Refund, Void
from handlers.domain.money import Money
from handlers.domain.recovery import Stage
from handlers.domain.states import PaymentState, RequestState
from handlers.domain.verdicts import Advice, Found, NotSeen, NotYet, Reason
from tests.doubles.gateway import Reply
from tests.doubles.values import (
    APPROVED,
    MIDNIGHT,
    RESERVED,
    UNKNOWN,
    command,
    operation,
)
from tests.doubles.world import World, at_rules
from tests.unit.request_stage import (
    DENIED_BY_A_PERSON,
    PAYMENT_ID,
    RULED,
    TOTAL,
    Desk,
    asking,
    authorized,
    balanced,
    capture,
    refund,
    settled,
    unsettled,
    verification,
    void,
)
from worker.routes import NOTIFICATIONS, ORDERS, REFUND, STATUS, VOID

S, R = PaymentState, RequestState
ALL: Final = [STATUS, ORDERS, NOTIFICATIONS]
CARRIED: Final = ["open", "send", "answer", "record", "conclude"]
SAID: Final = ["answer", "record", "conclude"]
NOT_YET: Final = Reply(NotYet(Reason("54", "Not settled.", Advice.UNDECIDED)))
HIDDEN: Final = NotSeen(complete=False, why="the list moved", evidence={"scanned": 2})


@pytest.mark.parametrize(
    ("desk", "make", "state", "standing", "about"),
    [
        (authorized, capture, S.CAPTURED, Standing.TAKEN, About.CAPTURE),
        (authorized, lambda: capture(1), S.CAPTURED, Standing.TAKEN, About.CAPTURE),
        (authorized, void, S.VOIDED, Standing.VOIDED, About.VOID),
        (unsettled, void, S.VOIDED, Standing.VOIDED, About.VOID),
        (unsettled, refund, S.REFUNDED, Standing.VOIDED, About.VOID),
        (settled, refund, S.REFUNDED, Standing.SETTLED, About.REFUND),
        (settled, lambda: refund(1), S.PARTIALLY_REFUNDED, Standing.SETTLED, About.REFUND),
    ],
)
async def test_each_verb_goes_the_whole_way(
    desk: Callable[[], Desk],
    make: Callable[[], Request],
    *,
    state: PaymentState,
    standing: Standing,
    about: About,
) -> None:
    """Looked at, opened, sent once, answered, recorded and told, in this order; nothing stays reserved."""
    stage = desk()
    request = await stage.done(make())
    assert R.PROCESSED is request.state
    assert CARRIED == stage.world.power.calls
    assert "look" == stage.world.power.passed[0]
    assert [about] == [intent.about for intent in stage.world.gateway.sent]
    assert (state, standing) == (stage.payment.state, stage.row.standing)
    assert ALL == stage.world.told()
    assert balanced(stage.payment)
    assert (0, 0) == (stage.payment.capturing_minor, stage.payment.refunding_minor)
    assert stage.payment == stage.world.records.stored[PAYMENT_ID][0]
    assert stage.refunded_minor() == stage.payment.refunded_minor or state is S.VOIDED


async def test_a_verification_answers_with_what_the_gateway_shows() -> None:
    """Nothing is sent; the snapshot is told, with the news where there is any, and without where there is none."""
    stage = unsettled()
    stage.settle()
    for version in (2, 3):
        assert R.PROCESSED is (await stage.done(verification())).state
        assert (S.SETTLED, version) == (stage.payment.state, stage.payment.version)
    assert [] == stage.world.gateway.sent
    assert [STATUS, STATUS] == stage.world.told()


@pytest.mark.parametrize(
    ("desk", "make", "state"),
    [
        (authorized, lambda: capture(TOTAL + 1), S.AUTHORIZED),
        (settled, capture, S.SETTLED),
        (settled, void, S.SETTLED),
        (authorized, refund, S.AUTHORIZED),
        (settled, lambda: refund(TOTAL + 1), S.SETTLED),
        (settled, lambda: refund(user_id="somebody-else"), S.SETTLED),
        (unsettled, lambda: verification(RULED), S.CAPTURED),
    ],
)
async def test_a_denial_is_told_and_nothing_is_sent(
    desk: Callable[[], Desk], make: Callable[[], Request], state: PaymentState
) -> None:
    """What we know forbids it: no look, no intent; the payment stays as it was, under a new version."""
    stage = desk()
    request = await stage.done(make())
    assert (R.FAILED, 0) == (request.state, request.reserved_minor)
    assert SAID == stage.world.power.calls
    assert [] == stage.world.gateway.looked
    assert (state, 2) == (stage.payment.state, stage.payment.version)
    assert STATUS == stage.world.told()[0]
    assert ORDERS not in stage.world.told()


async def test_a_part_of_what_is_not_settled_waits_and_goes_on_by_itself() -> None:
    """Told as initiated with its day, its money reserved, the payment free for others; after the batch it goes out."""
    stage = unsettled()
    through = MIDNIGHT + timedelta(hours=9)
    stage.world.gateway.settles_at = through
    part = refund(200)
    request = await stage.done(part)
    assert (R.DEFERRED, through, 200) == (request.state, request.due_at, request.reserved_minor)
    assert 200 == stage.payment.refunding_minor
    assert (Stage.DEFERRED, through) == (
        stage.at(part.operation_id).stage,
        stage.world.row(part.operation_id).due_at,
    )
    assert [STATUS, NOTIFICATIONS] == stage.world.told()
    assert R.FAILED is (await stage.done(refund(TOTAL - 199))).state
    assert R.FAILED is (await stage.done(void())).state
    stage.settle()
    assert R.PROCESSED is (await stage.done(part.operation_id)).state
    assert (200, 0) == (stage.payment.refunded_minor, stage.payment.refunding_minor)
    assert 200 == stage.refunded_minor()
    assert [Refund] == [type(it) for it in stage.world.gateway.sent]


async def test_a_deferral_that_is_asked_for_early_waits_on_untold() -> None:
    """A verification makes it due now: the charge is still not settled, so it waits for the same day, told once."""
    stage = unsettled()
    stage.world.gateway.settles_at = MIDNIGHT + timedelta(hours=9)
    part = refund(200)
    await stage.done(part)
    told = stage.world.told()
    stage.world.row(part.operation_id).due_at = stage.world.clock.at
    assert R.DEFERRED is (await stage.done(part.operation_id)).state
    assert stage.world.gateway.settles_at == stage.world.row(part.operation_id).due_at
    assert told == stage.world.told()
    assert 200 == stage.payment.refunding_minor


async def test_not_settled_yet_is_a_deferral() -> None:
    """Reason 54 after a look that said settled: it is tried again, as the next attempt, and told as initiated."""
    stage = settled()
    stage.world.gateway.replies.append(NOT_YET)
    part = refund(200)
    request = await stage.done(part)
    assert (R.DEFERRED, 200) == (request.state, stage.payment.refunding_minor)
    assert R.PROCESSED is (await stage.done(part.operation_id)).state
    assert [1, 2] == [it.attempt for it in stage.world.gateway.sent]
    assert 200 == stage.refunded_minor() == stage.payment.refunded_minor


async def test_reason_54_again_and_again_is_a_persons_case() -> None:
    """A settled charge that the gateway calls unsettled for ever is tried once a day, for review, and reserved."""
    stage = settled()
    stage.world.gateway.replies.extend([NOT_YET] * 6)
    part = refund(200)
    waits: list[float | None] = []
    for _ in range(6):
        assert R.DEFERRED is (await stage.done(part if not waits else part.operation_id)).state
        waits.append(stage.world.due_s(part.operation_id))
    assert [3600.0] * 3 + [86_400.0] * 3 == waits
    assert Advice.REVIEW is stage.request(part.operation_id).reason.advice
    assert (200, 0) == (stage.payment.refunding_minor, stage.refunded_minor())


async def test_a_void_that_the_settlement_overtook_becomes_a_refund_by_a_command() -> None:
    """The void ends, and a refund is published with its events, under ids of its own; it gives back the whole."""
    stage = unsettled()
    stage.world.power.before["send"] = stage.settle
    late = void(reason="out of stock")
    assert R.FAILED is (await stage.done(late)).state
    [(event_id, follow_up)] = stage.commands()
    assert isinstance(follow_up, RefundPayment)
    assert (TOTAL, "out of stock") == (follow_up.money.amount_minor, follow_up.reason)
    assert follow_up == stage.at(late.operation_id).follow_up
    assert [STATUS, REFUND] == stage.world.told()
    stage.world.power.before.clear()
    assert (
        R.PROCESSED is (await stage.done(stage.goes_on(follow_up, after=late.operation_id))).state
    )
    assert (S.REFUNDED, TOTAL) == (stage.payment.state, stage.refunded_minor())
    assert [event_id] == [it for it, _ in stage.commands()]


async def test_a_refund_whose_void_was_overtaken_goes_on_by_a_command() -> None:
    """Continued, not failed: its reserve waits for the command that goes on, and nobody else gets at it."""
    stage = unsettled()
    stage.world.power.before["send"] = stage.settle
    whole = refund()
    request = await stage.done(whole)
    assert (R.CONTINUED, TOTAL) == (request.state, request.reserved_minor)
    assert Stage.CONCLUDED is stage.at(whole.operation_id).stage
    [(_, follow_up)] = stage.commands()
    assert follow_up == replace(whole, continuation=2, issued_at=stage.world.clock.at)
    assert [STATUS, REFUND] == stage.world.told()
    stage.world.power.before.clear()
    assert R.FAILED is (await stage.done(refund(1))).state
    assert TOTAL == stage.payment.refunding_minor
    assert (
        R.PROCESSED is (await stage.done(stage.goes_on(follow_up, after=whole.operation_id))).state
    )
    assert (TOTAL, 0) == (stage.payment.refunded_minor, stage.payment.refunding_minor)
    assert [Void, Refund] == [type(it) for it in stage.world.gateway.sent]
    assert TOTAL == stage.refunded_minor()


async def test_the_hold_of_a_verified_means_is_let_go_by_a_command() -> None:
    """A means was tested with one minor unit: a void is published, once, also where the answer was lost."""
    for reply in (Reply(RESERVED, RESERVED), Reply(UNKNOWN, RESERVED)):
        world = World()
        tested = command(mode=Mode.VERIFY, money=Money(1, "USD"))
        of = world.journal.admit(operation(tested))
        world.gateway.replies.append(reply)
        for _ in range(3):
            await world.again(of.operation_id)
            world.pass_due(of.operation_id)
        assert S.VERIFIED is world.payment(of.operation_id).state
        assert 1 == world.told().count(VOID)
        assert isinstance(world.row(of.operation_id).operation.follow_up, VoidPayment)
        assert [] == world.twice()


@pytest.mark.parametrize(
    ("desk", "make"),
    [
        (authorized, capture),
        (authorized, void),
        (unsettled, void),
        (unsettled, refund),
        (settled, lambda: refund(200)),
    ],
)
@pytest.mark.parametrize("booked", [True, False])
async def test_a_lost_answer_is_asked_for(
    desk: Callable[[], Desk], make: Callable[[], Request], *, booked: bool
) -> None:
    """Told as initiated, reserved, and asked for: what was done is found, what was not is sent again where it may."""
    stage = desk()
    at_rules(stage.world, absence_after_s=0.0)
    reply = Reply(UNKNOWN, APPROVED if booked else None)
    made = make()
    if booked and isinstance(made, RefundPayment) and desk is settled:
        reply = Reply(UNKNOWN, replace(APPROVED, transaction_id="77"))
    stage.world.gateway.replies.append(reply)
    operation_id = await stage.until(made, asking)
    assert R.UNKNOWN is stage.request(operation_id).state
    assert [] == stage.commands()
    keeps = isinstance(made, RefundPayment) and desk is settled and not booked
    if keeps:
        for _ in range(5):
            assert Stage.ASKING is (await stage.once(operation_id)).stage
        assert 200 == stage.payment.refunding_minor
        assert "person" in stage.world.row(operation_id).why
    else:
        assert R.PROCESSED is (await stage.done(operation_id)).state
    assert 1 + (not booked and not keeps) == len(stage.world.gateway.sent)
    attempts = [(it.invoice_number, it.attempt) for it in stage.world.gateway.sent]
    assert len(attempts) == len(set(attempts))
    assert [] == stage.world.twice()


@pytest.mark.parametrize(
    ("ruling", "state"), [(RULED, R.PROCESSED), (DENIED_BY_A_PERSON, R.FAILED)]
)
async def test_a_person_ends_a_refund_that_no_list_shows(
    ruling: object, state: RequestState
) -> None:
    """Their word is told as theirs; yes is counted, no makes its money free again."""
    stage = settled()
    stage.world.gateway.replies.append(Reply(UNKNOWN))
    operation_id = await stage.until(refund(200), asking)
    row = stage.world.row(operation_id)
    row.operation = replace(row.operation, ruling=ruling)  # type: ignore[arg-type]  # a ruling
    assert state is (await stage.done(operation_id)).state
    assert "worker.ruled" == stage.request(operation_id).reason.code
    yes = state is R.PROCESSED
    assert (200 * yes, 0) == (stage.payment.refunded_minor, stage.payment.refunding_minor)
    assert 1 == len(stage.world.gateway.sent)


async def test_a_person_who_names_a_transaction_is_confirmed_by_the_gateway() -> None:
    """It is asked for by that id, and counts as what the gateway says of it."""
    stage = settled()
    stage.world.gateway.replies.append(Reply(UNKNOWN))
    operation_id = await stage.until(refund(200), asking)
    stage.world.gateway.findings.append(Found(replace(APPROVED, transaction_id="77")))
    row = stage.world.row(operation_id)
    row.operation = replace(row.operation, ruling=replace(RULED, transaction_id="77"))
    assert R.PROCESSED is (await stage.done(operation_id)).state
    assert "77" == stage.world.gateway.asked[-1].transaction_id
    assert "77" == stage.request(operation_id).transaction_id


@pytest.mark.parametrize("make", [capture, void])
async def test_the_gateway_says_whether_a_capture_or_a_void_happened(
    make: Callable[[], Request],
) -> None:
    """A person's yes is not enough where the charge itself can be looked at."""
    stage = authorized()
    stage.world.gateway.replies.append(Reply(UNKNOWN))
    operation_id = await stage.until(make(), asking)
    row = stage.world.row(operation_id)
    row.operation = replace(row.operation, ruling=RULED)
    assert Stage.ASKING is (await stage.once(operation_id)).stage
    row.operation = replace(row.operation, ruling=DENIED_BY_A_PERSON)
    assert R.FAILED is (await stage.done(operation_id)).state
    assert (S.AUTHORIZED, 0) == (stage.payment.state, stage.payment.capturing_minor)
