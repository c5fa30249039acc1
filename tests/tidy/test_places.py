"""Holds where things lie: the top-level packages, the layers' list of verbs, and nothing of one machine in any file."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tidy.tree import ROOT, files, hold

PACKAGES = {"worker", "handlers", "avro", "db_client", "tests"}
NOT_VERBS = {"passage", "plans", "ports"}  # the rows of the layers contract that are no verbs

# Written so that no pattern finds itself.
_OF_A_MACHINE = re.compile(
    r"(?<![\w.~$}-])/(?:home|Users)/\w"  # somebody's home
    r"|(?<![\w.~$}-])/(?:root|work)/"
    r"|\b[A-Z]:\\\\?Users"
)
_OF_A_MIRROR = re.compile(
    r"--(?:extra-)?index-ur[l]|--find-link[s]|\bindex-ur[l]\s*="
    r"|https?://[^\s/\"']*(?:artifactor[y]|nexu[s]|devp[i]|jfro[g]|pypi|pythonhoste[d]|maven)\b"
    r"|https?://[^\s/\"']+\.(?:internal|corp|lan|intranet)\b",
    re.IGNORECASE,
)


def _lines(pattern: re.Pattern[str]) -> Iterator[str]:
    for path in files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture or an archive
        for number, line in enumerate(text.splitlines(), start=1):
            if pattern.search(line):
                yield f"{path.relative_to(ROOT).as_posix()}:{number}: {line.strip()[:100]}"


def test_no_other_package_at_the_top() -> None:
    """What Python finds from the root are our four packages and the tests."""
    found = {path.parent.name for path in ROOT.glob("*/*.py") if path.parent.name != ".ci"}
    hold(found - PACKAGES, advice="Move these into worker, handlers, avro, db_client or tests.")


def test_each_folder_of_ours_is_a_package() -> None:
    """A folder with modules has its empty `__init__.py`, or the linters and the layers would not see it."""
    folders = {
        path.parent
        for path in files()
        if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in PACKAGES
    }
    # Alembic finds its migrations by path
    missing = [
        folder
        for folder in folders
        if not (folder / "__init__.py").exists() and "migrations" not in folder.parts
    ]
    hold((str(folder.relative_to(ROOT)) for folder in missing), advice="Add an empty __init__.py.")


def test_no_path_of_a_machine() -> None:
    """No file names a place that only one machine has."""
    hold(_lines(_OF_A_MACHINE), advice="Use a path from the checkout, a setting, or ~.")


def test_no_mirror_or_registry() -> None:
    """No file says where packages come from: that is the environment's business."""
    hold(
        _lines(_OF_A_MIRROR),
        advice="Remove it; PIP_*, UV_* and proxies are read from the environment.",
    )


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        (_OF_A_MACHINE, 'CACHE = "/ho' + 'me/ann/cache"'),
        (_OF_A_MACHINE, "see /ro" + "ot/notes"),
        (_OF_A_MIRROR, "--index" + "-url x"),
        (_OF_A_MIRROR, "https://nex" + "us.example.org/repository"),
        (_OF_A_MIRROR, "https://mirror.cor" + "p/simple"),
    ],
)
def test_the_patterns_bite(pattern: re.Pattern[str], line: str) -> None:
    """Each pattern finds what it is for."""
    assert pattern.search(line)


@pytest.mark.parametrize(
    "line", ["PUT /payments/{id}", "https://apitest.authorize.net/xml", "COPY . /app/worker"]
)
def test_the_patterns_let_good_lines_pass(line: str) -> None:
    """Routes, the vendor's hosts and a container's own folders are no places of a machine."""
    assert not _OF_A_MACHINE.search(line)
    assert not _OF_A_MIRROR.search(line)


def test_each_verb_is_a_row_of_the_layers() -> None:
    """A new verb stands in the layers contract, or it could import upwards unseen."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = " ".join(
        layer
        for contract in settings["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
        for layer in contract["layers"]
    )
    verbs = {path.stem for path in Path(ROOT / "handlers").glob("*.py")} - NOT_VERBS - {"__init__"}
    hold(
        (
            f"handlers/{verb}.py"
            for verb in verbs
            if not re.search(rf"\bhandlers\.{verb}\b", layers)
        ),
        advice="Add these beside handlers.charge in pyproject.toml: [[tool.importlinter.contracts]], layers.",
    )
