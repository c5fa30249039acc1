"""How a charge is looked for: pages of the unsettled list and details, from a server that answers what a test wrote."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from handlers.domain.intents import Question
from handlers.domain.money import Money
from handlers.domain.verdicts import Advice, Approved, Declined, Finding, Found, Held, NotSeen
from handlers.gateway.authorizenet.client import AuthorizeNet
from handlers.gateway.authorizenet.details import STATUSES, Standing
from handlers.gateway.authorizenet.settings import CutOff
from tests.contract.gateway_fixtures import CHARGE, FixedLease, asked_now, settings
from tests.contract.raw_server import Connection, Heard, http, raw_server

Json = dict[str, Any]
OK: Json = {"resultCode": "Ok", "message": [{"code": "I00001", "text": "Successful."}]}


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


def page(*rows: Json, total: object = None) -> Json:
    """One page of the unsettled list."""
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


@asynccontextmanager
async def scripted(
    pages: list[Json], details: dict[str, Json] | None = None, **changes: Any
) -> AsyncIterator[tuple[AuthorizeNet, Heard]]:
    """An adapter in front of a gateway that has these pages and details."""

    def answer(request: Json) -> Json:
        ((name, members),) = request.items()
        if name == "getTransactionDetailsRequest":
            unknown = {"resultCode": "Error", "message": [{"code": "E00040", "text": "None."}]}
            return (details or {}).get(members["transId"], {"messages": unknown})
        return pages[int(members["paging"]["offset"]) - 1]

    async def serve(connection: Connection) -> None:
        while True:
            reply = answer(json.loads(await connection.request()))
            await connection.say(http(b"\xef\xbb\xbf" + json.dumps(reply).encode()))

    async with raw_server(serve) as heard:
        gateway = AuthorizeNet(settings(heard.url, **changes), lease=FixedLease())
        try:
            yield gateway, heard
        finally:
            await gateway.aclose()


async def found_in(
    pages: list[Json],
    details: dict[str, Json] | None = None,
    *,
    question: Question | None = None,
    **changes: Any,
) -> Finding:
    """What is found of a question in these pages and details."""
    async with scripted(pages, details, **changes) as (gateway, _):
        return await gateway.find(question or asked_now())


def details_of(*told: Json) -> dict[str, Json]:
    """Details by transaction id."""
    return {one["transaction"]["transId"]: one for one in told}


async def test_a_charge_is_found_by_its_invoice_number() -> None:
    """The row with our invoice number is looked up by its transaction id, and told with amount and method."""
    listed = page(row(2), row(1, age_s=5, invoice=CHARGE.invoice_number), row(3, age_s=9))
    finding = await found_in([listed], details_of(detailed()))
    assert isinstance(finding, Found)
    verdict = finding.verdict
    assert isinstance(verdict, Approved)
    assert ("60000000001", True, 1234) == (
        verdict.transaction_id,
        verdict.captured,
        verdict.amount_minor,
    )
    assert ("visa", "1111") == (verdict.method.brand, verdict.method.last4)
    assert "ada@example.org" not in json.dumps(dict(finding.evidence))


async def test_an_absent_charge_is_a_complete_scan() -> None:
    """A list that ends without our row, in order and with a stable total, counts towards absence."""
    finding = await found_in([page(row(2), row(3, age_s=5))])
    assert isinstance(finding, NotSeen)
    assert finding.complete


async def test_an_empty_list_is_a_complete_scan() -> None:
    """No records at all: absent."""
    nothing = {"resultCode": "Ok", "message": [{"code": "I00004", "text": "No records."}]}
    for reply in ({"messages": nothing}, {"messages": nothing, "totalNumInResultSet": 0}):
        finding = await found_in([reply])
        assert isinstance(finding, NotSeen)
        assert finding.complete


async def test_the_scan_stops_where_rows_are_too_old() -> None:
    """Pages behind the first row that is older than the charge can be are not asked for."""
    question = asked_now()  # before the rows, whose ages count from when each is made
    first = [row(n, age_s=n / 10) for n in range(1000)]
    second = [row(1000 + n, age_s=100 + n * 10) for n in range(1000)]
    pages = [page(*first, total=5000), page(*second, total=5000)]
    async with scripted(pages) as (gateway, heard):
        finding = await gateway.find(question)
    assert isinstance(finding, NotSeen)
    assert finding.complete
    assert heard.requests == 2


FULL = [row(n) for n in range(1000)]
LAST = row(2000, age_s=1)
GAPS: list[tuple[str, list[Json]]] = [
    ("changed", [page(*FULL, total=1001), page(LAST, total=1002)]),
    ("missing", [page(*FULL, total=1002), page(LAST, total=1002)]),
    ("missing", [page(*FULL, total=1001), page(FULL[-1], total=1001)]),
    ("order", [page(row(1, age_s=9), row(2, age_s=1))]),
    ("read", [page({"transId": "7", "invoiceNumber": "X"})]),
    ("read", [page({"submitTimeUTC": "2026-11-20T12:00:00Z"})]),
    ("missing", [{"transactions": [row(1)], "messages": OK}]),
    ("refused", [{"messages": {"resultCode": "Error", "message": []}}]),
]


@pytest.mark.parametrize(("why", "pages"), GAPS)
async def test_a_scan_with_a_gap_is_not_complete(why: str, pages: list[Json]) -> None:
    """A changed total, a missing, unordered or unreadable row, a refused list: nothing is proven."""
    finding = await found_in(pages)
    assert isinstance(finding, NotSeen)
    assert not finding.complete
    assert why in finding.why


@pytest.mark.parametrize(
    "pages", [[page(*FULL)], [page(*FULL, total=1001), page(LAST, total="1001")]]
)
async def test_a_list_of_whole_pages_is_complete(pages: list[Json]) -> None:
    """A scan that saw as many rows as the list told, each once, is complete, and asks for no page beyond."""
    finding = await found_in(pages)
    assert isinstance(finding, NotSeen)
    assert finding.complete


async def test_a_list_that_never_ends_is_given_up() -> None:
    """The page budget bounds a scan; what it did not reach is not absent."""
    pages = [page(*[row(n * 1000 + m) for m in range(1000)], total=99_999) for n in range(25)]
    async with scripted(pages) as (gateway, heard):
        finding = await gateway.find(asked_now())
    assert isinstance(finding, NotSeen)
    assert not finding.complete
    assert heard.requests == 20


async def test_old_charges_may_have_settled() -> None:
    """A charge of more than 20 hours ago may be in a settled batch: its absence here proves nothing."""
    question = asked_now(since=datetime.now(UTC) - timedelta(hours=20))
    finding = await found_in([page(row(1))], question=question)
    assert isinstance(finding, NotSeen)
    assert not finding.complete
    assert "settled batches" in finding.why


async def test_a_batch_cut_off_since_proves_nothing() -> None:
    """Where the account's cut-off lies between the charge and now, absence here proves nothing."""
    just_past = CutOff(at=(datetime.now(UTC) - timedelta(minutes=5)).time(), zone="UTC")
    finding = await found_in([page(row(1))], cut_off=just_past)
    assert isinstance(finding, NotSeen)
    assert not finding.complete


