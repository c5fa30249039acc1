"""The journal's thread on a real PostgreSQL: batches, guards, refused moves, the session's bounds, outbox numbers.

What becomes of it while the database is away is `test_group_commit_outages.py`; admission is `test_admission.py`.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from db_client.group_commit import JournalRefusedError
from db_client.moves import Answer, Conclude, Mirror, Move, Open, Park
from db_client.sessions import end_session
from handlers.domain.errors import SessionOver
from handlers.domain.payments import Payment, Snapshot
from handlers.domain.recovery import Stage
from handlers.domain.states import PaymentState
from handlers.ports import Lost, Moved, Operation, Wait
from tests.contract.journal_stage import (
    DEADLINE_S,
    WAITS_S,
    Desk,
    JournalStage,
    admission,
    intent,
    message,
    staged,
    working,
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JournalStage]:
    """A server for this file."""
    with staged(tmp_path_factory.mktemp("journal")) as one:
        yield one


@pytest.fixture
def stage(server: JournalStage) -> JournalStage:
    """An empty journal."""
    server.clear()
    return server


@pytest.fixture
def desk(stage: JournalStage) -> Iterator[Desk]:
    """A session at work."""
    with working(stage) as one:
        yield one


@contextmanager
def held_up(stage: JournalStage, session_id: str = "one") -> Iterator[None]:
    """While inside, the session's commits wait: what arrives meanwhile arrives together."""
    with stage.engine.begin() as connection:
        connection.execute(
            text("SELECT 1 FROM session WHERE session_id = :me FOR UPDATE"), {"me": session_id}
        )
        yield


def learnt(of: Operation) -> Payment:
    """The payment, declined, one version on."""
    return replace(of.payment, state=PaymentState.DECLINED, version=of.payment.version + 1)


def opening(of: Operation, **frozen: Any) -> Open:
    """The move that opens it."""
    return Open(of, intent(of), frozen or {"request": "frozen"}, DEADLINE_S)


def concluded(desk: Desk, of: Operation, *events: str) -> None:
    """Carry it to its end."""
    [answered] = desk.write(Answer(of, Snapshot(learnt(of)), {"said": "no"}))
    told = [message(event) for event in events]
    [moved] = desk.write(Conclude(answered.operation, told, None))
    assert isinstance(moved, Moved)


def commits(stage: JournalStage, session_id: str = "one") -> int:
    """How often a session committed."""
    counted: int = stage.one("SELECT commits FROM session WHERE session_id = :me", me=session_id)
    return counted


async def test_what_arrives_together_is_committed_together(stage: JournalStage, desk: Desk) -> None:
    """Fifty moves that come while one commit is under way take one more commit, not fifty."""
    operations = desk.admit(*(admission() for _ in range(50))).operations
    before = commits(stage)
    with held_up(stage):
        first = desk.commits.submit(Mirror(2))
        await asyncio.sleep(0.1)
        opened = [asyncio.ensure_future(desk.commits.write(opening(it))) for it in operations]
        await asyncio.sleep(0.1)
    first.result(WAITS_S)
    assert all(isinstance(it, Moved) for it in await asyncio.gather(*opened))
    assert 2 == commits(stage) - before


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE operation SET token = token + 1",
        "UPDATE operation SET stage = 'asking'",
        "UPDATE operation SET session_id = 'other'",
    ],
)
def test_each_move_is_guarded(stage: JournalStage, desk: Desk, change: str) -> None:
    """Another token, stage or session: Lost, nothing moved, and the evidence of answers and waits is kept."""
    of = desk.admit_one()
    stage.sql(change)
    before = stage.sql("SELECT * FROM operation")
    moves: list[Move] = [
        opening(of),
        Answer(of, Snapshot(learnt(of)), {"said": "late"}),
        Park(of, Wait(5, "late", evidence={"seen": "late"})),
        Conclude(of, [message("late")], None),
    ]
    assert [Lost()] * 4 == desk.write(*moves)
    assert before == stage.sql("SELECT * FROM operation")
    assert 0 == stage.one("SELECT version FROM payment")
    assert 0 == stage.one("SELECT count(*) FROM attempt")
    assert [] == desk.outbox
    kept = [row.body for row in stage.sql("SELECT body FROM evidence ORDER BY evidence_id")]
    assert [{"said": "late"}, {"seen": "late"}] == kept


