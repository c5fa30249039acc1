"""The walk through an account's lists, and both the walk and a search where a hundred thousand rows are unsettled."""

import json
import tracemalloc
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from handlers.domain.errors import Unavailable
from handlers.domain.facts import Entry, Standing
from handlers.domain.money import Money
from handlers.domain.verdicts import Found, NotSeen
from handlers.gateway.authorizenet.client import AuthorizeNet
from tests.contract.gateway_fixtures import CHARGE, OK, FixedLease, asked_now, client, settings
from tests.contract.raw_server import Connection, Heard, http, raw_server
from tests.contract.scripted_gateway import (
    FULL,
    LAST,
    Script,
    detailed,
    page,
    row,
    scripted,
)

UNSETTLED: Final = "getUnsettledTransactionListRequest"
BATCHES: Final = "getSettledBatchListRequest"
BATCH: Final = "getTransactionListRequest"
DETAILS: Final = "getTransactionDetailsRequest"
PAGES, PAGE_ROWS = 100, 1000  # of the long list: a hundred thousand rows
LAST_OF_ALL: Final = PAGES * PAGE_ROWS - 1
MOST_BYTES: Final = 32 * 2**20


def ago(**span: float) -> datetime:
    """So long before now."""
    return datetime.now(UTC) - timedelta(**span)


async def pages_of(
    gateway: AuthorizeNet, *, since: datetime | None = None
) -> list[Sequence[Entry]]:
    """All pages of one walk."""
    return [it async for it in gateway.walk("main", since=since or ago(hours=1))]


async def walked(gateway: AuthorizeNet, *, since: datetime | None = None) -> list[Entry]:
    """All rows of one walk."""
    return [it for page in await pages_of(gateway, since=since) for it in page]


def requests(heard: Heard) -> Counter[str]:
    """How often what was asked."""
    return Counter(next(iter(json.loads(body))) for body in heard.bodies)


async def test_the_unsettled_rows_come_first_then_the_batches() -> None:
    """Newest first, then batch by batch, the oldest batch first: a charge before its return."""
    batches = {
        "11": [page(row(3, status="settledSuccessfully"))],
        "12": [page(row(4, status="returnedItem"))],
    }
    async with scripted(Script([page(row(2), row(1, age_s=5))], batches)) as (gateway, _):
        rows = await walked(gateway)
    assert ["60000000002", "60000000001", "60000000003", "60000000004"] == [
        it.transaction_id for it in rows
    ]


@pytest.mark.parametrize(
    ("status", "standing", "refunds"),
    [
        ("authorizedPendingCapture", Standing.RESERVED, False),
        ("capturedPendingSettlement", Standing.TAKEN, False),
        ("settledSuccessfully", Standing.SETTLED, False),
        ("FDSPendingReview", Standing.HELD, False),
        ("voided", Standing.VOIDED, False),
        ("expired", Standing.EXPIRED, False),
        ("declined", Standing.DECLINED, False),
        ("communicationError", Standing.DECLINED, False),
        ("returnedItem", Standing.RETURNED, False),
        ("chargeback", Standing.CHARGED_BACK, False),
        ("settlementError", Standing.UNCLEAR, False),
        ("aNewStatus", Standing.UNCLEAR, False),
        ("refundPendingSettlement", Standing.TAKEN, True),
        ("refundSettledSuccessfully", Standing.SETTLED, True),
    ],
)
async def test_a_row_says_how_it_stands(status: str, standing: Standing, *, refunds: bool) -> None:
    """Its number, its amount in the account's currency, its standing; a refund is told apart from a charge."""
    listed = page(row(1, invoice="INV1", status=status))
    async with scripted(Script([listed])) as (gateway, _):
        rows = await walked(gateway)
    assert [Entry("60000000001", "INV1", standing, refunds, Money(1234, "USD"))] == rows


@pytest.mark.parametrize("amount", [None, "much", 12.345, -1])
async def test_an_amount_that_cannot_be_read_is_none(amount: object) -> None:
    """The row is told all the same; nobody takes it for nothing."""
    async with scripted(Script([page({**row(1), "settleAmount": amount})])) as (gateway, _):
        [found] = await walked(gateway)
    assert found.money is None


