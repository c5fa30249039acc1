"""Payments and requests as rows of the journal, and back. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import BigInteger, Integer, Text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.types import TypeEngine

from handlers.domain.commands import Command, InitiatePayment, Kind
from handlers.domain.money import Money
from handlers.domain.payments import Payment, Request
from handlers.domain.states import PaymentState, RequestState
from handlers.domain.verdicts import Advice, Method, Reason

PAYMENT_COLUMNS: Final[dict[str, TypeEngine[Any]]] = {
    "payment_id": Text(),
    "state": Text(),
    "version": Integer(),
    "state_version": Integer(),
    "authorised_minor": BigInteger(),
    "captured_minor": BigInteger(),
    "refunded_minor": BigInteger(),
    "capturing_minor": BigInteger(),
    "refunding_minor": BigInteger(),
    "transaction_id": Text(),
    "method_kind": Text(),
    "method_brand": Text(),
    "method_last4": Text(),
    "reason_code": Text(),
    "reason_text": Text(),
    "advice": Text(),
    "expires_at": TIMESTAMP(timezone=True),
    "marks": Text(),
}


def payment_row(known: Payment) -> dict[str, object]:
    """The columns of a payment that news may change."""
    return {
        "payment_id": known.payment_id,
        "state": known.state.value,
        "version": known.version,
        "state_version": known.state_version,
        "authorised_minor": known.authorised_minor,
        "captured_minor": known.captured_minor,
        "refunded_minor": known.refunded_minor,
        "capturing_minor": known.capturing_minor,
        "refunding_minor": known.refunding_minor,
        "transaction_id": known.transaction_id,
        "method_kind": known.method.kind,
        "method_brand": known.method.brand,
        "method_last4": known.method.last4,
        "reason_code": known.reason.code,
        "reason_text": known.reason.text,
        "advice": known.reason.advice.value,
        "expires_at": known.expires_at.isoformat() if known.expires_at else None,
        "marks": marks_to_text(known.marks),
    }


def payment_of(row: Mapping[str, Any]) -> Payment:
    """The payment out of a row whose columns are prefixed with `payment_`."""
    return Payment(
        payment_id=row["payment_payment_id"],
        order_id=row["payment_order_id"],
        user_id=row["payment_user_id"],
        money=Money(row["payment_amount_minor"], row["payment_currency"]),
        state=PaymentState(row["payment_state"]),
        version=row["payment_version"],
        state_version=row["payment_state_version"],
        authorised_minor=row["payment_authorised_minor"],
        captured_minor=row["payment_captured_minor"],
        refunded_minor=row["payment_refunded_minor"],
        capturing_minor=row["payment_capturing_minor"],
        refunding_minor=row["payment_refunding_minor"],
        transaction_id=row["payment_transaction_id"],
        method=Method(
            row["payment_method_kind"], row["payment_method_brand"], row["payment_method_last4"]
        ),
        reason=Reason(
            row["payment_reason_code"], row["payment_reason_text"], Advice(row["payment_advice"])
        ),
        expires_at=row["payment_expires_at"],
        marks=tuple(it for it in row["payment_marks"].split(",") if it),
    )


def request_row(known: Request | None) -> dict[str, object]:
    """The columns of an operation that say how its request stands; empty ones for an initiation."""
    if known is None:
        return {
            "request_state": None,
            "amount_minor": None,
            "reserved_minor": 0,
            "reason_code": "",
            "reason_text": "",
            "advice": Advice.UNDECIDED.value,
            "transaction_id": None,
            "promised_at": None,
        }
    return {
        "request_state": known.state.value,
        "amount_minor": known.amount_minor,
        "reserved_minor": known.reserved_minor,
        "reason_code": known.reason.code,
        "reason_text": known.reason.text,
        "advice": known.reason.advice.value,
        "transaction_id": known.transaction_id,
        "promised_at": known.due_at.isoformat() if known.due_at else None,
    }


def request_of(row: Mapping[str, Any], command: Command) -> Request | None:
    """The request out of its operation's row; None for an initiation."""
    if isinstance(command, InitiatePayment):
        return None
    return Request(
        kind=Kind(row["kind"]),
        request_id=command.request_id,
        amount_minor=row["amount_minor"] or 0,
        state=RequestState(row["request_state"]),
        reserved_minor=row["reserved_minor"],
        reason=Reason(row["reason_code"], row["reason_text"], Advice(row["advice"])),
        transaction_id=row["transaction_id"],
        due_at=row["promised_at"],
        why=command.reason,
    )


def marks_to_text(marks: tuple[str, ...]) -> str:
    """Marks as one column."""
    return ",".join(marks)
