"""Waiting until something has come true, instead of for a time: a busy machine only makes it longer. No claims here."""

import asyncio
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

SETTLES_WITHIN_S: Final = 30.0
_STARTS_WITHIN_S: Final = 60.0
_LOOKS_EVERY_S: Final = 0.01


def wait_until(claim: Callable[[], bool], *, within_s: float = SETTLES_WITHIN_S) -> None:
    """Return as soon as the claim holds; fail if it does not within the time."""
    deadline_s = time.monotonic() + within_s
    while not claim():
        assert time.monotonic() < deadline_s, "did not come true in time"
        time.sleep(_LOOKS_EVERY_S)


def addresses(
    ready_file: Path, process: subprocess.Popen[bytes] | None = None, *, log: Path | None = None
) -> dict[str, str]:
    """What a server of ours tells in its ready file, as soon as it listens; fail with its log if it ends before."""
    wait_until(
        lambda: ready_file.exists() or (process is not None and process.poll() is not None),
        within_s=_STARTS_WITHIN_S,
    )
    ended = process is not None and process.poll() is not None
    assert not ended, log.read_text() if log else "the server ended while it started"
    told: dict[str, str] = json.loads(ready_file.read_text())
    return told


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
