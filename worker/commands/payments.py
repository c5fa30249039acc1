"""`payments list|show|history`: what the journal knows, for people.

How one stands is laid out in `standing.py`, its whole history in `timeline.py`. Nothing is decided here.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from handlers.domain.errors import InvalidValueError
from handlers.domain.states import PaymentState, PaymentStatus
from worker.commands.exits import AnswerIsNoError, epilog
from worker.commands.terminal import amount, as_json, clean, columns, lines, moment, say

if TYPE_CHECKING:
    from db_client.database import Engine
    from db_client.history import History
    from db_client.payment_search import Place
    from worker.config import Settings

app = typer.Typer(
    help="Look payments up in the journal.", no_args_is_help=True, rich_markup_mode=None
)

_A_PAYMENT: Final = (
    '"payment_id", "order_id", "user_id", "amount_minor", "currency", "state", "status", "version",\n'
    '  "authorised_minor", "captured_minor", "refunded_minor", "capturing_minor", "refunding_minor", "expires_at",\n'
    '  "marks": [], "transaction_id", "method_kind", "method_brand", "method_last4", "reason_code", "reason_text",\n'
    '  "advice", "held_by", "created_at", "updated_at", ...'
)
_SHOW: Final = epilog(
    "run_worker.py payments show 01JCXW1H7M9D6R8QK2V5T3N4PB",
    "run_worker.py payments show pay-17 --json | python -m json.tool",
    json=(
        f'{{"now", "payment": {{{_A_PAYMENT}}} or null,\n'
        '  "initiation": {"operation_id", "stage", "due_at", "why", "asked"} or null,\n'
        '  "requests": [{"operation_id", "kind", "request_id", "state", "status", "amount_minor", "currency": the one\n'
        '  that it names, or null for the payment\'s, "reserved_minor",\n'
        '  "stage", "due_at", "promised_at", "why", "reason_code", "reason_text", "advice", "transaction_id"}],\n'
        '  "in_line": [operation ids, the next one first]}'
    ),
)
_HISTORY: Final = epilog(
    "run_worker.py payments history 01JCXW1H7M9D6R8QK2V5T3N4PB",
    "run_worker.py payments history pay-17 --json | python -m json.tool",
    json=(
        '{"now", "payment": as in `payments show`, or null, "operations": [the journal\'s row with "topic", "holder",\n'
        '  "attempts"], "evidence": [{"at", "what", "body"}], "events": [{"topic", "event_id", "published"}]}'
    ),
)
_LIST: Final = epilog(
    "run_worker.py payments list",
    "run_worker.py payments list --state unknown --limit 100",
    "run_worker.py payments list --user u-7 --status failure --since 1d --json",
    json=(
        f'{{"payments": [{{{_A_PAYMENT},\n'
        '  "operation_id", "stage", "due_at", "why", "asked", "unfinished", "suspect"}],\n'
        '  "next": what --after takes for the next page, or null}'
    ),
)
_Id = Annotated[str, typer.Argument(metavar="ID", help="The payment's id.")]
_Json = Annotated[bool, typer.Option("--json", help="One JSON document, nothing shortened.")]


@app.command("show", epilog=_SHOW)
def show(payment_id: _Id, *, json: _Json = False) -> None:
    """Show how a payment stands: its amounts, the requests about it, and what is in line.

    `payments history` shows how it came to that. No secret is in either.
    """
    from worker.commands import standing

    found = _whole(payment_id)
    if json:
        say(as_json(standing.as_object(found)))
    else:
        lines(standing.as_text(found))


@app.command("history", epilog=_HISTORY)
def history(payment_id: _Id, *, json: _Json = False) -> None:
    """Show the whole history of one payment.

    What was asked and where it lay, attempts, evidence, events, who holds it and why it waits. No secret is in it.
    """
    from worker.commands import timeline

    found = _whole(payment_id)
    if json:
        say(as_json(timeline.as_object(found)))
    else:
        lines(timeline.as_text(found))


def _whole(payment_id: str) -> "History":
    from db_client import history as past
    from worker.config import read_settings

    settings = read_settings()
    with _journal(settings) as engine:
        found = past.whole(engine, payment_id)
    if found is None:
        raise AnswerIsNoError(_nowhere(payment_id, settings))
    return found


@contextmanager
def _journal(settings: "Settings") -> "Iterator[Engine]":
    from db_client import history as past

    try:
        with past.journal(settings.journal_url.get_secret_value(), role="payments") as engine:
            yield engine
    except past.NotMigratedError as empty:
        raise AnswerIsNoError(str(empty)) from None


def _nowhere(payment_id: str, settings: "Settings") -> str:
    from worker import wiring

    topics = " ".join(f"--topic {it}" for it in wiring.topics(settings).commands)
    name = "".join(sign for sign in payment_id if sign.isprintable())[:80]
    return (
        f"the journal knows no payment {name}. Its command, or a request about it, may be a dead letter:\n"
        f"  run_worker.py dead-letters list --payment {name}\n"
        f"or it was not read yet, or never published:\n"
        f"  run_worker.py watch {topics} --from-beginning --for 10 --payment {name}"
    )


@app.command("list", epilog=_LIST)
def show_list(
    *,
    state: Annotated[
        PaymentState | None, typer.Option(help="Only those in this state.", case_sensitive=False)
    ] = None,
    status: Annotated[
        PaymentStatus | None,
        typer.Option(help="Only those that the outside sees so.", case_sensitive=False),
    ] = None,
    user: Annotated[str | None, typer.Option(metavar="ID", help="Only this customer's.")] = None,
    order: Annotated[str | None, typer.Option(metavar="ID", help="Only this order's.")] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Moved since then: 2h, or 2030-01-31T12:00Z."),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Moved before then for the last time.")
    ] = None,
    waiting: Annotated[
        bool, typer.Option("--waiting", help="Only those that are not final, the oldest first.")
    ] = False,
    suspect: Annotated[
        bool,
        typer.Option("--suspect", help="Only those that the journal may have forgotten once."),
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 20,
    after: Annotated[
        str | None, typer.Option(metavar="PLACE", help="The next page, as the last one named it.")
    ] = None,
    json: _Json = False,
) -> None:
    """List the payments that moved last, the latest first."""
    from db_client.payment_search import Search, search, states_of
    from worker.commands.spans import instant
    from worker.config import read_settings

    now = datetime.now(UTC)
    wanted = Search(
        states=states_of(state=state, status=status),
        user_id=user,
        order_id=order,
        since=instant(since, now=now, option="--since"),
        until=instant(until, now=now, option="--until"),
        waiting=waiting,
        suspect=suspect,
        after=_place(after),
    )
    with _journal(read_settings()) as engine:
        page = search(engine, wanted, limit=limit)
    following = None if page.next is None else _place_text(page.next)
    if json:
        say(as_json({"payments": [_object(row) for row in page.rows], "next": following}))
        return
    lines(columns([_cells(row) for row in page.rows], head=_HEAD))
    if following is not None:
        say(f"There are more: --after {following}", error=True)


_HEAD: Final = ["payment", "state", "version", "amount", "order", "user", "last moved", "waits for"]


def _cells(row: Mapping[str, Any]) -> list[str]:
    return [
        row["payment_id"],
        row["state"],
        str(row["version"]),
        amount(row["amount_minor"], row["currency"]),
        row["order_id"],
        row["user_id"],
        moment(row["updated_at"]),
        _waits(row),
    ]


def _object(row: Mapping[str, Any]) -> dict[str, object]:
    from worker.commands.timeline import payment_object

    return payment_object(row) or {}


def _place(text: str | None) -> "Place | None":
    from db_client.payment_search import Place

    if text is None:
        return None
    at, _, payment_id = text.partition("~")
    try:
        moved = datetime.fromisoformat(at)
    except ValueError:
        moved = None
    if moved is None or moved.tzinfo is None or not payment_id:
        raise InvalidValueError("--after", "must be what the last page named as its end")
    return Place(moved, payment_id)


def _place_text(place: "Place") -> str:
    return f"{place.at.astimezone(UTC).isoformat()}~{place.payment_id}"


_BETWEEN: Final = {
    "queued": "in line",
    "admitted": "not sent yet: a worker has it, or takes it over",
    "open": "sent, not answered yet; a dead worker's is asked for after its lease",
    "answered": "decided, not told yet",
}


def _waits(row: Mapping[str, Any]) -> str:
    """What its unfinished work waits for; nothing where it is final."""
    if not row["stage"]:
        return ""
    kind = row["operation_id"].partition(":")[0]
    why = row["why"] or _BETWEEN.get(row["stage"], row["stage"])
    text = why if kind == "initiation" else f"{kind}: {why}"
    due = f", due {moment(row['due_at'])}" if row["due_at"] else ""
    behind = f" (and {row['unfinished'] - 1} more)" if row["unfinished"] > 1 else ""
    suspect = " [suspect]" if row["suspect"] else ""
    return clean(f"{text}{due}{behind}{suspect}")
