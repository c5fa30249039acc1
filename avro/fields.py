"""Fields of a decoded record, taken by name: presence and type are looked at, and a wrong one is named.

No value stands in an error text (P7). What must not live here: which fields a record has, and what they mean.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from handlers.domain.errors import InvalidValueError

Record = Mapping[str, object]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MISSING: Final = "is missing"


def text(record: Record, name: str, *, path: str = "", default: str | None = None) -> str:
    """The text in `name`; `path` stands before the name in an error. Raises InvalidValueError."""
    value = record.get(name, default)
    if type(value) is str:
        return value
    raise InvalidValueError(path + name, _MISSING if value is None else "must be a text")


def text_or_none(record: Record, name: str, *, path: str = "") -> str | None:
    """The same for a field that may be null."""
    return None if record.get(name) is None else text(record, name, path=path)


def whole(record: Record, name: str, *, path: str = "", default: int | None = None) -> int:
    """The whole number in `name`. Raises InvalidValueError."""
    value = record.get(name, default)
    if type(value) is int:  # a bool is an int to Python, not to us
        return value
    raise InvalidValueError(path + name, _MISSING if value is None else "must be a whole number")


def whole_or_none(record: Record, name: str, *, path: str = "") -> int | None:
    """The same for a field that may be null."""
    return None if record.get(name) is None else whole(record, name, path=path)


def truth(record: Record, name: str, *, path: str = "", default: bool | None = None) -> bool:
    """The yes or no in `name`. Raises InvalidValueError."""
    value = record.get(name, default)
    if isinstance(value, bool):
        return value
    raise InvalidValueError(path + name, _MISSING if value is None else "must be true or false")


def instant(record: Record, name: str) -> datetime:
    """A moment in UTC. A producer whose schema lost the logical type sends the bare microseconds."""
    value = record.get(name)
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value
    if type(value) is int:
        try:
            return _EPOCH + timedelta(microseconds=value)
        except OverflowError:
            raise InvalidValueError(name, "must be in the years 1 to 9999") from None
    raise InvalidValueError(name, _MISSING if value is None else "must be a time with its zone")


def instant_or_none(record: Record, name: str) -> datetime | None:
    """The same for a field that may be null."""
    return None if record.get(name) is None else instant(record, name)


def nested(record: Record, name: str) -> Record | None:
    """The record in `name`, None where it is null. Raises InvalidValueError."""
    value = record.get(name)
    if value is None or isinstance(value, dict):
        return value
    raise InvalidValueError(name, "must be a record")
