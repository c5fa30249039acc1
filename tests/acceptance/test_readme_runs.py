"""The README is run: its snippet for another service, and its shell commands, on the real stage."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from worker.demo.stage import Stage, open_stage

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text()
SHELL = [
    line.split(" #")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("run_worker.py")
]
_QUICK = {
    "gateway_deadline_s": "5",
    "gateway_margin_s": "1",
    "lease_s": "12",
    "kafka_transaction_timeout_s": "5",
}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A stage with a running worker."""
    folder = tmp_path_factory.mktemp("readme")
    with open_stage(folder) as opened:
        opened.environment |= {f"WORKER_{name.upper()}": value for name, value in _QUICK.items()}
        opened.environment["WORKER_STATE_FILE"] = str(folder / "worker-1.state")
        opened.prepare()
        opened.worker("worker-1").start()
        yield opened


def run(stage: Stage, argv: list[str], *, within_s: float = 60) -> subprocess.CompletedProcess[str]:
    """Run a command as a reader of the README would, from the project's folder."""
    return subprocess.run(
        argv,
        env=stage.worker_environment(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=within_s,
        check=False,
    )


def test_snippet_pays_and_hears_of_it(stage: Stage, tmp_path: Path) -> None:
    """The Python of the README, run as another service would, pays an order and prints its success, and the reason."""
    found = re.search(r"<!-- snippet: another-service -->\n```python\n(.*?)```", TEXT, re.DOTALL)
    assert found is not None
    program = tmp_path / "another_service.py"
    program.write_text(found[1])
    done = run(stage, [sys.executable, str(program)])
    assert (0, "") == (done.returncode, done.stderr)
    assert re.fullmatch(r"\S+ SUCCESS captured version 1\n.*approved.*\n", done.stdout), done.stdout


@pytest.mark.parametrize("command", [it for it in SHELL if it != "run_worker.py run"])
def test_shell_commands_do_what_they_say(stage: Stage, tmp_path: Path, command: str) -> None:
    """Each command of the README ends well; `run` itself is the worker that serves them."""
    token = tmp_path / "token.txt"
    token.write_text(f"nonce-{tmp_path.name}")
    words = shlex.split(command.replace("token.txt", str(token)))[1:]
    if "PAYMENT_ID" in words:
        paid = run(stage, _cli("publish", "--order-id", tmp_path.name, "--user-id", "u", "--amount", "1",
                               "--token", f"t-{tmp_path.name}", "--wait", "30"))  # fmt: skip
        assert 0 == paid.returncode, paid.stderr
        words[words.index("PAYMENT_ID")] = paid.stdout.split()[0]
    if words[0] == "watch":
        words += ["--for", "2"]  # a reader ends it with Ctrl-C
    done = run(stage, _cli(*words))
    assert 0 == done.returncode, f"{done.stdout}\n{done.stderr}"


def _cli(*words: str) -> list[str]:
    return [sys.executable, str(ROOT / "run_worker.py"), *words]
