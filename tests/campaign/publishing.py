"""Publishes the day's commands at the campaign's pace, as a platform does: what is not acknowledged is sent again."""

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from handlers.domain.errors import Unavailable
from tests.acceptance.mixed_load import PAYMENTS_A_SECOND, Cue, Day
from tests.campaign.chronicle import TroubleError
from tests.campaign.ground import Ground
from tests.campaign.terms import Terms
from worker import kafka_admin
from worker.demo.audit import settings_of

_EVERY_S: Final = 0.25
_GIVES_UP_AFTER_S: Final = 240.0  # longer than a broker is ever away
_MOST_PAYMENTS: Final = 900_000  # numbers from here on are poison


def paced(day: Day, terms: Terms) -> Day:
    """The day, spread over the campaign's time.

    What nobody ever made a payment for is asked at once, so that it has left as a dead letter by the end.
    """

    def moved(cue: Cue) -> Cue:
        if cue.asked is not None and cue.asked.payment_id in day.nobodies:
            return replace(cue, at_s=0.0)
        number = int(cue.record[1].decode().rpartition("-")[2])
        if number >= _MOST_PAYMENTS:
            return replace(cue, at_s=cue.at_s * terms.stretch)
        paid_at_s = number / PAYMENTS_A_SECOND
        later_s = (cue.at_s - paid_at_s) * terms.follow_stretch
        return replace(cue, at_s=max(0.0, paid_at_s * terms.stretch + later_s))

    return replace(day, cues=tuple(sorted(map(moved, day.cues), key=lambda cue: cue.at_s)))


class Producer:
    """Another program of the platform, in a thread. `sent` counts the records that were acknowledged."""

    def __init__(self, ground: Ground, day: Day) -> None:
        self._properties = settings_of(ground.stage).kafka_properties()
        self._published = ground.installation.published
        self._cues = day.cues
        self.sent = 0

    def run(self, opened: float, *, stop: threading.Event) -> None:
        """Publish everything in its time since the opening (on the monotonic clock). Raises TroubleError."""
        while self.sent < len(self._cues) and not stop.is_set():
            now_s = time.monotonic() - opened
            left = self._cues[self.sent :]
            due = left[: next((n for n, cue in enumerate(left) if cue.at_s > now_s), len(left))]
            if due:
                self._send(due, stop=stop)
                self.sent += len(due)
            stop.wait(_EVERY_S)

    def _send(self, cues: Sequence[Cue], *, stop: threading.Event) -> None:
        deadline = time.monotonic() + _GIVES_UP_AFTER_S
        while not stop.is_set():
            try:
                kafka_admin.send(self._properties, [cue.record for cue in cues])
            except Unavailable as unavailable:
                if time.monotonic() > deadline:
                    raise TroubleError(
                        f"Kafka took no command for {_GIVES_UP_AFTER_S:.0f} s: {unavailable}"
                    ) from unavailable
                continue
            # Poison, too: it has to come out as a dead letter.
            self._published.extend(cue.record[1].decode() for cue in cues if cue.asked is None)
            return
