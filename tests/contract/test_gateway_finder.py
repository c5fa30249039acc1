"""How a charge is looked for: pages of the unsettled list and details, from a server that answers what a test wrote.

The settled batches are in `test_gateway_settled.py`, what each status means in `test_gateway_standings.py`.
"""

import asyncio
import json
from datetime import datetime, time
from typing import Any

import pytest

from handlers.domain.verdicts import Approved, Found, NotSeen
from handlers.gateway.authorizenet.client import AuthorizeNet
from handlers.gateway.authorizenet.settings import CutOff
from tests.contract.gateway_fixtures import CHARGE, OK, FixedLease, asked_now, settings
from tests.contract.raw_server import Connection, raw_server
from tests.contract.scripted_gateway import (
    FULL,
    LAST,
    NOTHING,
    Json,
    Script,
    detailed,
    found_in,
    page,
    row,
    scripted,
)
from tests.waiting import until


async def test_a_charge_is_found_by_its_invoice_number() -> None:
    """The row with our invoice number is looked up by its transaction id, and told with amount and method."""
    listed = page(row(2), row(1, age_s=5, invoice=CHARGE.invoice_number), row(3, age_s=9))
    finding = await found_in(Script([listed], details=[detailed()]))
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
    finding = await found_in(Script([page(row(2), row(3, age_s=5))]))
    assert isinstance(finding, NotSeen)
    assert finding.complete


async def test_an_empty_list_is_a_complete_scan() -> None:
    """No records at all: absent."""
    for reply in (NOTHING, NOTHING | {"totalNumInResultSet": 0}):
        finding = await found_in(Script([reply]))
        assert isinstance(finding, NotSeen)
        assert finding.complete


async def test_the_scan_stops_where_rows_are_too_old() -> None:
    """Pages behind the first row that is older than the charge can be are not asked for."""
    question = asked_now()  # before the rows, whose ages count from when each is made
    first = [row(n, age_s=n / 10) for n in range(1000)]
    second = [row(1000 + n, age_s=100 + n * 10) for n in range(1000)]
    pages = [page(*first, total=5000), page(*second, total=5000)]
    async with scripted(Script(pages)) as (gateway, heard):
        finding = await gateway.find(question)
    assert isinstance(finding, NotSeen)
    assert finding.complete
    assert 2 + 1 == heard.requests  # and the question for batches


GAPS: list[tuple[str, list[Json]]] = [
    ("shrank", [page(*FULL, total=1002), page(LAST, total=1001)]),
    ("missing", [page(*FULL, total=1002), page(LAST, total=1002)]),
    ("missing", [page(*FULL, total=1003), page(FULL[-1], LAST, total=1004)]),
    ("missing", [page(*FULL, total=1001), page(FULL[-1], total=1001)]),
    ("order", [page(row(1, age_s=9), row(2, age_s=1))]),
    ("read", [page({"transId": "7", "invoiceNumber": "X"})]),
    ("read", [page({"submitTimeUTC": "2026-11-20T12:00:00Z"})]),
    ("missing", [{"transactions": [row(1)], "messages": OK}]),
    ("refused", [{"messages": {"resultCode": "Error", "message": []}}]),
]


@pytest.mark.parametrize(("why", "pages"), GAPS)
async def test_a_scan_with_a_gap_is_not_complete(why: str, pages: list[Json]) -> None:
    """A list that shrinks, a missing, unordered or unreadable row, a refused list: nothing is proven."""
    finding = await found_in(Script(pages))
    assert isinstance(finding, NotSeen)
    assert not finding.complete
    assert why in finding.why


@pytest.mark.parametrize(
    "pages",
    [
        [page(*FULL)],
        [page(*FULL, total=1001), page(LAST, total="1001")],
        [page(*FULL, total=1001), page(*FULL[-2:], LAST, total=1003)],
    ],
    ids=["one page", "two pages", "rows came in"],
)
async def test_a_list_of_whole_pages_is_complete(pages: list[Json]) -> None:
    """A scan that saw as many rows as the list told first is complete; what came in meanwhile stands on top.

    Regression: any other total counted as a gap, so that a busy shop could never prove an absence.
    """
    finding = await found_in(Script(pages))
    assert isinstance(finding, NotSeen)
    assert finding.complete


async def test_a_list_that_never_ends_is_given_up() -> None:
    """The page budget bounds a scan; what it did not reach is not absent."""
    pages = [
        page(*[row(n * 1000 + m, age_s=n) for m in range(1000)], total=999_999) for n in range(205)
    ]
    async with scripted(Script(pages)) as (gateway, heard):
        finding = await gateway.find(asked_now())
    assert isinstance(finding, NotSeen)
    assert not finding.complete
    assert 200 + 1 == heard.requests  # and the question for batches


