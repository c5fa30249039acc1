"""What is said of wrong settings: one line for each variable, with what is allowed. No setting is read here.

Legend of `RULES`: setting with a pattern → the pattern in words. A value never stands in a text: it may be a secret.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from pydantic import ValidationError

_URL: Final = "must begin with http:// or https://"
RULES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "environment": "must be 1 to 31 characters of a-z 0-9 - and begin with a letter",
        "kafka_group": "must be 1 to 60 characters of A-Z a-z 0-9 . _ -",
        "topic_prefix": "must be at most 60 characters of A-Z a-z 0-9 . _ -",
        "db_service_url": _URL,
        "gateway_url": _URL,
        "gateway_cut_off": "must be `HH:MM zone`, such as `16:00 America/Los_Angeles`, or `none` for a simulator",
    }
)


def told(error: ValidationError) -> str:
    """Every wrong variable and its rule, one a line."""
    lines = []
    for problem in error.errors(include_input=False, include_url=False):
        text = problem["msg"].removeprefix("Value error, ")
        name, rule = (str(problem["loc"][0]), text) if problem["loc"] else text.split(": ", 1)
        if problem["type"] == "string_pattern_mismatch":
            rule = RULES[name]
        lines.append(f"WORKER_{name.upper()}: {rule}")
    return "\n".join(lines)
