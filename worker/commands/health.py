"""`health`: whether the worker on this machine is well, for a person or a container's health check."""

from typing import Annotated, Final

import typer

from worker.commands.exits import SaidNoError, epilog
from worker.commands.terminal import as_json, say

EPILOG: Final = epilog(
    "run_worker.py health            (liveness: restart it where this fails)",
    "run_worker.py health --ready    (readiness: in its group, its neighbours there)",
    json='{"ok", "asked": "liveness" | "readiness", "why": what is wrong, or null}',
)


def health(
    *,
    ready: Annotated[
        bool, typer.Option("--ready", help="Ask also for its partitions and its neighbours.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Say whether the running worker is well.

    Reads the small file that it writes each second (WORKER_STATE_FILE); asks nobody and needs no network.
    Tells a process that is gone from one that hangs.
    """
    from worker.config import read_settings
    from worker.run_state import sick

    why = sick(read_settings().state_file, readiness=ready)
    if json:
        asked = "readiness" if ready else "liveness"
        say(as_json({"ok": not why, "asked": asked, "why": why or None}))
    if why:
        raise SaidNoError(f"the worker is not {'ready' if ready else 'well'}: {why}")
    if not json:
        say("The worker is ready." if ready else "The worker is well.")
