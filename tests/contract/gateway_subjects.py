"""What the port's suite is run on: two doubles, and the adapter in front of the simulator. No tests live here."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from typing import Protocol

from handlers.domain.commands import Address, Mode
from handlers.domain.intents import Charge, Intent
from handlers.domain.means import OpaqueData
from handlers.domain.secret import Secret
from handlers.domain.verdicts import Unsent
from handlers.gateway.authorizenet.client import AuthorizeNet
from handlers.ports import Gateway
from tests.contract.gateway_fixtures import CHARGE, FixedLease, settings
from tests.contract.simulated_gateway import SimulatedGateway
from tests.doubles.gateway import GatewayDouble, Reply
from tests.doubles.values import APPROVED, DECLINED, HELD, UNKNOWN
from tests.simulation.memory_gateway import DoorSettings, MemoryGateway
from tests.simulation.memory_gateway_faults import Fate, Script
from tests.simulation.memory_gateway_ledger import GatewayRules, Ledger
from tests.simulation.memory_gateway_merchant import Merchant

_numbers = count(1)
_NOWHERE = "http://127.0.0.1:9/xml"


def port_charge(mode: Mode = Mode.SALE) -> Charge:
    """A charge under its own number with its own token."""
    number = f"PORT{next(_numbers):016d}"
    means = OpaqueData("COMMON.ACCEPT.INAPP.PAYMENT", Secret(f"nonce-{number}"))
    return replace(CHARGE, invoice_number=number, reference=number, means=means, mode=mode)


async def send(gateway: Gateway, intent: Intent) -> object:
    """Send it from a slot; its verdict."""
    async with gateway.slot(intent.merchant_account):
        return (await gateway.send(intent)).verdict


class Subject(Protocol):
    """What a test does around the port, on either side."""

    @property
    def gateway(self) -> Gateway:
        """The port."""
        ...

    def decline(self, charge: Charge) -> Charge:
        """The charge as it will be declined."""
        ...

    def hold(self) -> None:
        """The next one is held."""
        ...

    def lose(self, *, done: bool) -> None:
        """The next answer is lost."""
        ...

    def cut_off(self) -> None:
        """From now on no byte may leave."""
        ...

    def settle(self) -> None:
        """The nightly batch."""
        ...

    def decide(self, transaction_id: str, *, approve: bool) -> None:
        """A person's answer to what is held."""
        ...

    async def break_(self) -> None:
        """Open the breaker."""
        ...

    async def deafen(self) -> None:
        """From now on nobody answers."""
        ...

    def booked(self, intent: Intent) -> int:
        """How often it was booked."""
        ...


class DoubleSubject:
    """The double."""

    def __init__(self) -> None:
        self.gateway = GatewayDouble()

    def decline(self, charge: Charge) -> Charge:
        """By the script."""
        self.gateway.replies.append(Reply(DECLINED, DECLINED))
        return charge

    def hold(self) -> None:
        """By the script."""
        self.gateway.replies.append(Reply(HELD, HELD))

    def lose(self, *, done: bool) -> None:
        """By the script."""
        number = str(61_000 + next(_numbers))
        booked = replace(APPROVED, transaction_id=number) if done else None
        self.gateway.replies.append(Reply(UNKNOWN, booked))

    def cut_off(self) -> None:
        """By the script."""
        self.gateway.replies.append(Reply(Unsent("no lease")))

    def settle(self) -> None:
        """By the book."""
        self.gateway.settle()

    def decide(self, transaction_id: str, *, approve: bool) -> None:
        """By the book."""
        self.gateway.decide(transaction_id, approve=approve)

    async def break_(self) -> None:
        """By the script."""
        self.gateway.breaker_open = True

    async def deafen(self) -> None:
        """By the script."""
        self.gateway.deaf = True

    def booked(self, intent: Intent) -> int:
        """By the ledger."""
        return len(self.gateway.ledger.get(intent.invoice_number, []))


class MemorySubject:
    """The gateway of the simulation, in the time of the machine."""

    def __init__(self) -> None:
        self._script = Script()
        self._lease = FixedLease()
        self._ledger = Ledger(GatewayRules(), now=lambda: datetime.now(UTC), fates=self._script)
        self._merchant = Merchant(self._ledger)
        self.gateway = MemoryGateway(
            self._ledger,
            lease=self._lease,
            sleep=asyncio.sleep,
            settings=DoorSettings(breaker_after=1, breaker_first_s=60),
        )

    def decline(self, charge: Charge) -> Charge:
        """By the script."""
        self._script.sends.append(Fate(code=2))
        return charge

    def hold(self) -> None:
        """By the script."""
        self._script.sends.append(Fate(code=252))

    def lose(self, *, done: bool) -> None:
        """By the script."""
        self._script.sends.append(
            Fate(arrives_s=0.0 if done else None, answer_s=None, breaks_s=0.0)
        )

    def cut_off(self) -> None:
        """The lease is too short for a call."""
        self._lease.left_s = 0.0

    def settle(self) -> None:
        """By the ledger."""
        self._ledger.settle()

    def decide(self, transaction_id: str, *, approve: bool) -> None:
        """In the merchant interface."""
        assert self._merchant.decide(transaction_id, approve=approve)

    async def break_(self) -> None:
        """One silent call is enough for this one's breaker."""
        self.lose(done=False)
        await send(self.gateway, port_charge())

    async def deafen(self) -> None:
        """The ledger's gateway is away."""
        self._ledger.away = "nobody listens"

    def booked(self, intent: Intent) -> int:
        """By the ledger."""
        return len(self._ledger.by_invoice.get(intent.invoice_number, []))


class RealSubject:
    """The adapter in front of the simulator."""

    def __init__(self, simulator: SimulatedGateway) -> None:
        self._simulator = simulator
        self._lease = FixedLease()
        self.gateway = self._adapter(simulator.url)

    def _adapter(self, url: str) -> AuthorizeNet:
        config = settings(url, breaker_after=1, breaker_first_open_s=60)
        return AuthorizeNet(config, lease=self._lease)

    def decline(self, charge: Charge) -> Charge:
        """By the vendor's postal code."""
        return replace(charge, billing=Address(zip="46282"))

    def hold(self) -> None:
        """By the simulator's script."""
        self._simulator.script("held_252")

    def lose(self, *, done: bool) -> None:
        """By the simulator's script."""
        self._simulator.script("lost_answer" if done else "reset_before_read")

    def cut_off(self) -> None:
        """The lease is too short for a call."""
        self._lease.left_s = 0.0

    def settle(self) -> None:
        """By the simulator's control port."""
        self._simulator.control("POST", "/settle")

    def decide(self, transaction_id: str, *, approve: bool) -> None:
        """By the simulator's control port."""
        action = "approve" if approve else "decline"
        self._simulator.control("POST", f"/held/{transaction_id}", body={"action": action})

    async def break_(self) -> None:
        """One silent call is enough for this one's breaker."""
        self.lose(done=False)
        await send(self.gateway, port_charge())

    async def deafen(self) -> None:
        """Another adapter, in front of a port where nobody listens."""
        await self.gateway.aclose()
        self.gateway = self._adapter(_NOWHERE)

    def booked(self, intent: Intent) -> int:
        """By the simulator's ledger."""
        return len(self._simulator.ledger(intent.invoice_number))
