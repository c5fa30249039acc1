"""One suite for `handlers.ports.Gateway`: over two doubles, and over the adapter against the simulator.

What Authorize.Net alone can do is in `test_gateway_simulator.py`, how a connection dies in `test_gate_*.py`.
"""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from handlers.domain.commands import Mode
from handlers.domain.errors import Unavailable
from handlers.domain.facts import Sight, Standing
from handlers.domain.intents import About, Charge, Intent, Question
from handlers.domain.means import OpaqueData
from handlers.domain.money import Money
from handlers.domain.verdicts import (
    Approved,
    Declined,
    Finding,
    Found,
    Held,
    NotSeen,
    NotYet,
    Unknown,
    Unsent,
)
from handlers.ports import Gateway
from tests.contract.gateway_fixtures import KEY, LOGIN, asked_now
from tests.contract.gateway_shop import capture_of, refund_of, void_of
from tests.contract.gateway_subjects import (
    DoubleSubject,
    MemorySubject,
    RealSubject,
    Subject,
    port_charge,
    send,
)
from tests.contract.simulated_gateway import SimulatedGateway


@pytest.fixture(params=["double", "memory", "real"])
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    """The gateway under test."""
    if request.param != "real":
        yield DoubleSubject() if request.param == "double" else MemorySubject()
        return
    simulator: SimulatedGateway = request.getfixturevalue("simulator")
    simulator.control("POST", "/reset")
    real = RealSubject(simulator)
    yield real
    await real.gateway.aclose()


async def approved(gateway: Gateway, intent: Intent) -> str:
    """Send what is approved; its transaction id."""
    verdict = await send(gateway, intent)
    assert isinstance(verdict, Approved)
    return verdict.transaction_id


def question(
    intent: Charge, transaction_id: str | None = None, *, about: About = About.CHARGE
) -> Question:
    """What became of a charge, or of what was done to it."""
    return asked_now(
        invoice_number=intent.invoice_number,
        money=intent.money,
        mode=intent.mode,
        transaction_id=transaction_id,
        about=about,
    )


async def find(gateway: Gateway, charge: Charge) -> Finding:
    """Ask for it."""
    return await gateway.find(question(charge))


async def standing(gateway: Gateway, charge: Charge) -> Standing:
    """How it stands, looked at by its number."""
    sight = await gateway.look(question(charge))
    assert isinstance(sight, Sight)
    return sight.standing


async def test_what_was_approved_is_booked_once_and_found(subject: Subject) -> None:
    """The answer and the finding are of one transaction, and its evidence is plain JSON."""
    charge = port_charge()
    async with subject.gateway.slot("main"):
        answer = await subject.gateway.send(charge)
    assert isinstance(answer.verdict, Approved)
    assert 1 == subject.booked(charge)
    found = await find(subject.gateway, charge)
    assert isinstance(found, Found)
    assert isinstance(found.verdict, Approved)
    assert answer.verdict.transaction_id == found.verdict.transaction_id
    for evidence in (answer.evidence, found.evidence):
        assert json.loads(json.dumps(dict(evidence)))


async def test_a_decline_is_declined_and_found(subject: Subject) -> None:
    """A definite no is the same when it is asked for."""
    charge = subject.decline(port_charge())
    assert isinstance(await send(subject.gateway, charge), Declined)
    found = await find(subject.gateway, charge)
    assert isinstance(found, Found)
    assert isinstance(found.verdict, Declined)


async def test_what_is_held_is_held_when_asked_for(subject: Subject) -> None:
    """Held for review is neither success nor failure."""
    subject.hold()
    charge = port_charge()
    assert isinstance(await send(subject.gateway, charge), Held)
    found = await find(subject.gateway, charge)
    assert isinstance(found, Found)
    assert isinstance(found.verdict, Held)


