"""The project's own files, as the style tests read them. No rule lives here.

The tree is walked instead of asking git, so that the tests hold in a plain copy as well. Folders that begin with a dot
(but for `.ci`), scratch, caches and virtual environments are not ours.
"""

import ast
import io
import os
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_SCRATCH = {"var", "__pycache__"}
_LEFT_BY_TOOLS = (".coverage", ".pyc")


@dataclass(frozen=True)
class Source:
    """One Python file: its `path` from the root with slashes, and its text."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """Its syntax tree."""
        return ast.parse(self.text, self.path)

    @property
    def is_test(self) -> bool:
        """True for a file from which pytest collects."""
        return self.path.startswith("tests/") and self.path.rsplit("/", 1)[1].startswith("test_")

    @cached_property
    def functions(self) -> list[tuple[ast.FunctionDef | ast.AsyncFunctionDef, bool]]:
        """Every function, and whether it is a method."""
        methods = {
            id(member)
            for node in ast.walk(self.tree)
            if isinstance(node, ast.ClassDef)
            for member in node.body
        }
        return [
            (node, id(node) in methods)
            for node in ast.walk(self.tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ]

    def comments(self) -> Iterator[tuple[int, str]]:
        """Every comment with its line number."""
        for token in tokenize.generate_tokens(io.StringIO(self.text).readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string

    def at(self, line: int) -> str:
        """A place as editors take it: path:line."""
        return f"{self.path}:{line}"


def _is_ours(parent: Path, name: str) -> bool:
    if name in _SCRATCH or name.endswith(".egg-info"):
        return False
    if (parent / name / "pyvenv.cfg").exists():
        return False
    return not name.startswith(".") or name == ".ci"


@cache
def files() -> tuple[Path, ...]:
    """Every file of ours."""
    found = []
    for place, folders, names in os.walk(ROOT):
        folders[:] = sorted(name for name in folders if _is_ours(Path(place), name))
        found += [
            Path(place) / name
            for name in sorted(names)
            if not any(mark in name for mark in _LEFT_BY_TOOLS)
        ]
    return tuple(found)


@cache
def sources() -> tuple[Source, ...]:
    """Every Python file of ours."""
    return tuple(
        Source(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
        for path in files()
        if path.suffix == ".py"
    )


def hold(offences: Iterable[str], *, advice: str) -> None:
    """Fail with each offender on a line of its own, and say what to do."""
    found = sorted(set(offences))
    if found:
        pytest.fail("\n".join((advice, *found)), pytrace=False)
