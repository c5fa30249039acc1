"""What settled since: the search goes on in the batches, and absence is proven only where none can be missing."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from handlers.domain.errors import InvalidValueError
from handlers.domain.intents import About
from handlers.domain.verdicts import Approved, Declined, Found, NotSeen
from handlers.gateway.authorizenet.settings import CutOff
from tests.contract.gateway_fixtures import CHARGE, REFUND, asked_now
from tests.contract.scripted_gateway import (
    FULL,
    LAST,
    Script,
    detailed,
    found_in,
    page,
    row,
    scripted,
)

OURS = CHARGE.invoice_number
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
AT_NOON = CutOff(time(12), "UTC", through_after_s=3600.0)


def refund_row(number: int = 7, **changes: Any) -> dict[str, Any]:
    """Details of a refund under the number of REFUND."""
    return detailed(
        number,
        **{
            "status": "refundSettledSuccessfully",
            "transactionType": "refundTransaction",
            "order": {"invoiceNumber": REFUND.invoice_number},
            "authAmount": 5.0,
            "settleAmount": 5.0,
            **changes,
        },
    )


REFUND_QUESTION = {
    "about": About.REFUND,
    "invoice_number": REFUND.invoice_number,
    "money": REFUND.money,
}


async def test_what_settled_meanwhile_is_found_in_its_batch() -> None:
    """The unsettled list is empty, the second batch has the row: found, and captured."""
    settled = detailed(1, "settledSuccessfully")
    batches = {"11": [page(row(5, invoice="X"))], "12": [page(row(1, invoice=OURS, status="?"))]}
    finding = await found_in(Script(batches=batches, details=[settled]))
    assert isinstance(finding, Found)
    assert isinstance(finding.verdict, Approved)
    assert ("60000000001", True) == (finding.verdict.transaction_id, finding.verdict.captured)


async def test_absence_takes_the_unsettled_list_and_every_batch_since() -> None:
    """Two batches without it, each to its end: a complete scan, whose evidence says what was read."""
    batches = {
        "11": [page(*FULL, total=1001), page(LAST, total=1001)],
        "12": [page()],
    }
    finding = await found_in(Script([page(row(3))], batches))
    assert isinstance(finding, NotSeen)
    assert finding.complete
    assert {"rows": 1 + 1001, "batches": 2} == dict(finding.evidence)


@pytest.mark.parametrize(
    "script",
    [
        Script(batches={"11": [page(*FULL, total=1002), page(LAST, total=1002)]}),
        Script(batches={"": [page()]}),
        Script(batches={"11": [page()]}, refused={"getTransactionListRequest": "E00053"}),
        Script(refused={"getSettledBatchListRequest": "E00011"}),
        Script(refused={"getUnsettledTransactionListRequest": "E00104"}),
    ],
    ids=["rows missing", "batch without number", "busy", "no permission", "maintenance"],
)
async def test_a_batch_that_cannot_be_read_proves_nothing(script: Script) -> None:
    """A missing row, a batch without number, a refusal to tell: not seen, and not absent either."""
    finding = await found_in(script)
    assert isinstance(finding, NotSeen)
    assert not finding.complete


@pytest.mark.parametrize(
    ("complete", "minutes_after_noon"),
    [(True, -30), (False, -5), (False, 1), (False, 59), (True, 61), (True, 22 * 60)],
)
async def test_a_batch_that_may_not_be_listed_yet_proves_nothing(
    *, complete: bool, minutes_after_noon: int
) -> None:
    """From shortly before a cut-off until its batch is surely through, the charge may stand in no list at all."""
    now = NOON + timedelta(minutes=minutes_after_noon)
    question = asked_now(since=NOON - timedelta(hours=1))
    finding = await found_in(Script(), question, cut_off=AT_NOON, now=now)
    assert isinstance(finding, NotSeen)
    assert complete is finding.complete
    assert complete or "may not be listed yet" in finding.why


async def test_what_was_sent_after_the_cut_off_waits_for_no_batch() -> None:
    """A charge of after the cut-off, by more than the clocks may differ, is in no batch of that day."""
    question = asked_now(since=NOON + timedelta(minutes=20))
    now = NOON + timedelta(minutes=30)
    finding = await found_in(Script(), question, cut_off=AT_NOON, now=now)
    assert isinstance(finding, NotSeen)
    assert finding.complete


async def test_no_question_for_batches_spans_more_than_31_days() -> None:
    """A search that reaches 70 days back asks three times, without a gap, to where the gateway's clock may be."""
    script = Script()
    question = asked_now(since=NOON - timedelta(days=70))
    async with scripted(script, now=NOON) as (gateway, _):
        finding = await gateway.find(question)
    asked = [
        (each["firstSettlementDate"], each["lastSettlementDate"]) for each in script.batch_questions
    ]
    assert "2026-11-20T12:10:00Z" == asked[-1][1]
    assert [last for _, last in asked[:-1]] == [first for first, _ in asked[1:]]
    assert 3 == len(asked)
    assert isinstance(finding, NotSeen)
    assert finding.complete


