"""Waits for what becomes of payments: follows payment_status until each is told as decided."""

import time
from collections.abc import Sequence
from typing import Final

from worker import wiring
from worker.commands.sightings import Sightings
from worker.commands.terminal import say
from worker.config import Settings
from worker.kafka_admin import Tail

_LOOK_S: Final = 0.2
_PENDING: Final = "PENDING"


def follow(settings: Settings, tail: Tail, *, ids: Sequence[str], wait_s: float) -> list[str]:
    """Print each payment's first decided status; the ids of those for which none came within `wait_s`."""
    sightings = Sightings(wiring.wire_reader(settings), names=wiring.topics(settings))
    waiting = dict.fromkeys(ids)
    ends_at = time.monotonic() + wait_s
    while waiting and time.monotonic() < ends_at:
        for seen in tail.take(timeout_s=_LOOK_S):
            sighting = sightings.read(seen)
            decided = sighting.record.get("payment_status", _PENDING) != _PENDING
            if decided and sighting.payment_id in waiting:
                del waiting[sighting.payment_id]
                say(sighting.line())
    return list(waiting)
