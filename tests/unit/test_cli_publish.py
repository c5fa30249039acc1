"""What `publish` takes for every verb: flags and JSON lines, each checked as the worker will check it."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from typer.testing import CliRunner

from avro.command_records import from_command, kind_of
from avro.commands import COMMANDS as KINDS
from handlers.domain.commands import Command, Kind, Mode, RefundPayment
from handlers.domain.errors import InvalidValueError
from handlers.domain.means import StoredProfile
from handlers.domain.money import Money
from tests.doubles.strategies import COMMANDS
from worker.commands import publish
from worker.commands import publish_requests as requests
from worker.commands.publish_records import BadLine, from_lines, from_record
from worker.commands.publish_waiting import decided

PROFILE = {"customer_profile_id": "901", "payment_profile_id": "77"}
VERBS = ["initiation", "capture", "void", "refund", "verification"]
A_SALE = "--order-id o --user-id u --amount 1"
TOKEN = {"token": "4" * 16, "expires": "2030-01", "cryptogram": "c"}
AT = "2026-01-02T03:04:05Z"


def record(kind: str, **changed: Any) -> dict[str, Any]:
    """A good record of `kind`."""
    more: dict[str, dict[str, Any]] = {
        "payment_initiation": {
            "order_id": "o-1",
            "user_id": "u-1",
            "amount_minor": 1234,
            "currency": "USD",
            "mode": "sale",
            "means": PROFILE,
        },
        "payment_capture_request": {"capture_id": "c-1"},
        "payment_void_request": {"void_id": "v-1"},
        "refund_request": {"refund_id": "r-1", "amount_minor": 500, "currency": "USD"},
        "payment_verification_request": {"verification_id": "q-1"},
    }
    return {"payment_id": "p-1", "issued_at": AT, **more[kind], **changed}


def read(kind: str, *lines: object) -> list[Command | BadLine]:
    """What becomes of JSON lines."""
    return list(from_lines((json.dumps(line).encode() for line in lines), kind=kind))


@pytest.mark.parametrize("kind", KINDS)
def test_a_line_of_each_topic_is_its_command(kind: str) -> None:
    """The fields of the topic's schema, a time as people write it."""
    command = from_record(record(kind), kind=kind)
    assert kind == kind_of(command)
    assert datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC) == command.issued_at


@settings(max_examples=60, deadline=None)
@given(command=COMMANDS)
def test_every_record_is_known_to_its_schema(command: Command) -> None:
    """No field that a command can have is taken for a misspelt one."""
    kind, said = kind_of(command), from_command(command)
    try:
        assert command == from_record(said, kind=kind)
    except (
        InvalidValueError
    ) as refused:  # digits at random may be a card's; only ours may go on or rule
        assert any(it in refused.rule for it in ("card number", "itself counts", "review"))  # noqa: PT017 - all are right


