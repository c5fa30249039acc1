"""Waits for what becomes of commands: follows payment_status until each is told as decided."""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from handlers.domain.commands import Command, Kind
from handlers.domain.states import PaymentStatus, RequestStatus
from worker import wiring
from worker.commands.sightings import Sightings
from worker.commands.terminal import as_json, say
from worker.config import Settings
from worker.kafka_admin import Tail

_LOOK_S: Final = 0.2
_DECIDED: Final = {PaymentStatus.SUCCESS.name, PaymentStatus.FAILURE.name}
_ENDED: Final = {RequestStatus.PROCESSED.name, RequestStatus.FAILED.name}
Key = tuple[str, str]  # the kind of a command, and the id of what it asks


def follow(
    settings: Settings, tail: Tail, *, commands: Sequence[Command], wait_s: float, json: bool
) -> list[Command]:
    """Print the first status that decides each command; those for which none came within `wait_s`."""
    sightings = Sightings(wiring.wire_reader(settings), names=wiring.topics(settings))
    waiting: dict[Key, Command] = {(it.kind.value, it.request_id): it for it in commands}
    ends_at = time.monotonic() + wait_s
    while waiting and time.monotonic() < ends_at:
        for seen in tail.take(timeout_s=_LOOK_S):
            sighting = sightings.read(seen)
            found = [key for key in decided(sighting.record) if key in waiting]
            for key in found:
                del waiting[key]
            if found:
                say(as_json(sighting.as_object()) if json else sighting.line())
    return list(waiting.values())


def decided(status: Mapping[str, object]) -> Iterator[Key]:
    """What a payment_status record decides: the initiation once it is no longer pending, a request once it ended."""
    if status.get("payment_status") in _DECIDED:
        yield Kind.INITIATION.value, str(status.get("payment_id"))
    request = status.get("request")
    if isinstance(request, Mapping) and request.get("request_status") in _ENDED:
        yield str(request.get("kind")), str(request.get("request_id"))
