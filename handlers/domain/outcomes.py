"""What news means for everyone else: which events an outcome tells. One literal row for each state.

Legend of `TELLS`: what order and inventory services are told (or nothing), what the customer is told (or nothing).
`payment_status` is told always. A notification never shows the customer a reason that is ours to mend.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from handlers.domain.commands import Line
from handlers.domain.payments import Payment
from handlers.domain.states import PaymentState


class OrderNews(StrEnum):
    """What happened to the money of an order."""

    PAID = "paid"
    AUTHORIZED = "authorized"
    PAYMENT_FAILED = "payment_failed"
    CHARGE_HELD = "charge_held"


class Template(StrEnum):
    """What to tell the customer."""

    PAYMENT_RECEIVED = "payment_received"
    PAYMENT_AUTHORIZED = "payment_authorized"
    PAYMENT_DECLINED = "payment_declined"
    PAYMENT_FAILED = "payment_failed"
    PAYMENT_WAITING = "payment_waiting"


@dataclass(frozen=True, slots=True)
class StatusEvent:
    """The full snapshot of a payment, keyed by payment id."""

    payment: Payment


@dataclass(frozen=True, slots=True)
class OrderEvent:
    """What the order and inventory services act upon, keyed by order id."""

    news: OrderNews
    payment: Payment
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class NotificationEvent:
    """Whom to tell what, keyed by user id."""

    template: Template
    payment: Payment


Event = StatusEvent | OrderEvent | NotificationEvent

_S, _O, _T = PaymentState, OrderNews, Template
TELLS: Final[Mapping[PaymentState, tuple[OrderNews | None, Template | None]]] = MappingProxyType(
    {
        _S.REQUESTED: (None, None),
        _S.AUTHORIZED: (_O.AUTHORIZED, _T.PAYMENT_AUTHORIZED),
        _S.CAPTURED: (_O.PAID, _T.PAYMENT_RECEIVED),
        _S.DECLINED: (_O.PAYMENT_FAILED, _T.PAYMENT_DECLINED),
        _S.REFUSED: (_O.PAYMENT_FAILED, _T.PAYMENT_FAILED),
        _S.FAILED: (_O.PAYMENT_FAILED, _T.PAYMENT_FAILED),
        _S.HELD: (_O.CHARGE_HELD, _T.PAYMENT_WAITING),
        _S.UNKNOWN: (None, _T.PAYMENT_WAITING),
        _S.CONFLICTED: (None, None),
    }
)


def events(payment: Payment, lines: tuple[Line, ...]) -> tuple[Event, ...]:
    """What is told about `payment` as it stands now, `payment_status` first."""
    order_news, template = TELLS[payment.state]
    told: list[Event] = [StatusEvent(payment)]
    if order_news is not None:
        told.append(OrderEvent(order_news, payment, lines))
    if template is not None:
        told.append(NotificationEvent(template, payment))
    return tuple(told)
