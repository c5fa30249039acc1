"""Dead letters laid out: as lines for a person, as objects for a script. Nothing is read here, and no secret shown."""

from collections.abc import Iterator, Mapping

from db_client.command_json import to_json
from db_client.decisions import Decision
from handlers.domain.card_numbers import bytes_hold_card_number
from worker.commands.dead_letters_masking import fit_to_be_shown, lines_of
from worker.commands.dead_letters_opening import Closed, Go, Payload, Stop
from worker.commands.dead_letters_reading import Letter, known_reason
from worker.commands.terminal import clean, columns, moment
from worker.commands.timeline import asked
from worker.dead_letters import ADVICE

HEAD = ["letter", "since", "reason", "topic", "key", "decided", "what is wrong"]
Command = Mapping[str, object]


def key_of(letter: Letter) -> str:
    """The record's key as text: the payment's id, if its producer did well."""
    if bytes_hold_card_number(letter.key):
        return "(hidden: looks like a card number)"
    return letter.key.decode("utf-8", "replace") or "(not kept)"


def decision_text(decision: Decision | None) -> str:
    """`replayed by ann at …`, or nothing."""
    if decision is None:
        return ""
    return f"{decision.what} by {decision.by} at {moment(decision.at)}"


def table(found: list[tuple[Letter, Decision | None]]) -> list[str]:
    """One line for each."""
    rows = [
        [
            letter.letter_id,
            moment(letter.at),
            letter.reason,
            letter.topic,
            key_of(letter),
            decision_text(decision) or "no",
            letter.text,
        ]
        for letter, decision in found
    ]
    return columns(rows, head=HEAD)


def as_object(letter: Letter, decision: Decision | None) -> dict[str, object]:
    """The same for a script."""
    return {
        "id": letter.letter_id,
        "at": letter.at,
        "reason": letter.reason,
        "text": letter.text,
        "field": letter.flawed or None,
        "advice": letter.advice,
        "topic": letter.topic,
        "topic_id": letter.topic_id,
        "partition": letter.partition,
        "offset": letter.offset,
        "asked_at": letter.asked_at,
        "key": key_of(letter),
        "payload": "sealed" if letter.sealed else "left out",
        "decision": decision
        and {
            "what": decision.what.value,
            "by": decision.by,
            "why": decision.why,
            "at": decision.at,
        },
    }


def command_of(payload: Payload | Closed) -> tuple[dict[str, object] | None, str]:
    """The command without its secrets, and why there is none, or what is wrong with it."""
    match payload:
        case Closed(why=why):
            return None, why
        case Payload(command=None, flaw=flaw, fields=None):
            return None, f"it cannot be read: {flaw}"
        case Payload(command=None, flaw=flaw):
            return None, f"it is no command: {flaw}"
        case Payload(command=command, flaw=flaw):
            assert command is not None
            return to_json(command), flaw


def fields_of(payload: Payload | Closed) -> dict[str, object] | None:
    """The fields of a record that breaks a rule, without its secrets; None where it is a command or unreadable."""
    if isinstance(payload, Closed) or payload.fields is None:
        return None
    return fit_to_be_shown(payload.fields, flawed=payload.flawed)


def whole(
    letter: Letter, decision: Decision | None, *, payload: Payload | Closed, verdict: Go | Stop
) -> Iterator[str]:
    """Everything about one letter: what, why, and what next."""
    yield f"dead letter {letter.letter_id}"
    yield f"  reason      {clean(letter.reason)}: {clean(letter.text)}"
    reason = known_reason(letter)
    yield f"  means       {ADVICE[reason] if reason else clean(letter.advice)}"
    yield f"  since       {moment(letter.at)}; its record was published at {moment(letter.asked_at)}"
    yield f"  record      {clean(letter.topic)}[{letter.partition}]@{letter.offset}, key {clean(key_of(letter))}"
    command, why = command_of(payload)
    if command is not None:
        yield f"  asks for    {clean(asked(command))}"
        yield from (f"              {clean(name)}: {clean(str(it))}" for name, it in _told(command))
    if why:
        yield f"  payload     {clean(why)}"
    for name, it in lines_of(fields_of(payload) or {}):
        yield f"              {clean(name)}: {clean(str(it))}"
    if decision is not None:
        yield f"  decided     {clean(decision_text(decision))}: {clean(decision.why)}"
        return
    yield "  decided     no"
    if isinstance(payload, Closed) and payload.is_locked:
        yield "  next        add its key to WORKER_JOURNAL_KEYS, behind the first one, then show it again"
        return
    yield from _next(letter, verdict)


def whole_object(
    letter: Letter, decision: Decision | None, *, payload: Payload | Closed, verdict: Go | Stop
) -> dict[str, object]:
    """The same for a script."""
    command, flaw = command_of(payload)
    match verdict:
        case Go(note=note):
            possible, forced, text = True, True, note
        case Stop(why=why, can_be_forced=can_be_forced):
            possible, forced, text = False, can_be_forced, why
    is_open = decision is None
    return {
        **as_object(letter, decision),
        "command": command,
        "fields": fields_of(payload),
        "flaw": flaw or None,
        "replay": {
            "possible": possible and is_open,
            "with_anyway": forced and is_open,
            "text": text,
        },
    }


def _told(command: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """The fields of a command that hold something. No secret is among them."""
    return ((name, it) for name, it in command.items() if it not in (None, "", [], {}))


def _next(letter: Letter, verdict: Go | Stop) -> Iterator[str]:
    replay = f"run_worker.py dead-letters replay {letter.letter_id} --why TEXT"
    match verdict:
        case Go(note=note):
            yield f"  next        mend the cause, then: {replay}"
            if note:
                yield f"              {note}"
        case Stop(why=why, can_be_forced=forced):
            yield f"  next        a replay does not help: {clean(why)}"
            if forced:
                yield f"              All the same: {replay} --anyway"
    yield f"              or set it aside: run_worker.py dead-letters drop {letter.letter_id} --why TEXT"
