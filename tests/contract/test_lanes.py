"""The line before each payment, on a real PostgreSQL: one at a time, nobody forgotten, nothing reserved twice."""

from dataclasses import replace
from datetime import timedelta

import pytest

from db_client.group_commit import JournalRefusedError
from db_client.moves import (
    Answer,
    Conclude,
    DeadLetter,
    GoOn,
    Open,
    Orphaned,
    Park,
    Source,
)
from handlers.domain.commands import (
    CapturePayment,
    VoidPayment,
)
from handlers.domain.intents import About, Capture
from handlers.domain.money import Money
from handlers.domain.payments import News, learn
from handlers.domain.recovery import Stage
from handlers.domain.states import Fact, RequestFact, RequestState
from handlers.ports import Moved, Wait
from tests.contract.journal_stage import (
    DEADLINE_S,
    Desk,
    JournalStage,
    admission,
    intent,
    message,
    working,
)
from tests.contract.lane_stage import (
    WHY,
    carry,
    due_now,
    paid_payment,
    refund_of,
    refunding,
    stage_of,
)
from tests.doubles.values import MIDNIGHT, command


def test_a_request_about_a_free_payment_is_due_at_once(desk: Desk) -> None:
    """It is handed to nobody at its admission: whoever looks for due work finds it, with all that it needs to know."""
    paid = paid_payment(desk)
    refund = refund_of(paid, 400)
    assert [] == desk.admit(admission(refund)).operations
    assert [refund.operation_id] == due_now(desk)
    loaded = desk.load(refund.operation_id)
    assert Stage.ADMITTED is loaded.stage
    assert loaded.request is not None
    assert (400, 0, RequestState.REQUESTED) == (
        loaded.request.amount_minor,
        loaded.request.reserved_minor,
        loaded.request.state,
    )
    assert loaded.origin is not None
    assert ("main", paid.lines) == (loaded.origin.merchant_account, loaded.lines)
    assert 1000 == loaded.payment.captured_minor


def test_the_line_is_served_in_order_of_arrival(desk: Desk, stage: JournalStage) -> None:
    """Behind a payment in work its requests wait; each end lets the next one go, and one only."""
    of = command(money=Money(1000, "USD"))
    operation = desk.admit_one(of)
    second, first = refund_of(of, 1, name="a"), refund_of(of, 2, name="b")
    desk.admit(admission(first), admission(second))
    assert [] == due_now(desk)
    news = News(WHY, Fact.TAKEN, authorised_minor=1000, captured_minor=1000)
    carry(desk, operation, news=news, open_=intent(operation))
    assert [first.operation_id] == due_now(desk)
    assert Stage.QUEUED == stage_of(stage, second)
    carry(desk, desk.load(first.operation_id), news=News(WHY, asked=RequestFact.DENIED))
    assert [second.operation_id] == due_now(desk)


def test_two_sessions_lose_no_wake_up(desk: Desk, stage: JournalStage) -> None:
    """A request that one session admits while another ends the work before it is woken, whoever is first."""
    with working(stage, "two") as other:
        for _ in range(15):
            of = command(money=Money(1000, "USD"))
            operation = desk.admit_one(of)
            [opened] = desk.write(Open(operation, intent(operation), {"r": 1}, DEADLINE_S))
            told = learn(operation.snapshot, News(WHY, Fact.DECLINED))
            assert told is not None
            [moved] = desk.write(Answer(opened.operation, told, {}))
            ending = desk.commits.submit(
                Conclude(moved.operation, [message(f"end {of.payment_id}")], None)
            )
            refund = refund_of(of, 1)
            other.admit(admission(refund))
            assert isinstance(ending.result(10), Moved)
            assert Stage.ADMITTED == stage_of(stage, refund)


def test_what_is_open_is_reserved_and_no_more_than_there_is(
    desk: Desk, stage: JournalStage
) -> None:
    """The row's own CHECK refuses what a plan should never have made: more than was captured."""
    paid = paid_payment(desk)
    refund = refund_of(paid, 700)
    desk.admit(admission(refund))
    of = desk.load(refund.operation_id)
    [moved] = desk.write(Open(of, refunding(of, 700), {"r": 1}, DEADLINE_S))
    assert 700 == moved.operation.payment.refunding_minor
    assert 700 == desk.load(refund.operation_id).payment.refunding_minor
    stage.sql("UPDATE payment SET held_by = NULL")
    more = refund_of(paid, 301, name="more")
    desk.admit(admission(more))
    other = desk.load(more.operation_id)
    with pytest.raises(JournalRefusedError, match="refunded_within_captured"):
        desk.write(Open(other, refunding(other, 301), {"r": 1}, DEADLINE_S))


