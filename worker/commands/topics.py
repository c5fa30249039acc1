"""`topics`: which topics a worker needs, which are there, and creating those that are missing."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from worker.commands.exits import AnswerIsNoError, epilog
from worker.commands.terminal import columns, lines, say

if TYPE_CHECKING:
    from worker.config import Settings
    from worker.kafka_admin import Admin

EPILOG: Final = epilog(
    "run_worker.py topics",
    "run_worker.py topics --create --partitions 12",
    "run_worker.py topics --create --replicas 1      (one broker, for trying out)",
)
_USUAL_REPLICAS: Final = 3


def topics(
    *,
    create: Annotated[
        bool, typer.Option("--create", help="Create those that are missing.")
    ] = False,
    partitions: Annotated[
        int, typer.Option(min=1, max=1000, help="Partitions of each new topic.")
    ] = 6,
    replicas: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=15,
            help="Copies of each new topic; 3, or as many as there are brokers where they are fewer.",
        ),
    ] = None,
) -> None:
    """List the topics that a worker needs, and create the missing ones.

    A new topic gets min.insync.replicas = replicas - 1 (at least 1). What is there is never changed.
    """
    from worker.config import read_settings
    from worker.kafka_admin import open_admin

    settings = read_settings()
    admin = open_admin(settings.kafka_properties())
    if create:
        _create(admin, settings, partitions=partitions, replicas=replicas)
    missing = _show(admin, settings)
    if missing:
        raise AnswerIsNoError(
            f"{missing} topics are missing. Create them with `run_worker.py topics --create`."
        )


def _create(admin: "Admin", settings: "Settings", *, partitions: int, replicas: int | None) -> None:
    brokers = admin.brokers()
    if replicas is not None and replicas > brokers:
        raise AnswerIsNoError(
            f"--replicas {replicas} needs as many brokers, and there are {brokers}: give --replicas {brokers},"
            " or start more brokers."
        )
    copies = replicas or min(_USUAL_REPLICAS, brokers)
    in_sync = max(1, copies - 1)
    made = admin.create(
        {**dict.fromkeys(purposes(settings), partitions), progress(settings): 1},
        replicas=copies,
        config={"min.insync.replicas": str(in_sync)},
    )
    if not made:
        say("Nothing to create: all topics are there.", error=True)
        return
    say(
        f"Created with {copies} replicas, min.insync.replicas {in_sync}: {', '.join(made)}",
        error=True,
    )


def _show(admin: "Admin", settings: "Settings") -> int:
    wanted = purposes(settings)
    found = admin.describe(wanted)
    in_sync = admin.min_in_sync(found)
    rows = []
    for name, purpose in wanted.items():
        facts = found.get(name)
        if facts is None:
            rows.append([name, purpose, "-", "-", "-", "missing"])
        else:
            numbers = [str(facts.partitions), str(facts.replicas), str(in_sync.get(name, "?"))]
            rows.append([name, purpose, *numbers, "ok"])
    lines(
        columns(rows, head=["topic", "carries", "partitions", "replicas", "min in sync", "state"])
    )
    return len(wanted) - len(found)


def purposes(settings: "Settings") -> dict[str, str]:
    """Topic → what it carries, for every topic that a worker needs."""
    from worker import wiring

    names = wiring.topics(settings)
    return {
        **dict.fromkeys(names.commands, "commands"),
        **dict.fromkeys(names.events, "events"),
        **dict.fromkeys(names.dead_letters, "dead letters"),
        names.progress: "progress",
    }


def progress(settings: "Settings") -> str:
    """The progress topic's name."""
    from worker import wiring

    return wiring.topics(settings).progress