async def test_a_batch_cut_off_while_the_list_is_read_proves_nothing() -> None:
    """The list is empty because the batch was closed a moment ago, or is just being closed."""
    about_to = CutOff(at=(datetime.now(UTC) + timedelta(minutes=5)).time(), zone="UTC")
    nothing = {"resultCode": "Ok", "message": [{"code": "I00004", "text": "No records."}]}
    finding = await found_in([{"messages": nothing}], cut_off=about_to)
    assert isinstance(finding, NotSeen)
    assert not finding.complete


@pytest.mark.parametrize(
    ("crossed", "since", "now"),
    [
        (True, "2026-07-01T22:59:00+00:00", "2026-07-01T23:00:00+00:00"),
        (False, "2026-07-01T23:00:00+00:00", "2026-07-02T22:59:00+00:00"),
        (True, "2026-12-01T23:59:00+00:00", "2026-12-02T00:00:00+00:00"),
        (False, "2026-12-02T00:00:00+00:00", "2026-12-02T23:59:00+00:00"),
        (True, "2026-12-01T00:00:00+00:00", "2026-12-02T12:00:00+00:00"),
    ],
)
def test_the_cut_off_follows_the_zones_clock(*, crossed: bool, since: str, now: str) -> None:
    """16:00 Pacific is 23:00 UTC in summer and midnight UTC in winter."""
    assert crossed is CutOff(time(16), "America/Los_Angeles").lies_between(
        datetime.fromisoformat(since), datetime.fromisoformat(now)
    )


STANDINGS = {
    Standing.TAKEN: Approved,
    Standing.RESERVED: Approved,
    Standing.HELD: Held,
    Standing.GONE: Declined,
}


@pytest.mark.parametrize(
    "status",
    [
        "authorizedPendingCapture", "capturedPendingSettlement", "communicationError",
        "refundSettledSuccessfully", "refundPendingSettlement", "approvedReview", "declined",
        "couldNotVoid", "expired", "generalError", "pendingFinalSettlement", "pendingSettlement",
        "failedReview", "settledSuccessfully", "settlementError", "underReview",
        "updatingSettlement", "voided", "FDSPendingReview", "FDSAuthorizedPendingReview",
        "returnedItem", "chargeback", "chargebackReversal", "authorizedPendingRelease",
        "aNewStatus", "",
    ],
)  # fmt: skip
async def test_every_status_reads_as_the_table_says(status: str) -> None:
    """A status in the table is what the table says, any other proves nothing."""
    question = asked_now(transaction_id="60000000001")
    finding = await found_in([], details_of(detailed(status=status)), question=question)
    standing = STATUSES.get(status)
    expected = STANDINGS.get(standing) if standing else None
    if expected is None:
        assert isinstance(finding, NotSeen)
        assert not finding.complete
    else:
        assert isinstance(finding, Found)
        assert isinstance(finding.verdict, expected)
        if isinstance(finding.verdict, Approved):
            assert (standing is Standing.TAKEN) is finding.verdict.captured


