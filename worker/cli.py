"""The command line: its frame and the process door. Each command lives in a file of its own under `commands/`.

Nothing slow is imported here or at the top of a command's file, so that `--help` answers at once.
"""

import sys
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer

from handlers.domain.errors import InvalidValueError, Unavailable, WorkerError
from worker.commands import (
    check,
    dead_letters,
    demo,
    health,
    interruption,
    migrate,
    payments,
    publish,
    rebuild,
    reconcile,
    review,
    run,
    topics,
    watch,
)
from worker.commands.exits import (
    CRASHED,
    NO,
    SaidNoError,
    about_of,
    code_of,
    epilog,
    error_document,
    text_of,
)
from worker.commands.terminal import as_json, say

_EPILOG: Final = epilog(
    "run_worker.py                      (the same as `run`)",
    "run_worker.py check                (is everything there that a worker needs?)",
    "run_worker.py payments show ID     (how a payment stands, and what waits behind it)",
    "run_worker.py review list          (what waits for a person)",
    "run_worker.py dead-letters list    (what could not be taken)",
    "run_worker.py COMMAND --help       (what it does, its options, more examples)",
)
_JSON: Final = "--json"

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
app.command(epilog=watch.EPILOG)(watch.watch)
app.add_typer(publish.app, name="publish")
app.add_typer(payments.app, name="payments")
app.add_typer(review.app, name="review")
app.add_typer(reconcile.app, name="reconcile")
app.command(epilog=rebuild.EPILOG)(rebuild.rebuild)
app.add_typer(dead_letters.app, name="dead-letters")
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
    """The process door: what a person can meet ends in a text and an exit code, never in a traceback.

    With --json it ends in a JSON document, too, unless the command's own document says it already.
    """
    interruption.listen()
    wants_json = _JSON in sys.argv[1:]
    try:
        code = app(prog_name="run_worker.py", standalone_mode=False)
        sys.exit(code or 0)
    except typer.Abort:
        say("Aborted!", error=True)
        sys.exit(NO)
    except typer.TyperException as wrong:  # the command line itself: no such option, no such value
        _show_usage(wrong)
        if wants_json:
            say(as_json(error_document(wrong.format_message(), code=wrong.exit_code)))
        sys.exit(wrong.exit_code)
    except WorkerError as error:
        text, code = _told(error), code_of(error)
        say("\n       ".join(f"error: {text}".splitlines()), error=True)
        if wants_json and not isinstance(error, SaidNoError):
            say(as_json(error_document(text, code=code, about=about_of(error))))
        sys.exit(code)
    except Exception as crash:  # noqa: BLE001 - the process door: what nobody foresaw still gets a text and a code
        from worker.telemetry import where

        text = f"a fault of this program: {where(crash)}"
        say(f"error: {text}", error=True)
        say(
            "Report this line with the command that you gave; nothing was hidden in it.", error=True
        )
        if wants_json:
            say(as_json(error_document(text, code=CRASHED)))
        sys.exit(CRASHED)


def _show_usage(wrong: typer.TyperException) -> None:
    """As typer itself shows it: with the usage of the command, or the whole help where no command was named."""
    show = getattr(wrong, "show", None)
    if show is None:
        say(f"Error: {wrong.format_message()}", error=True)
    else:
        show()


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
