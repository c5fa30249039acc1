"""Sessions, leases and the take-over on a real PostgreSQL."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

import psycopg
import pytest
from sqlalchemy import text

from db_client.database import engine
from db_client.moves import Answer, Conclude, Mirror, Open, Rehome, Rehomed
from db_client.sessions import (
    LeaseKeeper,
    Started,
    boottime,
    dead_sessions,
    drop_connections,
    end_if_expired,
    end_session,
    start_session,
)
from db_client.takeovers import Sessions
from handlers.domain.errors import SessionOver
from handlers.domain.payments import Snapshot
from handlers.domain.recovery import Stage
from handlers.domain.states import PaymentState
from handlers.ports import Lost, Moved, Operation, Queued, Wait
from tests.contract.journal_stage import (
    DEADLINE_S,
    WAITS_S,
    Desk,
    JournalStage,
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


@contextmanager
def kept(stage: JournalStage, lease_s: float) -> Iterator[tuple[LeaseKeeper, list[SessionOver]]]:
    """The session "kept" with a keeper of its own."""
    own = engine(stage.url, role="keeper", pool_size=1)
    over: list[SessionOver] = []
    taken_at = boottime()
    started = start_session(own, session_id="kept", group="tests", lease_s=lease_s)
    keeper = LeaseKeeper(own, started, taken_at=taken_at, on_over=over.append)
    keeper.start()
    try:
        yield keeper, over
    finally:
        keeper.stop()
        own.dispose()


def left_s(stage: JournalStage) -> float:
    """What the database thinks is left of the lease."""
    wanted = "SELECT extract(epoch FROM alive_until - clock_timestamp()) FROM lease"
    return float(stage.one(wanted))


def session_row(stage: JournalStage, session_id: str = "kept") -> Started:
    """Start a session that nobody keeps."""
    return start_session(stage.engine, session_id=session_id, group="tests", lease_s=0.2)


def dead(stage: JournalStage, *, settled_s: float = 0.0, group: str = "tests") -> list[str]:
    """Whom another session sees dead."""
    return dead_sessions(stage.engine, me="me", group=group, settled_s=settled_s)


def test_the_keeper_renews_and_never_promises_more_than_the_database(stage: JournalStage) -> None:
    """It lives past its first lease, and its own deadline is never later than the one that others see."""
    with kept(stage, lease_s=1.6) as (keeper, over):
        until = time.monotonic() + 2.2
        while time.monotonic() < until:
            here = keeper.remaining_s()
            assert here <= left_s(stage) + 1.6  # renewed in between at most
            there, again = left_s(stage), keeper.remaining_s()
            assert again <= there or again > here
            time.sleep(0.02)
        assert keeper.alive()
        assert [] == over
        assert [] == dead(stage)


def test_an_expired_lease_is_never_revived(stage: JournalStage) -> None:
    """Too late by a hair is too late: the renewal finds nothing, and the session is over."""
    with kept(stage, lease_s=1.0) as (_, over):
        stage.sql("UPDATE lease SET alive_until = clock_timestamp() - interval '1 ms'")
        wait_for(lambda: over)
        assert left_s(stage) < 0
        assert ["kept"] == dead(stage)


def test_a_frozen_session_that_holds_its_row_is_cut_off(stage: JournalStage) -> None:
    """Frozen while it sent a statement in pieces it is not idle: the server waits for it for ever, its heir not."""
    session_row(stage)
    sessions = Sessions(stage.engine, me="me", group="tests", settled_s=0.0)
    with closing(
        psycopg.connect(
            stage.url,
            application_name="payment-worker journal kept",
            options="-c idle_in_transaction_session_timeout=500ms",
        )
    ) as frozen:
        frozen.pgconn.enter_pipeline_mode()
        frozen.pgconn.send_query_params(b"UPDATE session SET watermark = 1", [])
        frozen.pgconn.send_flush_request()
        frozen.pgconn.flush()  # and never the end of it
        wait_for(lambda: sessions.dead() == ["kept"])
        assert sessions.end_if_expired("kept")


def test_nobody_cuts_off_a_session_that_lives(stage: JournalStage) -> None:
    """Only a lease that ran out makes its connections anybody else's business."""
    with kept(stage, lease_s=5.0):
        own = engine(stage.url, role="payment-worker journal kept", pool_size=1)
        with own.connect() as connection:
            assert 0 == drop_connections(stage.engine, session_id="kept")
            assert 1 == connection.execute(text("SELECT 1")).scalar_one()
        own.dispose()


