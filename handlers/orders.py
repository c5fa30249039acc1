"""The order check: may this payment be made for this order? Pure. An order is looked at before money moves."""

from handlers.decisions import ours
from handlers.domain.commands import InitiatePayment
from handlers.domain.facts import Order
from handlers.domain.verdicts import Advice, Reason
from handlers.ports import OnePayment, Rules

PAYABLE = "payable"
PAID = "paid"
MARK_PAID = "order_paid"
MARK_TAKEN = "order_taken"


def objection(command: InitiatePayment, order: Order | None, *, rules: Rules) -> Reason | None:
    """Why the order forbids this payment; None where it does not."""
    if order is None:
        return ours(
            "order_unknown",
            f"There is no order {command.order_id}. Nothing was taken; start a new payment for an order that exists.",
        )
    if order.user_id != command.user_id:
        return ours("order_not_users", "The order belongs to another user. Nothing was taken.")
    paid = is_paid(order)
    if paid and rules.one_payment is OnePayment.ENFORCE:
        return PAID_ALREADY
    if not paid and order.status != PAYABLE:
        return ours(
            "order_not_payable",
            f"The order is {order.status}, only a payable order is paid. Nothing was taken.",
        )
    return _money(command, order)


def _money(command: InitiatePayment, order: Order) -> Reason | None:
    owed, asked = order.money, command.money
    if asked.currency != owed.currency:
        return ours(
            "order_currency",
            f"The order is in {owed.currency}, the payment in {asked.currency}. Nothing was taken.",
        )
    # A second payment of a paid order, where that is allowed, is of the whole once more.
    open_minor = owed.amount_minor - (0 if is_paid(order) else order.paid_minor)
    if asked.amount_minor != open_minor:
        return ours(
            "order_amount",
            f"The order still owes {open_minor} minor units, the payment is of {asked.amount_minor}."
            " Nothing was taken; start a new payment of the right amount.",
        )
    return None


def is_paid(order: Order) -> bool:
    """True where nothing is owed any more."""
    return order.status == PAID or order.paid_minor >= order.money.amount_minor > 0


PAID_ALREADY = ours(
    "order_paid", "The order is paid already. Nothing was taken.", advice=Advice.FIX
)


def taken_by(payment_id: str) -> Reason:
    """Another payment of the order is under way, or succeeded."""
    return ours(
        "order_taken",
        f"The order is being paid, or was paid, by payment {payment_id}. Nothing was taken.",
    )
