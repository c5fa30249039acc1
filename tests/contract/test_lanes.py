"""The line before each payment, on a real PostgreSQL: one at a time, nobody forgotten, nothing reserved twice."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from db_client.group_commit import JournalRefusedError
from db_client.moves import (
    Admit,
    Answer,
    Conclude,
    DeadLetter,
    GoOn,
    LostTime,
    Open,
    Orphaned,
    Park,
    Source,
)
from handlers.domain.commands import (
    CapturePayment,
    Command,
    InitiatePayment,
    RefundPayment,
    VoidPayment,
)
from handlers.domain.intents import About, Capture, Intent, Refund
from handlers.domain.money import Money
from handlers.domain.payments import News, learn
from handlers.domain.recovery import Stage
from handlers.domain.states import Fact, RequestFact, RequestState
from handlers.domain.verdicts import Advice, Method, Reason
from handlers.ports import Moved, Operation, Wait
from tests.contract.journal_stage import (
    DEADLINE_S,
    Desk,
    JournalStage,
    admission,
    intent,
    message,
    staged,
    working,
)
from tests.doubles.values import MIDNIGHT, command
from worker.routes import STATUS

_WHY = Reason("1", "It was so.", Advice.HARD)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JournalStage]:
    """A server for this file."""
    with staged(tmp_path_factory.mktemp("lanes")) as one:
        yield one


@pytest.fixture
def desk(stage: JournalStage) -> Iterator[Desk]:
    """A session on empty tables."""
    stage.clear()
    with working(stage) as one:
        yield one


def _carry(desk: Desk, of: Operation, *, news: News, open_: Intent | None = None) -> Operation:
    """Open, answer and conclude it as the passage does."""
    if open_ is not None:
        [moved] = desk.write(Open(of, open_, {"request": "frozen"}, DEADLINE_S))
        assert isinstance(moved, Moved), moved
        of = moved.operation
    told = learn(of.snapshot, news)
    assert told is not None
    [moved] = desk.write(Answer(of, told, {"said": "so"}, news.follow_up))
    assert isinstance(moved, Moved), moved
    status = message(f"{of.operation_id} {told.payment.version}", topic=STATUS)
    [moved] = desk.write(Conclude(moved.operation, [status], None))
    assert isinstance(moved, Moved), moved
    return moved.operation


def _paid(desk: Desk, minor: int = 1000) -> InitiatePayment:
    """A payment that is captured."""
    of = command(money=Money(minor, "USD"))
    operation = desk.admit_one(of)
    news = News(
        _WHY, Fact.TAKEN, authorised_minor=minor, captured_minor=minor, transaction_id="60001"
    )
    _carry(desk, operation, news=news, open_=intent(operation))
    return of


def _refund(of: InitiatePayment, minor: int, *, name: str = "r1", **changes: Any) -> RefundPayment:
    base: dict[str, Any] = {
        "payment_id": of.payment_id,
        "refund_id": f"{name}-{of.payment_id}",
        "money": Money(minor, "USD"),
        "issued_at": MIDNIGHT,
    }
    return RefundPayment(**{**base, **changes})


def _refunding(of: Operation, minor: int, *, attempt: int = 1) -> Refund:
    number = f"R{of.operation_id[-12:]}{attempt}"[-20:]
    return Refund(
        of.operation_id,
        attempt=attempt,
        invoice_number=number,
        reference=number,
        money=Money(minor, "USD"),
        merchant_account="main",
        transaction_id="60001",
        method=Method("card", "Visa", "1111"),
    )


def _stage_of(stage: JournalStage, of: Command) -> str:
    return str(
        stage.one("SELECT stage FROM operation WHERE operation_id = :id", id=of.operation_id)
    )


def _due(desk: Desk) -> list[str]:
    return desk.reader.due(most=10)


def test_a_request_about_a_free_payment_is_due_at_once(desk: Desk) -> None:
    """It is handed to nobody at its admission: whoever looks for due work finds it, with all that it needs to know."""
    paid = _paid(desk)
    refund = _refund(paid, 400)
    assert [] == desk.admit(admission(refund)).operations
    assert [refund.operation_id] == _due(desk)
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
    second, first = _refund(of, 1, name="a"), _refund(of, 2, name="b")
    desk.admit(admission(first), admission(second))
    assert [] == _due(desk)
    news = News(_WHY, Fact.TAKEN, authorised_minor=1000, captured_minor=1000)
    _carry(desk, operation, news=news, open_=intent(operation))
    assert [first.operation_id] == _due(desk)
    assert Stage.QUEUED == _stage_of(stage, second)
    _carry(desk, desk.load(first.operation_id), news=News(_WHY, asked=RequestFact.DENIED))
    assert [second.operation_id] == _due(desk)


def test_two_sessions_lose_no_wake_up(desk: Desk, stage: JournalStage) -> None:
    """A request that one session admits while another ends the work before it is woken, whoever is first."""
    with working(stage, "two") as other:
        for _ in range(15):
            of = command(money=Money(1000, "USD"))
            operation = desk.admit_one(of)
            [opened] = desk.write(Open(operation, intent(operation), {"r": 1}, DEADLINE_S))
            told = learn(operation.snapshot, News(_WHY, Fact.DECLINED))
            assert told is not None
            [moved] = desk.write(Answer(opened.operation, told, {}))
            ending = desk.commits.submit(
                Conclude(moved.operation, [message(f"end {of.payment_id}")], None)
            )
            refund = _refund(of, 1)
            other.admit(admission(refund))
            assert isinstance(ending.result(10), Moved)
            assert Stage.ADMITTED == _stage_of(stage, refund)


def test_what_is_open_is_reserved_and_no_more_than_there_is(
    desk: Desk, stage: JournalStage
) -> None:
    """The row's own CHECK refuses what a plan should never have made: more than was captured."""
    paid = _paid(desk)
    refund = _refund(paid, 700)
    desk.admit(admission(refund))
    of = desk.load(refund.operation_id)
    [moved] = desk.write(Open(of, _refunding(of, 700), {"r": 1}, DEADLINE_S))
    assert 700 == moved.operation.payment.refunding_minor
    assert 700 == desk.load(refund.operation_id).payment.refunding_minor
    stage.sql("UPDATE payment SET held_by = NULL")
    more = _refund(paid, 301, name="more")
    desk.admit(admission(more))
    other = desk.load(more.operation_id)
    with pytest.raises(JournalRefusedError, match="refunded_within_captured"):
        desk.write(Open(other, _refunding(other, 301), {"r": 1}, DEADLINE_S))


