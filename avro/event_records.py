"""Events as records, field by field as their schemas have them. `writer.py` makes bytes of them.

`CUSTOMER_CAN` says what the customer can do, for whoever words the message. Legend: a row for each template; where that
hangs on what the gateway advises for another try, the row is None and `BY_ADVICE` says it. A reason that is ours to
mend never stands in a notification. What must not live here: what is told when (`handlers/domain/outcomes.py`).
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, assert_never

from avro.catalog import NOTIFICATION_EVENTS, ORDER_EVENTS, PAYMENT_STATUS
from avro.command_records import lines_record
from handlers.domain.commands import Kind
from handlers.domain.outcomes import Event, NotificationEvent, OrderEvent, StatusEvent, Template
from handlers.domain.payments import NO_REASON, Payment, Request
from handlers.domain.states import PaymentStatus, RequestStatus
from handlers.domain.verdicts import Advice, Method, Reason

_NO_METHOD: Final = Method()


class CustomerCan(StrEnum):
    """What the customer can do now."""

    NOTHING = "nothing"
    WAIT = "wait"
    TRY_AGAIN = "try_again"  # later, with the same means, as a new payment
    USE_OTHER_MEANS = "use_other_means"
    CONTACT_US = "contact_us"


_T, _C = Template, CustomerCan
CUSTOMER_CAN: Final[Mapping[Template, CustomerCan | None]] = MappingProxyType(
    {
        _T.PAYMENT_RECEIVED: _C.NOTHING,
        _T.PAYMENT_AUTHORIZED: _C.NOTHING,
        _T.PAYMENT_DECLINED: None,
        _T.PAYMENT_FAILED: None,
        _T.PAYMENT_WAITING: _C.WAIT,
        _T.PAYMENT_CANCELED: _C.NOTHING,
        _T.PAYMENT_REFUNDED: _C.NOTHING,
        _T.REFUND_WAITING: _C.WAIT,
        _T.REFUND_FAILED: _C.CONTACT_US,
    }
)
BY_ADVICE: Final[Mapping[Advice, CustomerCan]] = MappingProxyType(
    {
        Advice.HARD: _C.USE_OTHER_MEANS,
        Advice.SOFT: _C.TRY_AGAIN,
        Advice.FIX: _C.CONTACT_US,
        Advice.REVIEW: _C.CONTACT_US,
        Advice.UNDECIDED: _C.CONTACT_US,
    }
)
_OF_THE_REQUEST: Final = frozenset({Template.REFUND_WAITING, Template.REFUND_FAILED})


def from_event(event: Event) -> tuple[str, dict[str, object]]:
    """The kind of `event`'s record, and the record but for its event id and time."""
    match event:
        case StatusEvent(payment, request):
            return PAYMENT_STATUS, _status(payment, request)
        case OrderEvent(news, payment, lines, request):
            return ORDER_EVENTS, _about(payment, request) | {
                "news": news.name,
                "lines": lines_record(lines),
                "captured_minor": payment.captured_minor,
                "refunded_minor": payment.refunded_minor,
            }
        case NotificationEvent():
            return NOTIFICATION_EVENTS, _notification(event)
        case _:
            assert_never(event)


def _ids(payment: Payment) -> dict[str, object]:
    return {
        "payment_id": payment.payment_id,
        "order_id": payment.order_id,
        "user_id": payment.user_id,
        "amount_minor": payment.money.amount_minor,
        "currency": payment.money.currency,
    }


def _about(payment: Payment, request: Request | None) -> dict[str, object]:
    """Whom and what an event is about that is no snapshot."""
    return _ids(payment) | {
        "payment_version": payment.version,
        "request_kind": request and request.kind.value,
        "request_id": request and request.request_id,
        "request_amount_minor": request and request.amount_minor,
    }


def _status(payment: Payment, request: Request | None) -> dict[str, object]:
    return _ids(payment) | {
        "payment_status": payment.status.name,
        "state": payment.state.value,
        "version": payment.version,
        "transaction_id": payment.transaction_id,
        "authorised_minor": payment.authorised_minor,
        "captured_minor": payment.captured_minor,
        "refunded_minor": payment.refunded_minor,
        "capturing_minor": payment.capturing_minor,
        "refunding_minor": payment.refunding_minor,
        "payment_method": _method(payment.method),
        **_reason(payment.reason, is_good=payment.status is PaymentStatus.SUCCESS),
        "authorisation_expires_at": payment.expires_at,
        "marks": list(payment.marks),
        "request": None if request is None else _request(request),
        "refund": _refund(request) if request and request.kind is Kind.REFUND else None,
    }


def _request(request: Request) -> dict[str, object]:
    return {
        "kind": request.kind.value,
        "request_id": request.request_id,
        "amount_minor": request.amount_minor,
        "request_status": request.status.name,
        "state": request.state.value,
        **_reason(request.reason, is_good=request.status is RequestStatus.PROCESSED),
        "transaction_id": request.transaction_id,
        "due_at": request.due_at,
        "why": _clean(request.why),
    }


def _refund(request: Request) -> dict[str, object]:
    return {
        "refund_id": request.request_id,
        "amount_minor": request.amount_minor,
        "refund_status": request.status.name,
        "reason": _clean(request.why),
    }


def _notification(event: NotificationEvent) -> dict[str, object]:
    payment, request = event.payment, event.request
    reason, is_good = payment.reason, payment.status is PaymentStatus.SUCCESS
    if request is not None and event.template in _OF_THE_REQUEST:
        reason, is_good = request.reason, request.status is RequestStatus.PROCESSED
    return _about(payment, request) | {
        "template": event.template.name,
        "advice": _reason(reason, is_good=is_good)["advice"],
        "customer_can": (CUSTOMER_CAN[event.template] or BY_ADVICE[reason.advice]).value,
        "due_at": request and request.due_at,
    }


def _reason(reason: Reason, *, is_good: bool) -> dict[str, str | None]:
    """`is_good`: it came about as it was asked. Then nobody needs advice, and nothing is undecided."""
    if reason == NO_REASON:
        return {"reason_code": None, "reason_text": None, "advice": None}
    no_advice = is_good and reason.advice is Advice.UNDECIDED
    return {
        "reason_code": _clean(reason.code),
        "reason_text": _clean(reason.text),
        "advice": None if no_advice else reason.advice.value,
    }


def _method(method: Method) -> dict[str, str] | None:
    if method == _NO_METHOD:
        return None
    return {
        "kind": _clean(method.kind),
        "brand": _clean(method.brand),
        "last4": _clean(method.last4),
    }


def _clean(text: str) -> str:
    """The gateway's words as UTF-8 can carry them: half a surrogate must not stop an outcome from being told."""
    return text.encode("utf-8", "replace").decode()
