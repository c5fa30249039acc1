"""Lines before payments after a loss of time: who is asked for, who is trusted, and in which order they go on."""

from datetime import timedelta

from db_client.moves import (
    Admit,
    DeadLetter,
    GoOn,
    Mirror,
    Open,
    Orphaned,
    Park,
    Rehome,
    Source,
)
from db_client.sessions import end_session
from handlers.domain.payments import News
from handlers.domain.recovery import Stage
from handlers.domain.states import Fact, RequestFact
from handlers.ports import Wait
from tests.contract.journal_stage import (
    DEADLINE_S,
    Desk,
    JournalStage,
    admission,
    message,
    working,
)
from tests.contract.lane_stage import WHY, carry, due_now, paid_payment, refund_of, refunding
from tests.doubles.values import MIDNIGHT, command
from tests.waiting import wait_until


def test_a_suspect_orphan_waits_until_all_of_the_lost_time_is_read(
    desk: Desk, stage: JournalStage
) -> None:
    """Its payment may be among what is read again; then it leaves, and says since when it may have been carried out."""
    refund = refund_of(command(), 1)
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
    paid = paid_payment(desk)
    first, second, third = (refund_of(paid, 300, name=f"r{it}") for it in (1, 2, 3))
    new = refund_of(paid, 300, name="new")
    desk.admit(*(admission(it, suspect=True) for it in (first, second, third)), admission(new))
    deferred = Wait(3600.0, "settles", release=True)
    desk.write(Park(desk.load(first.operation_id), deferred))
    absent = Wait(0.0, "it is absent", asked=True, complete_scan=True, trust=True)
    for of, next_one in ((second, first), (first, third)):
        assert [of.operation_id] == due_now(desk)
        [parked] = desk.write(Park(desk.load(of.operation_id), absent))
        assert Stage.QUEUED is parked.operation.stage
        assert not desk.load(of.operation_id).suspect
        assert [next_one.operation_id] == due_now(desk)
    found = News(WHY, asked=RequestFact.DONE, fact=Fact.REFUNDED, refunded_minor=300)
    carry(desk, desk.load(third.operation_id), news=found)
    for of in (first, second, new):
        assert [of.operation_id] == due_now(desk)
        assert 300 == desk.load(of.operation_id).payment.refunded_minor
        carry(desk, desk.load(of.operation_id), news=News(WHY, asked=RequestFact.DENIED))
    assert [] == due_now(desk)


def test_suspects_that_were_not_done_go_in_the_order_in_which_they_came(desk: Desk) -> None:
    """The last one to be proven absent does not go first: a refund stays behind the refund before it."""
    paid = paid_payment(desk)
    refunds = [refund_of(paid, 300, name=f"r{it}") for it in range(3)]
    desk.admit(*(admission(it, suspect=True) for it in refunds))
    absent = Wait(0.0, "it is absent", asked=True, complete_scan=True, trust=True)
    for of in refunds:
        assert [of.operation_id] == due_now(desk)
        desk.write(Park(desk.load(of.operation_id), absent))
    for of in refunds:
        assert [of.operation_id] == due_now(desk)
        assert not desk.load(of.operation_id).suspect
        carry(desk, desk.load(of.operation_id), news=News(WHY, asked=RequestFact.DENIED))


def test_a_suspect_that_was_sent_goes_back_in_line_as_its_next_attempt(
    desk: Desk, stage: JournalStage
) -> None:
    """Proven not done after a loss of time: others of its payment may go first, and it is opened anew after them."""
    paid = paid_payment(desk)
    first, behind = (refund_of(paid, 300, name=f"r{it}") for it in range(2))
    desk.admit(admission(first), admission(behind, suspect=True))
    of = desk.load(first.operation_id)
    [sent] = desk.write(Open(of, refunding(of, 300), {"r": 1}, DEADLINE_S))
    stage.sql("UPDATE operation SET suspect = true")
    absent = Wait(0.0, "it is absent", asked=True, complete_scan=True, trust=True)
    [parked] = desk.write(Park(sent.operation, absent))
    assert (Stage.QUEUED, 2) == (parked.operation.stage, parked.operation.attempt)
    assert "answered" == stage.one("SELECT state FROM attempt WHERE about = 'refund'")
    assert [behind.operation_id] == due_now(desk)
    desk.write(Park(desk.load(behind.operation_id), absent))
    assert [first.operation_id] == due_now(desk)
    again = desk.load(first.operation_id)
    assert (Stage.ADMITTED, 2, False) == (again.stage, again.attempt, again.suspect)
    [moved] = desk.write(Open(again, refunding(again, 300, attempt=2), {"r": 2}, DEADLINE_S))
    assert 300 == moved.operation.payment.refunding_minor


def test_nothing_goes_while_another_may_have_been_done_and_is_not_taken_over(
    stage: JournalStage,
) -> None:
    """A deferred refund of a session from before may have been done since: a new one waits until it was asked for."""
    with working(stage, "before") as dead, working(stage, "after") as heir:
        paid = paid_payment(dead)
        first, new = refund_of(paid, 300, name="first"), refund_of(paid, 300, name="new")
        dead.admit(admission(first))
        dead.write(Park(dead.load(first.operation_id), Wait(3600.0, "settles", release=True)))
        stage.sql("UPDATE session SET incarnation = 'before' WHERE session_id = 'before'")
        heir.admit(admission(new))
        heir.write(GoOn())
        assert [] == due_now(heir)
        end_session(stage.engine, session_id="before", why="test")
        heir.write(Rehome("before", 99, DEADLINE_S))
        later = refund_of(paid, 300, name="later")
        heir.admit(admission(later))
        assert [] == due_now(heir)  # not even now: what is suspect goes first
        heir.write(GoOn())
        assert [first.operation_id] == due_now(heir)
        assert heir.load(first.operation_id).suspect


def test_living_sessions_agree_on_a_table_that_was_rewritten(
    stage: JournalStage,
) -> None:
    """VACUUM FULL breaks no connection, and a session that begins after it sees another file: nobody waits for ever."""
    stage.clear()
    with working(stage, "old") as old:
        paid = paid_payment(old)
        with stage.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as alone:
            alone.exec_driver_sql("VACUUM FULL operation")
        first, second = (refund_of(paid, 300, name=it) for it in ("first", "second"))
        old.admit(admission(first))
        old.write(Park(old.load(first.operation_id), Wait(0.0, "settles", release=True)))
        with working(stage, "new") as new:
            new.admit(admission(second))
            assert [] == due_now(new)

            def goes_on() -> bool:
                old.write(Mirror(0))
                for desk in (old, new):
                    desk.write(GoOn())
                return [first.operation_id] == due_now(old)

            wait_until(goes_on)
