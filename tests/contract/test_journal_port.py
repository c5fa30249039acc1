"""One suite for `handlers.ports.Journal`: over the double, the simulation's journal in memory, and PostgreSQL."""

from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, Protocol

import pytest

from handlers.domain.payments import Payment, Snapshot
from handlers.domain.recovery import Stage
from handlers.domain.states import PaymentState
from handlers.domain.verdicts import Evidence
from handlers.ports import Journal, Lost, Moved, Operation, Queued, Wait
from tests.contract.journal_stage import Desk, JournalStage, intent, message, working
from tests.doubles.clock import ClockDouble
from tests.doubles.journal import JournalDouble
from tests.doubles.values import operation
from tests.simulation.memory_journal_subject import MemorySubject

FROZEN = {"request": "frozen"}


class Subject(Protocol):
    """What a test does around the port, on either side."""

    @property
    def journal(self) -> Journal:
        """The port."""
        ...

    def admit(self, **changes: Any) -> Operation:
        """A new operation."""
        ...

    def load(self, of: Operation) -> Operation:
        """As it is on disk."""
        ...

    def due_s(self, of: Operation) -> float | None:
        """Seconds until it is due."""
        ...

    def take_over(self, of: Operation) -> None:
        """Raise its token, as another session does."""
        ...

    def evidence(self, of: Operation) -> list[Evidence]:
        """What was said of it."""
        ...

    def told(self) -> list[str]:
        """Event ids in the outbox, in order."""
        ...

    def attempts(self, of: Operation) -> dict[int, str]:
        """Its attempts' states."""
        ...

    def hold_back(self, of: Operation) -> None:
        """Let its payment's last event lie unpublished with another session."""
        ...

    def anew(self) -> None:
        """Let the process die; the next one starts on what is stored."""
        ...


class DoubleSubject:
    """The double."""

    def __init__(self) -> None:
        self.journal = JournalDouble(ClockDouble())

    def admit(self, **changes: Any) -> Operation:
        """A new operation."""
        return self.journal.admit(operation(**changes))

    def load(self, of: Operation) -> Operation:
        """As it is on disk."""
        return self.journal.load(of.operation_id)

    def due_s(self, of: Operation) -> float | None:
        """Seconds until it is due."""
        due_at = self.journal.rows[of.operation_id].due_at
        return None if due_at is None else (due_at - self.journal.clock.at).total_seconds()

    def take_over(self, of: Operation) -> None:
        """Raise its token."""
        self.journal.take_over(of.operation_id)

    def evidence(self, of: Operation) -> list[Evidence]:
        """What was said of it."""
        return self.journal.evidence.get(of.operation_id, [])

    def told(self) -> list[str]:
        """Event ids in the outbox, in order."""
        return [it.event_id for it in self.journal.outbox]

    def attempts(self, of: Operation) -> dict[int, str]:
        """Its attempts' states."""
        return self.journal.rows[of.operation_id].attempts

    def hold_back(self, of: Operation) -> None:
        """Let its payment's last event lie with another session."""
        self.journal.held_back.add(of.payment.payment_id)

    def anew(self) -> None:
        """A new process."""
        self.journal = JournalDouble(self.journal.clock)


class RealSubject:
    """The journal on PostgreSQL."""

    def __init__(self, stage: JournalStage, desk: Desk, *, stack: ExitStack) -> None:
        self._stage = stage
        self._desk = desk
        self._stack = stack
        self.journal = desk.journal

    def admit(self, **changes: Any) -> Operation:
        """A new operation."""
        return self._desk.admit_one(**changes)

    def load(self, of: Operation) -> Operation:
        """As it is on disk."""
        return self._desk.load(of.operation_id)

    def due_s(self, of: Operation) -> float | None:
        """Seconds until it is due."""
        wanted = "SELECT extract(epoch FROM due_at - clock_timestamp()) FROM operation WHERE operation_id = :id"
        due_s = self._stage.one(wanted, id=of.operation_id)
        return None if due_s is None else float(due_s)

    def take_over(self, of: Operation) -> None:
        """Raise its token."""
        self._stage.sql(
            "UPDATE operation SET token = token + 1 WHERE operation_id = :id", id=of.operation_id
        )

    def evidence(self, of: Operation) -> list[Evidence]:
        """What was said of it."""
        wanted = "SELECT body FROM evidence WHERE operation_id = :id ORDER BY evidence_id"
        return [row.body for row in self._stage.sql(wanted, id=of.operation_id)]

    def told(self) -> list[str]:
        """Event ids in the outbox, in order."""
        rows = self._stage.sql(
            "SELECT event_id FROM outbox WHERE payment_id IS NOT NULL ORDER BY number"
        )
        return [row.event_id for row in rows]

    def attempts(self, of: Operation) -> dict[int, str]:
        """Its attempts' states."""
        wanted = "SELECT number, state FROM attempt WHERE operation_id = :id"
        return {row.number: row.state for row in self._stage.sql(wanted, id=of.operation_id)}

    def hold_back(self, of: Operation) -> None:
        """Let its payment's last event lie with another session."""
        self._stack.enter_context(working(self._stage, "other"))
        self._stage.sql(
            "UPDATE payment SET event_session = 'other', event_number = 1 WHERE payment_id = :id",
            id=of.payment.payment_id,
        )

    def anew(self) -> None:
        """A new process takes the dead one's work over."""
        self._desk = self._stack.enter_context(working(self._stage, "next"))
        self._stage.sql("UPDATE operation SET session_id = 'next'")
        self.journal = self._desk.journal


