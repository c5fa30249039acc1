"""What each status of a transaction means: for what was asked, and for the plan that looks at the charge first."""

import json
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from handlers.domain.errors import Unavailable
from handlers.domain.facts import Sight, Standing
from handlers.domain.intents import About
from handlers.domain.money import Money
from handlers.domain.verdicts import Advice, Approved, Declined, Found, Held, NotSeen, NotYet
from handlers.gateway.authorizenet.contract_table import ALLOWED
from handlers.gateway.authorizenet.details import read_details
from handlers.gateway.authorizenet.readings import Stranger, Unclear, Undone, reading
from handlers.gateway.authorizenet.replies import read_reply
from handlers.gateway.authorizenet.settings import CutOff
from handlers.gateway.authorizenet.standings import CHARGES, REFUNDS
from tests.contract.gateway_fixtures import CHARGE, SCRUBBER, asked_now
from tests.contract.scripted_gateway import Json, Script, detailed, found_in, page, row, scripted

IDENTITY = "60000000001"
STATUSES = (*ALLOWED["transactionStatusEnum"], "aNewStatus", "")
# The charge's table, written out a second time; what is not here decides nothing.
OF_A_CHARGE = {
    Standing.RESERVED: "authorizedPendingCapture",
    Standing.TAKEN: "capturedPendingSettlement",
    Standing.SETTLED: "settledSuccessfully",
    Standing.HELD: "FDSPendingReview FDSAuthorizedPendingReview underReview",
    Standing.VOIDED: "voided",
    Standing.EXPIRED: "expired",
    Standing.DECLINED: "declined failedReview communicationError",
    Standing.RETURNED: "returnedItem",
    Standing.CHARGED_BACK: "chargeback",
}
TRUE, FALSE = "not done", "nothing proven"
# standing → what is found of a charge, a capture and a void.
FOUND: dict[Standing, tuple[object, object, object]] = {
    Standing.RESERVED: (Approved, TRUE, TRUE),
    Standing.TAKEN: (Approved, Approved, TRUE),
    Standing.SETTLED: (Approved, Approved, NotYet),
    Standing.HELD: (Held, FALSE, TRUE),
    Standing.VOIDED: (Declined, TRUE, Approved),
    Standing.EXPIRED: (Declined, TRUE, TRUE),
    Standing.DECLINED: (Declined, TRUE, TRUE),
    Standing.RETURNED: (Approved, Approved, NotYet),
    Standing.CHARGED_BACK: (Approved, Approved, NotYet),
    Standing.UNCLEAR: (FALSE, FALSE, FALSE),
}
OF_A_REFUND = {
    Standing.TAKEN: Approved,
    Standing.SETTLED: Approved,
    Standing.HELD: Held,
    Standing.VOIDED: Declined,
    Standing.EXPIRED: Declined,
    Standing.DECLINED: Declined,
    Standing.UNCLEAR: FALSE,
}


def outcome(told: Json, about: About) -> object:
    """What these details say of `about`: the verdict's kind, or what its absence is worth."""
    reply = read_reply(json.dumps(told).encode(), SCRUBBER)
    details = read_details(reply, currency="USD", scrubber=SCRUBBER)
    match reading(details, asked_now(transaction_id=IDENTITY, about=about)):
        case Undone():
            return TRUE
        case Unclear() | Stranger():
            return FALSE
        case verdict:
            return type(verdict)


async def seen(told: Json, **changes: Any) -> Sight:
    """The sight of these details."""
    async with scripted(Script(details=[told]), **changes) as (gateway, _):
        sight = await gateway.look(asked_now(transaction_id=IDENTITY))
    assert isinstance(sight, Sight)
    return sight


def test_the_tables_know_every_status_of_the_contract() -> None:
    """Each of the gateway's statuses has a row for charges, and means what it should."""
    expected = {status: key for key, listed in OF_A_CHARGE.items() for status in listed.split()}
    assert set(ALLOWED["transactionStatusEnum"]) == set(CHARGES)
    assert set(REFUNDS) <= set(CHARGES)
    assert expected == {
        status: standing for status, standing in CHARGES.items() if standing is not Standing.UNCLEAR
    }