def test_an_end_gives_the_reserve_back_or_counts_it(desk: Desk) -> None:
    """A refund that is denied frees its amount, one that is done moves it from reserved to refunded."""
    paid = _paid(desk)
    denied, done = _refund(paid, 700, name="no"), _refund(paid, 600, name="yes")
    desk.admit(admission(denied), admission(done))
    of = desk.load(denied.operation_id)
    _carry(desk, of, news=News(_WHY, asked=RequestFact.DENIED), open_=_refunding(of, 700))
    of = desk.load(done.operation_id)
    assert 1000 == of.payment.refundable_minor
    news = News(_WHY, Fact.PARTLY_REFUNDED, RequestFact.DONE, refunded_minor=600)
    ended = _carry(desk, of, news=news, open_=_refunding(of, 600))
    assert (600, 0, 400) == (
        ended.payment.refunded_minor,
        ended.payment.refunding_minor,
        ended.payment.refundable_minor,
    )


def test_a_deferred_one_lets_others_pass_and_comes_back(desk: Desk, stage: JournalStage) -> None:
    """Its lane is free while it waits; when it is due it stands in line again, and its reserve stays its own."""
    paid = _paid(desk)
    waiting, passing = _refund(paid, 300, name="wait"), _refund(paid, 200, name="pass")
    desk.admit(admission(waiting), admission(passing))
    of = desk.load(waiting.operation_id)
    due = of.inquiry.now + timedelta(seconds=3600) if of.inquiry else None
    news = News(_WHY, asked=RequestFact.DEFERRED, reserve_minor=300, due_at=due)
    told = learn(of.snapshot, news)
    assert told is not None
    [moved] = desk.write(Answer(of, told, {}))
    [moved] = desk.write(
        Conclude(moved.operation, [message("deferred")], Wait(3600.0, "settles", release=True))
    )
    assert Stage.DEFERRED == _stage_of(stage, waiting)
    assert [passing.operation_id] == _due(desk)
    other = desk.load(passing.operation_id)
    assert 700 == other.payment.refundable_minor
    assert not desk.reader.must_go_on()
    stage.sql("UPDATE operation SET due_at = clock_timestamp() WHERE stage = 'deferred'")
    assert desk.reader.must_go_on()
    assert [1] == desk.write(GoOn())
    assert Stage.QUEUED == _stage_of(stage, waiting)
    _carry(desk, other, news=News(_WHY, asked=RequestFact.DENIED))
    assert [waiting.operation_id] == _due(desk)
    again = desk.load(waiting.operation_id)
    assert again.request is not None
    assert (300, RequestState.DEFERRED, 0) == (
        again.request.reserved_minor,
        again.request.state,
        again.inquiry.asked if again.inquiry else -1,
    )


