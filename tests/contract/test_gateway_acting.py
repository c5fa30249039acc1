"""Capture, void and refund against the simulated gateway: what was done there, and what we believe of it."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from handlers.domain.commands import Address, Mode
from handlers.domain.errors import Unavailable
from handlers.domain.facts import Standing
from handlers.domain.intents import About, Intent
from handlers.domain.means import Credential, Means, StoredCredential, StoredProfile
from handlers.domain.money import Money
from handlers.domain.secret import Secret
from handlers.domain.verdicts import (
    Advice,
    Approved,
    Declined,
    Found,
    Held,
    NotSeen,
    NotYet,
    Unknown,
)
from handlers.gateway.authorizenet.client import AuthorizeNet
from tests.contract.gateway_fixtures import (
    ACCOUNT,
    AUTHENTICATION,
    NETWORK_TOKEN,
    SERIES,
    FixedLease,
    fresh,
    settings,
)
from tests.contract.gateway_shop import Shop, capture_of, refund_of, shop_at, void_of
from tests.contract.simulated_gateway import SimulatedGateway


@pytest.fixture
async def shop(simulator: SimulatedGateway) -> AsyncIterator[Shop]:
    """A shop that reckons with no cut-off: its batches are settled by hand."""
    async with shop_at(simulator) as one:
        yield one


@pytest.mark.parametrize("minor", [1234, 1000, 1])
async def test_an_authorisation_is_captured_and_found(shop: Shop, minor: int) -> None:
    """All or a part of it, under its own transaction; the finding tells how much, and the charge keeps its number."""
    charge, held = await shop.authorised()
    verdict = await shop.send(capture_of(held, minor))
    assert isinstance(verdict, Approved)
    assert (held, True) == (verdict.transaction_id, verdict.captured)
    for transaction_id in (held, None):
        found = await shop.find(charge, transaction_id, about=About.CAPTURE)
        assert isinstance(found, Found)
        assert isinstance(found.verdict, Approved)
        assert (held, minor) == (found.verdict.transaction_id, found.verdict.amount_minor)
    sight = await shop.look(charge, held)
    assert (Standing.TAKEN, Money(minor, "USD")) == (sight.standing, sight.money)


async def test_what_is_captured_already_tells_how_much_was(shop: Shop) -> None:
    """A second capture is a success that says so, with the amount of the first: ours may have been another."""
    _, held = await shop.authorised()
    await shop.send(capture_of(held, 1000))
    for minor in (1000, 400):
        verdict = await shop.send(capture_of(held, minor))
        assert isinstance(verdict, Approved)
        assert (held, 1000) == (verdict.transaction_id, verdict.amount_minor)
        assert "capturedPendingSettlement" == verdict.reason.code


async def test_a_capture_above_what_is_authorised_is_refused(shop: Shop) -> None:
    """A definite no, to be fixed; the authorisation stands."""
    charge, held = await shop.authorised()
    verdict = await shop.send(capture_of(held, 1235))
    assert isinstance(verdict, Declined)
    assert ("47", Advice.FIX) == (verdict.reason.code, verdict.reason.advice)
    assert Standing.RESERVED is (await shop.look(charge, held)).standing


async def test_what_is_void_is_not_captured(shop: Shop) -> None:
    """Refused, and when it is asked for, surely not done."""
    charge, held = await shop.authorised()
    await shop.send(void_of(held))
    verdict = await shop.send(capture_of(held))
    assert isinstance(verdict, Declined)
    assert "16" == verdict.reason.code
    finding = await shop.find(charge, held, about=About.CAPTURE)
    assert isinstance(finding, NotSeen)
    assert finding.complete


@pytest.mark.parametrize("captured", [True, False])
async def test_a_void_undoes_the_whole_and_may_be_repeated(shop: Shop, *, captured: bool) -> None:
    """An authorisation or an unsettled capture; a void of what is void is a success that says so."""
    charge, held = await (shop.charged() if captured else shop.authorised())
    for code in ("1", "310"):
        verdict = await shop.send(void_of(held))
        assert isinstance(verdict, Approved)
        assert (held, code) == (verdict.transaction_id, verdict.reason.code)
    found = await shop.find(charge, held, about=About.VOID)
    assert isinstance(found, Found)
    assert isinstance(found.verdict, Approved)
    assert Standing.VOIDED is (await shop.look(charge, held)).standing


async def test_what_settled_is_void_no_more(shop: Shop) -> None:
    """Not yet, and never: in the answer as in the finding. Nothing moved."""
    charge, sold = await shop.charged()
    shop.settle()
    assert isinstance(await shop.send(void_of(sold)), NotYet)
    found = await shop.find(charge, sold, about=About.VOID)
    assert isinstance(found, Found)
    assert isinstance(found.verdict, NotYet)
    assert Standing.SETTLED is (await shop.look(charge, sold)).standing


@pytest.mark.parametrize("make", [capture_of, void_of, refund_of])
async def test_a_transaction_that_is_not_there_is_to_be_fixed(
    shop: Shop, make: Callable[[str], Intent]
) -> None:
    """A definite no: nothing can have happened to it."""
    verdict = await shop.send(make("60000000099"))
    assert isinstance(verdict, Declined)
    assert ("16", Advice.FIX) == (verdict.reason.code, verdict.reason.advice)


async def test_a_refund_waits_for_the_settlement(shop: Shop) -> None:
    """Before it, not yet; after it, its own transaction, found by number and by id."""
    charge, sold = await shop.charged()
    assert isinstance(await shop.send(refund_of(sold)), NotYet)
    shop.settle()
    refund = refund_of(sold)
    verdict = await shop.send(refund)
    assert isinstance(verdict, Approved)
    assert sold != verdict.transaction_id
    for transaction_id in (verdict.transaction_id, None):
        found = await shop.find_refund(refund, transaction_id)
        assert isinstance(found, Found)
        assert isinstance(found.verdict, Approved)
        expected = (verdict.transaction_id, 500, "USD")
        said = found.verdict
        assert expected == (said.transaction_id, said.amount_minor, said.currency)
    assert Standing.SETTLED is (await shop.look(charge, sold)).standing


async def test_refunds_never_exceed_what_was_captured(shop: Shop) -> None:
    """Several partial ones of the same amount are several; the one too many is refused, to be fixed."""
    _, sold = await shop.charged()
    shop.settle()
    for minor in (500, 500, 234):
        assert isinstance(await shop.send(refund_of(sold, minor)), Approved)
    verdict = await shop.send(refund_of(sold, 1))
    assert isinstance(verdict, Declined)
    assert ("55", Advice.FIX) == (verdict.reason.code, verdict.reason.advice)


async def test_a_refund_that_is_sent_twice_leaves_once(
    shop: Shop, simulator: SimulatedGateway
) -> None:
    """Should the same refund ever be sent again, the gateway's guard answers, and we read it as Unknown.

    The next attempt after a definite no is no repetition for it.
    """
    _, sold = await shop.charged()
    shop.settle()
    refund = refund_of(sold, 100)
    await shop.send(refund)
    assert isinstance(await shop.send(refund), Unknown)
    assert 1 == len(simulator.ledger(refund.invoice_number))
    assert isinstance(await shop.send(replace(refund, attempt=2)), Approved)


async def test_a_refund_of_another_card_is_refused(shop: Shop) -> None:
    """Other last digits than the charge's: the gateway says that it does not qualify."""
    _, sold = await shop.charged()
    shop.settle()
    refund = refund_of(sold)
    stranger = replace(refund, method=replace(refund.method, last4="2222"))
    assert isinstance(await shop.send(stranger), NotYet)


