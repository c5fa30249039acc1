"""`demo --keep`: what one needs to play on with the CLI after the verdict, until Ctrl-C."""

import os
import shlex
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from worker.demo.stage import Stage
from worker.demo.view import Screen

_LOOK_S: Final = 1.0
# The order of the examples here and in the README: without it they would be refused.
_ORDER: Final = {
    "order_id": "o-1",
    "customer": {"user_id": "u-1", "email": "u-1@shop.example"},
    "status": "payable",
    "currency": "USD",
    "total_minor": 1290,
    "paid_minor": 0,
    "tax_minor": 0,
    "lines": [],
}
_EXAMPLES: Final = """\
The servers and worker-2 stay up. In another terminal, in this folder:
  . {file}
  {python} run_worker.py check
  {python} run_worker.py watch
  {python} run_worker.py publish --order-id o-1 --user-id u-1 --amount 12.90 \\
      --profile 900000000:900000001 --wait 30
  {python} run_worker.py payments list
  {python} run_worker.py payments show {payment}
  {python} run_worker.py dead-letters list
  {python} run_worker.py review list
  {python} run_worker.py run      (one more worker)
Ctrl-C ends it all."""


def keep(stage: Stage, screen: Screen) -> None:
    """Print how to reach the stage, and wait for Ctrl-C. Raises StageError where a server dies meanwhile."""
    stage.seed_orders([_ORDER])
    path = write_environment(stage)
    examples = _EXAMPLES.format(file=path, payment="shop-000000", python=sys.executable)
    screen.console.print(examples, markup=False, soft_wrap=True)
    servers = (stage.broker, stage.postgres, stage.db_service, stage.simulator)
    with suppress(KeyboardInterrupt):  # the ordinary end: the exit code is the verdict's
        while True:
            for server in servers:
                if server is not None:
                    server.insist_alive()
            time.sleep(_LOOK_S)


def write_environment(stage: Stage) -> Path:
    """A file to source, with a worker's settings; secrets stand in it as paths only, both for their owner alone."""
    values = {**stage.environment, "WORKER_JOURNAL_URL": _without_password(stage)}
    lines = [f"export {name}={shlex.quote(value)}" for name, value in sorted(values.items())]
    return _written(stage.folder / "worker.env", "\n".join(lines) + "\n")


def _without_password(stage: Stage) -> str:
    """The journal's URL with its password in a file that libpq reads."""
    url = urlsplit(stage.journal_url)
    if not url.password:
        return stage.journal_url
    fields = ("*", "*", "*", "*", unquote(url.password))
    path = _written(stage.folder / "secrets" / "pgpass", ":".join(map(_escaped, fields)) + "\n")
    place = f"{url.username}@{url.hostname}:{url.port}"
    passfile = f"passfile={quote(str(path), safe='/')}"
    query = "&".join(part for part in (url.query, passfile) if part)
    return urlunsplit(url._replace(netloc=place, query=query))


def _escaped(field: str) -> str:
    return field.replace("\\", "\\\\").replace(":", "\\:")


def _written(path: Path, text: str) -> Path:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
        handle.write(text)
    return path
