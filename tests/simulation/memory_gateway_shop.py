"""One worker at the memory gateway, in simulated time: what its tests share. No tests live here."""

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time
from typing import Any, Final

from handlers.domain.facts import Entry, Sight, Standing
from handlers.domain.intents import Charge, Intent, Question
from handlers.domain.means import StoredProfile
from handlers.domain.verdicts import Approved, Finding, NotSeen, Unknown, Verdict
from handlers.gateway.authorizenet.settings import CutOff
from tests.contract.gateway_fixtures import QUESTION, fresh
from tests.doubles.clock import ClockDouble
from tests.simulation.memory_gateway import DoorSettings, MemoryGateway
from tests.simulation.memory_gateway_faults import Fate, Fates, Script
from tests.simulation.memory_gateway_ledger import GatewayRules, Ledger
from tests.simulation.memory_gateway_merchant import Merchant

NOON: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
# The day ends at 16:00; by 20:00 its batch is surely listed.
CUT_OFF: Final = CutOff(time(16), "UTC", through_after_s=4 * 3600.0)
HOUR_S: Final = 3600.0
LOST: Final = Fate(arrives_s=None, answer_s=None, breaks_s=1.0)
UNHEARD: Final = Fate(answer_s=None, breaks_s=1.0)
PROFILE: Final = StoredProfile("123", "456")


@dataclass
class Lease:
    """So much left."""

    left_s: float = 1e6

    def remaining_s(self) -> float:
        """Seconds."""
        return self.left_s


class Shop:
    """One worker at the gateway, in simulated time."""

    def __init__(
        self,
        *,
        fates: Fates | None = None,
        settings: DoorSettings | None = None,
        **rules: Any,
    ) -> None:
        self.clock = ClockDouble(NOON)
        self.script = Script()
        self.lease = Lease()
        ruled = GatewayRules(cut_off=CUT_OFF, **rules)
        self.ledger = Ledger(ruled, now=self.clock.now, fates=fates or self.script)
        self.merchant = Merchant(self.ledger)
        self.gateway = MemoryGateway(
            self.ledger,
            lease=self.lease,
            sleep=self.sleep,
            session="one",
            witness=lambda intent: {"state": "open", "invoice_number": intent.invoice_number},
            settings=settings or DoorSettings(),
        )

    async def sleep(self, seconds: float) -> None:
        """Time passes, and somebody else may run."""
        self.clock.forward(seconds)
        await asyncio.sleep(0)

    async def send(self, intent: Intent, *fates: Fate) -> Verdict:
        """Its verdict, under these fates."""
        self.script.sends.extend(fates)
        async with self.gateway.slot("main"):
            return (await self.gateway.send(intent)).verdict

    async def sold(self, *fates: Fate, **changes: Any) -> tuple[Charge, str]:
        """A sale that is approved, and its transaction id."""
        charge = fresh(**changes)
        verdict = await self.send(charge, *fates)
        assert isinstance(verdict, Approved)
        return charge, verdict.transaction_id

    def question(self, charge: Charge, transaction_id: str | None = None, **how: Any) -> Question:
        """What became of it."""
        return replace(
            QUESTION,
            invoice_number=charge.invoice_number,
            money=charge.money,
            mode=charge.mode,
            since=NOON,
            transaction_id=transaction_id,
            **how,
        )

    async def find(self, charge: Charge, transaction_id: str | None = None, **how: Any) -> Finding:
        """What is found of it."""
        return await self.gateway.find(self.question(charge, transaction_id, **how))

    async def look(self, charge: Charge, transaction_id: str | None = None) -> Sight | NotSeen:
        """How it stands."""
        return await self.gateway.look(self.question(charge, transaction_id))

    async def standing(self, transaction_id: str) -> Standing:
        """How the transaction stands."""
        sight = await self.gateway.look(
            replace(QUESTION, invoice_number="", transaction_id=transaction_id)
        )
        assert isinstance(sight, Sight)
        return sight.standing

    async def walk(self) -> list[list[Entry]]:
        """The pages of a walk since noon."""
        return [list(page) async for page in self.gateway.walk("main", since=NOON)]

    def rows(self, charge: Charge) -> int:
        """How often it was booked."""
        self.ledger.run()
        return len(self.ledger.by_invoice.get(charge.invoice_number, ()))


def code_of(verdict: Verdict) -> str:
    """The code of what is not known."""
    assert isinstance(verdict, Unknown)
    return verdict.reason.code
