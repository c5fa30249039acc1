"""The adapter in front of the simulated gateway, with its clock: what tests of verbs and settlement do. No tests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from handlers.domain.commands import Mode
from handlers.domain.facts import Sight
from handlers.domain.intents import About, Capture, Charge, Intent, Question, Refund, Void
from handlers.domain.means import OpaqueData
from handlers.domain.money import Money
from handlers.domain.secret import Secret
from handlers.domain.verdicts import Approved, Finding, Verdict
from handlers.gateway.authorizenet.client import AuthorizeNet
from handlers.gateway.authorizenet.settings import CutOff
from tests.contract.gateway_fixtures import (
    ACCOUNT,
    CAPTURE,
    REFUND,
    VOID,
    FixedLease,
    asked_now,
    fresh,
    settings,
)
from tests.contract.simulated_gateway import SimulatedGateway

DAY_S = 86_400.0
_numbers = count(1)


class Shop:
    """One merchant account at a simulator without history; its clock is the adapter's, too."""

    def __init__(self, simulator: SimulatedGateway, *, cut_off: CutOff | None) -> None:
        self.simulator = simulator
        self._ahead = timedelta()
        accounts = {"main": replace(ACCOUNT, cut_off=cut_off)}
        config = settings(simulator.url, accounts=accounts)
        self.gateway = AuthorizeNet(config, lease=FixedLease(), now=self.now)

    def now(self) -> datetime:
        """The gateway's time."""
        return datetime.now(UTC) + self._ahead

    def advance(self, seconds: float) -> None:
        """Let time pass; what lies between settles and expires."""
        self.simulator.control("POST", "/clock", body={"advance_s": seconds})
        self._ahead += timedelta(seconds=seconds)

    def settle(self, **how: bool) -> None:
        """A batch at once."""
        self.simulator.control("POST", "/settle", body=how)

    async def send(self, intent: Intent) -> Verdict:
        """Its verdict."""
        async with self.gateway.slot(intent.merchant_account):
            return (await self.gateway.send(intent)).verdict

    async def charged(self, **changes: Any) -> tuple[Charge, str]:
        """A sale that is approved, and its transaction id."""
        charge = fresh(**changes)
        verdict = await self.send(charge)
        assert isinstance(verdict, Approved)
        return charge, verdict.transaction_id

    async def authorised(self) -> tuple[Charge, str]:
        """An authorisation of 12.34, and its transaction id."""
        return await self.charged(mode=Mode.AUTHORISE)

    async def banked(self) -> tuple[Charge, str]:
        """A sale off a bank account."""
        token = Secret(f"bank-{next(_numbers)}")
        return await self.charged(means=OpaqueData("COMMON.ACCEPT.INAPP.PAYMENT", token))

    def question(self, charge: Charge, transaction_id: str | None, *, about: About) -> Question:
        """What became of it: of the charge, or of what was done to it."""
        return asked_now(
            invoice_number=charge.invoice_number,
            money=charge.money,
            mode=charge.mode,
            transaction_id=transaction_id,
            about=about,
        )

    async def find(
        self, charge: Charge, transaction_id: str | None, *, about: About = About.CHARGE
    ) -> Finding:
        """What is found of it."""
        return await self.gateway.find(self.question(charge, transaction_id, about=about))

    async def find_refund(self, refund: Refund, transaction_id: str | None = None) -> Finding:
        """What is found of a refund, by its own number or id."""
        question = asked_now(
            invoice_number=refund.invoice_number,
            money=refund.money,
            transaction_id=transaction_id,
            about=About.REFUND,
        )
        return await self.gateway.find(question)

    async def look(self, charge: Charge, transaction_id: str | None) -> Sight:
        """How the charge stands."""
        sight = await self.gateway.look(self.question(charge, transaction_id, about=About.CHARGE))
        assert isinstance(sight, Sight)
        return sight


def capture_of(transaction_id: str, minor: int = 1000) -> Capture:
    """A capture."""
    reference = f"C{next(_numbers):019d}"
    return replace(
        CAPTURE,
        reference=reference,
        invoice_number=reference,
        transaction_id=transaction_id,
        money=Money(minor, "USD"),
    )


def void_of(transaction_id: str) -> Void:
    """A void."""
    reference = f"V{next(_numbers):019d}"
    return replace(
        VOID, reference=reference, invoice_number=reference, transaction_id=transaction_id
    )


def refund_of(transaction_id: str, minor: int = 500, **changes: Any) -> Refund:
    """A refund to the card that ends in 1111, unless told otherwise."""
    reference = f"R{next(_numbers):019d}"
    base = replace(
        REFUND,
        reference=reference,
        invoice_number=reference,
        transaction_id=transaction_id,
        money=Money(minor, "USD"),
    )
    return replace(base, **changes)


@asynccontextmanager
async def shop_at(
    simulator: SimulatedGateway, *, cut_off: CutOff | None = None
) -> AsyncIterator[Shop]:
    """A shop at a simulator that was reset; its connections are closed at the end."""
    simulator.control("POST", "/reset")
    shop = Shop(simulator, cut_off=cut_off)
    try:
        yield shop
    finally:
        await shop.gateway.aclose()