@pytest.mark.parametrize("status", [name for name in STATUSES if name != "returnedItem"])
def test_every_status_reads_as_its_table_says(status: str) -> None:
    """A charge, a capture and a void are asked for through the charge's status; one that is unclear proves nothing."""
    standing = CHARGES.get(status, Standing.UNCLEAR)
    told = detailed(status=status)
    abouts = (About.CHARGE, About.CAPTURE, About.VOID)
    assert FOUND[standing] == tuple(outcome(told, about) for about in abouts)


@pytest.mark.parametrize("status", STATUSES)
def test_every_status_of_a_refund_reads_as_its_table_says(status: str) -> None:
    """A refund is a transaction of its own; a status that no refund has proves nothing."""
    told = detailed(status=status, transactionType="refundTransaction")
    standing = REFUNDS.get(status, Standing.UNCLEAR)
    assert OF_A_REFUND[standing] == outcome(told, About.REFUND)


async def test_a_capture_tells_how_much_was_captured() -> None:
    """The settle amount, which may be less than what was authorised."""
    question = asked_now(transaction_id=IDENTITY, about=About.CAPTURE)
    finding = await found_in(Script(details=[detailed(settleAmount=10.0)]), question)
    assert isinstance(finding, Found)
    assert isinstance(finding.verdict, Approved)
    assert (1000, "USD") == (finding.verdict.amount_minor, finding.verdict.currency)


async def test_a_void_that_is_too_late_says_where_the_charge_stands() -> None:
    """Settled: not yet done, never to be done, and the status is the reason's code."""
    question = asked_now(transaction_id=IDENTITY, about=About.VOID)
    finding = await found_in(Script(details=[detailed(status="settledSuccessfully")]), question)
    assert isinstance(finding, Found)
    assert isinstance(finding.verdict, NotYet)
    assert "settledSuccessfully" == finding.verdict.reason.code


async def test_a_look_tells_how_the_charge_stands() -> None:
    """The standing is the table's, for every status that a charge may have."""
    statuses = [name for name in STATUSES if not name.startswith("re")]
    script = Script(details=[detailed(number, status) for number, status in enumerate(statuses)])
    async with scripted(script) as (gateway, _):
        for number, status in enumerate(statuses):
            question = asked_now(transaction_id=str(60_000_000_000 + number))
            sight = await gateway.look(question)
            assert isinstance(sight, Sight)
            expected = (CHARGES.get(status, Standing.UNCLEAR), status)
            assert expected == (sight.standing, sight.status)


async def test_a_look_tells_money_method_and_times() -> None:
    """What is captured, in the account's currency; with what; when it was submitted and settled."""
    batch = {
        "batchId": "9",
        "settlementTimeUTC": "2026-11-21T01:02:03Z",
        "settlementState": "settledSuccessfully",
    }
    told = detailed(status="settledSuccessfully", settleAmount=10, batch=batch)
    sight = await seen(told)
    assert Money(1000, "USD") == sight.money
    assert ("visa", "1111") == (sight.method.brand, sight.method.last4)
    assert datetime(2026, 11, 20, 12, tzinfo=UTC) == sight.submitted_at
    assert datetime(2026, 11, 21, 1, 2, 3, tzinfo=UTC) == sight.settled_at
    assert sight.settles_at is None
    assert batch == sight.evidence["batch"]


async def test_a_batch_that_failed_has_settled_nothing() -> None:
    """Its transactions are on their way, and have no time of settlement."""
    batch = {"settlementTimeUTC": "2026-11-21T01:02:03Z", "settlementState": "settlementError"}
    sight = await seen(detailed(status="pendingFinalSettlement", batch=batch))
    assert (Standing.UNCLEAR, None) == (sight.standing, sight.settled_at)


async def test_a_bank_account_is_an_echeck_and_its_return_is_seen() -> None:
    """The return stands beside a status that stays settled."""
    bank = {"bankAccount": {"accountNumber": "XXXXX6789", "accountType": "checking"}}
    told = detailed(status="settledSuccessfully", payment=bank)
    sight = await seen(told)
    assert (Standing.SETTLED, True, "6789") == (
        sight.standing,
        sight.method.is_bank,
        sight.method.last4,
    )
    told["transaction"]["returnedItems"] = [{"id": "60000000002", "code": "R01"}]
    assert Standing.RETURNED is (await seen(told)).standing
    assert Approved is outcome(told, About.CHARGE)


