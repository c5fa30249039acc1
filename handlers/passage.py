"""The passage of one operation: plan → open → send → answer → record → conclude. The only page with this order.

Verbs decide (`plans.py`), the passage performs, failures travel down as values. It is entered at any stage: a fresh
command starts at the top, what a crash or a wait left behind starts where the journal says (`recovery.STEPS`), and an
intent that is found open is asked for, never sent. Whatever leaves this page has been parked in the journal with a due
time, concluded, or belongs to another session.
"""

from dataclasses import dataclass
from typing import Final, assert_never

from handlers.charge import Refusal
from handlers.domain.errors import Unavailable
from handlers.domain.intents import Intent
from handlers.domain.outcomes import events
from handlers.domain.payments import News, learn
from handlers.domain.recovery import STEPS, Stage, Step, absent, ask_again_s
from handlers.domain.states import UNDECIDED, PaymentState
from handlers.domain.verdicts import (
    NO_EVIDENCE,
    Approved,
    Declined,
    Evidence,
    Found,
    Held,
    NotSeen,
    Unknown,
    Unsent,
)
from handlers.plans import verb
from handlers.ports import (
    Ahead,
    Clock,
    Gateway,
    Journal,
    Lost,
    Moved,
    Operation,
    Queued,
    Records,
    Rules,
    Wait,
    Wire,
)

_WHY: Final = {
    PaymentState.HELD: "held for review at the gateway; it is asked whether that was decided",
    PaymentState.UNKNOWN: "the gateway did not answer; it is asked what became of the charge",
}
_QUEUED_WAIT_S = (
    0.5  # another session publishes the payment's last event; it does so within moments or dies
)


@dataclass(frozen=True, slots=True)
class House:
    """Everything the passage works with."""

    gateway: Gateway
    journal: Journal
    records: Records
    wire: Wire
    clock: Clock
    rules: Rules


@dataclass(frozen=True, slots=True)
class Done:
    """Concluded: told, and final."""


@dataclass(frozen=True, slots=True)
class Parked:
    """Not final: the journal has it with a due time."""

    why: str


Ending = Done | Parked | Lost


async def carry(operation: Operation, house: House) -> Ending:
    """Carry `operation` as far as it goes now. Raises SessionOver, or Unavailable for the journal alone."""
    match STEPS[operation.stage, operation.suspect]:
        case Step.PLAN:
            return await _plan(operation, house)
        case Step.ASK:
            return await _ask(operation, house)
        case Step.TELL:
            return await _tell(operation, house)
        case Step.REST:
            return Done()
        case never:
            assert_never(never)


async def _plan(operation: Operation, house: House) -> Ending:
    match verb(operation.command).plan(operation, rules=house.rules, now=house.clock.now()):
        case Refusal(news):
            return await _answer(operation, house, news=news, evidence=NO_EVIDENCE)
        case intent:
            return await _send(operation, house, intent=intent)


async def _send(operation: Operation, house: House, *, intent: Intent) -> Ending:
    try:
        async with house.gateway.slot():
            opened = await house.journal.open(
                operation, intent=intent, frozen=house.gateway.frozen(intent)
            )
            if isinstance(opened, Lost):
                return opened
            answer = await house.gateway.send(intent)
    except Unavailable as unavailable:
        if unavailable.what != "gateway":
            raise
        wait = Wait(house.rules.unsent_wait_s, str(unavailable))
        return await _park(operation, house, wait=wait)
    if isinstance(answer.verdict, Unsent):
        wait = Wait(
            house.rules.unsent_wait_s, answer.verdict.why, evidence=answer.evidence, unsent=True
        )
        return await _park(opened.operation, house, wait=wait)
    news = _judged(operation, answer.verdict)
    return await _answer(opened.operation, house, news=news, evidence=answer.evidence)


async def _ask(operation: Operation, house: House) -> Ending:
    try:
        return await _asked(operation, house)
    except Unavailable as unavailable:
        # The db-service, which must say whether a suspect was told of.
        wait = Wait(house.rules.unrecorded_wait_s, str(unavailable))
        return await _park(operation, house, wait=wait)