@pytest.mark.parametrize("charged", [True, False])
async def test_silence_is_unknown_until_it_is_asked_for(subject: Subject, *, charged: bool) -> None:
    """A lost answer is Unknown whether it was booked or not; the finding tells the two apart."""
    subject.lose(done=charged)
    charge = port_charge()
    assert isinstance(await send(subject.gateway, charge), Unknown)
    assert int(charged) == subject.booked(charge)
    finding = await find(subject.gateway, charge)
    assert isinstance(finding, Found if charged else NotSeen)
    assert isinstance(finding, Found) or finding.complete


async def test_what_was_never_sent_is_not_seen(subject: Subject) -> None:
    """A complete scan without it."""
    finding = await find(subject.gateway, port_charge())
    assert isinstance(finding, NotSeen)
    assert finding.complete


async def test_unsent_leaves_no_trace(subject: Subject) -> None:
    """Surely not sent: nothing is booked, nothing is seen."""
    subject.cut_off()
    charge = port_charge()
    assert isinstance(await send(subject.gateway, charge), Unsent)
    assert 0 == subject.booked(charge)


async def test_an_open_breaker_gives_no_slot(subject: Subject) -> None:
    """Unavailable names the gateway, and comes before anything is opened."""
    await subject.break_()
    with pytest.raises(Unavailable) as turned_away:
        await send(subject.gateway, port_charge())
    assert "gateway" == turned_away.value.what


async def test_the_frozen_request_holds_no_secret(subject: Subject) -> None:
    """What the journal keeps names the charge, is plain JSON, and has neither the token nor the credentials."""
    charge = port_charge()
    text = json.dumps(dict(subject.gateway.frozen(charge)))
    assert charge.invoice_number in text
    assert isinstance(charge.means, OpaqueData)
    for secret in (charge.means.value.reveal(), KEY, LOGIN):
        assert secret not in text


async def test_a_charge_stands_where_its_verbs_put_it(subject: Subject) -> None:
    """Reserved, captured in part, settled; each look tells it, with the money that counts."""
    gateway, charge = subject.gateway, port_charge(Mode.AUTHORISE)
    held = await approved(gateway, charge)
    assert Standing.RESERVED is await standing(gateway, charge)
    assert held == await approved(gateway, capture_of(held, 1000))
    sight = await gateway.look(question(charge, held))
    assert isinstance(sight, Sight)
    assert (Standing.TAKEN, Money(1000, "USD")) == (sight.standing, sight.money)
    assert (held, "1111") == (sight.transaction_id, sight.method.last4)
    subject.settle()
    assert Standing.SETTLED is await standing(gateway, charge)


async def test_a_capture_may_be_repeated_and_not_be_exceeded(subject: Subject) -> None:
    """Above what is authorised: declined. Done already: approved, with what was captured."""
    gateway = subject.gateway
    held = await approved(gateway, port_charge(Mode.AUTHORISE))
    assert isinstance(await send(gateway, capture_of(held, 1235)), Declined)
    await approved(gateway, capture_of(held, 1000))
    again = await send(gateway, capture_of(held, 900))
    assert isinstance(again, Approved)
    assert 1000 == again.amount_minor


@pytest.mark.parametrize("mode", [Mode.SALE, Mode.AUTHORISE, Mode.VERIFY])
async def test_a_void_may_be_repeated(subject: Subject, mode: Mode) -> None:
    """Of an authorisation or an unsettled sale; what is void is void, and cannot be captured."""
    gateway, charge = subject.gateway, port_charge(mode)
    taken = await approved(gateway, charge)
    for _ in range(2):
        assert taken == await approved(gateway, void_of(taken))
    assert Standing.VOIDED is await standing(gateway, charge)
    assert isinstance(await send(gateway, capture_of(taken)), Declined)
    found = await gateway.find(question(charge, taken, about=About.VOID))
    assert isinstance(found, Found)
    assert isinstance(found.verdict, Approved)


