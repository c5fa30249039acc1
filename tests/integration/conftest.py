"""One stage for all tests of the command line: real servers, a running worker, and every word that was printed."""

from collections.abc import Iterator

import pytest

from tests.integration.cli_calls import Cli
from worker.demo.stage import Stage, open_stage

# Short waits, so that a person's part begins at once: an undecided payment is asked for twice, then waits for a person.
_SETTINGS = {
    "WORKER_ORPHAN_WAIT_S": "1",
    "WORKER_ASK_SCHEDULE_S": "0.3,0.3",
    "WORKER_ORDER_CHECK": "off",
    "WORKER_ONE_PAYMENT": "off",
}


@pytest.fixture(scope="package")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The servers, with journal and topics made, and a running worker."""
    with open_stage(tmp_path_factory.mktemp("cli")) as opened:
        opened.environment |= _SETTINGS
        opened.prepare(partitions=2)
        opened.worker("cli-worker").start()
        yield opened


@pytest.fixture(scope="package")
def cli(stage: Stage) -> Cli:
    """The command line on the stage."""
    state = stage.folder / "cli-worker.state"
    return Cli({**stage.worker_environment(), "WORKER_STATE_FILE": str(state)})
