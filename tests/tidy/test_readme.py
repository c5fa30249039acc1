"""The README against the code: tables, links, commands. What runs is in `tests/acceptance/test_readme_runs.py`."""

import re
from collections.abc import Mapping
from enum import StrEnum

import pytest

from handlers.domain.states import REQUEST_TRANSITIONS, TRANSITIONS
from tests.tidy.readme_diagrams import payment_diagram, request_diagram, transitions
from tests.tidy.readme_tables import README, renewed

ROOT = README.parent


def test_tables_are_those_of_the_code() -> None:
    """States with their diagrams, dead letters, metrics and settings stand in the README as the code has them now."""
    text = README.read_text()
    assert renewed(text) == text, "run `python -m tests.tidy.readme_tables --write`"


@pytest.mark.parametrize(
    ("diagram", "table"),
    [(payment_diagram(), TRANSITIONS), (request_diagram(), REQUEST_TRANSITIONS)],
    ids=["payment", "request"],
)
def test_a_diagram_shows_the_whole_table(
    diagram: str, table: Mapping[tuple[StrEnum, StrEnum], StrEnum]
) -> None:
    """Read back, arrows, forks and the note are the table's rows, each once and nothing else."""
    assert {(a.value, fact.value, b.value) for (a, fact), b in table.items()} == transitions(
        diagram
    )
    lines = diagram.splitlines()
    assert len(lines) == len(set(lines))
    assert diagram in README.read_text()


def test_links_lead_somewhere() -> None:
    """Each link of the README names a file or a folder that is there."""
    links = re.findall(r"\]\(([^)#]+)\)", README.read_text())
    assert links
    assert [] == [link for link in links if "://" not in link and not (ROOT / link).exists()]


def test_make_targets_are_there() -> None:
    """Each `make` target that the README names stands in the Makefile."""
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"\bmake ([a-z]+)\b", README.read_text()))
    assert {"demo", "test"} <= named
    assert [] == sorted(name for name in named if f"\n{name}:" not in makefile)
