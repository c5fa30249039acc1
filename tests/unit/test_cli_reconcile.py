"""`reconcile` at the command line: its help, slips, exit codes, and how breaks are shown. No server is needed."""

import json
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from db_client.break_rows import BreakState, Kept, Note, Standing
from handlers.domain.errors import InvalidValueError, WorkerError
from tests.unit.reconciled_books import NOW, SPAN, books, payment, row
from worker.cli import app
from worker.commands.exits import IncompleteError, OpenBreaksError, about_of, code_of
from worker.commands.reconcile_showing import (
    at_stake,
    kept_lines,
    kept_object,
    scan_lines,
    scan_object,
    waiting,
)
from worker.commands.terminal import as_json
from worker.reconciling.compare import compare
from worker.reconciling.run import Scan

OPEN, EXPLAINED = BreakState.OPEN, BreakState.EXPLAINED
COMMANDS = (["reconcile"], ["reconcile", "run"], ["reconcile", "list"], ["reconcile", "explain"])


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_each_help_is_whole(command: list[str]) -> None:
    """Examples, the shape of the document, and what the codes mean."""
    shown = CliRunner().invoke(app, [*command, "--help"], prog_name="run_worker.py")
    assert 0 == shown.exit_code
    for part in ("Examples:", "With --json:", '{"error": {"kind"', "Exit codes:", "130"):
        assert part in shown.output


def test_the_scan_has_codes_of_its_own() -> None:
    """A cron job tells open breaks from an incomplete scan, and both from every other end."""
    shown = CliRunner().invoke(app, ["reconcile", "--help"]).output
    assert ["0", "1", "2", "3", "4", "5", "70", "130"] == re.findall(
        r"^    (\d+)  ", shown, re.MULTILINE
    )
    assert (4, 5) == (code_of(OpenBreaksError("x")), code_of(IncompleteError("x")))


SLIPS: list[tuple[list[str], str]] = [
    (["--since", "1h", "--until", "2h"], "--since"),
    (["--since", "2999-01-01"], "--since"),
    (["--until", "tomorrow"], "--until"),
    (["--grace", "long"], "--grace"),
    (["--account", "XXX"], "--account"),
    (["explain", "x", "--by", "ann", "--why", " "], "--why"),
    (["explain", "x", "--by", "ann", "--why", "4111 1111 1111 1111"], "--why"),
    (["explain", "x", "--by", "4111111111111111", "--why", "y"], "--by"),
]


@pytest.mark.parametrize(("argv", "field"), SLIPS, ids=[" ".join(it[0]) for it in SLIPS])
def test_a_slip_is_named_by_its_option(argv: list[str], field: str) -> None:
    """Nothing is read or written where an option's value makes no sense; the error names the option."""
    env = {
        "WORKER_GATEWAY_LOGIN": "shop",
        "WORKER_GATEWAY_TRANSACTION_KEY": "0123456789abcdef",
        "WORKER_JOURNAL_URL": "postgresql://127.0.0.1:1/nowhere",
    }
    error = CliRunner().invoke(app, ["reconcile", *argv], env=env).exception
    assert isinstance(error, InvalidValueError), error
    assert isinstance(error, WorkerError)
    assert field == about_of(error)


def scan(**changes: Any) -> Scan:
    """A scan that saw an orphan of 12.34 USD, and a payment that is on its way."""
    young = payment(
        payment_id="p2", transaction_id="6002", invoice_number="INV2",
        opened_at=NOW - timedelta(minutes=5), updated_at=NOW - timedelta(minutes=5),
    )  # fmt: skip
    made = Scan(
        span=SPAN,
        account=None,
        breaks=compare(books(row(), payments=(young,))),
        gaps=[],
        read={"gateway": 1, "journal": 1, "db_service": 1},
        fixed=0,
    )
    return replace(made, **changes)


STANDING = (
    Standing("timing", OPEN, "USD", 1, 1234),
    Standing("orphan", OPEN, "USD", 2, 1334),
    Standing("orphan", OPEN, "JPY", 1, 500),
    Standing("amount_differs", EXPLAINED, "USD", 1, 66),
)


def test_what_waits_for_a_person() -> None:
    """What is expected or explained alarms nobody; what is at stake is added up by currency."""
    assert 3 == waiting(STANDING)
    assert "500 JPY + 13.34 USD" == at_stake(STANDING)


def test_a_scan_is_shown_by_kind() -> None:
    """The worst kind first, with what is at stake, then what this scan saw, without what is expected."""
    shown = list(scan_lines(scan(), STANDING))
    assert shown[0].endswith("1 transactions at the gateway, 1 payments here, 1 in the db-service")
    table = [re.split(r"  +", it.strip()) for it in shown[3:6]]
    assert [
        ["orphan", "open", "3", "500 JPY + 13.34 USD"],
        ["amount_differs", "explained", "1", "0.66 USD"],
        ["timing", "open", "1", "12.34 USD"],
    ] == table
    assert "transaction 6001" in shown[-1]
    assert 9 == len(shown)


def test_a_scan_with_nothing_to_show() -> None:
    """Books that agree are called so only where they were read to their end."""
    assert "The books agree." == list(scan_lines(scan(breaks=[]), ()))[-1]
    blind = scan(breaks=[], gaps=[("db-service", "no answer")], fixed=2)
    assert [
        "not complete: db-service: no answer",
        "2 not seen any more, and closed as fixed",
        "No difference was seen so far.",
    ] == list(scan_lines(blind, ()))[1:]


def test_a_scan_as_a_document() -> None:
    """Nothing is shortened; amounts stand in minor units and as decimals."""
    told = json.loads(as_json(scan_object(scan(), STANDING)))
    assert (True, 3, 0) == (told["complete"], told["open"], told["fixed"])
    assert ["12.34", "13.34", "500", "0.66"] == [it["amount"] for it in told["standing"]]
    assert [
        ("orphan", "orphan", 1234, "12.34", None),
        ("timing", "absent_at_gateway", 1234, "12.34", "p2"),
    ] == [
        (it["kind"], it["becomes"], it["amount_minor"], it["amount"], it["payment_id"])
        for it in told["breaks"]
    ]


def test_a_kept_break() -> None:
    """Its age in words, what a young one ages into, and below it who explained it; a script gets the same."""
    timing = scan().breaks[-1]
    noted = Note("ann", "it was late\x1b[2J", NOW)
    ages = {59.0: "59 s", 3599.0: "59 min", 7200.0: "2 h", 200_000.0: "2 d", 0.2: "0 s"}
    for age_s, words in ages.items():
        kept = Kept(
            timing, OPEN, first_seen=NOW, last_seen=NOW, fixed_at=None, openings=1, age_s=age_s, notes=[noted]
        )  # fmt: skip
        head, line, note = kept_lines([kept])
        assert f"  {words}  " in line
    assert head.startswith("id ")
    assert "timing (absent_at_gateway)" in line
    assert "ann at" in note
    assert "\x1b" not in note
    told = kept_object(kept)
    assert ("open", 1, [{"by": "ann", "why": noted.why, "at": NOW}]) == (
        told["state"],
        told["openings"],
        told["notes"],
    )
