"""What an operator does about what stopped, through the real door on the real stage: dead letters, and what waits."""

import json
import shlex
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from tests.integration.cli_calls import Cli, Said
from tests.waiting import wait_until
from worker.demo.stage import Stage

TOKEN = "tok-HUSH-of-the-operator"
LOST = {"faults": {"http_5xx_uncharged": 1.0}}


def pay(cli: Cli, name: str, *more: str) -> None:
    """A sale of 12.34 USD, decided."""
    paid = cli(
        "publish", "--payment-id", name, "--order-id", f"o-{name}", "--user-id", "u-1",
        "--amount", "12.34", "--token", f"{TOKEN}-{name}", "--wait", "30", *more,
    )  # fmt: skip
    assert 0 == paid.code, paid.err


def refund(cli: Cli, name: str, *, of: str, amount: str = "12.34") -> None:
    """A refund is asked for; nobody waits for it."""
    asked = cli(
        "publish", "refund", "--payment-id", of, "--refund-id", name, "--amount", amount
    )  # fmt: skip
    assert 0 == asked.code, asked.err


def letters(cli: Cli, key: str, *filters: str) -> list[dict[str, Any]]:
    """The dead letters of a payment."""
    listed = cli("dead-letters", "list", "--json", *filters)
    assert 0 == listed.code, listed.err
    return [it for it in listed.document["letters"] if it["key"] == key]


def state(cli: Cli, name: str) -> str:
    """Where the payment stands."""
    shown = cli("payments", "show", name, "--json")
    return str(shown.document["payment"]["state"]) if shown.code == 0 else ""


@pytest.fixture(scope="module", autouse=True)
def early(cli: Cli) -> Iterator[Future[Said]]:
    """A refund whose payment does not come in time. It becomes a dead letter while the other tests run."""
    argv = ("--payment-id", "early-1", "--refund-id", "r-early-1", "--amount", "12.34")
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(cli, "publish", "refund", *argv, "--wait", "60")


def test_a_conflict_is_not_replayed_and_may_be_dropped(cli: Cli) -> None:
    """Another content under the same id would come back: the operator hears so, and sets the letter aside for good."""
    pay(cli, "twice-1")
    other = cli(
        "publish", "--payment-id", "twice-1", "--order-id", "o-other", "--user-id", "u-1",
        "--amount", "99.00", "--token", f"{TOKEN}-other",
    )  # fmt: skip
    assert 0 == other.code, other.err
    wait_until(lambda: bool(letters(cli, "twice-1", "--reason", "conflict", "--since", "1h")))
    [letter] = letters(cli, "twice-1")
    refused = cli("dead-letters", "replay", "--reason", "conflict", "--since", "1h", "--all")
    assert (1, True) == (refused.code, "under a new id" in refused.out), refused.err
    word = ("dead-letters", "drop", letter["id"], "--why", "a slip of the shop")
    dry = cli(*word, "--dry-run")
    assert (0, True) == (dry.code, dry.out.rstrip().endswith("would_be_dropped")), dry.err
    assert cli("dead-letters", "show", letter["id"], "--json").document["decision"] is None
    dropped = cli(*word, "--json")
    assert ["dropped"] == [it["result"] for it in dropped.document["letters"]]
    too_late = cli("dead-letters", "replay", letter["id"], "--anyway")
    assert (1, True) == (too_late.code, "already dropped by" in too_late.out)
    told = cli("dead-letters", "show", letter["id"], "--json").document
    assert ("dropped", False) == (told["decision"]["what"], told["replay"]["possible"])


def test_a_letter_that_is_not_there_is_a_no(cli: Cli) -> None:
    """A wrong id, and a choice that fits nothing, say so."""
    nowhere = cli("dead-letters", "replay", "dlq:nowhere:0:1", "--json")
    assert (1, ["dlq:nowhere:0:1"]) == (nowhere.code, nowhere.document["missing"])
    nothing = cli("dead-letters", "replay", "--reason", "too_large", "--all")
    assert (0, "No dead letter fits.") == (nothing.code, nothing.err.strip())


def test_a_person_ends_what_nobody_knows(cli: Cli, stage: Stage) -> None:
    """Undecided to the end of the schedule it is listed; the word is said once, applied, and the payment is over."""
    with lost_calls(stage):
        _decide_about_a_lost_call(cli)


@contextmanager
def lost_calls(stage: Stage) -> Iterator[None]:
    """Every call fails before it does anything, for as long as the block lasts."""
    stage.gateway("PUT", "/plan", body=LOST)
    try:
        yield
    finally:
        stage.gateway("PUT", "/plan", body={})


def _decide_about_a_lost_call(cli: Cli) -> None:
    asked = cli(
        "publish", "--payment-id", "lost-1", "--order-id", "o-lost", "--user-id", "u-1",
        "--amount", "12.34", "--token", f"{TOKEN}-lost",
    )  # fmt: skip
    assert 0 == asked.code, asked.err
    wait_until(lambda: "initiation:lost-1" in waiting(cli))
    listed = cli("review", "list")
    assert (0, True) == (listed.code, "still undecided at the end of the schedule" in listed.out)
    shown = cli("review", "show", "lost-1")
    for part in ("--did-not-happen", "ends as failed", "attempt 1 (charge)"):
        assert part in shown.out
    word = ["review", "decide", "lost-1", "--did-not-happen", "--by", "ann", "--why", "not there"]
    dry = cli(*word, "--dry-run", "--json").document
    assert ("initiation:lost-1", "would_be_published") == (dry["id"], dry["result"])
    said = cli(*word, "--json")
    assert (0, "published") == (said.code, said.document["result"]), said.err
    wait_until(lambda: state(cli, "lost-1") == "failed")
    assert "initiation:lost-1" not in waiting(cli)
    past = cli("payments", "history", "lost-1")
    assert "with the word of ann that it did not happen: not there" in past.out
    over = cli(*word)
    assert (1, True) == (over.code, "waits for a person" in over.err)


