"""Makes a virtual environment from a lock and nothing else. The Makefile and the Dockerfile call it.

`python .ci/set_up.py VENV [LOCK]` (any Python that the project takes, standard library only; LOCK is
requirements-dev.lock where it is not named). It does nothing where VENV was made from the lock as it is now; a lock
that changed, another Python version, or a set-up that was cut short makes it anew. No settings of pip stand here: an
environment's own `PIP_*` variables apply as they are.

The lock is installed with `--no-deps`: it overrides a pin inside `authorizenet` (see pyproject.toml), of which pip must
not hear. `--require-hashes` makes sure that what is installed is what was locked; so that this holds for the tool that
builds authorizenet from source, too, setuptools goes first and nothing is built in pip's own, unlocked surroundings.
"""

import fcntl
import hashlib
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STAMP = "made-from-lock"  # lies in the venv; written last, so it says that all went well
BUILDER = "setuptools=="


def _wanted(lock: Path) -> str:
    major, minor = sys.version_info[:2]
    return f"Python {major}.{minor}, {lock.name} {hashlib.sha256(lock.read_bytes()).hexdigest()}\n"


def _stands(place: Path, lock: Path) -> bool:
    stamp = place / STAMP
    python = place / "bin" / "python"
    return python.exists() and stamp.is_file() and stamp.read_text() == _wanted(lock)


@contextmanager
def _alone() -> Iterator[None]:
    """One set-up at a time in this checkout. The kernel lets go of the lock when its holder dies."""
    scratch = ROOT / "var"
    scratch.mkdir(exist_ok=True)
    with (scratch / "set-up.lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.stderr.write("another set-up of this checkout is running, waiting for it\n")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _install(place: Path, requirements: Path, *options: str) -> None:
    pip = [str(place / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check"]
    exact = ["--require-hashes", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, *exact, *options, "-r", str(requirements)], check=True)  # noqa: S603 - our own arguments


def _install_builder(place: Path, lock: Path) -> None:
    """Install the lock's own setuptools, where it has one (the worker's lock is wheels only)."""
    lines = lock.read_text().splitlines(keepends=True)
    first = next((number for number, line in enumerate(lines) if line.startswith(BUILDER)), None)
    if first is None:
        return
    last = first
    while lines[last].rstrip().endswith("\\"):
        last += 1
    with tempfile.NamedTemporaryFile("w", suffix=".lock") as part:
        part.writelines(lines[first : last + 1])
        part.flush()
        _install(place, Path(part.name), "--quiet")


def _make(place: Path, lock: Path) -> None:
    version = ".".join(str(part) for part in sys.version_info[:3])
    sys.stderr.write(f"setting up {place} with Python {version}: once, a minute or two\n")
    began = time.monotonic()
    (place / STAMP).unlink(missing_ok=True)
    venv.create(place, clear=True, symlinks=True, with_pip=True)
    _install_builder(place, lock)
    _install(place, lock)
    (place / STAMP).write_text(_wanted(lock))
    sys.stderr.write(f"{place} is ready after {time.monotonic() - began:.0f} s\n")


def main() -> None:
    """Make the environment that is named on the command line, unless it stands."""
    # Not resolved: the folder may itself be a link to a disk with room.
    place = ROOT / sys.argv[1]
    lock = ROOT / (sys.argv[2] if sys.argv[2:] else "requirements-dev.lock")
    if _stands(place, lock):
        return
    with _alone():
        if _stands(place, lock):  # the one we waited for made it
            return
        try:
            _make(place, lock)
        except subprocess.CalledProcessError as error:
            sys.exit(
                f"The set-up of {place} failed; what went wrong stands above ({' '.join(error.cmd[1:4])} ended with"
                f" exit code {error.returncode}).\nNext: without a network, connect and call it again. Behind a proxy"
                " or a mirror, set HTTPS_PROXY, PIP_INDEX_URL or PIP_CERT. Hashes that differ mean that what came"
                " is not what was locked: do not install it by other means."
            )


if __name__ == "__main__":
    main()