async def test_settlement_turns_a_void_into_a_refund(subject: Subject) -> None:
    """Before it a refund is not yet possible, after it a void is not; both moved nothing."""
    gateway, charge = subject.gateway, port_charge()
    sold = await approved(gateway, charge)
    assert isinstance(await send(gateway, refund_of(sold)), NotYet)
    subject.settle()
    assert isinstance(await send(gateway, void_of(sold)), NotYet)
    found = await gateway.find(question(charge, sold, about=About.VOID))
    assert isinstance(found, Found)
    assert isinstance(found.verdict, NotYet)


async def test_refunds_are_transactions_of_their_own(subject: Subject) -> None:
    """Several, up to what was captured and no further; each is found by its own number and id."""
    gateway = subject.gateway
    sold = await approved(gateway, port_charge())
    subject.settle()
    first, second = refund_of(sold, 1000), refund_of(sold, 234)
    ids = [await approved(gateway, each) for each in (first, second)]
    assert 3 == len({sold, *ids})
    assert isinstance(await send(gateway, refund_of(sold, 1)), Declined)
    for transaction_id in (None, ids[0]):
        asked = asked_now(
            invoice_number=first.invoice_number,
            money=first.money,
            transaction_id=transaction_id,
            about=About.REFUND,
        )
        found = await gateway.find(asked)
        assert isinstance(found, Found)
        assert isinstance(found.verdict, Approved)
        assert ids[0] == found.verdict.transaction_id


@pytest.mark.parametrize("about", [About.CAPTURE, About.VOID, About.REFUND])
@pytest.mark.parametrize("done", [True, False])
async def test_a_request_that_was_not_answered_is_asked_for(
    subject: Subject, about: About, *, done: bool
) -> None:
    """Unknown at first; then the thing itself, or surely not done."""
    gateway, charge = (
        subject.gateway,
        port_charge(Mode.SALE if about is About.REFUND else Mode.AUTHORISE),
    )
    taken = await approved(gateway, charge)
    subject.settle()
    makes: dict[About, Callable[[str], Intent]] = {
        About.CAPTURE: capture_of,
        About.VOID: void_of,
        About.REFUND: refund_of,
    }
    intent = makes[about](taken)
    subject.lose(done=done)
    assert isinstance(await send(gateway, intent), Unknown)
    asked = question(charge, taken, about=about)
    if about is About.REFUND:
        asked = replace(asked, invoice_number=intent.invoice_number, transaction_id=None)
    finding = await gateway.find(asked)
    assert isinstance(finding, Found if done else NotSeen)
    if isinstance(finding, Found):
        assert isinstance(finding.verdict, Approved)
    else:
        assert finding.complete


@pytest.mark.parametrize("approve", [True, False])
async def test_what_is_held_is_decided_by_a_person(subject: Subject, *, approve: bool) -> None:
    """Held until then; afterwards taken, or declined."""
    subject.hold()
    charge = port_charge()
    verdict = await send(subject.gateway, charge)
    assert isinstance(verdict, Held)
    assert Standing.HELD is await standing(subject.gateway, charge)
    subject.decide(verdict.transaction_id, approve=approve)
    expected = Standing.TAKEN if approve else Standing.DECLINED
    assert expected is await standing(subject.gateway, charge)
    found = await find(subject.gateway, charge)
    assert isinstance(found, Found)
    assert isinstance(found.verdict, Approved if approve else Declined)


async def test_a_charge_that_nobody_knows_is_not_seen(subject: Subject) -> None:
    """Neither by number nor by id; and what is done to it is refused."""
    for transaction_id in (None, "60000000099"):
        seen = await subject.gateway.look(question(port_charge(), transaction_id))
        assert isinstance(seen, NotSeen)
    for make in (capture_of, void_of, refund_of):
        assert isinstance(await send(subject.gateway, make("60000000099")), Declined)


async def test_a_look_that_nobody_answers_is_unavailable(subject: Subject) -> None:
    """Not seeing and not being answered are two things."""
    await subject.deafen()
    with pytest.raises(Unavailable) as raised:
        await subject.gateway.look(question(port_charge(), "60000000099"))
    assert "gateway" == raised.value.what
