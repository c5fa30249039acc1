"""One stage for each module: the servers stay, every test has an installation of its own on them."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import cast

import pytest

from worker.demo.stage import Stage, open_stage

Scene = tuple[
    Callable[..., None], str, int
]  # what is played, on a stage; where, and at which passing
_AT_ONCE = 6


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The running servers."""
    with open_stage(tmp_path_factory.mktemp("stage")) as stage:
        yield stage


@pytest.fixture(scope="module")
def played(base: Stage, request: pytest.FixtureRequest) -> Iterator[Mapping[Scene, Future[None]]]:
    """The scenes of the chosen tests of this module, some at once: they spend their time waiting for leases to end."""
    chosen = [
        cast("Scene", item.callspec.params["scene"])
        for item in request.session.items
        if isinstance(item, pytest.Function)
        and item.path == request.path
        and "scene" in item.fixturenames
    ]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield {scene: pool.submit(scene[0], base, where=scene[1], at=scene[2]) for scene in chosen}
        pool.shutdown(cancel_futures=True)
