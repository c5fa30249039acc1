"""A scripted gateway with a book of transactions. Its contract suite: `tests/contract/test_gateway_port.py`."""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, assert_never

from handlers.domain.commands import Mode
from handlers.domain.errors import Unavailable
from handlers.domain.facts import Sight, Standing
from handlers.domain.intents import About, Capture, Charge, Intent, Question, Refund, Void
from handlers.domain.money import Money
from handlers.domain.verdicts import (
    Advice,
    Answer,
    Approved,
    Declined,
    Evidence,
    Finding,
    Found,
    Held,
    Method,
    NotSeen,
    NotYet,
    Reason,
    Unsent,
    Verdict,
)
from tests.doubles.power import Power
from tests.doubles.values import APPROVED

Booked = Approved | Declined | Held
_CAPTURED: Final = frozenset(
    {Standing.TAKEN, Standing.SETTLED, Standing.RETURNED, Standing.CHARGED_BACK}
)
_PAST: Final = _CAPTURED - {Standing.TAKEN}
_GONE: Final = frozenset({Standing.VOIDED, Standing.EXPIRED, Standing.DECLINED})
_OPEN: Final = frozenset({Standing.RESERVED, Standing.TAKEN, Standing.HELD})


@dataclass(frozen=True, slots=True)
class Reply:
    """How one call ends: what it `says`, and what the gateway `booked` (None: nothing)."""

    says: Verdict
    booked: Booked | None = None


@dataclass
class Booking:
    """One transaction: `money` as it was authorised, or as it is captured; a refund names its `original`."""

    transaction_id: str
    invoice_number: str
    money: Money
    standing: Standing
    method: Method
    told: Booked | None = None
    original: str = ""
    settled_at: datetime | None = None

    def stands(self, standing: Standing, money: Money | None = None) -> None:
        """It stands elsewhere now; what was told of it is no more the whole truth."""
        self.standing, self.money, self.told = standing, money or self.money, None


def _reason(code: str, advice: Advice = Advice.UNDECIDED) -> Reason:
    return Reason(code, f"the double's {code}", advice)


def _no(code: str) -> Reply:
    return Reply(Declined(_reason(code, Advice.FIX)))


def _yes(verdict: Approved) -> Reply:
    return Reply(verdict, verdict)


