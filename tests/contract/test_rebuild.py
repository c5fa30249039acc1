"""Marking after a restore, on a real PostgreSQL: what becomes suspect, from when on, and who is in the way."""

import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

from db_client.moves import Admit, Hold, Mirror, Rehome, Rehomed
from db_client.rebuild_rows import InTheWay, Rebuild
from db_client.rebuilding import finish, left, mark, unfinished
from db_client.sessions import end_session
from handlers.domain.commands import Command, InitiatePayment
from handlers.domain.states import Fact, RequestFact
from handlers.ports import Operation
from tests.contract.journal_stage import (
    DEADLINE_S,
    Desk,
    JournalStage,
    admission,
    staged,
    working,
)
from tests.contract.restored_journal import (
    LONGEST_S,
    TOPIC,
    TOPIC_ID,
    an_hour_ago,
    asking,
    concluded,
    deferred,
    left_behind,
    marked,
    opened,
    paid,
    reach,
    refund,
    row,
    told,
    void,
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JournalStage]:
    """A server for this file."""
    with staged(tmp_path_factory.mktemp("rebuild")) as one:
        yield one


@pytest.fixture
def stage(server: JournalStage) -> JournalStage:
    """An empty journal."""
    server.clear()
    return server


@pytest.fixture
def copy(stage: JournalStage) -> Iterator[Desk]:
    """The session that wrote the copy; `left_behind` makes it one of the dead."""
    with working(stage, "before") as one:
        yield one


def test_what_was_not_sent_yet_becomes_suspect(stage: JournalStage, copy: Desk) -> None:
    """Admitted, in line, deferred: asked for over the whole lost time and beyond it, before anything is sent."""
    held = opened(copy).command
    assert isinstance(held, InitiatePayment)
    copy.admit(admission(void(held)))
    later = deferred(copy, refund(paid(copy)))
    unsent: list[Command | Operation] = [copy.admit_one(), later, void(held)]
    left_behind(stage)
    of = marked(stage)
    for it in unsent:
        found = row(stage, it)
        assert (True, of.counts_from, 0) == (found.suspect, found.since, found.complete_scans)
        assert of.marked_at + timedelta(seconds=LONGEST_S) == found.until
    assert of.marked_at == row(stage, later).due_at
    assert row(stage, void(held)).due_at is None


def test_what_was_sent_is_asked_for_anew(stage: JournalStage, copy: Desk) -> None:
    """It may have been sent again in the lost time, later than the copy says, and as something else: no scan counts."""
    under_way, undecided = opened(copy), asking(copy)
    answered = told(copy, opened(copy), fact=Fact.TAKEN, captured_minor=1, authorised_minor=1)
    left_behind(stage)
    of = marked(stage)
    for it in (under_way, undecided, answered):
        found = row(stage, it)
        assert (True, 0) == (found.suspect, found.complete_scans)
        assert of.marked_at + timedelta(seconds=LONGEST_S) == found.until
    assert (of.marked_at, 2) == (row(stage, undecided).due_at, row(stage, undecided).asked)


def test_what_is_over_stays_as_it_is(stage: JournalStage, copy: Desk) -> None:
    """A concluded operation is not touched, nor its payment."""
    done = paid(copy)
    before = row(stage, done)
    left_behind(stage)
    marked(stage)
    assert before == row(stage, done)


def test_an_heir_takes_over_what_is_marked(stage: JournalStage, copy: Desk) -> None:
    """A new session finds the marks on what it takes over, and the passage will ask."""
    of = copy.admit_one()
    left_behind(stage)
    begun = marked(stage)
    end_session(stage.engine, session_id="before", why="its lease ran out")
    with working(stage, "after") as heir:
        assert [Rehomed(operations=1, messages=0)] == heir.write(Rehome("before", 1, DEADLINE_S))
        loaded = heir.load(of.operation_id)
    assert loaded.inquiry is not None
    assert (True, begun.counts_from) == (loaded.suspect, loaded.inquiry.since)


def test_event_numbers_go_on_above_the_watermark(stage: JournalStage, copy: Desk) -> None:
    """Kafka says that more was published than the copy knows of: nothing of it is published again, and news go on.

    What the copy had written down and not published yet was published in the lost time under the same numbers.
    """
    done = paid(copy)
    [told_before] = copy.outbox
    copy.admit(admission(refund(done)))
    left_behind(stage)
    marked(stage)
    end_session(stage.engine, session_id="before", why="its lease ran out")
    with working(stage, "after") as heir:
        watermark = told_before.number + 7  # seven more rows, of which this copy knows nothing
        rehomed = heir.write(Rehome("before", watermark, DEADLINE_S))
        assert [Rehomed(operations=1, messages=0)] == rehomed
        assert [] == heir.outbox
        own = heir.load(refund(done).operation_id)
        news = told(heir, own, fact=None, asked=RequestFact.DENIED)
        concluded(heir, news)  # waits for no publisher that is gone
        assert ["after"] == [
            it[0] for it in stage.sql("SELECT session_id FROM outbox") if it[0] != "before"
        ]
        assert watermark == stage.one("SELECT watermark FROM session WHERE session_id = 'before'")


def test_what_kafka_does_not_remember_the_mirror_does(stage: JournalStage, copy: Desk) -> None:
    """The progress offsets are lost, too: the mirror of the copy counts, and what lies above it is told once more."""
    paid(copy)
    copy.write(Mirror(copy.outbox[-1].number + 1))
    paid(copy)
    left_behind(stage)
    end_session(stage.engine, session_id="before", why="its lease ran out")
    with working(stage, "after") as heir:
        assert [Rehomed(operations=0, messages=1)] == heir.write(Rehome("before", 0, DEADLINE_S))
        assert [copy.outbox[-1].message.event_id] == [it.message.event_id for it in heir.outbox]