@pytest.mark.parametrize(
    ("minor", "status", "changes"),
    [
        (1234, "authorizedPendingCapture", {"settleAmount": 0}),
        (1000, "capturedPendingSettlement", {"settleAmount": 10.0}),
        (1234, "capturedPendingSettlement", {"settleAmount": None}),
        (1234, "FDSPendingReview", {"authAmount": 0}),
        (0, "authorizedPendingCapture", {"authAmount": 0, "settleAmount": 0}),
        (None, "settledSuccessfully", {"settleAmount": 12.345}),
    ],
)
async def test_a_look_tells_the_amount_that_counts(
    minor: int | None, status: str, changes: Json
) -> None:
    """Captured where it is captured, authorised before, asked for where it is held; None where it is unreadable."""
    money = (await seen(detailed(status=status, **changes))).money
    assert minor == (None if money is None else money.amount_minor)


async def test_when_it_settles_is_told_of_what_waits_for_it_only() -> None:
    """By the account's cut-off; not of a reservation, and not where no cut-off is set."""
    noon = datetime(2026, 11, 20, 12, tzinfo=UTC)
    at_noon = CutOff(time(12), "UTC", through_after_s=3600.0)
    now = noon + timedelta(hours=1)
    waiting = await seen(detailed(), cut_off=at_noon, now=now)
    assert noon + timedelta(days=1, hours=1) == waiting.settles_at
    reserved = await seen(detailed(status="authorizedPendingCapture"), cut_off=at_noon, now=now)
    assert reserved.settles_at is None
    assert (await seen(detailed())).settles_at is None


async def test_a_look_finds_the_charge_by_its_number() -> None:
    """Without a transaction id the lists are searched; of two the one that moved money counts."""
    ours = CHARGE.invoice_number
    listed = page(row(2, invoice=ours), row(1, age_s=5, invoice=ours))
    script = Script([listed], details=[detailed(2, "declined"), detailed(1)])
    async with scripted(script) as (gateway, _):
        sight = await gateway.look(asked_now())
    assert isinstance(sight, Sight)
    assert (IDENTITY, Standing.TAKEN) == (sight.transaction_id, sight.standing)


@pytest.mark.parametrize(
    ("complete", "script", "changes"),
    [
        (True, Script(), {}),
        (False, Script(), {"transaction_id": IDENTITY}),
        (False, Script(), {"invoice_number": ""}),
        (False, Script(details=[detailed(order={})]), {"transaction_id": IDENTITY}),
        (False, Script(details=[detailed(transId="0")]), {"transaction_id": "0"}),
        (
            False,
            Script(details=[detailed(transactionType="refundTransaction")]),
            {"transaction_id": IDENTITY},
        ),
    ],
)
async def test_what_cannot_be_seen_is_not_seen(
    *, complete: bool, script: Script, changes: dict[str, Any]
) -> None:
    """In no list, unknown to the gateway, nothing to look by, another's number, no id, a refund: no sight of it."""
    async with scripted(script) as (gateway, _):
        seen_not = await gateway.look(asked_now(**changes))
    assert isinstance(seen_not, NotSeen)
    assert complete is seen_not.complete


@pytest.mark.parametrize("transaction_id", [None, IDENTITY])
@pytest.mark.parametrize("code", ["E00053", "E00104", "E00007"])
async def test_a_gateway_that_does_not_tell_is_unavailable(
    code: str, transaction_id: str | None
) -> None:
    """Busy, in maintenance, or our credentials are wrong: nobody answered, which is not the same as not seen."""
    names = ("getTransactionDetailsRequest", "getUnsettledTransactionListRequest")
    script = Script(refused=dict.fromkeys(names, code))
    async with scripted(script) as (gateway, _):
        with pytest.raises(Unavailable, match=code) as raised:
            await gateway.look(asked_now(transaction_id=transaction_id))
        assert "gateway" == raised.value.what
        with pytest.raises(Unavailable):
            await gateway.look(replace(asked_now(), merchant_account="other"))


async def test_a_declined_row_carries_its_reason() -> None:
    """Lists hold declined rows too: the reason decides the advice, also where the status is the catch-all one."""
    question = asked_now(transaction_id=IDENTITY)
    for status in ("declined", "generalError"):
        told = detailed(status=status, responseCode=2, responseReasonCode=4)
        finding = await found_in(Script(details=[told]), question)
        assert isinstance(finding, Found)
        assert isinstance(finding.verdict, Declined)
        assert ("4", Advice.HARD) == (finding.verdict.reason.code, finding.verdict.reason.advice)
