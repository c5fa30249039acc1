"""The journal in memory. Its contract suite: `tests/contract/test_journal_port.py`.

It keeps the promises of the port for one session at a time, and what it is given survives a power cut of its caller.
What it cannot do (outlive its own process) is the database's, and a strict xfail in the suite.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from handlers.domain.intents import Intent
from handlers.domain.payments import Payment
from handlers.domain.recovery import Stage
from handlers.domain.verdicts import Evidence
from handlers.ports import Lost, Message, Moved, Operation, Queued, Wait
from tests.doubles.clock import ClockDouble
from tests.doubles.power import Power

_DEADLINE_S = 60.0


@dataclass
class Row:
    """One operation on disk."""

    operation: Operation
    due_at: datetime | None = None
    why: str = ""
    attempts: dict[int, str] = field(default_factory=dict)  # number → open, unsent, answered


@dataclass
class JournalDouble:
    """Implements `handlers.ports.Journal`. `held_back`: payments whose last event another session has to publish."""

    clock: ClockDouble
    power: Power = field(default_factory=Power)
    rows: dict[str, Row] = field(default_factory=dict)
    outbox: list[Message] = field(default_factory=list)
    evidence: dict[str, list[Evidence]] = field(default_factory=dict)
    held_back: set[str] = field(default_factory=set)

    def admit(self, operation: Operation) -> Operation:
        """What intake wrote."""
        self.rows[operation.operation_id] = Row(operation)
        return operation

    def take_over(self, operation_id: str) -> None:
        """Another session raises the token."""
        row = self.rows[operation_id]
        row.operation = replace(row.operation, token=row.operation.token + 1)

    def load(self, operation_id: str) -> Operation:
        """As the janitor reads it: with the time of now."""
        of = self.rows[operation_id].operation
        assert of.inquiry is not None
        return replace(of, inquiry=replace(of.inquiry, now=self.clock.now()))

    async def open(self, operation: Operation, *, intent: Intent, frozen: Evidence) -> Moved | Lost:
        """Write the intent; an attempt that is not `unsent` is never opened twice."""
        self.power.point("open")
        row = self._mine(operation)
        if row is None:
            return Lost()
        assert row.attempts.get(intent.attempt, "unsent") == "unsent"
        assert frozen
        row.attempts[intent.attempt] = "open"
        row.due_at = None
        inquiry = operation.inquiry
        if inquiry is not None:
            until = self.clock.now() + timedelta(seconds=_DEADLINE_S)
            inquiry = replace(inquiry, until=until)
        return self._moved(row, "open", stage=Stage.OPEN, inquiry=inquiry)

    async def answer(
        self, operation: Operation, *, payment: Payment, evidence: Evidence
    ) -> Moved | Lost:
        """Evidence whoever holds it, then the news."""
        self.power.point("answer")
        self._keep(operation, evidence)
        row = self._mine(operation)
        if row is None:
            return Lost()
        assert payment.version == row.operation.payment.version + 1
        row.due_at = None
        self._settle(row, "answered")
        changes = {"payment": payment, "answered_at": self.clock.now()}
        return self._moved(row, "answer", stage=Stage.ANSWERED, **changes)

    async def outrun(self, operation: Operation, *, version: int) -> Moved | Lost:
        """The same news under a higher version."""
        self.power.point("outrun")
        row = self._mine(operation)
        if row is None:
            return Lost()
        payment = replace(operation.payment, version=version)
        return self._moved(row, "outrun", payment=payment)

    async def wait(self, operation: Operation, *, wait: Wait) -> Moved | Lost:
        """Due again later."""
        self.power.point("wait")
        if wait.evidence:
            self._keep(operation, wait.evidence)
        row = self._mine(operation)
        if row is None:
            return Lost()
        row.due_at = self.clock.now() + timedelta(seconds=wait.seconds)
        row.why = wait.why
        if wait.unsent:
            self._settle(row, "unsent")
        inquiry = operation.inquiry
        if inquiry is not None:
            asked, scans = inquiry.asked + wait.asked, inquiry.complete_scans + wait.complete_scan
            if wait.trust:
                asked = scans = 0
            inquiry = replace(inquiry, asked=asked, complete_scans=scans)
        return self._moved(
            row,
            "wait",
            stage=Stage.ADMITTED if wait.unsent else operation.stage,
            suspect=operation.suspect and not wait.trust,
            inquiry=inquiry,
        )

    async def conclude(
        self, operation: Operation, *, messages: Sequence[Message], wait: Wait | None
    ) -> Moved | Lost | Queued:
        """Events, and the end or the next question."""
        self.power.point("conclude")
        if operation.payment.payment_id in self.held_back:
            return Queued()
        row = self._mine(operation)
        if row is None:
            return Lost()
        self.outbox.extend(messages)
        inquiry = operation.inquiry
        if wait is None:
            row.due_at = None
            return self._moved(row, "conclude", stage=Stage.CONCLUDED)
        row.due_at = self.clock.now() + timedelta(seconds=wait.seconds)
        row.why = wait.why
        if inquiry is not None:
            inquiry = replace(inquiry, asked=inquiry.asked + wait.asked)
        return self._moved(row, "conclude", stage=Stage.ASKING, inquiry=inquiry)

    def _mine(self, operation: Operation) -> Row | None:
        row = self.rows[operation.operation_id]
        there = (row.operation.token, row.operation.stage)
        return row if there == (operation.token, operation.stage) else None

    def _keep(self, operation: Operation, evidence: Evidence) -> None:
        self.evidence.setdefault(operation.operation_id, []).append(evidence)

    def _moved(self, row: Row, name: str, **changes: Any) -> Moved:
        row.operation = replace(row.operation, **changes)
        self.power.point(f"{name} done")
        return Moved(row.operation)

    @staticmethod
    def _settle(row: Row, state: str) -> None:
        for number, now in row.attempts.items():
            if now == "open":
                row.attempts[number] = state
