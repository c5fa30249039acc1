"""The simulator's time: the nightly batch, expiry, what banks do later, and how it is all read."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.contract import vendor_sdk as sdk
from tests.contract.simulated_gateway import SimulatedGateway, profile, running, token
from tests.waiting import wait_until

BATCHES = "getSettledBatchListRequest"
BATCH = "getTransactionListRequest"
DETAILS = "getTransactionDetailsRequest"
DAY_S = 86_400


def test_a_cut_off_settles_what_was_captured(gateway: SimulatedGateway) -> None:
    """A day later the charge is settled in a batch and gone from the unsettled list; an authorisation stays."""
    sold = gateway.charge(order={"invoiceNumber": "S-1"})["transId"]
    gateway.charge(order={"invoiceNumber": "S-2"}, transactionType="authOnlyTransaction")
    gateway.charge(order={"invoiceNumber": "S-3"}, billTo={"zip": "46282"})
    _advance(gateway, DAY_S)
    assert ["S-2"] == [row["invoiceNumber"] for row in gateway.unsettled()["transactions"]]
    assert ("settledSuccessfully", True, True) == _pick(
        gateway.ledger("S-1")[0], "status", "settled", "approved"
    )
    told = gateway.call(DETAILS, transId=sold)["transaction"]
    batch = told["batch"]
    assert ("settledSuccessfully", 10.0) == _pick(told, "transactionStatus", "settleAmount")
    assert "settledSuccessfully" == batch["settlementState"]
    listed = gateway.call(BATCH, batchId=batch["batchId"])
    assert [("S-3", "declined"), ("S-1", "settledSuccessfully")] == [
        _pick(row, "invoiceNumber", "transactionStatus") for row in listed["transactions"]
    ]


def test_a_refund_settles_in_its_turn(gateway: SimulatedGateway) -> None:
    """It goes into the batch of the cut-off after it."""
    sold = gateway.charge(order={"invoiceNumber": "R-0"})["transId"]
    gateway.control("POST", "/settle")
    card = {"creditCard": {"cardNumber": "1111", "expirationDate": "XXXX"}}
    refund = {
        "transactionType": "refundTransaction",
        "amount": "1.00",
        "payment": card,
        "refTransId": sold,
        "order": {"invoiceNumber": "R-1"},
    }
    gateway.call("createTransactionRequest", transactionRequest=refund)
    _advance(gateway, DAY_S)
    assert ("refundSettledSuccessfully", True) == _pick(
        gateway.ledger("R-1")[0], "status", "settled"
    )
    numbers = {gateway.ledger(name)[0]["batchId"] for name in ("R-0", "R-1")}
    assert 2 == len(numbers)


def test_time_alone_settles_only_where_it_is_told_to(gateway: SimulatedGateway) -> None:
    """A cut-off that nobody moved the clock over settles with the setting on, and not without."""
    gateway.control("PUT", "/settings", body={"cut_off": "none"})
    gateway.charge(order={"invoiceNumber": "T-1"})
    _advance(gateway, DAY_S)
    now_s = gateway.control("GET", "/clock")["now"]
    body = {"cut_off": _time_of_day(now_s), "settle_after_cut_off_s": now_s % 60 + 0.3}
    gateway.control("PUT", "/settings", body=body)
    wait_until(lambda: gateway.control("GET", "/clock")["now"] > now_s + 0.3)
    assert "capturedPendingSettlement" == gateway.ledger("T-1")[0]["status"]
    gateway.control("PUT", "/settings", body={"settles": True})
    assert "settledSuccessfully" == gateway.ledger("T-1")[0]["status"]


@pytest.mark.parametrize("zone", ["", "-28800", "America/Los_Angeles"])
def test_the_cut_off_is_a_time_of_day_in_a_zone(gateway: SimulatedGateway, zone: str) -> None:
    """What is charged after a cut-off waits for the next; the batch takes its time."""
    now_s = gateway.control("GET", "/clock")["now"]
    cut_off = f"{_time_of_day(now_s + 600, zone)} {zone}".strip()
    body = {"cut_off": cut_off, "settle_after_cut_off_s": 3600}
    gateway.control("PUT", "/settings", body=body)
    gateway.charge(order={"invoiceNumber": "Z-1"})
    _advance(gateway, 1800)
    gateway.charge(order={"invoiceNumber": "Z-2"})
    assert "capturedPendingSettlement" == gateway.ledger("Z-1")[0]["status"]
    _advance(gateway, 3600)
    assert ["settledSuccessfully", "capturedPendingSettlement"] == [
        gateway.ledger(invoice)[0]["status"] for invoice in ("Z-1", "Z-2")
    ]


@pytest.mark.parametrize("words", ["25:00", "noon", "16:00 Nowhere/Else"])
def test_a_cut_off_must_mean_something(gateway: SimulatedGateway, words: str) -> None:
    """Other words are refused with what is allowed."""
    answer = gateway.client.put(gateway.control_url + "/settings", json={"cut_off": words})
    assert 400 == answer.status_code
    assert "HH:MM" in answer.json()["error"]


@pytest.mark.parametrize(("fault", "days"), [("none", 30), ("held_252", 5), ("held_253", 30)])
def test_what_nobody_captured_expires(gateway: SimulatedGateway, fault: str, days: int) -> None:
    """An authorisation lives 30 days, a held charge 5 days, or 30 where it is authorised."""
    gateway.script(fault)
    gateway.charge(transactionType="authOnlyTransaction", order={"invoiceNumber": "E-1"})
    _advance(gateway, days * DAY_S - 60)
    assert "expired" != gateway.ledger("E-1")[0]["status"]
    _advance(gateway, 60)
    assert ("expired", False) == _pick(gateway.ledger("E-1")[0], "status", "approved")
    assert 0 == gateway.unsettled()["totalNumInResultSet"]


def test_a_failed_batch_is_not_final(gateway: SimulatedGateway) -> None:
    """Its rows are settlementError until the next batch settles them."""
    sold = gateway.charge(order={"invoiceNumber": "X-1"})["transId"]
    told = gateway.control("POST", "/settle", body={"fail": True})
    assert ["settlementError"] == [batch["state"] for batch in told["batches"]]
    assert ("settlementError", False, True) == _pick(
        gateway.ledger("X-1")[0], "status", "settled", "approved"
    )
    assert 0 == gateway.unsettled()["totalNumInResultSet"]
    state = gateway.call(DETAILS, transId=sold)["transaction"]["batch"]["settlementState"]
    assert "settlementError" == state
    gateway.control("POST", "/settle")
    assert "settledSuccessfully" == gateway.ledger("X-1")[0]["status"]


def test_the_bank_returns_an_echeck(gateway: SimulatedGateway) -> None:
    """A row of its own says so; the original stays settled and shows that it has returned items."""
    sold = gateway.charge(**token("bank-1"), order={"invoiceNumber": "B-1"})["transId"]
    early = gateway.client.post(f"{gateway.control_url}/return/{sold}")
    assert (400, True) == (early.status_code, "settled eCheck" in early.json()["error"])
    gateway.control("POST", "/settle")
    item = gateway.control("POST", f"/return/{sold}")
    assert ("returnedItem", sold, 1000) == _pick(item, "status", "refTransId", "amountMinor")
    told = gateway.call(DETAILS, transId=sold)["transaction"]
    assert ("settledSuccessfully", item["transId"]) == (
        told["transactionStatus"],
        told["returnedItems"][0]["id"],
    )
    (batch,) = _batches(gateway)
    assert "eCheck" == batch["paymentMethod"]
    (row,) = gateway.call(BATCH, batchId=batch["batchId"])["transactions"]
    assert row["hasReturnedItems"]
    assert {"USD": 1000} == gateway.control("GET", "/ledger/summary")["returned"]
    assert 404 == gateway.client.post(f"{gateway.control_url}/return/1").status_code


def test_a_chargeback_is_a_status(gateway: SimulatedGateway) -> None:
    """Only a settled charge can be charged back, and it stays a charge."""
    sold = gateway.charge()["transId"]
    assert 400 == gateway.client.post(f"{gateway.control_url}/chargeback/{sold}").status_code
    gateway.control("POST", "/settle")
    row = gateway.control("POST", f"/chargeback/{sold}")
    assert ("chargeback", True) == _pick(row, "status", "approved")


def test_the_batches_of_a_span_of_days(gateway: SimulatedGateway) -> None:
    """None is Ok with I00004; one date alone, a span too long and no date at all are refused."""
    answer = gateway.call(BATCHES)
    assert ("Ok", "I00004") == (
        answer["messages"]["resultCode"],
        answer["messages"]["message"][0]["code"],
    )
    gateway.charge(amount="10.00")
    gateway.charge(amount="5.00")
    gateway.charge(billTo={"zip": "46282"})
    gateway.control("POST", "/settle")
    _advance(gateway, 3 * DAY_S)
    assert [] == _batches(gateway)
    now = datetime.fromtimestamp(gateway.control("GET", "/clock")["now"], UTC)
    first, last = (_iso(now - timedelta(days=days)) for days in (4, 0))
    span = {"firstSettlementDate": first, "lastSettlementDate": last}
    (batch,) = _batches(gateway, includeStatistics=True, **span)
    assert (15.0, 2, 1) == _pick(
        batch["statistics"][0], "chargeAmount", "chargeCount", "declineCount"
    )
    span["firstSettlementDate"] = _iso(now - timedelta(days=32))
    assert "E00013" == gateway.refusal(BATCHES, **span)[0]
    assert "E00013" == gateway.refusal(BATCHES, firstSettlementDate=first)[0]
    assert "E00003" == gateway.refusal(BATCHES, firstSettlementDate="today")[0]


def test_a_batch_has_pages_and_an_owner(gateway: SimulatedGateway) -> None:
    """Its rows are sorted and paged as the unsettled ones; the order of members is the schema's."""
    for number in range(3):
        gateway.charge(order={"invoiceNumber": f"P-{number}"})
    gateway.control("POST", "/settle")
    batch_id = _batches(gateway)[0]["batchId"]
    page = {"limit": 2, "offset": 2}
    answer = gateway.call(BATCH, batchId=batch_id, paging=page)
    assert (["P-0"], 3) == (
        [row["invoiceNumber"] for row in answer["transactions"]],
        answer["totalNumInResultSet"],
    )
    assert "E00003" == gateway.refusal(BATCH, paging=page, batchId=batch_id)[0]
    assert "E00040" == gateway.refusal(BATCH, batchId="1")[0]
    added = {"login": "euro", "transaction_key": "euro-key", "currency": "EUR"}
    gateway.control("POST", "/accounts", body={"accounts": [added]})
    euro = {"merchantAuthentication": {"name": "euro", "transactionKey": "euro-key"}}
    assert "E00040" == gateway.refusal(BATCH, **euro, batchId=batch_id)[0]


