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


# Kind of pydantic's → what must be, with the bound that it names. `{number}` is a word for the setting's own numbers.
_KINDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "float_parsing": "must be {number}",
        "float_type": "must be {number}",
        "finite_number": "must be {number} that is finite",
        "int_parsing": "must be a whole number",
        "int_parsing_size": "must be a whole number",
        "int_type": "must be a whole number",
        "int_from_float": "must be a whole number",
        "greater_than": "must be {number} above {gt:.12g}",
        "greater_than_equal": "must be {number}, at least {ge:.12g}",
        "less_than": "must be {number} below {lt:.12g}",
        "less_than_equal": "must be {number}, at most {le:.12g}",
        "literal_error": "must be {expected}",
        "enum": "must be {expected}",
        "string_too_short": "must be at least {min_length} characters long",
        "string_too_long": "must be at most {max_length} characters long",
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
        elif problem["type"] in _KINDS:
            number = "a number of seconds" if name.endswith("_s") else "a number"
            bounds = problem.get("ctx", {})
            rule = _KINDS[problem["type"]].format(number=number, **bounds)
        is_one_of_many = len(problem["loc"]) > 1
        lines.append(f"WORKER_{name.upper()}: {'each ' if is_one_of_many else ''}{rule}")
    return "\n".join(dict.fromkeys(lines))