def test_the_lease_of_an_ended_session_is_not_renewed(stage: JournalStage) -> None:
    """Ended by another while its lease runs: the next renewal tells it."""
    with kept(stage, lease_s=1.0) as (_, over):
        stage.sql("UPDATE session SET ended_at = clock_timestamp(), ended_why = 'test'")
        wait_for(lambda: over)


def wait_for(there: object) -> None:
    """Until it is true."""
    assert callable(there)
    until = time.monotonic() + 5
    while not there():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_nobody_is_dead_while_the_server_is_young(stage: JournalStage) -> None:
    """After an outage every lease looks expired: those who live get time to renew first. Who is ended is ended."""
    session_row(stage, "expired")
    session_row(stage, "ended")
    time.sleep(0.25)
    desk_left = "INSERT INTO outbox (session_id, number, topic, key, headers, event_id)"
    stage.sql(f"{desk_left} VALUES ('ended', 1, 't', '', '', 'e')")
    assert not end_session(stage.engine, session_id="ended", why="test")
    assert ["expired", "ended"] == dead(stage)
    assert ["ended"] == dead(stage, settled_s=3600)
    assert [] == dead(stage, group="another group")


def test_a_session_that_leaves_nothing_needs_no_takeover(stage: JournalStage) -> None:
    """What is concluded and published is nobody's work: the end counts as its own take-over."""
    with working(stage, "kept") as desk:
        [concluded] = [conclude(desk, answered(desk, desk.admit_one()), "told")]
        assert isinstance(concluded, Moved)
        desk.write(Mirror(desk.outbox[-1].number + 1))
    assert end_session(stage.engine, session_id="kept", why="test")
    assert [] == dead(stage)
    assert "kept" == stage.one("SELECT rehomed_by FROM session")


@pytest.mark.parametrize("what", ["operation", "event"])
def test_a_session_that_leaves_something_is_to_be_taken_over(
    stage: JournalStage, what: str
) -> None:
    """An unfinished operation or an unpublished event keeps the session on the list."""
    with working(stage, "kept") as desk:
        of = desk.admit_one()
        if what == "event":
            conclude(desk, answered(desk, of), "told")
    assert not end_session(stage.engine, session_id="kept", why="test")
    assert ["kept"] == dead(stage)


def test_ending_waits_for_the_dying_sessions_last_commit(stage: JournalStage) -> None:
    """A db_txn of the dying session that is still open is finished or gone before its row is ended."""
    session_row(stage)
    ended: list[bool] = []
    with stage.engine.begin() as dying:
        dying.execute(text("UPDATE session SET commits = commits + 1"))
        time.sleep(0.25)
        ending = threading.Thread(
            target=lambda: ended.append(end_if_expired(stage.engine, session_id="kept"))
        )
        ending.start()
        ending.join(0.3)
        assert ending.is_alive()
    ending.join(WAITS_S)
    assert [True] == ended
    assert 1 == stage.one("SELECT commits FROM session")


def test_ending_waits_for_a_renewal_that_came_in_time(stage: JournalStage) -> None:
    """A renewal that was under way when the lease ran out counts: the session lives, and is not ended.

    It used to be ended by the old end of its lease, while its keeper believed in the new one: for a whole lease the
    gate would have let calls pass for a session that others had taken over.
    """
    session_row(stage)
    ended: list[bool] = []
    with stage.engine.begin() as renewal:
        renewal.execute(text("UPDATE lease SET alive_until = clock_timestamp() + interval '60 s'"))
        time.sleep(0.25)
        ending = threading.Thread(
            target=lambda: ended.append(end_if_expired(stage.engine, session_id="kept"))
        )
        ending.start()
        ending.join(0.2)
    ending.join(WAITS_S)
    assert [False] == ended
    assert stage.one("SELECT ended_at FROM session") is None
    assert left_s(stage) > 50


