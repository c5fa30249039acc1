"""What `demo --keep` leaves to play with: the worker that lives, what it is asked with, and orders that are payable."""

import json
import re
import shlex
import sys
from pathlib import Path

import pytest

from tests.waiting import wait_until
from worker.demo.director import insist_untouched
from worker.demo.keeping import orders, what_next, write_environment
from worker.demo.kept_process import KeptProcess
from worker.demo.passfile import without_password
from worker.demo.stage import Stage
from worker.demo.stage_error import StageError

README = (Path(__file__).parents[2] / "README.md").read_text()
PASSWORD = "hush"
URL = f"postgresql://me:{PASSWORD}@127.0.0.1:5432/journal"


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """A stage whose servers are not started: only its names and places are asked for."""
    (tmp_path / "secrets").mkdir()
    server = KeptProcess("server", ["true"], log=tmp_path / "server.log", ready=tmp_path / "ready")
    return Stage(
        folder=tmp_path,
        bootstrap="127.0.0.1:9092",
        journal_url=URL,
        environment={"WORKER_ENVIRONMENT": "demo", "WORKER_JOURNAL_URL": URL},
        gateway_control="",
        db_service_url="",
        db_service_control="",
        db_service_token="",
        db_service=server,
        simulator=server,
    )


def test_every_order_of_the_readme_can_be_paid() -> None:
    """Only o-1 was there, once; the README's snippet pays order-4711, and was refused without a word why."""
    payable = {
        (it["order_id"], it["customer"]["user_id"], it["total_minor"], it["currency"])
        for it in orders()
    }
    assert {("o-1", "u-1", 1290, "USD"), ("order-4711", "user-42", 1290, "USD")} <= payable
    assert {f"o-{number}" for number in range(1, 10)} <= {it[0] for it in payable}
    for part in ("--order-id o-1 --user-id u-1 --amount 12.90", '"order_id": "order-4711"'):
        assert part in README
    assert '"user_id": "user-42"' in README


def test_what_to_type_is_about_the_worker_that_lives(stage: Stage) -> None:
    """The text always said worker-2, which was often the one that was killed; where it logs was told nowhere."""
    living = stage.worker("worker-1")
    said = what_next(stage, living, file=stage.folder / "worker.env")
    assert "The servers and worker-1 stay up" in said
    assert "worker-2" not in said
    for path in (living.log, stage.state_file("worker-1")):
        assert str(path) in said


def test_one_more_worker_has_a_state_file_of_its_own(stage: Stage) -> None:
    """Two that write the same file would hide each other from `health`."""
    said = what_next(stage, stage.worker("worker-1"), file=stage.folder / "worker.env")
    [one_more] = re.findall(r"WORKER_STATE_FILE=(\S+) \S+ run_worker.py run", said)
    assert str(stage.state_file("worker-1")) != one_more


def test_another_order_can_be_made(stage: Stage) -> None:
    """The command that is shown puts a whole order, of another id, into the reference db-service."""
    said = what_next(stage, stage.worker("worker-1"), file=stage.folder / "worker.env")
    [body] = re.findall(r"-d '(.*)'", said)
    another = json.loads(body)
    assert orders()[0].keys() == another.keys()
    assert another["order_id"] not in {it["order_id"] for it in orders()}
    assert f"/orders/{another['order_id']}" in said


def test_the_environment_leads_to_the_living_worker(stage: Stage) -> None:
    """`health` said "no worker writes …" beside a worker that lived; passwords stay in files of their owner."""
    path = write_environment(stage, stage.worker("worker-1"))
    words = shlex.split(path.read_text())
    assert f"WORKER_STATE_FILE={stage.state_file('worker-1')}" in words
    assert PASSWORD not in path.read_text()
    passfile = stage.folder / "secrets" / "pgpass"
    assert (0o600, True) == (passfile.stat().st_mode & 0o777, PASSWORD in passfile.read_text())


def test_a_url_without_its_password_leads_to_a_file_with_it(tmp_path: Path) -> None:
    """What a command line shows holds no password; a URL that has none is left as it is."""
    passfile = tmp_path / "pass file"
    url = without_password("postgresql://me:a%3Ab@127.0.0.1:5432/shop?x=1", passfile=passfile)
    assert url.startswith("postgresql://me@127.0.0.1:5432/shop?x=1&passfile=")
    assert "*:*:*:*:a\\:b\n" == passfile.read_text()
    plain = "postgresql://me@127.0.0.1/shop"
    assert plain == without_password(plain, passfile=tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("ends", "how"),
    [
        ("os.kill(os.getpid(), 9)", "killed from outside (SIGKILL)"),
        ("sys.exit(0)", "stopped from outside (SIGTERM)"),
        ("sys.exit(130)", "stopped from outside (SIGINT)"),
    ],
)
def test_a_worker_that_somebody_ended_is_no_fault_of_its_own(
    tmp_path: Path, ends: str, how: str
) -> None:
    """Regression: who killed a worker in another terminal was told to mend what its log says."""
    argv = [sys.executable, "-c", f"import os, sys, time; time.sleep(0.2); {ends}"]
    ended = KeptProcess("worker-2", argv, log=tmp_path / "log", ready=lambda: True)
    ended.start()
    wait_until(lambda: not ended.alive)
    with pytest.raises(StageError, match=re.escape(f"worker-2 was {how}: the story kills")) as told:
        insist_untouched(ended)
    assert str(told.value).endswith("make demo ARGS=--keep")


def test_a_worker_that_ended_by_itself_is_another_matter(tmp_path: Path) -> None:
    """One that lives, and one whose log does say why, pass."""
    argv = [sys.executable, "-c", "import sys, time; time.sleep(0.2); sys.exit(70)"]
    worker = KeptProcess("worker-2", argv, log=tmp_path / "log", ready=lambda: True)
    worker.start()
    insist_untouched(worker)
    wait_until(lambda: not worker.alive)
    insist_untouched(worker)
    with pytest.raises(StageError, match="exit code 70"):
        worker.insist_alive()
