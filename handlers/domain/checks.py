"""The rules that values from outside share: ids, texts, times. Each raises InvalidValueError with field and rule.

Ids of the platform are at most 64 characters of a plain alphabet: a UUID, a ULID and most order numbers fit, blanks and
control characters do not. Ids of the gateway are digits, at most 20: one more character is no id that it ever gave.
"""

import re
from datetime import datetime
from typing import Final

from handlers.domain.errors import InvalidValueError

_PLATFORM_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
_GATEWAY_ID: Final = re.compile(r"[0-9]{1,20}")
_CONTROL: Final = re.compile(r"[\x00-\x1f]")
MAX_TEXT: Final = 255


def platform_id(name: str, value: str) -> None:
    """Refuse a `value` that is no id of the platform; `name` is the field's."""
    if not _PLATFORM_ID.fullmatch(value):
        raise InvalidValueError(
            name,
            "must be 1 to 64 characters of A-Z a-z 0-9 . _ : - and start with a letter or digit",
        )


def optional_platform_id(name: str, value: str) -> None:
    """The same for a field that may be empty."""
    if value:
        platform_id(name, value)


def gateway_id(name: str, value: str) -> None:
    """Refuse a `value` that the gateway never gave as an id."""
    if not _GATEWAY_ID.fullmatch(value):
        raise InvalidValueError(name, "must be 1 to 20 digits, as the gateway gave it")


def short_text(name: str, value: str, *, most: int = MAX_TEXT) -> None:
    """Refuse a text that is too long or holds control characters."""
    if len(value) > most:
        raise InvalidValueError(name, f"must be at most {most} characters")
    if _CONTROL.search(value):
        raise InvalidValueError(name, "must not contain control characters")


def with_zone(name: str, moment: datetime | None) -> None:
    """Refuse a time without its zone; None is no time."""
    if moment is not None and moment.tzinfo is None:
        raise InvalidValueError(name, "must carry a time zone")
