"""Two workers in one group; one leaves and comes back while the load goes on. The books must not notice."""

import time

import pytest

from tests.crash.installation import Installation, installed, load, wait_until
from worker.demo.stage import Stage

WAVE = 5
EVERY_S = 0.25
BUSY = {"latency": {"p50_ms": 250, "p99_ms": 900}}


def assigned(installation: Installation, name: str) -> int:
    """How often a partition was given to this worker."""
    log = installation.stage.folder / f"{name}.log"
    return log.read_text().count('"partition assigned"')


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_one_leaves_and_comes_back(base: Stage, protocol: str) -> None:
    """Three rebalances under load, in both group protocols: each payment once, in order, nothing left behind."""
    with installed(base, f"group-{protocol}") as installation:
        installation.stage.gateway("PUT", "/plan", body=BUSY)
        settings = {"kafka_group_protocol": protocol}
        first = installation.worker("first", settings=settings)
        second = installation.worker("second", settings=settings)
        with load(installation, wave=WAVE, every_s=EVERY_S):
            assert wait_until(lambda: assigned(installation, "second") > 0)
            for leaver, name in ((second, "second"), (first, "first"), (second, "second")):
                before = assigned(installation, name)
                leaver.stop()
                assert 0 == leaver.returncode
                time.sleep(4 * EVERY_S)
                leaver.start()
                assert wait_until(lambda: assigned(installation, name) > before)  # noqa: B023 - asked at once
                time.sleep(4 * EVERY_S)
        assert installation.settles()
        verdict = installation.books()
        assert [] == verdict.differences
        assert [] == verdict.waiting
        # Nobody was killed and nothing was lost on the way: no intent was left open, so each one is charged.
        assert {"captured": len(installation.published)} == dict(verdict.states)
        assert len(installation.published) == installation.charge_calls()
