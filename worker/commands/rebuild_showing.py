"""What `rebuild` says: to a person who was woken for it, and to a script. Nothing is read or decided here."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from db_client.break_rows import Standing
from db_client.rebuild_rows import InTheWay, Left, Rebuild
from handlers.domain.errors import Unavailable
from worker.commands.reconcile_showing import scan_object
from worker.commands.terminal import clean, moment
from worker.rebuilding import Tally
from worker.reconciling.run import Scan

_MOST_NAMED: Final = 5
_MOST_WHY: Final = 160


def again(since: datetime) -> str:
    """The same command once more."""
    return f"run_worker.py rebuild --since {exact(since)}"


def exact(at: datetime) -> str:
    """A time as it can be given again."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def another(of: Rebuild) -> str:
    """Why a second rebuild cannot begin."""
    return (
        f"a rebuild since {exact(of.since)} is not finished: {clean(of.by)} began it at {moment(of.marked_at)}."
        f" Let it end first (`{again(of.since)}`); then begin this one, if it is still wanted."
    )


def in_the_way(found: InTheWay) -> str:
    """Who must be stopped."""
    named = ", ".join(
        f"process {it.pid} on {clean(it.host)}" for it in found.sessions[:_MOST_NAMED]
    )
    more = "" if len(found.sessions) <= _MOST_NAMED else ", and more"
    longest_s = max(it.left_s for it in found.sessions)
    count = len(found.sessions)
    are = "worker is" if count == 1 else "workers are"
    return (
        f"{count} {are} alive ({named}{more}), and nothing was marked: stop all of them first. One that was killed"
        f" counts until its lease ends, in {longest_s:.0f} s at most: then try again."
    )


def begun(of: Rebuild, *, goes_on: bool) -> Iterator[str]:
    """What was marked, and what to do now."""
    if goes_on:
        yield f"A rebuild that {clean(of.by)} began at {moment(of.marked_at)} goes on."
    else:
        yield f"Marked: what may have happened since {moment(of.counts_from)} is asked for before it may be sent."
    if of.counts_from < of.since:
        yield f"The copy ends before --since: the last that it knows of its workers is from {moment(of.counts_from)}."
    if of.gone:
        yield (
            f"WARNING: Kafka has deleted up to {of.gone} records that this copy has never read. What they charged is"
            " listed as orphans at the end."
        )
    if not goes_on:
        yield "Start the workers now, as many as usual. This command waits for them."


def progress(stands: Left | Unavailable) -> str:
    """How far the workers have come."""
    at = moment(datetime.now(UTC))
    if isinstance(stands, Unavailable):
        return f"{at}  the journal does not answer ({clean(stands.why)}); it is asked again"
    said = [
        f"{stands.questions} to be asked for",
        f"{stands.partitions} partitions to be read",
        f"{stands.workers} workers alive" if stands.workers else "NO WORKER IS ALIVE: start them",
    ]
    oldest = stands.oldest
    if oldest is not None:
        asked = f", asked {oldest.asked} times" if oldest.asked else ""
        why = f": {clean(oldest.why)[:_MOST_WHY]}" if oldest.why else ""
        said.append(f"the longest due is {clean(oldest.operation_id)}{asked}{why}")
    return f"{at}  {'; '.join(said)}"


def tallied(tally: Tally) -> str:
    """How much is recorded again."""
    refused = f", {len(tally.refused)} refused" if tally.refused else ""
    return (
        f"{moment(datetime.now(UTC))}  recorded again in the db-service: {tally.recorded},"
        f" {tally.kept} known there in newer or other words{refused}"
    )


def finished(of: Rebuild, stands: Left) -> Iterator[str]:
    """That it is over, and what goes on without it."""
    if stands.behind:
        yield (
            f"{stands.behind} more stand in line behind undecided payments; they are asked for when it is their turn."
        )
    if stands.homeless:
        why = "; their commands may be gone from Kafka" if of.gone else ""
        yield (
            f"{stands.homeless} requests wait for payments that nobody knows{why}: they become dead letters."
            " For a replay of one the gateway is asked before it is sent."
        )
    yield "The rebuild is finished."


def document(
    of: Rebuild, stands: Left, *, tally: Tally, seen: Scan, standing: Sequence[Standing]
) -> dict[str, object]:
    """The same for a script."""
    return {
        "since": of.since,
        "counts_from": of.counts_from,
        "marked_at": of.marked_at,
        "by": of.by,
        "gone": of.gone,
        "behind": stands.behind,
        "homeless": stands.homeless,
        "recorded": {
            "recorded": tally.recorded,
            "kept": tally.kept,
            "refused": tally.refused,
        },
        "reconcile": scan_object(seen, standing),
    }