@pytest.mark.parametrize(
    ("kind", "changed", "says"),
    [
        ("payment_initiation", {"mode": "refund"}, "mode: must be SALE or AUTHORISE"),
        ("payment_initiation", {"means": {**PROFILE, "card": "x"}}, "means: has 1 field(s)"),
        ("payment_initiation", {"means": None}, "means: is missing"),
        ("payment_initiation", {"network_token": TOKEN}, "network_token: must be null where"),
        ("payment_initiation", {"network_token": {"pan": "x"}}, "network_token: has 1 field(s)"),
        ("payment_initiation", {"billing": {"postcode": "1"}}, "billing: has 1 field(s)"),
        ("payment_initiation", {"shipping": {"postcode": "1"}}, "shipping: has 1 field(s)"),
        ("payment_initiation", {"lines": [{"sku": "a", "qty": 1}]}, "lines: has 1 field(s)"),
        (
            "payment_initiation",
            {"userid": 1, "hush": 2},
            "the line: has 2 field(s) that are not known: hush, userid (is it user_id?); known",
        ),
        (
            "payment_initiation",
            {"4111 1111 1111 1111": 1},
            "the line: has 1 field(s) that are not known: one that looks like no name; known",
        ),
        ("payment_initiation", {"t" * 33: 1}, "the line: has 1 field(s) that are not known: one"),
        ("payment_initiation", {"not_after": "tomorrow"}, "not_after: must be a time with its"),
        ("payment_initiation", {"description": "4111 1111 1111 1111"}, "description: holds what"),
        ("payment_initiation", {"order_id": "4111111111111111"}, "order_id: is what looks like"),
        ("refund_request", {"refundid": "r"}, "the line: has 1 field(s) that are not known"),
        ("refund_request", {"reason": "4111 1111 1111 1111"}, "reason: holds what looks like a"),
        ("refund_request", {"reason": "\ud800"}, "reason: must be text that UTF-8 can carry"),
        ("refund_request", {"continuation": 2}, "continuation: must be 1"),
        (
            "payment_verification_request",
            {"ruling": {"happened": True, "by": "a", "why": "b"}},
            "ruling: must be null",
        ),
        ("payment_verification_request", {"ruling": {"did": 1}}, "ruling: has 1 field(s)"),
        ("payment_capture_request", {"capture_id": None}, "capture_id: is missing"),
        ("payment_void_request", {"void_id": "a b"}, "void_id: must be 1 to 64"),
    ],
)
def test_a_wrong_field_is_named_with_its_rule(
    kind: str, changed: dict[str, Any], says: str
) -> None:
    """The error says which field and what is allowed, and repeats no value, nor a name that may be one."""
    with pytest.raises(InvalidValueError) as caught:
        from_record(record(kind, **changed), kind=kind)
    assert str(caught.value).startswith(says)
    assert "1111" not in str(caught.value)
    assert "t" * 33 not in str(caught.value)


def test_bad_lines_keep_their_numbers() -> None:
    """Blank lines count, and a good line between bad ones is still a command."""
    good = json.dumps(record("refund_request"))
    lines = ["", "{", good, "[]", '{"a": ' + "9" * 5000 + "}"]
    found = list(from_lines((line.encode() for line in lines), kind="refund_request"))
    assert [BadLine, RefundPayment, BadLine, BadLine] == [type(it) for it in found]
    assert [2, 4, 5] == [it.number for it in found if isinstance(it, BadLine)]


@pytest.mark.parametrize(
    ("kind", "field", "name"),
    [
        ("refund_request", "amount_minor", "refund_id"),
        ("payment_initiation", "amount_minor", "payment_id"),
        ("payment_capture_request", "amount_minor", "capture_id"),
    ],
)
def test_one_id_with_two_contents_is_refused(kind: str, field: str, name: str) -> None:
    """The same line twice is a harmless repeat; the same id with other content would be a dead letter."""
    found = read(kind, *(record(kind, **{field: amount}) for amount in (1, 1, 2)))
    assert [False, False, True] == [isinstance(it, BadLine) for it in found]
    assert isinstance(found[2], BadLine)
    assert f"{name}: stands in line 1 with other content" in found[2].why


def test_two_requests_of_one_payment_are_two() -> None:
    """What is one command is told by its own id, not by the payment's."""
    found = read(
        "refund_request", record("refund_request"), record("refund_request", refund_id="r-2")
    )
    assert ["r-1", "r-2"] == [it.request_id for it in found if not isinstance(it, BadLine)]


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_each_verb_has_its_help(verb: str) -> None:
    """`publish VERB --help` shows its options, examples and exit codes; `publish --help` names all verbs as well."""
    shown = CliRunner().invoke(publish.app, [*verb.split(), "--help"], prog_name="publish")
    assert 0 == shown.exit_code
    wanted = ["Examples:", "Exit codes:", "--json-lines", "--json", "--wait"]
    assert [] == [it for it in (*wanted, *(VERBS if not verb else [])) if it not in shown.output]


