"""`dead-letters list|show|replay|drop`: what intake could not take, and what an operator does about it.

Where the letters are read is `dead_letters_reading.py`, whether one may be replayed is judged in
`dead_letters_opening.py`, and `dead_letters_deciding.py` does it.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Final

import typer

from worker.commands.exits import AnswerIsNoError, SaidNoError, epilog
from worker.commands.terminal import as_json, clean, lines, say

if TYPE_CHECKING:
    from worker.commands.dead_letters_deciding import Result
    from worker.commands.dead_letters_reading import Wanted

app = typer.Typer(
    help="See, replay and drop the records that were no command of ours.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_A_LETTER: Final = (
    '"id", "at", "reason", "text", "field", "advice", "topic", "topic_id", "partition", "offset",\n'
    '  "asked_at", "key", "payload": "sealed" | "left out", "decision": {"what", "by", "why", "at"} or null'
)
_RESULTS: Final = (
    '{{"letters": [{{"id", "reason", "topic", "result": {results},\n'
    '  "text", "ok"}}], "ok", "missing": [ids that were not found]}}'
)
_LIST: Final = epilog(
    "run_worker.py dead-letters list",
    "run_worker.py dead-letters list --reason invalid --since 2h --undecided",
    "run_worker.py dead-letters list --topic refund_request --json",
    "run_worker.py dead-letters list --payment pay-17      (what was asked of it and could not be taken)",
    json=f'{{"letters": [{{{_A_LETTER}}}],\n  "shown", "matching"}}',
)
_SHOW: Final = epilog(
    "run_worker.py dead-letters show dlq:1a2B3c4D5e6F7g8H9i0JkA:0:17",
    json=f'{{{_A_LETTER},\n  "command": the command without its secrets, or null,\n'
    '  "fields": those of a record that breaks a rule, without its secrets, or null,\n'
    '  "flaw": what is wrong with it, or null,\n'
    '  "replay": {"possible", "with_anyway", "text"}}',
)
_REPLAY: Final = epilog(
    "run_worker.py dead-letters replay dlq:1a2B3c4D5e6F7g8H9i0JkA:0:17 --why 'the payment came'",
    "run_worker.py dead-letters replay --reason payment_unknown --since 2h --all --dry-run",
    json=_RESULTS.format(
        results='"replayed" | "would_be_replayed" | "already_decided" | "refused"'
    ),
)
_DROP: Final = epilog(
    "run_worker.py dead-letters drop dlq:1a2B3c4D5e6F7g8H9i0JkA:0:17 --why 'a test of ours'",
    "run_worker.py dead-letters drop --reason card_number --until 1d --all --why 'told the shop' --dry-run",
    json=_RESULTS.format(results='"dropped" | "would_be_dropped" | "already_decided"'),
)
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
_Ids = Annotated[
    list[str] | None, typer.Argument(metavar="ID...", help="Letters, as `list` names them.")
]
_Reasons = Annotated[
    list[str] | None, typer.Option("--reason", help="Only these reasons (repeat it).")
]
_Topics = Annotated[
    list[str] | None,
    typer.Option("--topic", help="Only letters of these command topics (repeat it)."),
]
_Since = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Not older than this: 2h, or 2030-01-31T12:00Z."),
]
_Until = Annotated[str | None, typer.Option(metavar="TIME", help="Older than this.")]
_All = Annotated[bool, typer.Option("--all", help="All that fit, instead of ids.")]
_By = Annotated[
    str | None, typer.Option(metavar="NAME", help="Who decides; without: the system's user.")
]
_Json = Annotated[bool, typer.Option("--json", help="One JSON document.")]


@app.command("list", epilog=_LIST)
def show_list(
    *,
    reason: _Reasons = None,
    topic: _Topics = None,
    since: _Since = None,
    until: _Until = None,
    undecided: Annotated[
        bool, typer.Option("--undecided", help="Only those that nobody decided about yet.")
    ] = False,
    payment: Annotated[
        str | None, typer.Option(metavar="ID", help="Only those whose key is this payment.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 50,
    json: _Json = False,
) -> None:
    """List dead letters, the latest first, with what was decided about each.

    They are read with read_committed, from the beginning of the topics to where they end now; no group is joined.
    """
    from worker.commands import dead_letters_parts as parts
    from worker.commands.dead_letters_showing import as_object, table
    from worker.config import read_settings

    settings = read_settings()
    filters = parts.Filters(reason, topic, since=since, until=until, payment=payment)
    wanted = parts.wanted(settings, filters)
    with parts.journal(settings) as engine:
        matching, found = parts.latest(
            settings, engine, wanted=wanted, undecided=undecided, most=limit
        )
    if json:
        shown = [as_object(letter, decision) for letter, decision in found]
        say(as_json({"letters": shown, "shown": len(shown), "matching": matching}))
        return
    if found:
        lines(table(found))
    ends = "`dead-letters show ID` says what one asks for and what to do."
    text = f"{len(found)} of {matching} shown. {ends}" if found else "No dead letter fits."
    say(text, error=True)


@app.command("show", epilog=_SHOW)
def show(
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="The letter's id.")],
    *,
    json: _Json = False,
) -> None:
    """Show one dead letter: its reason, the command in it, and what can be done.

    Tokens and other secrets are not shown; a payload that held a card number was never kept.
    """
    from db_client.decisions import decided
    from worker.commands import dead_letters_parts as parts
    from worker.commands.dead_letters_reading import read
    from worker.commands.dead_letters_showing import whole, whole_object
    from worker.config import read_settings

    settings = read_settings()
    wanted = parts.wanted(settings, parts.Filters(), ids=[letter_id])
    with parts.journal(settings) as engine:
        letter = next(read(settings, wanted), None)
        if letter is None:
            raise AnswerIsNoError(_not_found(sorted(wanted.ids)))
        decision = decided(engine, [letter.letter_id]).get(letter.letter_id)
    payload = parts.opener(settings).open(letter)
    verdict = parts.judge(settings, anyway=False).judge(letter, payload)
    if json:
        say(as_json(whole_object(letter, decision, payload=payload, verdict=verdict)))
    else:
        lines(whole(letter, decision, payload=payload, verdict=verdict))


@app.command("replay", epilog=_REPLAY)
def replay(
    letter_ids: _Ids = None,
    *,
    reason: _Reasons = None,
    topic: _Topics = None,
    since: _Since = None,
    until: _Until = None,
    everything: _All = False,
    dry_run: _DryRun = False,
    anyway: Annotated[
        bool,
        typer.Option(
            "--anyway", help="Also those that would come back, or whose asker is unproven."
        ),
    ] = False,
    by: _By = None,
    why: Annotated[str, typer.Option(metavar="TEXT", help="Kept for ever.")] = "replayed",
    json: _Json = False,
) -> None:
    """Publish the records of dead letters again, as they were.

    A command keeps its ids, so it counts once however often it comes. The record is signed as ours: no customer's token
    is asked of it. A letter is replayed once; a second replay says who did it, and does nothing.
    """
    from worker.commands import dead_letters_parts as parts
    from worker.commands.dead_letters_reading import read
    from worker.config import read_settings

    settings = read_settings()
    filters = parts.Filters(reason, topic, since=since, until=until)
    wanted = parts.chosen(settings, letter_ids, everything=everything, filters=filters)
    with parts.desk(settings, by=by, why=why) as desk:
        results = desk.replay(
            read(settings, wanted),
            opener=parts.opener(settings),
            judge=parts.judge(settings, anyway=anyway),
            dry_run=dry_run,
        )
        _tell(results, wanted=wanted, json=json)


@app.command("drop", epilog=_DROP)
def drop(
    letter_ids: _Ids = None,
    *,
    why: Annotated[str, typer.Option(metavar="TEXT", help="Kept for ever.")],
    reason: _Reasons = None,
    topic: _Topics = None,
    since: _Since = None,
    until: _Until = None,
    everything: _All = False,
    dry_run: _DryRun = False,
    by: _By = None,
    json: _Json = False,
) -> None:
    """Decide that dead letters are never replayed.

    Only the decision is written, once and for ever; the letter stays in its topic for as long as Kafka keeps it.
    """
    from worker.commands import dead_letters_parts as parts
    from worker.commands.dead_letters_reading import read
    from worker.config import read_settings

    settings = read_settings()
    filters = parts.Filters(reason, topic, since=since, until=until)
    wanted = parts.chosen(settings, letter_ids, everything=everything, filters=filters)
    with parts.desk(settings, by=by, why=why) as desk:
        results = desk.drop(read(settings, wanted), dry_run=dry_run)
        _tell(results, wanted=wanted, json=json)


def _tell(results: "Iterator[Result]", *, wanted: "Wanted", json: bool) -> None:
    """Say each result as it comes; end with a no where the operator must do something else."""
    told = []
    for result in results:
        told.append(result)
        if not json:
            text = f": {result.text}" if result.text else ""
            say(clean(f"{result.letter.letter_id}  {result.letter.reason}  {result.result}{text}"))
    missing = sorted(wanted.ids - {it.letter.letter_id for it in told})
    refused = sum(not it.is_as_wanted for it in told)
    if json:
        ok = not refused and not missing
        say(as_json({"letters": [it.as_object() for it in told], "ok": ok, "missing": missing}))
    if missing:
        raise SaidNoError(_not_found(missing))
    if refused:
        raise SaidNoError(f"{refused} of {len(told)} were not done; the text beside each says why")
    if not told:
        say("No dead letter fits.", error=True)


def _not_found(ids: list[str]) -> str:
    return (
        f"no dead letter {', '.join(clean(it)[:200] for it in ids)}. Kafka may have removed it after its retention;"
        " `run_worker.py dead-letters list` names those that are there."
    )
