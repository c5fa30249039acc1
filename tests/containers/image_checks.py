"""What must hold of the built images, whatever they run: their user, a read-only root, nothing secret, their size."""

import re
import tarfile
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from tests.containers.engine import ROOT, ProofError, docker, inspected, run

WORKER: Final = "payment-worker:local"
STAGE: Final = "payment-worker-stage:local"
_USER: Final = "10001"
_CODE: Final = {"run_worker.py", "pyproject.toml", "handlers", "avro", "db_client", "worker"}
_SECRET_NAME: Final = re.compile(
    r"(?:^|/)(?:\.env|\.netrc|\.git|\.pypirc|pip\.conf|id_\w+|\w+\.key|pgpass|\.pgpass)$"
)
_SECRET_TEXT: Final = re.compile(
    rb"^-----BEGIN [A-Z ]*PRIVATE KEY-----$|\bAKIA[0-9A-Z]{16}\b|://[^\s/:@\"'{}<>]+:[^\s/:@\"'{}<>%$*]{12,}@[a-z]",
    re.MULTILINE,
)
_SECRET_VARIABLE: Final = re.compile(r"PASSWORD|TOKEN|SECRET|_KEY", re.IGNORECASE)


def check(image: str) -> str:
    """Hold one image against the rules; a line about it. Raises ProofError."""
    facts = inspected(image)
    config = facts["Config"]
    if config["User"] in {"", "root", "0"}:
        raise ProofError(f"{image} runs as {config['User'] or 'root'}")
    told = [it for it in config["Env"] if _SECRET_VARIABLE.search(it.split("=", 1)[0])]
    spoken = [it for it in docker("history", "--no-trunc", image).splitlines()
              if re.search(r"(?:PASSWORD|TOKEN|SECRET|_KEY)=\S", it)]  # fmt: skip
    if told or spoken:
        raise ProofError(f"{image} tells a secret: {[*told, *spoken]}")
    found = docker(
        "run", "--rm", "--network", "none", "--read-only", "--entrypoint", "id", image, "-u"
    )
    if found != _USER:
        raise ProofError(f"{image} runs as user {found}, expected {_USER}")
    offenders = list(_secrets_in_layers(image))
    if offenders:
        raise ProofError(f"{image} holds what looks like a secret: {offenders[:5]}")
    return f"{image}: {facts['Size'] / 1e6:.0f} MB, user {found}, no secret in {len(facts['RootFS']['Layers'])} layers"


def check_worker() -> str:
    """The worker's image has its code and nothing else, knows its version, and starts on a read-only root."""
    alone = ["run", "--rm", "--network", "none", "--read-only", "--cap-drop", "ALL"]
    said = docker(*alone, WORKER, "--version")
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    if version not in said:
        raise ProofError(f"--version says {said!r}, expected {version}")
    found = set(docker(*alone, "--entrypoint", "ls", WORKER, "-A", "/app").split()) - {
        "__pycache__"
    }
    if found != _CODE:
        raise ProofError(f"/app holds {sorted(found)}, expected {sorted(_CODE)}")
    if not run(
        ["docker", *alone, "--entrypoint", "ls", WORKER, "/app/worker/demo"], may_fail=True
    ).returncode:
        raise ProofError("the worker's image holds the stage")
    written = run(["docker", *alone, "--entrypoint", "touch", WORKER, "/app/x"], may_fail=True)
    if not written.returncode:
        raise ProofError("the worker may write into /app")
    return f"{said} on a read-only root without capabilities; /app holds its code alone"


def _secrets_in_layers(image: str) -> Iterator[str]:
    """Files of every layer, removed ones too, that look like a secret by name or by text."""
    with tempfile.TemporaryDirectory(prefix="payment-worker-layers-") as folder:
        archive = Path(folder) / "image.tar"
        docker("save", "--output", str(archive), image)
        with tarfile.open(archive) as outer:
            for layer in outer:
                handle = outer.extractfile(layer) if layer.isfile() else None
                if handle is not None and _is_layer(layer.name, handle):
                    yield from _in_layer(handle)


def _is_layer(name: str, handle: IO[bytes]) -> bool:
    """Whether it is a tar archive: newer engines name layers by their hash alone."""
    if name.endswith(".json"):
        return False
    handle.seek(257)
    mark = handle.read(5)
    handle.seek(0)
    return mark == b"ustar"


def _in_layer(handle: IO[bytes]) -> Iterator[str]:
    with tarfile.open(fileobj=handle) as layer:
        for member in layer:
            if _SECRET_NAME.search(member.name):
                yield member.name
            if (
                member.isfile()
                and member.size < 4_000_000
                and not member.name.endswith((".so", ".pyc"))
            ):
                content = layer.extractfile(member)
                if content is not None and _SECRET_TEXT.search(content.read()):
                    yield member.name
