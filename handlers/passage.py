"""The passage of one operation: look → plan → open → send → answer → record → conclude. The only page with this order.

Verbs decide (`plans.py`), the passage performs, failures travel down as values. It is entered at any stage: a fresh
command starts at the top, what a crash or a wait left behind starts where the journal says (`recovery.STEPS`), and an
intent that is found open is asked for, never sent. Whatever leaves this page has been parked in the journal with a due
time, concluded, or belongs to another session.
"""

from dataclasses import dataclass, replace
from typing import assert_never

from handlers.decisions import Absence, Again, Keep, Pause, Proof, Said
from handlers.domain.commands import Kind
from handlers.domain.errors import Unavailable
from handlers.domain.facts import Facts, Needs, Sight
from handlers.domain.intents import Intent, Question
from handlers.domain.outcomes import events
from handlers.domain.payments import News, learn
from handlers.domain.recovery import STEPS, Stage, Step, absent, ask_again_s
from handlers.domain.states import UNDECIDED, Fact, RequestFact, RequestState
from handlers.domain.verdicts import (
    NO_EVIDENCE,
    Definite,
    Evidence,
    Found,
    NotSeen,
    NotYet,
    Unknown,
    Unsent,
)
from handlers.orders import taken_by
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
    Recorded,
    Records,
    Rules,
    Taken,
    Wait,
    Wire,
)

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
    ruled = _ruled(operation)
    if ruled is not None:
        return await _answer(operation, house, news=ruled, evidence=NO_EVIDENCE)
    needs = verb(operation.command).needs(operation, rules=house.rules)
    try:
        facts = await _gathered(needs, house)
    except (
        Unavailable
    ) as unavailable:  # the db-service or the gateway: nothing was sent, nothing is decided
        wait = Wait(house.rules.unsent_wait_s, str(unavailable))
        return await _park(operation, house, wait=wait)
    now = house.clock.now()
    match verb(operation.command).plan(operation, facts, rules=house.rules, now=now):
        case Said(news):
            evidence = facts.sight.evidence if facts.sight else NO_EVIDENCE
            return await _answer(operation, house, news=news, evidence=evidence)
        case Pause(seconds, why, counts):
            wait = Wait(seconds, why, asked=counts, release=True)
            return await _park(operation, house, wait=wait)
        case intent:
            return await _send(operation, house, intent=intent)


async def _gathered(needs: Needs, house: House) -> Facts:
    order = None if needs.order_id is None else await house.records.order(needs.order_id)
    if needs.look is None:
        return Facts(order=order)
    seen = await house.gateway.look(needs.look)
    if isinstance(seen, Sight):
        return Facts(order=order, sight=seen)
    return Facts(order=order, unseen=seen.why)


async def _send(operation: Operation, house: House, *, intent: Intent) -> Ending:
    try:
        async with house.gateway.slot(intent.merchant_account):
            frozen = house.gateway.frozen(intent)
            opened = await house.journal.open(operation, intent=intent, frozen=frozen)
            if isinstance(opened, Moved):
                answer = await house.gateway.send(intent)
    except Unavailable as unavailable:
        if unavailable.what != "gateway":
            raise
        wait = Wait(house.rules.unsent_wait_s, str(unavailable))
        return await _park(operation, house, wait=wait)
    if isinstance(opened, Lost):
        return opened
    if isinstance(opened, Taken):
        news = News(fact=Fact.REFUSED, reason=taken_by(opened.payment_id))
        return await _answer(operation, house, news=news, evidence=NO_EVIDENCE)
    if isinstance(answer.verdict, Unsent):
        wait = Wait(
            house.rules.unsent_wait_s, answer.verdict.why, evidence=answer.evidence, unsent=True
        )
        return await _park(opened.operation, house, wait=wait)
    news = _judged(opened.operation, house, verdict=answer.verdict)
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
    ruled = _ruled(operation)
    if ruled is not None and operation.stage is not Stage.OPEN:
        return await _answer(operation, house, news=ruled, evidence=NO_EVIDENCE)
    question = verb(operation.command).question(operation, inquiry, rules=house.rules)
    if question is None and _never_sent(operation):
        return await _park(operation, house, wait=Wait(0.0, "nothing was sent", trust=True))
    if question is None:
        return await _park(operation, house, wait=_unanswerable(operation, house))
    found = await house.gateway.find(question)
    if operation.suspect and isinstance(found, Found) and isinstance(found.verdict, NotYet):
        return await _overtaken(operation, house, question=question, found=found)
    match found:
        case Found(verdict, evidence):
            news = _judged(operation, house, verdict=verdict)
            was_forgotten = operation.stage is Stage.ADMITTED and operation.request is None
            return await _answer(
                operation,
                house,
                news=news,
                evidence=evidence,
                found=question if was_forgotten else None,
            )
        case NotSeen() as unseen:
            return await _unseen(operation, house, unseen=unseen)
        case never:
            assert_never(never)