@pytest.fixture(params=["double", "memory", "real"])
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    """The journal under test."""
    if request.param == "double":
        yield DoubleSubject()
        return
    if request.param == "memory":
        yield MemorySubject()
        return
    stage: JournalStage = request.getfixturevalue("stage")
    stage.clear()
    with ExitStack() as stack:
        desk = stack.enter_context(working(stage))
        yield RealSubject(stage, desk, stack=stack)


def learnt(of: Operation, state: PaymentState = PaymentState.DECLINED) -> Payment:
    """The payment one version on."""
    return replace(of.payment, state=state, version=of.payment.version + 1)


async def opened(subject: Subject, of: Operation) -> Operation:
    """The operation after its intent was opened."""
    moved = await subject.journal.open(of, intent=intent(of), frozen=FROZEN)
    assert isinstance(moved, Moved)
    return moved.operation


async def answered(subject: Subject, of: Operation) -> Operation:
    """The operation after a decline."""
    moved = await subject.journal.answer(of, told=Snapshot(learnt(of)), evidence={"said": "no"})
    assert isinstance(moved, Moved)
    return moved.operation


def same(one: Operation, other: Operation) -> None:
    """The same but for what the time of reading decides."""
    assert one.inquiry is not None
    assert other.inquiry is not None
    assert (one.inquiry.asked, one.inquiry.complete_scans) == (
        other.inquiry.asked,
        other.inquiry.complete_scans,
    )
    assert one.inquiry.since == other.inquiry.since
    assert abs((one.inquiry.until - other.inquiry.until).total_seconds()) < 1
    # The means' secret leaves the journal only for what is yet to be sent.
    assert replace(one, inquiry=None, command=other.command) == replace(other, inquiry=None)


async def test_the_way_of_a_charge(subject: Subject) -> None:
    """Open, answer, conclude: each result is what is on disk, and the end has no due time."""
    of = subject.admit()
    assert Stage.ADMITTED is of.stage
    same(of, subject.load(of))
    of = await opened(subject, of)
    assert Stage.OPEN is of.stage
    assert {1: "open"} == subject.attempts(of)
    same(of, subject.load(of))
    of = await answered(subject, of)
    assert Stage.ANSWERED is of.stage
    assert of.answered_at is not None
    assert {1: "answered"} == subject.attempts(of)
    assert [{"said": "no"}] == subject.evidence(of)
    same(of, subject.load(of))
    moved = await subject.journal.conclude(of, messages=[message("a"), message("b")], wait=None)
    assert isinstance(moved, Moved)
    assert Stage.CONCLUDED is moved.operation.stage
    same(moved.operation, subject.load(of))
    assert ["a", "b"] == subject.told()
    assert subject.due_s(of) is None


async def test_news_may_outrun_a_version(subject: Subject) -> None:
    """The payment gets the higher version and stays answered; the next news go on from there."""
    of = await answered(subject, subject.admit())
    moved = await subject.journal.outrun(of, version=5)
    assert isinstance(moved, Moved)
    assert (5, Stage.ANSWERED) == (moved.operation.payment.version, moved.operation.stage)
    same(moved.operation, subject.load(of))
    subject.take_over(of)
    assert Lost() == await subject.journal.outrun(moved.operation, version=9)
    assert 5 == subject.load(of).payment.version


async def test_asking_goes_on_after_it_was_told(subject: Subject) -> None:
    """Concluded with a wait it is asking, due again, its question counted; the answer may come from there."""
    of = await answered(subject, subject.admit())
    wait = Wait(30, "undecided", asked=True)
    moved = await subject.journal.conclude(of, messages=[message("a")], wait=wait)
    assert isinstance(moved, Moved)
    assert Stage.ASKING is moved.operation.stage
    same(moved.operation, subject.load(of))
    assert 30 == pytest.approx(subject.due_s(of), abs=2)
    again = await answered(subject, moved.operation)
    assert 2 == again.payment.version
    assert subject.due_s(of) is None


