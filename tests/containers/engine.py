"""Commands to the Docker engine and to Compose, as a person would type them. What is proved with them lives beside."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
_SHOWN = 3000  # characters of what a failed command said last


class ProofError(Exception):
    """Something did not hold; the text says what was expected and what was found."""


def run(
    argv: list[str],
    *,
    typed: str = "",
    within_s: float = 900,
    may_fail: bool = False,
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command in the project's folder. Raises ProofError where it fails, unless it may."""
    try:
        done = subprocess.run(
            argv,
            input=typed,
            capture_output=True,
            text=True,
            errors="replace",
            cwd=ROOT,
            env=environment,
            timeout=within_s,
            check=False,
        )
    except FileNotFoundError as error:
        raise ProofError(f"{argv[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise ProofError(f"{' '.join(argv[:6])} … took longer than {within_s:g} s") from error
    if done.returncode and not may_fail:
        said = (done.stdout + done.stderr)[-_SHOWN:].strip()
        raise ProofError(f"{' '.join(argv[:6])} … ended with {done.returncode}:\n{said}")
    return done


def docker(*words: str, typed: str = "", within_s: float = 900) -> str:
    """What a docker command printed."""
    return run(["docker", *words], typed=typed, within_s=within_s).stdout.strip()


def has_image(name: str) -> bool:
    """Whether the engine has this image."""
    return not run(["docker", "image", "inspect", name], may_fail=True).returncode


def inspected(name: str) -> dict[str, Any]:
    """All that the engine knows of an image or a container."""
    [found] = json.loads(docker("inspect", name))
    assert isinstance(found, dict)
    return found


def compose_command() -> list[str]:
    """`docker compose` where that plugin is there, else `docker-compose`. Raises ProofError where neither is."""
    for words in (["docker", "compose"], ["docker-compose"]):
        try:
            if not run([*words, "version"], may_fail=True).returncode:
                return words
        except ProofError:
            continue
    raise ProofError("neither `docker compose` nor `docker-compose` is installed")


@dataclass(frozen=True, slots=True)
class Compose:
    """The committed compose file, unchanged, under a project name of its own."""

    project: str
    command: list[str] = field(default_factory=compose_command)

    def __call__(self, *words: str, within_s: float = 900) -> str:
        """What a compose command printed."""
        argv = [*self.command, "--project-name", self.project, *words]
        return run(argv, within_s=within_s).stdout.strip()

    def containers(self, service: str = "") -> list[str]:
        """The ids of the project's containers, ended ones too, or of one service."""
        labels = [f"label=com.docker.compose.project={self.project}"]
        if service:
            labels.append(f"label=com.docker.compose.service={service}")
        filters = [word for label in labels for word in ("--filter", label)]
        return docker("ps", "--all", "--quiet", "--no-trunc", *filters).split()

    def container(self, service: str) -> str:
        """The id of the one container of a service."""
        found = self.containers(service)
        if len(found) != 1:
            raise ProofError(f"{service} has {len(found)} containers, and should have one")
        return found[0]

    def left_behind(self) -> list[str]:
        """Containers, volumes and networks of the project that are still there."""
        label = f"label=com.docker.compose.project={self.project}"
        volumes = docker("volume", "ls", "--quiet", "--filter", label).split()
        networks = docker("network", "ls", "--quiet", "--filter", label).split()
        return [*self.containers(), *volumes, *networks]
