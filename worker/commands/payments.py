"""`payments show` and `payments list`: what the journal knows, for people. How it is laid out is `timeline.py`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from handlers.domain.states import PaymentState
from worker.commands.exits import AnswerIsNoError, epilog
from worker.commands.terminal import amount, as_json, columns, lines, moment, say

if TYPE_CHECKING:
    from db_client.history import History

app = typer.Typer(
    help="Look payments up in the journal.", no_args_is_help=True, rich_markup_mode=None
)

_SHOW: Final = epilog(
    "run_worker.py payments show 01JCXW1H7M9D6R8QK2V5T3N4PB",
    "run_worker.py payments show pay-17 --json | python -m json.tool",
)
_LIST: Final = epilog(
    "run_worker.py payments list",
    "run_worker.py payments list --state unknown --limit 100",
)


@app.command("show", epilog=_SHOW)
def show(
    payment_id: Annotated[str, typer.Argument(metavar="ID", help="The payment's id.")],
    *,
    json: Annotated[
        bool, typer.Option("--json", help="One JSON object, nothing shortened.")
    ] = False,
) -> None:
    """Show the whole history of one payment.

    What was asked and where it lay, attempts, evidence, events, who holds it and why it waits. No secret is in it.
    """
    from db_client import history
    from worker.commands import timeline
    from worker.config import read_settings

    settings = read_settings()
    try:
        with history.journal(settings.journal_url.get_secret_value(), role="payments") as engine:
            found = history.whole(engine, payment_id)
    except history.NotMigratedError as empty:
        raise AnswerIsNoError(str(empty)) from None
    if found is None:
        raise AnswerIsNoError(_nowhere(payment_id, f"{settings.topic_prefix}payment_initiation"))
    _print(found, timeline.as_object(found) if json else timeline.as_text(found))


def _print(found: "History", shown: dict[str, object] | list[str]) -> None:
    assert found.payment
    if isinstance(shown, dict):
        say(as_json(shown))
    else:
        lines(shown)


def _nowhere(payment_id: str, topic: str) -> str:
    name = "".join(sign for sign in payment_id if sign.isprintable())[:80]
    return (
        f"the journal knows no payment {name}. Its command may be a dead letter:\n"
        f"  run_worker.py watch --topic {topic}.dlq --from-beginning --for 10 --payment {name}\n"
        f"or it was not read yet, or never published:\n"
        f"  run_worker.py watch --topic {topic} --from-beginning --for 10 --payment {name}"
    )


@app.command("list", epilog=_LIST)
def show_list(
    *,
    state: Annotated[
        PaymentState | None, typer.Option(help="Only those in this state.", case_sensitive=False)
    ] = None,
    waiting: Annotated[
        bool, typer.Option("--waiting", help="Only those that are not final, the oldest first.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 20,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List the payments that moved last, the latest first."""
    from db_client import history
    from worker.config import read_settings

    settings = read_settings()
    try:
        with history.journal(settings.journal_url.get_secret_value(), role="payments") as engine:
            wanted = state.value if state else None
            found = history.latest(engine, state=wanted, limit=limit, waiting=waiting)
    except history.NotMigratedError as empty:
        raise AnswerIsNoError(str(empty)) from None
    if json:
        lines(as_json(row) for row in found)
        return
    rows = [
        [
            row["payment_id"],
            row["state"],
            str(row["version"]),
            amount(row["amount_minor"], row["currency"]),
            row["order_id"],
            row["user_id"],
            moment(row["updated_at"]),
            _waits(row),
        ]
        for row in found
    ]
    head = ["payment", "state", "version", "amount", "order", "user", "last moved", "waits for"]
    lines(columns(rows, head=head))


_BETWEEN: Final = {
    "admitted": "not sent yet: a worker has it, or takes it over",
    "open": "sent, not answered yet; a dead worker's is asked for after its lease",
    "answered": "decided, not told yet",
}


def _waits(row: Mapping[str, Any]) -> str:
    """What its unfinished work waits for; nothing where it is final."""
    if not row["stage"]:
        return ""
    why = row["why"] or _BETWEEN.get(row["stage"], row["stage"])
    return f"{why}, due {moment(row['due_at'])}" if row["due_at"] else why