def test_a_living_session_is_not_ended(stage: JournalStage) -> None:
    """Only an expired lease may be ended by others; an ended one stays ended."""
    with working(stage, "kept"):
        assert not end_if_expired(stage.engine, session_id="kept")
        end_session(stage.engine, session_id="kept", why="test")
        assert end_if_expired(stage.engine, session_id="kept")
    assert not end_if_expired(stage.engine, session_id="nobody")


def answered(desk: Desk, of: Operation) -> Operation:
    """Declined, not yet told."""
    known = replace(of.payment, state=PaymentState.DECLINED, version=of.payment.version + 1)
    [moved] = desk.write(Answer(of, Snapshot(known), {}))
    assert isinstance(moved, Moved)
    return moved.operation


def conclude(desk: Desk, of: Operation, *events: str, wait: Wait | None = None) -> object:
    """Tell it."""
    [moved] = desk.write(Conclude(of, [message(event) for event in events], wait))
    return moved


def take_over(desk: Desk, watermark: int = 0) -> Rehomed | None:
    """Take a session over."""
    [rehomed] = desk.write(Rehome("dead", watermark, DEADLINE_S))
    return rehomed  # type: ignore[no-any-return]  # a move's result is its own


def die(stage: JournalStage) -> None:
    """The session "dead" is ended, as the janitor does it."""
    end_session(stage.engine, session_id="dead", why="test")


def test_a_takeover_renumbers_what_is_unpublished(stage: JournalStage) -> None:
    """Rows from the watermark on get the new session's numbers, in their order; published ones stay where they are."""
    with working(stage, "dead") as dying, working(stage, "next") as heir:
        for event in ("a", "b", "c", "d"):
            conclude(dying, answered(dying, dying.admit_one()), event)
        conclude(heir, answered(heir, heir.admit_one()), "own")
        a, _, c, _ = (it.number for it in dying.outbox)
        dying.write(Mirror(a + 1))
        die(stage)
        assert Rehomed(operations=0, messages=2) == take_over(heir, watermark=c)
        conclude(heir, answered(heir, heir.admit_one()), "after")
        told = [it.message.event_id for it in heir.outbox]
        assert ["own", "c", "d", "after"] == told
        rows = stage.sql(
            "SELECT number, event_id FROM outbox WHERE session_id = 'next' ORDER BY number"
        )
        assert [(it.number, it.message.event_id) for it in heir.outbox] == [
            tuple(it) for it in rows
        ]
        assert take_over(heir, watermark=c) is None
        assert 4 == len(heir.outbox)
    events = "SELECT event_session, o.event_id FROM payment p JOIN outbox o ON o.session_id = p.event_session"
    followed = stage.sql(f"{events} AND o.number = p.event_number ORDER BY o.event_id")
    assert [
        ("dead", "a"), ("next", "after"), ("dead", "b"), ("next", "c"), ("next", "d"), ("next", "own")
    ] == [tuple(it) for it in followed]  # fmt: skip


def test_what_kafka_has_is_published_for_everybody(stage: JournalStage) -> None:
    """The watermark read from Kafka was ahead of its mirror: the payment's next event must not wait for ever.

    The larger count was used for the rows and then forgotten; every later event of such a payment stayed Queued behind
    one that had long been published, and a repeat of its command was never answered.
    """
    with working(stage, "dead") as dying, working(stage, "next") as heir:
        of = answered(dying, dying.admit_one())
        conclude(dying, of, "pending", wait=Wait(5, "undecided", asked=True))
        die(stage)
        take_over(heir, watermark=dying.outbox[-1].number + 1)
        assert [] == heir.outbox
        asked = heir.load(of.operation_id)
        assert Stage.ASKING is asked.stage
        assert isinstance(conclude(heir, answered(heir, asked), "told"), Moved)