async def test_the_unsettled_list_is_read_until_the_moment() -> None:
    """What is older than the last walk, by more than clocks may differ, needs no further page."""
    older = [row(1000 + n, age_s=7200 + n) for n in range(1000)]
    script = Script([page(*FULL, total=3000), page(*older, total=3000)])
    async with scripted(script) as (gateway, heard):
        pages = await pages_of(gateway)
    assert [1000, 1000] == [len(it) for it in pages]
    assert {UNSETTLED: 2, BATCHES: 1} == requests(heard)


async def test_batches_are_asked_for_since_that_moment() -> None:
    """From a little before the last walk to a little after now."""
    script = Script()
    since = ago(hours=3)
    async with scripted(script) as (gateway, _):
        await walked(gateway, since=since)
    [asked] = script.batch_questions
    first, last = (datetime.fromisoformat(asked[f"{it}SettlementDate"]) for it in ("first", "last"))
    assert first < since < datetime.now(UTC) < last


async def test_a_batch_is_read_to_its_end() -> None:
    """However old its charges are: an authorisation of last week may have settled tonight."""
    old = row(2000, age_s=7 * 86_400, status="settledSuccessfully")
    script = Script(batches={"11": [page(*FULL, total=1001), page(old, total=1001)]})
    async with scripted(script) as (gateway, _):
        rows = await walked(gateway, since=ago(minutes=5))
    assert 1001 == len(rows)
    assert Standing.SETTLED is rows[-1].standing


async def test_a_batch_is_read_once() -> None:
    """The next walk lists it again and passes it over; one that has come since is read."""
    script = Script(batches={"11": [page(row(1, status="settledSuccessfully"))]})
    async with scripted(script) as (gateway, heard):
        assert 1 == len(await walked(gateway))
        script.batch_questions.clear()
        script.batches["12"] = [page(row(2, status="settledSuccessfully"))]
        again = await walked(gateway)
    assert ["60000000002"] == [it.transaction_id for it in again]
    assert {UNSETTLED: 2, BATCHES: 2, BATCH: 2} == requests(heard)


async def test_a_batch_that_the_gateway_is_still_at_is_read_again() -> None:
    """It was rejected and goes again: only once each of its rows has come to its end is it done."""
    script = Script(
        batches={
            "11": [page(row(1, status="settledSuccessfully"), row(2, status="settlementError"))]
        }
    )
    found: list[list[Standing]] = []
    async with scripted(script) as (gateway, _):
        for _ in range(3):
            script.batch_questions.clear()
            found.append([it.standing for it in await walked(gateway)])
            script.batches["11"] = [
                page(row(1, status="settledSuccessfully"), row(2, status="settledSuccessfully"))
            ]
    settled = [Standing.SETTLED, Standing.SETTLED]
    assert [[Standing.SETTLED, Standing.UNCLEAR], settled, []] == found


async def test_a_batch_that_was_not_taken_whole_is_read_again() -> None:
    """Whoever walks was stopped in the middle of it: the next walk tells all of it."""
    full = [row(n, age_s=n / 1000, status="settledSuccessfully") for n in range(1000)]
    last = row(2000, age_s=60, status="settledSuccessfully")
    script = Script(batches={"11": [page(*full, total=1001), page(last, total=1001)]})
    async with scripted(script) as (gateway, _):
        walk = gateway.walk("main", since=ago(hours=1))
        assert isinstance(walk, AsyncGenerator)
        assert [0, 1000] == [len(await anext(walk)), len(await anext(walk))]
        await walk.aclose()
        script.batch_questions.clear()
        assert 1001 == len(await walked(gateway))


@pytest.mark.parametrize(
    "script",
    [
        Script([page(*FULL, total=1003), page(LAST, total=1003)]),
        Script([page(*FULL, total=1001), page(LAST, total=1000)]),
        Script([page(row(1, age_s=60), row(2))]),
        Script([page(row(1), total="many")]),
        Script([page({**row(1), "transId": "0"})]),
        Script([page({**row(1), "submitTimeUTC": "yesterday"})]),
        Script(batches={"11": [page(*FULL, total=1003), page(LAST, total=1003)]}),
        Script(batches={"": [page()]}),
        Script(refused={UNSETTLED: "E00104"}),
        Script(refused={BATCHES: "E00011"}),
        Script(batches={"11": [page()]}, refused={BATCH: "E00053"}),
    ],
    ids=[
        "rows missing",
        "shrank",
        "out of order",
        "no total",
        "no id",
        "no time",
        "rows of a batch missing",
        "batch without number",
        "maintenance",
        "no permission",
        "busy",
    ],
)
async def test_a_walk_ends_only_where_everything_was_read(script: Script) -> None:
    """A gap in a list, a refusal to tell: Unavailable, so that nobody remembers to have come so far."""
    async with scripted(script) as (gateway, _):
        with pytest.raises(Unavailable):
            await walked(gateway)


