"""`watch`: follows the topics and shows each record as one line. How a record reads is `sightings.py`."""

import time
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Final

import typer

from handlers.domain.errors import InvalidValueError
from worker.commands.exits import AnswerIsNoError, epilog
from worker.commands.interruption import heed
from worker.commands.terminal import as_json, say

if TYPE_CHECKING:
    from worker.config import Settings

EPILOG: Final = epilog(
    "run_worker.py watch",
    "run_worker.py watch --topic payment_status --from-beginning --payment pay-17",
    "run_worker.py watch --topic payment_initiation.dlq --from-beginning",
    "run_worker.py watch --json --count 1 --for 30     (for scripts)",
    json=(
        "As it follows, it prints one object a line:\n"
        '  {"at", "topic", "partition", "offset", "key", "event_id", "payment_id", "record",\n'
        '  "repeat_of": where the record lay whose command came again, or null,\n'
        '  "answers": [operation ids of the questions that this, told before, answers]}'
    ),
)
_LOOK_S: Final = 0.2


def watch(
    *,
    topic: Annotated[
        list[str] | None,
        typer.Option(
            "--topic", help="Only this one (repeat it); without: events and dead letters."
        ),
    ] = None,
    payment: Annotated[
        str | None, typer.Option("--payment", metavar="ID", help="Only what is about this payment.")
    ] = None,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="What is there already, too.")
    ] = False,
    count: Annotated[
        int | None, typer.Option(min=1, help="Stop after so many; exit code 1 if fewer came.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option("--for", min=0, metavar="SECONDS", help="Stop after so long.")
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line, as they come.")
    ] = False,
) -> None:
    """Follow payment_status and the other events, decoded, until Ctrl-C.

    Reads with read_committed, as every consumer of these topics must, and belongs to no group: it disturbs nobody.
    What is told again (to a command that came again, or as the answer to a question) is marked as such.
    Tokens are never shown, a dead letter shows its reason and not its payload.
    """
    from worker import wiring
    from worker.commands.sightings import Sightings
    from worker.config import read_settings
    from worker.kafka_admin import Tail, open_admin

    settings = read_settings()
    topics = _topics(settings, topic)
    missing = sorted(set(topics) - open_admin(settings.kafka_properties()).names())
    if missing:
        raise AnswerIsNoError(
            f"topics are missing: {', '.join(missing)}. Create them with `run_worker.py topics --create`."
        )
    sightings = Sightings(wiring.wire_reader(settings), names=wiring.topics(settings))
    ends_at = time.monotonic() + seconds if seconds is not None else None
    left = count
    with closing(Tail(settings.kafka_properties(), topics, from_beginning=from_beginning)) as tail:
        say(_begins(topics, from_beginning=from_beginning, seconds=seconds), error=True)
        while (ends_at is None or time.monotonic() < ends_at) and left != 0:
            heed()
            for seen in tail.take(timeout_s=_LOOK_S):
                sighting = sightings.read(seen)
                if payment is not None and sighting.payment_id != payment:
                    continue
                say(as_json(sighting.as_object()) if json else sighting.line())
                left = None if left is None else left - 1
                if left == 0:
                    break
    if left:
        raise AnswerIsNoError(f"{left} of {count} records did not come within {seconds:g} s")


def _begins(topics: list[str], *, from_beginning: bool, seconds: float | None) -> str:
    since = "their beginning" if from_beginning else "now"
    ends = "Ctrl-C ends it" if seconds is None else f"it ends after {seconds:g} s"
    return f"Following {', '.join(topics)} from {since} on; {ends}."


def _topics(settings: "Settings", wanted: list[str] | None) -> list[str]:
    from worker import wiring

    names = wiring.topics(settings)
    known = [*names.events, *names.dead_letters, *names.commands]
    if not wanted:
        return [*names.events, *names.dead_letters]
    chosen = [name if name in known else names.name(name) for name in wanted]
    for name in chosen:
        if name not in known:
            raise InvalidValueError("--topic", f"must be one of {', '.join(known)}")
    return chosen
