"""The verb of a refund: void, refund, wait or no, by how the charge stands; what each verdict and each word means."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

import pytest

from handlers.decisions import Again, Keep, Pause, Said
from handlers.domain.commands import RefundPayment
from handlers.domain.facts import Facts, Sight, Standing
from handlers.domain.intents import About, Intent, Refund, Void
from handlers.domain.money import Money
from handlers.domain.payments import News, Payment
from handlers.domain.recovery import Inquiry, Stage
from handlers.domain.states import Fact, PaymentState, RequestFact
from handlers.domain.verdicts import BANK, Advice, Method, NotYet, Reason
from handlers.plans import verb
from handlers.ports import Operation, Recorded
from tests.doubles.values import APPROVED, DECLINED, HELD, MIDNIGHT, PROVEN, RULES, UNKNOWN
from tests.unit.request_stage import (
    DENIED_BY_A_PERSON,
    RULED,
    TOTAL,
    asked,
    in_state,
    refund,
)

S, F, G = PaymentState, Fact, RequestFact
CARD: Final = Method("card", "Visa", "1111")
ACCOUNT: Final = Method("accept_js", BANK, "2222")
NOT_YET: Final = NotYet(Reason("54", "Not settled.", Advice.UNDECIDED))
HOUR: Final = timedelta(hours=1)


def sight(standing: Standing, method: Method = CARD, **when: Any) -> Sight:
    """The charge as it stands."""
    return Sight("60001", standing, Money(TOTAL, "USD"), f"status-{standing}", method, **when)


def planned(of: Operation, seen: Sight, *, now: datetime = MIDNIGHT) -> Intent | Said | Pause:
    """The plan with this look."""
    return verb(of.command).plan(of, Facts(sight=seen), rules=RULES, now=now)


def said(of: Operation, seen: Sight, *, now: datetime = MIDNIGHT) -> News:
    """The news of a plan that sends nothing."""
    plan = planned(of, seen, now=now)
    assert isinstance(plan, Said)
    return plan.news


def opened(minor: int = TOTAL, *, about: About = About.REFUND, attempt: int = 1) -> Operation:
    """A refund with its intent on disk and its reserve taken."""
    known = replace(in_state(S.SETTLED), refunding_minor=minor)
    of = asked(refund(minor), known, stage=Stage.OPEN, tried=about, attempt=attempt)
    assert of.request is not None
    return replace(of, request=replace(of.request, reserved_minor=minor))


def judged(of: Operation, verdict: object) -> News:
    """What a verdict means."""
    return verb(of.command).judge(of, verdict, rules=RULES, now=MIDNIGHT)  # type: ignore[arg-type]  # the tests name verdicts


def test_the_whole_before_settlement_is_a_void() -> None:
    """The gateway refuses refunds of what is not settled, and voids the whole only."""
    plan = planned(asked(refund(), in_state(S.CAPTURED)), sight(Standing.TAKEN))
    assert isinstance(plan, Void)
    assert "60001" == plan.transaction_id


@pytest.mark.parametrize(
    ("known", "minor"),
    [
        (in_state(S.CAPTURED), TOTAL - 1),
        (in_state(S.CAPTURED), 1),
        (in_state(S.PARTIALLY_REFUNDED), TOTAL - 200),  # the rest, but not the whole
        (in_state(S.CAPTURED, refunding_minor=200), TOTAL - 200),
    ],
)
def test_a_part_before_settlement_waits(known: Payment, minor: int) -> None:
    """A void would give back more than was asked: it is deferred, with its amount reserved and its day told."""
    through = MIDNIGHT + timedelta(hours=9)
    news = said(asked(refund(minor), known), sight(Standing.TAKEN, settles_at=through))
    assert (None, G.DEFERRED, through, minor) == (
        news.fact,
        news.asked,
        news.due_at,
        news.reserve_minor,
    )
    assert "worker.waits_for_settlement" == news.reason.code
    assert through.isoformat(timespec="seconds") in news.reason.text


@pytest.mark.parametrize(
    ("settles_at", "due_at"),
    [
        (None, MIDNIGHT + HOUR),
        (MIDNIGHT - HOUR, MIDNIGHT + timedelta(seconds=5)),
        (MIDNIGHT + HOUR, MIDNIGHT + HOUR),
    ],
)
def test_a_deferral_is_always_due_later(settles_at: datetime | None, due_at: datetime) -> None:
    """A batch that is late, or of which nobody knows: it is looked at again, and never spins."""
    news = said(
        asked(refund(1), in_state(S.CAPTURED)), sight(Standing.TAKEN, settles_at=settles_at)
    )
    assert due_at == news.due_at


@pytest.mark.parametrize("minor", [1, TOTAL])
def test_what_is_settled_is_refunded(minor: int) -> None:
    """Against the charge's transaction, to the last digits that it came from, under one number for all attempts."""
    of = asked(refund(minor), in_state(S.SETTLED), attempt=3)
    plan = planned(of, sight(Standing.SETTLED, settled_at=MIDNIGHT))
    assert isinstance(plan, Refund)
    assert ("60001", Money(minor, "USD"), CARD, 3, "main") == (
        plan.transaction_id,
        plan.money,
        plan.method,
        plan.attempt,
        plan.merchant_account,
    )
    first = planned(replace(of, attempt=1), sight(Standing.SETTLED))
    assert isinstance(first, Refund)
    assert first.invoice_number == plan.invoice_number


