"""`handlers.ports.Gateway` and `Lists` in memory: the door of one simulated worker to a ledger that all of them share.

The order of a call is the adapter's: a slot behind a breaker (its own `slots.py`), the way to the gate, the gate with
the lease, the wait for an answer under one total deadline. Past the gate the request belongs to the ledger's time, so a
worker may die or give up and the gateway works on it all the same. Its contract suite is the port's own
(`tests/contract/test_gateway_port.py`); what it can do beyond that is in `test_memory_gateway*.py`.

Every request that passes the gate is written into `ledger.sends`, with what the `witness` knew at that moment (what
stood in the journal), and every question into `ledger.asks`. `checks_lease` off is a planted bug.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any, Final

from handlers.domain.commands import Mode
from handlers.domain.errors import Unavailable
from handlers.domain.facts import Entry, Sight, Standing
from handlers.domain.intents import Charge, Intent, Question
from handlers.domain.verdicts import Answer, Evidence, Finding, NotSeen, Unknown, Unsent
from handlers.gateway.authorizenet.slots import Breaker, Slots
from handlers.ports import Lease
from tests.simulation.memory_gateway_faults import Fate, ReadFate
from tests.simulation.memory_gateway_ledger import Ledger
from tests.simulation.memory_gateway_reads import (
    Search,
    batch_entries,
    batches_since,
    by_id,
    found,
    seen,
    settled,
    unsettled,
    unsettled_entries,
)
from tests.simulation.memory_gateway_rules import Reply, unheard, worked_on

Sleep = Callable[[float], Awaitable[None]]
Witness = Callable[[Intent], Mapping[str, Any] | None]
_BUSY: Final = frozenset({"E00053", "worker.unreadable"})
_SILENT: Final = frozenset({"worker.no_answer", "worker.connection_lost", "worker.http_503"})


def knows_nothing(intent: Intent) -> None:
    """A witness where there is no journal."""
    del intent


@dataclass(frozen=True, slots=True)
class DoorSettings:
    """What the adapter is told at start: deadlines in seconds, places, and when the breaker opens."""

    deadline_s: float = 60.0
    margin_s: float = 2.0
    in_flight: int = 500
    breaker_after: int = 10
    breaker_first_s: float = 1.0
    breaker_longest_s: float = 60.0
    checks_lease: bool = True


CALM_DOOR: Final = DoorSettings()
_LOCKED_OUT: Final = "the gateway refuses the account: 13"
_LOST: Final = Fate(arrives_s=None, answer_s=None)


class MemoryGateway:
    """One worker's gateway. `step` numbers what is written down, in one order with all other books."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        lease: Lease,
        sleep: Sleep,
        session: str = "",
        witness: Witness = knows_nothing,
        step: Callable[[], int] | None = None,
        settings: DoorSettings = CALM_DOOR,
    ) -> None:
        self._ledger = ledger
        self._lease = lease
        self._sleep = sleep
        self._session = session
        self._witness = witness
        self._step = step or count(1).__next__
        self._settings = settings
        self._walked: set[str] = set()  # batches that need no second reading
        self._slots = {account: self._places() for account in ledger.rules.accounts}

    def _places(self) -> Slots:
        settings = self._settings
        breaker = Breaker(
            after=settings.breaker_after,
            first_s=settings.breaker_first_s,
            longest_s=settings.breaker_longest_s,
            clock_s=lambda: self._ledger.run().timestamp(),
        )
        return Slots(breaker, in_flight=settings.in_flight)

    @property
    def available(self) -> bool:
        """False while the breakers of all accounts turn calls away: intake pauses."""
        return any(slots.available for slots in self._slots.values())

    def slot(self, merchant_account: str) -> AbstractAsyncContextManager[None]:
        """A place among the account's calls in flight. Raises Unavailable."""
        slots = self._slots.get(merchant_account)
        if slots is None:
            raise Unavailable("gateway", f"no credentials for {merchant_account}")
        return slots.slot()

    def frozen(self, intent: Intent) -> Evidence:
        """What the journal keeps of the request."""
        return {
            "about": intent.about.value,
            "invoiceNumber": intent.invoice_number,
            "amount_minor": intent.money.amount_minor,
            "currency": intent.money.currency,
        }

    async def send(self, intent: Intent) -> Answer:
        """Send it, at most once. Call it inside a slot."""
        slots = self._slots.get(intent.merchant_account)
        if slots is None:
            return Answer(Unsent(f"no credentials for {intent.merchant_account}"))
        fate = self._ledger.fates.of_send(self._session, intent)
        began = self._ledger.run()
        if fate.connect_s:
            await self._sleep(fate.connect_s)
        now = self._ledger.run()
        left_s = self._settings.deadline_s - (now - began).total_seconds()
        refuses = "" if self._ledger.swallows else self._ledger.away
        unsent = fate.unsent or refuses
        if unsent or left_s <= 0:
            slots.heard(well=False)
            return Answer(Unsent(unsent or "no connection within the call's deadline"))
        lease_s = self._lease.remaining_s()
        if self._settings.checks_lease and lease_s <= left_s + self._settings.margin_s:
            return Answer(Unsent(f"the session's lease ({lease_s:.1f} s) may end before the call"))
        call = _Call(self._ledger, intent, fate=_LOST if self._ledger.away else fate, now=now)
        call.log = self._written(intent, now, left_s=left_s, lease_s=lease_s)
        call.log["refused"] = call.fate.locked_out
        answer = await self._heard(call, left_s=left_s)
        _tell(slots, answer)
        return answer

    async def find(self, question: Question) -> Finding:
        """What became of an intent, as the adapter finds it."""
        searched = await self._searched(question)
        if isinstance(searched, _Trouble):
            finding: Finding = NotSeen(complete=False, why=searched.why, heard=bool(searched.code))
        else:
            now = self._ledger.run()
            finding = found(self._ledger, question, search=searched, now=now)
        unseen = isinstance(finding, NotSeen)
        complete = isinstance(finding, NotSeen) and finding.complete
        self._asked("find", question, seen=not unseen, complete=complete)
        return finding

    async def look(self, question: Question) -> Sight | NotSeen:
        """How a charge stands today. Raises Unavailable."""
        searched = await self._searched(question)
        if not isinstance(searched, _Trouble):
            now = self._ledger.run()
            sight = seen(self._ledger, question, search=searched, now=now)
        elif searched is _NOTHING_TO_LOOK_BY or searched is _UNKNOWN:
            sight = NotSeen(complete=False, why=searched.why)
        else:
            raise Unavailable("gateway", searched.why)
        self._asked("look", question, seen=isinstance(sight, Sight), complete=False)
        return sight

    async def walk(
        self, merchant_account: str, *, since: datetime
    ) -> AsyncIterator[Sequence[Entry]]:
        """The unsettled list as one page, then one page for each batch since. Raises Unavailable."""
        ledger = self._ledger
        fate = ledger.fates.of_read(self._session)
        await self._read(merchant_account, fate, seconds=fate.first_s)
        yield unsettled_entries(ledger, merchant_account, now=ledger.run())
        await self._read(merchant_account, fate, seconds=fate.second_s)
        if fate.gap:
            raise Unavailable("gateway", fate.gap)
        for batch in batches_since(ledger, merchant_account, since=since, now=ledger.run()):
            if batch.batch_id in self._walked:
                continue
            page = batch_entries(batch)
            yield page
            if not any(it.standing is Standing.UNCLEAR for it in page):
                self._walked.add(batch.batch_id)

    async def _read(self, merchant_account: str, fate: ReadFate, *, seconds: float) -> None:
        if seconds:
            await self._sleep(seconds)
        self._ledger.run()
        unknown = "" if merchant_account in self._slots else "no credentials"
        why = unknown or self._ledger.away or fate.fails
        if why:
            raise Unavailable("gateway", why)

    async def _searched(self, question: Question) -> "Search | _Trouble":
        """The rows to be looked at, or why there are none."""
        ledger = self._ledger
        if question.merchant_account not in self._slots:
            return _Trouble(f"no credentials for {question.merchant_account}")
        fate = ledger.fates.of_read(self._session)
        if not (question.transaction_id or question.invoice_number):
            return _NOTHING_TO_LOOK_BY
        if fate.first_s:
            await self._sleep(fate.first_s)
        now = ledger.run()
        if ledger.away or fate.fails:
            return _Trouble(ledger.away or fate.fails, "" if ledger.away else fate.code)
        if question.transaction_id:
            row = by_id(ledger, question, now=now)
            return _UNKNOWN if row is None else Search((row,))
        rows = unsettled(ledger, question, now=now)
        return Search(rows) if rows else await self._settled(question, fate)

    async def _settled(self, question: Question, fate: ReadFate) -> "Search | _Trouble":
        if fate.second_s:
            await self._sleep(fate.second_s)
        now = self._ledger.run()
        if self._ledger.away:
            return _Trouble(self._ledger.away)
        search = settled(self._ledger, question, now=now)
        return Search(search.rows, fate.gap) if fate.gap else search

    async def _heard(self, call: "_Call", *, left_s: float) -> Answer:
        """Wait for the answer, for as long as the deadline lets."""
        fate = call.fate
        answer_s = fate.answer_s
        if answer_s is None or answer_s > left_s:
            breaks_s = fate.breaks_s
            breaks = answer_s is None and breaks_s is not None and breaks_s < left_s
            waited_s = breaks_s if breaks and breaks_s is not None else left_s
            await self._sleep(waited_s)
            verdict = unheard("worker.connection_lost" if breaks else "worker.no_answer")
        else:
            waited_s = answer_s
            if answer_s:
                await self._sleep(answer_s)
            self._ledger.run()
            if fate.locked_out:
                return call.told(
                    self._step(), Answer(Unsent(_LOCKED_OUT), {"said": "13"}, waited_s)
                )
            if call.reply is not None and not fate.instead:
                return call.told(self._step(), call.reply.answer(waited_s))
            verdict = unheard(fate.instead or "worker.connection_lost")
        code = verdict.reason.code
        return call.told(self._step(), Answer(verdict, {"silence": code}, waited_s))

    def _written(
        self, intent: Intent, now: datetime, *, left_s: float, lease_s: float
    ) -> dict[str, Any]:
        """The log of the door: what passed, and what was known of it."""
        log = {
            "n": self._step(),
            "at": now.timestamp(),
            "session": self._session,
            "operation_id": intent.operation_id,
            "attempt": intent.attempt,
            "about": intent.about.value,
            "invoice_number": intent.invoice_number,
            "account": intent.merchant_account,
            "amount_minor": intent.money.amount_minor,
            "transaction_id": getattr(intent, "transaction_id", ""),
            "order_id": _order_of(intent),
            "left_s": left_s,
            "lease_s": lease_s,
            "known": self._witness(intent),
            "refused": False,
            "heard": "",
            "heard_n": None,
            "heard_at": None,
        }
        self._ledger.sends.append(log)
        return log

    def _asked(self, what: str, question: Question, *, seen: bool, complete: bool) -> None:
        self._ledger.asks.append(
            {
                "n": self._step(),
                "at": self._ledger.run().timestamp(),
                "session": self._session,
                "what": what,
                "about": question.about.value,
                "invoice_number": question.invoice_number,
                "transaction_id": question.transaction_id or "",
                "seen": seen,
                "complete": complete,
            }
        )


