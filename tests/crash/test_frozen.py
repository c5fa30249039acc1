"""A worker is frozen with SIGSTOP past its lease, another takes over; woken again, it must do nothing more."""

import re
import signal
from dataclasses import astuple
from typing import Any

from tests.crash.installation import Installation, installed, wait_until
from worker.demo.books import Verdict
from worker.demo.kept_process import KeptProcess
from worker.demo.stage import Stage

COUNT = 24
SLOW = {"latency": {"uniform_ms": [600, 900]}}


def sessions_started(installation: Installation, worker: KeptProcess) -> int:
    """How many sessions this process has begun."""
    return installation.logs(worker).count('"session started"')


def everything(installation: Installation) -> tuple[Any, ...]:
    """What the woken worker must not change: calls, ledger, journal, db-service and events."""
    verdict: Verdict = installation.books()
    return (
        installation.charge_calls(),
        installation.charges(),
        [astuple(entry) for entry in installation.entries().values()],
        verdict.differences,
        verdict.events,
        verdict.repeats,
    )


def wakes_harmlessly(
    installation: Installation, sleeper: KeptProcess, *, other: KeptProcess
) -> None:
    """After the other one has done everything, waking the sleeper changes nothing; it begins anew and works."""
    assert installation.settles()
    before = everything(installation)
    assert [] == before[3]
    sleeper.thaw()
    assert wait_until(lambda: '"the session is over"' in installation.logs(sleeper))
    assert wait_until(lambda: sessions_started(installation, sleeper) > 1)
    assert sleeper.alive
    assert installation.settles()
    assert before == everything(installation)
    # It is in the group again, as a new session: alone it does all that comes.
    other.stop()
    installation.publish(COUNT // 2)
    assert installation.settles()
    verdict = installation.books()
    assert [] == verdict.differences
    assert verdict.charged == installation.charge_calls()
    assert sleeper.alive


def test_frozen_while_calls_are_in_flight(base: Stage) -> None:
    """Calls under way and others queued: their answers move nothing, what was queued is not sent."""
    with installed(base, "frozen") as installation:
        installation.stage.gateway("PUT", "/plan", body=SLOW)
        sleeper = installation.worker("sleeper")
        installation.publish(COUNT)
        assert wait_until(lambda: 5 <= installation.charge_calls() < COUNT - 5)
        sleeper.freeze()
        other = installation.worker("other")
        wakes_harmlessly(installation, sleeper, other=other)
        captured = [it for it in installation.entries().values() if it.state == "captured"]
        assert len(captured) == installation.charge_calls()


def test_frozen_between_the_intent_and_the_gate(base: Stage) -> None:
    """The intent is on disk, not one byte has left: the gate keeps them back, whatever the clock says by then."""
    with installed(base, "gate") as installation:
        place = "after open, before send"
        argv = ("-m", "tests.crash.dying_worker", place, "5", "SIGSTOP")
        sleeper = installation.worker("sleeper", argv=argv)
        other = installation.worker("other")
        installation.publish(COUNT)
        assert wait_until(lambda: f"DIES AT {place}" in installation.logs(sleeper))
        found = re.search(r"DIES AT .* initiation:(\S+)", installation.logs(sleeper))
        assert found is not None
        assert signal.SIGSTOP != sleeper.returncode
        wakes_harmlessly(installation, sleeper, other=other)
        assert "failed" == installation.entries()[found[1]].state


def test_frozen_inside_the_kafka_txn(base: Stage) -> None:
    """The records are with the broker, the commit is not: its producer is fenced, the heir tells everything once."""
    with installed(base, "txn") as installation:
        place = "inside the kafka_txn, before its commit"
        argv = ("-m", "tests.crash.dying_worker", place, "1", "SIGSTOP")
        sleeper = installation.worker("sleeper", argv=argv)
        other = installation.worker("other")
        installation.publish(COUNT)
        assert wait_until(lambda: f"DIES AT {place}" in installation.logs(sleeper))
        wakes_harmlessly(installation, sleeper, other=other)
