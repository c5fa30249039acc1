"""What a running worker says of its own health: a small file that `run_worker.py health` reads.

Written each second by the loop, with the age of every thread's last beat. So a stuck loop shows as an old file, and a
stuck thread as an old beat; neither can be mistaken for a healthy process that is merely there.
"""

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from handlers.domain.errors import InvalidValueError

_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
MAX_FILE_AGE_S: Final = 10.0
_DEAD: Final = frozenset("ZXx")  # a zombie works no more; its parent has not asked for its end yet
_TICK_S: Final = 1.0  # more than the start of a process is rounded by
MAX_BEAT_AGE_S: Final = 60.0  # twice the time that any one call to a neighbour may take


def _namespace() -> str:
    """In which the process ids of this process count (a container has its own), or "" where nobody can say."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class RunState:
    """`written_at` on the boot clock; `beats`: thread → seconds since its last beat; `down`: what is unavailable.

    `pid` counts in the namespace `pid_namespace`; elsewhere the same number may be anybody.
    """

    pid: int
    session: str
    ready: bool
    written_at: float
    beats: dict[str, float]
    down: list[str]
    in_flight: int
    pid_namespace: str = field(default_factory=_namespace)


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


def sick(path: Path, *, readiness: bool, max_age_s: float = MAX_FILE_AGE_S) -> str:
    """Why the worker that writes `path` is not healthy, or "". Readiness also asks for partitions and neighbours."""
    try:
        raw = json.loads(path.read_text())
        state = RunState(**raw)
    except (OSError, ValueError, TypeError):
        return f"no worker writes {path}; is it running, with the same WORKER_STATE_FILE?"
    is_ours = state.pid_namespace == _namespace()
    if is_ours and is_gone(state.pid, since=state.written_at):
        return (
            f"process {state.pid} is gone: start it again;"
            " another worker takes its payments over once its lease is over"
        )
    advice = f": process {state.pid} stands still or hangs: restart it" if is_ours else ""
    age = now() - state.written_at
    if age > max_age_s:
        return f"the event loop has not been heard of for {age:.0f} s{advice}"
    if stuck := silent(state.beats):
        return f"{stuck}{advice}"
    if readiness and not state.ready:
        return "not in its group yet"
    if readiness and state.down:
        return f"unavailable: {', '.join(state.down)}"
    return ""


def is_gone(pid: int, *, since: float) -> bool:
    """Whether the process that lived at `since` (boot clock) surely lives no more. Its number may be another's by now.

    A container that was started again numbers its processes as before, and may find the old state file.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:  # another user's: it lives
        pass
    try:
        # Behind the name in brackets, which may hold anything: the state first, the start as the twentieth.
        told = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        began = int(told[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):  # no Linux, or hidden from us
        return False
    return told[0] in _DEAD or began > since + _TICK_S


def silent(beats: Mapping[str, float]) -> str:
    """Which threads have not been heard of for longer than any of their calls may take, or ""."""
    stuck = {name: old for name, old in beats.items() if old > MAX_BEAT_AGE_S}
    return "; ".join(f"{name} has not been heard of for {old:.0f} s" for name, old in stuck.items())


def ages(beats: Mapping[str, Callable[[], float]]) -> dict[str, float]:
    """Seconds since each beat (beats are on the monotonic clock)."""
    moment = time.monotonic()
    return {name: round(moment - beat(), 3) for name, beat in beats.items()}
