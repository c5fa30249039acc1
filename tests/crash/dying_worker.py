"""A worker that dies where a test wants it: `python -m tests.crash.dying_worker STATION [N] [SIGNAL] [--of ID …]`.

The real worker runs. At the N-th passing of the station, by the operations that are meant, the process sends itself
SIGKILL (or SIGNAL), after a line in the log that says where and with which operation. The stations are armed in
`places.py`.
"""

import argparse
import signal
import sys

from tests.crash.places import Death, arm
from tests.crash.stations import Station
from worker.cli import main as run_the_command_line


def _death() -> Death:
    parser = argparse.ArgumentParser(prog="python -m tests.crash.dying_worker")
    parser.add_argument("place", choices=[it.value for it in Station])
    parser.add_argument("at", type=int, nargs="?", default=1)
    parser.add_argument("signal", nargs="?", default="SIGKILL")
    parser.add_argument("--of", nargs="*", default=[])
    parser.add_argument("--once", default="")
    given = parser.parse_args()
    by = signal.Signals[given.signal]
    return Death(given.place, given.at, by, of=tuple(given.of), once=given.once)


def main() -> None:
    """Arm the place, then be a worker."""
    arm(_death())
    sys.argv = ["run_worker.py", "run"]
    run_the_command_line()


if __name__ == "__main__":
    main()