def test_partitions_are_read_as_suspect_to_their_end(stage: JournalStage, copy: Desk) -> None:
    """Below the end that Kafka had, and from the copy's own position; one that was never read has a position now."""
    copy.write(Admit([], [], {(TOPIC, TOPIC_ID, 0): 7}))
    left_behind(stage)
    of = marked(stage, reaches=[reach(20), reach(3, partition=1), reach(0, partition=2)])
    with working(stage, "after") as heir:
        found = heir.reader.positions(TOPIC_ID)
    assert {0: (7, 20), 1: (0, 3), 2: (0, 0)} == {
        number: (it.next_offset, it.suspect_below) for number, it in found.items()
    }
    assert {of.counts_from} == {it.updated_at for it in found.values()}


def test_an_admission_keeps_the_mark(stage: JournalStage) -> None:
    """Reading on moves the position and not the end below which its records are suspect."""
    of = marked(stage, reaches=[reach(20)])
    with working(stage, "after") as heir:
        heir.write(Admit([], [], {(TOPIC, TOPIC_ID, 0): 19}))
        assert (19, 20) == _place(heir)
        assert 1 == left(stage.engine, of).partitions
        heir.write(Admit([], [], {(TOPIC, TOPIC_ID, 0): 20}))
        assert 0 == left(stage.engine, of).partitions


def _place(desk: Desk) -> tuple[int, int]:
    found = desk.reader.positions(TOPIC_ID)[0]
    return found.next_offset, found.suspect_below


def test_what_kafka_deleted_is_counted_and_not_waited_for(stage: JournalStage, copy: Desk) -> None:
    """Records that nobody can read again are named: what they charged has no command any more."""
    copy.write(Admit([], [], {(TOPIC, TOPIC_ID, 0): 7}))
    left_behind(stage)
    reaches = [reach(20, first=12), reach(9, first=0, partition=1), reach(2, first=2, partition=2)]
    of = marked(stage, reaches=reaches)
    assert 5 + 2 == of.gone
    assert 2 == left(stage.engine, of).partitions
    with working(stage, "after") as heir:
        found = heir.reader.positions(TOPIC_ID)
    assert {0: 12, 1: 0, 2: 2} == {number: it.next_offset for number, it in found.items()}


def test_the_finder_walks_again(stage: JournalStage, copy: Desk) -> None:
    """From the lost time's beginning at the latest, where it never walked from as far back as it would have."""
    copy.write(Hold({"main": "USD", "other": "EUR"}))
    stage.sql("UPDATE finder SET walked_until = clock_timestamp() WHERE merchant_account = 'main'")
    left_behind(stage)
    of = marked(stage)
    until = dict(stage.sql("SELECT merchant_account, walked_until FROM finder"))
    assert of.counts_from == until["main"]
    assert until["other"] < of.counts_from


def test_the_journals_last_word_counts(stage: JournalStage, copy: Desk) -> None:
    """The operator's time is later than the copy: what the copy itself knows last is where the lost time begins."""
    stage.sql("UPDATE session SET started_at = clock_timestamp() - interval '3 hours'")
    copy.write(Admit([], [], {(TOPIC, TOPIC_ID, 0): 7}))
    stage.sql("UPDATE position SET updated_at = clock_timestamp() - interval '2 hours'")
    last_word = stage.one("SELECT updated_at FROM position")
    left_behind(stage)
    of = marked(stage)
    assert (last_word, True) == (of.counts_from, of.since > of.counts_from)


def test_nothing_is_marked_while_a_worker_lives(stage: JournalStage, copy: Desk) -> None:
    """It would go on with what it knows: who lives is named, and nothing is written."""
    of = copy.admit_one()
    found = mark(stage.engine, since=an_hour_ago(), by="ann", reaches=[reach(9)], longest_send_s=1)
    assert isinstance(found, InTheWay)
    assert ["before"] == [it.session_id for it in found.sessions]
    assert 0 < found.sessions[0].left_s <= 60
    assert unfinished(stage.engine) is None
    assert (False, 0) == (row(stage, of).suspect, stage.one("SELECT count(*) FROM position"))


def test_a_worker_that_begins_meanwhile_is_waited_for(stage: JournalStage, copy: Desk) -> None:
    """Its session is written and not committed yet: marking waits for it, and then finds it alive."""
    copy.admit_one()
    left_behind(stage)
    found: list[Rebuild | InTheWay] = []

    def marking() -> None:
        found.append(
            mark(stage.engine, since=an_hour_ago(), by="ann", reaches=(), longest_send_s=1.0)
        )

    waiting = threading.Thread(target=marking)
    with stage.engine.begin() as starting:
        starting.exec_driver_sql(
            "INSERT INTO session (session_id, group_name, host, pid, incarnation)"
            " VALUES ('new', 'tests', 'host', 1, 'x')"
        )
        starting.exec_driver_sql(
            "INSERT INTO lease VALUES ('new', clock_timestamp() + interval '1 minute')"
        )
        waiting.start()
        time.sleep(0.3)
        assert [] == found
    waiting.join()
    [stands] = found
    assert isinstance(stands, InTheWay)


def test_a_second_one_finds_the_first(stage: JournalStage, copy: Desk) -> None:
    """While one is not finished nothing is marked anew, whatever time is given; afterwards a new one begins."""
    copy.admit_one()
    left_behind(stage)
    first = marked(stage)
    assert first == unfinished(stage.engine)
    assert first == marked(stage, since=an_hour_ago() - timedelta(hours=1))
    assert finish(stage.engine, first) is not None
    assert unfinished(stage.engine) is None
    assert finish(stage.engine, first) is None
    assert first.rebuild_id != marked(stage).rebuild_id
