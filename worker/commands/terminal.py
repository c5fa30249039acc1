"""What a command shows: plain lines and aligned columns, coloured only on a terminal. No command lives here.

Whatever came from outside (keys, texts of the gateway) passes `clean`, so that it cannot steer the terminal.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

import typer

from handlers.domain.errors import InvalidValueError
from handlers.domain.money import Money

_COLORS: Final = {
    "ok": typer.colors.GREEN,
    "success": typer.colors.GREEN,
    "published": typer.colors.GREEN,
    "warning": typer.colors.YELLOW,
    "pending": typer.colors.YELLOW,
    "waiting": typer.colors.YELLOW,
    "FAILED": typer.colors.RED,
    "failure": typer.colors.RED,
    "missing": typer.colors.RED,
}


def clean(text: str) -> str:
    """`text` on one line, without control characters."""
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in text)


def say(text: str = "", *, error: bool = False) -> None:
    """One line, at once: a reader of a pipe sees it as it happens."""
    typer.echo(text, err=error)


def lines(rows: Iterable[str]) -> None:
    """Many lines."""
    for row in rows:
        say(row)


def shade(word: str, *, width: int = 0) -> str:
    """A word of a closed list in its colour, filled up to `width`; plain where nobody looks."""
    color = _COLORS.get(word)
    filled = word.ljust(width)
    return typer.style(filled, fg=color) if color and sys.stdout.isatty() else filled


def columns(rows: Sequence[Sequence[str]], *, head: Sequence[str]) -> list[str]:
    """`rows` under `head`, in columns as wide as their widest cell."""
    table = [list(head), *([clean(cell) for cell in row] for row in rows)]
    widths = [max(len(row[place]) for row in table) for place in range(len(head))]
    last = len(head) - 1
    return [
        "  ".join(
            shade(cell) if place == last else shade(cell, width=widths[place])
            for place, cell in enumerate(row)
        )
        for row in table
    ]


def as_json(value: object) -> str:
    """One line of JSON; times are ISO 8601."""
    return json.dumps(value, default=_plain, ensure_ascii=False)


def amount(amount_minor: object, currency: object) -> str:
    """`12.34 USD`; a foreign record's nonsense is shown as it is."""
    try:
        assert isinstance(amount_minor, int)
        money = Money(amount_minor, str(currency))
    except (AssertionError, InvalidValueError):
        return f"{amount_minor} minor units of {currency}"
    return f"{money.decimal_text()} {money.currency}"


def moment(at: datetime | None) -> str:
    """A time in UTC, to the millisecond."""
    if at is None:
        return "-"
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "Z"


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
