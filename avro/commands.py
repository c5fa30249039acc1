"""Between the record of a command topic and the command: one function a topic, and a table of them.

The command checks its own values when it is made (`handlers/domain/commands.py`); here presence and type are looked at,
and which fields go together. The inverse is `command_records.py`. What must not live here: bytes, schemas.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from avro.catalog import (
    PAYMENT_CAPTURE_REQUEST,
    PAYMENT_INITIATION,
    PAYMENT_VERIFICATION_REQUEST,
    PAYMENT_VOID_REQUEST,
    REFUND_REQUEST,
)
from avro.command_records import from_command
from avro.fields import (
    Record,
    instant,
    instant_or_none,
    nested,
    text,
    text_or_none,
    truth,
    whole,
    whole_or_none,
)
from avro.means import has_means, to_authentication, to_means, to_stored_credential
from handlers.domain.commands import (
    ADDRESS_FIELDS,
    Address,
    CapturePayment,
    Command,
    InitiatePayment,
    Line,
    Mode,
    RefundPayment,
    Ruling,
    VerifyPayment,
    VoidPayment,
)
from handlers.domain.errors import InvalidValueError
from handlers.domain.money import Money

__all__ = ["COMMANDS", "from_command", "to_command"]

_NO_ADDRESS: Final = Address()
_MODES: Final = {"SALE": Mode.SALE, "AUTHORISE": Mode.AUTHORISE}
_MAX_LINES: Final = 200  # asked before the lines are built: a megabyte holds many
# The two faces of a verification: what belongs to one may not stand in the other, where nobody would read it.
_OF_A_MEANS: Final = (
    "order_id amount_minor currency not_after billing customer_ip description stored_credential"
    " cardholder_authentication"
).split()
_OF_A_QUESTION: Final = ("verification_id", "reason", "ruling")


def to_command(record: Record, *, kind: str) -> Command:
    """The command in a record of `kind`, a command kind of the catalog.

    Who may say what is not looked at: a ruling or a continuation counts only in a record with our own signature.
    Raises InvalidValueError with the field and the rule it breaks.
    """
    return COMMANDS[kind](record)


def initiation(record: Record) -> InitiatePayment:
    """The command in a payment_initiation record. Raises InvalidValueError."""
    return InitiatePayment(
        payment_id=text(record, "payment_id"),
        order_id=text(record, "order_id"),
        user_id=text(record, "user_id"),
        money=Money(whole(record, "amount_minor"), text(record, "currency")),
        mode=_mode(record.get("mode")),
        means=to_means(record),
        issued_at=instant(record, "issued_at"),
        not_after=instant_or_none(record, "not_after"),
        billing=_address(record, "billing"),
        shipping=_address(record, "shipping"),
        customer_ip=text(record, "customer_ip", default=""),
        description=text(record, "description", default=""),
        lines=_lines(record.get("lines")),
        tax_minor=whole(record, "tax_minor", default=0),
        stored_credential=to_stored_credential(record),
        cardholder_authentication=to_authentication(record),
    )


def capture(record: Record) -> CapturePayment:
    """The command in a payment_capture_request record. Raises InvalidValueError."""
    return CapturePayment(
        payment_id=text(record, "payment_id"),
        capture_id=text(record, "capture_id"),
        amount_minor=whole_or_none(record, "amount_minor"),
        currency=text_or_none(record, "currency"),
        issued_at=instant(record, "issued_at"),
        user_id=text(record, "user_id", default=""),
        reason=text(record, "reason", default=""),
    )


def void(record: Record) -> VoidPayment:
    """The command in a payment_void_request record. Raises InvalidValueError."""
    return VoidPayment(
        payment_id=text(record, "payment_id"),
        void_id=text(record, "void_id"),
        issued_at=instant(record, "issued_at"),
        user_id=text(record, "user_id", default=""),
        reason=text(record, "reason", default=""),
    )


def refund(record: Record) -> RefundPayment:
    """The command in a refund_request record. Raises InvalidValueError."""
    return RefundPayment(
        payment_id=text(record, "payment_id"),
        refund_id=text(record, "refund_id"),
        money=Money(whole(record, "amount_minor"), text(record, "currency")),
        issued_at=instant(record, "issued_at"),
        user_id=text(record, "user_id", default=""),
        reason=text(record, "reason", default=""),
        continuation=whole(record, "continuation", default=1),
        up_to=truth(record, "up_to", default=False),
    )


def verification(record: Record) -> VerifyPayment | InitiatePayment:
    """The command in a payment_verification_request record: a question, or the test of a means.

    Raises InvalidValueError.
    """
    if has_means(record):
        return _test_of_means(record)
    for name in _OF_A_MEANS:
        if record.get(name) not in (None, "", 0):
            raise InvalidValueError(name, "must be empty where no means of payment is verified")
    return VerifyPayment(
        payment_id=text(record, "payment_id"),
        verification_id=text(record, "verification_id"),
        issued_at=instant(record, "issued_at"),
        user_id=text(record, "user_id", default=""),
        reason=text(record, "reason", default=""),
        ruling=_ruling(record),
    )


def _test_of_means(record: Record) -> InitiatePayment:
    for name in _OF_A_QUESTION:
        if record.get(name) not in (None, ""):
            raise InvalidValueError(name, "must be empty where a means of payment is verified")
    return InitiatePayment(
        payment_id=text(record, "payment_id"),
        order_id=text(record, "order_id"),
        user_id=text(record, "user_id"),
        money=Money(whole(record, "amount_minor", default=0), text(record, "currency")),
        mode=Mode.VERIFY,
        means=to_means(record),
        issued_at=instant(record, "issued_at"),
        not_after=instant_or_none(record, "not_after"),
        billing=_address(record, "billing"),
        customer_ip=text(record, "customer_ip", default=""),
        description=text(record, "description", default=""),
        stored_credential=to_stored_credential(record),
        cardholder_authentication=to_authentication(record),
    )


COMMANDS: Final[Mapping[str, Callable[[Record], Command]]] = MappingProxyType(
    {
        PAYMENT_INITIATION: initiation,
        PAYMENT_CAPTURE_REQUEST: capture,
        PAYMENT_VOID_REQUEST: void,
        REFUND_REQUEST: refund,
        PAYMENT_VERIFICATION_REQUEST: verification,
    }
)


def _ruling(record: Record) -> Ruling | None:
    given = nested(record, "ruling")
    if given is None:
        return None
    path = "ruling."
    return Ruling(
        happened=truth(given, "happened", path=path),
        by=text(given, "by", path=path),
        why=text(given, "why", path=path),
        transaction_id=text(given, "transaction_id", path=path, default=""),
        about=text(given, "about", path=path, default=""),
        version=whole(given, "version", path=path, default=0),
    )


def _mode(value: object) -> Mode:
    mode = _MODES.get(value) if isinstance(value, str) else None
    if mode is None:
        raise InvalidValueError("mode", "must be SALE or AUTHORISE")
    return mode


def _address(record: Record, role: str) -> Address:
    value = record.get(role)
    if value is None:
        return _NO_ADDRESS
    if not isinstance(value, dict):
        raise InvalidValueError(role, "must be a record of texts")
    given = {name: value[name] for name in ADDRESS_FIELDS if value.get(name, "") != ""}
    if not given:
        return _NO_ADDRESS
    for name in given:
        text(given, name, path=f"{role}.")
    return Address(**given)


def _lines(value: object) -> tuple[Line, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise InvalidValueError("lines", "must be a list of records")
    if len(value) > _MAX_LINES:
        raise InvalidValueError("lines", f"must be at most {_MAX_LINES}")
    return tuple(_line(each) for each in value)


def _line(value: object) -> Line:
    if not isinstance(value, dict):
        raise InvalidValueError("lines", "must be a list of records")
    return Line(
        sku=text(value, "sku", path="lines."),
        name=text(value, "name", path="lines.", default=""),
        quantity=whole(value, "quantity", path="lines."),
        unit_minor=whole(value, "unit_minor", path="lines."),
    )
