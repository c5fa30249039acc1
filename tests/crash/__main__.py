"""`python -m tests.crash`: SIGKILL of a worker with every verb at every station, on real parts; prints the table.

.venv/bin/python -m tests.crash --verb refund --station "after open, before send"   one cell, or one row, or one column

The exit code is 0 where every claim of `outcomes.py` holds. The logs of a chain that failed are kept in `var/crash/`.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Final

from tests.asking import at_least
from tests.crash.chains import play
from tests.crash.crash_table import Row, grid, lines
from tests.crash.stations import IN_A_TAKE_OVER, Cell, Chain, Station, Verb, matrix
from worker.demo.stage import Stage, open_stage
from worker.demo.stage_error import StageError

_KEPT: Final = Path(__file__).parents[2] / "var" / "crash"
_HEAP_MB: Final = 512


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.crash",
        description=(__doc__ or "").partition("\n")[0],
        epilog="Exit codes: 0 every claim holds, 1 a chain failed, 2 wrong usage.",
    )
    parser.add_argument("--verb", choices=[it.value for it in Verb], help="this one alone")
    parser.add_argument("--station", choices=[it.value for it in Station], help="this one alone")
    parser.add_argument("--at-once", type=at_least(1), default=6,
                        help="how many chains are played at once (%(default)s)")  # fmt: skip
    return parser.parse_args()


def _chains(arguments: argparse.Namespace) -> Iterator[Chain]:
    """The whole matrix, or each cell that was named as a chain of its own."""
    if not arguments.verb and not arguments.station:
        yield from matrix()
        return
    for cell in (it for chain in matrix() for it in chain):
        if arguments.verb in {None, cell.verb} and arguments.station in {None, cell.station}:
            is_later = cell.station in IN_A_TAKE_OVER
            yield (Cell(cell.verb, Station.UNDER_WAY), cell) if is_later else (cell,)


def _keep_logs(folder: Path) -> None:
    place = _KEPT / folder.name
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for log in folder.glob("*.log"):
        shutil.copy(log, place)
    _say(f"the logs are kept in var/crash/{folder.name}/")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _play(base: Stage, chains: Sequence[Chain], *, at_once: int) -> tuple[list[Row], int]:
    """What became of each cell, and how many chains failed."""
    rows: list[Row] = []
    failed = 0
    with ThreadPoolExecutor(at_once) as pool:
        names = {
            pool.submit(play, base, chain, name=f"m{number}"): (f"m{number}", chain)
            for number, chain in enumerate(chains)
        }
        for done in as_completed(names):
            name, chain = names[done]
            told = f"{chain[0].verb}: {', '.join(it.station for it in chain)}"
            try:
                rows += done.result()
            except (AssertionError, StageError) as wrong:
                failed += 1
                _say(f"FAILED {told}\n{wrong}")
                _keep_logs(base.folder / name)
            else:
                _say(f"well    {told}")
    return rows, failed


def main() -> int:
    """The exit code."""
    arguments = _arguments()
    chains, began = list(_chains(arguments)), time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="payment-worker-crash-") as folder,
        open_stage(Path(folder), heap_mb=_HEAP_MB) as base,
    ):
        rows, failed = _play(base, chains, at_once=arguments.at_once)
    _say("")
    for line in lines(it.columns() for it in rows):
        _say(line)
    if len(rows) > len(Station):
        _say("")
        for line in grid(rows):
            _say(line)
    took_s = time.monotonic() - began
    _say(f"\n{len(rows)} deaths in {len(chains)} chains, {failed} chains failed, {took_s:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