def test_help_loads_nothing_slow() -> None:
    """The verbs' files import no driver, no Avro and no HTTP: `--help` answers at once."""
    slow = "sqlalchemy confluent_kafka pydantic httpx aiohttp fastavro"
    code = f"import sys, worker.commands.publish; print([m for m in {slow.split()!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "[]" == done.stdout.strip()


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        ("", "--order-id: must be given (or --json-lines)"),
        ("initiation --order-id o", "--user-id: must be given"),
        (f"{A_SALE} --profile 1:2 --billing city", "--billing: must be FIELD=TEXT, such as city="),
        (f"{A_SALE} --profile 1:2 --line sku:1", "--line: must be SKU:QUANTITY:UNIT_PRICE"),
        (
            f"{A_SALE} --profile 1:2 --not-after 2020-01-01T00:00:00Z",
            "--not-after: must be a time to",
        ),
        (f"{A_SALE} --profile 1:2 --customer-ip 999.1.1.1", "--customer-ip: must be an address"),
        (f"{A_SALE} --token-file /dev/null", "--token-file: holds no token: it is empty"),
        (f"{A_SALE} --token {'t' * 16_385}", "--token: must be at most 16384 signs"),
        ("capture", "--payment-id: must be given (or --json-lines)"),
        ("capture --payment-id p --amount 1.234", "amount: must be a decimal of 2 decimals"),
        ("capture --payment-id p --amount 0", "amount_minor: must be from 1"),
        ("void --payment-id a/b", "payment_id: must be 1 to 64"),
        ("refund --payment-id p", "--amount: must be given"),
        ("refund --payment-id p --amount 5 --currency XXX", "currency: must be an ISO 4217"),
        ("refund --payment-id p --json-lines x", "--json-lines: stands alone"),
        ("refund --json-lines /nowhere/x", "--json-lines: cannot be read"),
        ("verification", "--payment-id: must be given"),
        ("verification --profile 1:2", "--order-id: must be given (or --json-lines)"),
        ("verification --order-id o --user-id u", "--token: give exactly one of"),
        (
            "verification --order-id o --user-id u --profile 1:2 --amount 5",
            "amount_minor: must be 0 or 1",
        ),
        (
            "verification --order-id o --user-id u --profile 1:2 --reason why",
            "reason: must be empty",
        ),
    ],
)
def test_wrong_flags_are_named_before_anything_is_sent(argv: str, says: str) -> None:
    """What cannot be a command stops with the option or field and its rule; no broker is needed for that."""
    done = CliRunner().invoke(publish.app, argv.split())
    assert isinstance(done.exception, InvalidValueError)
    assert str(done.exception).startswith(says)


FLAGS: dict[str, str | None] = dict.fromkeys(
    "payment_id capture_id void_id refund_id verification_id order_id user_id amount reason token"
    " token_file profile".split()
)


@pytest.mark.parametrize(
    ("kind", "flags", "expected"),
    [
        ("payment_capture_request", {"payment_id": "p", "amount": "0.5"}, {"amount_minor": 50}),
        ("payment_capture_request", {"payment_id": "p"}, {"amount_minor": None}),
        (
            "payment_void_request",
            {"payment_id": "p", "void_id": "v", "user_id": "u"},
            {"void_id": "v", "user_id": "u"},
        ),
        (
            "refund_request",
            {"payment_id": "p", "refund_id": "r", "amount": "5", "reason": "small"},
            {"refund_id": "r", "money": Money(500, "USD"), "reason": "small"},
        ),
        ("payment_verification_request", {"payment_id": "p"}, {"payment_id": "p", "ruling": None}),
        (
            "payment_verification_request",
            {"order_id": "o", "user_id": "u", "profile": "901:77"},
            {"mode": Mode.VERIFY, "money": Money(0, "USD"), "means": StoredProfile("901", "77")},
        ),
    ],
)
def test_flags_become_the_command(
    kind: str, flags: dict[str, str], expected: dict[str, Any]
) -> None:
    """Each verb's flags say its command, under a fresh id where none is given."""
    given = {**FLAGS, **flags}
    made = {
        "payment_capture_request": lambda: requests.capture_record(given, currency="USD"),
        "payment_void_request": lambda: requests.void_record(given),
        "refund_request": lambda: requests.refund_record(given, currency="USD"),
        "payment_verification_request": lambda: requests.verification_record(
            given, currency="USD", wallet="accept_js"
        ),
    }
    command = from_record(made[kind](), kind=kind)
    assert kind == kind_of(command)
    assert expected == {name: getattr(command, name) for name in expected}
    assert command.request_id


