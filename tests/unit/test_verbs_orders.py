"""The order check before money moves, and what of an initiation the order fills in."""

from dataclasses import replace
from typing import Any, Final

import pytest

from handlers.decisions import Said
from handlers.domain.commands import Address, InitiatePayment, Line, Mode, VoidPayment
from handlers.domain.facts import Facts, Needs, Order
from handlers.domain.intents import Charge
from handlers.domain.money import Money
from handlers.domain.states import Fact
from handlers.orders import MARK_PAID, objection, taken_by
from handlers.plans import verb
from handlers.ports import OnePayment, Operation, OrderCheck, Rules
from tests.doubles.values import APPROVED, MIDNIGHT, RESERVED, RULES, command, operation

STRICT: Final = replace(RULES, order_check=OrderCheck.STRICT, one_payment=OnePayment.ENFORCE)
COMMAND: Final = command()
BILLING: Final = Address(first_name="Ann", city="Berlin")


def order(**changes: Any) -> Order:
    """The order that the command is for, with `changes`."""
    base: dict[str, Any] = {
        "order_id": COMMAND.order_id,
        "user_id": COMMAND.user_id,
        "status": "payable",
        "money": COMMAND.money,
        "tax_minor": 99,
        "billing": BILLING,
        "email": "ann@shop.example",
        "lines": (Line("sku-9", "A lamp", 1, 1234),),
    }
    return Order(**{**base, **changes})


def planned(of: Operation, known: Order | None, *, rules: Rules = STRICT) -> Charge | Said:
    """The plan with this order."""
    plan = verb(of.command).plan(of, Facts(order=known), rules=rules, now=MIDNIGHT)
    assert isinstance(plan, Charge | Said)
    return plan


@pytest.mark.parametrize(
    ("known", "code", "names"),
    [
        (None, "order_unknown", COMMAND.order_id),
        (order(user_id="another"), "order_not_users", "another user"),
        (order(status="canceled"), "order_not_payable", "canceled"),
        (order(status="draft"), "order_not_payable", "draft"),
        (order(money=Money(1234, "CAD")), "order_currency", "CAD"),
        (order(money=Money(1235, "USD")), "order_amount", "1235"),
        (order(money=Money(1233, "USD")), "order_amount", "1233"),
        (order(paid_minor=1), "order_amount", "1233"),
        (order(status="paid"), "order_paid", "paid already"),
        (order(paid_minor=1234), "order_paid", "paid already"),
    ],
)
def test_each_objection_of_an_order(known: Order | None, code: str, names: str) -> None:
    """Nothing is taken for an order that is not there, another's, not payable, or of other money; the text says why."""
    plan = planned(operation(COMMAND), known)
    assert isinstance(plan, Said)
    assert (Fact.REFUSED, f"worker.{code}") == (plan.news.fact, plan.news.reason.code)
    assert names in plan.news.reason.text
    assert "Nothing was taken" in plan.news.reason.text


def test_an_order_that_fits_is_no_objection() -> None:
    """The whole, or the part that is still open: the amount must be what is owed."""
    assert objection(COMMAND, order(), rules=STRICT) is None
    rest = order(money=Money(2000, "USD"), paid_minor=766)
    assert objection(COMMAND, rest, rules=STRICT) is None


@pytest.mark.parametrize(
    ("one_payment", "refused"),
    [(OnePayment.ENFORCE, True), (OnePayment.SHADOW, False), (OnePayment.OFF, False)],
)
def test_an_order_that_is_paid(one_payment: OnePayment, *, refused: bool) -> None:
    """Refused where one payment per order is enforced; in shadow it is taken, and marked."""
    rules = replace(STRICT, one_payment=one_payment)
    plan = planned(operation(COMMAND), order(status="paid"), rules=rules)
    assert refused == isinstance(plan, Said)
    if isinstance(plan, Charge):
        assert (MARK_PAID,) == plan.marks


