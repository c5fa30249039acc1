"""The simulator's protocol: bodies, order, lengths, credentials, and its life as a process."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contract import vendor_sdk as sdk
from tests.contract.simulated_gateway import (
    AUTHENTICATION,
    BOM,
    ROOT,
    SimulatedGateway,
    charge_body,
    running,
)
from tests.waiting import addresses, wait_until

CREATE = "createTransactionRequest"


def test_every_body_starts_with_the_byte_order_mark(gateway: SimulatedGateway) -> None:
    """Good answers and refusals alike start with EF BB BF, which content-length counts."""
    for body in (b"no json", json.dumps({"authenticateTestRequest": _members()}).encode()):
        answer = gateway.post(body)
        assert BOM == answer.content[:3]
        assert str(len(answer.content)) == answer.headers["content-length"]


def test_api_errors_travel_with_http_200(gateway: SimulatedGateway) -> None:
    """A body that is no JSON gets 200 and E00003."""
    answer = gateway.post(b"{")
    assert 200 == answer.status_code
    assert "E00003" == _code(answer)


def test_a_wrong_content_type_is_e00002(gateway: SimulatedGateway) -> None:
    """Only JSON types are taken."""
    assert "E00002" == _code(gateway.post(b"{}", content_type="text/plain"))


def test_the_vendors_sdk_is_served(gateway: SimulatedGateway) -> None:
    """The SDK's own controller, which speaks XML, gets a charge, a refusal, a list and details through."""
    charged = sdk.charge(gateway.url, invoice="SDK-1", amount="12.34")
    assert ("Ok", "1", "1") == (charged.verdict, charged.response_code, charged.reason)
    assert charged.transaction_id == gateway.ledger("SDK-1")[0]["transId"]
    declined = sdk.charge(gateway.url, invoice="SDK-2", amount="1", zip_code="46282")
    assert ("2", "2") == (declined.response_code, declined.reason)
    assert ["SDK-2", "SDK-1"] == sdk.unsettled_invoices(gateway.url)
    assert "12.34" == sdk.settle_amount(gateway.url, charged.transaction_id)


def test_xml_is_refused_as_json_is(gateway: SimulatedGateway) -> None:
    """What is no XML, and what breaks the order, are ErrorResponses with E00003."""
    for body in (
        b"<a",
        b"<createTransactionRequest xmlns='AnetApi/xml/v1/schema/AnetApiSchema.xsd'/>",
    ):
        answer = gateway.post(body, content_type="text/xml")
        assert BOM == answer.content[:3]
        assert b"<ErrorResponse" in answer.content
        assert b"<code>E00003</code>" in answer.content


def test_a_request_may_start_with_the_mark_too(gateway: SimulatedGateway) -> None:
    """A byte order mark before the request changes nothing."""
    body = BOM + json.dumps({"authenticateTestRequest": _members()}).encode()
    assert "I00001" == _code(gateway.post(body, content_type="text/json; charset=utf-8"))


def test_the_order_of_elements_is_the_schemas(gateway: SimulatedGateway) -> None:
    """A member in the wrong place gets E00003 with the elements that would have been legal."""
    code, text = gateway.refusal(CREATE, transactionRequest=charge_body(), refId="late")
    assert "E00003" == code
    assert "invalid child element 'refId'" in text
    request = {"transactionType": "authCaptureTransaction", "payment": {}, "amount": "1.00"}
    code, text = gateway.refusal(CREATE, transactionRequest=request)
    assert "E00003" == code


def test_the_refusal_lists_what_was_expected(gateway: SimulatedGateway) -> None:
    """The list of expected elements follows the last good one, in schema order."""
    request = {**charge_body(), "poNumber": "1", "lineItems": {}}
    _, text = gateway.refusal(CREATE, transactionRequest=request)
    assert "'customer, billTo, shipTo, customerIP," in text


@pytest.mark.parametrize(
    ("members", "order"),
    [
        (
            {"transactionType": "authCaptureTransaction"},
            (
                "amount, currencyCode, payment, profile, solution, callId, terminalNumber, authCode, refTransId, "
                "splitTenderId, order, lineItems, tax, duty, shipping, taxExempt, poNumber, customer, billTo, shipTo, "
                "customerIP, cardholderAuthentication, retail, employeeId, transactionSettings, userFields, surcharge, "
                "merchantDescriptor, subMerchant, tip, processingOptions, subsequentAuthInformation, otherTax, "
                "shipFrom, authorizationIndicatorType"
            ),
        ),
        (
            {"transactionType": "x", "billTo": {"firstName": "n"}},
            "lastName, company, address, city, state, zip, country, phoneNumber, faxNumber, email",
        ),
        (
            {"transactionType": "x", "customer": {"type": "individual"}},
            "id, email, driversLicense, taxId",
        ),
    ],
)
def test_the_order_is_the_one_on_record(
    gateway: SimulatedGateway, members: dict[str, Any], order: str
) -> None:
    """What may follow an element is, name by name, what the vendor's schema says."""
    request = json.loads(json.dumps(members))
    inner = request if len(request) == 1 else request[list(request)[-1]]
    inner["nonsense"] = 1
    _, text = gateway.refusal(CREATE, transactionRequest=request)
    assert f"List of possible elements expected: '{order}'" in text


def test_an_unknown_element_is_e00003(gateway: SimulatedGateway) -> None:
    """A member that the schema does not know is refused, however deep."""
    request = charge_body(order={"invoiceNumber": "1", "colour": "red"})
    code, text = gateway.refusal(CREATE, transactionRequest=request)
    assert "E00003" == code
    assert "'colour'" in text


