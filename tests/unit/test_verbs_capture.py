"""The verbs of a capture and of a void: what each standing and each verdict means, in a table of words."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final

import pytest

from handlers.decisions import MOST_LOOKS, Again, Pause, Said
from handlers.domain.commands import RefundPayment, Request
from handlers.domain.facts import Facts, Needs, Sight, Standing
from handlers.domain.intents import About, Capture, Void
from handlers.domain.invoices import invoice_number
from handlers.domain.money import Money
from handlers.domain.payments import News
from handlers.domain.recovery import Inquiry, Stage
from handlers.domain.states import Fact, PaymentState, RequestFact
from handlers.domain.verdicts import Advice, NotYet, Reason
from handlers.plans import verb
from handlers.ports import Operation
from tests.doubles.values import APPROVED, DECLINED, HELD, MIDNIGHT, PROVEN, RULES, UNKNOWN
from tests.unit.request_stage import (
    INVOICE,
    RULED,
    TOTAL,
    USER,
    asked,
    capture,
    in_state,
    refund,
    verification,
    void,
)

S, F, G = PaymentState, Fact, RequestFact
USD: Final = Money(TOTAL, "USD")
NOT_YET: Final = NotYet(Reason("327", "It has no void.", Advice.UNDECIDED))


def sight(standing: Standing, money: Money | None = USD) -> Sight:
    """The charge as it stands."""
    return Sight("60001", standing, money, f"status-{standing}")


def planned(of: Operation, seen: Sight | None, *, unseen: str = "") -> object:
    """The plan with this look."""
    facts = Facts(sight=seen, unseen=unseen)
    return verb(of.command).plan(of, facts, rules=RULES, now=MIDNIGHT)


def said(of: Operation, seen: Sight | None) -> News:
    """The news of a plan that sends nothing."""
    plan = planned(of, seen)
    assert isinstance(plan, Said)
    return plan.news


def opened(of: Operation, about: About) -> Operation:
    """The operation with its intent on disk."""
    return replace(of, stage=Stage.OPEN, tried=about)


@pytest.mark.parametrize(
    ("make", "minor"), [(capture, TOTAL), (lambda: capture(1), 1), (lambda: capture(TOTAL), TOTAL)]
)
def test_a_capture_is_of_what_was_asked(make: Callable[[], Request], minor: int) -> None:
    """All of it or the part that was named, on the charge's own transaction and account, under a number of its own."""
    of = asked(make(), in_state(S.AUTHORIZED))
    plan = planned(of, sight(Standing.RESERVED))
    number = invoice_number(RULES.invoice_key, environment="test", operation_id=of.operation_id)
    assert plan == Capture(
        operation_id=of.operation_id,
        attempt=1,
        invoice_number=number,
        reference=number,
        money=Money(minor, "USD"),
        merchant_account="main",
        transaction_id="60001",
    )


@pytest.mark.parametrize(
    ("standing", "asked_fact", "fact", "code"),
    [
        (Standing.TAKEN, G.DONE, F.TAKEN, "captured"),
        (Standing.SETTLED, G.DONE, F.TAKEN, "captured"),
        (Standing.VOIDED, G.DENIED, F.VOIDED, "voided"),
        (Standing.EXPIRED, G.DENIED, F.EXPIRED, "expired"),
        (Standing.DECLINED, G.DENIED, None, "nothing_authorised"),
        (Standing.RETURNED, G.DENIED, None, "nothing_authorised"),
        (Standing.CHARGED_BACK, G.DENIED, None, "nothing_authorised"),
    ],
)
def test_what_a_standing_means_for_a_capture(
    standing: Standing, asked_fact: RequestFact, fact: Fact | None, code: str
) -> None:
    """What is captured already as it was asked is done; what is gone is denied, and the payment learns it."""
    news = said(asked(capture(), in_state(S.AUTHORIZED)), sight(standing))
    assert (asked_fact, fact, f"worker.{code}") == (news.asked, news.fact, news.reason.code)