@dataclass(frozen=True, slots=True)
class _Trouble:
    """A question without an answer; `code` where the gateway refused it."""

    why: str
    code: str = ""


_NOTHING_TO_LOOK_BY: Final = _Trouble("there is nothing to look by", "none")
_UNKNOWN: Final = _Trouble("no details of it", "E00040")


class _Call:
    """One request past the gate: the ledger works on it when it arrives, whoever waits."""

    __slots__ = ("fate", "intent", "ledger", "log", "reply")

    def __init__(self, ledger: Ledger, intent: Intent, *, fate: Fate, now: datetime) -> None:
        self.ledger = ledger
        self.intent = intent
        self.fate = fate
        self.reply: Reply | None = None
        self.log: dict[str, Any] = {}
        if fate.arrives_s is None:
            return
        if fate.arrives_s:
            ledger.plan(now + timedelta(seconds=fate.arrives_s), self.arrive)
        else:
            self.arrive(now)

    def arrive(self, at: datetime) -> None:
        """The gateway works on it."""
        self.reply = worked_on(self.ledger, self.intent, fate=self.fate, at=at)

    def told(self, n: int, answer: Answer) -> Answer:
        """The caller hears this, and lives."""
        self.log["heard"] = type(answer.verdict).__name__.lower()
        self.log["heard_n"] = n
        self.log["heard_at"] = self.ledger.run().timestamp()
        return answer


def _order_of(intent: Intent) -> str:
    """The order that a charge pays; "" where it pays none."""
    if isinstance(intent, Charge) and intent.mode is not Mode.VERIFY:
        return intent.order_id
    return ""


def _tell(slots: Slots, answer: Answer) -> None:
    """What the adapter tells its breaker."""
    verdict = answer.verdict
    if isinstance(verdict, Unsent):
        slots.heard(well=False, definite=True)
        return
    code = verdict.reason.code if isinstance(verdict, Unknown) else ""
    slots.heard(well=code not in _BUSY and code not in _SILENT)
