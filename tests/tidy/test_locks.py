"""Holds the two lock files: complete hashes, no place of origin, one version of everything, the lxml override."""

import re
import tomllib
from importlib import metadata
from typing import Any

import pytest

from tests.tidy.tree import ROOT, hold

LOCKS = ("requirements.lock", "requirements-dev.lock")
_PIN = re.compile(r"([a-z0-9][a-z0-9.-]*)==(\S+?)(?:\s*;[^\\]+)?\s*\\?$")
_HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}(?: \\)?$")


def _lines(lock: str) -> list[str]:
    return (ROOT / lock).read_text(encoding="utf-8").splitlines()


def _pins(lock: str) -> dict[str, set[str]]:
    """Versions by name; a universal lock may hold two for different Pythons."""
    found: dict[str, set[str]] = {}
    for line in _lines(lock):
        if pin := _PIN.match(line):
            found.setdefault(pin[1], set()).add(pin[2])
    return found


def _settings() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


@pytest.mark.parametrize("lock", LOCKS)
def test_every_line_is_a_pin_or_its_hash(lock: str) -> None:
    """Each requirement has a version and at least one hash, and nothing else stands in the lock: no index, no path."""
    lines = _lines(lock)
    strange = [
        f"{lock}:{number}: {line}"
        for number, line in enumerate(lines, start=1)
        if not _PIN.match(line) and not _HASH.match(line)
    ]
    unhashed = [
        f"{lock}:{number}: {line}"
        for number, (line, following) in enumerate(
            zip(lines, [*lines[1:], ""], strict=True), start=1
        )
        if _PIN.match(line) and not _HASH.match(following)
    ]
    hold(strange + unhashed, advice="Make the lock anew: make lock.")


def test_the_worker_runs_what_was_tested() -> None:
    """Each version of the worker's lock is the one that the tests ran with."""
    tested = _pins("requirements-dev.lock")
    hold(
        (
            f"{name}: {sorted(versions)}, tested {sorted(tested.get(name, ()))}"
            for name, versions in _pins("requirements.lock").items()
            if not versions <= tested.get(name, set())
        ),
        advice="Make both locks anew: make lock.",
    )


@pytest.mark.parametrize(
    ("lock", "extras"), [("requirements.lock", ()), ("requirements-dev.lock", ("stage", "dev"))]
)
def test_the_lock_knows_every_dependency(lock: str, extras: tuple[str, ...]) -> None:
    """What pyproject.toml names is in the lock, at least as new as it asks for."""
    project = _settings()["project"]
    named = [
        *project["dependencies"],
        *(one for extra in extras for one in project["optional-dependencies"][extra]),
    ]
    pins = _pins(lock)
    missing = []
    for requirement in named:
        name, _, least = re.sub(r"\[.*?\]", "", requirement).partition(">=")
        versions = pins.get(name, set())
        fresh = versions and all(_parts(version) >= _parts(least) for version in versions)
        if name != project["name"] and not fresh:
            missing.append(f"{lock}: {requirement}")
    hold(missing, advice="Make the lock anew: make lock.")


def test_the_worker_brings_nothing_of_the_stage() -> None:
    """The worker's lock has no package that only the demo and the tests need."""
    stage = {
        re.split(r"[>=\[]", name)[0]
        for name in _settings()["project"]["optional-dependencies"]["stage"]
    }
    hold(
        stage & _pins("requirements.lock").keys(),
        advice="Keep these in the stage's extra of pyproject.toml.",
    )


def test_lxml_is_newer_than_the_sdk_pins() -> None:
    """The lock overrides `authorizenet`'s lxml==4.*: it has no wheel for Python 3.13 and open security findings.

    When the SDK drops the pin, this test says so, and the override in pyproject.toml can go.
    """
    pinned = [line for line in metadata.requires("authorizenet") or [] if line.startswith("lxml")]
    assert ["lxml==4.*"] == pinned, (
        "the SDK's pin changed: look whether [tool.uv] override-dependencies can go"
    )
    assert {6} == {_parts(version)[0] for version in _pins("requirements-dev.lock")["lxml"]}
    assert _parts(metadata.version("lxml")) >= (6, 1), "installed without --no-deps? make venv"


def test_what_is_built_from_source_has_its_builder_in_the_lock() -> None:
    """The SDK comes as source only, so setuptools is locked with a hash as well."""
    assert "setuptools" in _pins("requirements-dev.lock")
