"""What `publish` reads: files of JSON lines, tokens out of files, means of payment out of flags. Nothing is sent."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from handlers.domain.errors import InvalidValueError
from worker.commands.terminal import say

if TYPE_CHECKING:
    from handlers.domain.commands import Command

_SHOWN_BAD: Final = 50
_MOST_TOKEN: Final = 65_536
_MOST_LINES: Final = 256 * 1024 * 1024


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
    if token_file is not None:
        content = _read(token_file, option="--token-file", most=_MOST_TOKEN)
        token = content.decode("utf-8", "replace")
    assert token is not None
    return initiations.token_record(token.strip(), wallet)


def from_file(path: str, *, kind: str, skip_bad: bool) -> "list[Command]":
    """The commands of a file of JSON lines, bad lines told on standard error. Raises InvalidValueError."""
    from worker.commands import publish_records

    content = _read(path, option="--json-lines", most=_MOST_LINES)
    found = list(publish_records.from_lines(content.split(b"\n"), kind=kind))
    bad = [it for it in found if isinstance(it, publish_records.BadLine)]
    for it in bad[:_SHOWN_BAD]:
        say(f"line {it.number}: {it.why}", error=True)
    if len(bad) > _SHOWN_BAD:
        say(f"and {len(bad) - _SHOWN_BAD} more bad lines", error=True)
    if bad and not skip_bad:
        raise InvalidValueError(
            "--json-lines",
            f"{len(bad)} bad line(s), so nothing was sent: mend them, or send the others with --skip-bad",
        )
    return [it for it in found if not isinstance(it, publish_records.BadLine)]


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
