"""`review list|show|decide`: what only a person can end, and the person's word about it.

What waits is read by `db_client/review.py`; what a word does is `review_effects.py`, giving it `review_deciding.py`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Final

import typer

from handlers.domain.errors import InvalidValueError
from worker.commands.exits import AnswerIsNoError, epilog
from worker.commands.terminal import as_json, clean, lines, say

if TYPE_CHECKING:
    from db_client.database import Engine
    from db_client.review import Waiting
    from worker.config import Settings

app = typer.Typer(
    help="See what waits for a person, and decide.", no_args_is_help=True, rich_markup_mode=None
)
_AN_ITEM: Final = (
    '{"id", "cause": "undecided" | "refund_absent" | "held" | "conflicted" | "request_conflicted" | "early",\n'
    '  "kind", "payment_id", "operation_id", "state", "amount_minor", "currency", "transaction_id", "since", "why",\n'
    '  "asked", "due_at", "can_be_decided": ["--happened", "--did-not-happen"],\n'
    '  "words": [{"verification_id", "happened", "by", "why", "transaction_id", "at"}]}'
)
_LIST: Final = epilog(
    "run_worker.py review list",
    "run_worker.py review list --held-for 4h --json",
    json=f'{{"waiting": [{_AN_ITEM}],\n  "more": true where there are more than shown}}',
)
_SHOW: Final = epilog(
    "run_worker.py review show refund:r-17",
    json=f'{{"waiting": [{_AN_ITEM}],\n  "history": as `payments history --json`, or null}}',
)
_DECIDE: Final = epilog(
    "run_worker.py review decide refund:r-17 --did-not-happen --why 'not in the batches of May 3 and 4'",
    "run_worker.py review decide refund:r-17 --happened --transaction-id 60198 --by ann --why 'seen there'",
    "run_worker.py review decide pay-9 --happened --why 'the amount is right' --dry-run",
    json=(
        '{"id", "verification_id", "payment_id", "happened", "by", "why", "transaction_id", "effect",\n'
        '  "result": "published" | "would_be_published" | "already_said",\n'
        '  "watch": a command that shows what comes of it}'
    ),
)
_HeldFor = Annotated[
    str, typer.Option(metavar="AGE", help="A payment that is held longer than this waits: 24h, 3d.")
]
_Json = Annotated[bool, typer.Option("--json", help="One JSON document.")]
_HELD_FOR: Final = "24h"


@app.command("list", epilog=_LIST)
def show_list(
    *,
    held_for: _HeldFor = _HELD_FOR,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 100,
    json: _Json = False,
) -> None:
    """List what waits for a person, the longest first. The exit code is 0, whether something waits or not.

    Undecided when WORKER_ASK_SCHEDULE_S ended; held too long; conflicted; a refund that is not in the gateway's lists.
    """
    from db_client.review import waiting
    from worker.commands.review_showing import as_object, table
    from worker.commands.spans import age_s

    settings = _settings()
    held_for_s = age_s(held_for, option="--held-for")
    with _journal(settings) as engine:
        found = waiting(
            engine, asked=len(settings.ask_schedule_s), held_for_s=held_for_s, most=limit + 1
        )
    shown, more = found[:limit], len(found) > limit
    if json:
        say(as_json({"waiting": [as_object(it) for it in shown], "more": more}))
        return
    if shown:
        lines(table(shown))
    text = f"`review show ID{_again(held_for)}` says what can be decided, and what that does."
    if more:
        text = f"There are more: --limit shows them. {text}"
    say(text if shown else "Nothing waits for a person.", error=True)


@app.command("show", epilog=_SHOW)
def show(
    name: Annotated[str, typer.Argument(metavar="ID", help="An operation's or a payment's id.")],
    *,
    held_for: _HeldFor = _HELD_FOR,
    json: _Json = False,
) -> None:
    """Show what waits, what each decision would do, and the payment's whole history."""
    from db_client import history
    from worker.commands import timeline
    from worker.commands.review_showing import as_object, whole

    settings = _settings()
    with _journal(settings) as engine:
        found = _of_one(settings, engine, name=name, held_for=held_for)
        payment_id = found[0].payment_id if found else name
        past = history.whole(engine, payment_id)
    if not found and past is None:
        raise AnswerIsNoError(
            f"nothing of {clean(name)[:200]} waits for a person, and the journal knows no payment of that id."
            " `run_worker.py review list` names what waits."
        )
    if json:
        told = timeline.as_object(past) if past else None
        say(as_json({"waiting": [as_object(it) for it in found], "history": told}))
    for it in () if json else found:
        lines([*whole(it, more=_again(held_for)), ""])
    if past and not json:
        lines(timeline.as_text(past))
    if not found:
        say(f"Nothing of {clean(name)} waits for a person.", error=True)