def test_an_end_gives_the_reserve_back_or_counts_it(desk: Desk) -> None:
    """A refund that is denied frees its amount, one that is done moves it from reserved to refunded."""
    paid = paid_payment(desk)
    denied, done = refund_of(paid, 700, name="no"), refund_of(paid, 600, name="yes")
    desk.admit(admission(denied), admission(done))
    of = desk.load(denied.operation_id)
    carry(desk, of, news=News(WHY, asked=RequestFact.DENIED), open_=refunding(of, 700))
    of = desk.load(done.operation_id)
    assert 1000 == of.payment.refundable_minor
    news = News(WHY, Fact.PARTLY_REFUNDED, RequestFact.DONE, refunded_minor=600)
    ended = carry(desk, of, news=news, open_=refunding(of, 600))
    assert (600, 0, 400) == (
        ended.payment.refunded_minor,
        ended.payment.refunding_minor,
        ended.payment.refundable_minor,
    )


def test_a_deferred_one_lets_others_pass_and_comes_back(desk: Desk, stage: JournalStage) -> None:
    """Its lane is free while it waits; when it is due it stands in line again, and its reserve stays its own."""
    paid = paid_payment(desk)
    waiting, passing = refund_of(paid, 300, name="wait"), refund_of(paid, 200, name="pass")
    desk.admit(admission(waiting), admission(passing))
    of = desk.load(waiting.operation_id)
    due = of.inquiry.now + timedelta(seconds=3600) if of.inquiry else None
    news = News(WHY, asked=RequestFact.DEFERRED, reserve_minor=300, due_at=due)
    told = learn(of.snapshot, news)
    assert told is not None
    [moved] = desk.write(Answer(of, told, {}))
    [moved] = desk.write(
        Conclude(moved.operation, [message("deferred")], Wait(3600.0, "settles", release=True))
    )
    assert Stage.DEFERRED == stage_of(stage, waiting)
    assert [passing.operation_id] == due_now(desk)
    other = desk.load(passing.operation_id)
    assert 700 == other.payment.refundable_minor
    assert not desk.reader.must_go_on()
    stage.sql("UPDATE operation SET due_at = clock_timestamp() WHERE stage = 'deferred'")
    assert desk.reader.must_go_on()
    assert [1] == desk.write(GoOn())
    assert Stage.QUEUED == stage_of(stage, waiting)
    carry(desk, other, news=News(WHY, asked=RequestFact.DENIED))
    assert [waiting.operation_id] == due_now(desk)
    again = desk.load(waiting.operation_id)
    assert again.request is not None
    assert (300, RequestState.DEFERRED, 0) == (
        again.request.reserved_minor,
        again.request.state,
        again.inquiry.asked if again.inquiry else -1,
    )


def test_proven_not_done_is_tried_again_as_the_next_attempt(desk: Desk) -> None:
    """The attempt before it is closed, and asking starts anew. The invoice number stays the operation's own."""
    paid = paid_payment(desk)
    refund = refund_of(paid, 300)
    desk.admit(admission(refund))
    of = desk.load(refund.operation_id)
    [moved] = desk.write(Open(of, refunding(of, 300), {"r": 1}, DEADLINE_S))
    [moved] = desk.write(
        Park(moved.operation, Wait(0.0, "it is not there", asked=True, again=True))
    )
    again = desk.load(refund.operation_id)
    assert (Stage.ADMITTED, 2, About.REFUND) == (again.stage, again.attempt, again.tried)
    assert again.inquiry is not None
    assert (0, 0) == (again.inquiry.asked, again.inquiry.complete_scans)
    [moved] = desk.write(Open(again, refunding(again, 300, attempt=2), {"r": 2}, DEADLINE_S))
    assert 300 == moved.operation.payment.refunding_minor


def test_a_continuation_takes_the_reserve_over(desk: Desk) -> None:
    """A refund that goes on under a command of its own counts on the amount that its predecessor had reserved."""
    paid = paid_payment(desk)
    first = refund_of(paid, 1000)
    then = replace(first, continuation=2)
    desk.admit(admission(first))
    of = desk.load(first.operation_id)
    news = News(WHY, asked=RequestFact.CONTINUED, follow_up=then)
    desk.admit(
        admission(then)
    )  # as after a loss of time: the second record was read before the first had ended
    ended = carry(desk, of, news=news, open_=refunding(of, 1000))
    assert (1000, then) == (ended.payment.refunding_minor, ended.follow_up)
    after = desk.load(then.operation_id)
    assert after.request is not None
    assert (1000, 1000) == (after.request.reserved_minor, after.payment.refunding_minor)
    news = News(WHY, Fact.REFUNDED, RequestFact.DONE, refunded_minor=1000)
    ended = carry(desk, after, news=news, open_=refunding(after, 1000))
    assert (1000, 0) == (ended.payment.refunded_minor, ended.payment.refunding_minor)


