"""The simulator's captures and voids: what they change, what they refuse, and what a repeat says."""

from typing import Any

import httpx
import pytest

from tests.contract import vendor_sdk as sdk
from tests.contract.simulated_gateway import AUTHENTICATION, SimulatedGateway, profile, settings

CREATE = "createTransactionRequest"
AUTHORISE = "authOnlyTransaction"
CAPTURE = "priorAuthCaptureTransaction"
VOID = "voidTransaction"
DAY_S = 86_400


def test_a_capture_keeps_the_row(gateway: SimulatedGateway) -> None:
    """A part is captured under the same transaction id; the details show both amounts."""
    held = _authorised(gateway, "C-1", amount="10.00")
    answer = _sent(gateway, held, kind=CAPTURE, amount="7.50")
    assert ("1", held, held) == _pick(answer, "responseCode", "transId", "refTransID")
    (row,) = gateway.ledger("C-1")
    assert ("capturedPendingSettlement", AUTHORISE, 1000, 750) == _pick(
        row, "status", "type", "approvedMinor", "capturedMinor"
    )
    told = gateway.call("getTransactionDetailsRequest", transId=held)["transaction"]
    assert (10.0, 7.5) == _pick(told, "authAmount", "settleAmount")


def test_a_capture_without_an_amount_takes_all(gateway: SimulatedGateway) -> None:
    """The amount may be left out."""
    _sent(gateway, _authorised(gateway, "C-2", amount="10.00"), kind=CAPTURE)
    assert 1000 == gateway.ledger("C-2")[0]["capturedMinor"]


def test_a_second_capture_says_311_and_changes_nothing(gateway: SimulatedGateway) -> None:
    """It has responseCode 1 and the same id, whatever amount it asks for, before and after settlement."""
    held = _authorised(gateway, "C-3", amount="10.00")
    _sent(gateway, held, kind=CAPTURE, amount="4.00")
    again = _sent(gateway, held, kind=CAPTURE, amount="6.00")
    assert ("1", held, "311") == (again["responseCode"], again["transId"], _said(again))
    gateway.control("POST", "/settle")
    assert "311" == _said(_sent(gateway, held, kind=CAPTURE))
    assert 400 == gateway.ledger("C-3")[0]["capturedMinor"]


@pytest.mark.parametrize(
    ("amount", "reason"), [("10.01", "47"), ("0.00", "5"), ("1.001", "5"), ("-1.00", "5")]
)
def test_an_amount_that_cannot_be_captured(
    gateway: SimulatedGateway, amount: str, reason: str
) -> None:
    """More than was authorised is 47, no amount at all is 5, and nothing is captured."""
    held = _authorised(gateway, "C-4", amount="10.00")
    answer = _sent(gateway, held, kind=CAPTURE, amount=amount)
    assert ("3", "0", reason) == (answer["responseCode"], answer["transId"], _said(answer))
    assert "authorizedPendingCapture" == gateway.ledger("C-4")[0]["status"]
    assert {f"{CAPTURE}.{reason}": 1} == gateway.control("GET", "/calls")["refusals"]


def test_a_capture_in_another_currency_is_39(gateway: SimulatedGateway) -> None:
    """The currency is the account's."""
    held = _authorised(gateway, "C-5", amount="10.00")
    assert "39" == _said(_sent(gateway, held, kind=CAPTURE, amount="1.00", currencyCode="EUR"))


def test_only_an_open_authorisation_is_captured(gateway: SimulatedGateway) -> None:
    """A sale, a declined, a void, an expired and an unknown one are 16; no id at all is 15."""
    sale = gateway.charge()["transId"]
    declined = gateway.charge(transactionType=AUTHORISE, billTo={"zip": "46282"})["transId"]
    void = _authorised(gateway, "C-6", amount="1.00")
    _sent(gateway, void, kind=VOID)
    old = _authorised(gateway, "C-7", amount="1.00")
    gateway.control("POST", "/clock", body={"advance_s": 30 * DAY_S})
    assert "expired" == gateway.ledger("C-7")[0]["status"]
    said = [
        _said(_sent(gateway, each, kind=CAPTURE)) for each in (sale, declined, void, old, "123", "")
    ]
    assert ["16", "16", "16", "16", "16", "15"] == said


