"""Calls `run_worker.py` as a person or a script would, and keeps everything that it ever printed."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Said:
    """How a call ended and what it printed."""

    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[Any]:
        """Its standard output as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def document(self) -> Any:
        """Its standard output as the one JSON document that it must be."""
        return json.loads(self.out)


@dataclass(slots=True)
class Cli:
    """The command line in one environment. `heard`: everything printed by all calls."""

    env: Mapping[str, str]
    heard: list[str] = field(default_factory=list)

    def __call__(self, *argv: str, stdin: str = "", **settings: str | None) -> Said:
        """One call. `settings` are WORKER_* variables without the prefix, in lower case; None takes one away."""
        env = dict(self.env)
        for name, value in settings.items():
            if value is None:
                env.pop(f"WORKER_{name.upper()}", None)
            else:
                env[f"WORKER_{name.upper()}"] = value
        done = subprocess.run(
            [sys.executable, str(ROOT / "run_worker.py"), *argv],
            env=env,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=90,
        )
        self.heard += [done.stdout, done.stderr]
        return Said(done.returncode, done.stdout, done.stderr)
