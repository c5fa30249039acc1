"""Each neighbour goes down in the middle of load and comes back: nothing is lost, work goes on by itself."""

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager

import pytest

from tests.crash.conftest import Scene
from tests.crash.installation import SHORT, Installation, installed, load, wait_until
from worker.demo.books import Verdict
from worker.demo.kept_process import KeptProcess
from worker.demo.stage import Stage

BUSY = {"latency": {"uniform_ms": [100, 400]}}
LEASE_S = float(SHORT["lease_s"])
SHORTLY_S = 1.0  # long enough for the load to run into the wall, short enough for the lease


def each_is_charged(installation: Installation, verdict: Verdict) -> None:
    """No charge was lost on the way, and none was asked for twice."""
    assert {"captured": len(installation.published)} == dict(verdict.states)
    assert len(installation.published) == installation.charge_calls()


def each_is_charged_or_absent(installation: Installation, verdict: Verdict) -> None:
    """An intent that was open when the session ended may never have been sent: absent by proof, or charged once."""
    assert {"captured", "failed"} >= set(verdict.states)
    charged = len(installation.published) - verdict.states["failed"]
    assert charged == installation.charge_calls() == verdict.charged


def each_is_asked_for_once(installation: Installation, verdict: Verdict) -> None:
    """The gateway heard of each payment once, whatever it made of it."""
    assert {"captured", "failed"} >= set(verdict.states)
    assert len(installation.published) == installation.charge_calls()


Claim = Callable[[Installation, Verdict], None]


@contextmanager
def working(
    base: Stage, name: str, *, then: Claim = each_is_charged
) -> Iterator[tuple[Installation, KeptProcess]]:
    """One worker under load; after the block the load ends, all comes to rest, and the books are equal."""
    with installed(base, name) as installation:
        installation.stage.gateway("PUT", "/plan", body=BUSY)
        worker = installation.worker("worker")
        with load(installation, wave=3, every_s=0.2):
            assert wait_until(lambda: installation.charge_calls() >= 5)
            yield installation, worker
            time.sleep(SHORTLY_S)
        assert installation.settles()
        assert worker.alive
        verdict = installation.books()
        assert [] == verdict.differences
        assert [] == verdict.waiting
        assert sorted(installation.published) == sorted(installation.entries())
        then(installation, verdict)


def pauses(installation: Installation) -> bool:
    """Whether intake has left records where they are for a while."""
    admitted = len(installation.entries())
    time.sleep(SHORTLY_S)
    return admitted == len(installation.entries()) < len(installation.published)


def goes_on(installation: Installation) -> bool:
    """Whether charges are made again."""
    before = installation.charge_calls()
    return wait_until(lambda: installation.charge_calls() > before)


def test_the_broker_is_killed(base: Stage) -> None:
    """A killed and restarted broker: half-made kafka_txns are settled by the watermark."""
    assert base.broker is not None
    with working(base, "broker") as (installation, _):
        base.broker.kill()
        time.sleep(SHORTLY_S)
        base.broker.restart_after_kill()
        assert goes_on(installation)


def test_the_broker_is_frozen(base: Stage) -> None:
    """A frozen broker keeps its connections and answers nothing, for longer than the kafka_txn may last."""
    assert base.broker is not None
    with working(base, "icebroker") as (installation, _):
        base.broker.freeze()
        try:
            time.sleep(LEASE_S)
        finally:
            base.broker.thaw()
        assert goes_on(installation)


def test_the_journal_is_killed(base: Stage) -> None:
    """PostgreSQL killed at once: within the lease the session lives on, past the lease the next one takes over."""
    assert base.postgres is not None
    with working(base, "journal", then=each_is_charged_or_absent) as (installation, worker):
        base.postgres.kill()
        base.postgres.start()
        assert goes_on(installation)
        base.postgres.kill()
        time.sleep(LEASE_S + SHORTLY_S)
        base.postgres.start()
        assert goes_on(installation)
        assert '"the session is over"' in installation.logs(worker)


def test_the_journal_is_frozen(base: Stage) -> None:
    """PostgreSQL keeps its connections and answers nothing, past the lease."""
    assert base.postgres is not None
    with working(base, "icejournal", then=each_is_charged_or_absent) as (installation, _):
        base.postgres.freeze()
        try:
            time.sleep(LEASE_S + SHORTLY_S)
        finally:
            base.postgres.thaw()
        assert goes_on(installation)


def test_the_db_service_is_away(base: Stage) -> None:
    """It refuses, or takes the request and never answers: what is answered waits unrecorded, nothing new is opened."""
    with working(base, "records") as (installation, _):
        for fault in ("down", "hang"):
            base.db_service_faults("PUT", "/faults", body={fault: True})
            try:
                assert wait_until(lambda: pauses(installation))
            finally:
                base.db_service_faults("DELETE", "/faults")
            assert goes_on(installation)


def gateway_away(base: Stage, *, where: str, at: int) -> None:
    """Every charge meets `where`, or the gateway stands still; then it is mended."""
    assert at == 1, "there is one way to be away"
    claim = each_is_asked_for_once if "uncharged" in where else each_is_charged
    if (
        where == "frozen"
    ):  # what was accepted by its socket and given up meanwhile may be read, or not
        claim = each_is_charged_or_absent
    with working(base, f"gateway-{where.replace('_', '-')}", then=claim) as (installation, _worker):
        if where == "frozen":
            installation.stage.simulator.freeze()
        else:
            installation.stage.gateway("PUT", "/plan", body={**BUSY, "faults": {where: 1.0}})
        try:
            assert wait_until(lambda: pauses(installation))
        finally:
            installation.stage.simulator.thaw()
            installation.stage.gateway("PUT", "/plan", body=BUSY)
        assert goes_on(installation)


FAULTS = (
    "frozen", "http_5xx_charged", "http_5xx_uncharged", "e00053_charged", "e00053_uncharged",
)  # fmt: skip
SCENES: list[Scene] = [(gateway_away, fault, 1) for fault in FAULTS]


@pytest.mark.parametrize("scene", SCENES, ids=FAULTS)
def test_the_gateway_is_away(played: Mapping[Scene, Future[None]], scene: Scene) -> None:
    """Frozen, or failing with and without a charge behind it: intake pauses, and nothing is charged twice."""
    played[scene].result()