def test_an_event_waits_for_the_dead_sessions_last(stage: JournalStage) -> None:
    """Until the dead session's event is re-homed, the next one of that payment is Queued; then it follows."""
    with working(stage, "dead") as dying, working(stage, "next") as heir:
        of = answered(dying, dying.admit_one())
        conclude(dying, of, "pending", wait=Wait(5, "undecided"))
        stage.sql("UPDATE operation SET session_id = 'next'")
        later = answered(heir, heir.load(of.operation_id))
        assert Queued() == conclude(heir, later, "told")
        die(stage)
        take_over(heir)
        assert isinstance(conclude(heir, later, "told"), Moved)
        assert ["pending", "told"] == [it.message.event_id for it in heir.outbox]


def test_a_takeover_raises_tokens_and_wakes_everything(stage: JournalStage) -> None:
    """What is unfinished is due at once or as it was; the old session's moves are lost; what is final stays."""
    with working(stage, "dead") as dying, working(stage, "next") as heir:
        admitted, opened, final = (dying.admit_one() for _ in range(3))
        [moved] = dying.write(Open(opened, intent(opened), {"request": "frozen"}, DEADLINE_S))
        conclude(dying, answered(dying, final), "told")
        dying.write(Mirror(dying.outbox[-1].number + 1))
        die(stage)
        assert Rehomed(operations=2, messages=0) == take_over(heir)
        ids = sorted(it.operation_id for it in (admitted, opened))
        assert ids == sorted(heir.reader.due(most=9))
        assert [2, 2] == [it.token for it in heir.reader.whole(ids).operations]
        assert [] == heir.reader.whole([final.operation_id]).operations
        with pytest.raises(SessionOver):
            answered(dying, moved.operation)
        [late] = heir.write(Answer(moved.operation, moved.operation.snapshot, {"said": "late"}))
        assert Lost() == late


@pytest.mark.parametrize("other_incarnation", [False, True])
def test_what_is_unfinished_after_lost_time_is_suspect(
    stage: JournalStage, *, other_incarnation: bool
) -> None:
    """Under another incarnation each may have gone further than is known; what scans proved before counts no more."""
    with working(stage, "dead") as dying, working(stage, "next") as heir:
        admitted, opened = dying.admit_one(), dying.admit_one()
        dying.write(Open(opened, intent(opened), {"request": "frozen"}, DEADLINE_S))
        die(stage)
        if other_incarnation:
            stage.sql("UPDATE session SET incarnation = 'before' WHERE session_id = 'dead'")
        stage.sql("UPDATE operation SET complete_scans = 1")
        before = dying.reader.whole([admitted.operation_id]).operations[0].inquiry
        assert before is not None
        take_over(heir)
        for of in (admitted, opened):
            there = heir.load(of.operation_id)
            assert other_incarnation == there.suspect
            assert there.inquiry is not None
            assert (0 if other_incarnation else 1) == there.inquiry.complete_scans
        until = heir.load(admitted.operation_id).inquiry
        assert until is not None
        assert other_incarnation == (until.until > before.until)


def test_a_living_session_is_not_taken_over(stage: JournalStage) -> None:
    """Without an ended row nothing is claimed, whoever asks."""
    with working(stage, "dead") as living, working(stage, "next") as heir:
        of = living.admit_one()
        assert take_over(heir) is None
        assert isinstance(answered(living, of), Operation)


def test_of_two_heirs_one_gets_all(stage: JournalStage) -> None:
    """Two janitors at once: one take-over moves everything, the other nothing."""
    with working(stage, "dead") as dying, working(stage, "a") as one, working(stage, "b") as two:
        dying.admit_one()
        die(stage)
        futures = [it.commits.submit(Rehome("dead", 0, DEADLINE_S)) for it in (one, two)]
        results = [future.result(WAITS_S) for future in futures]
        assert 1 == results.count(None)
        assert Rehomed(operations=1, messages=0) in results