def waiting(cli: Cli, *options: str) -> set[str]:
    """The ids of what waits for a person."""
    listed = cli("review", "list", "--json", *options)
    assert 0 == listed.code, listed.err
    return {it["id"] for it in listed.document["waiting"]}


def test_a_held_payment_is_asked_for_and_may_be_decided(cli: Cli, stage: Stage) -> None:
    """A question that learns nothing is answered all the same, and what `review` proposes is taken."""
    rule = {"match": {"description": "held-1"}, "fault": "held_253"}
    stage.gateway("POST", "/script", body={"rules": [rule]})
    paid = cli(
        "publish", "--payment-id", "held-1", "--order-id", "o-held", "--user-id", "u-1",
        "--amount", "12.34", "--token", f"{TOKEN}-held", "--description", "held-1",
    )  # fmt: skip
    assert 0 == paid.code, paid.err
    wait_until(lambda: state(cli, "held-1") == "held")
    asked = cli("publish", "verification", "--payment-id", "held-1", "--wait", "30", "--json")
    assert 0 == asked.code, asked.err
    question, answer = asked.objects
    assert [question["operation_id"]] == answer["answers"]
    assert "held" == answer["record"]["state"]
    wait_until(lambda: "initiation:held-1" in waiting(cli, "--held-for", "1s"))
    [proposed] = [
        line.partition("run_worker.py ")[2]
        for line in cli("review", "show", "held-1", "--held-for", "1s").out.splitlines()
        if "review decide" in line
    ]
    choice = proposed.replace("--happened or ", "").replace("TEXT", "'looked at'")
    dry = cli(*shlex.split(choice), "--dry-run", "--json")
    assert (0, "would_be_published") == (dry.code, dry.document["result"]), dry.err
    early = cli("review", "show", "held-1").out
    assert "does not wait for a person yet" in early
    assert "--why TEXT --early" in early


def test_a_payment_shows_its_requests(cli: Cli) -> None:
    """A partial refund before settlement waits with its due time, and its amount is reserved."""
    pay(cli, "partly-1")
    refund(cli, "r-partly-1", of="partly-1", amount="5.00")

    def request() -> dict[str, Any]:
        [one] = cli("payments", "show", "partly-1", "--json").document["requests"] or [{}]
        return dict(one)

    wait_until(lambda: request().get("stage") == "deferred")
    one = request()
    assert ("r-partly-1", "deferred", "initiated", 500) == (
        one["request_id"],
        one["state"],
        one["status"],
        one["reserved_minor"],
    )
    text = cli("payments", "show", "partly-1").out
    for part in ("refunding 5.00 USD", "refund      r-partly-1 of 5.00 USD", "goes on later, due"):
        assert part in text
    listed = cli("payments", "list", "--waiting", "--order", "o-partly-1", "--limit", "1", "--json")
    assert ["partly-1"] == [it["payment_id"] for it in listed.document["payments"]]


def test_a_replayed_refund_goes_the_whole_way(cli: Cli, early: Future[Said]) -> None:
    """Seen, opened, tried dry, replayed once: the money goes back, and a second replay does nothing."""
    heard = early.result(timeout=90)
    assert (6, True) == (heard.code, "payment_unknown: payment_id: no payment" in heard.out)
    assert "not done: r-early-1 (dead letter, payment_unknown)" in heard.err
    pay(cli, "early-1")
    [letter] = letters(cli, "early-1")
    assert ("payment_unknown", None) == (letter["reason"], letter["decision"])
    shown = cli("dead-letters", "show", letter["id"])
    for part in ("refund r-early-1 of 12.34 USD", "dead-letters replay", "No payment of this id"):
        assert part in shown.out
    dry = cli("dead-letters", "replay", letter["id"], "--dry-run", "--json")
    assert ["would_be_replayed"] == [it["result"] for it in dry.document["letters"]]
    assert letters(cli, "early-1")[0]["decision"] is None
    done = cli("dead-letters", "replay", letter["id"], "--by", "ann", "--why", "it came", "--json")
    assert (0, True) == (done.code, done.document["ok"]), done.err
    wait_until(lambda: state(cli, "early-1") == "refunded")
    again = cli("dead-letters", "replay", letter["id"], "--by", "bob")
    assert (0, True) == (again.code, "already replayed by ann at" in again.out), again.err
    [decided] = letters(cli, "early-1")
    assert ("replayed", "ann", "it came") == tuple(
        decided["decision"][it] for it in ("what", "by", "why")
    )
    assert [] == letters(cli, "early-1", "--undecided")
    for options in ((), ("--dry-run",)):
        dropped = cli("dead-letters", "drop", letter["id"], "--why", "no", *options)
        assert (1, True) == (dropped.code, "Its record is on its way" in dropped.out)


def test_no_secret_was_ever_printed(cli: Cli, stage: Stage) -> None:
    """Tokens and the stage's secrets stand in none of the outputs, the opened letters included."""
    heard = "\n".join(cli.heard)
    assert json.dumps("dropped") in heard
    secrets = [path.read_text() for path in (stage.folder / "secrets").iterdir()]
    for secret in (TOKEN, "HUSH", *secrets):
        assert secret not in heard
