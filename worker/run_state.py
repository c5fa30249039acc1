"""What a running worker says of its own health: a small file that `run_worker.py health` reads.

Written each second by the loop, with the age of every thread's last beat. So a stuck loop shows as an old file, and a
stuck thread as an old beat; neither can be mistaken for a healthy process that is merely there.
"""

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from handlers.domain.errors import InvalidValueError

_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
MAX_FILE_AGE_S: Final = 10.0
MAX_BEAT_AGE_S: Final = 60.0  # twice the time that any one call to a neighbour may take


@dataclass(frozen=True, slots=True)
class RunState:
    """`written_at` on the boot clock; `beats`: thread → seconds since its last beat; `down`: what is unavailable."""

    pid: int
    session: str
    ready: bool
    written_at: float
    beats: dict[str, float]
    down: list[str]
    in_flight: int


def write(path: Path, state: RunState) -> None:
    """Replace the file in one step, readable for its owner alone."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_text(json.dumps(asdict(state)))
    scratch.chmod(0o600)
    scratch.replace(path)


def insist_folder(path: Path) -> None:
    """Raise InvalidValueError where the folder of the state file is not there: nobody else creates it."""
    if not path.parent.is_dir():
        rule = f"the folder {path.parent} does not exist; create it or name another"
        raise InvalidValueError("state_file", rule)


def now() -> float:
    """Seconds on the clock that the file uses."""
    return time.clock_gettime(_CLOCK)


def sick(path: Path, *, readiness: bool) -> str:
    """Why the worker that writes `path` is not healthy, or "". Readiness also asks for partitions and neighbours."""
    try:
        raw = json.loads(path.read_text())
        state = RunState(**raw)
    except (OSError, ValueError, TypeError):
        return f"no worker writes {path}; is it running, with the same WORKER_STATE_FILE?"
    age = now() - state.written_at
    if age > MAX_FILE_AGE_S:
        return f"the event loop has not been heard of for {age:.0f} s"
    if stuck := silent(state.beats):
        return stuck
    if readiness and not state.ready:
        return "not in its group yet"
    if readiness and state.down:
        return f"unavailable: {', '.join(state.down)}"
    return ""


def silent(beats: Mapping[str, float]) -> str:
    """Which threads have not been heard of for longer than any of their calls may take, or ""."""
    stuck = {name: old for name, old in beats.items() if old > MAX_BEAT_AGE_S}
    return "; ".join(f"{name} has not been heard of for {old:.0f} s" for name, old in stuck.items())


def ages(beats: Mapping[str, Callable[[], float]]) -> dict[str, float]:
    """Seconds since each beat (beats are on the monotonic clock)."""
    moment = time.monotonic()
    return {name: round(moment - beat(), 3) for name, beat in beats.items()}