@pytest.mark.parametrize(
    ("mode", "check", "canceled", "looks"),
    [
        (Mode.SALE, OrderCheck.STRICT, False, True),
        (Mode.AUTHORISE, OrderCheck.STRICT, False, True),
        (Mode.VERIFY, OrderCheck.STRICT, False, False),
        (Mode.SALE, OrderCheck.OFF, False, False),
        (Mode.SALE, OrderCheck.STRICT, True, False),
    ],
)
def test_when_an_order_is_looked_at(
    mode: Mode, check: OrderCheck, *, canceled: bool, looks: bool
) -> None:
    """Not for the test of a means, which is for no order, and not for what is refused anyway."""
    minor = 1 if mode is Mode.VERIFY else 1234
    of = operation(replace(COMMAND, mode=mode, money=Money(minor, "USD")), canceled=canceled)
    needs = verb(of.command).needs(of, rules=replace(STRICT, order_check=check))
    assert Needs(order_id=COMMAND.order_id if looks else None) == needs
    assert isinstance(planned(of, None, rules=replace(STRICT, order_check=check)), Said) == (
        looks or canceled
    )


def test_the_order_fills_in_what_the_command_leaves_empty() -> None:
    """Addresses, lines and tax of the order, unless the command says better; half an address is never mixed."""
    bare = replace(COMMAND, lines=(), billing=Address(), tax_minor=0)
    plan = planned(operation(bare), order())
    assert isinstance(plan, Charge)
    assert (replace(BILLING, email="ann@shop.example"), order().lines, 99) == (
        plan.billing,
        plan.lines,
        plan.tax_minor,
    )
    own = replace(COMMAND, billing=Address(last_name="Bo", email="bo@shop.example"), tax_minor=5)
    plan = planned(operation(own), order())
    assert isinstance(plan, Charge)
    assert (own.billing, own.lines, 5) == (plan.billing, plan.lines, plan.tax_minor)


@pytest.mark.parametrize(
    ("known", "paid_minor"),
    [(order(), 0), (order(paid_minor=766, money=Money(2000, "USD")), 766)],
)
def test_what_a_payment_claims_of_its_order(known: Order, paid_minor: int) -> None:
    """The order, above what it counts as paid: whoever paid that stands in the way of the next part no more."""
    plan = planned(operation(COMMAND), known)
    assert isinstance(plan, Charge)
    assert (COMMAND.order_id, paid_minor) == (plan.claim, plan.order_paid_minor)


def test_an_order_is_claimed_unseen_too() -> None:
    """Without the check nobody knows what is paid of it: it is claimed as a whole."""
    plan = planned(operation(COMMAND), None, rules=RULES)
    assert isinstance(plan, Charge)
    assert (COMMAND.order_id, 0) == (plan.claim, plan.order_paid_minor)


def test_who_has_the_order_is_named() -> None:
    """The refusal of a second payment says which one is first."""
    assert "pay-77" in taken_by("pay-77").text


def test_a_void_before_its_payment_refuses_it() -> None:
    """Kafka gives no order between topics: what was voided before it began is never charged."""
    plan = planned(operation(COMMAND, canceled=True), order())
    assert isinstance(plan, Said)
    assert (Fact.REFUSED, "worker.voided_before") == (plan.news.fact, plan.news.reason.code)


@pytest.mark.parametrize("minor", [0, 1])
def test_a_means_that_is_good_lets_its_hold_go(minor: int) -> None:
    """A verified means is voided by a command of its own, under an id that no crash changes; no order is claimed."""
    tested: InitiatePayment = replace(COMMAND, mode=Mode.VERIFY, money=Money(minor, "USD"))
    of = operation(tested)
    plan = planned(of, None)
    assert isinstance(plan, Charge)
    assert "" == plan.claim
    news = [
        verb(tested).judge(of, RESERVED, rules=STRICT, now=MIDNIGHT),
        verb(tested).judge(replace(of, attempt=4), RESERVED, rules=STRICT, now=MIDNIGHT),
    ]
    assert Fact.VERIFIED is news[0].fact
    assert news[0].follow_up == news[1].follow_up
    assert isinstance(news[0].follow_up, VoidPayment)
    captured = verb(tested).judge(of, APPROVED, rules=STRICT, now=MIDNIGHT)
    assert (Fact.CONTRADICTED, None) == (captured.fact, captured.follow_up)


def test_an_authorisation_says_when_it_expires() -> None:
    """As many days as the gateway keeps one; a sale has no such day."""
    of = operation(replace(COMMAND, mode=Mode.AUTHORISE))
    rules = replace(RULES, authorisation_days=7)
    reserved = verb(of.command).judge(of, RESERVED, rules=rules, now=MIDNIGHT)
    assert MIDNIGHT.replace(day=8) == reserved.expires_at
    sale = operation(COMMAND)
    assert verb(sale.command).judge(sale, APPROVED, rules=rules, now=MIDNIGHT).expires_at is None
