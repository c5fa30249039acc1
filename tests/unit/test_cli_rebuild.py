"""What `rebuild` says to somebody who was woken for it, and what it does not take."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from db_client.rebuild_rows import InTheWay, Left, Living, Oldest, Rebuild
from handlers.domain.errors import InvalidValueError, Unavailable
from worker.cli import app
from worker.commands import rebuild_showing as showing
from worker.commands.exits import about_of
from worker.commands.spans import exactly
from worker.commands.terminal import as_json
from worker.rebuilding import Tally
from worker.reconciling.books import Span
from worker.reconciling.run import Scan

T = datetime(2030, 1, 31, 2, tzinfo=UTC)
MARKED = Rebuild(1, since=T, counts_from=T, marked_at=T + timedelta(hours=2), by="ann\x1b", gone=0)
NOTHING = Left(0, 0, behind=0, homeless=0, workers=2, oldest=None)


@pytest.mark.parametrize("text", ["2h", "yesterday", "", "2030-13-01"])
def test_only_a_time_is_taken_that_stays_the_same(text: str) -> None:
    """An age would be another time when the same command goes on; the error names the option and shows a time."""
    with pytest.raises(InvalidValueError, match="--since: must be a time such as 2030-01-31T12"):
        exactly(text, option="--since")


@pytest.mark.parametrize(
    "text", ["2030-01-31T02:00:00Z", "2030-01-31T03:00:00+01:00", "2030-01-31T02:00"]
)
def test_a_time_is_taken_as_everything_is_printed(text: str) -> None:
    """With a zone, or as UTC; what is printed of it is the same time again."""
    assert exactly(text, option="--since") == T
    assert exactly(showing.exact(T), option="--since") == T
    assert "run_worker.py rebuild --since 2030-01-31T02:00:00Z" == showing.again(T)


def test_what_is_still_to_come_cannot_have_been_lost() -> None:
    """A time in the future is a slip of the pen, named before anything is read or written."""
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    error = CliRunner().invoke(app, ["rebuild", "--since", tomorrow]).exception
    assert isinstance(error, InvalidValueError)
    assert "--since" == about_of(error)


def test_who_is_in_the_way_is_named() -> None:
    """Processes and hosts, at most a few, and how long one that was killed still counts."""
    few = tuple(Living(f"s{it}", "host\x1b[2J", 100 + it, 10.0 * it) for it in range(1, 8))
    text = showing.in_the_way(InTheWay(few))
    assert "7 workers are alive (process 101 on host" in text
    assert "and more" in text
    assert "process 106" not in text
    assert "in 70 s at most" in text
    assert "\x1b" not in text
    assert "1 worker is alive" in showing.in_the_way(InTheWay(few[:1]))


def test_it_says_what_to_do_next() -> None:
    """Marked: start the workers. Gone on with: they are started already."""
    assert "Start the workers now" in "\n".join(showing.begun(MARKED, goes_on=False))
    again = "\n".join(showing.begun(MARKED, goes_on=True))
    assert ("Start" not in again, "goes on" in again, "\x1b" in again) == (True, True, False)


def test_it_warns_of_what_nobody_can_ask_for() -> None:
    """Kafka has deleted records; the copy is older than was said: both are told before anybody waits."""
    told = "\n".join(
        showing.begun(replace(MARKED, gone=7, counts_from=T - timedelta(hours=1)), goes_on=False)
    )
    assert "deleted up to 7 records" in told
    assert "The copy ends before --since" in told


def test_a_second_one_is_told_how_to_end_the_first() -> None:
    """Who began it, when, and the command that goes on with it."""
    text = showing.another(MARKED)
    assert "run_worker.py rebuild --since 2030-01-31T02:00:00Z" in text
    assert "2030-01-31 04:00:00.000Z" in text


def test_the_progress_says_what_is_missing() -> None:
    """Counts, the one that waits longest with its reason, and that no worker lives."""
    oldest = Oldest("refund:r\x1b1", 5, T, "not in the list")
    line = showing.progress(replace(NOTHING, questions=3, partitions=2, workers=0, oldest=oldest))
    for part in (
        "3 to be asked for",
        "2 partitions to be read",
        "NO WORKER IS ALIVE",
        "asked 5 times: not in the list",
    ):
        assert part in line
    assert "\x1b" not in line
    assert "does not answer" in showing.progress(Unavailable("journal", "it is down"))


@pytest.mark.parametrize(
    ("of", "stands", "text"),
    [
        (MARKED, replace(NOTHING, behind=2), "2 more stand in line"),
        (MARKED, replace(NOTHING, homeless=1), "become dead letters"),
        (replace(MARKED, gone=1), replace(NOTHING, homeless=1), "gone from Kafka"),
        (MARKED, NOTHING, "The rebuild is finished."),
    ],
)
def test_the_end_says_what_goes_on_without_it(of: Rebuild, stands: Left, text: str) -> None:
    """What still waits is named with what becomes of it."""
    assert text in "\n".join(showing.finished(of, stands))


def test_the_document_is_whole() -> None:
    """A script finds all of it in one JSON document."""
    scan = Scan(Span(T, T), None, [], [], {}, 0)
    told = showing.document(MARKED, NOTHING, tally=Tally(3, 1, ["x"]), seen=scan, standing=[])
    assert '"recorded": {"recorded": 3, "kept": 1, "refused": ["x"]}' in as_json(told)
    assert {"since", "counts_from", "gone", "behind", "homeless", "reconcile"} <= told.keys()
