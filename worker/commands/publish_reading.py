"""What `publish` reads: files of JSON lines, tokens out of files, means of payment out of flags. Nothing is sent."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from handlers.domain.errors import InvalidValueError
from worker.commands.exits import WRONG, error_document
from worker.commands.terminal import as_json, say

if TYPE_CHECKING:
    from handlers.domain.commands import Command
    from worker.commands.publish_records import BadLine

_SHOWN_BAD: Final = 50
_MOST_TOKEN: Final = 16_384  # as handlers/domain/means.py has it
_MOST_LINES: Final = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Lines:
    """The commands of a file, and its bad lines."""

    commands: "list[Command]"
    bad: "list[BadLine]"


def means_of(
    *, token: str | None, token_file: str | None, profile: str | None, wallet: str
) -> dict[str, object]:
    """The record of the means that the flags name. Raises InvalidValueError."""
    from worker.commands import initiations

    if sum(it is not None for it in (token, token_file, profile)) != 1:
        raise InvalidValueError(
            "--token", "give exactly one of --token, --token-file and --profile"
        )
    if profile is not None:
        return initiations.profile_record(profile)
    option = "--token"
    if token_file is not None:
        option = "--token-file"
        content = _read(token_file, option=option, most=4 * _MOST_TOKEN)
        token = content.decode("utf-8", "replace")
    assert token is not None
    token = token.strip()
    if not 1 <= len(token) <= _MOST_TOKEN:
        rule = (
            "holds no token: it is empty" if not token else f"must be at most {_MOST_TOKEN} signs"
        )
        raise InvalidValueError(option, rule)
    return initiations.token_record(token, wallet)


def from_file(path: str, *, kind: str, json: bool) -> Lines:
    """The commands of a file of JSON lines; bad lines are told, with `json` as objects. Raises InvalidValueError."""
    from worker.commands import publish_records

    content = _read(path, option="--json-lines", most=_MOST_LINES)
    found = list(publish_records.from_lines(content.split(b"\n"), kind=kind))
    bad = [it for it in found if isinstance(it, publish_records.BadLine)]
    for it in bad[:_SHOWN_BAD]:
        say(f"line {it.number}: {it.why}", error=True)
    if len(bad) > _SHOWN_BAD:
        say(f"and {len(bad) - _SHOWN_BAD} more bad lines", error=True)
    for it in bad if json else ():
        told = error_document(it.why, code=WRONG, about=it.field)
        say(as_json({"line": it.number, **told}))
    return Lines([it for it in found if not isinstance(it, publish_records.BadLine)], bad)


def _read(path: str, *, option: str, most: int) -> bytes:
    try:
        if path == "-":
            content = sys.stdin.buffer.read(most + 1)
        else:
            with Path(path).open("rb") as source:
                content = source.read(most + 1)
    except OSError as error:
        raise InvalidValueError(option, f"cannot be read: {error.strerror}") from None
    if len(content) > most:
        raise InvalidValueError(option, f"must be at most {most} bytes")
    return content
