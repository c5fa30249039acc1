"""The simulator's faults: what the caller sees of each, and what the ledger knows."""

import json
import statistics
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contract.simulated_gateway import (
    AUTHENTICATION,
    SimulatedGateway,
    charge_body,
    profile,
    running,
)
from tests.waiting import wait_until

CREATE = "createTransactionRequest"
PATIENCE_S = 30.0


@pytest.mark.parametrize(
    ("fault", "charged", "error"),
    [
        ("lost_answer", True, httpx.ReadError),
        ("reset_before_read", False, httpx.ReadError),
        ("hang_after_charge", True, httpx.ReadTimeout),
        ("hang_uncharged", False, httpx.ReadTimeout),
        ("half_answer", True, httpx.RemoteProtocolError),
    ],
)
def test_a_broken_connection_and_what_was_charged(
    gateway: SimulatedGateway, *, fault: str, charged: bool, error: type[Exception]
) -> None:
    """The caller sees the break; the ledger alone knows whether money moved."""
    gateway.script(fault)
    with pytest.raises(error):
        _charge(gateway, "B-1", timeout_s=1.5 if error is httpx.ReadTimeout else PATIENCE_S)
    assert [charged] * charged == [row["approved"] for row in gateway.ledger("B-1")]
    assert {fault: 1} == gateway.control("GET", "/calls")["faults"]


def test_a_reset_is_a_reset(gateway: SimulatedGateway) -> None:
    """The connection ends with an RST and not with an orderly close."""
    gateway.script("lost_answer")
    with pytest.raises(httpx.ReadError) as caught:
        _charge(gateway, "B-2")
    assert "reset by peer" in str(caught.value)


@pytest.mark.parametrize(
    ("fault", "charged"), [("http_5xx_charged", True), ("http_5xx_uncharged", False)]
)
def test_a_server_error_may_hide_a_charge(
    gateway: SimulatedGateway, *, fault: str, charged: bool
) -> None:
    """The status is the plan's, the body is no JSON."""
    gateway.control("PUT", "/plan", body={"http_status": 502})
    gateway.script(fault)
    answer = _charge(gateway, "S-1")
    assert 502 == answer.status_code
    assert charged == bool(gateway.ledger("S-1"))


@pytest.mark.parametrize("code", ["e00001", "e00053", "e00104"])
@pytest.mark.parametrize("suffix", ["charged", "uncharged"])
def test_a_message_may_hide_a_charge(gateway: SimulatedGateway, code: str, suffix: str) -> None:
    """Busy, broken and in maintenance come with HTTP 200, with and without a row."""
    gateway.script(f"{code}_{suffix}")
    answer = _charge(gateway, "M-1")
    decoded = json.loads(answer.content)
    assert (200, code.upper()) == (answer.status_code, decoded["messages"]["message"][0]["code"])
    assert ("Error", "ref") == (decoded["messages"]["resultCode"], decoded["refId"])
    assert ("charged" == suffix) == bool(gateway.ledger("M-1"))


@pytest.mark.parametrize(
    ("fault", "charged"), [("html_page_charged", True), ("html_page_uncharged", False)]
)
def test_a_maintenance_page_looks_like_success(
    gateway: SimulatedGateway, *, fault: str, charged: bool
) -> None:
    """HTTP 200 with a page instead of JSON."""
    gateway.script(fault)
    answer = _charge(gateway, "W-1")
    assert (200, "text/html; charset=utf-8") == (answer.status_code, answer.headers["content-type"])
    assert charged == bool(gateway.ledger("W-1"))


def test_slow_bytes_arrive_in_the_end(gateway: SimulatedGateway) -> None:
    """A trickle outlives a read timeout that each piece renews."""
    gateway.control("PUT", "/plan", body={"slow_bytes_s": 3})
    gateway.script("slow_bytes")
    begun = time.monotonic()
    answer = _charge(gateway, "T-1", timeout_s=1.5)
    assert time.monotonic() - begun > 1.5
    assert "1" == json.loads(answer.content)["transactionResponse"]["responseCode"]


def test_a_request_delivered_twice_answers_as_a_repeat(gateway: SimulatedGateway) -> None:
    """The first attempt of a profile charge may get 11, of a token E00114, charged once each."""
    gateway.script("delivered_twice", times=2)
    assert (
        "11"
        == gateway.charge(**profile(), order={"invoiceNumber": "X-1"})["errors"][0]["errorCode"]
    )
    request = charge_body(order={"invoiceNumber": "X-2"})
    assert "E00114" == gateway.refusal(CREATE, transactionRequest=request)[0]
    assert [1, 1] == [len(gateway.ledger(invoice)) for invoice in ("X-1", "X-2")]


