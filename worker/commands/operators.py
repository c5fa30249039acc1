"""Who decides, and why: the two words that every decision of a person is kept with. Nothing is decided here."""

import getpass

from handlers.domain.checks import short_text
from handlers.domain.errors import InvalidValueError


def named(by: str | None) -> str:
    """The operator's name: as given, else the user of the operating system. Raises InvalidValueError."""
    if by is None:
        try:
            by = getpass.getuser()
        except (KeyError, OSError):  # a container often has a number for its user, and no name
            raise InvalidValueError(
                "--by", "must be given: the operating system has no name for you"
            ) from None
    return word("--by", by)


def word(option: str, text: str) -> str:
    """`text` without blanks around it, not empty, and fit to be kept. Raises InvalidValueError with `option`."""
    kept = text.strip()
    if not kept:
        raise InvalidValueError(option, "must not be empty")
    short_text(option, kept)
    return kept
