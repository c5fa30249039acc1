"""`demo --keep`: what one needs to play on with the CLI after the verdict, until Ctrl-C."""

import json
import shlex
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from worker.demo.kept_process import KeptProcess
from worker.demo.passfile import without_password, write_private
from worker.demo.stage import Stage
from worker.demo.stage_error import StageError
from worker.demo.view import Screen

_LOOK_S: Final = 1.0
# Orders of the examples here and in the README, each to be paid once: without them they would be refused.
_OF_THE_EXAMPLES: Final = {
    **{f"o-{number}": "u-1" for number in range(1, 10)},
    "order-4711": "user-42",
}
_ANOTHER: Final = "o-10"
_EXAMPLES: Final = """\
The servers and {worker} stay up. In another terminal, in this folder:
  . {file}
  {python} run_worker.py check
  {python} run_worker.py health
  {python} run_worker.py watch
  {python} run_worker.py publish --order-id o-1 --user-id u-1 --amount 12.90 \\
      --profile 900000000:900000001 --wait 30
  {python} run_worker.py payments list
  {python} run_worker.py payments show {payment}
  {python} run_worker.py dead-letters list
  {python} run_worker.py review list
One more worker, with a state file of its own:
  WORKER_STATE_FILE={folder}/one-more.state {python} run_worker.py run
Each order is paid once: o-1 to o-9 of u-1, and order-4711 of user-42, owe 12.90 USD each. One more:
  curl -sS -X PUT "$WORKER_DB_SERVICE_URL/orders/{another}" -H 'content-type: application/json' \\
      -H "authorization: Bearer $(cat "$WORKER_DB_SERVICE_TOKEN_FILE")" -d '{order}'
{worker} logs to {log}
and says how it is in {state}
Ctrl-C ends it all."""


def keep(stage: Stage, screen: Screen) -> None:
    """Print how to reach the stage, and wait for Ctrl-C. Raises StageError where a server dies meanwhile."""
    stage.seed_orders(orders())
    living = _living(stage)
    path = write_environment(stage, living)
    screen.console.print(what_next(stage, living, file=path), markup=False, soft_wrap=True)
    servers = (stage.broker, stage.postgres, stage.db_service, stage.simulator)
    with suppress(KeyboardInterrupt):  # the ordinary end: the exit code is the verdict's
        while True:
            for server in servers:
                if server is not None:
                    server.insist_alive()
            time.sleep(_LOOK_S)


def orders() -> list[dict[str, Any]]:
    """What the examples here and in the README pay."""
    return [_order(order_id, user_id) for order_id, user_id in _OF_THE_EXAMPLES.items()]


def what_next(stage: Stage, living: KeptProcess, *, file: Path) -> str:
    """What to type, while `living` works."""
    return _EXAMPLES.format(
        file=file,
        folder=stage.folder,
        payment="shop-000000",
        python=sys.executable,
        worker=living.name,
        log=living.log,
        state=stage.state_file(living.name),
        another=_ANOTHER,
        order=json.dumps(_order(_ANOTHER, "u-1")),
    )


def write_environment(stage: Stage, living: KeptProcess) -> Path:
    """A file to source, with the settings of `living`; secrets stand in it as paths only, for their owner alone."""
    passfile = stage.folder / "secrets" / "pgpass"
    values = {
        **stage.environment,
        "WORKER_JOURNAL_URL": without_password(stage.journal_url, passfile=passfile),
        "WORKER_STATE_FILE": str(stage.state_file(living.name)),
    }
    lines = [f"export {name}={shlex.quote(value)}" for name, value in sorted(values.items())]
    path = stage.folder / "worker.env"
    write_private(path, "\n".join(lines) + "\n")
    return path


def _living(stage: Stage) -> KeptProcess:
    """The worker that was not killed."""
    for kept in stage.workers:
        if kept.alive:
            return kept
    raise StageError("no worker lives any more. Next: start the demo again; its log says why.")


def _order(order_id: str, user_id: str) -> dict[str, Any]:
    return {
        "order_id": order_id,
        "customer": {"user_id": user_id, "email": f"{user_id}@shop.example"},
        "status": "payable",
        "currency": "USD",
        "total_minor": 1290,
        "paid_minor": 0,
        "tax_minor": 0,
        "lines": [],
    }
