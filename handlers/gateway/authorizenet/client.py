"""The gateway port, spoken to Authorize.Net: sends an intent at most once, asks what became of one.

Only the order of things stands here. Where bytes leave is `gate.py`, the wire is `exchange.py`, what is written is
`requests.py`, what an answer means is `verdicts.py`, and how things are asked for is `finding.py` and `looking.py`.
tenacity stands here because the proof that a call was not sent does: it tries again only where the gate was not passed,
never where the lease was the reason.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Protocol, assert_never

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_result,
    stop_after_attempt,
    stop_after_delay,
    wait_exponential_jitter,
)

from handlers.domain.errors import Unavailable
from handlers.domain.facts import Entry, Sight
from handlers.domain.intents import Capture, Charge, Intent, Question, Refund
from handlers.domain.means import secrets_of
from handlers.domain.verdicts import (
    Advice,
    Answer,
    Declined,
    Evidence,
    Finding,
    NotSeen,
    Reason,
    Unknown,
    Unsent,
)
from handlers.gateway.authorizenet import finding, looking, walking
from handlers.gateway.authorizenet.details import BankAccount
from handlers.gateway.authorizenet.elements import Members, encode
from handlers.gateway.authorizenet.exchange import Exchange, Heard, NotSent, Result, Silence
from handlers.gateway.authorizenet.gate import Gate
from handlers.gateway.authorizenet.questions import probe_request
from handlers.gateway.authorizenet.replies import Reply, Scrubber, UnreadableError, read_reply
from handlers.gateway.authorizenet.requests import frozen_request, transaction_request
from handlers.gateway.authorizenet.scanning import Desk, Trouble
from handlers.gateway.authorizenet.searches import Searches
from handlers.gateway.authorizenet.settings import Account, AuthorizeNetSettings
from handlers.gateway.authorizenet.slots import Breaker, Slots, Turned
from handlers.gateway.authorizenet.verdicts import verdict_of
from handlers.ports import Lease

_CAPTURED_ALREADY = "311"


class Observe(Protocol):
    """Hears of each call: `call` is what was sent (charge, capture, …), find, look or probe; `verdict` how it ended."""

    def __call__(self, call: str, *, verdict: str, latency_s: float) -> None:
        """Count it. Must not raise."""
        ...


def unobserved(call: str, *, verdict: str, latency_s: float) -> None:
    """An `Observe` that keeps nothing."""


class Noticed(Protocol):
    """Hears when an account's calls begin to fail (`failed` of them in a row) and when they work again (0)."""

    def __call__(self, account: str, *, failed: int, why: str) -> None:
        """Tell it. Must not raise."""
        ...


