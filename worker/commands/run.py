"""`run`: a worker in the foreground, until SIGTERM or Ctrl-C."""

import json
import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import typer

from worker.commands.exits import INTERRUPTED, AnswerIsNoError, epilog
from worker.commands.terminal import say

if TYPE_CHECKING:
    from pathlib import Path

EPILOG: Final = epilog(
    "run_worker.py",
    "WORKER_LOG_FORMAT=console run_worker.py run",
    "WORKER_IN_FLIGHT=500 run_worker.py run",
)


def run() -> None:
    """Run a worker (the default command).

    SIGTERM or Ctrl-C stops it kindly: nothing new is begun, what is in flight finishes within
    WORKER_SHUTDOWN_GRACE_S, the rest waits in the journal. A second Ctrl-C ends it at once; nothing is lost by that.
    """
    import asyncio

    import uvloop

    from worker.config import read_settings
    from worker.session import NotReadyError, run_sessions
    from worker.telemetry import Metrics, set_up_logs

    settings = read_settings()
    set_up_logs(form=settings.log_format, level=settings.log_level)
    metrics = Metrics()
    try:
        metrics.serve(host=settings.metrics_host, port=settings.metrics_port)
    except OSError as error:
        raise AnswerIsNoError(
            f"the metrics endpoint cannot be opened on {settings.metrics_host}:{settings.metrics_port}"
            f" ({error.strerror}): set WORKER_METRICS_PORT to a free port, or to 0 for none"
        ) from None
    interrupted = False

    async def work() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()

        def interrupt() -> None:
            nonlocal interrupted
            if interrupted:
                os._exit(INTERRUPTED)
            interrupted = True
            say("Stopping; what is in flight finishes. Ctrl-C again ends it at once.", error=True)
            stop.set()

        loop.add_signal_handler(signal.SIGTERM, stop.set)
        loop.add_signal_handler(signal.SIGINT, interrupt)
        await run_sessions(settings, metrics=metrics, stop=stop)

    try:
        uvloop.run(work())
    except NotReadyError as not_ready:
        raise AnswerIsNoError(str(not_ready)) from None
    finally:
        _leave(settings.state_file)
    if interrupted:
        raise typer.Exit(INTERRUPTED)


def _leave(state_file: "Path") -> None:
    """Take our state file away: else a worker that has stopped looks well for as long as its last word counts."""
    try:
        pid = json.loads(state_file.read_text())["pid"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if pid == os.getpid():
        with suppress(OSError):  # a folder that takes no changes: the file grows old by itself
            state_file.unlink(missing_ok=True)
