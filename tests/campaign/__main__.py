"""`python -m tests.campaign`: three workers on real parts under load and faults; the books compared at the end.

The exit code is 0 where nothing differs, 1 where something does, 2 where the campaign itself could not go on. Logs are
kept in `var/campaign-<seed>/`, only then.
"""

import argparse
import faulthandler
import json
import math
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from handlers.domain.errors import Unavailable
from tests.asking import at_least
from tests.campaign.campaign import play
from tests.campaign.chronicle import TroubleError
from tests.campaign.fault_plan import drawn
from tests.campaign.ground import grounded
from tests.campaign.judging import judged
from tests.campaign.report import Report
from tests.campaign.terms import Terms, terms_of
from worker.demo.stage import open_stage
from worker.demo.stage_error import StageError

_KEPT: Final = Path(__file__).parents[2] / "var"
_DATA: Final = "data"
_HEAP_MB: Final = 512
_MOST_LOG_BYTES: Final = 50_000_000
_START_AND_JUDGE_S: Final = 1800.0  # a last resort, far above what either takes
_DIFFERS, _TROUBLE = 1, 2


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.campaign",
        description=(__doc__ or "").partition("\n")[0],
        epilog="Exit codes: 0 nothing differs, 1 something does, 2 wrong usage, or the campaign could not go on.",
    )
    parser.add_argument("--seed", type=int, default=1,
                        help="of commands, faults and their times (%(default)s)")  # fmt: skip
    parser.add_argument("--payments", type=at_least(1), default=10_000,
                        help="how many payments (%(default)s)")  # fmt: skip
    parser.add_argument("--minutes", type=float, default=30,
                        help="how long load and faults last (%(default)s)")  # fmt: skip
    parser.add_argument(
        "--faults", type=at_least(0), help="how many; without: as many as the time holds"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    given = parser.parse_args()
    if not 0 < given.minutes < math.inf:
        parser.error("argument --minutes: must be above 0")
    return given


def _say(text: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stdout.flush()


@contextmanager
def _kept_logs(folder: Path, seed: int) -> Iterator[list[bool]]:
    """The stage's logs move to `var/` where the block raises, or puts something into what it is given."""
    failed: list[bool] = []
    try:
        yield failed
    except BaseException:
        failed.append(True)
        raise
    finally:
        if failed:
            place = _KEPT / f"campaign-{seed}"
            shutil.rmtree(place, ignore_errors=True)
            for log in sorted(folder.rglob("*.log")):
                is_a_log = _DATA not in log.parts  # Kafka calls its segments so
                if is_a_log and log.stat().st_size < _MOST_LOG_BYTES:
                    to = place / log.relative_to(folder)
                    to.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(log, to)
            _say(f"the logs are kept in var/{place.name}/")


def run(terms: Terms) -> Report:
    """One campaign from an empty stage to its report. Raises TroubleError, StageError, Unavailable."""
    with (
        tempfile.TemporaryDirectory(prefix="payment-worker-campaign-") as name,
        _kept_logs(Path(name), terms.seed) as failed,
        open_stage(Path(name), say=_say, heap_mb=_HEAP_MB, seed=terms.seed) as base,
        grounded(base, terms) as ground,
    ):
        report = judged(play(ground, drawn(terms), say=_say))
        if not report.equal:
            failed.append(True)
        return report


def main() -> int:
    """The exit code."""
    given = _arguments()
    terms = terms_of(
        seed=given.seed, payments=given.payments, minutes=given.minutes, faults=given.faults
    )
    # Should a wait have no end after all, its stack is shown and the process ends.
    bound_s = 3 * terms.lasts_s + terms.rests_within_s + _START_AND_JUDGE_S
    faulthandler.dump_traceback_later(bound_s, exit=True)
    try:
        report = run(terms)
    except (TroubleError, StageError, Unavailable) as error:
        _say(f"the campaign itself failed: {error}")
        return _TROUBLE
    finally:
        faulthandler.cancel_dump_traceback_later()
    for line in report.lines():
        sys.stdout.write(f"{line}\n")
    if given.json:
        given.json.write_text(json.dumps(report.as_object(), indent=2) + "\n")
    return 0 if report.equal else _DIFFERS


if __name__ == "__main__":
    sys.exit(main())
