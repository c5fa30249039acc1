"""A database's URL that may stand where everybody sees it: its password lies in a file that libpq reads.

Command lines are open to every user of a machine, and so is what is printed; the file is its owner's alone.
"""

import os
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit


def without_password(url: str, *, passfile: Path) -> str:
    """`url` as it is where it holds no password; else with `passfile`, which is written."""
    parts = urlsplit(url)
    if not parts.password:
        return url
    fields = ("*", "*", "*", "*", unquote(parts.password))
    write_private(passfile, ":".join(map(_escaped, fields)) + "\n")
    place = f"{parts.username}@{parts.hostname}:{parts.port}"
    named = f"passfile={quote(str(passfile), safe='/')}"
    query = "&".join(part for part in (parts.query, named) if part)
    return urlunsplit(parts._replace(netloc=place, query=query))


def write_private(path: Path, text: str) -> None:
    """A file that its owner alone may read; an older one is replaced."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
        handle.write(text)


def _escaped(field: str) -> str:
    return field.replace("\\", "\\\\").replace(":", "\\:")