def test_lost_ones_do_not_hinder_the_rest_of_their_batch(stage: JournalStage, desk: Desk) -> None:
    """The guard is per row: of one batch some are lost and the others move."""
    lost, mine = desk.admit(admission(), admission()).operations
    stage.sql("UPDATE operation SET token = 9 WHERE operation_id = :id", id=lost.operation_id)
    with held_up(stage):
        futures = [desk.commits.submit(opening(it)) for it in (lost, mine)]
    results = [future.result(WAITS_S) for future in futures]
    assert Lost() == results[0]
    assert isinstance(results[1], Moved)


@pytest.mark.parametrize(
    "frozen",
    [{"amount": Decimal(1)}, {"amount": float("nan")}, {"deep": {1, 2}}],
    ids=["decimal", "nan", "set"],
)
def test_a_refused_move_stands_alone(stage: JournalStage, desk: Desk, frozen: Any) -> None:
    """A move that cannot be written, by the database or by us, is bisected out; the others of its batch commit.

    A value that json did not know used to end the journal's thread without a word, and every lane waited for ever.
    """
    operations = desk.admit(*(admission() for _ in range(7))).operations
    with held_up(stage):
        desk.commits.post(Mirror(2))
        futures = [
            desk.commits.submit(opening(it, **(frozen if place == 3 else {})))
            for place, it in enumerate(operations)
        ]
    for place, future in enumerate(futures):
        if place == 3:
            with pytest.raises(JournalRefusedError):
                future.result(WAITS_S)
        else:
            assert isinstance(future.result(WAITS_S), Moved)
    assert Stage.ADMITTED is desk.load(operations[3].operation_id).stage
    assert 6 == stage.one("SELECT count(*) FROM attempt")


def test_a_refused_answer_leaves_its_evidence(stage: JournalStage, desk: Desk) -> None:
    """What the gateway said is kept even where the news on the payment is refused: here it breaks a CHECK."""
    of = desk.admit_one()
    impossible = replace(learnt(of), captured_minor=5, authorised_minor=0)
    with pytest.raises(JournalRefusedError, match="captured_within_authorised"):
        desk.write(Answer(of, Snapshot(impossible), {"said": "5"}))
    assert {"said": "5"} == stage.one("SELECT body FROM evidence")
    assert Stage.ADMITTED is desk.load(of.operation_id).stage


def test_a_payment_that_moved_on_is_refused(stage: JournalStage, desk: Desk) -> None:
    """Versions grow by one: news upon an older version than the journal's is refused, not merged."""
    of = desk.admit_one()
    stage.sql("UPDATE payment SET version = 3")
    with pytest.raises(JournalRefusedError):
        desk.write(Answer(of, Snapshot(learnt(of)), {}))
    assert 3 == stage.one("SELECT version FROM payment")


def test_an_open_attempt_is_never_opened_twice(stage: JournalStage, desk: Desk) -> None:
    """Should an operation ever stand as admitted beside an open attempt, opening it again is refused."""
    of = desk.admit_one()
    desk.write(opening(of))
    stage.sql("UPDATE operation SET stage = 'admitted'")
    with pytest.raises(JournalRefusedError):
        desk.write(opening(of))


@pytest.mark.parametrize("words", ["nul \0 in it", "half a pair \ud800", "a backslash \\u0000"])
def test_any_text_of_the_world_is_kept(stage: JournalStage, desk: Desk, words: str) -> None:
    """U+0000 and lone surrogates, which PostgreSQL has no place for, never keep an answer from being written."""
    of = desk.admit_one()
    known = replace(learnt(of), reason=replace(of.payment.reason, text=words))
    [moved] = desk.write(Answer(of, Snapshot(known), {"said": words}))
    assert isinstance(moved, Moved)
    kept = stage.one("SELECT body ->> 'said' FROM evidence")
    assert words[:4] == kept[:4]
    assert kept == desk.load(of.operation_id).payment.reason.text