async def _overtaken(
    operation: Operation, house: House, *, question: Question, found: Found
) -> Ending:
    """What the journal has as tried is impossible by now, and a suspect may have gone on as something else since.

    So it is asked for as what it would be if nothing had been tried, unless the db-service knows how it went on.
    """
    inquiry = operation.inquiry
    assert inquiry is not None, "it was asked for"
    untried = replace(operation, tried=None)
    later = verb(operation.command).question(untried, inquiry, rules=house.rules)
    if later == question:
        later = None
    if later is None and operation.stage is Stage.ADMITTED:
        why = "it was not done in the lost time"
        wait = Wait(0.0, why, evidence=found.evidence, trust=True)
        return await _park(operation, house, wait=wait)
    if later is None or await house.records.recorded(operation) is Recorded.WENT_ON:
        news = _judged(operation, house, verdict=found.verdict)
        return await _answer(operation, house, news=news, evidence=found.evidence)
    match await house.gateway.find(later):
        case Found(verdict, evidence):
            as_asked = replace(operation, tried=later.about)
            news = _judged(as_asked, house, verdict=verdict)
            return await _answer(operation, house, news=news, evidence=evidence)
        case NotSeen() as unseen:
            return await _unseen(operation, house, unseen=unseen, overtaken=True)
        case never:
            assert_never(never)


def _ruled(operation: Operation) -> News | None:
    """What a person said of it; None where nobody did, or where the gateway must confirm it."""
    if operation.ruling is None:
        return None
    return verb(operation.command).rule(operation, operation.ruling)


async def _unseen(
    operation: Operation, house: House, *, unseen: NotSeen, overtaken: bool = False
) -> Ending:
    complete, why, evidence = unseen.complete, unseen.why, unseen.evidence
    inquiry, is_open = operation.inquiry, operation.stage is Stage.OPEN
    assert inquiry is not None, "it was asked for"
    if is_open and not _is_undecided(operation):  # nobody was told yet that we do not know
        news = verb(operation.command).silence(operation)
        return await _answer(operation, house, news=news, evidence=evidence)
    if not absent(inquiry, complete=complete, absence_after_s=house.rules.absence_after_s):
        wait = _asking(operation, house, why=why, evidence=evidence, complete=complete)
        if not unseen.heard:  # nothing was learned: the schedule stays where it is
            wait = Wait(house.rules.unsent_wait_s, why)
        return await _park(operation, house, wait=replace(wait, told=is_open))
    match await _absence(operation, house, overtaken=overtaken):
        case Again() if operation.suspect:
            wait = Wait(0.0, why, evidence=evidence, asked=True, complete_scan=True, trust=True)
        case Again():
            wait = Wait(0.0, why, evidence=evidence, asked=True, complete_scan=True, again=True)
        case Keep(because):
            wait = _asking(operation, house, why=because, evidence=evidence, complete=complete)
            wait = replace(wait, told=is_open)
        case news:
            return await _answer(operation, house, news=news, evidence=evidence)
    return await _park(operation, house, wait=wait)


async def _absence(operation: Operation, house: House, *, overtaken: bool) -> Absence:
    """What proven absence means, above all for a suspect: it may have ended in the time that the journal lost.

    A refusal before processing leaves no row in the gateway's lists, but the db-service was told of it: then it is what
    its verb says. A suspect that nobody ever heard of, and that may still be done, may be planned.
    """
    told = await house.records.recorded(operation) if operation.suspect else Recorded.NOTHING
    if operation.stage is Stage.ADMITTED and told is Recorded.NOTHING and not overtaken:
        return Again()
    proof = Proof(told, overtaken, house.clock.now())
    return verb(operation.command).absence(operation, proof)


async def _answer(
    operation: Operation,
    house: House,
    *,
    news: News,
    evidence: Evidence,
    found: Question | None = None,
) -> Ending:
    told = learn(operation.snapshot, news)
    if told is None:
        return await _nothing_new(operation, house, news=news, evidence=evidence)
    moved = await house.journal.answer(
        operation, told=told, evidence=evidence, follow_up=news.follow_up, found=found
    )
    return moved if isinstance(moved, Lost) else await _tell(moved.operation, house)


