"""Holds the style rules of `rules.py` over every Python file of ours, and shows that each rule bites."""

import pytest

from tests.tidy.rules import (
    DOORS,
    RULES,
    SIGNATURES_HERE,
    Held,
    doors,
    named_parameters,
    no_mocks,
    reasons,
)
from tests.tidy.tree import Source, hold, sources


def _name(held: Held) -> str:
    return held.rule.__name__


@pytest.mark.parametrize("held", {held.rule: held for held in RULES}.values(), ids=_name)
def test_every_file_keeps_the_rule(held: Held) -> None:
    """No Python file of ours breaks the rule."""
    hold((offence for source in sources() for offence in held.rule(source)), advice=held.advice)


@pytest.mark.parametrize("held", RULES, ids=_name)
def test_the_rule_bites(held: Held) -> None:
    """Each rule finds the smallest source that breaks it, and names its file and line."""
    offences = list(held.rule(Source(held.path, held.bad)))
    assert offences, "the rule let its own bad example pass"
    assert all(offence.startswith(f"{held.path}:") for offence in offences)


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    [
        (named_parameters, "worker/a.py", "class A:\n    def f(self, a, b, *, c): ..."),
        (named_parameters, "worker/a.py", "class A:\n    async def __aexit__(self, a, b, c): ..."),
        (named_parameters, "tests/unit/test_a.py", "def test_a(x, y, z): ..."),
        (doors, "worker/a.py", "try: ...\nexcept BaseException:\n    close()\n    raise"),
        (doors, "worker/crew.py", "try: ...\nexcept Exception: ..."),
        (no_mocks, "tests/a.py", 'import aiohttp\nmonkeypatch.setattr(aiohttp.client, "A", 1)'),
        (no_mocks, "tests/a.py", 'monkeypatch.setenv("A", "1")'),
        (reasons, "worker/a.py", "x = 1  # no" + "qa: F821 - the name comes with the next file"),
        (reasons, "worker/a.py", "x = 1  # type: " + "ignore[arg-type]  # the stub is wrong here"),
    ],
)
def test_the_rule_lets_good_code_pass(rule: object, path: str, text: str) -> None:
    """What the rules are not meant for is not found by them."""
    assert callable(rule)
    assert [] == list(rule(Source(path, text)))


def test_no_exception_outlives_its_reason() -> None:
    """A row for a single function goes when the function goes."""
    present = {(source.path, node.name) for source in sources() for node, _ in source.functions}
    hold(
        (f"{path}: {name}" for path, name in SIGNATURES_HERE.keys() - present),
        advice="Remove these rows from tests/tidy/rules.py: SIGNATURES_HERE.",
    )


def test_each_door_has_a_reason() -> None:
    """The list of doors stays short, and each row says why."""
    assert 8 >= len(DOORS)
    assert all(reason for _, reason in DOORS.values())
