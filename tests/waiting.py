"""Waiting until something has come true, instead of for a time: a busy machine only makes it longer. No claims here."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

SETTLES_WITHIN_S: Final = 30.0
_LOOKS_EVERY_S: Final = 0.01


def wait_until(claim: Callable[[], bool], *, within_s: float = SETTLES_WITHIN_S) -> None:
    """Return as soon as the claim holds; fail if it does not within the time."""
    deadline_s = time.monotonic() + within_s
    while not claim():
        assert time.monotonic() < deadline_s, "did not come true in time"
        time.sleep(_LOOKS_EVERY_S)


async def until(claim: Callable[[], bool]) -> None:
    """The same inside an event loop."""
    for _ in range(round(SETTLES_WITHIN_S / _LOOKS_EVERY_S)):
        if claim():
            return
        await asyncio.sleep(_LOOKS_EVERY_S)
    raise AssertionError("did not come true in time")


async def turns() -> None:
    """So many turns of the event loop that whatever was under way has arrived."""
    for _ in range(20):
        await asyncio.sleep(0.001)
