"""`reconcile run|list|explain`: whether the books agree, what differs, and who explained it.

`reconcile` alone is `reconcile run`. What is compared stands in `worker/reconciling/`, how it is shown in
`reconcile_showing.py`. Nothing here moves money or mends a book.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final

import typer

from db_client.break_rows import BreakState
from handlers.domain.errors import InvalidValueError
from worker.commands.exits import AnswerIsNoError, IncompleteError, OpenBreaksError, epilog
from worker.commands.terminal import as_json, clean, lines, say
from worker.reconciling.kinds import Kind

if TYPE_CHECKING:
    from db_client.database import Engine
    from worker.config import Settings
    from worker.reconciling.run import Scan, Wanted

app = typer.Typer(rich_markup_mode=None)

_A_BREAK: Final = (
    '"id", "kind", "becomes", "book", "account", "subject", "payment_id",\n'
    '  "transaction_id", "amount_minor", "currency", "amount", "happened_at", "text"'
)
_KEPT: Final = (
    f'{{{_A_BREAK},\n  "state": "open" | "explained" | "fixed", "first_seen", "last_seen", "fixed_at", "age_s",\n'
    '  "openings", "notes": [{"by", "why", "at"}]}'
)
_RUN: Final = epilog(
    "run_worker.py reconcile",
    "run_worker.py reconcile --since 7d --events",
    "run_worker.py reconcile --since 2030-01-30 --until 2030-01-31 --account EUR --json",
    "0 6 * * *  run_worker.py reconcile || page-somebody      (a crontab)",
    json=(
        '{"since", "until", "complete", "gaps": [{"book", "why"}], "read": {book: how many}, "fixed",\n'
        '  "open": how many breaks wait for a person, "standing": [{"kind", "state", "currency", "count",\n'
        f'  "amount_minor", "amount"}}],\n  "breaks": [{{{_A_BREAK}}}]}}'
    ),
    codes=(
        "  4    breaks are open\n"
        "  5    no break is open, but a book could not be read to its end: nothing was proven\n"
    ),
)
_LIST: Final = epilog(
    "run_worker.py reconcile list",
    "run_worker.py reconcile list --kind orphan --kind duplicate_at_gateway",
    "run_worker.py reconcile list --state explained --state fixed --json",
    json=f'{{"breaks": [{_KEPT}],\n  "more": true where there are more than shown}}',
)
_EXPLAIN: Final = epilog(
    "run_worker.py reconcile explain qm3f7xk2ab4d --by ann --why 'a charge of the shop in the station'",
    json=_KEPT,
)
_Json = Annotated[bool, typer.Option("--json", help="One JSON document.")]


def reconcile(
    context: typer.Context,
    *,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="From then: 7d, or 2030-01-31. Without: the last 2 days."
        ),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Until then. Without: until now.")
    ] = None,
    account: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Only this merchant account: its currency, or its name."),
    ] = None,
    grace: Annotated[
        str,
        typer.Option(
            metavar="AGE", help="A difference younger than this is `timing`: it may come right."
        ),
    ] = "1h",
    events: Annotated[
        bool, typer.Option("--events", help="Compare the events on Kafka, too: reads the topic.")
    ] = False,
    json: _Json = False,
) -> None:
    """Compare gateway, journal and db-service, and keep what differs until it is fixed or explained.

    Nothing is adjusted. A scan that could not read a book to its end closes nothing.
    """
    if context.invoked_subcommand is not None:
        return
    wanted = _wanted(since, until, account=account, grace=grace, events=events)
    _scan(wanted, json=json)


def _wanted(
    since: str | None, until: str | None, *, account: str | None, grace: str, events: bool
) -> "Wanted":
    from worker.commands.spans import age_s, instant
    from worker.reconciling.run import Wanted

    now = datetime.now(UTC)
    first = instant(since, now=now, option="--since")
    last = instant(until, now=now, option="--until")
    if first is not None and first >= (last or now):
        raise InvalidValueError("--since", "must be before --until, and in the past")
    return Wanted(
        since=first,
        until=last,
        account=account,
        grace_s=age_s(grace, option="--grace"),
        events=events,
    )


def _scan(wanted: "Wanted", *, json: bool) -> None:
    from db_client import breaks
    from worker.commands import reconcile_showing as showing
    from worker.reconciling.run import scan

    settings = _settings()
    with _journal(settings) as engine:
        seen = scan(settings, engine, wanted=wanted)
        standing = breaks.standing(engine, account=seen.account)
    if json:
        say(as_json(showing.scan_object(seen, standing)))
    else:
        lines(showing.scan_lines(seen, standing))
    _end(seen, waiting=showing.waiting(standing), at_stake=showing.at_stake(standing))


def _end(seen: "Scan", *, waiting: int, at_stake: str) -> None:
    if waiting:
        are = "break is" if waiting == 1 else "breaks are"
        raise OpenBreaksError(
            f"{waiting} {are} open, {at_stake} at stake. `run_worker.py reconcile list` names them;"
            " `reconcile explain ID --why TEXT` says why one is right"
        )
    if not seen.complete:
        book, why = seen.gaps[0]
        raise IncompleteError(f"the scan is not complete: {book}: {why}")


@app.command("list", epilog=_LIST)
def show_list(
    *,
    state: Annotated[
        list[BreakState] | None,
        typer.Option(help="Only those in this state; may be given again. Without: open."),
    ] = None,
    kind: Annotated[
        list[Kind] | None,
        typer.Option(metavar="KIND", help="Only those of this kind; may be given again."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 100,
    json: _Json = False,
) -> None:
    """List breaks, the oldest first. The exit code is 0, whether there is one or not."""
    from db_client.breaks import find
    from worker.commands import reconcile_showing as showing

    states = frozenset(state or [BreakState.OPEN])
    with _journal(_settings()) as engine:
        found = find(engine, states=states, kinds=kind or None, most=limit + 1)
    shown, more = found[:limit], len(found) > limit
    if json:
        say(as_json({"breaks": [showing.kept_object(it) for it in shown], "more": more}))
        return
    if shown:
        lines(showing.kept_lines(shown))
    if more:
        say("There are more: --limit shows them.", error=True)
    elif not shown:
        say("There is no such break.", error=True)


@app.command("explain", epilog=_EXPLAIN)
def explain(
    break_id: Annotated[str, typer.Argument(metavar="ID", help="As `reconcile list` names it.")],
    *,
    why: Annotated[str, typer.Option(metavar="TEXT", help="Kept for ever.")],
    by: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who says so; without: the system's user.")
    ] = None,
    json: _Json = False,
) -> None:
    """Say why a break is right as it is. It opens again when its amount changes.

    Your name and words are kept for ever, and more of them may follow.
    """
    from db_client import breaks
    from handlers.domain.card_numbers import holds_card_number
    from worker.commands import reconcile_showing as showing
    from worker.commands.operators import named, word

    name, said = named(by), word("--why", why)
    for option, text in (("--by", name), ("--why", said)):
        if holds_card_number(text):
            raise InvalidValueError(option, "holds what looks like a card number")
    with _journal(_settings()) as engine:
        kept = breaks.explain(engine, break_id, by=name, why=said)
    if kept is None:
        raise AnswerIsNoError(
            f"there is no break {clean(break_id)[:80]}. `run_worker.py reconcile list` names them."
        )
    if json:
        say(as_json(showing.kept_object(kept)))
    else:
        lines(showing.kept_lines([kept]))


def _settings() -> "Settings":
    from worker.config import read_settings

    return read_settings()


@contextmanager
def _journal(settings: "Settings") -> "Iterator[Engine]":
    from db_client import history

    try:
        with history.journal(settings.journal_url.get_secret_value(), role="reconcile") as engine:
            yield engine
    except history.NotMigratedError as empty:
        raise AnswerIsNoError(str(empty)) from None


app.callback(invoke_without_command=True, epilog=_RUN)(reconcile)
app.command("run", epilog=_RUN)(reconcile)
