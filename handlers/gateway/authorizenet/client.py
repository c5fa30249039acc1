"""The gateway port, spoken to Authorize.Net: sends an intent at most once, asks what became of one.

Only the order of things stands here. Where bytes leave is `gate.py`, the wire is `exchange.py`, what is written is
`requests.py`, what an answer means is `verdicts.py` and `details.py`, and how a charge is looked for is `lists.py`.
tenacity stands here because the proof that a call was not sent does: it tries again only where the gate was not passed,
never where the lease was the reason.
"""

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Protocol, assert_never

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_result,
    stop_after_attempt,
    stop_after_delay,
    wait_exponential_jitter,
)

from handlers.domain.commands import OpaqueData
from handlers.domain.intents import Charge, Intent, Question
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
from handlers.gateway.authorizenet import lists
from handlers.gateway.authorizenet.exchange import Exchange, Heard, NotSent, Result, Silence
from handlers.gateway.authorizenet.gate import Gate
from handlers.gateway.authorizenet.replies import Reply, Scrubber, UnreadableError, read_reply
from handlers.gateway.authorizenet.requests import (
    Members,
    charge_request,
    encode,
    frozen_charge,
    probe_request,
)
from handlers.gateway.authorizenet.settings import Account, AuthorizeNetSettings
from handlers.gateway.authorizenet.slots import Breaker, Slots
from handlers.gateway.authorizenet.verdicts import charge_verdict
from handlers.ports import Lease


class Observe(Protocol):
    """Hears of each call: `call` is charge, find or probe; `verdict` the kind of its end in small letters."""

    def __call__(self, call: str, *, verdict: str, latency_s: float) -> None:
        """Count it. Must not raise."""
        ...


def unobserved(call: str, *, verdict: str, latency_s: float) -> None:
    """An `Observe` that keeps nothing."""


class AuthorizeNet:
    """`handlers.ports.Gateway` over Authorize.Net's JSON API. Used in one event loop, then closed."""

    def __init__(
        self, settings: AuthorizeNetSettings, *, lease: Lease, observe: Observe = unobserved
    ) -> None:
        self._settings = settings
        self._observe = observe
        self._exchange = Exchange(settings, Gate(lease, margin_s=settings.margin_s))
        breaker = Breaker(
            after=settings.breaker_after,
            first_s=settings.breaker_first_open_s,
            longest_s=settings.breaker_longest_open_s,
        )
        self._slots = Slots(breaker, in_flight=settings.in_flight)
        self._reads = asyncio.Semaphore(settings.reads_in_flight)

    @property
    def available(self) -> bool:
        """False while the breaker turns calls away: intake pauses."""
        return self._slots.available

    def slot(self) -> AbstractAsyncContextManager[None]:
        """A place among the calls in flight. Raises Unavailable("gateway", …) while the breaker is open."""
        return self._slots.slot()

    def frozen(self, intent: Intent) -> Evidence:
        """The request without credentials and without the means' secret."""
        return frozen_charge(intent)

    async def send(self, intent: Intent) -> Answer:
        """Send it, at most once. Call it inside a slot. Raises nothing but cancellation."""
        account = self._settings.accounts.get(intent.merchant_account)
        if account is None:
            return Answer(Unsent(f"no credentials for merchant account {intent.merchant_account}"))
        body = encode(charge_request(intent, account))
        result = await self._send(body)
        answer = _answer(result, intent, scrubber=_scrubber(account, intent))
        self._hear(result, answer)
        self._observe(
            "charge", verdict=type(answer.verdict).__name__.lower(), latency_s=answer.latency_s
        )
        return answer

    async def find(self, question: Question) -> Finding:
        """Ask what became of an intent. Raises nothing but cancellation."""
        account = self._settings.accounts.get(question.merchant_account)
        if account is None:
            why = f"no credentials for merchant account {question.merchant_account}"
            return NotSeen(complete=False, why=why)
        scrubber = _scrubber(account)

        async def ask(request: Members) -> Reply | lists.Trouble:
            return await self._read(request, scrubber, call="find")

        return await lists.find(
            question, lists.Desk(ask, account, scrubber, self._settings.cut_off)
        )

    async def probe(self, merchant_account: str) -> str:
        """Ask whether the credentials of `merchant_account` are good: "" where they are, else what is wrong."""
        account = self._settings.accounts[merchant_account]
        reply = await self._read(probe_request(account), _scrubber(account), call="probe")
        if isinstance(reply, lists.Trouble):
            return reply.why
        return "" if reply.ok else f"{reply.first.code} {reply.first.text}".strip()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._exchange.aclose()

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

    async def _read(
        self, request: Members, scrubber: Scrubber, *, call: str
    ) -> Reply | lists.Trouble:
        async with self._reads:
            result = await self._exchange.post(encode(request), guarded=False)
        self._observe(call, verdict=type(result).__name__.lower(), latency_s=result.latency_s)
        match result:
            case Heard(body):
                try:
                    return read_reply(body, scrubber)
                except UnreadableError:
                    return lists.Trouble("the gateway's answer could not be read")
            case NotSent(why):
                return lists.Trouble(f"the question was not sent: {why}")
            case Silence(_, said):
                return lists.Trouble(said)
            case _:
                assert_never(result)

    def _hear(self, result: Result, answer: Answer) -> None:
        """Tell the breaker. A lease that is too short says nothing about the gateway."""
        match result:
            case NotSent(by_lease=True):
                return
            case Heard():
                locked_out = _is_locked_out(answer)
                well = not (locked_out or _is_busy(answer))
                self._slots.heard(well=well, definite=locked_out)
            case NotSent() | Silence():
                self._slots.heard(well=False)
            case _:
                assert_never(result)


def _may_try_again(result: Result) -> bool:
    return isinstance(result, NotSent) and not result.by_lease


def _last_result(state: RetryCallState) -> Result:
    assert state.outcome is not None, "tenacity stops after an attempt"
    result: Result = state.outcome.result()
    return result


def _scrubber(account: Account, intent: Charge | None = None) -> Scrubber:
    secrets = [account.transaction_key, account.login]
    if intent is not None and isinstance(intent.means, OpaqueData):
        secrets.append(intent.means.value)
    return Scrubber(secrets)


_BUSY_CODES = frozenset({"E00053", "worker.unreadable"})


def _is_busy(answer: Answer) -> bool:
    return isinstance(answer.verdict, Unknown) and answer.verdict.reason.code in _BUSY_CODES


# The account or its credentials are refused, before processing: each further payment would be burned the same way.
_LOCKED_OUT_CODES = frozenset(
    "13 E00005 E00006 E00007 E00008 E00010 E00011 E00059 E00064 E00123 E00124 E00139".split()
)


def _is_locked_out(answer: Answer) -> bool:
    return isinstance(answer.verdict, Declined) and answer.verdict.reason.code in _LOCKED_OUT_CODES


def _answer(result: Result, intent: Charge, *, scrubber: Scrubber) -> Answer:
    match result:
        case Heard(body, latency_s):
            verdict, evidence = charge_verdict(body, intent, scrubber=scrubber)
            return Answer(verdict, evidence, latency_s)
        case NotSent(why=why, latency_s=latency_s):
            return Answer(Unsent(why), latency_s=latency_s)
        case Silence(code, said, latency_s, status):
            reason = Reason(code, said, Advice.UNDECIDED)
            seen: Evidence = {"silence": code} | ({} if status is None else {"status": status})
            return Answer(Unknown(reason), seen, latency_s)
        case _:
            assert_never(result)