@pytest.mark.parametrize("kind", [AUTHORISE, "authCaptureTransaction"])
def test_a_void_ends_what_is_not_settled(gateway: SimulatedGateway, kind: str) -> None:
    """It keeps the id, and a second one says 310 with responseCode 1."""
    made = gateway.charge(transactionType=kind, order={"invoiceNumber": "V-1"})["transId"]
    answer = _sent(gateway, made, kind=VOID)
    assert ("1", made, "1") == (answer["responseCode"], answer["transId"], _said(answer))
    again = _sent(gateway, made, kind=VOID)
    assert ("1", made, "310") == (again["responseCode"], again["transId"], _said(again))
    assert ("voided", 1000, 0, False) == _pick(
        gateway.ledger("V-1")[0], "status", "approvedMinor", "capturedMinor", "approved"
    )
    summary = gateway.control("GET", "/ledger/summary")
    assert ({"USD": 1000}, {}) == _pick(summary, "voided", "captured")


@pytest.mark.parametrize("fault", ["held_252", "held_253"])
def test_a_held_charge_can_be_void(gateway: SimulatedGateway, fault: str) -> None:
    """What waits for a person is void and waits no longer."""
    gateway.script(fault)
    held = gateway.charge(order={"invoiceNumber": "V-2"})["transId"]
    assert "1" == _sent(gateway, held, kind=VOID)["responseCode"]
    assert "voided" == gateway.ledger("V-2")[0]["status"]
    assert 0 == gateway.unsettled(status="pendingApproval")["totalNumInResultSet"]


def test_what_cannot_be_void(gateway: SimulatedGateway) -> None:
    """Settled and declined rows are 327, an unknown id is 16."""
    settled = gateway.charge()["transId"]
    declined = gateway.charge(billTo={"zip": "46282"})["transId"]
    gateway.control("POST", "/settle")
    answers = [_sent(gateway, each, kind=VOID) for each in (settled, declined, "123")]
    assert ["327", "327", "16"] == [_said(answer) for answer in answers]
    assert {"3"} == {answer["responseCode"] for answer in answers}


@pytest.mark.parametrize("kind", [CAPTURE, VOID])
def test_a_lost_answer_hides_what_was_done(gateway: SimulatedGateway, kind: str) -> None:
    """A script that names the type and the transaction takes the answer; a repeat says it is done."""
    held = _authorised(gateway, "F-1", amount="10.00")
    match = {"transactionType": kind, "refTransId": held}
    gateway.script("lost_answer", match=match)
    assert "1" == gateway.charge()["responseCode"]
    with pytest.raises(httpx.ReadError):
        _sent(gateway, held, kind=kind)
    assert gateway.ledger("F-1")[0]["status"] in {"capturedPendingSettlement", "voided"}
    assert _said(_sent(gateway, held, kind=kind)) in {"310", "311"}


@pytest.mark.parametrize("kind", [CAPTURE, VOID])
def test_an_uncharged_fault_leaves_the_row_alone(gateway: SimulatedGateway, kind: str) -> None:
    """Busy before anything was done; and a reason that a script names is answered and nothing done."""
    held = _authorised(gateway, "F-2", amount="10.00")
    gateway.script("e00053_uncharged")
    request = {"transactionType": kind, "refTransId": held}
    assert "E00053" == gateway.refusal(CREATE, transactionRequest=request)[0]
    for fault, code in (("decline", "2"), ("reason_19", "3")):
        gateway.script(fault)
        assert code == _sent(gateway, held, kind=kind)["responseCode"]
    assert "authorizedPendingCapture" == gateway.ledger("F-2")[0]["status"]


def test_a_request_delivered_twice_answers_as_a_repeat(gateway: SimulatedGateway) -> None:
    """The infrastructure's second delivery of a capture finds it captured."""
    held = _authorised(gateway, "F-3", amount="10.00")
    gateway.script("delivered_twice")
    assert "311" == _said(_sent(gateway, held, kind=CAPTURE))
    assert {AUTHORISE: 1, CAPTURE: 2} == gateway.control("GET", "/calls")["performed"]


def test_a_test_leaves_no_trace(gateway: SimulatedGateway) -> None:
    """A test request of a capture and of a void is approved with id 0 and does nothing."""
    held = _authorised(gateway, "F-4", amount="10.00")
    test = settings(testRequest="true")
    assert ["0", "0"] == [
        _sent(gateway, held, kind=kind, **test)["transId"] for kind in (CAPTURE, VOID)
    ]
    assert "authorizedPendingCapture" == gateway.ledger("F-4")[0]["status"]


