"""`python -m tests.fuzz`: sends wild inputs to everything that reads what others wrote, and prints what came of them.

.venv/bin/python -m tests.fuzz --inputs 1000000 --seed 1
.venv/bin/python -m tests.fuzz --seed 1 --target records --round 37  one round again
.venv/bin/python -m tests.fuzz --target records --input FILE         one input again, as written to var/fuzz/
"""

import argparse
import hashlib
import sys
import tempfile
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from tests.asking import at_least
from tests.fuzz.campaign import Campaign, Tally
from tests.fuzz.cases import read, written
from tests.fuzz.oracle import Finding
from tests.fuzz.targets import TARGETS, inputs_of

_FOUND: Final = Path(__file__).parents[2] / "var" / "fuzz"
_WIDE: Final = 150  # columns where the output is no terminal


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz",
        description="Wild inputs for the record reader, the gateway's replies and the settings.",
        epilog="Exit codes: 0 nothing was found, 1 something was, 2 wrong usage.",
    )
    parser.add_argument("--inputs", type=at_least(1), default=1_000_000,
                        help="of all targets together (%(default)s)")  # fmt: skip
    parser.add_argument("--seed", type=int, default=1,
                        help="the same seed makes the same inputs (%(default)s)")  # fmt: skip
    parser.add_argument("--target", choices=list(TARGETS), help="this one alone")
    parser.add_argument("--round", type=at_least(0), help="this round of the target alone")
    parser.add_argument("--input", type=Path, metavar="FILE", help="this input of the target alone")
    given = parser.parse_args()
    if given.target is None and (given.input or given.round is not None):
        parser.error("--input and --round need their --target")
    if given.input and not given.input.is_file():
        parser.error(f"--input: there is no file {given.input}")
    return given


def _tallies(arguments: argparse.Namespace, say: Console, *, folder: Path) -> list[Tally]:
    found = []
    for name in [arguments.target] if arguments.target else TARGETS:
        campaign = Campaign(TARGETS[name].make(folder), seed=arguments.seed)
        if arguments.round is not None:
            campaign.round(arguments.round)
        else:
            count = arguments.inputs if arguments.target else inputs_of(name, arguments.inputs)
            campaign.run(count)
        say.print(
            f"{name}: {campaign.tally.inputs} inputs, {len(campaign.tally.findings)} findings"
        )
        found.append(campaign.tally)
    return found


def _show(tallies: list[Tally], say: Console) -> None:
    table = Table(
        "target",
        "inputs",
        "inputs/s",
        "outcomes",
        "of the memory allowed",
        "of the steps",
        "largest",
    )
    for it in tallies:
        outcomes = "\n".join(f"{count:>9} {name}" for name, count in it.outcomes.most_common())
        table.add_row(
            it.target,
            f"{it.inputs:,}",
            f"{it.per_s:,.0f}",
            outcomes,
            f"{it.memory:.0%}",
            f"{it.steps:.0%}",
            f"{it.largest:,} bytes",
        )
    say.print(table)
    say.print(
        f"{sum(it.inputs for it in tallies):,} inputs, {sum(len(it.findings) for it in tallies)} findings"
    )


def _tell(finding: Finding, *, seed: int, number: int, say: Console) -> None:
    _FOUND.mkdir(parents=True, exist_ok=True)
    word = written(finding.case)
    path = _FOUND / f"{finding.target}-{hashlib.sha256(word.encode()).hexdigest()[:12]}.hex"
    path.write_text(word)
    say.print(str(finding), markup=False, soft_wrap=True)
    say.print(
        f"again: .venv/bin/python -m tests.fuzz --seed {seed} --target {finding.target} --round {number}",
        markup=False,
    )
    say.print(
        f"   or: .venv/bin/python -m tests.fuzz --target {finding.target} --input var/fuzz/{path.name}\n",
        markup=False,
    )


def _once(arguments: argparse.Namespace, say: Console, *, folder: Path) -> int:
    campaign = Campaign(TARGETS[arguments.target].make(folder), seed=arguments.seed)
    findings = campaign.judge(read(arguments.input.read_text()))
    for finding in findings:
        say.print(str(finding), markup=False, soft_wrap=True)
    say.print(f"{len(findings)} findings")
    return 1 if findings else 0


def main() -> int:
    """The exit code: 0 where nothing was found."""
    arguments = _arguments()
    say = Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False)
    with tempfile.TemporaryDirectory(prefix="payment-worker-fuzz-") as folder:
        if arguments.input is not None:
            return _once(arguments, say, folder=Path(folder))
        tallies = _tallies(arguments, say, folder=Path(folder))
    _show(tallies, say)
    for tally in tallies:
        for number, finding in tally.findings.values():
            _tell(finding, seed=arguments.seed, number=number, say=say)
    return 1 if any(it.findings for it in tallies) else 0


if __name__ == "__main__":
    raise SystemExit(main())