@pytest.mark.parametrize(
    ("known", "seen", "names"),
    [(CARD, Method("", "Visa", "9"), CARD), (Method(), CARD, CARD)],
)
def test_the_card_is_the_one_we_know_else_the_one_that_is_shown(
    known: Method, seen: Method, names: Method
) -> None:
    """The last digits of the payment, or of the gateway where the payment has none."""
    of = asked(refund(1), in_state(S.SETTLED, method=known))
    plan = planned(of, sight(Standing.SETTLED, seen))
    assert isinstance(plan, Refund)
    assert names == plan.method


def test_a_card_without_digits_is_a_persons_case() -> None:
    """The gateway wants the last digits of the card in a refund."""
    of = asked(refund(1), in_state(S.SETTLED, method=Method()))
    news = said(of, sight(Standing.SETTLED, Method()))
    assert ("worker.no_last_digits", Advice.REVIEW) == (news.reason.code, news.reason.advice)


@pytest.mark.parametrize(
    ("age", "sent"), [(timedelta(180), True), (timedelta(180, seconds=1), False)]
)
@pytest.mark.parametrize("which", ["settled_at", "submitted_at"])
def test_what_is_too_old_is_refused_with_the_way_out(
    which: str, age: timedelta, *, sent: bool
) -> None:
    """After the gateway's limit there is no refund any more; the text says what to do."""
    when: dict[str, Any] = {which: MIDNIGHT - age}
    seen = sight(Standing.SETTLED, **when)
    plan = planned(asked(refund(1), in_state(S.SETTLED)), seen)
    assert sent == isinstance(plan, Refund)
    if isinstance(plan, Said):
        assert "worker.too_old_to_refund" == plan.news.reason.code
        assert "another way" in plan.news.reason.text


@pytest.mark.parametrize(("days", "sent"), [(6, False), (7, True)])
def test_a_bank_transfer_waits_for_its_return_window(days: int, *, sent: bool) -> None:
    """Until it can come back no more: else the money goes twice. A setting says how long."""
    seen = sight(Standing.SETTLED, ACCOUNT, settled_at=MIDNIGHT)
    plan = planned(asked(refund(), in_state(S.SETTLED)), seen, now=MIDNIGHT + timedelta(days))
    assert sent == isinstance(plan, Refund)
    if isinstance(plan, Said):
        assert (G.DEFERRED, MIDNIGHT + timedelta(7)) == (plan.news.asked, plan.news.due_at)


@pytest.mark.parametrize(
    ("standing", "fact", "code"),
    [
        (Standing.RETURNED, F.RETURNED, "returned"),
        (Standing.CHARGED_BACK, F.CHARGED_BACK, "charged_back"),
        (Standing.RESERVED, None, "nothing_captured"),
        (Standing.EXPIRED, None, "nothing_captured"),
        (Standing.DECLINED, None, "nothing_captured"),
    ],
)
def test_what_is_gone_is_not_refunded(standing: Standing, fact: Fact | None, code: str) -> None:
    """Money that the bank took back, or that never came, is not given a second time."""
    news = said(asked(refund(), in_state(S.CAPTURED)), sight(standing))
    assert (G.DENIED, fact, f"worker.{code}") == (news.asked, news.fact, news.reason.code)