def test_a_missing_element_is_e00003(gateway: SimulatedGateway) -> None:
    """A request without its required element says which one was expected."""
    code, text = gateway.refusal(CREATE)
    assert "E00003" == code
    assert "transactionRequest" in text


def test_one_payment_and_no_second(gateway: SimulatedGateway) -> None:
    """Payment is a choice: a second means is an unexpected element."""
    both = {"opaqueData": {"dataDescriptor": "x", "dataValue": "y"}, "payPal": {}}
    assert "E00003" == gateway.refusal(CREATE, transactionRequest=charge_body(payment=both))[0]


@pytest.mark.parametrize(
    "changed",
    [
        {"order": {"invoiceNumber": "1" * 21}},
        {"order": {"description": "1" * 256}},
        {"customer": {"id": "1" * 21}},
        {"billTo": {"firstName": "n" * 51}},
        {"billTo": {"zip": "1" * 21}},
        {"amount": "ten"},
        {"customer": {"type": "robot"}},
    ],
)
def test_lengths_and_values_are_the_schemas(
    gateway: SimulatedGateway, changed: dict[str, Any]
) -> None:
    """A value outside its type's facets is E00003 and charges nothing."""
    request = charge_body(**changed)
    code, text = gateway.refusal(CREATE, transactionRequest=request)
    assert "E00003" == code
    assert "is invalid" in text
    assert 0 == gateway.control("GET", "/ledger")["total"]


def test_the_reference_is_echoed_and_bounded(gateway: SimulatedGateway) -> None:
    """The refId comes back as it was, null as an empty text, and 21 characters are too many."""
    assert "abc" == gateway.call("authenticateTestRequest", refId="abc")["refId"]
    assert not gateway.call("authenticateTestRequest", refId=None)["refId"]
    assert "refId" not in gateway.call("authenticateTestRequest")
    assert "E00003" == gateway.refusal("authenticateTestRequest", refId="r" * 21)[0]


def test_an_unknown_method_and_an_unserved_one_differ(gateway: SimulatedGateway) -> None:
    """A name that the vendor does not have is E00004; one that is not simulated says so."""
    assert "E00004" == gateway.refusal("payMeRequest")[0]
    code, text = gateway.refusal("getBatchStatisticsRequest")
    assert "E00011" == code
    assert "does not serve" in text


def test_an_unserved_transaction_type_is_no_success(gateway: SimulatedGateway) -> None:
    """A type outside the table gets reason 123 with words."""
    answer = gateway.charge(transactionType="captureOnlyTransaction")
    assert ("3", "123") == (answer["responseCode"], answer["errors"][0]["errorCode"])
    assert "not served" in answer["errors"][0]["errorText"]


def test_the_account_tells_its_one_currency(gateway: SimulatedGateway) -> None:
    """The merchant details have the currencies and the test mode."""
    answer = gateway.call("getMerchantDetailsRequest")
    assert (["USD"], False) == (answer["currencies"], answer["isTestMode"])


def test_credentials_are_checked(tmp_path: Path) -> None:
    """With a login and a key file, anything else is E00007; the key's length is the schema's."""
    key_file = tmp_path / "key"
    key_file.write_text("the-right-key\n")
    with running(
        tmp_path / "ready", "--login", "shop", "--transaction-key-file", str(key_file)
    ) as own:
        right = {"name": "shop", "transactionKey": "the-right-key"}
        assert "I00001" == _code(own.post(_probe(right)))
        assert "E00007" == _code(own.post(_probe({**right, "transactionKey": "wrong"})))
        assert "E00007" == _code(own.post(_probe({**right, "name": "other"})))
        assert "E00003" == _code(own.post(_probe({**right, "transactionKey": "k" * 17})))
        assert 2 == own.control("GET", "/calls")["authentication_refusals"]


def test_the_http_surface_refuses_what_it_does_not_read(gateway: SimulatedGateway) -> None:
    """Other paths, other methods, chunked and oversized bodies get their HTTP status."""
    base = gateway.url.removesuffix("/xml/v1/request.api")
    with httpx.Client(base_url=base) as client:
        assert 404 == client.post("/other", content=b"").status_code
        assert 405 == client.get("/xml/v1/request.api").status_code
        assert 411 == client.post("/xml/v1/request.api", content=iter([b"{}"])).status_code
        assert 413 == client.post("/xml/v1/request.api", content=b" " * 2_000_000).status_code
        assert 431 == client.post("/", headers={"x": "y" * 20_000}).status_code


def test_an_orphan_ends_by_itself(tmp_path: Path) -> None:
    """When the parent dies without a word the simulator ends."""
    ready = tmp_path / "ready"
    program = (
        "import subprocess, sys, time;"
        "child = subprocess.Popen([sys.executable, '-m', 'worker.demo.simulator', '--ready-file', sys.argv[1]]);"
        "print(child.pid, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", program, str(ready)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        urls = addresses(ready, parent)
        parent.send_signal(signal.SIGKILL)
    wait_until(lambda: not _alive(child))
    with pytest.raises(httpx.ConnectError):
        httpx.get(urls["control_url"] + "/calls")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"


def _members() -> dict[str, Any]:
    return {"merchantAuthentication": AUTHENTICATION}


def _probe(authentication: dict[str, str]) -> bytes:
    return json.dumps(
        {"authenticateTestRequest": {"merchantAuthentication": authentication}}
    ).encode()


def _code(answer: httpx.Response) -> str:
    code: str = json.loads(answer.content)["messages"]["message"][0]["code"]
    return code
