"""Judges one input: only named errors, nothing told that must not be, no memory and no time beyond the bound.

Time is counted as lines of ours that run, which no busy machine changes; what runs in C is held against the target's
own seeds by a generous factor, and is measured again before it counts. Both, and memory, are looked at for a share of
the inputs (all large ones), since each look costs another run.
"""

import sys
import time
import traceback
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Final, Self

from tests.fuzz.cases import BrokenClaimError, Case, Seen, Target, shortened, size
from tests.fuzz.markers import leaks

_ROOT: Final = Path(__file__).parents[2]
_OURS: Final = tuple(f"{_ROOT / name}/" for name in ("avro", "handlers", "worker", "db_client"))
_MEMORY_EVERY: Final = 16
_STEPS_EVERY: Final = 32
_LARGE: Final = 4_096  # bytes from which on every input is looked at
_SLOWER: Final = 300  # so many times its seeds a target may take for each KiB
_TRIES: Final = 4
_TOLD_CHARS: Final = 1_500

Tracer = Callable[[FrameType, str, Any], Any]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that must not be. `place` is the same for the same fault."""

    target: str
    kind: str
    place: str
    story: str
    case: Case = field(repr=False)

    def __str__(self) -> str:
        return f"{self.target}: {self.kind} at {self.place}\n{self.story}\ninput {shortened(self.case)}"


@dataclass(frozen=True, slots=True)
class Judged:
    """One input: what it came to, what is wrong, what it cost of its bounds (1.0 is all), lines not seen before."""

    seen: Seen | None
    findings: tuple[Finding, ...]
    memory: float = 0.0
    steps: float = 0.0
    is_new: bool = False


class Door:
    """Keeps any exception that comes through: here every one of them is a finding, so none is hidden."""

    def __init__(self) -> None:
        self.error: Exception | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        self.error = error if isinstance(error, Exception) else None
        return self.error is not None


class Oracle:
    """Judges the inputs of one target."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._lines: set[tuple[str, int]] = set()
        seeds = target.seeds()
        for case in seeds:  # what is made once is made now
            target.run(case)
        self._unit_s = sum(self._took_s(case) for case in seeds) / len(seeds)

    def forget(self) -> None:
        """Forget which lines were reached: a round must not hang on those before it."""
        self._lines.clear()

    def judge(self, case: Case, *, number: int) -> Judged:
        """Run `case`, the input of this number."""
        began_s = time.perf_counter()
        with Door() as door:
            seen = self._target.run(case)
        took_s = time.perf_counter() - began_s
        if door.error is not None:
            return Judged(None, (self._foreign(case, door.error),))
        findings = [
            self._finding(
                case, "leak", place=seen.name, story=f"{marker} in {seen.told[-_TOLD_CHARS:]}"
            )
            for marker in leaks(seen.told)
        ]
        if took_s > self._allowed_s(case) and min(
            self._took_s(case) for _ in range(_TRIES)
        ) > self._allowed_s(case):
            findings.append(
                self._finding(
                    case, "time", place=seen.name, story=f"{took_s / self._unit_s:.0f} times a seed"
                )
            )
        is_large = size(case) >= _LARGE
        memory = self._memory(case) if is_large or number % _MEMORY_EVERY == 0 else 0.0
        if memory > 1:
            findings.append(
                self._finding(
                    case, "memory", place=seen.name, story=f"{memory:.1f} times the bound"
                )
            )
        steps, is_new = (
            self._steps(case) if is_large or number % _STEPS_EVERY == 0 else (0.0, False)
        )
        if steps > 1:
            findings.append(
                self._finding(case, "steps", place=seen.name, story=f"{steps:.1f} times the bound")
            )
        return Judged(seen, tuple(findings), memory, steps, is_new)

    def _allowed_s(self, case: Case) -> float:
        return self._unit_s * _SLOWER * (1 + size(case) / 1024)

    def _took_s(self, case: Case) -> float:
        began_s = time.perf_counter()
        self._target.run(case)
        return time.perf_counter() - began_s

    def _memory(self, case: Case) -> float:
        bounds = self._target.bounds
        was_on = tracemalloc.is_tracing()
        if not was_on:
            tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            self._target.run(case)
            peak = tracemalloc.get_traced_memory()[1] - before
        finally:
            if not was_on:
                tracemalloc.stop()
        return peak / (bounds.memory_fixed + bounds.memory_each * size(case))

    def _steps(self, case: Case) -> tuple[float, bool]:
        bounds, known = self._target.bounds, len(self._lines)
        count, before = 0, sys.gettrace()

        def line(frame: FrameType, event: str, *_: Any) -> Tracer:
            nonlocal count
            if event == "line":
                count += 1
                self._lines.add((frame.f_code.co_filename, frame.f_lineno))
            return line

        def call(frame: FrameType, *_: Any) -> Tracer | None:
            return line if frame.f_code.co_filename.startswith(_OURS) else None

        sys.settrace(call)
        try:
            self._target.run(case)
        finally:
            sys.settrace(before)
        return count / (bounds.steps_fixed + bounds.steps_each * size(case)), len(
            self._lines
        ) > known

    def _foreign(self, case: Case, error: Exception) -> Finding:
        frames = traceback.extract_tb(error.__traceback__)
        ours = [it for it in frames if it.filename.startswith(_OURS)] or frames
        is_claim = isinstance(error, BrokenClaimError)
        place = str(error) if is_claim else f"{Path(ours[-1].filename).name}:{ours[-1].name}"
        return self._finding(case, type(error).__name__, place=place, story=str(error)[:300])

    def _finding(self, case: Case, kind: str, *, place: str, story: str) -> Finding:
        return Finding(self._target.name, kind, place, story, case)
