"""What the gateway adapter's tests share: a charge, an account, settings, a lease, and servers' behaviours.

No tests live here.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count
from typing import Any

from handlers.domain.commands import Address, Line, Mode
from handlers.domain.intents import About, Capture, Charge, Intent, Question, Refund, Void
from handlers.domain.means import (
    CardholderAuthentication,
    Credential,
    MerchantReason,
    NetworkToken,
    OpaqueData,
    StoredCredential,
    StoredProfile,
)
from handlers.domain.money import Money
from handlers.domain.secret import Secret
from handlers.domain.verdicts import Answer, Evidence, Method, Verdict
from handlers.gateway.authorizenet.client import AuthorizeNet
from handlers.gateway.authorizenet.elements import encode
from handlers.gateway.authorizenet.replies import Scrubber
from handlers.gateway.authorizenet.requests import transaction_request
from handlers.gateway.authorizenet.settings import Account, AuthorizeNetSettings
from handlers.gateway.authorizenet.verdicts import verdict_of
from tests.contract.raw_server import Connection, http

LOGIN = "5KP3u95bQpv"
KEY = "346HZ32z3fP4hTG2"
NONCE = "eyJjb2RlIjoiNTBfMl8wNjAwMDUzNEYxQjM2Q0Yx"
ACCOUNT = Account(Secret(LOGIN), Secret(KEY), "USD", cut_off=None)
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
PROFILE = replace(CHARGE, means=StoredProfile("123", "456"))
CODE, TOKEN, CRYPTOGRAM, CAVV = (
    "987",
    "4111110000001111",
    "AgAAAAAABk4DWZ4C28yUQAAAAAA=",
    "Q0FWVlZBTFVF",
)
NETWORK_TOKEN = NetworkToken(Secret(TOKEN), "2031-12", Secret(CRYPTOGRAM), "40010051602")
AUTHENTICATION = CardholderAuthentication("05", Secret(CAVV))
SERIES = StoredCredential(
    Credential.BY_MERCHANT, "NTI0123456789", 500, MerchantReason.DELAYED_CHARGE
)
_CHARGED = "60123456789"
CAPTURE = Capture(
    operation_id="capture:cap-1",
    attempt=1,
    invoice_number="CAPTUREABCDEFGHIJKLM",
    reference="CAPTUREABCDEFGHIJKLM",
    money=Money(1000, "USD"),
    merchant_account="main",
    transaction_id=_CHARGED,
)
VOID = Void(
    operation_id="void:void-1",
    attempt=1,
    invoice_number="VOIDABCDEFGHIJKLMNOP",
    reference="VOIDABCDEFGHIJKLMNOP",
    money=CHARGE.money,
    merchant_account="main",
    transaction_id=_CHARGED,
)
REFUND = Refund(
    operation_id="refund:ref-1",
    attempt=1,
    invoice_number="REFUNDABCDEFGHIJKLMN",
    reference="REFUNDABCDEFGHIJKLMN",
    money=Money(500, "USD"),
    merchant_account="main",
    transaction_id=_CHARGED,
    method=Method("accept_js", "visa", "1111"),
)
_numbers = count(1)
INTENTS: dict[About, Intent] = {one.about: one for one in (CHARGE, CAPTURE, VOID, REFUND)}
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


def wire(intent: Intent = CHARGE) -> dict[str, Any]:
    """The transactionRequest of `intent` as it goes over the wire."""
    sent = json.loads(encode(transaction_request(intent, ACCOUNT)))
    transaction: dict[str, Any] = sent["createTransactionRequest"]["transactionRequest"]
    return transaction


def asked_now(**changes: Any) -> Question:
    """QUESTION about a charge of this moment, with `changes`."""
    return replace(QUESTION, **{"since": datetime.now(UTC), **changes})


def fresh(**changes: object) -> Charge:
    """A charge under its own invoice number with its own one-time token."""
    number = f"INV{next(_numbers):017d}"
    means = OpaqueData("COMMON.ACCEPT.INAPP.PAYMENT", Secret(f"nonce-{number}"))
    base = replace(CHARGE, invoice_number=number, reference=number, means=means)
    return replace(base, **changes)  # type: ignore[arg-type]  # the fields of a charge, by name


def about(charge: Charge) -> Question:
    """The question what became of `charge`."""
    return asked_now(invoice_number=charge.invoice_number, money=charge.money, mode=charge.mode)


@dataclass
class FixedLease:
    """A lease with so much left."""

    left_s: float = 3600.0

    def remaining_s(self) -> float:
        """Seconds left."""
        return self.left_s


def settings(endpoint: str, **changes: Any) -> AuthorizeNetSettings:
    """Settings for a test against `endpoint`: one account, one attempt.

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
        "accounts": {"main": ACCOUNT},
    }
    return AuthorizeNetSettings(endpoint=endpoint, **{**base, **changes})


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


def judged(
    told: object, messages: object = None, *, intent: Intent = CHARGE, **root: Any
) -> Verdict:
    """The verdict of a reply to `intent` that holds `told`."""
    return judged_with_evidence(told, messages, intent=intent, **root)[0]


def judged_with_evidence(
    told: object, messages: object = None, *, intent: Intent = CHARGE, **root: Any
) -> tuple[Verdict, Evidence]:
    """Verdict and evidence of a reply to `intent` that holds `told`."""
    reply: dict[str, Any] = {"refId": intent.reference, "messages": messages or OK} | root
    if told is not None:
        reply["transactionResponse"] = told
    return verdict_of(BOM + json.dumps(reply).encode(), intent, scrubber=SCRUBBER)
