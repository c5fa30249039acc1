"""A worker is killed with SIGKILL in the middle of a batch of charges; another one goes on, and the books are equal.

Every verb at every station is `test_stations.py`. The scenes spend their time waiting for leases to run out, so some
of them play at once, each on an installation and a gateway of its own.
"""

import re
import signal
from collections.abc import Mapping
from concurrent.futures import Future

import pytest

from tests.crash.conftest import Scene
from tests.crash.installation import Installation, installed, wait_until
from tests.crash.stations import Station
from worker.demo.kept_process import KeptProcess
from worker.demo.stage import Stage

COUNT = 16
# At these places the gateway was not asked before the worker died, though the intent was open: nobody may ask again,
# and the scans prove the absence. Everywhere else the charge is found, or was never opened and is sent once.
NOT_CHARGED = frozenset({Station.OPENED})
ON_THE_WAY = (
    Station.ADMITTED, Station.OPENED, Station.UNDER_WAY, Station.SENT, Station.ANSWERED, Station.RECORDED,
    Station.CONCLUDED, Station.PRODUCED, Station.UNCOMMITTED, Station.COMMITTED,
)  # fmt: skip
LATENCY = {"latency": {"uniform_ms": [150, 400]}}


def dying(installation: Installation, place: str, *, at: int, name: str = "dying") -> KeptProcess:
    """A worker that dies at the `at`-th passing of `place`."""
    return installation.worker(name, argv=("-m", "tests.crash.dying_worker", place, str(at)))


def insist_died(installation: Installation, worker: KeptProcess, *, place: str) -> str:
    """The worker died of SIGKILL at `place`; with what (a payment's id, or "")."""
    assert wait_until(lambda: not worker.alive)
    assert -signal.SIGKILL == worker.returncode
    found = re.search(
        rf"^DIES AT {re.escape(place)} ?(.*)$", installation.logs(worker), re.MULTILINE
    )
    assert found is not None
    return found[1].removeprefix("initiation:")


def insist_books_are_equal(installation: Installation) -> list[str]:
    """All is at rest, equal, and each charge was sent once at most; the ids of the payments that were not charged."""
    assert installation.settles()
    verdict = installation.books()
    assert [] == verdict.differences
    assert [] == verdict.waiting
    entries = installation.entries()
    assert sorted(installation.published) == sorted(entries)
    failed = [name for name, entry in entries.items() if entry.state == "failed"]
    assert {"captured"} >= {it.state for it in entries.values()} - {"failed"}
    assert COUNT - len(failed) == verdict.charged
    # Not only recorded once: the gateway was not even asked a second time, which its duplicate check would hide.
    assert COUNT - len(failed) == installation.charge_calls()
    return failed


def on_the_way(base: Stage, *, where: str, at: int) -> None:
    """One worker dies at the `at`-th passing of `where`, then a second one is started."""
    with installed(base, f"k{list(Station).index(Station(where))}-{at}") as installation:
        installation.stage.gateway("PUT", "/plan", body=LATENCY)
        first = dying(installation, where, at=at)
        publish_in_waves(installation, first)
        victim = insist_died(installation, first, place=where)
        installation.worker("second")
        failed = insist_books_are_equal(installation)
        if where in NOT_CHARGED:
            assert victim in failed
        else:
            assert victim not in failed


def inside_a_take_over(base: Stage, *, where: str, at: int) -> None:
    """The second worker dies while it takes the first one over; the third takes both over."""
    with installed(base, f"t{list(Station).index(Station(where))}-{at}") as installation:
        installation.stage.gateway("PUT", "/plan", body=LATENCY)
        heir = dying(installation, where, at=at, name="heir")
        first = dying(installation, Station.SENT, at=3)
        publish_in_waves(installation, first)
        insist_died(installation, first, place=Station.SENT)
        insist_died(installation, heir, place=where)
        installation.worker("third")
        insist_books_are_equal(installation)


def beside_another_one(base: Stage, *, where: str, at: int) -> None:
    """With a second worker in the group from the start, nothing needs to be started for the work to go on."""
    with installed(base, f"b{list(Station).index(Station(where))}-{at}") as installation:
        installation.stage.gateway("PUT", "/plan", body=LATENCY)
        installation.worker("second")
        first = dying(installation, where, at=at)
        publish_in_waves(installation, first)
        insist_died(installation, first, place=where)
        insist_books_are_equal(installation)


def publish_in_waves(installation: Installation, first: KeptProcess) -> None:
    """Two polls and two commits at least, so that there is a second passing of each place."""
    installation.publish(COUNT // 2)
    wait_until(lambda: not first.alive or bool(installation.entries()))
    installation.publish(COUNT - COUNT // 2)


SCENES: list[Scene] = [
    *((on_the_way, place, 2) for place in ON_THE_WAY),
    (on_the_way, Station.ADMITTED, 1),
    (on_the_way, Station.CONCLUDED, 1),
    (on_the_way, Station.UNCOMMITTED, 1),
    *((inside_a_take_over, place, 1) for place in (Station.FENCED, Station.MOVED)),
    (beside_another_one, Station.SENT, 2),
    (beside_another_one, Station.UNCOMMITTED, 1),
]


@pytest.mark.parametrize(
    "scene", SCENES, ids=lambda it: f"{it[0].__name__}: {it[1]}, passing {it[2]}"
)
def test_a_worker_dies(played: Mapping[Scene, Future[None]], scene: Scene) -> None:
    """Wherever it dies: charged at most once, nothing lost, told once, not charged only where it was not sent."""
    played[scene].result()