def test_a_script_means_exactly_what_it_matches(gateway: SimulatedGateway) -> None:
    """Rules match by invoice, description, PO number, zip or number, and end after their times."""
    matches: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"invoiceNumber": "K-1"}, {"order": {"invoiceNumber": "K-1"}}),
        ({"description": "cake"}, {"order": {"description": "cake"}}),
        ({"poNumber": "po-1"}, {"poNumber": "po-1"}),
        ({"zip": "12345"}, {"billTo": {"zip": "12345"}}),
        ({"nth": 10}, {}),
    ]
    for match, charge in matches:
        gateway.control("POST", "/script", body={"rules": [{"match": match, "fault": "reason_4"}]})
        asked = [{}, charge] if charge else [{}, {}]
        assert ["1", "2"] == [gateway.charge(**members)["responseCode"] for members in asked]
    assert {"rules": []} == gateway.control("GET", "/script")


def test_a_script_fires_as_often_as_told(gateway: SimulatedGateway) -> None:
    """Two times, and the third charge is calm again."""
    gateway.script("decline", times=2)
    assert ["2", "2", "1"] == [gateway.charge()["responseCode"] for _ in range(3)]


@pytest.mark.parametrize(
    ("method", "path", "body", "words"),
    [
        ("PUT", "/plan", {"faults": {"explode": 1}}, "lost_answer"),
        ("PUT", "/plan", {"faults": {"decline": 0.7, "held_252": 0.7}}, "more than 1"),
        ("PUT", "/plan", {"latency": {"p50_ms": 10, "p99_ms": 5}}, "p50_ms <= p99_ms"),
        ("PUT", "/plan", {"latency": {"median": 1}}, "median"),
        ("PUT", "/plan", {"read_faults": {"lost_answer_": 1}}, "hang_uncharged"),
        ("POST", "/script", {"rules": [{"match": {}, "fault": "explode"}]}, "hang_after_charge"),
        ("POST", "/clock", {"advance_s": -1}, "never goes back"),
        ("PUT", "/settings", {"colour": "red"}, "colour"),
    ],
)
def test_the_control_port_says_what_is_allowed(
    gateway: SimulatedGateway, *, method: str, path: str, body: Any, words: str
) -> None:
    """An unknown name or a senseless figure is refused and changes nothing."""
    before = gateway.control("GET", "/plan")
    answer = gateway.client.request(method, gateway.control_url + path, json=body)
    assert 400 == answer.status_code
    assert words in answer.json()["error"]
    assert before == gateway.control("GET", "/plan")


def test_what_is_not_there_is_404(gateway: SimulatedGateway) -> None:
    """An unknown path lists the known ones; an unknown held transaction is named."""
    for method, path, words in (
        ("GET", "/nothing", "PUT /plan"),
        ("POST", "/held/1", "held transaction 1"),
    ):
        answer = gateway.client.request(
            method, gateway.control_url + path, json={"action": "approve"}
        )
        assert 404 == answer.status_code
        assert words in answer.json()["error"]


def test_the_dice_depend_on_the_invoice_and_not_on_the_order(gateway: SimulatedGateway) -> None:
    """The same invoices in another order meet the same faults, at about the planned rate."""
    plan = {"faults": {"decline": 0.3, "held_252": 0.2}}
    invoices = [f"I-{number}" for number in range(100)]
    fates = []
    for order in (invoices, invoices[::-1]):
        gateway.control("POST", "/reset")
        gateway.control("PUT", "/plan", body=plan)
        fates.append(
            {name: gateway.charge(order={"invoiceNumber": name})["responseCode"] for name in order}
        )
    assert fates[0] == fates[1]
    counted = statistics.multimode(fates[0].values())
    assert ["1"] == counted
    assert 15 <= sum(code == "2" for code in fates[0].values()) <= 45


def test_another_seed_is_another_run(tmp_path: Path, gateway: SimulatedGateway) -> None:
    """Seed and invoice together choose the fate."""
    plan = {"faults": {"decline": 0.5}}
    fates = []
    with running(tmp_path / "ready", "--seed", "7") as other:
        for each in (gateway, other):
            each.control("PUT", "/plan", body=plan)
            fates.append(
                [each.charge(order={"invoiceNumber": f"I-{n}"})["responseCode"] for n in range(30)]
            )
    assert fates[0] != fates[1]


