"""The whole command line through its real door, on the stage: what people do with it, and what they do wrong."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.integration.cli_calls import ROOT, Cli, Said
from tests.integration.watching import family
from worker.demo.stage import Stage

TOKEN = "tok-HUSH-one-time-token"
PASSWORD = "HUSH-password"
NOWHERE = "127.0.0.1:1"


def command(payment_id: str, **changed: Any) -> str:
    """A JSON line."""
    means = {
        "data_descriptor": "COMMON.ACCEPT.INAPP.PAYMENT",
        "data_value": f"{TOKEN}-{payment_id}",
    }
    record = {
        "payment_id": payment_id,
        "order_id": f"o-{payment_id}",
        "user_id": "u-1",
        "amount_minor": 2050,
        "currency": "USD",
        "mode": "SALE",
        "means": means,
    }
    return json.dumps({**record, **changed})


def order(*more: str) -> list[str]:
    """A payment by flags."""
    return ["publish", "--order-id", "o-1", "--user-id", "u-1", "--amount", "12.34", *more]


def test_a_payment_by_flags_is_decided_and_seen_everywhere(cli: Cli, tmp_path: Path) -> None:
    """Published with a token from a file: its status comes within the wait, and its history is whole."""
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n")
    paid = cli(*order("--payment-id", "flags-1", "--token-file", str(token), "--wait", "30"))
    assert (0, "flags-1") == (paid.code, paid.out.splitlines()[0]), paid.err
    assert "success captured v1  12.34 USD" in paid.out
    seen = cli(
        "watch", "--from-beginning", "--payment", "flags-1", "--count", "3", "--for", "20", "--json"
    )
    assert {"payment_status", "order_events", "notification_events"} == {
        it["topic"] for it in seen.objects
    }
    stands = cli("payments", "show", "flags-1")
    assert (0, True) == (stands.code, "captured (success), version 1" in stands.out)
    shown = cli("payments", "history", "flags-1")
    assert 0 == shown.code
    for part in (
        "captured (success), version 1",
        "sale of 12.34 USD",
        "attempt 1 (charge) as invoice",
        "concluded",
    ):
        assert part in shown.out
    whole = cli("payments", "history", "flags-1", "--json").document
    [work] = whole["operations"]
    assert "payment_initiation" == work["topic"]
    assert "answered" == work["attempts"][0]["state"]
    assert {it["event_id"] for it in seen.objects} == {it["event_id"] for it in whole["events"]}
    listed = cli("payments", "list", "--state", "captured", "--user", "u-1", "--json").document
    assert "flags-1" in {row["payment_id"] for row in listed["payments"]}


def test_payments_by_json_lines(cli: Cli) -> None:
    """Many at once from standard input, each followed to its end."""
    paid = cli(
        "publish", "--json-lines", "-", "--wait", "30",
        stdin="\n".join(command(f"lines-{number}") for number in range(5)),
    )  # fmt: skip
    assert 0 == paid.code, paid.err
    assert 5 == paid.out.count("success captured")
    watched = cli(
        "watch", "--topic", "payment_initiation", "--from-beginning", "--count", "5", "--for", "20"
    )
    assert "a token (COMMON.ACCEPT.INAPP.PAYMENT)" in watched.out


def test_bad_json_lines_stop_everything_unless_skipped(cli: Cli) -> None:
    """Each bad line is named with number, field and rule; nothing is sent, or only the good ones where asked."""
    lines = "\n".join(
        [command("bad-1"), command("bad-2", amount_minor=-1), "{", command("bad-4", userid="x")]
    )
    refused = cli("publish", "--json-lines", "-", stdin=lines)
    assert (2, "") == (refused.code, refused.out)
    assert "line 2: amount_minor: must be from 0" in refused.err
    assert "line 3: is not JSON" in refused.err
    assert "line 4: has 1 field(s) that are not known: userid (is it user_id?)" in refused.err
    assert "--skip-bad" in refused.err
    assert 1 == cli("payments", "show", "bad-1").code
    sent = cli("publish", "--json-lines", "-", "--skip-bad", "--wait", "30", "--json", stdin=lines)
    assert (6, True) == (sent.code, "3 bad line(s) were left out" in sent.err)
    told = sent.objects
    assert [2, 3, 4] == [it["line"] for it in told if "line" in it]
    assert ["bad-1"] == [it["id"] for it in told if "operation_id" in it]
    assert "not_done" == told[-1]["error"]["kind"]


def test_what_is_declined_is_no_success(cli: Cli) -> None:
    """The postal code that the gateway declines: the status is printed, and a script sees it by the exit code."""
    zip_code = ("--zip", "46282")
    declined = cli(
        *order("--payment-id", "no-1", "--token", f"{TOKEN}-no", *zip_code, "--wait", "30")
    )
    assert (6, True) == (declined.code, "failure declined" in declined.out), declined.err
    assert "not done: no-1 (declined)" in declined.err


def test_a_dead_letter_is_shown_with_its_reason(cli: Cli) -> None:
    """The same id with other content: who waits hears of it, and `watch` names reason and advice, not the payload."""
    cli("publish", "--json-lines", "-", stdin=command("twice"))
    other = cli(
        "publish", "--json-lines", "-", "--wait", "30", stdin=command("twice", amount_minor=1)
    )
    assert (6, True) == (other.code, "conflict: this id was used before" in other.out), other.err
    assert "not done: twice (dead letter, conflict)" in other.err
    seen = cli(
        "watch", "--topic", "payment_initiation.dlq", "--from-beginning", "--payment", "twice",
        "--count", "1", "--for", "30",
    )  # fmt: skip
    assert 0 == seen.code, seen.err
    assert "conflict: this id was used before" in seen.out
    assert "use a new id" in seen.out
    assert "payment_initiation.dlq from their beginning on" in seen.err
    listed = cli("dead-letters", "list", "--payment", "twice", "--json").document
    assert ["conflict"] == [it["reason"] for it in listed["letters"]]
    _look_with_another_key(cli, listed["letters"][0]["id"])


def _look_with_another_key(cli: Cli, letter_id: str) -> None:
    """Sealed with a key that is not there: `check` and `show` name it, and nobody is told to make it anew."""
    key = f"other:{'A' * 43}="
    checked = cli("check", "--json", journal_keys_file=None, journal_keys=key)
    found = checked.document["checks"]
    [warned] = [it["text"] for it in found if it["what"] == "journal keys"]
    for part in ("dead letters", "'demo'", "WORKER_JOURNAL_KEYS"):
        assert part in warned
    shown = cli("dead-letters", "show", letter_id, journal_keys_file=None, journal_keys=key)
    assert "add its key to WORKER_JOURNAL_KEYS" in shown.out
    assert "ask its producer" not in shown.out


def test_a_ready_world_passes_every_check(cli: Cli) -> None:
    """`check`, `topics`, `migrate` and `health` all say yes, and `check --json` is one object."""
    checked = cli("check", "--json")
    assert 0 == checked.code, checked.out + checked.err
    assert checked.document["ok"]
    checks = checked.document["checks"]
    assert {"ok", "warning"} == {it["state"] for it in checks}
    # One broker, and a journal without a standby: good for a look, and said so.
    warned = {it["what"].split()[0] for it in checks if it["state"] == "warning"}
    assert {"topic", "journal"} == warned
    topics = cli("topics", "--json").document
    assert (True, {"ok"}) == (topics["ok"], {it["state"] for it in topics["topics"]})
    migrated = cli("migrate", "--json").document
    assert (False, migrated["before"]) == (migrated["changed"], migrated["now"])
    assert cli("health", "--ready", "--json").document == {
        "ok": True,
        "asked": "readiness",
        "why": None,
    }


WRONG_TURNS: list[tuple[list[str], dict[str, str], int, str]] = [
    (["check"], {"lease_s": "5"}, 2, "WORKER_LEASE_S: three quarters of it must exceed"),
    (["run"], {"topic_prefix": "none."}, 1, "topics --create"),
    (["topics"], {"topic_prefix": "none."}, 1, "topics --create"),
    (order("--token", TOKEN), {"topic_prefix": "none."}, 1, "topics --create"),
    (["topics", "--create", "--replicas", "3"], {"topic_prefix": "none."}, 1, "--replicas 1"),
    (["migrate"], {"journal_url": f"postgresql://u:{PASSWORD}@{NOWHERE}/x"}, 3, "WORKER_JOURNAL_URL"),
    (["payments", "list"], {"journal_url": f"postgresql://u:{PASSWORD}@h:x/y"}, 2, "WORKER_JOURNAL_URL"),
    (["topics"], {"kafka_bootstrap_servers": NOWHERE}, 3, "WORKER_KAFKA_BOOTSTRAP_SERVERS"),
    (["payments", "show", "nobody"], {}, 1, "dead-letters list --payment nobody"),
    (["payments", "show", "nobody"], {}, 1, "--topic refund_request"),
    (["health"], {"state_file": "no-such-file"}, 1, "WORKER_STATE_FILE"),
    (["watch", "--topic", "nonsense"], {}, 2, "must be one of payment_status"),
    (order("--token", TOKEN, "--profile", "1:2"), {}, 2, "give exactly one of"),
    (order("--token", "4111 1111 1111 1111"), {}, 2, "looks like a card number"),
    (["watch", "--count", "1", "--for", "0.1"], {}, 1, "did not come within"),
]  # fmt: skip


@pytest.fixture(scope="module")
def turns(cli: Cli) -> Iterator[list[Future[Said]]]:
    """All wrong turns, some at a time: most of them wait for somebody who does not answer."""
    with ThreadPoolExecutor(3) as pool:
        yield [pool.submit(cli, *argv, **settings) for argv, settings, _, _ in WRONG_TURNS]


@pytest.mark.parametrize("number", range(len(WRONG_TURNS)))
def test_each_wrong_turn_names_its_remedy(turns: list[Future[Said]], number: int) -> None:
    """The exit code tells the kind, the text on standard error what to do; there is never a traceback."""
    _, _, code, says = WRONG_TURNS[number]
    ended = turns[number].result(timeout=120)
    assert code == ended.code, ended.err
    assert says in ended.err
    assert "Traceback" not in ended.err


def test_check_finds_all_that_is_wrong(cli: Cli) -> None:
    """One run names everything: what is wrong FAILED with the remedy beside it, and the exit code says no."""
    ended = cli(
        "check", "--json",
        db_service_token_file=None, db_service_token=f"{PASSWORD}-wrong",
        gateway_login="somebody",
        topic_prefix="none.",
        journal_url=f"postgresql://u:{PASSWORD}@{NOWHERE}/x",
        invoice_key_file=None, invoice_key="HUSH-short",
        journal_keys_file="no-such-file",
        leese_s="3",
    )  # fmt: skip
    assert 1 == ended.code, ended.err
    failed = {it["what"]: it["text"] for it in ended.document["checks"] if it["state"] == "FAILED"}
    for what, says in {
        "db-service": "WORKER_DB_SERVICE_TOKEN",
        "gateway": "WORKER_GATEWAY_TRANSACTION_KEY",
        "topic none.payment_status": "topics --create",
        "journal": "Is PostgreSQL running there",
        "WORKER_INVOICE_KEY": "at least 16 characters",
        "WORKER_JOURNAL_KEYS_FILE": "cannot be read",
    }.items():
        assert says in failed[what]
    warned = {it["what"]: it["text"] for it in ended.document["checks"] if it["state"] == "warning"}
    assert "is WORKER_LEASE_S meant?" in warned["WORKER_LEESE_S"]


def test_a_status_that_does_not_come_is_a_no(cli: Cli, stage: Stage) -> None:
    """`--wait` ends with 1 and names the payment and the next step where no worker takes the command."""
    prefix = {"topic_prefix": "unread."}
    made = cli("topics", "--create", "--partitions", "1", **prefix)
    assert (0, True) == (made.code, "Created with 1 replicas" in made.err), made.err
    late = cli(*order("--payment-id", "late-1", "--token", TOKEN, "--wait", "1"), **prefix)
    assert 1 == late.code
    assert "payments show late-1" in late.err
    assert stage.bootstrap not in late.out


def test_ctrl_c_ends_watch_with_130(cli: Cli) -> None:
    """A follower that is interrupted says nothing more and ends with the code for it."""
    argv = [sys.executable, str(ROOT / "run_worker.py"), "watch", "--from-beginning"]
    with subprocess.Popen(
        argv, env=dict(cli.env), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as following:
        assert following.stdout is not None
        assert following.stdout.readline()
        os.kill(following.pid, signal.SIGINT)
        _, said = following.communicate(timeout=30)
    assert 130 == following.returncode
    [begins] = said.splitlines()
    assert begins.startswith("Following payment_status, order_events, ")
    assert begins.endswith("Ctrl-C ends it.")


def test_a_worker_that_stopped_is_not_well(cli: Cli, stage: Stage) -> None:
    """It takes its last word away with it: `health` called it well for ten seconds more."""
    worker = stage.worker("stops")
    worker.start()
    state_file = str(stage.state_file("stops"))
    assert 0 == cli("health", state_file=state_file).code
    worker.stop(grace_s=30)
    ended = cli("health", state_file=state_file)
    assert (1, True) == (ended.code, "no worker writes" in ended.err)


def test_no_command_line_holds_a_password(stage: Stage) -> None:
    """Whoever lists the processes of the machine sees addresses, and files with what is secret."""
    password = urlsplit(stage.journal_url).password
    assert password, "this stage's database asks for none"
    shown = [" ".join(process.cmdline()) for process in family(stage.db_service.pid)]
    assert [] == [line for line in shown if password in line]


def test_no_secret_was_ever_printed(cli: Cli, stage: Stage) -> None:
    """Tokens, passwords and the stage's secrets stand in none of the outputs of this file's calls."""
    heard = "\n".join(cli.heard)
    assert heard
    secrets = [path.read_text() for path in (stage.folder / "secrets").iterdir()]
    for secret in (TOKEN, "HUSH", "4111 1111", "411111", *secrets):
        assert secret not in heard