@pytest.mark.parametrize("money", [Money(TOTAL - 1, "USD"), Money(TOTAL, "CAD"), None])
@pytest.mark.parametrize("standing", [Standing.TAKEN, Standing.SETTLED])
def test_a_capture_of_another_amount_is_a_conflict(standing: Standing, money: Money | None) -> None:
    """Somebody captured another amount, or one that nobody can read: a person's case, and what is known is counted."""
    news = said(asked(capture(), in_state(S.AUTHORIZED)), sight(standing, money))
    assert (F.CONTRADICTED, G.CONTRADICTED) == (news.fact, news.asked)
    ours = money is not None and money.currency == "USD"
    assert (TOTAL - 1 if ours else 0) == news.captured_minor


def test_what_another_capture_took_is_no_conflict_of_a_suspect() -> None:
    """Asked for after a loss of time, it finds what the payment's other capture took: it took nothing itself.

    Regression: PostgreSQL was away for longer than a lease with two captures of one payment in line. Both became
    suspects, the second one saw the amount of the first, and the payment ended as conflicted.
    """
    known = in_state(S.CAPTURED, captured_minor=TOTAL - 200)
    for minor in (TOTAL, 1, None):
        of = asked(capture(minor), known, suspect=True)
        taken = replace(APPROVED, amount_minor=TOTAL - 200, currency="USD")
        news = verb(of.command).judge(of, taken, rules=RULES, now=MIDNIGHT)
        denied = (G.DENIED, None, "worker.captured_already")
        assert denied == (news.asked, news.fact, news.reason.code)
    strange = replace(APPROVED, amount_minor=TOTAL - 100, currency="USD")
    news = verb(of.command).judge(of, strange, rules=RULES, now=MIDNIGHT)
    assert (F.CONTRADICTED, G.CONTRADICTED) == (news.fact, news.asked)


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (S.CAPTURED, "captured_already"),
        (S.SETTLED, "captured_already"),
        (S.PARTIALLY_REFUNDED, "captured_already"),
        (S.REFUNDED, "captured_already"),
        (S.RETURNED, "captured_already"),
        (S.CHARGED_BACK, "captured_already"),
        (S.DECLINED, "nothing_authorised"),
        (S.REFUSED, "nothing_authorised"),
        (S.FAILED, "nothing_authorised"),
        (S.VOIDED, "nothing_authorised"),
        (S.EXPIRED, "nothing_authorised"),
        (S.VERIFIED, "nothing_authorised"),
        (S.CONFLICTED, "in_review"),
    ],
)
def test_what_we_know_forbids_a_capture_without_a_look(state: PaymentState, code: str) -> None:
    """One capture for an authorisation, and none without one: the gateway is not even asked."""
    of = asked(capture(), in_state(state))
    assert Needs() == verb(of.command).needs(of, rules=RULES)
    news = said(of, None)
    assert (G.DENIED, None, f"worker.{code}") == (news.asked, news.fact, news.reason.code)


def test_no_more_is_captured_than_is_authorised() -> None:
    """One minor unit above is denied, with both amounts in the text."""
    news = said(asked(capture(TOTAL + 1), in_state(S.AUTHORIZED)), None)
    assert "worker.above_authorised" == news.reason.code
    assert str(TOTAL + 1) in news.reason.text
    assert str(TOTAL) in news.reason.text


@pytest.mark.parametrize("make", [capture, void, refund, verification])
def test_a_request_in_anothers_name_is_denied_unseen(make: Callable[..., Request]) -> None:
    """Whoever asks for another user's payment gets nothing, and the gateway is not asked for them."""
    state = S.AUTHORIZED if make is capture else S.CAPTURED
    of = asked(make(user_id="somebody-else"), in_state(state))
    news = said(of, sight(Standing.RESERVED))
    assert (G.DENIED, None, "worker.not_yours") == (news.asked, news.fact, news.reason.code)
    for user_id in ("", USER):
        mine = asked(make(user_id=user_id), in_state(state))
        plan = planned(mine, sight(Standing.RESERVED))
        assert not isinstance(plan, Said) or "worker.not_yours" != plan.news.reason.code