def test_a_mode_is_offered_only_where_it_is_taken() -> None:
    """The test of a means is a verification: `--mode` neither names it nor takes it."""
    shown = CliRunner().invoke(publish.app, ["--help"], prog_name="publish")
    assert "<sale|authorise>" in shown.output
    wrong = CliRunner().invoke(publish.app, [*A_SALE.split(), "--profile", "1:2", "--mode=verify"])
    assert (2, True) == (wrong.exit_code, "'sale', 'authorise'" in wrong.output)


@pytest.mark.parametrize("with_json", [True, False])
def test_bad_lines_are_objects_with_json(tmp_path: Path, *, with_json: bool) -> None:
    """A script that reads standard output hears of each bad line, with its number and its field."""
    path = tmp_path / "refunds.jsonl"
    good, bad = record("refund_request"), record("refund_request", refund_id="r-2", amount_minor=0)
    path.write_text("\n".join(map(json.dumps, [good, bad, {"refundid": "r"}])))
    argv = ["refund", "--json-lines", str(path), *(["--json"] if with_json else [])]
    done = CliRunner().invoke(publish.app, argv)
    assert isinstance(done.exception, InvalidValueError)
    starts = ("line 2: amount_minor: must be at least", "line 3: has 1 field(s)")
    for start, line in zip(starts, done.stderr.splitlines(), strict=True):
        assert line.startswith(start)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    said = [(it["line"], it["error"]["about"], it["error"]["exit_code"]) for it in told]
    assert ([(2, "amount_minor", 2), (3, None, 2)] if with_json else []) == said


@pytest.mark.parametrize(
    ("status", "keys"),
    [
        ({"payment_status": "PENDING"}, []),
        ({"payment_status": "UNSPECIFIED"}, []),
        ({"payment_status": "SUCCESS"}, [("initiation", "p-1", "")]),
        (
            {
                "payment_status": "SUCCESS",
                "request": {"kind": "refund", "request_id": "r-1", "request_status": "INITIATED"},
            },
            [("initiation", "p-1", "")],
        ),
        (
            {
                "payment_status": "FAILURE",
                "state": "voided",
                "request": {"kind": "void", "request_id": "v-1", "request_status": "PROCESSED"},
            },
            [("initiation", "p-1", "voided"), ("void", "v-1", "")],
        ),
        (
            {
                "payment_status": "PENDING",
                "request": {
                    "kind": "refund",
                    "request_id": "r-1",
                    "request_status": "FAILED",
                    "state": "failed",
                },
            },
            [("refund", "r-1", "failed")],
        ),
    ],
)
def test_what_a_status_decides(status: dict[str, Any], keys: list[tuple[str, str, str]]) -> None:
    """A charge is decided once it is not pending, a request once it ended, each with how, where that is a no."""
    found = decided({"payment_id": "p-1", "request": None, **status})
    assert keys == [(*key, no) for key, no in found]
    assert all(key[0] in set(Kind) for key in keys)


def test_a_snapshot_told_again_decides_the_questions_that_it_answers() -> None:
    """A held payment brings no news to a question: only the header of the repeat says that it was answered."""
    status = {"payment_id": "p-1", "payment_status": "PENDING", "request": None}
    found = decided(status, answers=["verification:q-1", "verification:q-2"])
    assert [(("verification", "q-1"), ""), (("verification", "q-2"), "")] == list(found)
