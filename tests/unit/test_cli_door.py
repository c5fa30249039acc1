"""The frame of the command line: fast start, help with examples and exit codes, errors as codes."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from handlers.domain.errors import InvalidValueError, Unavailable, WorkerError
from worker.cli import app, version
from worker.commands.exits import AnswerIsNoError, code_of, text_of
from worker.commands.neighbours import address
from worker.config import read_settings

COMMANDS = [
    ["run"],
    ["check"],
    ["migrate"],
    ["topics"],
    ["publish"],
    ["watch"],
    ["payments", "show"],
    ["payments", "list"],
    ["health"],
    ["demo"],
]
SLOW = "sqlalchemy confluent_kafka pydantic httpx aiohttp fastavro alembic structlog asyncio rich"


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_each_help_has_examples_and_exit_codes(command: list[str]) -> None:
    """`--help` says what the command does, shows how it is called, and what its codes mean."""
    shown = CliRunner().invoke(app, [*command, "--help"], prog_name="run_worker.py")
    assert 0 == shown.exit_code
    for part in ("Examples:", "run_worker.py", "Exit codes:", "130"):
        assert part in shown.output


def test_help_loads_nothing_slow() -> None:
    """The frame imports no driver, no HTTP, no settings: `--help` answers at once."""
    code = f"import sys, worker.cli; print([m for m in {SLOW.split()!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "[]" == done.stdout.strip()


def test_the_version_is_the_projects() -> None:
    """`--version` says what pyproject.toml says."""
    shown = CliRunner().invoke(app, ["--version"])
    assert f"payment-worker {version()}\n" == shown.output
    assert version()[0].isdigit()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (AnswerIsNoError("no"), 1),
        (InvalidValueError("amount", "must be more"), 2),
        (WorkerError("other"), 2),
        (Unavailable("Kafka", "gone"), 3),
    ],
)
def test_each_kind_of_error_has_its_code(error: WorkerError, code: int) -> None:
    """Scripts can tell a no from a mistake and a mistake from an outage."""
    assert code == code_of(error)


def test_a_wrong_setting_is_named_by_its_variable() -> None:
    """A part that names its settings in its own words is translated; a field of a command is left alone."""
    assert text_of(InvalidValueError("gateway.login", "x")).startswith("WORKER_GATEWAY_LOGIN: ")
    assert "amount: x" == text_of(InvalidValueError("amount", "x"))


def test_addresses_hold_no_credentials() -> None:
    """Where a neighbour is expected is shown without user and password."""
    settings = read_settings(
        journal_url="postgresql://ann:hush@db.example:5433/journal?password=hush",
        gateway_url="https://ann:hush@gateway.example/xml?key=hush",
    )
    assert "db.example:5433/journal" == address("journal", settings)
    assert "https://gateway.example/xml" == address("gateway", settings)