def test_a_charge_that_is_void_gave_the_whole_back() -> None:
    """Whoever voided it: a refund of the whole is done, a part of it is no more there."""
    whole = said(asked(refund(), in_state(S.CAPTURED)), sight(Standing.VOIDED))
    assert (F.REFUNDED, G.DONE, TOTAL) == (whole.fact, whole.asked, whole.refunded_minor)
    part = said(asked(refund(1), in_state(S.CAPTURED)), sight(Standing.VOIDED))
    assert (F.VOIDED, G.DENIED, 0) == (part.fact, part.asked, part.refunded_minor)


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (S.CONFLICTED, "in_review"),
        (S.REFUNDED, "refunded_already"),
        *((state, "nothing_captured") for state in (S.AUTHORIZED, S.VOIDED, S.EXPIRED, S.VERIFIED)),
        *((state, "nothing_captured") for state in (S.DECLINED, S.REFUSED, S.FAILED)),
        *((state, "nothing_captured") for state in (S.RETURNED, S.CHARGED_BACK)),
    ],
)
def test_what_we_know_forbids_a_refund_without_a_look(state: PaymentState, code: str) -> None:
    """The gateway is not asked for what can be no refund."""
    of = asked(refund(1), in_state(state))
    assert verb(of.command).needs(of, rules=RULES).look is None
    assert f"worker.{code}" == said(of, sight(Standing.SETTLED)).reason.code


@pytest.mark.parametrize(("minor", "fits"), [(734, True), (735, False)])
def test_never_more_than_is_left(minor: int, *, fits: bool) -> None:
    """Captured, minus refunded, minus what other refunds have reserved: to the minor unit, each told in the text."""
    known = in_state(S.PARTIALLY_REFUNDED, refunding_minor=300)
    plan = planned(asked(refund(minor), known), sight(Standing.SETTLED))
    assert fits == isinstance(plan, Refund)
    if isinstance(plan, Said):
        assert "worker.above_captured" == plan.news.reason.code
        for number in (735, 734, TOTAL, 200, 300):
            assert f"{number}" in plan.news.reason.text


def test_its_own_reserve_is_its_own() -> None:
    """A deferred refund that goes on is not in its own way."""
    of = opened(TOTAL)
    assert isinstance(planned(of, sight(Standing.SETTLED)), Refund)
    assert of.request is not None
    of = replace(of, request=replace(of.request, reserved_minor=0))  # now it is another's
    assert isinstance(planned(of, sight(Standing.SETTLED)), Said)


def test_another_currency_is_refused() -> None:
    """A refund is in the payment's currency; both are named."""
    news = said(
        asked(refund(1, money=Money(1, "EUR")), in_state(S.SETTLED)), sight(Standing.SETTLED)
    )
    assert "worker.other_currency" == news.reason.code
    assert {"EUR", "USD"} <= set(news.reason.text.replace(",", "").replace(".", "").split())


@pytest.mark.parametrize(("minor", "fact"), [(TOTAL, F.REFUNDED), (TOTAL - 1, F.PARTLY_REFUNDED)])
def test_an_approved_refund_is_counted(minor: int, fact: Fact) -> None:
    """The last minor unit makes it whole; its own transaction id is kept."""
    news = judged(opened(minor), APPROVED)
    assert (fact, G.DONE, minor, "60001") == (
        news.fact,
        news.asked,
        news.refunded_minor,
        news.request_transaction_id,
    )


@pytest.mark.parametrize("said_of", [(TOTAL - 1, "USD"), (TOTAL, "CAD")])
def test_a_refund_of_another_amount_is_a_conflict(said_of: tuple[int, str]) -> None:
    """A person's case; what went out is counted where it is of our currency, and nothing of it is free again."""
    minor, currency = said_of
    news = judged(opened(), replace(APPROVED, amount_minor=minor, currency=currency))
    counted = minor if currency == "USD" else 0
    assert (F.CONTRADICTED, G.CONTRADICTED, counted) == (
        news.fact,
        news.asked,
        news.refunded_minor,
    )


@pytest.mark.parametrize("verdict", [HELD, UNKNOWN])
@pytest.mark.parametrize("about", [About.REFUND, About.VOID])
def test_silence_keeps_the_amount_reserved(verdict: object, about: About) -> None:
    """It may be out: nobody else may count on it."""
    of = opened(about=about)
    for news in (judged(of, verdict), verb(of.command).silence(of)):
        assert (None, G.UNDECIDED, TOTAL) == (news.fact, news.asked, news.reserve_minor)


def test_not_settled_yet_is_never_the_customers_failure() -> None:
    """Reason 54 is a deferral; after the fourth attempt at a settled charge it waits longer, for a person."""
    for attempt in (1, 2, 3):
        news = judged(opened(attempt=attempt), NOT_YET)
        assert (G.DEFERRED, MIDNIGHT + HOUR) == (news.asked, news.due_at)
        assert "54" not in news.reason.text
    last = judged(opened(attempt=4), NOT_YET)
    assert (G.DEFERRED, Advice.REVIEW, MIDNIGHT + timedelta(days=1)) == (
        last.asked,
        last.reason.advice,
        last.due_at,
    )