@pytest.mark.parametrize(
    ("standing", "asked_fact", "fact", "code"),
    [
        (Standing.VOIDED, G.DONE, F.VOIDED, "voided_already"),
        (Standing.EXPIRED, G.DONE, F.EXPIRED, "nothing_to_void"),
        (Standing.DECLINED, G.DONE, None, "nothing_to_void"),
        (Standing.SETTLED, G.DENIED, F.SETTLED, "settled"),
        (Standing.RETURNED, G.DENIED, F.RETURNED, "settled"),
        (Standing.CHARGED_BACK, G.DENIED, F.CHARGED_BACK, "settled"),
    ],
)
def test_what_a_standing_means_for_a_void(
    standing: Standing, asked_fact: RequestFact, fact: Fact | None, code: str
) -> None:
    """A void of what is void is a success that says so; of what is settled a no that names the refund."""
    news = said(asked(void(), in_state(S.CAPTURED)), sight(standing))
    assert (asked_fact, fact, f"worker.{code}") == (news.asked, news.fact, news.reason.code)
    if code == "settled":
        assert "refund_request" in news.reason.text


@pytest.mark.parametrize("standing", [Standing.RESERVED, Standing.TAKEN, Standing.HELD])
@pytest.mark.parametrize("state", [S.AUTHORIZED, S.CAPTURED, S.VERIFIED, S.CONFLICTED])
def test_what_is_not_settled_is_voided(state: PaymentState, standing: Standing) -> None:
    """An authorisation, an unsettled capture, the hold of a test, an orphan: the charge's transaction, as a whole."""
    of = asked(void(), in_state(state))
    plan = planned(of, sight(standing))
    assert isinstance(plan, Void)
    assert ("60001", "main", of.operation_id) == (
        plan.transaction_id,
        plan.merchant_account,
        plan.operation_id,
    )


@pytest.mark.parametrize(
    ("state", "asked_fact", "code"),
    [
        (S.VOIDED, G.DONE, "voided_already"),
        (S.EXPIRED, G.DONE, "nothing_to_void"),
        (S.DECLINED, G.DONE, "nothing_to_void"),
        (S.REFUSED, G.DONE, "nothing_to_void"),
        (S.FAILED, G.DONE, "nothing_to_void"),
        (S.SETTLED, G.DENIED, "settled"),
        (S.PARTIALLY_REFUNDED, G.DENIED, "settled"),
        (S.REFUNDED, G.DENIED, "settled"),
        (S.RETURNED, G.DENIED, "settled"),
        (S.CHARGED_BACK, G.DENIED, "settled"),
    ],
)
def test_what_we_know_decides_a_void_without_a_look(
    state: PaymentState, asked_fact: RequestFact, code: str
) -> None:
    """Where nothing was taken there is nothing to void; after the settlement nobody can."""
    of = asked(void(), in_state(state))
    assert Needs() == verb(of.command).needs(of, rules=RULES)
    news = said(of, None)
    assert (asked_fact, None, f"worker.{code}") == (news.asked, news.fact, news.reason.code)


def test_no_void_beside_a_refund() -> None:
    """A refund that waits would give its money back a second time."""
    known = replace(in_state(S.CAPTURED), refunding_minor=1)
    assert "worker.refund_under_way" == said(asked(void(), known), None).reason.code


@pytest.mark.parametrize(
    ("make", "state"), [(capture, S.AUTHORIZED), (void, S.CAPTURED), (refund, S.CAPTURED)]
)
def test_what_is_not_shown_is_looked_for_and_then_denied(
    make: Callable[..., Request], state: PaymentState
) -> None:
    """The gateway's lists lag behind: many looks over a while, then a no that tells a person what to compare."""
    late = MIDNIGHT + timedelta(days=1)
    for looks, now in [*((n, late) for n in range(MOST_LOOKS + 1)), (10 * MOST_LOOKS, MIDNIGHT)]:
        inquiry = Inquiry(looks, 0, since=MIDNIGHT, until=MIDNIGHT, now=now)
        plan = planned(
            asked(make(), in_state(state), inquiry=inquiry), None, unseen="not in the list"
        )
        if looks < MOST_LOOKS or now is MIDNIGHT:  # whoever asks often must not make it sooner
            assert isinstance(plan, Pause)
            assert "not in the list" in plan.why
            continue
        assert isinstance(plan, Said)
        assert (G.DENIED, "worker.charge_not_found") == (plan.news.asked, plan.news.reason.code)