def test_a_request_may_come_before_its_payment(desk: Desk, stage: JournalStage) -> None:
    """Kafka gives no order between topics: it waits with a due time, and the payment's admission takes it in."""
    of = command(money=Money(1000, "USD"))
    refund = refund_of(of, 1)
    desk.admit(admission(refund))
    [row] = stage.sql("SELECT stage, due_at > clock_timestamp(), why FROM operation")
    assert ("queued", True, "its payment is not known yet") == tuple(row)
    assert [] == due_now(desk)
    operation = desk.admit_one(of)
    assert not operation.canceled
    carry(desk, operation, news=News(WHY, Fact.DECLINED), open_=intent(operation))
    assert [refund.operation_id] == due_now(desk)


def test_an_early_void_cancels_the_payment(desk: Desk) -> None:
    """The initiation that comes after it is told so, in its admission and whenever it is loaded."""
    of = command()
    void = VoidPayment(payment_id=of.payment_id, void_id=f"v-{of.payment_id}", issued_at=MIDNIGHT)
    desk.admit(admission(void))
    operation = desk.admit_one(of)
    assert operation.canceled
    assert desk.load(operation.operation_id).canceled


def test_an_orphan_leaves_as_a_dead_letter_and_may_come_again(
    desk: Desk, stage: JournalStage
) -> None:
    """Once its time is up its row goes, its letter is in the outbox, and a replay of it is new."""
    refund = refund_of(command(), 1)
    desk.admit(admission(refund))
    letter = DeadLetter(Source("refunds", "t", 0, 7), message("dlq", topic="refunds.dlq"))
    assert [False] == desk.write(Orphaned(refund.operation_id, letter))
    stage.sql("UPDATE operation SET due_at = clock_timestamp()")
    [orphan] = desk.reader.orphans()
    assert refund == orphan.command
    assert [True] == desk.write(Orphaned(refund.operation_id, letter))
    assert ["dlq"] == [it.message.event_id for it in desk.outbox]
    assert 0 == stage.one("SELECT count(*) FROM operation")
    desk.admit(admission(refund))
    assert Stage.QUEUED == stage_of(stage, refund)


def test_a_strangers_early_void_cancels_nothing(desk: Desk) -> None:
    """Only a void of the payment's own user, or of a service that names none, makes its initiation a refusal."""
    of = command()
    void = VoidPayment(
        payment_id=of.payment_id, void_id="v-x", issued_at=MIDNIGHT, user_id="mallory"
    )
    desk.admit(admission(void))
    operation = desk.admit_one(of)
    assert not operation.canceled
    assert not desk.load(operation.operation_id).canceled


def test_a_capture_is_reserved_and_counted(desk: Desk) -> None:
    """What is being captured is reserved of what is authorised, and counts once it is captured."""
    of = command(money=Money(1000, "USD"))
    operation = desk.admit_one(of)
    news = News(WHY, Fact.RESERVED, authorised_minor=1000, transaction_id="60001")
    carry(desk, operation, news=news, open_=intent(operation))
    capture = CapturePayment(
        payment_id=of.payment_id, capture_id="c1", amount_minor=400, issued_at=MIDNIGHT
    )
    desk.admit(admission(capture))
    loaded = desk.load(capture.operation_id)
    taking = Capture(
        loaded.operation_id,
        attempt=1,
        invoice_number="C1",
        reference="C1",
        money=Money(400, "USD"),
        merchant_account="main",
        transaction_id="60001",
    )
    [moved] = desk.write(Open(loaded, taking, {"r": 1}, DEADLINE_S))
    assert 400 == moved.operation.payment.capturing_minor
    news = News(WHY, Fact.TAKEN, RequestFact.DONE, captured_minor=400, amount_minor=400)
    ended = carry(desk, moved.operation, news=news)
    assert (400, 0) == (ended.payment.captured_minor, ended.payment.capturing_minor)


def test_an_attempt_that_is_opened_once_more_is_known_by_the_number_that_it_goes_out_with(
    desk: Desk,
) -> None:
    """Whatever it was to be sent with before: what is asked for later is what was sent."""
    paid = paid_payment(desk)
    refund = refund_of(paid, 300)
    desk.admit(admission(refund))
    for number in ("BEFORE", "NOW"):
        of = desk.load(refund.operation_id)
        meant = replace(refunding(of, 300), invoice_number=number)
        [moved] = desk.write(Open(of, meant, {"r": 1}, DEADLINE_S))
        if number == "BEFORE":
            desk.write(Park(moved.operation, Wait(0.0, "not sent", unsent=True)))
    inquiry = desk.load(refund.operation_id).inquiry
    assert inquiry is not None
    assert "NOW" == inquiry.invoice_number