def test_a_void_that_the_settlement_overtook_goes_on_as_a_command() -> None:
    """Not by a second call in the same intent: the same refund, one continuation on, with its reserve kept."""
    of = opened(about=About.VOID)
    news = judged(of, NOT_YET)
    assert isinstance(of.command, RefundPayment)
    assert G.CONTINUED is news.asked
    assert news.follow_up == replace(of.command, continuation=2, issued_at=MIDNIGHT)
    assert of.operation_id == getattr(news.follow_up, "goes_on", None)


def test_a_declined_void_is_looked_at_again() -> None:
    """The refund is not lost with it; a declined refund is, with the gateway's words."""
    assert G.DEFERRED is judged(opened(about=About.VOID), DECLINED).asked
    no = judged(opened(), DECLINED)
    assert (G.DENIED, DECLINED.reason) == (no.asked, no.reason)


def test_absence_proves_a_void_undone_and_nothing_of_a_refund() -> None:
    """A void may be repeated; a refund that no list shows waits for a person."""
    assert Again() == verb(refund()).absence(opened(about=About.VOID), PROVEN)
    assert isinstance(verb(refund()).absence(opened(), PROVEN), Keep)


@pytest.mark.parametrize("about", [About.VOID, About.REFUND])
def test_what_was_told_in_lost_time_decides_first(about: About) -> None:
    """An end that no list shows is a person's case; what went on under another command goes on there."""
    of, its = opened(about=about), verb(refund())
    assert isinstance(its.absence(of, replace(PROVEN, told=Recorded.ENDED)), Keep)
    went_on = its.absence(of, replace(PROVEN, told=Recorded.WENT_ON, overtaken=True))
    assert went_on == judged(replace(of, tried=About.VOID), NOT_YET)


def test_an_overtaken_void_that_was_not_refunded_goes_on_as_a_command() -> None:
    """As it does without a loss of time; the command itself, where it was overtaken once more, is planned anew."""
    of, overtaken = opened(about=About.VOID), replace(PROVEN, overtaken=True)
    its = verb(refund())
    news = its.absence(of, overtaken)
    assert isinstance(news, News)
    assert (G.CONTINUED, 2) == (news.asked, getattr(news.follow_up, "continuation", None))
    assert isinstance(of.command, RefundPayment)
    second = replace(of, command=replace(of.command, continuation=2))
    assert Again() == its.absence(second, overtaken)


def test_a_persons_word_about_a_refund() -> None:
    """No frees the reserve; yes counts, but where the gateway can say it, it is asked: a void, or a transaction id."""
    its, of = verb(refund()), opened()
    no = its.rule(of, DENIED_BY_A_PERSON)
    yes = its.rule(of, RULED)
    assert no is not None
    assert yes is not None
    assert (G.RULED_DENIED, None, 0) == (no.asked, no.fact, no.refunded_minor)
    assert (G.RULED_DONE, F.REFUNDED, TOTAL) == (yes.asked, yes.fact, yes.refunded_minor)
    assert its.rule(of, replace(RULED, transaction_id="77")) is None
    assert its.rule(opened(about=About.VOID), RULED) is None


def test_what_is_asked_about_a_refund() -> None:
    """Its own transaction by its own number, or by the id that somebody told; a void through its charge."""
    inquiry = Inquiry(0, 0, since=MIDNIGHT, until=MIDNIGHT, now=MIDNIGHT, invoice_number="MINE")
    its = verb(refund())
    question = its.question(opened(1), inquiry, rules=RULES)
    assert question is not None
    assert (About.REFUND, "MINE", None, Money(1, "USD")) == (
        question.about,
        question.invoice_number,
        question.transaction_id,
        question.money,
    )
    ruled = replace(opened(), ruling=replace(RULED, transaction_id="77"))
    by_id = its.question(ruled, inquiry, rules=RULES)
    assert by_id is not None
    assert "77" == by_id.transaction_id
    told = its.question(ruled, replace(inquiry, transaction_id="78"), rules=RULES)
    assert told is not None
    assert "78" == told.transaction_id
    of_void = its.question(opened(about=About.VOID), inquiry, rules=RULES)
    assert of_void is not None
    assert (About.VOID, "60001") == (of_void.about, of_void.transaction_id)


def test_a_refund_after_a_partial_capture_is_of_what_was_captured() -> None:
    """The whole is what was captured, not what was authorised."""
    known = in_state(S.CAPTURED, captured_minor=1000)
    shown = replace(sight(Standing.TAKEN), money=Money(1000, "USD"))
    assert isinstance(planned(asked(refund(1000), known), shown), Void)
    assert (
        "worker.above_captured"
        == said(asked(refund(1001), known), sight(Standing.TAKEN)).reason.code
    )