def unnoticed(account: str, *, failed: int, why: str) -> None:
    """A `Noticed` that tells nobody."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


class AuthorizeNet:
    """`handlers.ports.Gateway` over Authorize.Net's JSON API. Used in one event loop, then closed.

    `now` is the time (UTC) by which settled batches are reckoned; the machine's unless another is given.
    """

    def __init__(
        self,
        settings: AuthorizeNetSettings,
        *,
        lease: Lease,
        observe: Observe = unobserved,
        noticed: Noticed = unnoticed,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._settings = settings
        self._observe = observe
        self._now = now
        self._exchange = Exchange(settings, Gate(lease, margin_s=settings.margin_s))
        self._slots = {name: _slots(settings, partial(noticed, name)) for name in settings.accounts}
        self._reads = {
            name: asyncio.Semaphore(settings.reads_in_flight) for name in settings.accounts
        }
        self._walked: dict[str, set[str]] = {name: set() for name in settings.accounts}
        self._searches = {name: Searches() for name in settings.accounts}

    @property
    def available(self) -> bool:
        """False while the breakers of all accounts turn calls away: intake pauses."""
        return any(slots.available for slots in self._slots.values())

    @property
    def answers(self) -> bool:
        """False from when all accounts' breakers opened until a call has succeeded: what health shows."""
        return any(slots.answers for slots in self._slots.values())

    def slot(self, merchant_account: str) -> AbstractAsyncContextManager[None]:
        """A place among the account's calls in flight. Raises Unavailable("gateway", …) while its breaker is open."""
        slots = self._slots.get(merchant_account)
        if slots is None:
            raise Unavailable("gateway", _no_credentials(merchant_account))
        return slots.slot()

    def frozen(self, intent: Intent) -> Evidence:
        """The request without credentials and without anything secret."""
        return frozen_request(intent)

    async def send(self, intent: Intent) -> Answer:
        """Send it, at most once. Call it inside a slot. Raises nothing but cancellation."""
        name = intent.merchant_account
        account = self._settings.accounts.get(name)
        if account is None:
            return Answer(Unsent(_no_credentials(name)))
        bank = await self._bank(intent)
        if isinstance(bank, Trouble):
            return Answer(Unsent(f"the bank account could not be looked up: {bank.why}"))
        result = await self._send(encode(transaction_request(intent, account, bank=bank)))
        answer = _answer(result, intent, scrubber=_scrubber(account, intent))
        self._hear(result, answer, slots=self._slots[name])
        if _is_locked_out(answer):
            answer = replace(answer, verdict=Unsent(_locked_out(answer)))
        answer = await self._looked_up(intent, answer)
        verdict = type(answer.verdict).__name__.lower()
        self._observe(intent.about, verdict=verdict, latency_s=answer.latency_s)
        return answer

    async def find(self, question: Question) -> Finding:
        """Ask what became of an intent. Raises nothing but cancellation."""
        desk = self._desk(question.merchant_account, call="find")
        if desk is None:
            return NotSeen(complete=False, why=_no_credentials(question.merchant_account))
        return await finding.find(question, desk)

    async def look(self, question: Question) -> Sight | NotSeen:
        """How a charge stands today. Raises Unavailable("gateway", …) where nobody answered."""
        desk = self._desk(question.merchant_account, call="look")
        if desk is None:
            raise Unavailable("gateway", _no_credentials(question.merchant_account))
        return await looking.look(question, desk)

    async def walk(
        self, merchant_account: str, *, since: datetime
    ) -> AsyncIterator[Sequence[Entry]]:
        """What was submitted or settled since, page by page. Raises Unavailable where a part could not be read."""
        desk = self._desk(merchant_account, call="walk")
        if desk is None:
            raise Unavailable("gateway", _no_credentials(merchant_account))
        async for page in walking.walk(desk, since=since, walked=self._walked[merchant_account]):
            yield page

    async def probe(self, merchant_account: str) -> str:
        """Ask whether the credentials of `merchant_account` are good: "" where they are, else what is wrong."""
        desk = self._desk(merchant_account, call="probe")
        if desk is None:
            return _no_credentials(merchant_account)
        reply = await desk.ask(probe_request(desk.account))
        if isinstance(reply, Trouble):
            return reply.why
        return "" if reply.ok else f"{reply.first.code} {reply.first.text}".strip()

    async def aclose(self) -> None:
        """Close the connections."""
        for searches in self._searches.values():
            await searches.aclose()
        await self._exchange.aclose()

    def _desk(self, merchant_account: str, *, call: str) -> Desk | None:
        """What questions in the name of an account work with; None where it has no credentials."""
        account = self._settings.accounts.get(merchant_account)
        if account is None:
            return None
        scrubber = _scrubber(account)
        places = self._reads[merchant_account]

        async def ask(request: Members) -> Reply | Trouble:
            async with places:
                return await self._read(request, scrubber, call=call)

        return Desk(ask, account, scrubber, self._now, self._searches[merchant_account])

    async def _bank(self, intent: Intent) -> BankAccount | Trouble | None:
        """The bank account that a refund must name, as the gateway shows it; None where there is none to name."""
        if not isinstance(intent, Refund) or not intent.method.is_bank:
            return None
        desk = self._desk(intent.merchant_account, call="look")
        assert desk is not None, "it is sent in this account's name"
        told = await finding.details_of(intent.transaction_id, desk)
        return told if isinstance(told, Trouble) else told.bank

    async def _looked_up(self, intent: Intent, answer: Answer) -> Answer:
        """A capture that was done already: the gateway says so at once, and how much only when it is asked."""
        said = answer.verdict
        already = isinstance(said, Unknown) and said.reason.code == _CAPTURED_ALREADY
        if not already or not isinstance(intent, Capture):
            return answer
        desk = self._desk(intent.merchant_account, call="find")
        assert desk is not None, "it was sent in this account's name"
        found = await finding.captured(intent.transaction_id, desk)
        if found is None:
            return answer
        seen = {**answer.evidence, "details": dict(found.evidence)}
        return replace(answer, verdict=found.verdict, evidence=seen)

    async def _send(self, body: bytes) -> Result:
        """The first try goes past tenacity, which costs a third of a call and is needed for one in thousands."""
        result = await self._exchange.post(body, guarded=True)
        settings = self._settings
        if settings.unsent_attempts == 1 or not _may_try_again(result):
            return result
        await asyncio.sleep(settings.retry_first_wait_s)
        retrying = AsyncRetrying(
            retry=retry_if_result(_may_try_again),
            stop=stop_after_attempt(settings.unsent_attempts - 1)
            | stop_after_delay(settings.unsent_within_s),
            wait=wait_exponential_jitter(
                multiplier=settings.retry_first_wait_s,
                max=settings.retry_longest_wait_s,
                jitter=settings.retry_first_wait_s,
            ),
            retry_error_callback=_last_result,
        )
        return await retrying(self._exchange.post, body, guarded=True)

    async def _read(self, request: Members, scrubber: Scrubber, *, call: str) -> Reply | Trouble:
        result = await self._exchange.post(encode(request), guarded=False)
        self._observe(call, verdict=type(result).__name__.lower(), latency_s=result.latency_s)
        match result:
            case Heard(body):
                try:
                    return read_reply(body, scrubber)
                except UnreadableError:
                    return Trouble("the gateway's answer could not be read")
            case NotSent(why):
                return Trouble(f"the question was not sent: {why}")
            case Silence(_, said):
                return Trouble(said)
            case _:
                assert_never(result)

    def _hear(self, result: Result, answer: Answer, *, slots: Slots) -> None:
        """Tell the account's breaker. A lease that is too short says nothing about the gateway."""
        match result:
            case NotSent(by_lease=True):
                return
            case Heard():
                locked_out = _is_locked_out(answer)
                well = not (locked_out or _is_busy(answer))
                slots.heard(well=well, definite=locked_out, why="" if well else _ill(answer))
            case NotSent(why=why) | Silence(text=why):
                slots.heard(well=False, why=why)
            case _:
                assert_never(result)