def test_latency_has_the_median_and_the_tail_that_was_asked_for(gateway: SimulatedGateway) -> None:
    """Of 40 log-normal answers the median is near 60 ms, beyond what a calm one takes, and none comes at once."""
    calm_s = statistics.median(_times_s(gateway, "K"))
    gateway.control("PUT", "/plan", body={"latency": {"p50_ms": 60, "p99_ms": 180}})
    taken_s = _times_s(gateway, "Q")
    assert 0.6 * 0.060 < statistics.median(taken_s)
    assert statistics.median(taken_s) - calm_s < 3 * 0.060
    assert min(taken_s) > 0.2 * 0.060


def test_calm_comes_back(gateway: SimulatedGateway) -> None:
    """Deleting the plan ends latency, faults and scripts."""
    gateway.control(
        "PUT", "/plan", body={"latency": {"uniform_ms": [20_000, 20_000]}, "faults": {"decline": 1}}
    )
    gateway.script("lost_answer")
    gateway.control("DELETE", "/plan")
    begun = time.monotonic()
    assert "1" == gateway.charge()["responseCode"]
    assert time.monotonic() - begun < 20


def test_who_hangs_up_is_charged_all_the_same(gateway: SimulatedGateway) -> None:
    """A request that was read goes on at the gateway when its caller is gone."""
    gateway.control("PUT", "/plan", body={"latency": {"uniform_ms": [3_000, 3_000]}})
    with pytest.raises(httpx.ReadTimeout):
        _charge(gateway, "U-1", timeout_s=0.5)
    assert not gateway.ledger("U-1")
    wait_until(lambda: bool(gateway.control("GET", "/calls")["answers_without_listener"]))
    assert 1 == len(gateway.ledger("U-1"))


def test_look_ups_have_faults_of_their_own(gateway: SimulatedGateway) -> None:
    """A plan for reads leaves charges alone."""
    gateway.control("PUT", "/plan", body={"read_faults": {"e00053_uncharged": 1}})
    assert "1" == gateway.charge()["responseCode"]
    assert "E00053" == gateway.refusal("getUnsettledTransactionListRequest")[0]
    assert {"read.e00053_uncharged": 1} == gateway.control("GET", "/calls")["faults"]


def test_the_summary_counts_what_moved(gateway: SimulatedGateway) -> None:
    """Totals are minor units of approved rows; an invoice charged twice is named."""
    gateway.charge(order={"invoiceNumber": "Y-1"}, amount="1.00")
    gateway.charge(order={"invoiceNumber": "Y-1"}, amount="2.50")
    gateway.charge(order={"invoiceNumber": "Y-2"}, billTo={"zip": "46282"})
    summary = gateway.control("GET", "/ledger/summary")
    assert (3, 2, {"USD": 350}) == (
        summary["transactions"],
        summary["approved"],
        summary["approved_minor"],
    )
    assert (1, ["Y-1"]) == (summary["invoices_charged_twice"], summary["charged_twice"])
    page = gateway.control("GET", "/ledger?limit=1&offset=1")
    assert (3, ["2.50"]) == (page["total"], [row["amount"] for row in page["transactions"]])
    calls = gateway.control("GET", "/calls")
    assert ({CREATE: 3}, 3) == (calls["requests"], calls["requests_read"])


def test_many_connections_are_held_at_once(gateway: SimulatedGateway) -> None:
    """Sixty callers that wait for their answers at the same time are all answered."""
    gateway.control("PUT", "/plan", body={"latency": {"uniform_ms": [2_000, 2_100]}})
    callers = [threading.Thread(target=_charge, args=(gateway, f"C-{n}")) for n in range(60)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert 60 == gateway.control("GET", "/ledger/summary")["approved"]
    assert 30 <= gateway.control("GET", "/calls")["most_open_connections"]


def _times_s(gateway: SimulatedGateway, prefix: str) -> list[float]:
    """How long each of 40 charges takes."""
    taken_s = []
    for number in range(40):
        begun_s = time.monotonic()
        _charge(gateway, f"{prefix}-{number}")
        taken_s.append(time.monotonic() - begun_s)
    return taken_s


def _charge(
    gateway: SimulatedGateway, invoice: str, *, timeout_s: float = PATIENCE_S
) -> httpx.Response:
    request = charge_body(order={"invoiceNumber": invoice})
    body = {"merchantAuthentication": AUTHENTICATION, "refId": "ref", "transactionRequest": request}
    return gateway.client.post(gateway.url, json={CREATE: body}, timeout=timeout_s)
