"""SIGKILL at each station of a command's way, inside the finder and during a take-over, with every verb in flight.

This is the slice of `python -m tests.crash` that the CI plays: each verb and each station once at least. The chains
spend their time waiting for leases to run out, so they play at once, each on an installation and a gateway of its own.
The table of what became of each stands at the end of pytest's output.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import cast

import pytest

from tests.crash.chains import play
from tests.crash.crash_table import PROPERTY, Row
from tests.crash.stations import SLICE, Cell, Chain, Station, Verb, exists, matrix, times_sent
from worker.demo.stage import Stage

CELLS = {cell: chain for chain in SLICE for cell in chain}


@pytest.fixture(scope="module")
def chains(
    base: Stage, request: pytest.FixtureRequest
) -> Iterator[Mapping[Chain, "Future[list[Row]]"]]:
    """The chains of the chosen tests, all at once."""
    chosen = dict.fromkeys(
        CELLS[cast("Cell", item.callspec.params["cell"])]
        for item in request.session.items
        if isinstance(item, pytest.Function) and "chains" in item.fixturenames
    )
    with ThreadPoolExecutor(len(SLICE)) as pool:
        yield {it: pool.submit(play, base, it, name=f"s{SLICE.index(it)}") for it in chosen}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("cell", CELLS, ids=lambda it: f"{it.verb}: {it.station}")
def test_a_worker_dies(
    chains: Mapping[Chain, "Future[list[Row]]"],
    cell: Cell,
    record_property: Callable[[str, object], None],
) -> None:
    """Wherever it dies: the four books are equal, what was asked for was sent once at most, and nothing waits."""
    [row] = [it for it in chains[CELLS[cell]].result() if it.cell == cell]
    record_property(PROPERTY, row.columns())
    assert times_sent(cell) == row.sent


def test_the_slice_has_each_verb_and_each_station() -> None:
    """What the CI plays leaves no verb and no station out."""
    assert set(Verb) == {it.verb for it in CELLS}
    assert set(Station) == {it.station for it in CELLS}
    assert all(map(exists, CELLS))


def test_the_matrix_has_each_cell_once() -> None:
    """Each verb dies at each station that it passes."""
    wanted = {it for verb in Verb for station in Station if exists(it := Cell(verb, station))}
    assert Counter(wanted) == Counter(cell for chain in matrix() for cell in chain)
