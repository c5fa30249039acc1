"""`demo`: hands over to the stage's play. The stage's own packages are needed only here."""

from typing import Annotated, Final

import typer

from worker.commands.exits import AnswerIsNoError, epilog

EPILOG: Final = epilog(
    "run_worker.py demo",
    "run_worker.py demo --payments 50 --keep    (stays up, for playing with the other commands)",
)


def demo(
    *,
    payments: Annotated[int, typer.Option(min=1, max=100_000, help="How many payments.")] = 300,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep everything running afterwards, until Ctrl-C.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Another seed plays another shop.")] = 1,
    plain: Annotated[
        bool, typer.Option("--plain", help="Plain lines instead of the live view.")
    ] = False,
) -> None:
    """Play a small shop on a real broker and a real database, and compare the books.

    Starts everything on free ports of this machine, kills one worker in the middle, and leaves nothing running.
    """
    from worker.demo.stage_error import StageError

    try:
        from worker.demo import play

        code = play.main(payments=payments, keep=keep, seed=seed, plain=plain)
    except ModuleNotFoundError as error:
        raise AnswerIsNoError(
            f"the demo needs the package {error.name}, which this installation does not have:"
            " run it from a checkout with `make demo`"
        ) from None
    except StageError as error:
        raise AnswerIsNoError(str(error)) from None
    raise typer.Exit(code)