async def test_a_held_refund_is_held_both_ways(shop: Shop, simulator: SimulatedGateway) -> None:
    """The filters hold refunds too: in the answer and in the list."""
    _, sold = await shop.charged()
    shop.settle()
    simulator.script("held_252")
    refund = refund_of(sold)
    assert isinstance(await shop.send(refund), Held)
    found = await shop.find_refund(refund)
    assert isinstance(found, Found)
    assert isinstance(found.verdict, Held)


async def ready(shop: Shop, about: About) -> tuple[Intent, str]:
    """An intent that will be taken, and the id of the charge that it is about."""
    if about is About.REFUND:
        _, sold = await shop.charged()
        shop.settle()
        return refund_of(sold), sold
    _, held = await shop.authorised()
    return (capture_of(held) if about is About.CAPTURE else void_of(held)), held


@pytest.mark.parametrize("about", [About.CAPTURE, About.VOID, About.REFUND])
@pytest.mark.parametrize("done", [True, False])
async def test_a_lost_answer_is_unknown_and_then_known(
    shop: Shop, simulator: SimulatedGateway, about: About, *, done: bool
) -> None:
    """Done or not, we could not hear it: Unknown; when it is asked for, the thing itself, or surely not done."""
    intent, charged = await ready(shop, about)
    simulator.script("lost_answer" if done else "reset_before_read")
    assert isinstance(await shop.send(intent), Unknown)
    if about is About.REFUND:
        finding = await shop.find_refund(refund_of(charged, invoice_number=intent.invoice_number))
    else:
        charge = fresh(invoice_number="")
        finding = await shop.find(charge, charged, about=about)
    if done:
        assert isinstance(finding, Found)
        assert isinstance(finding.verdict, Approved)
    else:
        assert isinstance(finding, NotSeen)
        assert finding.complete