def test_proven_not_done_is_tried_again_as_the_next_attempt(desk: Desk) -> None:
    """The attempt before it is closed, its number is used up, and asking starts anew."""
    paid = _paid(desk)
    refund = _refund(paid, 300)
    desk.admit(admission(refund))
    of = desk.load(refund.operation_id)
    [moved] = desk.write(Open(of, _refunding(of, 300), {"r": 1}, DEADLINE_S))
    [moved] = desk.write(
        Park(moved.operation, Wait(0.0, "it is not there", asked=True, again=True))
    )
    again = desk.load(refund.operation_id)
    assert (Stage.ADMITTED, 2, About.REFUND) == (again.stage, again.attempt, again.tried)
    assert again.inquiry is not None
    assert (0, 0) == (again.inquiry.asked, again.inquiry.complete_scans)
    [moved] = desk.write(Open(again, _refunding(again, 300, attempt=2), {"r": 2}, DEADLINE_S))
    assert 300 == moved.operation.payment.refunding_minor


def test_a_continuation_takes_the_reserve_over(desk: Desk) -> None:
    """A refund that goes on under a command of its own counts on the amount that its predecessor had reserved."""
    paid = _paid(desk)
    first = _refund(paid, 1000)
    then = replace(first, continuation=2)
    desk.admit(admission(first))
    of = desk.load(first.operation_id)
    news = News(_WHY, asked=RequestFact.CONTINUED, follow_up=then)
    desk.admit(
        admission(then)
    )  # as after a loss of time: the second record was read before the first had ended
    ended = _carry(desk, of, news=news, open_=_refunding(of, 1000))
    assert (1000, then) == (ended.payment.refunding_minor, ended.follow_up)
    after = desk.load(then.operation_id)
    assert after.request is not None
    assert (1000, 1000) == (after.request.reserved_minor, after.payment.refunding_minor)
    news = News(_WHY, Fact.REFUNDED, RequestFact.DONE, refunded_minor=1000)
    ended = _carry(desk, after, news=news, open_=_refunding(after, 1000))
    assert (1000, 0) == (ended.payment.refunded_minor, ended.payment.refunding_minor)


def test_a_request_may_come_before_its_payment(desk: Desk, stage: JournalStage) -> None:
    """Kafka gives no order between topics: it waits with a due time, and the payment's admission takes it in."""
    of = command(money=Money(1000, "USD"))
    refund = _refund(of, 1)
    desk.admit(admission(refund))
    [row] = stage.sql("SELECT stage, due_at > clock_timestamp(), why FROM operation")
    assert ("queued", True, "its payment is not known yet") == tuple(row)
    assert [] == _due(desk)
    operation = desk.admit_one(of)
    assert not operation.canceled
    _carry(desk, operation, news=News(_WHY, Fact.DECLINED), open_=intent(operation))
    assert [refund.operation_id] == _due(desk)


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
    refund = _refund(command(), 1)
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
    assert Stage.QUEUED == _stage_of(stage, refund)


def test_a_suspect_orphan_waits_until_all_of_the_lost_time_is_read(
    desk: Desk, stage: JournalStage
) -> None:
    """Its payment may be among what is read again; then it leaves, and says since when it may have been carried out."""
    refund = _refund(command(), 1)
    since = MIDNIGHT - timedelta(hours=1)
    desk.admit(admission(refund, suspect=True, since=since))
    place = ("payments", "topic-1", 0)
    desk.write(Admit([], [], {place: 3}))
    stage.sql("UPDATE position SET suspect_below = 5")
    stage.sql("UPDATE operation SET due_at = clock_timestamp()")
    letter = DeadLetter(Source("refunds", "t", 0, 7), message("dlq", topic="refunds.dlq"))
    assert [] == desk.reader.orphans()
    assert [False] == desk.write(Orphaned(refund.operation_id, letter))
    desk.write(Admit([], [], {place: 5}))
    assert [since] == [it.suspect_since for it in desk.reader.orphans()]
    assert [True] == desk.write(Orphaned(refund.operation_id, letter))