async def test_a_declined_row_carries_its_reason() -> None:
    """Lists hold declined rows too: the reason decides the advice, also where the status is the catch-all one."""
    question = asked_now(transaction_id="60000000001")
    for status in ("declined", "generalError"):
        told = detailed(status=status, responseCode=2, responseReasonCode=4)
        finding = await found_in([], details_of(told), question=question)
        assert isinstance(finding, Found)
        assert isinstance(finding.verdict, Declined)
        assert ("4", Advice.HARD) == (finding.verdict.reason.code, finding.verdict.reason.advice)


@pytest.mark.parametrize(
    ("amount_minor", "changes"),
    [
        (123, {"authAmount": 1.23, "settleAmount": 1.23}),
        (1234, {"authAmount": "12.34", "settleAmount": None}),
        (1000, {"authAmount": 12.34, "settleAmount": "10"}),
    ],
)
async def test_the_amount_is_what_the_gateway_says(
    amount_minor: int, changes: dict[str, Any]
) -> None:
    """What was captured counts, else what was authorised, exactly, as number or text."""
    question = asked_now(transaction_id="60000000001")
    finding = await found_in([], details_of(detailed(**changes)), question=question)
    assert isinstance(finding, Found)
    assert isinstance(finding.verdict, Approved)
    assert amount_minor == finding.verdict.amount_minor


@pytest.mark.parametrize(
    "changes",
    [
        {"authAmount": None, "settleAmount": None},
        {"authAmount": 1.234, "settleAmount": 1.234},
        {"currencyCode": "XXX"},
        {"order": {"invoiceNumber": "ANOTHER"}},
        {"order": None},
        {"transId": "0"},
    ],
)
async def test_details_that_cannot_be_ours_prove_nothing(changes: dict[str, Any]) -> None:
    """No readable amount, an unknown currency, another invoice number: not found, and not absent either."""
    question = asked_now(transaction_id="60000000001")
    told = {"60000000001": detailed(**changes)}
    finding = await found_in([], told, question=question)
    assert isinstance(finding, NotSeen)
    assert not finding.complete


async def test_the_currency_is_told_where_the_gateway_gives_it() -> None:
    """A currency in the details is passed on, so that the difference is seen; yen have no decimals."""
    question = asked_now(transaction_id="60000000001", money=Money(500, "JPY"))
    told = detailed(authAmount=500, settleAmount=500)
    finding = await found_in([], details_of(told), question=question)
    assert isinstance(finding, Found)
    assert isinstance(finding.verdict, Approved)
    assert (500, None) == (finding.verdict.amount_minor, finding.verdict.currency)
    told = detailed(currencyCode="EUR")
    finding = await found_in([], details_of(told), question=question)
    assert isinstance(finding, Found)
    assert isinstance(finding.verdict, Approved)
    assert (1234, "EUR") == (finding.verdict.amount_minor, finding.verdict.currency)


async def test_of_several_rows_the_approved_one_counts() -> None:
    """Two rows with our invoice number: the approval is told, and the evidence says that there were more."""
    ours = CHARGE.invoice_number
    listed = page(row(2, invoice=ours), row(1, age_s=5, invoice=ours))
    told = details_of(detailed(2, "declined", responseCode=2, responseReasonCode=2), detailed(1))
    finding = await found_in([listed], told)
    assert isinstance(finding, Found)
    assert isinstance(finding.verdict, Approved)
    assert finding.evidence["matches"] == ["60000000002", "60000000001"]


async def test_a_decline_beside_an_unclear_row_is_not_believed() -> None:
    """Where another matching row may be an approval, a declined one decides nothing."""
    ours = CHARGE.invoice_number
    listed = page(row(2, invoice=ours), row(1, age_s=5, invoice=ours))
    told = details_of(detailed(2, "declined", responseCode=2, responseReasonCode=2))
    finding = await found_in([listed], told)
    assert isinstance(finding, NotSeen)
    assert not finding.complete


async def test_an_unknown_account_and_a_silent_gateway_prove_nothing() -> None:
    """Questions that cannot be asked or are not answered are scans that are not complete."""
    finding = await found_in([], question=asked_now(merchant_account="other"))
    assert isinstance(finding, NotSeen)
    assert not finding.complete
    async with raw_server(Connection.rest) as heard:
        gateway = AuthorizeNet(settings(heard.url, total_deadline_s=0.2), lease=FixedLease())
        finding = await gateway.find(asked_now())
        await gateway.aclose()
    assert isinstance(finding, NotSeen)
    assert not finding.complete