@pytest.mark.parametrize("about", [About.CAPTURE, About.VOID, About.REFUND])
async def test_a_request_delivered_twice_is_done_once(
    shop: Shop, simulator: SimulatedGateway, about: About
) -> None:
    """The infrastructure delivers our one request twice, and we hear the second answer: done, or Unknown."""
    intent, _ = await ready(shop, about)
    simulator.script("delivered_twice")
    verdict = await shop.send(intent)
    assert isinstance(verdict, Unknown if about is About.REFUND else Approved)
    summary = simulator.control("GET", "/ledger/summary")
    assert [] == summary["captured_above_authorised"] + summary["refunded_above_captured"]
    assert 1 >= len(simulator.ledger(intent.invoice_number))


async def test_a_busy_account_never_blocks_another(simulator: SimulatedGateway) -> None:
    """Each account has its own places, breaker and currency; what one does not see, the other may."""
    simulator.control("POST", "/reset")
    euros = replace(ACCOUNT, login=Secret("euro-shop"), currency="EUR")
    added = {"login": "euro-shop", "transaction_key": euros.transaction_key.reveal()}
    simulator.control("POST", "/accounts", body={"accounts": [{**added, "currency": "EUR"}]})
    accounts = {"main": ACCOUNT, "euro": euros}
    config = settings(simulator.url, accounts=accounts, breaker_after=1, in_flight=1)
    gateway = AuthorizeNet(config, lease=FixedLease())
    try:
        async with gateway.slot("main"):
            simulator.script("reset_before_read")
            assert isinstance((await gateway.send(fresh())).verdict, Unknown)
            with pytest.raises(Unavailable):
                await gateway.slot("main").__aenter__()
            assert gateway.available
            async with gateway.slot("euro"):
                charge = fresh(merchant_account="euro", money=Money(500, "EUR"), lines=())
                verdict = (await gateway.send(charge)).verdict
        assert isinstance(verdict, Approved)
        with pytest.raises(Unavailable, match="no credentials"):
            gateway.slot("yen")
    finally:
        await gateway.aclose()


@pytest.mark.parametrize("minor", [0, 1])
async def test_a_means_is_verified_and_let_go(shop: Shop, minor: int) -> None:
    """An authorisation of nothing or of one cent is made, found and void."""
    money = Money(minor, "USD")
    charge, held = await shop.charged(mode=Mode.VERIFY, money=money, lines=())
    found = await shop.find(charge, None)
    assert isinstance(found, Found)
    assert isinstance(found.verdict, Approved)
    assert (False, minor) == (found.verdict.captured, found.verdict.amount_minor)
    assert isinstance(await shop.send(void_of(held)), Approved)


@pytest.mark.parametrize(
    "means", [NETWORK_TOKEN, StoredProfile("900000000", "900000001", Secret("900"))]
)
async def test_the_gateways_schema_takes_all_that_we_send(shop: Shop, means: Means) -> None:
    """Network token, stored profile, addresses, tax, series, 3-D Secure values: in order and within the limits."""
    address = Address(*["x" * 255] * 10)
    charge, _ = await shop.charged(
        means=means,
        billing=address,
        shipping=address,
        description="y" * 255,
        tax_minor=99,
        stored_credential=SERIES,
        cardholder_authentication=AUTHENTICATION,
        user_id="u" * 64,
    )
    await shop.charged(stored_credential=StoredCredential(Credential.FIRST_UNSCHEDULED))
    assert 20 == len(charge.invoice_number)
