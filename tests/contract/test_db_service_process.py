"""The reference db-service as a process: how it starts, ends, and lives without its database.

What it answers is shown in `test_db_service.py`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.contract.db_service_contract import ROOT, make_client, payment, start, wait_ready
from tests.waiting import wait_until
from worker.demo.postgres import Postgres

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A PostgreSQL of the module's own."""
    with Postgres(tmp_path_factory.mktemp("db_service") / "postgres", durable=False) as one:
        yield one


@pytest.fixture(scope="module")
def database_url(postgres: Postgres) -> str:
    """The db-service's own database."""
    return postgres.database("db_service")


def is_gone(url: str) -> bool:
    """Whether nobody listens there any more."""
    try:
        httpx.get(url + "/healthz")
    except httpx.TransportError:
        return True
    return False


def test_lost_database_is_a_503(postgres: Postgres, database_url: str, tmp_path: Path) -> None:
    """While the database is away every answer is 503; when it is back, so is the service."""
    body = payment()
    path = f"/payments/{body['payment_id']}"
    process = start(tmp_path, database_url)
    with make_client(wait_ready(tmp_path, process)["url"], set()) as client:
        assert 200 == client.get("/healthz").status_code
        postgres.stop()
        try:
            assert 503 == client.get("/healthz").status_code
            assert 503 == client.put(path, json=body).status_code
        finally:
            postgres.start()
        wait_until(lambda: 200 == client.put(path, json=body).status_code)
        assert body == client.get(path).json()
    process.terminate()
    assert 0 == process.wait(30)


def test_sigterm_ends_it_even_while_it_hangs(database_url: str, tmp_path: Path) -> None:
    """SIGTERM is exit 0 within seconds, on tables that were there already; logs are JSON lines."""
    process = start(tmp_path, database_url, "--control-port", "0")
    ready = wait_ready(tmp_path, process)
    httpx.put(ready["control_url"] + "/faults", json={"hang": True})
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(httpx.get, ready["url"] + "/healthz", timeout=60)
        counters = ready["control_url"] + "/counters"
        wait_until(lambda: 1 == httpx.get(counters).json()["faults"]["hung"])
        process.terminate()
        assert 0 == process.wait(30)
        with pytest.raises(httpx.TransportError):
            held.result()
    events = [json.loads(line)["event"] for line in (tmp_path / "log").read_text().splitlines()]
    assert "ended" == events[-1]


def test_it_ends_with_its_parent(database_url: str, tmp_path: Path) -> None:
    """With --die-with-parent the service is gone soon after a parent that was killed."""
    code = "import sys, time; from pathlib import Path; from tests.contract.db_service_contract "
    code += (
        "import start; start(Path(sys.argv[1]), sys.argv[2], '--die-with-parent'); time.sleep(300)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), database_url], cwd=ROOT
    ) as it:
        url = wait_ready(tmp_path)["url"]
        os.kill(it.pid, signal.SIGKILL)
    wait_until(lambda: is_gone(url))


@pytest.mark.parametrize("url", ["postgresql://127.0.0.1:1/nothing", "no url"])
def test_no_database_is_said_in_one_line(url: str, tmp_path: Path) -> None:
    """A service that cannot start exits with 2 and one line that says why."""
    assert 2 == start(tmp_path, url).wait(60)
    [line] = (tmp_path / "log").read_text().splitlines()
    assert "cannot start" in json.loads(line)["event"]
