"""Reconciliation through the real door, on the real stage: equal books, an orphan, a doctored record, a bad day."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
from sqlalchemy import text

from db_client.database import engine
from tests.integration.cli_calls import Cli
from worker.demo.stage import Stage

NAMES: Final = ("book-1", "book-2")
_AT_ONCE: Final = ("--grace", "0s", "--json")


def pay(cli: Cli, *names: str) -> None:
    """Sales of 20.50 USD, decided."""
    means = {"data_descriptor": "COMMON.ACCEPT.INAPP.PAYMENT"}
    record = {"user_id": "u-1", "amount_minor": 2050, "currency": "USD", "mode": "SALE"}
    sent = [
        {**record, "payment_id": it, "order_id": f"o-{it}", "means": {**means, "data_value": f"t-{it}"}}
        for it in names
    ]  # fmt: skip
    paid = cli(
        "publish", "--json-lines", "-", "--wait", "30", stdin="\n".join(map(json.dumps, sent))
    )
    assert 0 == paid.code, paid.err


def charge(stage: Stage, *, token: str, amount: str) -> str:
    """A charge that somebody else made in our account; its transaction id."""
    environment = stage.environment
    key = Path(environment["WORKER_GATEWAY_TRANSACTION_KEY_FILE"]).read_text().strip()
    name = environment["WORKER_GATEWAY_LOGIN"]
    body = {
        "createTransactionRequest": {
            "merchantAuthentication": {"name": name, "transactionKey": key},
            "transactionRequest": {
                "transactionType": "authCaptureTransaction",
                "amount": amount,
                "payment": {
                    "opaqueData": {
                        "dataDescriptor": "COMMON.ACCEPT.INAPP.PAYMENT",
                        "dataValue": token,
                    }
                },
                "order": {"invoiceNumber": "by hand"},
            },
        }
    }
    answer = httpx.post(environment["WORKER_GATEWAY_URL"], json=body, timeout=10, trust_env=False)
    told = json.loads(answer.content.decode("utf-8-sig"))["transactionResponse"]
    assert "1" == str(told["responseCode"]), told
    return str(told["transId"])


@contextmanager
def doctored(stage: Stage, name: str) -> Iterator[None]:
    """The db-service's record of a payment says that one cent was captured, for as long as the block lasts."""
    assert stage.postgres is not None
    shop = engine(stage.postgres.database("shop"), role="test")
    write = text(
        "UPDATE payments SET document = jsonb_set(document, '{captured_minor}', to_jsonb(CAST(:minor AS int)))"
        " WHERE id = :name"
    )
    try:
        for minor in (1, 2050):
            with shop.begin() as connection:
                assert 1 == connection.execute(write, {"minor": minor, "name": name}).rowcount
            if minor == 1:
                yield
    finally:
        shop.dispose()


def found(told: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Subject → kind and amount at stake of the breaks that a scan saw."""
    return {it["subject"]: (it["kind"], it["amount"]) for it in told["breaks"]}


def test_from_agreeing_books_to_a_break_that_is_explained_and_one_that_is_mended(
    cli: Cli, stage: Stage
) -> None:
    """What nobody asked for and what was falsified is found, once, at its worth; explained or mended it alarms no more.

    A gateway that does not answer closes nothing, and is an exit code of its own.
    """
    pay(cli, *NAMES)
    before = cli("reconcile", *_AT_ONCE, "--events")
    assert 0 == before.code, before.out + before.err
    told = before.document
    assert (True, 0, [], []) == tuple(told[it] for it in ("complete", "open", "gaps", "breaks"))
    assert {"gateway", "journal", "db_service", "events"} == told["read"].keys()
    assert min(told["read"].values()) >= len(NAMES)

    orphan = charge(stage, token="by-hand-1", amount="99.99")
    with doctored(stage, "book-1"):
        alarm = cli("reconcile", *_AT_ONCE)
    wanted = {
        f"transaction {orphan}": ("orphan", "99.99"),
        "payment book-1": ("amount_differs", "20.49"),
    }
    assert (4, wanted, 2) == (alarm.code, found(alarm.document), alarm.document["open"])
    assert "2 breaks are open, 120.48 USD at stake" in alarm.err
    name = next(it["id"] for it in alarm.document["breaks"] if it["kind"] == "orphan")
    explained = cli("reconcile", "explain", name, "--by", "ann", "--why", "the stall at the fair")
    assert 0 == explained.code, explained.err
    for part in ("under invoice number by hand", "99.99 USD", "the stall at the fair"):
        assert part in explained.out

    mended = cli("reconcile", "--grace", "0s")
    assert 0 == mended.code, mended.out + mended.err
    assert "1 not seen any more, and closed as fixed" in mended.out
    stage.gateway("PUT", "/plan", body={"read_faults": {"http_5xx_uncharged": 1.0}})
    try:
        blind = cli("reconcile", *_AT_ONCE)
    finally:
        stage.gateway("PUT", "/plan", body={})
    assert (5, False, 0) == (blind.code, blind.document["complete"], blind.document["fixed"])
    every = cli("reconcile", "list", "--state", "explained", "--state", "fixed", "--json").document
    assert {("orphan", "explained", 1), ("amount_differs", "fixed", 0)} == {
        (it["kind"], it["state"], len(it["notes"])) for it in every["breaks"]
    }
