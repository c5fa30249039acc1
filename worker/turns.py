"""A thread's loop as turns that say where they wait, so that something other than a thread can go through them.

Intake and publisher are written so: production gives each a thread (`go_through`), the simulation steps them in its own
time and may leave one at any of its pauses for ever, as a kill does. Calls to Kafka wait inside the client library and
are no pauses. What a turn does is not decided here.
"""

import time
from collections.abc import Generator, Iterable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pause:
    """The turn goes on after `seconds`, or as soon as `until` is settled."""

    seconds: float
    until: "Future[Any] | None" = None


Turn = Generator[Pause, None, T]

AT_ONCE: Final = Pause(
    0.0
)  # between two calls to the outside: nothing to wait for, but a place to be stopped at


def go_through(turn: Iterable[Pause]) -> None:
    """Take the turn to its end on this thread, waiting wherever it pauses."""
    for pause in turn:
        if pause.until is not None:
            with suppress(NotYet):
                pause.until.exception(timeout=pause.seconds)
        elif pause.seconds > 0:
            time.sleep(pause.seconds)
