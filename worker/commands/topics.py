"""`topics`: which topics a worker needs, which are there, and creating those that are missing."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from worker.commands.exits import AnswerIsNoError, SaidNoError, epilog
from worker.commands.terminal import as_json, columns, lines, say

if TYPE_CHECKING:
    from worker.config import Settings
    from worker.kafka_admin import Admin

EPILOG: Final = epilog(
    "run_worker.py topics",
    "run_worker.py topics --create --partitions 12",
    "run_worker.py topics --create --replicas 1      (one broker, for trying out)",
    json=(
        '{"ok", "created": [names], "topics": [{"topic", "carries", "partitions", "replicas", "min_in_sync",\n'
        '  "state": "ok" | "missing"}]}   (a number is null where it is not known)'
    ),
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
    json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """List the topics that a worker needs, and create the missing ones.

    A new topic gets min.insync.replicas = replicas - 1 (at least 1). What is there is never changed.
    """
    from worker.config import read_settings
    from worker.kafka_admin import open_admin

    settings = read_settings()
    admin = open_admin(settings.kafka_properties())
    created: list[str] = []
    if create:
        created = _create(admin, settings, partitions=partitions, replicas=replicas)
    rows = _look(admin, settings)
    missing = sum(row["state"] == "missing" for row in rows)
    if json:
        say(as_json({"ok": not missing, "created": created, "topics": rows}))
    else:
        _show(rows)
    if missing:
        raise SaidNoError(
            f"{missing} topics are missing. Create them with `run_worker.py topics --create`."
        )


def _create(
    admin: "Admin", settings: "Settings", *, partitions: int, replicas: int | None
) -> list[str]:
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
        return made
    say(
        f"Created with {copies} replicas, min.insync.replicas {in_sync}: {', '.join(made)}",
        error=True,
    )
    return made


def _look(admin: "Admin", settings: "Settings") -> list[dict[str, object]]:
    """One row for each topic that is needed."""
    wanted = purposes(settings)
    found = admin.describe(wanted)
    in_sync = admin.min_in_sync(found)
    return [
        {
            "topic": name,
            "carries": purpose,
            "partitions": found[name].partitions if name in found else None,
            "replicas": found[name].replicas if name in found else None,
            "min_in_sync": in_sync.get(name),
            "state": "ok" if name in found else "missing",
        }
        for name, purpose in wanted.items()
    ]


def _show(rows: list[dict[str, object]]) -> None:
    head = ["topic", "carries", "partitions", "replicas", "min in sync", "state"]
    cells = [["-" if it is None else str(it) for it in row.values()] for row in rows]
    lines(columns(cells, head=head))


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
