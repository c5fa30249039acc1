"""The whole lists of an account, read for reconciliation over real sockets: from the simulator, and from a script."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from handlers.domain.facts import Standing
from handlers.gateway.authorizenet.listing import Listed, Listing, Sums, detailed
from handlers.gateway.authorizenet.reading_desk import ReadingDesks
from handlers.gateway.authorizenet.settings import CutOff
from tests.contract.gateway_fixtures import ACCOUNT, BOM, OK, settings
from tests.contract.gateway_shop import refund_of, shop_at, void_of
from tests.contract.raw_server import Connection, http, raw_server
from tests.contract.scripted_gateway import FULL, LAST, NOTHING, Json, page, row
from tests.contract.simulated_gateway import SimulatedGateway

HOUR = timedelta(hours=1)
UNSETTLED, BATCHES = "getUnsettledTransactionListRequest", "getSettledBatchListRequest"


@asynccontextmanager
async def desks_at(url: str, cut_off: CutOff | None = None) -> AsyncIterator[ReadingDesks]:
    """Desks of one account."""
    config = settings(url, accounts={"main": replace(ACCOUNT, cut_off=cut_off)})
    desks = ReadingDesks(config, pause_s=0.01)
    try:
        yield desks
    finally:
        await desks.aclose()


async def listed(desks: ReadingDesks) -> tuple[dict[str, Listed], Listing]:
    """All rows of the last hour by id, and what the listing says of itself."""
    listing = Listing(desks.desk("main"), since=datetime.now(UTC) - HOUR)
    rows = {it.transaction_id: it async for found in listing.pages() for it in found}
    return rows, listing


async def test_all_rows_with_what_they_mean(simulator: SimulatedGateway) -> None:
    """Unsettled and settled, charges, refunds and voids; a batch adds up to what the gateway says."""
    async with shop_at(simulator) as shop, desks_at(simulator.url) as desks:
        charge, taken = await shop.charged()
        _, undone = await shop.charged()
        await shop.send(void_of(undone))
        shop.settle()
        _, reserved = await shop.authorised()
        refund = refund_of(taken, 500)
        await shop.send(refund)
        rows, listing = await listed(desks)
        shop.settle()
        later, whole = await listed(desks)

    assert "" == listing.gap
    assert {
        taken: Standing.SETTLED,
        reserved: Standing.RESERVED,
        undone: Standing.VOIDED,
    } == {it.transaction_id: it.charge for it in rows.values() if not it.is_refund}
    [given] = [it for it in rows.values() if it.is_refund]
    assert (refund.invoice_number, Standing.TAKEN, 500) == (
        given.invoice_number,
        given.refund,
        given.amount_minor,
    )
    assert (charge.invoice_number, 1234) == (rows[taken].invoice_number, rows[taken].amount_minor)
    assert [(Sums(1234, 0), Sums(1234, 0))] == [(it.told, it.summed) for it in listing.batches]
    assert Standing.SETTLED is later[given.transaction_id].refund
    assert (Sums(0, 500), Sums(0, 500)) == (whole.batches[-1].told, whole.batches[-1].summed)


async def test_a_return(simulator: SimulatedGateway) -> None:
    """A bank's return is a row of its own under the charge's number, and the charge says that it came back."""
    async with shop_at(simulator) as shop, desks_at(simulator.url) as desks:
        charge, banked = await shop.banked()
        shop.settle()
        simulator.control("POST", f"/return/{banked}")
        rows, listing = await listed(desks)

    [returned] = [it for it in rows.values() if it.is_return]
    assert (charge.invoice_number, Standing.RETURNED) == (
        returned.invoice_number,
        rows[banked].charge,
    )
    assert [(Sums(1234, 0), Sums(1234, 0))] == [(it.told, it.summed) for it in listing.batches]


async def test_details_say_whose_refund_it_is(simulator: SimulatedGateway) -> None:
    """A list does not tell what a refund refers to, its details do; an id that nobody has is none."""
    async with shop_at(simulator) as shop, desks_at(simulator.url) as desks:
        _, taken = await shop.charged()
        shop.settle()
        await shop.send(refund_of(taken, 500))
        rows, _ = await listed(desks)
        [given] = [name for name, it in rows.items() if it.is_refund]
        desk = desks.desk("main")
        told = await detailed(given, desk)
        charge = await detailed(taken, desk)
        nobody = await detailed("60999999999", desk)

    assert isinstance(told, Listed)
    assert (taken, True, 500) == (told.of, told.is_refund, told.amount_minor)
    assert isinstance(charge, Listed)
    assert (Standing.SETTLED, "") == (charge.charge, charge.of)
    assert nobody is None


@dataclass
class Scripted:
    """A gateway with pages of its unsettled list and one of each batch, and what each question for batches tells.

    `busy`: the first so many requests of a name are answered with E00053.
    """

    unsettled: list[Json]
    batches: dict[str, Json] = field(default_factory=dict)
    heads: list[list[Json]] = field(default_factory=list)
    busy: dict[str, int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def answer(self, name: str, members: Json) -> Json:
        """The reply to one request."""
        self.asked.append(name)
        if self.asked.count(name) <= self.busy.get(name, 0):
            told = {"code": "E00053", "text": "Busy."}
            return {"messages": {"resultCode": "Error", "message": [told]}}
        if name == UNSETTLED:
            return self.unsettled[int(members["paging"]["offset"]) - 1]
        if name == BATCHES:
            number = min(self.asked.count(name), len(self.heads))
            found = self.heads[number - 1] if number else []
            return {"batchList": found, "messages": OK} if found else NOTHING
        return self.batches[members["batchId"]]


def head(batch_id: str, *, state: str = "settledSuccessfully", **statistic: Any) -> Json:
    """A batch as it is announced."""
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    base = {"accountType": "Visa", "chargeAmount": 12.34, "refundAmount": 0}
    return {
        "batchId": batch_id,
        "settlementTimeUTC": at,
        "settlementState": state,
        "statistics": [{**base, **statistic}],
    }


async def of(script: Scripted, cut_off: CutOff | None = None) -> tuple[dict[str, Listed], Listing]:
    """What is listed there."""

    async def serve(connection: Connection) -> None:
        while True:
            ((name, members),) = json.loads(await connection.request()).items()
            await connection.say(http(BOM + json.dumps(script.answer(name, members)).encode()))

    async with raw_server(serve) as heard, desks_at(heard.url, cut_off) as desks:
        return await listed(desks)


async def test_every_page_of_a_long_list() -> None:
    """Every row of a list of several pages comes, and the list proves itself whole."""
    rows, listing = await of(Scripted([page(*FULL, total=1001), page(LAST, total=1001)]))

    assert ("", 1001) == (listing.gap, len(rows))


async def test_a_busy_gateway_is_asked_again() -> None:
    """A page that did not come is asked for again, three times in all; then the listing says so."""
    patient = Scripted([page(row(1))], busy={UNSETTLED: 2, BATCHES: 2})
    rows, listing = await of(patient)
    assert ("", 1) == (listing.gap, len(rows))

    rows, listing = await of(Scripted([page(row(1))], busy={UNSETTLED: 3}))
    assert ("the gateway refused to tell: E00053 Busy.", 0) == (listing.gap, len(rows))


async def test_a_settlement_between_the_pages() -> None:
    """Where a batch comes up while the list is read, rows may have left it unseen: it is read again, the batch, too."""
    settled = row(1, status="settledSuccessfully")
    script = Scripted([page(row(2))], {"9": page(settled)}, heads=[[], [head("9")]])
    rows, listing = await of(script)
    assert ("", 2, 2) == (listing.gap, len(rows), script.asked.count(UNSETTLED))

    restless = [[head(str(it))] for it in range(1, 9)]
    batches = {str(it): page(settled) for it in range(1, 9)}
    _, listing = await of(Scripted([page(row(2))], batches, heads=restless))
    assert "batches were settled while the unsettled list was read" == listing.gap


@pytest.mark.parametrize(
    ("announced", "sums"),
    [
        (head("9"), [(Sums(1234, 0), Sums(1234, 0))]),
        (head("9", chargeAmount=13), [(Sums(1300, 0), Sums(1234, 0))]),
        (head("9", state="settlementError"), []),
        (head("9") | {"statistics": []}, []),
        (head("9", refundAmount=None), []),
    ],
    ids=["equal", "another total", "a batch that was rejected", "no total", "half a total"],
)
async def test_what_a_batch_comes_to(announced: Json, sums: list[tuple[Sums, Sums]]) -> None:
    """The total is held against the rows only where the batch went through and tells both of its sums."""
    settled = page(row(1, status="settledSuccessfully"))
    _, listing = await of(Scripted([NOTHING], {"9": settled}, heads=[[announced]]))

    assert ("", sums) == (listing.gap, [(it.told, it.summed) for it in listing.batches])


async def test_what_cannot_be_read_is_a_gap() -> None:
    """A row without a readable amount leaves the others, and the listing proves nothing."""
    rows, listing = await of(Scripted([page(row(1) | {"settleAmount": "?"}, row(2))]))

    assert ("a row's amount could not be read", ["60000000002"]) == (listing.gap, list(rows))


async def test_a_cut_off_that_may_not_be_listed() -> None:
    """What was cut off lately may stand in no list at all: until it surely does, nothing is proven."""
    now = datetime.now(UTC)
    just_now = CutOff(time(now.hour, now.minute), "UTC", through_after_s=3600.0)
    _, listing = await of(Scripted([page(row(1))]), just_now)

    assert listing.gap.startswith("a batch was cut off lately")


async def test_texts_of_others_are_made_safe() -> None:
    """An invoice number that somebody typed may be a card's: it is not kept."""
    rows, _ = await of(
        Scripted([page(row(1, invoice="4111111111111111"), row(2, invoice="A" * 20))])
    )

    assert ["(withheld: it held a card number)", "A" * 20] == [
        it.invoice_number for it in rows.values()
    ]
