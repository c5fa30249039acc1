"""The frame of the command line: fast start, help with examples and exit codes, errors as codes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from handlers.domain.errors import InvalidValueError, Unavailable, WorkerError
from worker.cli import app, version
from worker.commands.exits import (
    EXIT_CODES,
    AnswerIsNoError,
    NotDoneError,
    about_of,
    code_of,
    error_document,
    text_of,
)
from worker.commands.neighbours import address
from worker.config import read_settings

ROOT = Path(__file__).parents[2]
COMMANDS = [
    ["run"],
    ["check"],
    ["migrate"],
    ["topics"],
    ["publish"],
    ["publish", "initiation"],
    ["publish", "capture"],
    ["publish", "void"],
    ["publish", "refund"],
    ["publish", "verification"],
    ["watch"],
    ["payments", "show"],
    ["payments", "list"],
    ["payments", "history"],
    ["review", "list"],
    ["review", "show"],
    ["review", "decide"],
    ["dead-letters", "list"],
    ["dead-letters", "show"],
    ["dead-letters", "replay"],
    ["dead-letters", "drop"],
    ["reconcile"],
    ["rebuild"],
    ["health"],
    ["demo"],
]
NO_ANSWER = [
    ["run"],
    ["demo"],
    ["publish"],
]  # `run` logs JSON, `demo` is a show, `publish` documents its own
SLOW = "sqlalchemy confluent_kafka pydantic httpx aiohttp fastavro alembic structlog asyncio rich"


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_each_help_has_examples_and_exit_codes(command: list[str]) -> None:
    """`--help` says what the command does, shows how it is called, and what its codes mean."""
    shown = CliRunner().invoke(app, [*command, "--help"], prog_name="run_worker.py")
    assert 0 == shown.exit_code
    for part in ("Examples:", "run_worker.py", "Exit codes:", "130"):
        assert part in shown.output


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_each_help_has_the_shape_of_its_json(command: list[str]) -> None:
    """Every command that answers does so with --json, too, and its help shows the document and that of an error."""
    if command[:1] in NO_ANSWER:
        return
    shown = CliRunner().invoke(app, [*command, "--help"], prog_name="run_worker.py").output
    for part in ("--json ", "With --json:", '{"error": {"kind"'):
        assert part in shown


MISTAKES = [
    (["payments", "list", "--nonsense"], {}, 2, "wrong", None),
    (["dead-letters", "replay"], {}, 2, "wrong", "ID"),
    (["payments", "list"], {"WORKER_LEASE_S": "x"}, 2, "wrong", None),
    (["payments", "list"], {"WORKER_JOURNAL_URL": "postgresql://127.0.0.1:1/x"}, 3, "unavailable", "journal"),
    (["health"], {"WORKER_STATE_FILE": "no-such-file"}, 1, None, None),
]  # fmt: skip
SLIPS = [
    (["dead-letters", "replay", "--reason", "invalid"], "ID"),
    (["dead-letters", "replay", "a:0:1", "--all"], "ID"),
    (["dead-letters", "drop", "a:0:1", "--since", "2h", "--why", "old"], "ID"),
    (["dead-letters", "drop", "a:0:1", "--why", " "], "--why"),
    (["dead-letters", "show", "pay-1"], "ID"),
    (["dead-letters", "list", "--since", "never"], "--since"),
    (["dead-letters", "list", "--reason", "bad"], "--reason"),
    (["dead-letters", "list", "--topic", "bad"], "--topic"),
    (["review", "decide", "x", "--why", "y"], "--happened"),
    (["review", "decide", "x", "--why", "y", "--happened", "--transaction-id", "z"], "--transaction-id"),
    (["review", "list", "--held-for", "long"], "--held-for"),
    (["payments", "list", "--after", "x"], "--after"),
]  # fmt: skip


@pytest.mark.parametrize(("argv", "field"), SLIPS, ids=[" ".join(it[0]) for it in SLIPS])
def test_a_slip_is_named_by_its_option(argv: list[str], field: str) -> None:
    """Nothing is read or written where an option's value makes no sense; the error names the option."""
    error = CliRunner().invoke(app, argv).exception
    assert isinstance(error, InvalidValueError)
    assert field == about_of(error)


@pytest.mark.parametrize(
    ("argv", "env", "code", "kind", "about"), MISTAKES, ids=[" ".join(it[0]) for it in MISTAKES]
)
def test_an_error_is_a_document_too(
    argv: list[str], env: dict[str, str], code: int, kind: str | None, about: str | None
) -> None:
    """With --json standard output holds one document, whatever goes wrong, and the text for people is beside it."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "run_worker.py"), *argv, "--json"],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    told = json.loads(done.stdout)
    assert (code, True) == (done.returncode, bool(done.stderr.strip())), done.stderr
    if kind is None:  # the command's own document says no
        assert not told["ok"]
    else:
        assert (kind, about, code) == tuple(
            told["error"][it] for it in ("kind", "about", "exit_code")
        )
        assert told["error"]["text"]


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
        (NotDoneError("declined"), 6),
        (InvalidValueError("amount", "must be more"), 2),
        (WorkerError("other"), 2),
        (Unavailable("Kafka", "gone"), 3),
    ],
)
def test_each_kind_of_error_has_its_code(error: WorkerError, code: int) -> None:
    """Scripts can tell a no from a mistake and a mistake from an outage."""
    assert code == code_of(error)


def test_what_was_declined_is_no_success() -> None:
    """`publish --wait` ended with 0 for a decline, a trap for scripts: it has a code, a kind and a line of its own."""
    assert code_of(NotDoneError("not done")) in EXIT_CODES
    assert {"error": {"kind": "not_done", "about": None, "text": "t", "exit_code": 6}} == (
        error_document("t", code=6)
    )
    shown = CliRunner().invoke(app, ["publish", "refund", "--help"], prog_name="run_worker.py")
    assert "  6    something was declined, refused, failed" in shown.output


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
