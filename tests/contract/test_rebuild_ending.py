"""When a rebuild is over, on a real PostgreSQL: what is waited for, let go, and recorded once more."""

from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from db_client.moves import Park, Rehome
from db_client.rebuild_rows import Left, Rebuild
from db_client.rebuilding import finish, left
from db_client.service import DbService, DbServiceSettings
from db_client.sessions import end_session
from db_client.told_again import told_since
from handlers.domain.commands import InitiatePayment
from handlers.domain.errors import Unavailable
from handlers.domain.payments import Snapshot
from handlers.domain.secret import Secret
from handlers.domain.states import Fact, RequestFact
from handlers.ports import Wait
from tests.contract.db_service_contract import TOKEN
from tests.contract.journal_stage import (
    DEADLINE_S,
    Desk,
    JournalStage,
    admission,
    staged,
    working,
)
from tests.contract.restored_journal import (
    an_hour_ago,
    asking,
    concluded,
    left_behind,
    marked,
    opened,
    paid,
    reach,
    refund,
    refunded_twice,
    row,
    told,
    void,
)
from tests.doubles.values import command
from worker.commands import checks_outside
from worker.commands.findings import Finding
from worker.config import read_settings
from worker.rebuilding import Tally, record_again, wait


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JournalStage]:
    """A server for this file."""
    with staged(tmp_path_factory.mktemp("rebuild")) as one:
        yield one


@pytest.fixture
def reader(ready: dict[str, str]) -> Iterator[httpx.Client]:
    """Another service's view of the db-service."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with httpx.Client(base_url=ready["url"], headers=headers, timeout=30) as one:
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


def test_it_waits_until_each_was_asked_for(stage: JournalStage, copy: Desk) -> None:
    """Suspects, what was under way and what was undecided count; each until it was asked, and what is new never."""
    suspect, under_way, undecided = copy.admit_one(), opened(copy), asking(copy)
    left_behind(stage)
    of = marked(stage)
    end_session(stage.engine, session_id="before", why="its lease ran out")
    with working(stage, "after") as heir:
        heir.write(Rehome("before", 99, DEADLINE_S))
        heir.admit_one()
        assert (3, 1) == (left(stage.engine, of).questions, left(stage.engine, of).workers)
        trusted = Wait(0.0, "absent", asked=True, trust=True)
        heir.write(Park(heir.load(suspect.operation_id), trusted))
        assert 2 == left(stage.engine, of).questions
        heir.write(Park(heir.load(undecided.operation_id), Wait(60.0, "asked", asked=True)))
        stands = left(stage.engine, of)
        assert stands.oldest is not None
        assert (1, under_way.operation_id) == (stands.questions, stands.oldest.operation_id)
        found = told(heir, heir.load(under_way.operation_id), fact=Fact.TAKEN, captured_minor=5)
        assert 1 == left(stage.engine, of).questions  # known here, and not told yet
        concluded(heir, found)
        assert left(stage.engine, of).nothing


def test_what_is_told_as_deferred_since_then_is_not_waited_for(
    stage: JournalStage, copy: Desk
) -> None:
    """Its answer was known before the copy was made: it waits for the settlement, and no question of it is open."""
    asked = refund(paid(copy))
    copy.admit(admission(asked))
    loaded = copy.load(asked.operation_id)
    answered = told(copy, loaded, fact=None, asked=RequestFact.DEFERRED, reserve_minor=200)
    left_behind(stage)
    of = marked(stage)
    end_session(stage.engine, session_id="before", why="its lease ran out")
    with working(stage, "after") as heir:
        heir.write(Rehome("before", 99, DEADLINE_S))
        assert 1 == left(stage.engine, of).questions
        later = Wait(86_400.0, "it settles first", release=True)
        concluded(heir, heir.load(answered.operation_id), wait=later)
        assert left(stage.engine, of).nothing


def test_who_stands_behind_what_stays_undecided_is_not_waited_for(
    stage: JournalStage, copy: Desk
) -> None:
    """Its payment may be undecided for days; it stays suspect, and is asked for when it is its turn."""
    undecided = asking(copy)
    assert isinstance(undecided.command, InitiatePayment)
    copy.admit(admission(void(undecided.command)))
    left_behind(stage)
    of = marked(stage)
    assert Left(2, 0, behind=0, homeless=0, workers=0, oldest=None) == _counts(stage, of)
    end_session(stage.engine, session_id="before", why="its lease ran out")
    with working(stage, "after") as heir:
        heir.write(Rehome("before", 99, DEADLINE_S))
        heir.write(Park(heir.load(undecided.operation_id), Wait(60.0, "asked", asked=True)))
        assert Left(0, 0, behind=1, homeless=0, workers=1, oldest=None) == _counts(stage, of)
        assert row(stage, void(undecided.command)).suspect


def _counts(stage: JournalStage, of: Rebuild) -> Left:
    found = left(stage.engine, of)
    return Left(
        found.questions,
        found.partitions,
        behind=found.behind,
        homeless=found.homeless,
        workers=found.workers,
        oldest=None,
    )


@pytest.mark.parametrize("gone", [False, True])
def test_requests_of_unknown_payments_do_not_hold_up_the_end(
    stage: JournalStage, copy: Desk, *, gone: bool
) -> None:
    """They are counted and stay suspect: as dead letters, too, they are asked for before they are sent."""
    nobodys = refund(command())
    copy.admit(admission(nobodys))
    left_behind(stage)
    of = marked(stage, reaches=[reach(5, first=3)] if gone else [])
    assert Left(0, int(gone), behind=0, homeless=1, workers=0, oldest=None) == _counts(stage, of)
    finish(stage.engine, of)
    assert row(stage, nobodys).suspect


def test_what_was_told_since_is_told_again_as_it_was(stage: JournalStage, copy: Desk) -> None:
    """Each payment's last news with its request; a refund before it where nobody knows of it; older ones not."""
    paid(copy)
    stage.sql("UPDATE payment SET updated_at = updated_at - interval '2 days'")
    stage.sql("UPDATE operation SET answered_at = answered_at - interval '2 days'")
    twice = refunded_twice(copy)
    told_again = [it for portion in told_since(stage.engine, an_hour_ago()) for it in portion]
    assert [(refund(twice, "r2"), False), (refund(twice, "r1"), True)] == [
        (it.operation.command, it.if_unknown) for it in told_again
    ]
    last = told_again[0].operation
    assert (3, 400) == (last.payment.version, last.payment.refunded_minor)
    assert copy.load(last.operation_id).snapshot == last.snapshot