async def _nothing_new(
    operation: Operation, house: House, *, news: News, evidence: Evidence
) -> Ending:
    """Asked again, and it stands where it stood: it waits on, or was ended by what is known already."""
    if news.asked is RequestFact.DEFERRED and news.due_at is not None:
        seconds = max(0.0, (news.due_at - house.clock.now()).total_seconds())
        wait = Wait(seconds, news.reason.text, evidence=evidence, release=True)
        return await _park(operation, house, wait=wait)
    if _is_undecided(operation):
        wait = _asking(operation, house, why=news.reason.text, evidence=evidence)
        wait = replace(wait, told=operation.stage is Stage.OPEN)
        return await _park(operation, house, wait=wait)
    concluded = await house.journal.conclude(operation, messages=(), wait=None)
    assert not isinstance(concluded, Queued), "nothing is told"
    return concluded if isinstance(concluded, Lost) else Done()


async def _tell(operation: Operation, house: House) -> Ending:
    told, occurred_at = operation.snapshot, operation.answered_at
    assert occurred_at is not None, "what is told was answered"
    try:
        known = await house.records.record(told, occurred_at=occurred_at)
    except Unavailable as unavailable:
        later = Wait(house.rules.unrecorded_wait_s, str(unavailable))
        return await _park(operation, house, wait=later)
    if isinstance(known, Ahead):  # parked in between, so that two who outrun each other do not spin
        outran = await house.journal.outrun(operation, version=known.version + 1)
        if isinstance(outran, Lost):
            return outran
        return await _park(outran.operation, house, wait=Wait(0.0, "told under a higher version"))
    trace = operation.traceparent
    messages = [
        house.wire.message(event, occurred_at=occurred_at, traceparent=trace)
        for event in events(told, operation.lines)
    ]
    if operation.follow_up is not None:
        messages.append(house.wire.command(operation.follow_up, traceparent=trace))
    wait = _goes_on(operation, house)
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


def _judged(operation: Operation, house: House, *, verdict: Definite | Unknown) -> News:
    return verb(operation.command).judge(
        operation, verdict, rules=house.rules, now=house.clock.now()
    )


def _never_sent(operation: Operation) -> bool:
    """True for a suspect that no gateway can know: it sends nothing, or its payment was never sent."""
    if operation.request is None or operation.stage is not Stage.ADMITTED:
        return False
    origin = operation.origin
    known = operation.payment.transaction_id or (origin is not None and origin.invoice_number)
    return operation.request.kind is Kind.VERIFICATION or not known


def _is_undecided(operation: Operation) -> bool:
    """True where it must be asked on: a request whose own end is unknown, or an initiation whose payment's is."""
    if operation.request is not None:
        return operation.request.state is RequestState.UNKNOWN
    return operation.payment.state in UNDECIDED


def _goes_on(operation: Operation, house: House) -> Wait | None:
    """How an operation whose news was told goes on; None where it is over."""
    request = operation.request
    if (
        request is not None
        and request.due_at is not None
        and request.state is RequestState.DEFERRED
    ):
        seconds = max(0.0, (request.due_at - house.clock.now()).total_seconds())
        return Wait(seconds, request.reason.text, release=True)
    if not _is_undecided(operation):
        return None
    reason = request.reason if request is not None else operation.payment.reason
    return _asking(operation, house, why=reason.text, evidence=NO_EVIDENCE)


def _unanswerable(operation: Operation, house: House) -> Wait:
    """No account is configured for its currency, so nobody can be asked, and nobody can say that it is absent."""
    why = "no account takes its currency any more: configure it again, it may have been charged"
    return _asking(operation, house, why=why, evidence=NO_EVIDENCE)


def _asking(
    operation: Operation, house: House, *, why: str, evidence: Evidence, complete: bool = False
) -> Wait:
    asked = operation.inquiry.asked if operation.inquiry else 0
    seconds = ask_again_s(house.rules.ask_schedule_s, asked=asked)
    return Wait(seconds, why, asked=True, complete_scan=complete, evidence=evidence)


async def _park(operation: Operation, house: House, *, wait: Wait) -> Ending:
    parked = await house.journal.wait(operation, wait=wait)
    return parked if isinstance(parked, Lost) else Parked(wait.why)
