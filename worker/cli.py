"""The command line: its frame and the process door. Each command lives in a file of its own under `commands/`.

Nothing slow is imported here or at the top of a command's file, so that `--help` answers at once.
"""

import sys
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer

from handlers.domain.errors import InvalidValueError, Unavailable, WorkerError
from worker.commands import check, demo, health, migrate, payments, publish, run, topics, watch
from worker.commands.exits import CRASHED, code_of, epilog, text_of
from worker.commands.terminal import say

_EPILOG: Final = epilog(
    "run_worker.py                   (the same as `run`)",
    "run_worker.py check             (is everything there that a worker needs?)",
    "run_worker.py payments show ID  (the whole history of a payment)",
    "run_worker.py COMMAND --help    (what it does, its options, more examples)",
)

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
app.command(epilog=run.EPILOG)(run.run)
app.command(epilog=check.EPILOG)(check.check)
app.command(epilog=migrate.EPILOG)(migrate.migrate)
app.command(epilog=topics.EPILOG)(topics.topics)
app.command(epilog=publish.EPILOG)(publish.publish)
app.command(epilog=watch.EPILOG)(watch.watch)
app.add_typer(payments.app, name="payments")
app.command(epilog=health.EPILOG)(health.health)
app.command(epilog=demo.EPILOG)(demo.demo)


def _version(asked: bool) -> None:  # noqa: FBT001 - typer calls it with the option's value
    if asked:
        say(f"payment-worker {version()}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def door(
    context: typer.Context,
    *,
    _show_version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Say the version, and end."
        ),
    ] = False,
) -> None:
    """Kafka-native payment worker: each charge written first, sent at most once, told exactly once.

    Settings are environment variables WORKER_*; `check` says which are missing or wrong.
    """
    if context.invoked_subcommand is None:
        run.run()


def version() -> str:
    """The version in pyproject.toml, which lies beside the packages in a checkout and in the image."""
    import tomllib

    try:
        text = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    except OSError:
        return "unknown (there is no pyproject.toml beside the packages)"
    found: str = tomllib.loads(text)["project"]["version"]
    return found


def main() -> NoReturn:
    """The process door: what a person can meet ends in a text and an exit code, never in a traceback."""
    try:
        app(prog_name="run_worker.py")
        sys.exit(0)
    except WorkerError as error:
        say("\n       ".join(f"error: {_told(error)}".splitlines()), error=True)
        sys.exit(code_of(error))
    except Exception as crash:  # noqa: BLE001 - the process door: what nobody foresaw still gets a text and a code
        from worker.telemetry import where

        say(f"error: a fault of this program: {where(crash)}", error=True)
        say(
            "Report this line with the command that you gave; nothing was hidden in it.", error=True
        )
        sys.exit(CRASHED)


def _told(error: WorkerError) -> str:
    match error:
        case Unavailable(what=what, why=why):
            from worker.commands.neighbours import address, remedy
            from worker.config import read_settings

            at = address(what, read_settings())
            return f"{what} is unavailable{f' at {at}' if at else ''}: {why.rstrip('.')}. {remedy(what)}"
        case InvalidValueError():
            return text_of(error)
        case _:
            return str(error)