@pytest.mark.parametrize(
    ("last", "now"),
    [
        ("2026-07-01T23:00:00+00:00", "2026-07-01T23:00:00+00:00"),
        ("2026-07-01T23:00:00+00:00", "2026-07-02T22:59:00+00:00"),
        ("2026-12-02T00:00:00+00:00", "2026-12-02T00:00:00+00:00"),
        ("2026-12-02T00:00:00+00:00", "2026-12-02T23:59:00+00:00"),
    ],
)
def test_the_cut_off_follows_the_zones_clock(last: str, now: str) -> None:
    """16:00 Pacific is 23:00 UTC in summer and midnight UTC in winter."""
    cut_off = CutOff(time(16), "America/Los_Angeles")
    assert datetime.fromisoformat(last) == cut_off.last(datetime.fromisoformat(now))


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
    finding = await found_in(Script(details=[detailed(**changes)]), question)
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
    finding = await found_in(Script(details=[detailed(**changes)]), question)
    assert isinstance(finding, NotSeen)
    assert not finding.complete


async def test_the_currency_is_the_accounts_unless_another_is_told() -> None:
    """The account has one currency; another one in the details is passed on, so that the difference is seen."""
    question = asked_now(transaction_id="60000000001")
    cases: list[tuple[Json, str]] = [({}, "USD"), ({"currencyCode": "EUR"}, "EUR")]
    for changes, currency in cases:
        finding = await found_in(Script(details=[detailed(**changes)]), question)
        assert isinstance(finding, Found)
        assert isinstance(finding.verdict, Approved)
        assert (1234, currency) == (finding.verdict.amount_minor, finding.verdict.currency)


async def test_of_several_rows_the_approved_one_counts() -> None:
    """Two rows with our invoice number: the approval is told, and the evidence says that there were more."""
    ours = CHARGE.invoice_number
    listed = page(row(2, invoice=ours), row(1, age_s=5, invoice=ours))
    declined = detailed(2, "declined", responseCode=2, responseReasonCode=2)
    finding = await found_in(Script([listed], details=[declined, detailed(1)]))
    assert isinstance(finding, Found)
    assert isinstance(finding.verdict, Approved)
    assert finding.evidence["matches"] == ["60000000002", "60000000001"]


async def test_two_approved_rows_are_told_together() -> None:
    """An invoice number under which two charges live: the second one is named beside the first."""
    ours = CHARGE.invoice_number
    listed = page(row(2, invoice=ours), row(1, age_s=5, invoice=ours))
    finding = await found_in(Script([listed], details=[detailed(1), detailed(2)]))
    assert isinstance(finding, Found)
    assert isinstance(finding.verdict, Approved)
    assert ("60000000002", ("60000000001",)) == (
        finding.verdict.transaction_id,
        finding.verdict.others,
    )


async def test_a_decline_beside_an_unclear_row_is_not_believed() -> None:
    """Where another matching row may be an approval, a declined one decides nothing."""
    ours = CHARGE.invoice_number
    listed = page(row(2, invoice=ours), row(1, age_s=5, invoice=ours))
    declined = detailed(2, "declined", responseCode=2, responseReasonCode=2)
    finding = await found_in(Script([listed], details=[declined]))
    assert isinstance(finding, NotSeen)
    assert not finding.complete


async def test_many_questions_share_a_scan() -> None:
    """Whoever asks at the same time reads the lists once; each is told what stands under its own number."""
    questions = [asked_now(invoice_number=f"INV{n}") for n in range(50)]
    listed = page(*(row(n, age_s=n / 100, invoice=f"INV{n}") for n in range(0, 50, 2)))
    details = [detailed(n, order={"invoiceNumber": f"INV{n}"}) for n in range(0, 50, 2)]
    async with scripted(Script([listed], details=details)) as (gateway, heard):
        findings = await asyncio.gather(*(gateway.find(it) for it in questions))
    assert [it % 2 == 0 for it in range(50)] == [isinstance(it, Found) for it in findings]
    assert 1 + 1 + 25 == heard.requests  # the unsettled list, the batches, the details


async def test_who_asks_later_gets_a_scan_of_its_own() -> None:
    """A question that comes while a scan runs is answered by the next one, which begins after it was asked."""
    async with scripted(Script([page(row(1))])) as (gateway, heard):
        first = asyncio.create_task(gateway.find(asked_now(invoice_number="INV1")))
        await until(lambda: bool(heard.requests))
        await gateway.find(asked_now(invoice_number="INV2"))
        await first
    assert 2 * 2 == heard.requests


async def test_who_gives_up_leaves_the_scan_to_the_others() -> None:
    """A lane that is cancelled while it waits takes nothing from those that share its scan."""
    async with scripted(Script([page(row(1))])) as (gateway, _):
        gives_up = asyncio.create_task(gateway.find(asked_now(invoice_number="INV1")))
        stays = asyncio.create_task(gateway.find(asked_now(invoice_number="INV2")))
        await asyncio.sleep(0)
        gives_up.cancel()
        finding = await stays
    assert isinstance(finding, NotSeen)
    assert finding.complete


async def test_an_unknown_account_and_a_silent_gateway_prove_nothing() -> None:
    """Questions that cannot be asked or are not answered are scans that are not complete."""
    finding = await found_in(Script(), asked_now(merchant_account="other"))
    assert isinstance(finding, NotSeen)
    assert not finding.complete
    async with raw_server(Connection.rest) as heard:
        gateway = AuthorizeNet(settings(heard.url, total_deadline_s=0.2), lease=FixedLease())
        finding = await gateway.find(asked_now())
        await gateway.aclose()
    assert isinstance(finding, NotSeen)
    assert not finding.complete
