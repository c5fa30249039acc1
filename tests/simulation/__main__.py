"""`python -m tests.simulation`: plays seeded runs of the whole worker in simulated time, and lets the auditor judge.

.venv/bin/python -m tests.simulation --seeds 20000 --from 0 --jobs 2
.venv/bin/python -m tests.simulation --replay 4711                one run again, with its story
.venv/bin/python -m tests.simulation --bug 'send before open'     a planted bug, until it is caught; `all` for each

Exit code 1 where anything was found; with `--bug all`, where a bug was not.
"""

import argparse
import os
import sys
import time
from typing import Final

from rich.console import Console
from rich.table import Table

from tests.asking import at_least
from tests.simulation.planted import BUGS
from tests.simulation.sim_series import Tally, plan_of, played
from tests.simulation.sim_story import told

_STORIES: Final = 3
_NAMED: Final = 20
_NEWS_EVERY_S: Final = 10.0
_WIDE: Final = 150  # columns where the output is no terminal


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation",
        description="Seeded runs of the whole worker in simulated time, judged by an auditor.",
        epilog="Exit codes: 0 nothing was found, 1 something was (with `--bug all`: a bug was not), 2 wrong usage.",
    )
    parser.add_argument("--seeds", type=at_least(1), default=20_000, help="how many runs (20000)")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first seed (0)")
    parser.add_argument("--jobs", type=at_least(1), default=os.cpu_count() or 1,
                        help="how many processes (one a core: %(default)s)")  # fmt: skip
    parser.add_argument("--bug", choices=["all", *BUGS], default="", metavar="NAME",
                        help="plant this bug, and stop where it is caught; `all`: " + ", ".join(BUGS))  # fmt: skip
    parser.add_argument("--replay", type=int, metavar="SEED", help="this run alone, with its story")
    return parser.parse_args()


def _play(arguments: argparse.Namespace, say: Console, *, bug: str) -> Tally:
    tally, began, told_at = Tally(), time.monotonic(), time.monotonic()
    for part in played(arguments.first, arguments.seeds, jobs=arguments.jobs, bug=bug):
        tally.add(part)
        now = time.monotonic()
        if now - told_at >= _NEWS_EVERY_S:
            told_at = now
            say.print(
                f"{tally.runs:,} of {arguments.seeds:,} runs after {now - began:.0f} s,"
                f" {len(tally.failed)} with violations{_which(tally)}"
            )
    return tally


def _which(tally: Tally) -> str:
    """The first of them, so that nobody need wait for the end."""
    return "".join(f" {seed}" for seed in sorted(tally.failed)[:_NAMED])


def _show(tally: Tally, say: Console) -> None:
    table = Table("runs", "runs/s/core", "commands", "sends", "blows", "with violations")
    blows = "\n".join(f"{count:>9,} {what}" for what, count in tally.blows.most_common())
    table.add_row(
        f"{tally.runs:,}",
        f"{tally.per_s:,.0f}",
        f"{tally.commands:,}",
        f"{tally.sends:,}",
        blows,
        f"{len(tally.failed):,}",
    )
    say.print(table)


def _tell(tally: Tally, say: Console, *, bug: str) -> None:
    failed = sorted(tally.failed)
    for seed in failed[:_STORIES]:
        say.print(told(seed, plan_of(bug), bug=bug)[1], markup=False, highlight=False)
        say.print()
    for seed in failed[_STORIES:]:
        say.print(f"seed {seed}: {tally.failed[seed][0]}", markup=False, highlight=False)


def _all_bugs(arguments: argparse.Namespace, say: Console) -> bool:
    """Whether each was caught."""
    table = Table("bug", "caught by seed", "which found")
    is_caught = True
    for bug in BUGS:
        tally = _play(arguments, say, bug=bug)
        seed = min(tally.failed, default=None)
        is_caught &= seed is not None
        found = "" if seed is None else tally.failed[seed][0]
        table.add_row(bug, "never" if seed is None else str(seed), found)
    say.print(table)
    return is_caught


def main() -> int:
    """Play what was asked for; the exit code."""
    arguments = _arguments()
    say = Console(width=None if sys.stdout.isatty() else _WIDE, soft_wrap=True)
    if arguments.bug == "all":
        return 0 if _all_bugs(arguments, say) else 1
    if arguments.replay is not None:
        outcome, story = told(arguments.replay, plan_of(arguments.bug), bug=arguments.bug)
        say.print(story, markup=False, highlight=False)
        return 1 if outcome.violations else 0
    tally = _play(arguments, say, bug=arguments.bug)
    _tell(tally, say, bug=arguments.bug)
    _show(tally, say)
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
