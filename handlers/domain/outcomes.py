"""What news means for everyone else: which events an outcome tells. One literal row for each state.

Legend of `TELLS`: what order and inventory services are told (or nothing), what the customer is told (or nothing), when
a payment comes into a state. `REQUEST_TELLS`: what the customer is told of a request whose payment stays as it is.
`payment_status` is told always. A notification never shows the customer a reason that is ours to mend.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from handlers.domain.commands import Kind, Line
from handlers.domain.payments import Payment, Request, Snapshot
from handlers.domain.states import PaymentState, RequestState


class OrderNews(StrEnum):
    """What happened to the money of an order."""

    PAID = "paid"
    AUTHORIZED = "authorized"
    PAYMENT_FAILED = "payment_failed"
    CHARGE_HELD = "charge_held"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"
    CANCELED = "canceled"


class Template(StrEnum):
    """What to tell the customer."""

    PAYMENT_RECEIVED = "payment_received"
    PAYMENT_AUTHORIZED = "payment_authorized"
    PAYMENT_DECLINED = "payment_declined"
    PAYMENT_FAILED = "payment_failed"
    PAYMENT_WAITING = "payment_waiting"
    PAYMENT_CANCELED = "payment_canceled"
    PAYMENT_REFUNDED = "payment_refunded"
    REFUND_WAITING = "refund_waiting"
    REFUND_FAILED = "refund_failed"


@dataclass(frozen=True, slots=True)
class StatusEvent:
    """The full snapshot of a payment, keyed by payment id, with the request that caused it."""

    payment: Payment
    request: Request | None = None


@dataclass(frozen=True, slots=True)
class OrderEvent:
    """What the order and inventory services act upon, keyed by order id."""

    news: OrderNews
    payment: Payment
    lines: tuple[Line, ...]
    request: Request | None = None


@dataclass(frozen=True, slots=True)
class NotificationEvent:
    """Whom to tell what, keyed by user id."""

    template: Template
    payment: Payment
    request: Request | None = None


Event = StatusEvent | OrderEvent | NotificationEvent

_S, _O, _T, _R = PaymentState, OrderNews, Template, RequestState
TELLS: Final[Mapping[PaymentState, tuple[OrderNews | None, Template | None]]] = MappingProxyType(
    {
        _S.REQUESTED: (None, None),
        _S.AUTHORIZED: (_O.AUTHORIZED, _T.PAYMENT_AUTHORIZED),
        _S.CAPTURED: (_O.PAID, _T.PAYMENT_RECEIVED),
        _S.SETTLED: (None, None),  # it was told as paid before
        _S.VERIFIED: (None, None),
        _S.DECLINED: (_O.PAYMENT_FAILED, _T.PAYMENT_DECLINED),
        _S.REFUSED: (_O.PAYMENT_FAILED, _T.PAYMENT_FAILED),
        _S.FAILED: (_O.PAYMENT_FAILED, _T.PAYMENT_FAILED),
        _S.HELD: (_O.CHARGE_HELD, _T.PAYMENT_WAITING),
        _S.UNKNOWN: (None, _T.PAYMENT_WAITING),
        _S.VOIDED: (_O.CANCELED, _T.PAYMENT_CANCELED),
        _S.EXPIRED: (_O.PAYMENT_FAILED, _T.PAYMENT_FAILED),
        _S.PARTIALLY_REFUNDED: (_O.PARTIALLY_REFUNDED, _T.PAYMENT_REFUNDED),
        _S.REFUNDED: (_O.REFUNDED, _T.PAYMENT_REFUNDED),
        _S.RETURNED: (_O.PAYMENT_FAILED, _T.PAYMENT_FAILED),
        _S.CHARGED_BACK: (_O.PAYMENT_FAILED, None),  # the bank told the customer
        _S.CONFLICTED: (None, None),
    }
)
REQUEST_TELLS: Final[Mapping[tuple[Kind, RequestState], Template]] = MappingProxyType(
    {
        (Kind.REFUND, _R.DEFERRED): _T.REFUND_WAITING,
        (Kind.REFUND, _R.UNKNOWN): _T.REFUND_WAITING,
        (Kind.REFUND, _R.FAILED): _T.REFUND_FAILED,
    }
)


def events(told: Snapshot, lines: tuple[Line, ...]) -> tuple[Event, ...]:
    """What is told about `told.payment` as it stands now, `payment_status` first."""
    payment, request = told.payment, told.request
    said: list[Event] = [StatusEvent(payment, request)]
    order_news, template = None, None
    if payment.state_version == payment.version:
        order_news, template = TELLS[payment.state]
    elif request is not None:
        template = REQUEST_TELLS.get((request.kind, request.state))
    if order_news is not None:
        said.append(OrderEvent(order_news, payment, lines, request))
    if template is not None:
        said.append(NotificationEvent(template, payment, request))
    return tuple(said)
