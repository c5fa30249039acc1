"""What a check found: one line for a person, one object for a script."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """`what` was looked at, how it is, and a text: what is there, or what to do."""

    what: str
    state: Literal["ok", "warning", "FAILED"]
    text: str


def ok(what: str, text: str) -> Finding:
    """All is well."""
    return Finding(what, "ok", text)


def warning(what: str, text: str) -> Finding:
    """It works, and a person should know."""
    return Finding(what, "warning", text)


def failed(what: str, text: str) -> Finding:
    """A worker would not run as it should; `text` ends with what to do."""
    return Finding(what, "FAILED", text)