def test_nothing_is_sent_before_all_suspects_were_asked_for(desk: Desk) -> None:
    """One that is proven absent waits for those behind it, and for one whose time had not come: they may be done.

    Then it goes in the order in which it came, before whatever is asked anew.
    """
    paid = _paid(desk)
    first, second, third = (_refund(paid, 300, name=f"r{it}") for it in (1, 2, 3))
    new = _refund(paid, 300, name="new")
    desk.admit(*(admission(it, suspect=True) for it in (first, second, third)), admission(new))
    deferred = Wait(3600.0, "settles", release=True)
    desk.write(Park(desk.load(first.operation_id), deferred))
    absent = Wait(0.0, "it is absent", asked=True, complete_scan=True, trust=True)
    for of, next_one in ((second, first), (first, third)):
        assert [of.operation_id] == _due(desk)
        [parked] = desk.write(Park(desk.load(of.operation_id), absent))
        assert Stage.QUEUED is parked.operation.stage
        assert not desk.load(of.operation_id).suspect
        assert [next_one.operation_id] == _due(desk)
    found = News(_WHY, asked=RequestFact.DONE, fact=Fact.REFUNDED, refunded_minor=300)
    _carry(desk, desk.load(third.operation_id), news=found)
    for of in (first, second, new):
        assert [of.operation_id] == _due(desk)
        assert 300 == desk.load(of.operation_id).payment.refunded_minor
        _carry(desk, desk.load(of.operation_id), news=News(_WHY, asked=RequestFact.DENIED))
    assert [] == _due(desk)


def test_suspects_that_were_not_done_go_in_the_order_in_which_they_came(desk: Desk) -> None:
    """The last one to be proven absent does not go first: a refund stays behind the refund before it."""
    paid = _paid(desk)
    refunds = [_refund(paid, 300, name=f"r{it}") for it in range(3)]
    desk.admit(*(admission(it, suspect=True) for it in refunds))
    absent = Wait(0.0, "it is absent", asked=True, complete_scan=True, trust=True)
    for of in refunds:
        assert [of.operation_id] == _due(desk)
        desk.write(Park(desk.load(of.operation_id), absent))
    for of in refunds:
        assert [of.operation_id] == _due(desk)
        assert not desk.load(of.operation_id).suspect
        _carry(desk, desk.load(of.operation_id), news=News(_WHY, asked=RequestFact.DENIED))


def test_no_suspect_is_trusted_while_records_are_unread(desk: Desk) -> None:
    """Another refund of its payment may be among them: it is asked for again, and trusted once all was read."""
    paid = _paid(desk)
    refund = _refund(paid, 300)
    desk.admit(admission(refund, suspect=True))
    place = ("refunds", "topic-9", 0)
    desk.write(LostTime({place: (7, MIDNIGHT)}, {}))
    assert {0: (0, 7)} == _read_again(desk)
    absent = Wait(0.0, "it is absent", asked=True, complete_scan=True, trust=True)
    [parked] = desk.write(Park(desk.load(refund.operation_id), absent))
    assert (Stage.ADMITTED, True) == (parked.operation.stage, parked.operation.suspect)
    there = desk.load(refund.operation_id)
    assert there.suspect
    assert there.inquiry is not None
    assert 1 == there.inquiry.complete_scans
    desk.write(LostTime({}, {place: 5}))  # what lies behind is gone, or no record
    assert {0: (5, 0)} == _read_again(desk)
    [parked] = desk.write(Park(there, absent))
    assert not parked.operation.suspect


def _read_again(desk: Desk) -> dict[int, tuple[int, int]]:
    found = desk.reader.positions("topic-9")
    return {number: (it.next_offset, it.suspect_below) for number, it in found.items()}


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
    news = News(_WHY, Fact.RESERVED, authorised_minor=1000, transaction_id="60001")
    _carry(desk, operation, news=news, open_=intent(operation))
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
    news = News(_WHY, Fact.TAKEN, RequestFact.DONE, captured_minor=400, amount_minor=400)
    ended = _carry(desk, moved.operation, news=news)
    assert (400, 0) == (ended.payment.captured_minor, ended.payment.capturing_minor)
