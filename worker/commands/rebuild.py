"""`rebuild`: after the journal was restored from an older copy, nothing of the lost time is done a second time.

Mark, wait for the workers, record again, compare: each step may be broken off, and the same command goes on with it.
What is marked, and why, stands in `db_client/rebuilding.py`, every text in `rebuild_showing.py`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final

import typer

from handlers.domain.errors import InvalidValueError
from worker.commands.exits import (
    INTERRUPTED,
    AnswerIsNoError,
    IncompleteError,
    OpenBreaksError,
    SaidNoError,
    epilog,
)
from worker.commands.terminal import as_json, say

if TYPE_CHECKING:
    from db_client.break_rows import Standing
    from db_client.database import Engine
    from db_client.rebuild_rows import Left, Rebuild
    from worker.config import Settings
    from worker.rebuilding import Tally
    from worker.reconciling.run import Scan

EPILOG: Final = epilog(
    "run_worker.py rebuild --since 2030-01-31T02:00:00Z",
    "run_worker.py rebuild --since 2030-01-31T02:00:00Z --wait 3600 --json",
    json=(
        '{"since", "counts_from", "marked_at", "by", "finished_at", "gone": offsets that Kafka had deleted unread,\n'
        '  "behind": suspects in line behind what is undecided, "homeless": suspects whose payment is unknown,\n'
        '  "recorded": {"recorded", "kept": newer in the db-service, or in other words, "refused": [texts]},\n'
        '  "reconcile": as `reconcile --json`}'
    ),
    codes=(
        "  4    done, and breaks are open: orphans among them, if the gateway charged what no command explains\n"
        "  5    done, and no break is open, but a book could not be read to its end: run `reconcile` again\n"
    ),
)
_Tell = Callable[[str], None]


def rebuild(
    *,
    since: Annotated[
        str,
        typer.Option(
            metavar="TIME",
            help="When the copy was made: 2030-01-31T02:00:00Z. In doubt earlier; that takes longer, no more.",
        ),
    ],
    wait: Annotated[
        float | None,
        typer.Option(min=0, metavar="SECONDS", help="Wait no longer than this. Without: no end."),
    ] = None,
    by: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who does it; without: the system's user.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """After the journal was restored from an older copy, or a standby without its last commits took over.

    Stop all workers first. It marks what may have happened since the copy, says when to start them again, waits until
    they have asked the gateway for all of it, records the outcomes in the db-service once more, and compares the books.
    Nothing that was marked is sent before it was asked for. Ctrl-C does no harm: the same command goes on.
    """
    from worker.commands import rebuild_showing as showing
    from worker.commands.operators import named
    from worker.commands.spans import exactly
    from worker.config import read_settings

    settings = read_settings()
    at, name = exactly(since, option="--since"), named(by)
    if at > datetime.now(UTC):
        raise InvalidValueError("--since", "must be in the past: it is when the copy was made")

    def tell(text: str) -> None:
        say(text, error=json)

    with _journal(settings) as engine:
        try:
            of = _begun(settings, engine, at=at, by=name, tell=tell)
            stands = _waited(engine, of, seconds=wait, tell=tell)
            tally = _recorded(settings, engine, of=of, tell=tell)
            seen, standing = _compared(settings, engine, of=of, tell=tell)
            finished_at = _finished(engine, of, stands=stands, tell=tell)
        except KeyboardInterrupt:
            say(f"Broken off, and nothing is lost: `{showing.again(at)}` goes on.", error=True)
            raise typer.Exit(INTERRUPTED) from None
    if json:
        whole = showing.document(of, stands, tally=tally, seen=seen, standing=standing)
        say(as_json({**whole, "finished_at": finished_at}))
    _end(seen, standing, tally=tally)


def _begun(
    settings: "Settings", engine: "Engine", *, at: datetime, by: str, tell: _Tell
) -> "Rebuild":
    """The rebuild that is not finished, else a new one, just marked."""
    from db_client.rebuild_rows import InTheWay
    from db_client.rebuilding import mark, unfinished
    from worker.commands import rebuild_showing as showing
    from worker.rebuilding import reaches
    from worker.session import NotReadyError, check_world

    try:
        check_world(engine, settings)
    except NotReadyError as not_ready:
        raise AnswerIsNoError(str(not_ready)) from None
    of = before = unfinished(engine)
    if of is None:
        marked = mark(
            engine,
            since=at,
            by=by,
            reaches=reaches(settings),
            longest_send_s=settings.longest_send_s,
        )
        if isinstance(marked, InTheWay):
            raise AnswerIsNoError(showing.in_the_way(marked))
        of = marked
    if of.since != at:
        raise AnswerIsNoError(showing.another(of))
    for line in showing.begun(of, goes_on=before is not None):
        tell(line)
    return of


def _waited(engine: "Engine", of: "Rebuild", *, seconds: float | None, tell: _Tell) -> "Left":
    from worker.commands import rebuild_showing as showing
    from worker.rebuilding import wait

    stands = wait(engine, of, seconds=seconds, tell=lambda it: tell(showing.progress(it)))
    if stands is None:
        raise AnswerIsNoError(
            f"not everything was asked for within {seconds:g} s: `{showing.again(of.since)}` goes on."
        )
    tell("Everything was read again and asked for.")
    return stands


def _recorded(settings: "Settings", engine: "Engine", *, of: "Rebuild", tell: _Tell) -> "Tally":
    import asyncio

    from worker.commands import rebuild_showing as showing
    from worker.rebuilding import record_again

    return asyncio.run(
        record_again(settings, engine, of=of, tell=lambda it: tell(showing.tallied(it)))
    )


def _compared(
    settings: "Settings", engine: "Engine", *, of: "Rebuild", tell: _Tell
) -> "tuple[Scan, list[Standing]]":
    """What was answered just now had no time to be told everywhere: that is no break yet."""
    from db_client import breaks
    from worker.commands.reconcile_showing import scan_lines
    from worker.reconciling.run import Wanted, scan

    wanted = Wanted(since=of.counts_from, grace_s=settings.longest_send_s)
    seen = scan(settings, engine, wanted=wanted)
    standing = breaks.standing(engine)
    for line in scan_lines(seen, standing):
        tell(line)
    return seen, standing


def _finished(engine: "Engine", of: "Rebuild", *, stands: "Left", tell: _Tell) -> datetime | None:
    from db_client.rebuilding import finish
    from worker.commands import rebuild_showing as showing

    finished_at = finish(engine, of)
    for line in showing.finished(of, stands):
        tell(line)
    return finished_at


def _end(seen: "Scan", standing: "Sequence[Standing]", *, tally: "Tally") -> None:
    """As `reconcile` ends; what the db-service refused counts as a no."""
    from worker.commands.reconcile_showing import at_stake, waiting

    count = waiting(standing)
    if count:
        are = "break is" if count == 1 else "breaks are"
        raise OpenBreaksError(
            f"{count} {are} open, {at_stake(standing)} at stake: `run_worker.py reconcile list` names them"
        )
    if not seen.complete:
        book, why = seen.gaps[0]
        raise IncompleteError(f"the comparison is not complete: {book}: {why}")
    if tally.refused:
        raise SaidNoError(f"the db-service refused {len(tally.refused)}: {tally.refused[0]}")


@contextmanager
def _journal(settings: "Settings") -> "Iterator[Engine]":
    from db_client import history

    try:
        with history.journal(settings.journal_url.get_secret_value(), role="rebuild") as engine:
            yield engine
    except history.NotMigratedError as empty:
        raise AnswerIsNoError(str(empty)) from None