async def test_silence_and_an_unknown_account_are_unavailable() -> None:
    """Nobody answers, or nobody can be asked."""
    async with raw_server(Connection.rest) as heard:
        gateway = AuthorizeNet(settings(heard.url, total_deadline_s=0.2), lease=FixedLease())
        with pytest.raises(Unavailable):
            await walked(gateway)
        with pytest.raises(Unavailable, match="no credentials"):
            _ = [it async for it in gateway.walk("other", since=ago(hours=1))]
        await gateway.aclose()


def _long_page(number: int, *, newest: datetime, last: str = "") -> bytes:
    """One page of the long list, 50 rows a second; the invoice number of its last row may be `last`."""
    rows = []
    for place in range(number * PAGE_ROWS, (number + 1) * PAGE_ROWS):
        at = f"{newest - timedelta(seconds=place // 50):%Y-%m-%dT%H:%M:%SZ}"
        invoice = last if last and place == LAST_OF_ALL else f"INV{place:017d}"
        rows.append(
            f'{{"transId":"{60_000_000_000 + place}","submitTimeUTC":"{at}","invoiceNumber":"{invoice}",'
            '"transactionStatus":"capturedPendingSettlement","settleAmount":12.34}'
        )
    total = f'"totalNumInResultSet":{PAGES * PAGE_ROWS},"messages":{json.dumps(OK)}'
    return http(f'\ufeff{{"transactions":[{",".join(rows)}],{total}}}'.encode())


@pytest.fixture(scope="module")
def long_list() -> list[bytes]:
    """The pages of a list of a hundred thousand rows; CHARGE is the last of them."""
    newest = datetime.now(UTC)
    return [_long_page(it, newest=newest, last=CHARGE.invoice_number) for it in range(PAGES)]


@asynccontextmanager
async def with_long_list(pages: list[bytes]) -> AsyncIterator[tuple[AuthorizeNet, Heard]]:
    """An adapter in front of a gateway that has it, the details of CHARGE, and no batch."""
    script = Script(details=[detailed(LAST_OF_ALL)])

    async def serve(connection: Connection) -> None:
        while True:
            ((name, members),) = json.loads(await connection.request()).items()
            if name == UNSETTLED:
                await connection.say(pages[int(members["paging"]["offset"]) - 1])
            else:
                await connection.say(http(json.dumps(script.answer(name, members)).encode()))

    async with raw_server(serve) as heard, client(settings(heard.url)) as gateway:
        yield gateway, heard


@contextmanager
def bounded() -> Iterator[None]:
    """What goes on within holds no more memory at once than the bound, the gateway's answers included."""
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
        assert peak < MOST_BYTES, f"{peak / 2**20:.0f} MiB"
    finally:
        tracemalloc.stop()


async def test_one_charge_is_found_among_a_hundred_thousand(long_list: list[bytes]) -> None:
    """The oldest row of all: each page is read once, then its details; what is kept are ids, not rows."""
    async with with_long_list(long_list) as (gateway, heard):
        with bounded():
            finding = await gateway.find(asked_now(since=ago(hours=2)))
    assert isinstance(finding, Found)
    assert {UNSETTLED: PAGES, DETAILS: 1} == requests(heard)


async def test_absence_is_proven_among_a_hundred_thousand(long_list: list[bytes]) -> None:
    """No row has the number: a complete scan, which says how much it read."""
    async with with_long_list(long_list) as (gateway, heard):
        question = asked_now(invoice_number="NOBODY", since=ago(hours=2))
        finding = await gateway.find(question)
    assert isinstance(finding, NotSeen)
    assert finding.complete
    assert PAGES * PAGE_ROWS == finding.evidence["rows"]
    assert {UNSETTLED: PAGES, BATCHES: 1} == requests(heard)


async def test_a_hundred_thousand_rows_are_walked(long_list: list[bytes]) -> None:
    """Page by page, each row once, in bounded memory."""
    rows = 0
    async with with_long_list(long_list) as (gateway, heard):
        with bounded():
            async for entries in gateway.walk("main", since=ago(hours=2)):
                rows += len(entries)
    assert PAGES * PAGE_ROWS == rows
    assert {UNSETTLED: PAGES, BATCHES: 1} == requests(heard)
