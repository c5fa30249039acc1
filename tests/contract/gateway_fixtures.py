"""What the gateway adapter's tests share: a charge, an account, settings, a lease, and servers' behaviours.

No tests live here.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from handlers.domain.commands import Address, Line, Mode, OpaqueData
from handlers.domain.intents import Charge, Question
from handlers.domain.money import Money
from handlers.domain.secret import Secret
from handlers.domain.verdicts import Answer, Evidence, Verdict
from handlers.gateway.authorizenet.client import AuthorizeNet
from handlers.gateway.authorizenet.replies import Scrubber
from handlers.gateway.authorizenet.settings import Account, AuthorizeNetSettings
from handlers.gateway.authorizenet.verdicts import charge_verdict
from tests.contract.raw_server import Connection, http

LOGIN = "5KP3u95bQpv"
KEY = "346HZ32z3fP4hTG2"
NONCE = "eyJjb2RlIjoiNTBfMl8wNjAwMDUzNEYxQjM2Q0Yx"
ACCOUNT = Account(Secret(LOGIN), Secret(KEY))
CHARGE = Charge(
    operation_id="initiation:pay-1",
    attempt=1,
    invoice_number="ABCDEFGHIJKLMNOPQRST",
    reference="ABCDEFGHIJKLMNOPQRST",
    mode=Mode.SALE,
    money=Money(1234, "USD"),
    means=OpaqueData("COMMON.ACCEPT.INAPP.PAYMENT", Secret(NONCE)),
    merchant_account="main",
    order_id="order-1",
    user_id="user-1",
    description="Two books",
    billing=Address(first_name="Ada", last_name="Lovelace", zip="98004", email="ada@example.org"),
    customer_ip="192.0.2.7",
    lines=(Line("sku-1", "A book", 2, 617),),
)
# What a gateway that works says to CHARGE.
APPROVAL = (
    b'\xef\xbb\xbf{"transactionResponse":{"responseCode":"1","authCode":"A1","transId":"60123456789",'
    b'"accountNumber":"XXXX1111","accountType":"Visa","messages":[{"code":"1","description":"Approved."}]},'
    b'"refId":"ABCDEFGHIJKLMNOPQRST","messages":{"resultCode":"Ok","message":[{"code":"I00001","text":"Ok."}]}}'
)
QUESTION = Question(
    merchant_account="main",
    invoice_number=CHARGE.invoice_number,
    money=CHARGE.money,
    mode=CHARGE.mode,
    since=datetime(2026, 11, 20, 12, 0, tzinfo=UTC),
)
BOM = b"\xef\xbb\xbf"
SCRUBBER = Scrubber([Secret(KEY), Secret(LOGIN), Secret(NONCE)])
OK = {"resultCode": "Ok", "message": [{"code": "I00001", "text": "Successful."}]}
UNSUCCESSFUL = {
    "resultCode": "Error",
    "message": [{"code": "E00027", "text": "The transaction was unsuccessful."}],
}


def asked_now(**changes: Any) -> Question:
    """QUESTION about a charge of this moment, with `changes`."""
    return replace(QUESTION, **{"since": datetime.now(UTC), **changes})


@dataclass
class FixedLease:
    """A lease with so much left."""

    left_s: float = 3600.0

    def remaining_s(self) -> float:
        """Seconds left."""
        return self.left_s


def settings(endpoint: str, **changes: Any) -> AuthorizeNetSettings:
    """Settings for a test against `endpoint`: one attempt, no batch cut-off.

    The deadlines are long enough for a busy machine; a test that waits for one to pass names a short one.
    """
    base: dict[str, Any] = {
        "total_deadline_s": 20.0,
        "connect_timeout_s": 10.0,
        "margin_s": 0.1,
        "in_flight": 4,
        "unsent_attempts": 1,
        "retry_first_wait_s": 0.01,
        "retry_longest_wait_s": 0.05,
        "cut_off": None,
    }
    return AuthorizeNetSettings(
        endpoint=endpoint, accounts={"main": ACCOUNT}, **{**base, **changes}
    )


@asynccontextmanager
async def client(
    config: AuthorizeNetSettings, lease: FixedLease | None = None
) -> AsyncIterator[AuthorizeNet]:
    """An adapter that is closed at the end."""
    gateway = AuthorizeNet(config, lease=lease or FixedLease())
    try:
        yield gateway
    finally:
        await gateway.aclose()


async def send_once(url: str, **changes: Any) -> Answer:
    """What a charge sent to `url` comes to."""
    async with client(settings(url, **changes)) as gateway:
        return await gateway.send(CHARGE)


async def approve(connection: Connection) -> None:
    """A gateway that works, for as many requests as come."""
    while True:
        await connection.request()
        await connection.say(http(APPROVAL))


async def keep_silent(connection: Connection) -> None:
    """Read it all and never answer."""
    await connection.request()
    await connection.rest()


async def server_error(connection: Connection) -> None:
    """HTTP 500 with an approval inside, which must not be believed."""
    await connection.request()
    await connection.say(http(APPROVAL, status="500 Internal Server Error"))


def approval(**changes: Any) -> dict[str, Any]:
    """A transactionResponse that approves, with `changes`."""
    told = {
        "responseCode": "1",
        "authCode": "HW617E",
        "avsResultCode": "Y",
        "cvvResultCode": "P",
        "cavvResultCode": "2",
        "transId": "60123456789",
        "refTransID": "",
        "transHash": "",
        "testRequest": "0",
        "accountNumber": "XXXX1111",
        "accountType": "MasterCard",
        "messages": [{"code": "1", "description": "This transaction has been approved."}],
        "transHashSha2": "ABCDEF",
        "networkTransId": "NTI123",
        "someNewField": {"deep": [1]},
    }
    return told | changes


def refusal(response_code: str, *codes: str, **changes: Any) -> dict[str, Any]:
    """A transactionResponse that does not approve, with errors of `codes`."""
    errors = [{"errorCode": code, "errorText": f"text of {code}"} for code in codes]
    told = approval(responseCode=response_code, authCode="", transId="0", errors=errors)
    del told["messages"]
    return told | changes


def judged(told: object, messages: object = None, **root: Any) -> Verdict:
    """The verdict of a reply to CHARGE that holds `told`."""
    return judged_with_evidence(told, messages, **root)[0]


def judged_with_evidence(
    told: object, messages: object = None, **root: Any
) -> tuple[Verdict, Evidence]:
    """Verdict and evidence of a reply to CHARGE that holds `told`."""
    reply: dict[str, Any] = {"refId": CHARGE.reference, "messages": messages or OK} | root
    if told is not None:
        reply["transactionResponse"] = told
    return charge_verdict(BOM + json.dumps(reply).encode(), CHARGE, scrubber=SCRUBBER)
