"""The programs that more than one file of contracts talks to, one of each for a file. No claims live here."""

from collections.abc import Iterator

import httpx
import pytest

from tests.contract.db_service_contract import start, wait_ready
from tests.contract.gateway_fixtures import KEY, LOGIN
from tests.contract.journal_stage import Desk, JournalStage, staged, working
from tests.contract.simulated_gateway import SimulatedGateway, running
from worker.demo.postgres import Postgres


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedGateway]:
    """A simulator with credentials of its own."""
    with running(tmp_path_factory.mktemp("simulator") / "ready.json") as started:
        yield started


@pytest.fixture
def gateway(process: SimulatedGateway) -> SimulatedGateway:
    """The same simulator, emptied."""
    process.control("POST", "/reset")
    return process


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedGateway]:
    """A simulator that knows the adapter's credentials and no others."""
    folder = tmp_path_factory.mktemp("simulator")
    key = folder / "key"
    key.write_text(KEY)
    ready = folder / "ready.json"
    with running(ready, "--login", LOGIN, "--transaction-key-file", str(key)) as started:
        yield started


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The addresses of a running db-service with a database of its own."""
    folder = tmp_path_factory.mktemp("db_service")
    with Postgres(folder / "postgres", durable=False, say=lambda _: None) as postgres:
        url = postgres.database("db_service")
        started = start(folder, url, "--control-port", "0", "--die-with-parent")
        yield wait_ready(folder, started)
        started.terminate()
        assert 0 == started.wait(30)


@pytest.fixture
def control(ready: dict[str, str]) -> Iterator[httpx.Client]:
    """The db-service's control port; no fault outlives the test."""
    with httpx.Client(base_url=ready["control_url"], timeout=30, trust_env=False) as one:
        yield one
        one.delete("/faults")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JournalStage]:
    """A journal on a server for this file."""
    with staged(tmp_path_factory.mktemp("journal")) as one:
        yield one


@pytest.fixture
def desk(stage: JournalStage) -> Iterator[Desk]:
    """A session on empty tables."""
    stage.clear()
    with working(stage) as one:
        yield one
