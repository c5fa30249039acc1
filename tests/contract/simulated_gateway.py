"""The simulator as a test meets it: a process, its two URLs, and requests as the vendor's schema has them.

No claims live here, and nothing of the simulator is imported: it is another program.
"""

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.waiting import addresses

ROOT = Path(__file__).parents[2]
BOM = b"\xef\xbb\xbf"
ACCEPT = "COMMON.ACCEPT.INAPP.PAYMENT"
AUTHENTICATION = {"name": "shop", "transactionKey": "key"}
_numbers = itertools.count(1)


def token(value: str | None = None, descriptor: str = ACCEPT) -> dict[str, Any]:
    """A payment by opaque data; each call without a value makes a fresh one."""
    data = {"dataDescriptor": descriptor, "dataValue": value or f"nonce-{next(_numbers)}"}
    return {"payment": {"opaqueData": data}}


def profile(payment_profile: str = "900000001", **more: Any) -> dict[str, Any]:
    """A payment by stored profile."""
    inner = {"paymentProfileId": payment_profile, **more}
    return {"profile": {"customerProfileId": "900000000", "paymentProfile": inner}}


def settings(**given: str) -> dict[str, Any]:
    """Transaction settings as the request has them."""
    rows = [{"settingName": name, "settingValue": value} for name, value in given.items()]
    return {"transactionSettings": {"setting": rows}}


_ORDER = (
    "transactionType", "amount", "currencyCode", "payment", "profile", "order", "poNumber",
    "customer", "billTo", "transactionSettings", "userFields",
)  # fmt: skip


def charge_body(**members: Any) -> dict[str, Any]:
    """A transactionRequest in schema order: 10.00 by a fresh token under a fresh invoice number, unless told otherwise.

    Fresh, because equal content is a repeat, and all tokens stand for the same card.
    """
    means = {} if members.keys() & {"payment", "profile"} else token()
    order = {"invoiceNumber": f"fresh-{next(_numbers)}"}
    defaults = {
        "transactionType": "authCaptureTransaction",
        "amount": "10.00",
        **means,
        "order": order,
    }
    whole = {**defaults, **members}
    assert whole.keys() <= set(_ORDER)
    return {name: whole[name] for name in _ORDER if name in whole}


class SimulatedGateway:
    """A running simulator."""

    def __init__(self, process: subprocess.Popen[bytes], urls: dict[str, str]) -> None:
        self.process = process
        self.url, self.control_url = urls["url"], urls["control_url"]
        self.client = httpx.Client(timeout=30)

    def post(self, body: bytes, *, content_type: str = "application/json") -> httpx.Response:
        """Send bytes to the gateway's URL."""
        return self.client.post(self.url, content=body, headers={"content-type": content_type})

    def call(self, name: str, **members: Any) -> dict[str, Any]:
        """Send a request whose members stand as given, behind the credentials."""
        answer = self.post(
            json.dumps({name: {"merchantAuthentication": AUTHENTICATION, **members}}).encode()
        )
        assert 200 == answer.status_code
        assert answer.content.startswith(BOM)
        decoded: dict[str, Any] = json.loads(answer.content.decode("utf-8-sig"))
        return decoded

    def charge(
        self, members: dict[str, Any] | None = None, *, ref_id: str = "ref-1", **more: Any
    ) -> dict[str, Any]:
        """Send a charge and give its transactionResponse."""
        request = charge_body(**(members or {}), **more)
        answer = self.call("createTransactionRequest", refId=ref_id, transactionRequest=request)
        response: dict[str, Any] = answer["transactionResponse"]
        return response

    def refusal(self, name: str = "createTransactionRequest", **members: Any) -> tuple[str, str]:
        """Code and text of a reply whose verdict is Error."""
        messages = self.call(name, **members)["messages"]
        assert "Error" == messages["resultCode"]
        return messages["message"][0]["code"], messages["message"][0]["text"]

    def unsettled(self, **members: Any) -> dict[str, Any]:
        """One page of the unsettled list."""
        return self.call("getUnsettledTransactionListRequest", **members)

    def control(self, method: str, path: str, *, body: Any = None) -> Any:
        """Ask the control port; it must agree."""
        answer = self.client.request(method, self.control_url + path, json=body)
        assert 200 == answer.status_code, answer.text
        return answer.json()

    def ledger(self, invoice: str) -> list[dict[str, Any]]:
        """What was really recorded under an invoice number."""
        rows: list[dict[str, Any]] = self.control("GET", f"/ledger?invoice={invoice}")[
            "transactions"
        ]
        return rows

    def script(self, fault: str, **rule: Any) -> None:
        """Let the next charge meet a fault."""
        self.control("POST", "/script", body={"rules": [{"match": {}, "fault": fault, **rule}]})


@contextmanager
def running(ready_file: Path, *more: str) -> Iterator[SimulatedGateway]:
    """A simulator of one's own, ended with SIGTERM, which must give exit code 0."""
    command = [
        sys.executable,
        "-m",
        "worker.demo.simulator",
        "--ready-file",
        str(ready_file),
        *more,
    ]
    with subprocess.Popen(command, cwd=ROOT) as process:
        try:
            gateway = SimulatedGateway(process, addresses(ready_file, process))
            with gateway.client:
                yield gateway
        finally:
            process.terminate()
        assert 0 == process.wait(timeout=30)
