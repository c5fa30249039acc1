"""Waits for what becomes of commands: follows payment_status and their dead letters until each is decided.

A question about a payment of which nothing new is known is answered by the last snapshot, told again: its header
`answers` names the operation. A dead letter is known by where its record lay, for its id may be another record's, too.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from handlers.domain.commands import Command, Kind
from handlers.domain.states import PaymentStatus, RequestStatus
from worker import wiring
from worker.commands.dead_letters_reading import letter_of
from worker.commands.sightings import Sighting, Sightings
from worker.commands.terminal import as_json, say
from worker.config import Settings
from worker.kafka_admin import Place, Tail

_LOOK_S: Final = 0.2
_DECIDED: Final = {PaymentStatus.SUCCESS.name, PaymentStatus.FAILURE.name}
_ENDED: Final = {RequestStatus.PROCESSED.name, RequestStatus.FAILED.name}
Key = tuple[str, str]  # the kind of a command, and the id of what it asks


@dataclass(frozen=True, slots=True)
class Ended:
    """What came of commands: those of which nothing was heard in time, and those that ended as a no, with how."""

    late: list[Command]
    denied: list[tuple[Command, str]]


def follow(
    settings: Settings,
    tail: Tail,
    *,
    asked: Sequence[tuple[Command, Place]],
    wait_s: float,
    json: bool,
) -> Ended:
    """Print the first record that decides each command, for at most `wait_s`."""
    sightings = Sightings(wiring.wire_reader(settings), names=wiring.topics(settings))
    waiting = {_key(it): it for it, _ in asked}
    places = {place: _key(it) for it, place in asked}
    denied: list[tuple[Command, str]] = []
    ends_at = time.monotonic() + wait_s
    while waiting and time.monotonic() < ends_at:
        for seen in tail.take(timeout_s=_LOOK_S):
            sighting = sightings.read(seen)
            found = {key: no for key, no in _heard(sighting, places) if key in waiting}
            for key, no in found.items():
                command = waiting.pop(key)
                if no:
                    denied.append((command, no))
            if found:
                say(as_json(sighting.as_object()) if json else sighting.line())
    return Ended(list(waiting.values()), denied)


def _key(command: Command) -> Key:
    return command.kind.value, command.request_id


def _heard(sighting: Sighting, places: Mapping[Place, Key]) -> Iterator[tuple[Key, str]]:
    letter = letter_of(sighting.seen)
    if letter is None:
        yield from decided(sighting.record, answers=sighting.answers)
        return
    key = places.get(Place(letter.topic, letter.partition, letter.offset))
    if key is not None:
        yield key, f"dead letter, {letter.reason}"


def decided(
    status: Mapping[str, object], *, answers: Iterable[str] = ()
) -> Iterator[tuple[Key, str]]:
    """What a payment_status record decides, and how it ended where that is a no (else "").

    The initiation once it is no longer pending, a request once it ended, a question once it is named as answered.
    """
    if status.get("payment_status") in _DECIDED:
        bad = status["payment_status"] == PaymentStatus.FAILURE.name
        no = str(status.get("state") or "failure") if bad else ""
        yield (Kind.INITIATION.value, str(status.get("payment_id"))), no
    request = status.get("request")
    if isinstance(request, Mapping) and request.get("request_status") in _ENDED:
        bad = request["request_status"] == RequestStatus.FAILED.name
        no = str(request.get("state") or "failed") if bad else ""
        yield (str(request.get("kind")), str(request.get("request_id"))), no
    for operation_id in answers:
        kind, _, name = operation_id.partition(":")
        yield (kind, name), ""
