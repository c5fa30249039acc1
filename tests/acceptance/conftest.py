"""The servers of the acceptance tests: started once for all modules. No claims here."""

from collections.abc import Iterator

import pytest

from worker.demo.stage import Stage, open_stage


@pytest.fixture(scope="package")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The running servers."""
    with open_stage(tmp_path_factory.mktemp("stage")) as stage:
        yield stage
