"""Times as people give them: `2h` ago, or an instant of ISO 8601. No command lives here, and no clock."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from handlers.domain.errors import InvalidValueError

_UNITS_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_AGO: Final = re.compile(r"([0-9]{1,6})([smhdw])")
_RULE: Final = "must be an age such as 90s, 30m, 2h, 3d, 1w, or a time such as 2030-01-31T12:00:00Z"


def age_s(text: str, *, option: str) -> int:
    """`2h` in seconds. Raises InvalidValueError with `option`."""
    found = _AGO.fullmatch(text)
    if found is None:
        raise InvalidValueError(option, "must be an age such as 90s, 30m, 2h, 3d or 1w")
    return int(found[1]) * _UNITS_S[found[2]]


def instant(text: str | None, *, now: datetime, option: str) -> datetime | None:
    """The time that `text` means; None where none was given. A time without a zone is UTC, as all that we print is.

    Raises InvalidValueError with `option`.
    """
    if text is None:
        return None
    try:
        if _AGO.fullmatch(text):
            return now - timedelta(seconds=age_s(text, option=option))
        at = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise InvalidValueError(option, _RULE) from None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def exactly(text: str, *, option: str) -> datetime:
    """The instant that `text` names, for what is given again later: an age would name another one each time.

    Raises InvalidValueError with `option`.
    """
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        rule = "must be a time such as 2030-01-31T12:00:00Z, the same each time this is run"
        raise InvalidValueError(option, rule) from None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