def test_without_the_guard_the_auditor_sees_it(gateway: SimulatedGateway) -> None:
    """With the gateway's check of amounts off, a capture above the authorised amount is named."""
    held = _authorised(gateway, "A-1", amount="10.00")
    assert not gateway.control("GET", "/ledger/summary")["captured_above_authorised"]
    gateway.control("PUT", "/settings", body={"checks_amounts": False})
    assert "1" == _sent(gateway, held, kind=CAPTURE, amount="10.01")["responseCode"]
    summary = gateway.control("GET", "/ledger/summary")
    assert ([held], {"USD": 1001}) == _pick(summary, "captured_above_authorised", "captured")


def test_each_account_has_its_currency_and_its_rows(gateway: SimulatedGateway) -> None:
    """Another login sees nothing of ours, is charged in its own currency, and cannot touch our rows."""
    added = {"login": "euro", "transaction_key": "euro-key", "currency": "EUR"}
    told = gateway.control("POST", "/accounts", body={"accounts": [added]})
    assert {"accounts": [{"login": "euro", "currency": "EUR"}]} == told
    ours = _authorised(gateway, "M-1", amount="10.00")
    means = {"amount": "5.00", "currencyCode": "EUR", **profile()}
    charge = {"transactionType": AUTHORISE, **means, "order": {"invoiceNumber": "M-2"}}
    theirs = _as_euro(gateway, CREATE, transactionRequest=charge)["transactionResponse"]
    assert "1" == theirs["responseCode"]
    assert "39" == _said(gateway.charge(currencyCode="EUR"))
    assert [("EUR", "euro")] == [_pick(row, "currency", "login") for row in gateway.ledger("M-2")]
    for name, members, code in (
        ("getTransactionDetailsRequest", {"transId": ours}, "E00040"),
        ("getUnsettledTransactionListRequest", {}, "I00001"),
    ):
        answer = _as_euro(gateway, name, **members)
        assert code == answer["messages"]["message"][0]["code"]
    assert [theirs["transId"]] == [row["transId"] for row in answer["transactions"]]
    capture = {"transactionType": CAPTURE, "refTransId": ours}
    refused = _as_euro(gateway, CREATE, transactionRequest=capture)["transactionResponse"]
    assert "16" == _said(refused)
    assert ["EUR"] == _as_euro(gateway, "getMerchantDetailsRequest")["currencies"]
    wrong = {"name": "euro", "transactionKey": "key"}
    assert "E00007" == gateway.refusal("authenticateTestRequest", merchantAuthentication=wrong)[0]


def test_the_vendors_sdk_captures_and_voids(gateway: SimulatedGateway) -> None:
    """The SDK's own controller, which speaks XML, gets both through, and reads a repeat as approved."""
    held = _authorised(gateway, "S-1", amount="10.00")
    captured = sdk.follow_up(gateway.url, CAPTURE, transaction_id=held, amount="2.00")
    again = sdk.follow_up(gateway.url, CAPTURE, transaction_id=held)
    void = sdk.follow_up(gateway.url, VOID, transaction_id=held)
    assert [("1", "1", held), ("1", "311", held), ("1", "1", held)] == [
        (answer.response_code, answer.reason, answer.transaction_id)
        for answer in (captured, again, void)
    ]


def _authorised(gateway: SimulatedGateway, invoice: str, *, amount: str) -> str:
    made = gateway.charge(
        transactionType=AUTHORISE, amount=amount, order={"invoiceNumber": invoice}
    )
    return str(made["transId"])


def _sent(gateway: SimulatedGateway, made: str, *, kind: str, **more: Any) -> dict[str, Any]:
    """A capture or void of what was made."""
    members = {"transactionType": kind, **more, "refTransId": made}
    order = ("transactionType", "amount", "currencyCode", "refTransId", "transactionSettings")
    request = {name: members[name] for name in order if name in members}
    answer = gateway.call(CREATE, transactionRequest=request)
    response: dict[str, Any] = answer["transactionResponse"]
    return response


def _as_euro(gateway: SimulatedGateway, name: str, **members: Any) -> dict[str, Any]:
    authentication = {**AUTHENTICATION, "name": "euro", "transactionKey": "euro-key"}
    return gateway.call(name, merchantAuthentication=authentication, **members)


def _said(response: dict[str, Any]) -> str:
    """The reason code, wherever it stands."""
    if "errors" in response:
        return str(response["errors"][0]["errorCode"])
    return str(response["messages"][0]["code"])


def _pick(row: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)
