"""A command as the record that `commands.py` reads back, and the kind of record that it is.

A record holds the means' secrets in clear: encode it, do not show it. What must not live here: bytes, schemas, topics.
"""

from collections.abc import Sequence
from typing import Final, assert_never

from avro.catalog import (
    PAYMENT_CAPTURE_REQUEST,
    PAYMENT_INITIATION,
    PAYMENT_VERIFICATION_REQUEST,
    PAYMENT_VOID_REQUEST,
    REFUND_REQUEST,
)
from avro.means import from_authentication, from_means, from_stored_credential
from handlers.domain.commands import (
    ADDRESS_FIELDS,
    Address,
    CapturePayment,
    Command,
    InitiatePayment,
    Line,
    Mode,
    RefundPayment,
    Request,
    Ruling,
    VerifyPayment,
    VoidPayment,
)
from handlers.domain.errors import InvalidValueError

_NO_ADDRESS: Final = Address()
_NOT_VERIFIED: Final = ("shipping", "lines", "tax_minor")  # a test of a means has no room for them


def kind_of(command: Command) -> str:
    """The kind of record that `command` travels in."""
    match command:
        case InitiatePayment(mode=mode):
            is_test = mode is Mode.VERIFY
            return PAYMENT_VERIFICATION_REQUEST if is_test else PAYMENT_INITIATION
        case CapturePayment():
            return PAYMENT_CAPTURE_REQUEST
        case VoidPayment():
            return PAYMENT_VOID_REQUEST
        case RefundPayment():
            return REFUND_REQUEST
        case VerifyPayment():
            return PAYMENT_VERIFICATION_REQUEST
        case _:
            assert_never(command)


def from_command(command: Command) -> dict[str, object]:
    """The record of `command`. Raises InvalidValueError where it holds what its kind of record has no room for."""
    match command:
        case InitiatePayment(mode=Mode.VERIFY):
            return _test_of_means(command)
        case InitiatePayment():
            return _initiation(command)
        case CapturePayment(capture_id=name, amount_minor=amount_minor, currency=currency):
            asked = {"capture_id": name, "amount_minor": amount_minor, "currency": currency}
            return _request(command) | asked
        case VoidPayment(void_id=name):
            return _request(command) | {"void_id": name}
        case RefundPayment(refund_id=name, money=money, continuation=number, up_to=up_to):
            return _request(command) | {
                "refund_id": name,
                "amount_minor": money.amount_minor,
                "currency": money.currency,
                "continuation": number,
                "up_to": up_to,
            }
        case VerifyPayment(verification_id=name, ruling=ruling):
            return _request(command) | {
                "verification_id": name,
                "ruling": None if ruling is None else _ruling(ruling),
            }
        case _:
            assert_never(command)


def lines_record(lines: Sequence[Line]) -> list[dict[str, object]]:
    """The lines as commands and order events carry them."""
    return [
        {
            "sku": line.sku,
            "name": line.name,
            "quantity": line.quantity,
            "unit_minor": line.unit_minor,
        }
        for line in lines
    ]


def _request(command: Request) -> dict[str, object]:
    return {
        "payment_id": command.payment_id,
        "issued_at": command.issued_at,
        "user_id": command.user_id,
        "reason": command.reason,
    }


def _charge(command: InitiatePayment) -> dict[str, object]:
    """What an initiation and the test of a means have in common."""
    return {
        "payment_id": command.payment_id,
        "order_id": command.order_id,
        "user_id": command.user_id,
        "amount_minor": command.money.amount_minor,
        "currency": command.money.currency,
        **from_means(command.means),
        "issued_at": command.issued_at,
        "not_after": command.not_after,
        "billing": _address(command.billing),
        "customer_ip": command.customer_ip,
        "description": command.description,
        "stored_credential": from_stored_credential(command.stored_credential),
        "cardholder_authentication": from_authentication(command.cardholder_authentication),
    }


def _initiation(command: InitiatePayment) -> dict[str, object]:
    shipping = command.shipping
    return _charge(command) | {
        "mode": command.mode.name,
        "shipping": None if shipping == _NO_ADDRESS else _address(shipping),
        "lines": lines_record(command.lines),
        "tax_minor": command.tax_minor,
    }


def _test_of_means(command: InitiatePayment) -> dict[str, object]:
    for name in _NOT_VERIFIED:
        if getattr(command, name) not in (_NO_ADDRESS, (), 0):
            raise InvalidValueError(name, "must be empty where a means of payment is verified")
    return _charge(command)


def _address(address: Address) -> dict[str, str]:
    return {name: getattr(address, name) for name in ADDRESS_FIELDS}


def _ruling(ruling: Ruling) -> dict[str, object]:
    return {
        "happened": ruling.happened,
        "by": ruling.by,
        "why": ruling.why,
        "transaction_id": ruling.transaction_id,
        "about": ruling.about,
        "version": ruling.version,
    }
