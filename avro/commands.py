"""Between the record of a command topic and the command: each field is taken by name, and a wrong one is named.

The command checks its own values when it is made (`handlers/domain/commands.py`); here only presence and type are
looked at. No value stands in an error text (P7). What must not live here: bytes, schemas.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from handlers.domain.commands import (
    Address,
    InitiatePayment,
    Line,
    Means,
    Mode,
    OpaqueData,
    StoredProfile,
)
from handlers.domain.errors import InvalidValueError
from handlers.domain.money import Money
from handlers.domain.secret import Secret

Record = Mapping[str, object]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NO_ADDRESS: Final = Address()
_MODES: Final = {"SALE": Mode.SALE, "AUTHORISE": Mode.AUTHORISE}
_ADDRESS: Final = tuple(Address.__dataclass_fields__)
_MAX_LINES: Final = 200  # asked before the lines are built: a megabyte holds many


def to_command(record: Record) -> InitiatePayment:
    """The command in a payment_initiation record. Raises InvalidValueError with the field and the rule it breaks."""
    not_after = record.get("not_after")
    return InitiatePayment(
        payment_id=_text(record, "payment_id"),
        order_id=_text(record, "order_id"),
        user_id=_text(record, "user_id"),
        money=Money(_whole(record, "amount_minor"), _text(record, "currency")),
        mode=_mode(record.get("mode")),
        means=_means(record.get("means")),
        issued_at=_instant("issued_at", record.get("issued_at")),
        not_after=None if not_after is None else _instant("not_after", not_after),
        billing=_billing(record.get("billing")),
        customer_ip=_text(record, "customer_ip", default=""),
        description=_text(record, "description", default=""),
        lines=_lines(record.get("lines")),
    )


def from_command(command: InitiatePayment) -> dict[str, object]:
    """The record that `to_command` reads back. It holds the means' secret in clear: encode it, do not show it."""
    return {
        "payment_id": command.payment_id,
        "order_id": command.order_id,
        "user_id": command.user_id,
        "amount_minor": command.money.amount_minor,
        "currency": command.money.currency,
        "mode": command.mode.name,
        "means": _means_record(command.means),
        "issued_at": command.issued_at,
        "not_after": command.not_after,
        "billing": {name: getattr(command.billing, name) for name in _ADDRESS},
        "customer_ip": command.customer_ip,
        "description": command.description,
        "lines": lines_record(command.lines),
    }


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


def _means_record(means: Means) -> dict[str, object]:
    match means:
        case OpaqueData(descriptor, value):
            return {"data_descriptor": descriptor, "data_value": value.reveal()}
        case StoredProfile(customer, payment):
            return {"customer_profile_id": customer, "payment_profile_id": payment}


def _mode(value: object) -> Mode:
    mode = _MODES.get(value) if isinstance(value, str) else None
    if mode is None:
        raise InvalidValueError("mode", "must be SALE or AUTHORISE")
    return mode


def _means(value: object) -> Means:
    if not isinstance(value, dict):
        raise InvalidValueError("means", "is missing: must be opaque data or a stored profile")
    if "data_value" in value:
        secret = Secret(_text(value, "data_value", path="means."))
        return OpaqueData(_text(value, "data_descriptor", path="means."), secret)
    return StoredProfile(
        _text(value, "customer_profile_id", path="means."),
        _text(value, "payment_profile_id", path="means."),
    )


def _billing(value: object) -> Address:
    if value is None:
        return _NO_ADDRESS
    if not isinstance(value, dict):
        raise InvalidValueError("billing", "must be a record of texts")
    given = {name: value[name] for name in _ADDRESS if value.get(name, "") != ""}
    if not given:
        return _NO_ADDRESS
    for name in given:
        _text(given, name, path="billing.")
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
        sku=_text(value, "sku", path="lines."),
        name=_text(value, "name", path="lines.", default=""),
        quantity=_whole(value, "quantity", path="lines."),
        unit_minor=_whole(value, "unit_minor", path="lines."),
    )


def _text(record: Record, name: str, *, path: str = "", default: str | None = None) -> str:
    value = record.get(name, default)
    if type(value) is str:
        return value
    raise InvalidValueError(path + name, "is missing" if value is None else "must be a text")


def _whole(record: Record, name: str, *, path: str = "") -> int:
    value = record.get(name)
    if type(value) is int:  # a bool is an int to Python, not to us
        return value
    raise InvalidValueError(
        path + name, "is missing" if value is None else "must be a whole number"
    )


def _instant(name: str, value: object) -> datetime:
    """A moment in UTC. A producer whose schema lost the logical type sends the bare microseconds."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value
    if type(value) is int:
        try:
            return _EPOCH + timedelta(microseconds=value)
        except OverflowError:
            raise InvalidValueError(name, "must be in the years 1 to 9999") from None
    raise InvalidValueError(name, "is missing" if value is None else "must be a time with its zone")