@app.command("decide", epilog=_DECIDE)
def decide(
    name: Annotated[str, typer.Argument(metavar="ID", help="An operation's or a payment's id.")],
    *,
    why: Annotated[str, typer.Option(metavar="TEXT", help="Kept for ever.")],
    happened: Annotated[
        bool | None,
        typer.Option("--happened/--did-not-happen", help="Did it happen at the gateway?"),
    ] = None,
    by: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who decides; without: the system's user.")
    ] = None,
    transaction_id: Annotated[
        str, typer.Option(metavar="DIGITS", help="Where to look for it at the gateway.")
    ] = "",
    early: Annotated[
        bool, typer.Option("--early", help="Although the gateway is still being asked.")
    ] = False,
    held_for: _HeldFor = _HELD_FOR,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it would do, and do nothing.")
    ] = False,
    json: _Json = False,
) -> None:
    """Decide what only a person can: whether it happened.

    Your name and reason are kept for ever with the operation that your word makes. To decide the same twice is
    harmless: it counts once.
    """
    from worker.commands.operators import named, word
    from worker.commands.review_deciding import chosen, ruling_of
    from worker.commands.review_deciding import decide as say_it
    from worker.commands.review_showing import decided

    if happened is None:
        raise InvalidValueError("--happened", "or --did-not-happen must be given")
    settings = _settings()
    ruling = ruling_of(
        happened=happened, by=named(by), why=word("--why", why), transaction_id=transaction_id
    )
    with _journal(settings) as engine:
        found = _of_one(settings, engine, name=name, held_for=held_for)
    one = chosen(name, found, early=early)
    said = say_it(settings, one, ruling=ruling, dry_run=dry_run)
    done = "already_said" if said.before else "would_be_published" if dry_run else "published"
    told = decided(one, ruling, verification_id=said.verification_id, result=done)
    if json:
        say(as_json(told))
        return
    say(f"{one.about}: {_DONE[done]}: {said.verification_id}")
    say(f"  {told['effect']}")
    say(f"  See what comes of it: {told['watch']}")
    say(f"                        run_worker.py payments history {one.payment_id}")


_DONE: Final = {
    "published": "decided",
    "would_be_published": "would be decided",
    "already_said": "decided before, and not applied yet; nothing was published now",
}


def _again(held_for: str) -> str:
    """The option that makes the next command see what this one saw."""
    return "" if held_for == _HELD_FOR else f" --held-for {held_for}"


def _settings() -> "Settings":
    from worker.config import read_settings

    return read_settings()


@contextmanager
def _journal(settings: "Settings") -> "Iterator[Engine]":
    from db_client import history

    try:
        with history.journal(settings.journal_url.get_secret_value(), role="review") as engine:
            yield engine
    except history.NotMigratedError as empty:
        raise AnswerIsNoError(str(empty)) from None


def _of_one(settings: "Settings", engine: "Engine", *, name: str, held_for: str) -> "list[Waiting]":
    from db_client.review import of_one
    from worker.commands.spans import age_s

    return of_one(
        engine,
        name,
        asked=len(settings.ask_schedule_s),
        held_for_s=age_s(held_for, option="--held-for"),
    )