@dataclass
class GatewayDouble:
    """Implements `handlers.ports.Gateway`. What is not scripted follows the gateway's rules, and is found and seen.

    `deaf`: nobody answers a look. `settles_at`: what a look tells of a charge that waits for its batch.
    """

    power: Power = field(default_factory=Power)
    replies: deque[Reply] = field(default_factory=deque)
    findings: deque[Finding] = field(default_factory=deque)
    sights: deque[Sight | NotSeen] = field(default_factory=deque)
    sent: list[Intent] = field(default_factory=list)
    asked: list[Question] = field(default_factory=list)
    looked: list[Question] = field(default_factory=list)
    ledger: dict[str, list[Booked]] = field(default_factory=dict)
    book: dict[str, Booking] = field(default_factory=dict)
    breaker_open: bool = False
    deaf: bool = False
    settles_at: datetime | None = None
    in_slot: int = 0

    @asynccontextmanager
    async def slot(self, merchant_account: str) -> AsyncIterator[None]:
        """A place, unless the breaker is open."""
        assert merchant_account, "a slot is an account's"
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
        """Answer by the script, else by the rules. An Unsent one never reached the gateway."""
        assert self.in_slot, "a call takes a slot first"
        self.power.point("send")
        reply = self.replies.popleft() if self.replies else self._by_rule(intent)
        if not isinstance(reply.says, Unsent):
            self.sent.append(intent)
        if reply.booked is not None:
            self.ledger.setdefault(intent.invoice_number, []).append(reply.booked)
            self._write(intent, reply.booked)
        self.power.point("send done")
        return Answer(reply.says, {"said": type(reply.says).__name__})

    async def find(self, question: Question) -> Finding:
        """The scripted finding, else what the book says."""
        self.power.point("find")
        self.asked.append(question)
        if self.findings:
            return self.findings.popleft()
        finding = self._finding(question)
        self.power.point("find done")
        return finding

    async def look(self, question: Question) -> Sight | NotSeen:
        """The scripted sight, else what the book says."""
        self.power.point("look")
        self.looked.append(question)
        if self.deaf:
            raise Unavailable("gateway", "nobody answers")
        if self.sights:
            return self.sights.popleft()
        row = self._row(question)
        if row is None or row.original:
            return NotSeen(complete=True, why="it is not in the list", evidence={"scanned": 1})
        waits = row.standing is Standing.TAKEN
        return Sight(
            transaction_id=row.transaction_id,
            standing=row.standing,
            money=row.money,
            status=row.standing,
            method=row.method,
            settles_at=self.settles_at if waits else None,
            settled_at=row.settled_at,
            evidence={"seen": row.transaction_id},
        )

    def has(self, transaction_id: str, standing: Standing, **known: object) -> Booking:
        """Put a transaction into the book that nobody sent through this double."""
        base = Booking(
            transaction_id, "", Money(1234, "USD"), standing, Method("card", "Visa", "1111")
        )
        row = replace(base, **known)  # type: ignore[arg-type]  # the fields of a booking, by name
        self.book[transaction_id] = row
        return row

    def settle(self, at: datetime | None = None) -> None:
        """The nightly batch: what is captured is settled."""
        for row in self.book.values():
            if row.standing is Standing.TAKEN:
                row.stands(Standing.SETTLED)
                row.settled_at = at

    def decide(self, transaction_id: str, *, approve: bool) -> None:
        """A person's answer to what is held."""
        row = self.book[transaction_id]
        assert row.standing is Standing.HELD
        row.stands(Standing.TAKEN if approve else Standing.DECLINED)

    def _row(self, question: Question) -> Booking | None:
        if question.transaction_id:
            return self.book.get(question.transaction_id)
        rows = [row for row in self.book.values() if row.invoice_number == question.invoice_number]
        return rows[-1] if rows else None

    def _free_id(self) -> str:
        """The first is the one of `APPROVED`; the others end in 1, too, so that no scripted value has them."""
        number = 60_001
        while str(number) in self.book:
            number += 10
        return str(number)

    def _by_rule(self, intent: Intent) -> Reply:
        if isinstance(intent, Charge):
            captured = intent.mode is Mode.SALE
            verdict = replace(APPROVED, transaction_id=self._free_id(), captured=captured)
            return _yes(verdict)
        row = self.book.get(intent.transaction_id)
        if row is None:
            return _no("16")
        match intent:
            case Capture():
                return self._capture(intent, row)
            case Void():
                return self._void(row)
            case Refund():
                return self._refund(intent, row)
            case _:
                assert_never(intent)

    def _capture(self, intent: Capture, row: Booking) -> Reply:
        if row.standing in _CAPTURED:
            return Reply(self._approved(row))
        if row.standing is not Standing.RESERVED:
            return _no("16")
        if intent.money.amount_minor > row.money.amount_minor:
            return _no("47")
        return _yes(replace(APPROVED, transaction_id=row.transaction_id))

    def _void(self, row: Booking) -> Reply:
        if row.standing is Standing.VOIDED:
            return Reply(self._approved(row))
        if row.standing not in _OPEN:
            return Reply(NotYet(_reason("327")))
        return _yes(replace(APPROVED, transaction_id=row.transaction_id, captured=False))

    def _refund(self, intent: Refund, row: Booking) -> Reply:
        if row.standing is not Standing.SETTLED:
            return Reply(NotYet(_reason("54")))
        back = (each for each in self.book.values() if each.original == row.transaction_id)
        left_minor = row.money.amount_minor - sum(
            each.money.amount_minor for each in back if each.standing not in _GONE
        )
        if intent.money.amount_minor > left_minor:
            return _no("55")
        return _yes(replace(APPROVED, transaction_id=self._free_id()))

    def _write(self, intent: Intent, booked: Booked) -> None:
        """What really happened, whatever was answered."""
        if isinstance(intent, Capture | Void):
            row = self.book.get(intent.transaction_id)
            if row is not None and isinstance(booked, Approved):
                captures = isinstance(intent, Capture)
                row.stands(
                    Standing.TAKEN if captures else Standing.VOIDED,
                    intent.money if captures else row.money,
                )
            return
        transaction_id = booked.transaction_id or self._free_id()
        match booked:
            case Approved(captured=captured):
                standing = Standing.TAKEN if captured else Standing.RESERVED
            case Held():
                standing = Standing.HELD
            case Declined():
                standing = Standing.DECLINED
        self.book[transaction_id] = Booking(
            transaction_id,
            intent.invoice_number,
            intent.money,
            standing,
            booked.method,
            told=booked,
            original=intent.transaction_id if isinstance(intent, Refund) else "",
        )

    def _finding(self, question: Question) -> Finding:
        row = self._row(question)
        if row is None:
            # A test may have written into the ledger by hand.
            booked = self.ledger.get(question.invoice_number)
            if booked and question.about is About.CHARGE:
                return Found(booked[-1], {"found": question.invoice_number})
            return NotSeen(complete=True, why="it is not in the list", evidence={"scanned": 1})
        evidence = {"found": row.transaction_id}
        done = self._done(row, question.about)
        if done is None:
            why = f"it is {row.standing}"
            return NotSeen(
                complete=row.standing is not Standing.UNCLEAR, why=why, evidence=evidence
            )
        return Found(done, evidence)

    def _done(self, row: Booking, about: About) -> Booked | NotYet | None:
        """What a row says of what was asked; None where it is not done."""
        if row.standing is Standing.UNCLEAR:
            return None
        match about:
            case About.CAPTURE:
                return self._approved(row) if row.standing in _CAPTURED else None
            case About.VOID if row.standing in _PAST:
                return NotYet(_reason(row.standing))
            case About.VOID:
                return self._approved(row) if row.standing is Standing.VOIDED else None
            case About.CHARGE | About.REFUND:
                return self._of_its_own(row)
            case _:
                assert_never(about)

    def _of_its_own(self, row: Booking) -> Booked:
        if row.told is not None:
            return row.told
        if row.standing in _GONE:
            return Declined(_reason(row.standing, Advice.SOFT), row.transaction_id, row.method)
        if row.standing is Standing.HELD:
            return Held(row.transaction_id, _reason(row.standing, Advice.REVIEW))
        return self._approved(row)

    def _approved(self, row: Booking) -> Approved:
        return replace(
            APPROVED,
            transaction_id=row.transaction_id,
            captured=row.standing in _CAPTURED,
            amount_minor=row.money.amount_minor,
            currency=row.money.currency,
            method=row.method,
        )
