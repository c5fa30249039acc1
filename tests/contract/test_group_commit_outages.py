"""The journal's thread while its database dies, comes back, loses an acknowledgement, or loses time. All real."""

import asyncio
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from db_client.group_commit import LostTimeError
from db_client.moves import Admit, Admitted, Answer, Mirror, Open
from db_client.sessions import end_session
from handlers.domain.errors import SessionOver
from handlers.domain.payments import Payment, Snapshot
from handlers.domain.recovery import Stage
from handlers.domain.states import PaymentState
from handlers.ports import Moved, Operation
from tests.contract.dropping_proxy import Loss, proxied
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

_backups = count(1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JournalStage]:
    """A durable server for this file."""
    with staged(tmp_path_factory.mktemp("journal"), durable=True) as one:
        yield one


@pytest.fixture
def stage(server: JournalStage) -> JournalStage:
    """An empty journal."""
    server.engine.dispose()
    server.clear()
    return server


@pytest.fixture
def desk(stage: JournalStage) -> Iterator[Desk]:
    """A session at work."""
    with working(stage) as one:
        yield one


def learnt(of: Operation) -> Payment:
    """The payment, declined, one version on."""
    return replace(of.payment, state=PaymentState.DECLINED, version=of.payment.version + 1)


def available(desk: Desk) -> bool:
    """Whether the journal counts as there."""
    return desk.commits.available


async def charge(desk: Desk, name: str) -> None:
    """One operation from its admission to its end, as intake and the passage do it."""
    [of] = (await desk.commits.write(Admit([admission()], [], {}))).operations
    opened = await desk.journal.open(of, intent=intent(of), frozen={"request": "frozen"})
    assert isinstance(opened, Moved)
    answered = await desk.journal.answer(
        opened.operation, told=Snapshot(learnt(of)), evidence={"said": name}
    )
    assert isinstance(answered, Moved)
    told = [message(f"{name} status"), message(f"{name} order")]
    assert isinstance(
        await desk.journal.conclude(answered.operation, messages=told, wait=None), Moved
    )


def books(stage: JournalStage, desk: Desk, *, charges: int) -> None:
    """Nothing lost, nothing doubled, and what was handed on is what is there, in the order of its numbers."""
    by_stage = stage.sql("SELECT stage, count(*) FROM operation GROUP BY stage")
    assert [("concluded", charges)] == [tuple(row) for row in by_stage]
    assert charges == stage.one(
        "SELECT count(*) FROM payment WHERE version = 1 AND held_by IS NULL"
    )
    assert charges == stage.one("SELECT count(*) FROM attempt WHERE state = 'answered'")
    assert charges == stage.one("SELECT count(*) FROM evidence")
    rows = stage.sql("SELECT number, event_id FROM outbox ORDER BY number")
    assert 2 * charges == len(rows)
    assert [tuple(row) for row in rows] == [(it.number, it.message.event_id) for it in desk.outbox]
    assert [] == desk.over


async def test_killed_connections_lose_and_double_nothing(stage: JournalStage, desk: Desk) -> None:
    """Its backend is terminated again and again, at random moments: every move is there once."""
    done = threading.Event()
    dice = random.Random(7)
    killed = 0

    def kill() -> None:
        nonlocal killed
        while not done.wait(dice.uniform(0.05, 0.4)):
            killed += stage.one(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE application_name = 'one'"
            )

    charges = 0

    async def lane(number: int) -> None:
        nonlocal charges
        step = 0
        while step < 6 or killed < 2:  # a fast machine is done before the first connection dies
            await charge(desk, f"{number}-{step}")
            step, charges = step + 1, charges + 1

    killer = asyncio.create_task(asyncio.to_thread(kill))
    try:
        await asyncio.wait_for(asyncio.gather(*(lane(number) for number in range(8))), WAITS_S)
    finally:
        done.set()
        await killer
    assert killed >= 2
    books(stage, desk, charges=charges)


@pytest.mark.parametrize("loss", list(Loss))
async def test_a_lost_commit_is_told_apart(stage: JournalStage, loss: Loss) -> None:
    """Lost before, after, or while it was under way: the results are right, and no row is there twice.

    A COMMIT that was still under way used to look like one that never was, and then like a database put back in time:
    the session ended for nothing.
    """
    with proxied(stage.server.port) as proxy:
        url = stage.url.replace(f":{stage.server.port}/", f":{proxy.port}/")
        with working(stage, url=url) as desk:
            await charge(desk, "before")
            for number in range(4):
                proxy.lose(loss)
                await charge(desk, f"lost {number}")
            await charge(desk, "after")
            books(stage, desk, charges=6)
            assert 4 == proxy.lost
            commits = stage.one("SELECT commits FROM session")
            assert 4 * 6 == commits


@pytest.mark.parametrize("kill", [False, True])
async def test_it_goes_on_by_itself_when_the_server_is_back(
    stage: JournalStage, desk: Desk, *, kill: bool
) -> None:
    """Stopped or killed and started again: what waited is committed, without a word to the lanes."""
    await charge(desk, "before")
    if kill:
        stage.server.kill()
    else:
        await asyncio.to_thread(stage.server.stop)
    waiting = [asyncio.create_task(charge(desk, f"during {number}")) for number in range(5)]
    await asyncio.sleep(0.4)
    assert not available(desk)
    assert not any(it.done() for it in waiting)
    await asyncio.to_thread(stage.server.start)
    await asyncio.wait_for(asyncio.gather(*waiting), WAITS_S)
    assert available(desk)
    stage.engine.dispose()
    books(stage, desk, charges=6)


