"""Sends the commands that `publish` made, says their ids, and waits for what becomes of them where that is wanted.

Each is signed as the installation's own where its invoice key is set: whoever has that key speaks for the operator.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from handlers.domain.errors import InvalidValueError, Unavailable
from worker.commands import publish_reading
from worker.commands.exits import AnswerIsNoError, NotDoneError
from worker.commands.terminal import as_json, lines

if TYPE_CHECKING:
    from handlers.domain.commands import Command
    from handlers.ports import Message
    from worker.commands.publish_waiting import Ended
    from worker.config import Settings
    from worker.kafka_admin import Place
    from worker.routes import EventWire

_MOST_NAMED: Final = 20  # in an error's text


@dataclass(frozen=True, slots=True)
class How:
    """What every kind of command is sent with: a file instead of flags, how long to wait (s), what to print."""

    json_lines: str | None = None
    skip_bad: bool = False
    wait_s: float | None = None
    json: bool = False


def publish_of(
    kind: str,
    *,
    flags: Mapping[str, object],
    record: Callable[[], Mapping[str, object]],
    how: How,
) -> None:
    """Publish the `record` that was made of `flags`, or the file's where one is given; never both."""
    from worker.commands import publish_records

    if how.json_lines is None:
        _send([publish_records.from_record(record(), kind=kind)], how)
        return
    if any(flags.values()):
        raise InvalidValueError("--json-lines", "stands alone: each line says everything itself")
    found = publish_reading.from_file(how.json_lines, kind=kind, json=how.json)
    bad = len(found.bad)
    if bad and not how.skip_bad:
        raise InvalidValueError(
            "--json-lines",
            f"{bad} bad line(s), so nothing was sent: mend them, or send the others with --skip-bad",
        )
    _send(found.commands, how, left_out=bad)


def must_have(flags: Mapping[str, object], names: Sequence[str]) -> None:
    """Refuse where one of `names` was not given. Raises InvalidValueError with the option."""
    for name in names:
        if flags[name] is None:
            option = f"--{name.replace('_', '-')}"
            raise InvalidValueError(option, "must be given (or --json-lines)")


def _send(commands: "Sequence[Command]", how: How, *, left_out: int = 0) -> None:
    from worker.commands.publish_waiting import Ended

    ended = _followed(commands, how) if commands else Ended([], [])
    said = []
    if ended.denied:
        said.append(f"not done: {_named(f'{it.request_id} ({no})' for it, no in ended.denied)}")
    if left_out:
        said.append(f"{left_out} bad line(s) were left out")
    if ended.late:
        raise AnswerIsNoError(
            f"not decided within {how.wait_s:g} s: {_named(it.request_id for it in ended.late)}. Is a worker running?"
            f" `run_worker.py payments show {ended.late[0].payment_id}` says where it stands."
            + "".join(f" {it[0].upper()}{it[1:]}." for it in said)
        )
    if said:
        raise NotDoneError("; ".join(said))


def _named(words: "Iterable[str]") -> str:
    """The first ones, and how many more."""
    every = list(words)
    more = len(every) - _MOST_NAMED
    return ", ".join(every[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _followed(commands: "Sequence[Command]", how: How) -> "Ended":
    """Publish them, and wait for what becomes of them where that is wanted."""
    from worker import wiring
    from worker.commands.publish_waiting import Ended, follow
    from worker.config import read_settings
    from worker.kafka_admin import Tail, open_admin
    from worker.routes import STATUS, dead_letter_topic

    settings = read_settings()
    wire = _wire(settings)
    messages = [wire.command(it, traceparent="") for it in commands]
    topics = {it.topic for it in messages}
    heard = {wiring.topics(settings).name(STATUS), *map(dead_letter_topic, topics)}
    missing = sorted((topics | heard) - open_admin(settings.kafka_properties()).names())
    if missing:
        raise AnswerIsNoError(
            f"topics are missing: {', '.join(missing)}. Create them with `run_worker.py topics --create`."
        )
    said = [
        _said(it, message, json=how.json) for it, message in zip(commands, messages, strict=True)
    ]
    if how.wait_s is None:
        _publish(settings, messages, said=said)
        return Ended([], [])
    with closing(Tail(settings.kafka_properties(), heard, from_beginning=False)) as tail:
        places = _publish(settings, messages, said=said)
        asked = list(zip(commands, places, strict=True))
        return follow(settings, tail, asked=asked, wait_s=how.wait_s, json=how.json)


def _wire(settings: "Settings") -> "EventWire":
    from worker import wiring
    from worker.routes import EventWire

    has_key = settings.invoice_key is not None or settings.invoice_key_file is not None
    return EventWire(
        wiring.wire_writer(settings),
        topics=wiring.topics(settings),
        source=settings.event_source,
        signing_key=wiring.signing_key(settings) if has_key else None,
    )


def _said(command: "Command", message: "Message", *, json: bool) -> str:
    if not json:
        return command.request_id
    return as_json(
        {
            "kind": command.kind,
            "id": command.request_id,
            "payment_id": command.payment_id,
            "operation_id": command.operation_id,
            "topic": message.topic,
        }
    )


def _publish(
    settings: "Settings", messages: "Sequence[Message]", *, said: Sequence[str]
) -> "list[Place]":
    from worker.kafka_admin import send

    records = [(it.topic, it.key, it.value or b"", dict(it.headers)) for it in messages]
    try:
        places = send(settings.kafka_properties(), records)
    except Unavailable as away:
        lines(said)
        raise Unavailable(
            away.what,
            f"{away.why}. Some of these may have been published: publish all again under the same ids,"
            " which does no harm",
        ) from None
    lines(said)
    return places
