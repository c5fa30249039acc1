"""What waits for a person, laid out: as lines for a person, as objects for a script. Nothing is read here."""

from collections.abc import Iterator, Sequence

from db_client.review import Cause, Pending, Waiting
from handlers.domain.commands import Ruling
from worker.commands.review_effects import CAUSES, choices, effect, why_not
from worker.commands.terminal import amount, clean, columns, moment

_HEAD = ["decide about", "what", "payment", "amount", "since", "why", "decided"]


def table(found: Sequence[Waiting]) -> list[str]:
    """One line for each."""
    rows = [
        [
            it.about,
            it.kind.value,
            it.payment_id,
            amount(it.amount_minor, it.currency),
            moment(it.since),
            f"{CAUSES[it.cause]}: {it.why}" if it.why else CAUSES[it.cause],
            word(it.words[0]) if it.words else "no",
        ]
        for it in found
    ]
    return columns(rows, head=_HEAD)


def word(said: Pending) -> str:
    """Who said what, and when; it is on its way."""
    did = "it happened" if said.happened else "it did not happen"
    return f"{did}, says {said.by} ({said.why}) at {moment(said.at)}; not applied yet"


def as_object(of: Waiting) -> dict[str, object]:
    """The same for a script."""
    return {
        "id": of.about,
        "cause": of.cause.value,
        "kind": of.kind.value,
        "payment_id": of.payment_id,
        "operation_id": of.operation_id,
        "state": of.state,
        "amount_minor": of.amount_minor,
        "currency": of.currency,
        "transaction_id": of.transaction_id,
        "since": of.since,
        "why": of.why,
        "asked": of.asked,
        "due_at": of.due_at,
        "can_be_decided": choices(of),
        "words": [
            {
                "verification_id": it.operation_id.partition(":")[2],
                "happened": it.happened,
                "by": it.by,
                "why": it.why,
                "transaction_id": it.transaction_id or None,
                "at": it.at,
            }
            for it in of.words
        ],
    }


def whole(of: Waiting, *, more: str = "") -> Iterator[str]:
    """What waits, why, and what each decision would do. `more`: options that `decide` needs to see it as we do."""
    waits = "does not wait for a person yet" if of.cause is Cause.EARLY else "waits for a person"
    yield f"{of.about} {waits}: {CAUSES[of.cause]}"
    money = amount(of.amount_minor, of.currency)
    yield f"  about       {of.kind.value} of {money}, payment {of.payment_id}, {of.state}"
    yield f"  since       {moment(of.since)}"
    if of.why:
        yield f"  why         {clean(of.why)}"
    if of.asked:
        yield f"  asked       the gateway {of.asked} times, next at {moment(of.due_at)}"
    if of.transaction_id:
        yield f"  at gateway  transaction {clean(of.transaction_id)}"
    for said in of.words:
        yield f"  decided     {clean(word(said))}"
    options = choices(of)
    if not options:
        yield f"  next        {why_not(of)}"
    for option in options:
        yield f"  {option:<18} {effect(of, happened=option == '--happened')}"
    if options:
        early = " --early" if of.cause is Cause.EARLY else ""
        typed = f"{' or '.join(options)} --why TEXT{early}{more if of.cause is Cause.HELD else ''}"
        yield f"  next        run_worker.py review decide {of.about} {typed}"


def decided(of: Waiting, ruling: Ruling, *, verification_id: str, result: str) -> dict[str, object]:
    """A decision for a script: what was said about what, what it does, and how to see what comes of it."""
    return {
        "id": of.about,
        "verification_id": verification_id,
        "payment_id": of.payment_id,
        "happened": ruling.happened,
        "by": ruling.by,
        "why": ruling.why,
        "transaction_id": ruling.transaction_id or None,
        "effect": effect(of, happened=ruling.happened, transaction_id=ruling.transaction_id),
        "result": result,
        "watch": f"run_worker.py watch --topic payment_status --payment {of.payment_id}",
    }