def test_a_session_whose_lease_ran_out_writes_only_evidence(stage: JournalStage) -> None:
    """It moves nothing any more and says so once; what the gateway said last is appended all the same."""
    with working(stage) as late:
        of = late.admit_one()
        stage.sql("UPDATE lease SET alive_until = clock_timestamp()")
        with pytest.raises(SessionOver, match="lease"):
            late.write(Answer(of, Snapshot(learnt(of)), {"said": "late"}))
        with pytest.raises(SessionOver):
            late.write(Park(of, Wait(5, "later", evidence={"seen": "later"})))
        assert 1 == len(late.over)
    kept = [row.body for row in stage.sql("SELECT body FROM evidence ORDER BY evidence_id")]
    assert [{"said": "late"}, {"seen": "later"}] == kept
    assert "admitted" == stage.one("SELECT stage FROM operation")


def test_a_session_ended_by_another_is_over(stage: JournalStage, desk: Desk) -> None:
    """Its next commit is refused with the reason that the other gave."""
    of = desk.admit_one()
    assert not end_session(stage.engine, session_id="one", why="a test ended it")
    with pytest.raises(SessionOver, match="a test ended it"):
        desk.write(opening(of))
    assert 0 == stage.one("SELECT count(*) FROM attempt")


async def test_nobody_waits_for_a_thread_that_has_ended(stage: JournalStage) -> None:
    """A move that comes after the end is turned away; it used to wait for ever."""
    with working(stage) as ended:
        of = ended.admit_one()
    with pytest.raises(SessionOver):
        await asyncio.wait_for(ended.commits.write(opening(of)), 5)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_crash_of_the_thread_ends_the_session_aloud(stage: JournalStage) -> None:
    """A bug of ours in the thread (here: a move that nobody knows) ends the session; whoever waits hears of it."""
    with working(stage) as broken:
        unknown: Any = "no move"
        with pytest.raises(SessionOver, match="crashed"):
            broken.write(unknown)
        assert 1 == len(broken.over)


async def test_numbers_are_drawn_in_the_order_of_commits(stage: JournalStage) -> None:
    """Two sessions interleaved: each has its own numbers, growing in commit order, and hands them on in that order."""
    with working(stage, "one") as one, working(stage, "two") as two:

        def work(desk: Desk) -> None:
            for _ in range(10):
                of = desk.admit_one()
                concluded(desk, of, of.operation_id, f"{of.operation_id} again")

        await asyncio.gather(*(asyncio.to_thread(work, it) for it in (one, two, one, two)))
        for desk in (one, two):
            handed_on = [it.number for it in desk.outbox]
            assert 40 == len(handed_on)
            assert sorted(set(handed_on)) == handed_on
            rows = stage.sql(
                "SELECT number, event_id FROM outbox WHERE session_id = :me ORDER BY created_at, number",
                me=desk.session_id,
            )
            assert [(it.number, it.message.event_id) for it in desk.outbox] == [
                tuple(it) for it in rows
            ]
    assert 80 == stage.one("SELECT count(DISTINCT event_id) FROM outbox")


def test_the_mirror_never_goes_back(stage: JournalStage, desk: Desk) -> None:
    """The watermark on the row grows, whatever order its copies come in."""
    desk.write(Mirror(7), Mirror(5))
    desk.write(Mirror(3))
    assert 7 == stage.one("SELECT watermark FROM session")


def test_the_end_erases_the_means(stage: JournalStage, desk: Desk) -> None:
    """A sealed token is kept while it may be sent, handed out only for that, and erased with the end."""
    of = desk.admit_one()
    assert of.command == desk.load(of.operation_id).command
    [opened] = desk.write(opening(of))
    assert "erased" == desk.load(of.operation_id).command.means.value.reveal()  # type: ignore[union-attr]  # opaque data
    assert b"one-time-token" not in bytes(stage.one("SELECT means_sealed FROM operation"))
    concluded(desk, opened.operation, "told")
    assert stage.one("SELECT means_sealed FROM operation") is None
