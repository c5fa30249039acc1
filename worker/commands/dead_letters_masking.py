"""The fields of a record that breaks a rule, fit to be shown: no secret, no card number, no control characters.

Such a record is no command, so nothing vouches for what stands where. What pays is never shown but for its kind. A text
is shown where it is as short as its field may be, and where it breaks the rule only if it is as short as an id: a token
in the wrong place is longer.

Legend of `SECRETS`: the fields of the command schemas that hold what pays, or what proves who pays, by their path. A
test walks the schemas and finds no other.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from handlers.domain.card_numbers import holds_card_number
from handlers.domain.checks import MAX_TEXT
from worker.commands.terminal import clean

SECRETS: Final = frozenset(
    {
        "means.data_value",
        "means.security_code",
        "network_token.token",
        "network_token.cryptogram",
        "cardholder_authentication.value",
    }
)
_HIDDEN: Final = "(hidden)"
_MOST_OF_A_FLAW: Final = 64  # as long as an id may be
_MOST_ITEMS: Final = 20


def fit_to_be_shown(record: Mapping[str, object], *, flawed: str) -> dict[str, object]:
    """The record's fields that hold something, in its shape. `flawed`: the path of the field that breaks a rule."""
    return {
        name: shown
        for name, value in record.items()
        if (shown := _shown(value, path=name, flawed=flawed)) not in (None, "", [], {})
    }


def _shown(value: object, *, path: str, flawed: str) -> object:
    if path in SECRETS:
        return _HIDDEN if value else None
    match value:
        case dict():
            return {
                name: shown
                for name, each in value.items()
                if (shown := _shown(each, path=f"{path}.{name}", flawed=flawed))
                not in (None, "", [], {})
            }
        case list():
            some = [_shown(each, path=path, flawed=flawed) for each in value[:_MOST_ITEMS]]
            left = len(value) - _MOST_ITEMS
            return [*some, f"and {left} more"] if left > 0 else some
        case str():
            return _text(value, most=_MOST_OF_A_FLAW if path == flawed else MAX_TEXT)
        case bytes():
            return f"({len(value)} bytes)"
        case int() if holds_card_number(str(value)):
            return _HIDDEN
        case _:
            return value


def _text(text: str, *, most: int) -> str:
    if holds_card_number(text):
        return "(hidden: looks like a card number)"
    if len(text) > most:
        return f"(hidden: {len(text)} signs)"
    return clean(text)


def lines_of(shown: Mapping[str, object], *, path: str = "") -> Iterator[tuple[str, object]]:
    """Each field with its path, on a line of its own; lists as a whole."""
    for name, value in shown.items():
        if isinstance(value, Mapping):
            yield from lines_of(value, path=f"{path}{name}.")
        else:
            yield f"{path}{name}", value