@pytest.mark.parametrize("evidence", [{}, {"scanned": 2}])
async def test_a_wait_keeps_the_stage_and_counts(subject: Subject, evidence: Evidence) -> None:
    """Parked in its stage, due when told; questions and complete scans add up; evidence is kept where there is any."""
    of = await opened(subject, subject.admit())
    wait = Wait(45, "not seen", asked=True, complete_scan=True, evidence=evidence)
    for asked in (1, 2):
        moved = await subject.journal.wait(of, wait=wait)
        assert isinstance(moved, Moved)
        of = moved.operation
        assert Stage.OPEN is of.stage
        assert of.inquiry is not None
        assert (asked, asked) == (of.inquiry.asked, of.inquiry.complete_scans)
        same(of, subject.load(of))
    assert 45 == pytest.approx(subject.due_s(of), abs=2)
    assert [evidence] * (2 if evidence else 0) == subject.evidence(of)


async def test_unsent_is_admitted_again_and_opens_again(subject: Subject) -> None:
    """What was surely not sent goes back, with its secret; the same attempt may then be opened once more."""
    of = await opened(subject, subject.admit())
    moved = await subject.journal.wait(of, wait=Wait(5, "no connection", unsent=True))
    assert isinstance(moved, Moved)
    assert Stage.ADMITTED is moved.operation.stage
    assert {1: "unsent"} == subject.attempts(of)
    back = subject.load(of)
    assert moved.operation.command == back.command
    await opened(subject, back)
    assert {1: "open"} == subject.attempts(of)


async def test_trust_ends_suspicion(subject: Subject) -> None:
    """Once absence is proven a suspect may be planned; its counts begin anew."""
    of = subject.admit(suspect=True)
    await subject.journal.wait(of, wait=Wait(5, "not seen", asked=True, complete_scan=True))
    moved = await subject.journal.wait(subject.load(of), wait=Wait(0, "absent", trust=True))
    assert isinstance(moved, Moved)
    assert not moved.operation.suspect
    same(moved.operation, subject.load(of))
    assert moved.operation.inquiry is not None
    assert (0, 0) == (moved.operation.inquiry.asked, moved.operation.inquiry.complete_scans)


async def test_every_move_of_a_lost_operation_is_lost(subject: Subject) -> None:
    """After a takeover no move of the old token changes anything, but what the gateway said is kept."""
    admitted = subject.admit()
    of = await opened(subject, subject.admit())
    done = await answered(subject, subject.admit())
    for it in (admitted, of, done):
        subject.take_over(it)
    before = [subject.load(it).stage for it in (admitted, of, done)]
    journal = subject.journal
    assert Lost() == await journal.open(admitted, intent=intent(admitted), frozen=FROZEN)
    assert Lost() == await journal.answer(of, told=Snapshot(learnt(of)), evidence={"said": "late"})
    assert Lost() == await journal.wait(of, wait=Wait(1, "late", evidence={"seen": "late"}))
    assert Lost() == await journal.conclude(done, messages=[message("late")], wait=None)
    assert before == [subject.load(it).stage for it in (admitted, of, done)]
    assert [{"said": "late"}, {"seen": "late"}] == subject.evidence(of)
    assert PaymentState.REQUESTED is subject.load(of).payment.state
    assert {} == subject.attempts(admitted)
    assert [] == subject.told()


async def test_every_move_of_another_stage_is_lost(subject: Subject) -> None:
    """A move that starts from a stage in which the operation is no more changes nothing."""
    stale = subject.admit()
    of = await opened(subject, stale)
    assert Lost() == await subject.journal.open(stale, intent=intent(stale), frozen=FROZEN)
    assert Lost() == await subject.journal.wait(stale, wait=Wait(1, "stale"))
    done = await answered(subject, of)
    assert Lost() == await subject.journal.answer(
        of, told=Snapshot(learnt(of)), evidence={"said": "x"}
    )
    assert 1 == subject.load(done).payment.version
    await subject.journal.conclude(done, messages=[message("a")], wait=None)
    assert Lost() == await subject.journal.conclude(done, messages=[message("a")], wait=None)
    assert ["a"] == subject.told()


async def test_an_event_never_overtakes_the_one_before(subject: Subject) -> None:
    """While the payment's last event lies unpublished with another session, concluding is Queued and writes nothing."""
    of = await answered(subject, subject.admit())
    subject.hold_back(of)
    assert Queued() == await subject.journal.conclude(of, messages=[message("a")], wait=None)
    assert Stage.ANSWERED is subject.load(of).stage
    assert [] == subject.told()


async def test_it_outlives_its_process(subject: Subject, request: pytest.FixtureRequest) -> None:
    """What was acknowledged is there for the next process."""
    if isinstance(subject, DoubleSubject):
        reason = (
            "a double in memory is gone with its process: the database's promise, not the port's"
        )
        request.applymarker(pytest.mark.xfail(strict=True, reason=reason, raises=KeyError))
    of = await opened(subject, subject.admit())
    subject.anew()
    same(of, subject.load(of))