def test_a_customers_list_crosses_settlement(gateway: SimulatedGateway) -> None:
    """A profile's transactions are listed, settled or not, and no other profile's."""
    name = "getTransactionListForCustomerRequest"
    gateway.charge(**profile(), order={"invoiceNumber": "K-1"})
    gateway.control("POST", "/settle")
    gateway.charge(**profile(), order={"invoiceNumber": "K-2"})
    gateway.charge(**profile("900000002"), order={"invoiceNumber": "K-3"})
    ids = {"customerProfileId": "900000000", "customerPaymentProfileId": "900000001"}
    listed = gateway.call(name, **ids)["transactions"]
    assert ["K-2", "K-1"] == [row["invoiceNumber"] for row in listed]
    assert 3 == gateway.call(name, customerProfileId="900000000")["totalNumInResultSet"]


def test_accounts_may_be_given_at_the_start(tmp_path_factory: pytest.TempPathFactory) -> None:
    """They survive a reset, which the control port's own do not."""
    ready = tmp_path_factory.mktemp("simulator") / "ready.json"
    with running(ready, "--account", "euro:euro-key:EUR") as own:
        added = {"login": "pound", "transaction_key": "key", "currency": "GBP"}
        own.control("POST", "/accounts", body={"accounts": [added]})
        own.control("POST", "/reset")
        assert {"accounts": [{"login": "euro", "currency": "EUR"}]} == own.control(
            "GET", "/accounts"
        )


def test_the_vendors_sdk_reads_the_batches(gateway: SimulatedGateway) -> None:
    """The SDK's own controllers, which speak XML, list a batch and its transactions."""
    gateway.charge(order={"invoiceNumber": "SDK-1"})
    gateway.control("POST", "/settle")
    assert ["SDK-1"] == sdk.settled_invoices(gateway.url)


def _advance(gateway: SimulatedGateway, seconds: float) -> None:
    gateway.control("POST", "/clock", body={"advance_s": seconds})


def _batches(gateway: SimulatedGateway, **members: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = gateway.call(BATCHES, **members).get("batchList", [])
    return found


def _time_of_day(moment_s: float, zone: str = "") -> str:
    """The minute of a moment, on the clocks of a zone or an offset in seconds."""
    moment = datetime.fromtimestamp(moment_s, ZoneInfo(zone) if "/" in zone else UTC)
    if zone and "/" not in zone:
        moment += timedelta(seconds=int(zone))
    return moment.strftime("%H:%M")


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def _pick(row: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)
