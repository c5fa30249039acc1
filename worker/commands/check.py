"""`check`: whether everything is there that a worker needs. The checks themselves are in `checks_*.py`."""

import os
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Final

import typer

from worker.commands.exits import SaidNoError, epilog
from worker.commands.terminal import as_json, clean, say, shade

if TYPE_CHECKING:
    from worker.commands.findings import Finding

EPILOG: Final = epilog(
    "run_worker.py check",
    "run_worker.py check --json",
    json='{"ok", "checks": [{"what", "state": "ok" | "warning" | "FAILED", "text"}]}',
)


def check(
    *, json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False
) -> None:
    """Check settings, secrets, schemas, journal, topics and credentials. Changes nothing.

    One line for each: ok, warning, or FAILED with what to do. Warnings do not change the exit code.
    """
    found: list[Finding] = []
    for finding in _findings():
        found.append(finding)
        if not json:
            say(f"{shade(finding.state, width=7)}  {finding.what}: {clean(finding.text)}")
    failed = sum(finding.state == "FAILED" for finding in found)
    if json:
        say(as_json({"ok": not failed, "checks": [asdict(finding) for finding in found]}))
    if failed:
        raise SaidNoError(
            f"{failed} of {len(found)} checks failed: a worker would not run as it should"
        )


def _findings() -> "Iterator[Finding]":
    from worker.commands import checks_inside, checks_outside
    from worker.config import read_settings

    settings = read_settings()
    secrets = list(checks_inside.secrets(settings))
    yield from checks_inside.setting_notes(settings)
    yield from checks_inside.strays(os.environ)
    yield from secrets
    yield from checks_inside.schemas(settings)
    yield from checks_outside.journal(settings)
    yield from checks_outside.kafka(settings)
    yield from checks_outside.services(settings)