async def test_a_search_too_far_back_is_bounded_and_says_so() -> None:
    """Two years are not read: eight questions for batches, and no proof of absence."""
    script = Script()
    question = asked_now(since=NOON - timedelta(days=730))
    async with scripted(script, now=NOON) as (gateway, _):
        finding = await gateway.find(question)
    assert 8 == len(script.batch_questions)
    assert isinstance(finding, NotSeen)
    assert not finding.complete


async def test_a_refund_is_found_by_its_own_number() -> None:
    """In the unsettled list while it is pending, in a batch once it settled."""
    number = REFUND.invoice_number
    pending = page(row(7, invoice=number, status="refundPendingSettlement"))
    settled = {"11": [page(row(7, invoice=number, status="refundSettledSuccessfully"))]}
    for script in (Script([pending]), Script(batches=settled)):
        script.details = [refund_row()]
        finding = await found_in(script, asked_now(**REFUND_QUESTION))
        assert isinstance(finding, Found)
        assert isinstance(finding.verdict, Approved)
        assert ("60000000007", 500) == (
            finding.verdict.transaction_id,
            finding.verdict.amount_minor,
        )


async def test_a_declined_refund_is_declined() -> None:
    """Its row says so, and its reason."""
    listed = page(row(7, invoice=REFUND.invoice_number))
    told = refund_row(status="declined", responseCode=2, responseReasonCode=2)
    finding = await found_in(Script([listed], details=[told]), asked_now(**REFUND_QUESTION))
    assert isinstance(finding, Found)
    assert isinstance(finding.verdict, Declined)


@pytest.mark.parametrize("about", [About.CHARGE, About.REFUND])
async def test_a_returned_item_is_neither_charge_nor_refund(about: About) -> None:
    """The return of a bank transfer carries the invoice number of what it returns: it is passed over in the list."""
    listed = page(row(9, invoice=OURS, status="returnedItem"))
    returned = detailed(9, "returnedItem", transactionType="returnedItem")
    question = asked_now(about=about)
    finding = await found_in(Script([listed], details=[returned]), question)
    assert isinstance(finding, NotSeen)
    assert finding.complete
    by_id = replace(question, transaction_id="60000000009")
    finding = await found_in(Script(details=[returned]), by_id)
    assert isinstance(finding, NotSeen)
    assert not finding.complete


async def test_a_charge_is_no_refund_and_a_refund_no_charge() -> None:
    """A transaction of the other kind under the number proves nothing, whatever its status."""
    for about, told in (
        (About.REFUND, detailed(1, "voided")),
        (About.CHARGE, detailed(1, "voided", transactionType="refundTransaction")),
    ):
        listed = page(row(1, invoice=OURS, status="voided"))
        finding = await found_in(Script([listed], details=[told]), asked_now(about=about))
        assert isinstance(finding, NotSeen)
        assert not finding.complete


async def test_a_question_without_id_and_number_cannot_be_asked() -> None:
    """Nothing is asked, nothing is proven."""
    async with scripted(Script()) as (gateway, heard):
        finding = await gateway.find(asked_now(invoice_number=""))
    assert isinstance(finding, NotSeen)
    assert not finding.complete
    assert 0 == heard.requests


@pytest.mark.parametrize(
    ("through", "submitted", "now"),
    [
        ("20T13:00", "20T09:00", "20T10:00"),  # waits for the cut-off to come
        ("20T13:00", "20T09:00", "20T12:30"),  # was cut off, is being settled
        ("21T13:00", "20T12:00", "20T12:30"),  # came with the cut-off: the next one takes it
        ("21T13:00", "20T09:00", "20T13:30"),  # should be through and is not: the next one
        ("21T13:00", "01T09:00", "21T09:00"),  # an authorisation of long ago, captured lately
    ],
)
def test_when_a_batch_is_surely_through(through: str, submitted: str, now: str) -> None:
    """The first cut-off that can take it, and so much more as a batch may need."""
    at = [datetime.fromisoformat(f"2026-11-{day}:00+00:00") for day in (through, submitted, now)]
    assert at[0] == AT_NOON.through_at(at[1], now=at[2])


def test_a_cut_off_checks_itself() -> None:
    """A batch that takes longer than a day, or less than no time, is a slip."""
    for wrong in (-1.0, 90_000.0):
        with pytest.raises(InvalidValueError):
            CutOff(through_after_s=wrong)
