"""A gateway whose lists, batches and details a test writes, over a real socket. No tests live here."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from handlers.domain.intents import Question
from handlers.domain.verdicts import Finding
from handlers.gateway.authorizenet.client import AuthorizeNet
from handlers.gateway.authorizenet.settings import CutOff
from tests.contract.gateway_fixtures import (
    ACCOUNT,
    BOM,
    CHARGE,
    OK,
    FixedLease,
    asked_now,
    settings,
)
from tests.contract.raw_server import Connection, Heard, http, raw_server

Json = dict[str, Any]
NOTHING: Json = {
    "messages": {"resultCode": "Ok", "message": [{"code": "I00004", "text": "No records."}]}
}
_UNKNOWN: Json = {
    "messages": {"resultCode": "Error", "message": [{"code": "E00040", "text": "None."}]}
}


def row(
    number: int, *, age_s: float = 0.0, invoice: str = "OTHER", status: str = "declined"
) -> Json:
    """One row of a list."""
    at = (datetime.now(UTC) - timedelta(seconds=age_s)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "transId": str(60_000_000_000 + number),
        "submitTimeUTC": at,
        "transactionStatus": status,
        "invoiceNumber": invoice,
        "settleAmount": 12.34,
    }


# A whole page, newest first however long it takes to make, and a row that is older.
FULL = [row(n, age_s=n / 1000) for n in range(1000)]
LAST = row(2000, age_s=60)


def page(*rows: Json, total: object = None) -> Json:
    """One page of a list."""
    told = len(rows) if total is None else total
    return {"transactions": list(rows), "totalNumInResultSet": told, "messages": OK}


def detailed(number: int = 1, status: str = "capturedPendingSettlement", **changes: Any) -> Json:
    """Details of one transaction."""
    told = {
        "transId": str(60_000_000_000 + number),
        "submitTimeUTC": "2026-11-20T12:00:00Z",
        "transactionType": "authCaptureTransaction",
        "transactionStatus": status,
        "responseCode": 1,
        "responseReasonCode": 1,
        "responseReasonDescription": "Approval",
        "authCode": "HW617E",
        "AVSResponse": "Y",
        "order": {"invoiceNumber": CHARGE.invoice_number},
        "requestedAmount": 12.34,
        "authAmount": 12.34,
        "settleAmount": 12.34,
        "payment": {"creditCard": {"cardNumber": "XXXX1111", "cardType": "Visa"}},
        "customer": {"email": "ada@example.org"},
    }
    return {"transaction": told | changes, "messages": OK}


@dataclass
class Script:
    """What the gateway has: pages of the unsettled list, batches by number with their pages, details.

    `refused`: requests that are answered with this message code instead.
    """

    unsettled: list[Json] = field(default_factory=lambda: [NOTHING])
    batches: dict[str, list[Json]] = field(default_factory=dict)
    details: list[Json] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    batch_questions: list[Json] = field(default_factory=list)

    def answer(self, name: str, members: Json) -> Json:
        """The reply to one request."""
        if name in self.refused:
            refusal = {"code": self.refused[name], "text": "No."}
            return {"messages": {"resultCode": "Error", "message": [refusal]}}
        if name == "getTransactionDetailsRequest":
            told = {one["transaction"]["transId"]: one for one in self.details}
            return told.get(members["transId"], _UNKNOWN)
        if name == "getSettledBatchListRequest":
            self.batch_questions.append(members)
            if not self.batches or len(self.batch_questions) > 1:
                return NOTHING
            listed = [{"batchId": number, "settlementState": "?"} for number in self.batches]
            return {"batchList": listed, "messages": OK}
        pages = self.unsettled
        if name == "getTransactionListRequest":
            pages = self.batches[members["batchId"]]
        return pages[int(members["paging"]["offset"]) - 1]


@asynccontextmanager
async def scripted(
    script: Script, *, cut_off: CutOff | None = None, now: datetime | None = None
) -> AsyncIterator[tuple[AuthorizeNet, Heard]]:
    """An adapter in front of a gateway that has this."""

    async def serve(connection: Connection) -> None:
        while True:
            ((name, members),) = json.loads(await connection.request()).items()
            await connection.say(http(BOM + json.dumps(script.answer(name, members)).encode()))

    async with raw_server(serve) as heard:
        config = settings(heard.url, accounts={"main": replace(ACCOUNT, cut_off=cut_off)})
        clock = (lambda: datetime.now(UTC)) if now is None else (lambda: now)
        gateway = AuthorizeNet(config, lease=FixedLease(), now=clock)
        try:
            yield gateway, heard
        finally:
            await gateway.aclose()


async def found_in(script: Script, question: Question | None = None, **changes: Any) -> Finding:
    """What is found of a question there."""
    async with scripted(script, **changes) as (gateway, _):
        return await gateway.find(question or asked_now())
