"""`python -m tests.containers`: the images built and held against their rules, the compose file run, the tests' stage.

It needs a Docker engine with Compose; where an image cannot be pulled, mmdebstrap too, as root on a Debian. It is not a
part of `make test`.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from testcontainers.core.config import testcontainers_config

from tests.containers import compose_run, image_checks, server_checks
from tests.containers.engine import Compose, ProofError, docker, has_image, run
from tests.containers.stand_ins import images
from worker.demo.stage_error import StageError

_PROJECT = "payment-worker-proof"
_MODULE = "tests/acceptance/test_readme_runs.py"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.containers",
        description="Build the images, run the compose file and a test module on containers.",
    )
    parser.add_argument("--keep", action="store_true", help="leave all images where they are")
    return parser.parse_args()


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _prove(*, keep: bool) -> None:
    engine = docker("version", "--format", "{{.Server.Version}}")
    compose = Compose(_PROJECT)
    _say(f"Docker {engine}, Compose {compose('version', '--short')}")
    if compose.left_behind():
        compose("down", "--volumes")
    with images(say=_say, keep=keep), _built(compose, keep=keep):
        for name in (image_checks.WORKER, image_checks.STAGE):
            _say(image_checks.check(name))
        _say(image_checks.check_worker())
        with compose_run.up(compose, say=_say):
            for step in (
                compose_run.hardened,
                compose_run.ready,
                compose_run.one_payment,
                compose_run.killed_among_many,
                compose_run.no_secret_in_logs,
            ):
                _say(step(compose))
        os.environ |= _without_ryuk()
        _say(server_checks.check())
        _say(_tests())


@contextmanager
def _built(compose: Compose, *, keep: bool) -> Iterator[None]:
    began = time.monotonic()
    try:
        compose("build", within_s=1800)
        _say(f"both images built in {time.monotonic() - began:.0f} s")
        yield
    finally:
        if not keep:
            names = (image_checks.WORKER, image_checks.STAGE)
            run(["docker", "image", "rm", "--force", *names], may_fail=True)
            # The older builder leaves the stages in between, each with the label of the first one.
            mark = "label=org.opencontainers.image.title=payment-worker"
            docker("image", "prune", "--force", "--filter", mark)


def _without_ryuk() -> dict[str, str]:
    """The variable for a machine that cannot have the image of testcontainers' helper."""
    name = testcontainers_config.ryuk_image
    if has_image(name) or not run(["docker", "pull", "--quiet", name], may_fail=True).returncode:
        return {}
    _say(f"{name}: cannot be pulled; testcontainers go without it")
    return {"TESTCONTAINERS_RYUK_DISABLED": "true"}


def _tests() -> str:
    began = time.monotonic()
    environment = {**os.environ, "STACK": "containers"}
    argv = [sys.executable, "-m", "pytest", "-q", _MODULE]
    done = run(argv, environment=environment, within_s=1200)
    return f"STACK=containers {_MODULE}: {done.stdout.strip().splitlines()[-1]} ({time.monotonic() - began:.0f} s)"


def main() -> int:
    """Prove all of it; the last line is the verdict."""
    arguments = _arguments()
    try:
        _prove(keep=arguments.keep)
    except (ProofError, StageError) as error:
        _say(f"{error}\nFAIL: containers")
        return 1
    _say("PASS: containers")
    return 0


if __name__ == "__main__":
    sys.exit(main())