def test_it_waits_as_long_as_it_may(stage: JournalStage, copy: Desk) -> None:
    """Nothing answers: what is left is told, and it gives up in time; once nothing is left it waits no more."""
    copy.admit_one()
    left_behind(stage)
    begun = marked(stage)
    heard: list[Left | Unavailable] = []
    assert wait(stage.engine, begun, seconds=0.0, tell=heard.append) is None
    assert [left(stage.engine, begun)] == heard
    stage.sql("UPDATE operation SET suspect = false")
    found = wait(stage.engine, begun, seconds=None, tell=heard.append)
    assert (0, 1) == (found.questions if found else None, len(heard))


def test_check_says_that_one_is_not_finished(stage: JournalStage, copy: Desk) -> None:
    """A person who looks in the morning finds it, with the command that goes on; afterwards nothing is said of it."""
    copy.admit_one()
    left_behind(stage)
    begun = marked(stage)
    [found] = _said_of_it(stage)
    assert ("warning", True) == (found.state, f"--since {begun.since:%Y-%m-%dT%H}" in found.text)
    finish(stage.engine, begun)
    assert [] == _said_of_it(stage)


def _said_of_it(stage: JournalStage) -> list[Finding]:
    settings = read_settings(journal_url=stage.url)
    return [it for it in checks_outside.journal(settings) if it.what == "rebuild"]


async def test_recording_again_mends_and_never_takes_back(
    stage: JournalStage, copy: Desk, ready: dict[str, str], reader: httpx.Client
) -> None:
    """A db-service that was put back, too, has everything afterwards; what it has newer stays; twice is like once."""
    of, newer = refunded_twice(copy), paid(copy)
    left_behind(stage)
    begun = marked(stage)
    settings = read_settings(db_service_url=ready["url"], db_service_token=TOKEN)
    later = copy.load(f"initiation:{newer.payment_id}")
    news = replace(later.payment, version=9, refunded_minor=5)
    service = DbService(DbServiceSettings(url=ready["url"], token=Secret(TOKEN)))
    await service.record(Snapshot(news), occurred_at=begun.marked_at)
    await service.aclose()
    told_of: list[Tally] = []
    first = await record_again(settings, stage.engine, of=begun, tell=told_of.append)
    second = await record_again(settings, stage.engine, of=begun, tell=told_of.append)
    assert (2, 1, []) == (first.recorded, first.kept, first.refused)
    assert (1, 2, []) == (second.recorded, second.kept, second.refused)
    assert [first, first, second, second] == told_of  # two portions each
    assert [3] == _versions(reader, f"/payments/{of.payment_id}")
    assert [9] == _versions(reader, f"/payments/{newer.payment_id}")
    for name in ("r1", "r2"):
        assert [3] == _versions(reader, f"/refunds/{refund(of, name).refund_id}")


def _versions(reader: httpx.Client, path: str) -> list[int]:
    past = reader.get(f"{path}/history").raise_for_status().json()["items"]
    return [it["body"]["version"] for it in past]