async def _asked(operation: Operation, house: House) -> Ending:
    inquiry = operation.inquiry
    assert inquiry is not None, "the journal gives each operation that is asked for its inquiry"
    question = verb(operation.command).question(operation, inquiry, rules=house.rules)
    if question is None:
        return await _park(operation, house, wait=_unanswerable(operation, house))
    match await house.gateway.find(question):
        case Found(verdict, evidence):
            news = _judged(operation, verdict)
            return await _answer(operation, house, news=news, evidence=evidence)
        case NotSeen(complete, why, evidence):
            if operation.stage is Stage.OPEN:  # nobody was told yet that we do not know
                news = verb(operation.command).silence()
                return await _answer(operation, house, news=news, evidence=evidence)
            gone = absent(inquiry, complete=complete, absence_after_s=house.rules.absence_after_s)
            if gone and (
                operation.stage is not Stage.ADMITTED or await _was_told(operation, house)
            ):
                news = verb(operation.command).absence()
                return await _answer(operation, house, news=news, evidence=evidence)
            again_s = 0.0 if gone else ask_again_s(house.rules.ask_schedule_s, asked=inquiry.asked)
            wait = Wait(
                again_s, why, asked=True, complete_scan=complete, evidence=evidence, trust=gone
            )
            return await _park(operation, house, wait=wait)
        case never:
            assert_never(never)


async def _answer(operation: Operation, house: House, *, news: News, evidence: Evidence) -> Ending:
    payment = learn(operation.payment, news)
    if payment is None:  # asked again, nothing new
        return await _park(operation, house, wait=_asking(operation, house, evidence=evidence))
    moved = await house.journal.answer(operation, payment=payment, evidence=evidence)
    return moved if isinstance(moved, Lost) else await _tell(moved.operation, house)


async def _tell(operation: Operation, house: House) -> Ending:
    payment, occurred_at = operation.payment, operation.answered_at
    assert occurred_at is not None, "what is told was answered"
    try:
        known = await house.records.record(payment, occurred_at=occurred_at)
    except Unavailable as unavailable:
        later = Wait(house.rules.unrecorded_wait_s, str(unavailable))
        return await _park(operation, house, wait=later)
    if isinstance(known, Ahead):  # parked in between, so that two who outrun each other do not spin
        outran = await house.journal.outrun(operation, version=known.version + 1)
        if isinstance(outran, Lost):
            return outran
        return await _park(outran.operation, house, wait=Wait(0.0, "told under a higher version"))
    messages = [
        house.wire.message(event, occurred_at=occurred_at, traceparent=operation.traceparent)
        for event in events(payment, operation.command.lines)
    ]
    wait = _asking(operation, house, evidence=NO_EVIDENCE) if payment.state in UNDECIDED else None
    match await house.journal.conclude(operation, messages=messages, wait=wait):
        case Moved():
            return Done() if wait is None else Parked(wait.why)
        case Queued():
            later = Wait(_QUEUED_WAIT_S, "its last event is being published")
            return await _park(operation, house, wait=later)
        case Lost() as lost:
            return lost
        case never:
            assert_never(never)


async def _was_told(operation: Operation, house: House) -> bool:
    """Whether a suspect ended in the time that the journal lost: then it is told as failed, and never sent again.

    A refusal before processing leaves no row in the gateway's lists, but the db-service was told of it.
    """
    return await house.records.knows(operation.payment.payment_id)


def _judged(operation: Operation, verdict: Approved | Declined | Held | Unknown) -> News:
    return verb(operation.command).judge(operation.command, verdict)


def _unanswerable(operation: Operation, house: House) -> Wait:
    """No account is configured for its currency, so nobody can be asked, and nobody can say that it is absent."""
    asked = operation.inquiry.asked if operation.inquiry else 0
    seconds = ask_again_s(house.rules.ask_schedule_s, asked=asked)
    why = "no account takes its currency any more: configure it again, it may have been charged"
    return Wait(seconds, why, asked=True)


def _asking(operation: Operation, house: House, *, evidence: Evidence) -> Wait:
    asked = operation.inquiry.asked if operation.inquiry else 0
    seconds = ask_again_s(house.rules.ask_schedule_s, asked=asked)
    return Wait(
        seconds, _WHY.get(operation.payment.state, "undecided"), asked=True, evidence=evidence
    )


async def _park(operation: Operation, house: House, *, wait: Wait) -> Ending:
    parked = await house.journal.wait(operation, wait=wait)
    return parked if isinstance(parked, Lost) else Parked(wait.why)
