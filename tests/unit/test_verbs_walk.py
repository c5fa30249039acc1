"""Every (payment state, command, standing or verdict) through plan, judge and learn, and what must hold after each.

The rules: totals and reserves stay within each other, a request that ended holds no reserve, versions grow by one,
only the tables move, every reason has a text. What one verb decides in words of its own is `test_verbs_*.py`.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import Final

import pytest

from handlers.decisions import Again, Keep, Pause, Said
from handlers.domain.commands import Kind, RefundPayment, Request, amount_of
from handlers.domain.facts import Facts, Sight, Standing
from handlers.domain.intents import Intent, Refund, Void
from handlers.domain.money import Money
from handlers.domain.payments import News, Payment, Snapshot, learn
from handlers.domain.recovery import Stage
from handlers.domain.states import (
    REQUEST_TRANSITIONS,
    TRANSITIONS,
    PaymentState,
    RequestFact,
    RequestState,
)
from handlers.domain.verdicts import (
    BANK,
    Advice,
    Approved,
    Declined,
    Definite,
    Held,
    Method,
    NotYet,
    Reason,
    Unknown,
)
from handlers.plans import verb
from handlers.ports import Operation
from tests.doubles.values import APPROVED, DECLINED, HELD, MIDNIGHT, PROVEN, RULES, UNKNOWN
from tests.unit.request_stage import (
    DENIED_BY_A_PERSON,
    RULED,
    TOTAL,
    asked,
    balanced,
    capture,
    in_state,
    refund,
    verification,
    void,
)

S, R = PaymentState, RequestState
OTHERS: Final = 300  # reserved by another refund that waits
COMMANDS: Final[tuple[Request, ...]] = (
    capture(),
    capture(1000),
    capture(TOTAL + 1),
    void(),
    refund(),
    refund(200),
    refund(TOTAL - OTHERS),
    refund(TOTAL + 1),
    refund(5, money=Money(5, "EUR")),
    verification(),
    verification(replace(RULED, version=1)),
    verification(replace(DENIED_BY_A_PERSON, version=1)),
)
MONEY: Final = (Money(TOTAL, "USD"), Money(1000, "USD"), Money(TOTAL, "CAD"), None)
CARD: Final = Method("card", "Visa", "1111")
SIGHTS: Final[tuple[Sight | None, ...]] = (
    None,
    *(
        Sight("60001", standing, money, f"status-{standing}", CARD)
        for standing, money in product(Standing, MONEY)
    ),
    Sight("60001", Standing.SETTLED, MONEY[0], "old", CARD, settled_at=MIDNIGHT - timedelta(181)),
    Sight("60001", Standing.SETTLED, MONEY[0], "bank", Method("", BANK, "1"), settled_at=MIDNIGHT),
    Sight("60001", Standing.SETTLED, MONEY[0], "nameless", Method()),
    Sight("60001", Standing.TAKEN, MONEY[0], "waits", CARD, settles_at=MIDNIGHT + timedelta(1)),
)
NOT_YET: Final = NotYet(Reason("54", "Not settled.", Advice.UNDECIDED))
VERDICTS: Final[tuple[Definite | Unknown, ...]] = (
    APPROVED,
    *(
        replace(APPROVED, amount_minor=money.amount_minor, currency=money.currency)
        for money in MONEY
        if money is not None
    ),
    replace(APPROVED, amount_minor=TOTAL + 1, currency="USD"),
    DECLINED,
    HELD,
    NOT_YET,
    UNKNOWN,
)
_RESERVES: Final = {Kind.CAPTURE: "capturing_minor", Kind.REFUND: "refunding_minor"}


def payments(state: PaymentState) -> Iterator[Payment]:
    """The payment in `state`; where something is captured, also with another refund under way, and in part."""
    known = in_state(state)
    yield known
    if known.captured_minor - known.refunded_minor >= OTHERS:
        yield replace(known, refunding_minor=OTHERS)
        yield replace(known, captured_minor=1000)
    if state is S.CONFLICTED:
        yield replace(known, authorised_minor=0, captured_minor=0)
        yield replace(known, captured_minor=0)


def operations(state: PaymentState) -> Iterator[Operation]:
    """Every command about every such payment: new, deferred with its reserve, unknown and planned once more."""
    for known, command in product(payments(state), COMMANDS):
        new = asked(command, known)
        yield new
        held = reserved(new)
        if held is not None:
            yield with_request(held, R.DEFERRED)
            yield with_request(held, R.UNKNOWN)


def with_request(of: Operation, state: RequestState) -> Operation:
    """The same with its request in `state`."""
    assert of.request is not None
    return replace(of, request=replace(of.request, state=state))


def reserved(of: Operation) -> Operation | None:
    """The operation with the reserve that its own intent or deferral takes; None where there is no room for it."""
    request, name = of.request, _RESERVES.get(of.command.kind)
    assert request is not None
    if name is None:
        return of
    minor = request.amount_minor or of.payment.authorised_minor
    known = replace(of.payment, **{name: getattr(of.payment, name) + minor})
    held = replace(of, payment=known, request=replace(request, reserved_minor=minor))
    return held if minor and balanced(known) else None


def opened(of: Operation, intent: Intent) -> Operation:
    """The operation as the journal has it once `intent` is open."""
    assert of.request is not None
    with_reserve = of if of.request.reserved_minor else reserved(of)
    assert with_reserve is not None, "the plan never asks for more than there is"
    return replace(with_reserve, stage=Stage.OPEN, tried=intent.about)


def check(of: Operation, news: News) -> None:
    """The rules that any news of any verb keeps."""
    before = of.snapshot
    what = (of.payment, of.request, of.command, news)
    assert news.reason.text.strip(), what
    assert news.reason.code, what
    after = learn(before, news)
    if after is None:
        assert (before.payment.state, news.fact) not in TRANSITIONS, what
        return
    assert balanced(after.payment), what
    assert before.payment.version + 1 == after.payment.version, what
    assert before.request is not None, what
    assert after.request is not None, what
    moved = TRANSITIONS.get((before.payment.state, news.fact), before.payment.state)  # type: ignore[arg-type]  # None is in no row
    assert moved is after.payment.state, what
    to = REQUEST_TRANSITIONS.get((before.request.state, news.asked), before.request.state)  # type: ignore[arg-type]  # None is in no row
    assert to is after.request.state, what
    name = _RESERVES.get(of.command.kind)
    if name is not None:
        more = after.request.reserved_minor - before.request.reserved_minor
        assert more == getattr(after.payment, name) - getattr(before.payment, name), what
    ended = after.request.state in {R.PROCESSED, R.FAILED}
    assert not ended or not after.request.reserved_minor, what
    assert (after.request.state is R.DEFERRED) <= (after.request.due_at is not None), what
    assert told_once(before, after, news=news), what


def told_once(before: Snapshot, after: Snapshot, *, news: News) -> bool:
    """What went back is counted exactly once: where the request is done, or another amount than asked is known."""
    assert after.request is not None
    more = after.payment.refunded_minor - before.payment.refunded_minor
    counted = after.request.kind is Kind.REFUND and after.request.state is R.PROCESSED
    if after.request.kind is Kind.REFUND and after.request.state is R.CONFLICTED:
        return more == news.refunded_minor
    return more == (after.request.amount_minor if counted else 0) == news.refunded_minor


@pytest.mark.parametrize("state", S)
def test_every_plan_keeps_the_rules(state: PaymentState) -> None:
    """Whatever is seen of the charge: what is said is lawful, and an intent never counts on money that is not there."""
    for of, sight in product(operations(state), SIGHTS):
        facts = Facts(sight=sight, unseen="" if sight else "it is not in the list")
        match verb(of.command).plan(of, facts, rules=RULES, now=MIDNIGHT):
            case Said(news):
                check(of, news)
            case Pause(seconds, why):
                assert seconds > 0, of
                assert why, of
            case intent:
                assert intent.operation_id == of.operation_id
                assert balanced(opened(of, intent).payment), of


def intents(state: PaymentState) -> Iterator[Operation]:
    """Every operation of a payment in `state` that leads to an intent, as the journal has it then."""
    for of, sight in product(operations(state), SIGHTS):
        plan = verb(of.command).plan(of, Facts(sight=sight), rules=RULES, now=MIDNIGHT)
        if not isinstance(plan, Said | Pause):
            yield opened(of, plan)


@pytest.mark.parametrize("state", S)
def test_every_verdict_keeps_the_rules(state: PaymentState) -> None:
    """Whatever the gateway says to what was sent, on the first try or a later one."""
    for of, verdict in product(set(map(_once, intents(state))), VERDICTS):
        check(of, verb(of.command).judge(of, verdict, rules=RULES, now=MIDNIGHT))


def _once(of: Operation) -> Operation:
    """Without what differs in name only, so that each case is tried once."""
    return replace(of, inquiry=None, origin=None)


@pytest.mark.parametrize("state", S)
def test_silence_and_a_persons_word_keep_the_rules(state: PaymentState) -> None:
    """The same for what may have been sent, what is absent, and what a person says of it."""
    for of in set(map(_once, intents(state))):
        check(of, verb(of.command).silence(of))
        assert isinstance(verb(of.command).absence(of, PROVEN), Again | Keep), of
        told = learn(of.snapshot, verb(of.command).silence(of))
        unknown = of if told is None else replace(of, payment=told.payment, request=told.request)
        for ruling in (RULED, DENIED_BY_A_PERSON):
            news = verb(of.command).rule(unknown, ruling)
            if news is not None:
                check(unknown, news)


@pytest.mark.parametrize("state", S)
def test_what_is_undecided_keeps_its_reserve(state: PaymentState) -> None:
    """Sent, and nobody knows: the money stays reserved for it, whatever a verb calls its reason."""
    for of in set(map(_once, intents(state))):
        told = learn(of.snapshot, verb(of.command).judge(of, UNKNOWN, rules=RULES, now=MIDNIGHT))
        if told is None:  # it was told as unknown before
            assert of.request is not None
            assert R.UNKNOWN is of.request.state
            continue
        assert told.request is not None
        assert R.UNKNOWN is told.request.state
        assert (of.payment.refunding_minor, of.payment.capturing_minor) == (
            told.payment.refunding_minor,
            told.payment.capturing_minor,
        )


@pytest.mark.parametrize("state", S)
def test_an_approval_ends_the_request(state: PaymentState) -> None:
    """What the gateway did as it was asked is done, and holds nothing any more."""
    for of in set(map(_once, intents(state))):
        told = learn(of.snapshot, verb(of.command).judge(of, APPROVED, rules=RULES, now=MIDNIGHT))
        assert told is not None, of
        assert told.request is not None
        assert (R.PROCESSED, 0) == (told.request.state, told.request.reserved_minor), of


def test_only_what_is_good_for_it_is_ever_sent() -> None:
    """The states in which a command leads to the gateway at all, and with which intent: the whole list."""
    sent = {(state, of.command.kind, of.tried) for state in S for of in intents(state) if of.tried}
    void_of = {
        S.REQUESTED,
        S.AUTHORIZED,
        S.CAPTURED,
        S.VERIFIED,
        S.HELD,
        S.UNKNOWN,
        S.CONFLICTED,
    }
    refund_of = {S.CAPTURED, S.SETTLED, S.PARTIALLY_REFUNDED}
    expected = (
        {(S.AUTHORIZED, Kind.CAPTURE, "capture")}
        | {(state, Kind.VOID, "void") for state in void_of}
        | {(state, Kind.REFUND, "refund") for state in refund_of}
        | {(state, Kind.REFUND, "void") for state in refund_of - {S.PARTIALLY_REFUNDED}}
    )
    assert expected == sent


@pytest.mark.parametrize("state", S)
def test_a_refund_is_never_planned_for_money_that_is_not_there(state: PaymentState) -> None:
    """Neither the void of the whole nor a refund is sent where another one holds, or has, a part of it."""
    for of, sight in product(operations(state), SIGHTS):
        plan = verb(of.command).plan(of, Facts(sight=sight), rules=RULES, now=MIDNIGHT)
        known = of.payment
        own = of.request.reserved_minor if of.request else 0
        left = known.captured_minor - known.refunded_minor - known.refunding_minor + own
        if isinstance(plan, Refund):
            assert 0 < plan.money.amount_minor <= left, of
        if isinstance(plan, Void) and isinstance(of.command, RefundPayment):
            assert known.captured_minor == left == amount_of(of.command), of
        if isinstance(plan, Void) and of.command.kind is Kind.VOID:
            assert 0 == known.refunding_minor, of


def test_knowledge_only_improves_by_a_verification() -> None:
    """A verification sends nothing, denies nothing but a stranger's or a needless word, and never fails by itself."""
    for state in S:
        for of, sight in product(operations(state), SIGHTS):
            if of.command.kind is not Kind.VERIFICATION:
                continue
            plan = verb(of.command).plan(of, Facts(sight=sight), rules=RULES, now=MIDNIGHT)
            assert isinstance(plan, Said), of
            ruled = getattr(of.command, "ruling", None) is not None  # about the version that it has
            denied = plan.news.asked is RequestFact.DENIED
            assert denied == (ruled and state is not S.CONFLICTED), of


def test_denials_and_verdicts_are_all_walked() -> None:
    """The walk is as wide as the tables: each standing, each kind of verdict, each kind of request is in it."""
    assert set(Standing) == {sight.standing for sight in SIGHTS if sight}
    assert {Approved, Declined, Held, NotYet, Unknown} == {type(it) for it in VERDICTS}
    assert set(Kind) - {Kind.INITIATION} == {of.kind for of in COMMANDS}
