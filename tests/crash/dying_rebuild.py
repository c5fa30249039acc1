"""A `rebuild` that dies where a test wants it: `python -m tests.crash.dying_rebuild PLACE [ARGUMENTS OF REBUILD]`.

The real command runs; at the first passing of the place the process sends itself SIGKILL.
"""

import os
import signal
import sys
from typing import Any

from db_client import rebuilding as journal
from worker import rebuilding
from worker.cli import main as run_the_command_line


def _marking() -> None:
    """Everything is written, and nothing of it is committed."""

    def wrapped(_row: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    _replace(journal, "_rebuild", by=wrapped)


def _recording() -> None:
    """A portion is in the db-service, and nobody has heard of it."""
    real = rebuilding._recorded

    async def wrapped(*args: Any, **kwargs: Any) -> None:
        await real(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    _replace(rebuilding, "_recorded", by=wrapped)


def _replace(owner: object, name: str, *, by: object) -> None:
    """Put `by` in the place of what is there."""
    setattr(owner, name, by)


PLACES = {"marking": _marking, "recording": _recording}


def main() -> None:
    """Arm the place, then be the command."""
    PLACES[sys.argv[1]]()
    sys.argv = ["run_worker.py", "rebuild", *sys.argv[2:]]
    run_the_command_line()


if __name__ == "__main__":
    main()
