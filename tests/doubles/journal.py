"""The journal in memory. Its contract suite: `tests/contract/test_journal_port.py`.

It keeps the promises of the port for one session at a time, and what it is given survives a power cut of its caller.
What it cannot do (outlive its own process) is the database's, and a strict xfail in the suite.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from handlers.domain.commands import Command, Kind
from handlers.domain.intents import Charge, Intent, Question, Void
from handlers.domain.payments import Snapshot, renumbered
from handlers.domain.recovery import Stage
from handlers.domain.verdicts import Evidence
from handlers.ports import Lost, Message, Moved, Operation, Queued, Taken, Wait
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
    """Implements `handlers.ports.Journal`. `held_back`: payments whose last event another session has to publish.

    `claims`: who pays which order. It keeps no lines: whoever drives it decides which operation goes next.
    """

    clock: ClockDouble
    power: Power = field(default_factory=Power)
    rows: dict[str, Row] = field(default_factory=dict)
    outbox: list[Message] = field(default_factory=list)
    evidence: dict[str, list[Evidence]] = field(default_factory=dict)
    held_back: set[str] = field(default_factory=set)
    claims: dict[str, str] = field(default_factory=dict)

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
        row = self.rows[operation_id]
        of, used = row.operation, [n for n, state in row.attempts.items() if state != "unsent"]
        assert of.inquiry is not None
        inquiry = replace(of.inquiry, now=self.clock.now())
        tried = of.stage in {Stage.OPEN, Stage.ANSWERED, Stage.ASKING, Stage.CONCLUDED}
        number = max(used, default=1) if tried else max(used, default=0) + 1
        return replace(of, inquiry=inquiry, attempt=number)

    async def open(
        self, operation: Operation, *, intent: Intent, frozen: Evidence
    ) -> Moved | Lost | Taken:
        """Write the intent; an attempt that is not `unsent` is never opened twice."""
        self.power.point("open")
        row = self._mine(operation)
        if row is None:
            return Lost()
        assert row.attempts.get(intent.attempt, "unsent") == "unsent"
        assert frozen
        if isinstance(intent, Charge) and intent.claim:
            holder = self.claims.setdefault(intent.claim, operation.payment.payment_id)
            if holder != operation.payment.payment_id:
                return Taken(holder)
        row.attempts[intent.attempt] = "open"
        row.due_at = None
        inquiry = operation.inquiry
        if inquiry is not None:
            until = self.clock.now() + timedelta(seconds=_DEADLINE_S)
            inquiry = replace(
                inquiry,
                until=until,
                asked=0,
                complete_scans=0,
                merchant_account=intent.merchant_account,
                invoice_number=intent.invoice_number,
            )
        row.operation = _reserving(row.operation, intent)
        return self._moved(row, "open", stage=Stage.OPEN, tried=intent.about, inquiry=inquiry)

    async def answer(
        self,
        operation: Operation,
        *,
        told: Snapshot,
        evidence: Evidence,
        follow_up: Command | None = None,
        found: Question | None = None,
    ) -> Moved | Lost:
        """Evidence whoever holds it, then the news."""
        del found  # nobody walks lists here
        self.power.point("answer")
        self._keep(operation, evidence)
        row = self._mine(operation)
        if row is None:
            return Lost()
        assert told.payment.version == row.operation.payment.version + 1
        row.due_at = None
        self._settle(row, "answered")
        return self._moved(
            row,
            "answer",
            stage=Stage.ANSWERED,
            payment=told.payment,
            request=told.request,
            follow_up=follow_up,
            answered_at=self.clock.now(),
        )

    async def outrun(self, operation: Operation, *, version: int) -> Moved | Lost:
        """The same news under a higher version."""
        self.power.point("outrun")
        row = self._mine(operation)
        if row is None:
            return Lost()
        payment = renumbered(operation.payment, version=version)
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
        if wait.unsent or wait.again or wait.told:
            self._settle(row, "unsent" if wait.unsent else "answered")
        inquiry = operation.inquiry
        if inquiry is not None:
            asked, scans = inquiry.asked + wait.asked, inquiry.complete_scans + wait.complete_scan
            if wait.trust or wait.again:
                asked = scans = 0
            inquiry = replace(inquiry, asked=asked, complete_scans=scans)
        if wait.trust:
            self._settle(row, "answered")
        return self._moved(
            row,
            "wait",
            stage=_parked(operation, wait),
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
        stage = Stage.DEFERRED if wait.release else Stage.ASKING
        return self._moved(row, "conclude", stage=stage, inquiry=inquiry)

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


def _parked(of: Operation, wait: Wait) -> Stage:
    """A request that is trusted stands in a line of its own here: it goes on at once."""
    if wait.unsent or wait.again or (wait.trust and of.request is not None):
        return Stage.ADMITTED
    if wait.told:
        return Stage.ASKING
    return Stage.DEFERRED if wait.release else of.stage


def _reserving(of: Operation, intent: Intent) -> Operation:
    """What an intent reserves of its payment, once."""
    request = of.request
    if isinstance(intent, Charge):
        return replace(of, payment=replace(of.payment, marks=intent.marks))
    if request is None or request.reserved_minor or request.kind not in {Kind.CAPTURE, Kind.REFUND}:
        return of
    known = of.payment
    minor = intent.money.amount_minor
    if isinstance(intent, Void):
        minor = min(request.amount_minor, known.captured_minor)
    if request.kind is Kind.CAPTURE:
        known = replace(known, capturing_minor=known.capturing_minor + minor)
    else:
        known = replace(known, refunding_minor=known.refunding_minor + minor)
    return replace(of, payment=known, request=replace(request, reserved_minor=minor))
