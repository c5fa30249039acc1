"""A scripted gateway with a ledger. Its contract suite: `tests/contract/test_gateway_port.py`."""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from handlers.domain.errors import Unavailable
from handlers.domain.intents import Intent, Question
from handlers.domain.verdicts import (
    Answer,
    Approved,
    Declined,
    Evidence,
    Finding,
    Found,
    Held,
    NotSeen,
    Unsent,
    Verdict,
)
from tests.doubles.power import Power
from tests.doubles.values import APPROVED

Booked = Approved | Declined | Held


@dataclass(frozen=True, slots=True)
class Reply:
    """How one call ends: what it `says`, and what the gateway `booked` (None: nothing)."""

    says: Verdict
    booked: Booked | None = None


@dataclass
class GatewayDouble:
    """Implements `handlers.ports.Gateway`. What is not scripted is approved, booked, and found by invoice number."""

    power: Power = field(default_factory=Power)
    replies: deque[Reply] = field(default_factory=deque)
    findings: deque[Finding] = field(default_factory=deque)
    sent: list[Intent] = field(default_factory=list)
    asked: list[Question] = field(default_factory=list)
    ledger: dict[str, list[Booked]] = field(default_factory=dict)
    breaker_open: bool = False
    in_slot: int = 0

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """A place, unless the breaker is open."""
        if self.breaker_open:
            raise Unavailable("gateway", "the breaker is open")
        self.in_slot += 1
        try:
            yield
        finally:
            self.in_slot -= 1

    def frozen(self, intent: Intent) -> Evidence:
        """The request without secrets."""
        return {"invoiceNumber": intent.invoice_number, "amount": intent.money.decimal_text()}

    async def send(self, intent: Intent) -> Answer:
        """Answer by the script. An Unsent one never reached the gateway."""
        assert self.in_slot, "a call takes a slot first"
        self.power.point("send")
        reply = self.replies.popleft() if self.replies else Reply(APPROVED, APPROVED)
        if not isinstance(reply.says, Unsent):
            self.sent.append(intent)
        if reply.booked is not None:
            self.ledger.setdefault(intent.invoice_number, []).append(reply.booked)
        self.power.point("send done")
        return Answer(reply.says, {"said": type(reply.says).__name__})

    async def find(self, question: Question) -> Finding:
        """The scripted finding, else what the ledger says."""
        self.power.point("find")
        self.asked.append(question)
        if self.findings:
            return self.findings.popleft()
        booked = self.ledger.get(question.invoice_number)
        self.power.point("find done")
        if booked:
            return Found(booked[-1], {"found": question.invoice_number})
        return NotSeen(complete=True, why="it is not in the list", evidence={"scanned": 1})