@pytest.mark.parametrize("code", ["53100", "57P03", "25006"])
async def test_a_database_that_cannot_write_is_away(
    stage: JournalStage, desk: Desk, code: str
) -> None:
    """Disk full, starting up, read-only: that is no fault of the move, which waits until it is over.

    It used to be refused, as if the move itself were bad.
    """
    stage.sql(
        "CREATE FUNCTION cannot() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION 'cannot write' USING ERRCODE = '{code}'; END $$"
    )
    stage.sql("CREATE TRIGGER cannot BEFORE INSERT ON attempt EXECUTE FUNCTION cannot()")
    try:
        waiting = asyncio.create_task(charge(desk, "waits"))
        await asyncio.sleep(0.5)
        assert not waiting.done()
    finally:
        stage.sql("DROP FUNCTION cannot CASCADE")
    await asyncio.wait_for(waiting, WAITS_S)
    books(stage, desk, charges=1)


def test_a_lease_that_ends_while_the_database_is_away_ends_the_session(stage: JournalStage) -> None:
    """Nobody waits longer than the lease: when it is over without a database, the session is over."""
    until = time.monotonic() + 1.0
    with working(stage, alive=lambda: time.monotonic() < until) as desk:
        of = desk.admit_one()
        stage.server.stop()
        try:
            with pytest.raises(SessionOver, match="away"):
                desk.write(Open(of, intent(of), {"request": "frozen"}, DEADLINE_S))
        finally:
            stage.server.start()
        assert 1 == len(desk.over)


def test_a_database_put_back_in_time_ends_the_session(stage: JournalStage, tmp_path: Path) -> None:
    """Restored to a copy from before our last commits: the session is over, at once and with the reason."""
    with working(stage) as desk:
        kept = desk.admit_one()
        backup = tmp_path / f"backup-{next(_backups)}"
        stage.server.backup(backup)
        lost = desk.admit_one()
        stage.server.restore(backup)
        with pytest.raises(LostTimeError, match="back in time"):
            desk.write(Answer(kept, Snapshot(learnt(kept)), {"said": "kept"}))
        with pytest.raises(SessionOver):
            desk.write(Answer(lost, Snapshot(learnt(lost)), {"said": "lost"}))
        assert 1 == len(desk.over)
        assert isinstance(desk.over[0], LostTimeError)
    stage.engine.dispose()
    assert [kept.operation_id] == [
        row.operation_id for row in stage.sql("SELECT operation_id FROM operation")
    ]
    said = stage.sql("SELECT body ->> 'said' AS said FROM evidence ORDER BY evidence_id")
    assert ["kept", "lost"] == [row.said for row in said]
    assert 0 == stage.one("SELECT max(version) FROM payment")


def test_what_is_heard_after_the_end_is_kept_over_a_restart(stage: JournalStage) -> None:
    """The connection over which evidence was kept before is dead, and nobody has noticed: the next one is tried."""
    with working(stage) as desk:
        of = desk.admit_one()
        end_session(stage.engine, session_id="one", why="told to")
        for said in ("before", "after"):
            with pytest.raises(SessionOver):
                desk.write(Answer(of, Snapshot(learnt(of)), {"said": said}))
            stage.server.stop()
            stage.server.start()
    stage.engine.dispose()
    told = stage.sql("SELECT body ->> 'said' AS said FROM evidence ORDER BY evidence_id")
    assert ["before", "after"] == [row.said for row in told]


def test_a_restored_copy_without_loss_lets_the_session_live(
    stage: JournalStage, tmp_path: Path
) -> None:
    """A copy that has all our commits is as good as a restart: the session goes on."""
    with working(stage) as desk:
        of = desk.admit_one()
        backup = tmp_path / f"backup-{next(_backups)}"
        stage.server.backup(backup)
        stage.server.restore(backup)
        [moved] = desk.write(Open(of, intent(of), {"request": "frozen"}, DEADLINE_S))
        assert isinstance(moved, Moved)
        stage.engine.dispose()
        assert Stage.OPEN is desk.load(of.operation_id).stage
        desk.write(Mirror(2))
        assert [] == desk.over


def test_what_was_judged_before_the_journal_was_started_anew_is_not_admitted(
    stage: JournalStage, tmp_path: Path
) -> None:
    """It may have been put back in time: where to read from, and what is suspect, must be found out anew."""
    with working(stage) as desk:
        desk.write(Mirror(1))
        before = frozenset({desk.commits.incarnation})
        backup = tmp_path / f"backup-{next(_backups)}"
        stage.server.backup(backup)
        stage.server.restore(backup)
        place = ("payments", "topic-1", 0)
        stage.engine.dispose()
        [nothing] = desk.write(Admit([admission()], [], {place: 7}, judged_under=before))
        assert nothing is None
        assert [] == stage.sql("SELECT operation_id FROM operation")
        assert [] == stage.sql("SELECT next_offset FROM position")
        after = frozenset({desk.commits.incarnation})
        assert before != after
        [admitted] = desk.write(Admit([admission()], [], {place: 7}, judged_under=after))
        assert isinstance(admitted, Admitted)
        assert [] == desk.over