def _slots(settings: AuthorizeNetSettings, turned: Turned) -> Slots:
    breaker = Breaker(
        after=settings.breaker_after,
        first_s=settings.breaker_first_open_s,
        longest_s=settings.breaker_longest_open_s,
        turned=turned,
    )
    return Slots(breaker, in_flight=settings.in_flight)


def _no_credentials(merchant_account: str) -> str:
    return f"no credentials for merchant account {merchant_account}"


def _may_try_again(result: Result) -> bool:
    return isinstance(result, NotSent) and not result.by_lease


def _last_result(state: RetryCallState) -> Result:
    assert state.outcome is not None, "tenacity stops after an attempt"
    result: Result = state.outcome.result()
    return result


def _scrubber(account: Account, intent: Intent | None = None) -> Scrubber:
    secrets = [account.transaction_key, account.login]
    if isinstance(intent, Charge):
        secrets += secrets_of(intent.means)
        if intent.cardholder_authentication is not None:
            secrets.append(intent.cardholder_authentication.value)
    return Scrubber(secrets)


_BUSY_CODES = frozenset({"E00053", "worker.unreadable"})


def _is_busy(answer: Answer) -> bool:
    return isinstance(answer.verdict, Unknown) and answer.verdict.reason.code in _BUSY_CODES


# The account or its credentials are refused, before processing: each further payment would be burned the same way.
_LOCKED_OUT_CODES = frozenset(
    "13 E00005 E00006 E00007 E00008 E00010 E00011 E00059 E00064 E00123 E00124 E00139".split()
)


def _locked_out(answer: Answer) -> str:
    """The customer's payment is not at fault: it waits until the account is let in again, and then goes out."""
    assert isinstance(answer.verdict, Declined)
    said = answer.verdict.reason
    return f"the gateway refuses the account: {said.code} {said.text}. Check its login and transaction key"


def _is_locked_out(answer: Answer) -> bool:
    return isinstance(answer.verdict, Declined) and answer.verdict.reason.code in _LOCKED_OUT_CODES


def _ill(answer: Answer) -> str:
    """Why an answer that was heard says that the gateway does not work. It has been through the scrubber."""
    match answer.verdict:
        case Declined():
            return _locked_out(answer)
        case Unknown(reason=said):
            return f"{said.code} {said.text}"
        case _:
            return type(answer.verdict).__name__


def _answer(result: Result, intent: Intent, *, scrubber: Scrubber) -> Answer:
    match result:
        case Heard(body, latency_s):
            verdict, evidence = verdict_of(body, intent, scrubber=scrubber)
            return Answer(verdict, evidence, latency_s)
        case NotSent(why=why, latency_s=latency_s):
            return Answer(Unsent(why), latency_s=latency_s)
        case Silence(code, said, latency_s, status):
            reason = Reason(code, said, Advice.UNDECIDED)
            seen: Evidence = {"silence": code} | ({} if status is None else {"status": status})
            return Answer(Unknown(reason), seen, latency_s)
        case _:
            assert_never(result)