def test_a_look_names_the_charge_as_it_was_sent() -> None:
    """The account and the number of the charge, whatever today's settings say; today's account where it had none."""
    of = asked(void(), in_state(S.CAPTURED))
    moved = replace(RULES, merchant_accounts={"USD": "another"})
    look = verb(of.command).needs(of, rules=moved).look
    assert look is not None
    assert ("main", INVOICE, "60001", About.CHARGE) == (
        look.merchant_account,
        look.invoice_number,
        look.transaction_id,
        look.about,
    )
    assert of.origin is not None
    of = replace(of, origin=replace(of.origin, merchant_account=""))
    look = verb(of.command).needs(of, rules=moved).look
    assert look is not None
    assert "another" == look.merchant_account
    none = replace(RULES, merchant_accounts={})
    assert Needs() == verb(of.command).needs(of, rules=none)
    assert of.inquiry is not None
    assert verb(of.command).question(of, of.inquiry, rules=none) is None


@pytest.mark.parametrize(
    ("make", "state", "about", "fact"),
    [
        (capture, S.AUTHORIZED, About.CAPTURE, F.TAKEN),
        (void, S.AUTHORIZED, About.VOID, F.VOIDED),
        (void, S.CAPTURED, About.VOID, F.VOIDED),
    ],
)
def test_verdicts_of_captures_and_voids(
    make: Callable[..., Request], state: PaymentState, about: About, fact: Fact
) -> None:
    """Approved is done; declined is denied with the gateway's words; held or silent is undecided, and asked for."""
    of = opened(asked(make(), in_state(state)), about)
    its = verb(of.command)
    done = its.judge(of, APPROVED, rules=RULES, now=MIDNIGHT)
    assert (fact, G.DONE) == (done.fact, done.asked)
    no = its.judge(of, DECLINED, rules=RULES, now=MIDNIGHT)
    assert (None, G.DENIED, DECLINED.reason) == (no.fact, no.asked, no.reason)
    for verdict in (HELD, UNKNOWN):
        news = its.judge(of, verdict, rules=RULES, now=MIDNIGHT)
        assert (None, G.UNDECIDED) == (news.fact, news.asked)
    assert G.UNDECIDED is its.silence(of).asked
    assert Again() == its.absence(of, PROVEN)
    assert its.rule(of, RULED) is None
    no = its.rule(of, replace(RULED, happened=False)) or done
    assert (None, G.RULED_DENIED) == (no.fact, no.asked)
    assert of.inquiry is not None
    question = its.question(of, of.inquiry, rules=RULES)
    assert question is not None
    assert (about, "60001", INVOICE) == (
        question.about,
        question.transaction_id,
        question.invoice_number,
    )


def test_a_void_that_the_settlement_overtook_asks_for_the_refund() -> None:
    """It ends as denied and asks for a refund of all that was captured, under an id that no crash changes."""
    of = opened(asked(void(reason="out of stock"), in_state(S.CAPTURED)), About.VOID)
    news = [verb(of.command).judge(of, NOT_YET, rules=RULES, now=MIDNIGHT) for _ in range(2)]
    assert news[0] == news[1]
    follow_up = news[0].follow_up
    assert isinstance(follow_up, RefundPayment)
    assert (G.DENIED, USD, "out of stock", 1) == (
        news[0].asked,
        follow_up.money,
        follow_up.reason,
        follow_up.continuation,
    )
    assert follow_up.refund_id in news[0].reason.text
    other = opened(asked(void(), in_state(S.CAPTURED)), About.VOID)
    another = verb(other.command).judge(other, NOT_YET, rules=RULES, now=MIDNIGHT).follow_up
    assert isinstance(another, RefundPayment)
    assert another.refund_id != follow_up.refund_id
