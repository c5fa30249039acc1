"""The finder of an account, on a real PostgreSQL: one session at a time, all due questions there, nothing else."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta

import pytest

from db_client.moves import Answer, Conclude, Gather, Held, Hold, Open, Park, Rehome, Walked
from db_client.sessions import end_session
from handlers.domain.payments import News, learn
from handlers.domain.recovery import Stage
from handlers.domain.states import Fact
from handlers.domain.verdicts import Advice, Reason
from handlers.ports import Lost, Moved, Operation, Wait
from tests.contract.journal_stage import (
    DEADLINE_S,
    Desk,
    JournalStage,
    intent,
    working,
)
from tests.doubles.values import MIDNIGHT, command

ACCOUNTS = {"main": "USD"}


@pytest.fixture
def desks(stage: JournalStage) -> Iterator[tuple[Desk, Desk]]:
    """Two sessions on empty tables."""
    stage.clear()
    with ExitStack() as stack:
        yield stack.enter_context(working(stage)), stack.enter_context(working(stage, "two"))


def _hold(desk: Desk) -> list[Held]:
    [held] = desk.write(Hold(ACCOUNTS))
    assert isinstance(held, list)
    return held


def _gather(desk: Desk, *, most: int = 100) -> int:
    [gathered] = desk.write(Gather(tuple(ACCOUNTS), most))
    assert isinstance(gathered, int)
    return gathered


def _asked_for(desk: Desk, *, seconds: float = 0.0, name: str = "p1") -> Operation:
    """A charge whose answer never came, due again in so many seconds."""
    admitted = desk.admit_one(command(payment_id=name))
    [opened] = desk.write(Open(admitted, intent(admitted), {"request": "frozen"}, DEADLINE_S))
    reason = Reason("worker.no_answer", "No answer.", Advice.UNDECIDED)
    told = learn(opened.operation.snapshot, News(fact=Fact.UNDECIDED, reason=reason))
    assert told is not None
    [answered] = desk.write(Answer(opened.operation, told, {}))
    wait = Wait(seconds, "asked", asked=True)
    [asking] = desk.write(Conclude(answered.operation, [], wait))
    assert isinstance(asking, Moved)
    return asking.operation


def test_one_session_holds_an_account(desks: tuple[Desk, Desk]) -> None:
    """Whoever comes first looks into an account, and goes on doing so; the other one leaves it alone."""
    one, two = desks

    assert [Held("main", None)] == _hold(one)
    assert [] == _hold(two)
    assert [Held("main", None)] == _hold(one)


def test_an_ended_session_holds_nothing(stage: JournalStage, desks: tuple[Desk, Desk]) -> None:
    """The account passes on when its holder's row is ended; how far it was walked is not forgotten."""
    one, two = desks
    _hold(one)
    one.write(Walked("main", MIDNIGHT))
    end_session(stage.engine, session_id="one", why="stopped")

    assert [Held("main", MIDNIGHT)] == _hold(two)


def test_who_does_not_hold_it_says_nothing_of_a_walk(desks: tuple[Desk, Desk]) -> None:
    """Only the holder moves the mark, and only forward."""
    one, two = desks
    _hold(one)

    assert [False] == two.write(Walked("main", MIDNIGHT + timedelta(days=1)))
    assert [True] == one.write(Walked("main", MIDNIGHT))
    assert [True] == one.write(Walked("main", MIDNIGHT - timedelta(days=1)))
    assert [Held("main", MIDNIGHT)] == _hold(one)


def test_due_questions_come_to_the_finder(desks: tuple[Desk, Desk]) -> None:
    """What is due elsewhere is taken over with a raised token; its session can write nothing about it any more."""
    one, two = desks
    _hold(one)
    asked = _asked_for(two)

    assert one.reader.asked_elsewhere(["main"])
    assert 1 == _gather(one)
    assert not one.reader.asked_elsewhere(["main"])
    assert [asked.operation_id] == one.reader.due(most=10)
    assert [Lost()] == two.write(Park(asked, Wait(1.0, "late")))
    assert asked.token + 1 == one.load(asked.operation_id).token


def test_what_is_asked_elsewhere_is_not_woken_here(
    stage: JournalStage, desks: tuple[Desk, Desk]
) -> None:
    """A due question waits for the finder; where nobody looks into its account any more, its own session asks."""
    one, two = desks
    _hold(one)
    asked = _asked_for(two)

    assert [] == two.reader.due(most=10)
    end_session(stage.engine, session_id="one", why="stopped")
    assert [asked.operation_id] == two.reader.due(most=10)


def test_what_is_not_due_stays_where_it_is(desks: tuple[Desk, Desk]) -> None:
    """A question that waits for its time, and a charge that was not opened, are not gathered."""
    one, two = desks
    _hold(one)
    _asked_for(two, seconds=60.0)
    fresh = two.admit_one(command(payment_id="p2"))

    assert 0 == _gather(one)
    assert Stage.ADMITTED is two.load(fresh.operation_id).stage


def test_a_suspect_is_asked_for_in_the_account_of_its_currency(desks: tuple[Desk, Desk]) -> None:
    """What was never opened has no account of its own; its currency says where it may have been charged."""
    one, two = desks
    _hold(one)
    suspect = two.admit_one(command(payment_id="p3"), suspect=True)
    two.write(Park(suspect, Wait(0.0, "asked for")))

    assert [] == two.reader.due(most=10)
    assert 1 == _gather(one)


def test_the_oldest_come_first(desks: tuple[Desk, Desk]) -> None:
    """Where there is room for some only, those that have been due for longest are gathered."""
    one, two = desks
    _hold(one)
    first = _asked_for(two, name="p1")
    _asked_for(two, name="p2")

    assert 1 == _gather(one, most=1)
    assert [first.operation_id] == one.reader.due(most=10)


def test_what_lost_time_may_hide_is_not_gathered(
    stage: JournalStage, desks: tuple[Desk, Desk]
) -> None:
    """A question of a session from before waits for the take-over, which marks it as suspect."""
    one, two = desks
    of = _asked_for(two)
    assert _hold(one)
    stage.sql("UPDATE session SET incarnation = 'before' WHERE session_id = 'two'")
    assert not one.reader.asked_elsewhere(list(ACCOUNTS))
    assert 0 == _gather(one)
    end_session(stage.engine, session_id="two", why="test")
    [rehomed] = one.write(Rehome("two", 0, DEADLINE_S))
    assert 1 == rehomed.operations
    assert one.load(of.operation_id).suspect
