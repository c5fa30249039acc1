"""One suite for `handlers.ports.Clock`: over the double, and over the keeper of a lease on a real PostgreSQL."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from db_client.database import engine
from db_client.sessions import LeaseKeeper, boottime, start_session
from handlers.ports import Clock
from tests.contract.journal_stage import JournalStage
from tests.doubles.clock import ClockDouble


@pytest.fixture(params=["double", "real"])
def clock(request: pytest.FixtureRequest) -> Iterator[tuple[Clock, datetime]]:
    """The clock under test, and the time that it should tell."""
    if request.param == "double":
        at = datetime(2026, 3, 1, tzinfo=UTC)
        yield ClockDouble(at), at
        return
    stage: JournalStage = request.getfixturevalue("stage")
    own = engine(stage.url, role="keeper", pool_size=1)
    taken_at = boottime()
    started = start_session(own, session_id="one", group="tests", lease_s=0.8)
    keeper = LeaseKeeper(own, started, taken_at=taken_at, on_over=lambda _: None)
    keeper.start()
    time.sleep(0.5)  # one renewal: from then on it knows the database's time
    yield keeper, stage.one("SELECT clock_timestamp()")
    keeper.stop()
    own.dispose()


def test_it_tells_the_databases_time_in_utc(clock: tuple[Clock, datetime]) -> None:
    """Aware, in UTC, close to the truth, and never backwards."""
    port, truth = clock
    first, second = port.now(), port.now()
    assert timedelta(0) == first.utcoffset()
    assert first <= second
    assert abs(first - truth) < timedelta(seconds=1)
