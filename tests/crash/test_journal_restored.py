"""The journal is put back to a copy from before, in the middle of load: nothing is charged a second time.

The journal has a PostgreSQL of its own here, as the db-service does not lose its memory with it. What was told in the
lost time may be told again under the same event ids.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.crash.installation import Installation, installed, load, wait_until
from worker.demo.postgres import Postgres
from worker.demo.stage import Stage

BUSY = {"latency": {"uniform_ms": [200, 600]}, "faults": {"decline": 0.05}}


@contextmanager
def own_journal(base: Stage, folder: Path, *, name: str) -> Iterator[tuple[Installation, Postgres]]:
    """An installation whose journal lives on a server of its own."""
    with Postgres(folder) as server:
        stage = replace(base, postgres=server, environment=dict(base.environment))
        with installed(stage, name) as installation:
            installation.stage.gateway("PUT", "/plan", body=BUSY)
            yield installation, server


@pytest.mark.parametrize("workers_live", [True, False], ids=["workers live", "workers killed"])
def test_put_back_in_time(base: Stage, tmp_path: Path, workers_live: bool) -> None:
    """What was charged in the lost time is found at the gateway; the books are equal afterwards."""
    name = "restored-live" if workers_live else "restored-dead"
    with own_journal(base, tmp_path / "postgres", name=name) as (installation, server):
        # Those that live on must outlive the repair, so that it is their own count of commits that tells them. The
        # deadline is long enough for a busy machine: here no answer is to be lost.
        settings = {"gateway_deadline_s": "5", "lease_s": "20" if workers_live else "8"}
        workers = [installation.worker(it, settings=settings) for it in ("one", "two")]
        with load(installation, wave=4, every_s=0.2):
            assert wait_until(lambda: len(installation.charges()) >= 20)
            server.backup(tmp_path / "backup")
            charged = len(installation.charges())
            assert wait_until(lambda: len(installation.charges()) >= charged + 30)
            if not workers_live:
                for worker in workers:
                    worker.kill()
            server.restore(tmp_path / "backup")
            lost = len(installation.charges()) - len(
                [it for it in installation.entries().values() if it.state == "captured"]
            )
            assert lost > 0
            if not workers_live:
                _killed_while_it_reads_again(installation, settings)
                for worker in workers:
                    worker.start()
            time.sleep(2)
        assert installation.settles()
        verdict = installation.books(time_lost=True)
        assert [] == verdict.differences
        assert [] == verdict.waiting
        assert sorted(installation.published) == sorted(installation.entries())
        # Asked for, not sent again: the gateway heard of each one once.
        failed = verdict.states["failed"]
        assert len(installation.published) - failed == installation.charge_calls()
        assert len(installation.published) - failed == len(installation.charges())
        if workers_live:
            assert all(worker.alive for worker in workers)
            assert all("put back in time" in installation.logs(it) for it in workers)


def _killed_while_it_reads_again(installation: Installation, settings: dict[str, str]) -> None:
    """A worker that dies before it has read again all that the journal forgot: the next one must still ask for it.

    Regression: it committed the offsets that it had come to, below the ones from before, and with them was gone what
    the journal had forgotten. What the next worker read beyond them was sent a second time.
    """
    known = len(installation.entries())
    reader = installation.worker("reader", settings={**settings, "intake_batch": "1"})
    assert wait_until(lambda: len(installation.entries()) > known)
    reader.kill()


def test_an_idle_worker_notices(base: Stage, tmp_path: Path) -> None:
    """No command comes after the repair, so no commit tells it: still it reads again what the journal forgot.

    Regression: the session's count of commits was compared in commits only, and an idle session made none. What was
    forgotten lay in the topic until the next command came.
    """
    with own_journal(base, tmp_path / "postgres", name="restored-idle") as (installation, server):
        installation.stage.gateway("DELETE", "/plan")
        installation.worker("one", settings={"lease_s": "20"})
        server.backup(tmp_path / "backup")
        installation.publish(3)
        assert installation.settles()
        server.restore(tmp_path / "backup")
        assert 0 == len(installation.entries())
        assert installation.settles()
        verdict = installation.books(time_lost=True)
        assert [] == verdict.differences
        assert {"captured": 3} == dict(verdict.states)
        assert 3 == installation.charge_calls()


def test_an_unknown_that_was_told_in_the_lost_time(base: Stage, tmp_path: Path) -> None:
    """Told as unknown (version 1), forgotten, found as charged: the news must get a version that nobody was told."""
    with own_journal(base, tmp_path / "postgres", name="restored-unknown") as (
        installation,
        server,
    ):
        # The first life never gets round to asking again.
        worker = installation.worker("one", settings={"ask_schedule_s": "300", "lease_s": "20"})
        server.backup(tmp_path / "backup")
        installation.stage.gateway("PUT", "/plan", body={"faults": {"lost_answer": 1.0}})
        installation.publish(3)
        assert installation.rests()
        assert {"unknown": 3} == dict(installation.books().states)
        installation.stage.gateway("DELETE", "/plan")
        server.restore(tmp_path / "backup")
        assert wait_until(lambda: len(installation.entries()) == 3)
        assert worker.alive
        assert 3 == installation.charge_calls()
        assert wait_until(
            lambda: (
                {"captured": 3} == dict(installation.books(time_lost=True).states)
                and not installation.books(time_lost=True).differences
            ),
            within_s=15,
        )
