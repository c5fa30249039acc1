"""The state file and what `health` makes of it."""

import stat
from dataclasses import replace
from pathlib import Path

from worker import run_state
from worker.run_state import RunState, sick, write


def _state(**changes: object) -> RunState:
    well = RunState(
        pid=1,
        session="s",
        ready=True,
        written_at=run_state.now(),
        beats={"intake": 0.1, "journal": 0.2},
        down=[],
        in_flight=3,
    )
    return replace(well, **changes)  # type: ignore[arg-type]  # the test names the fields that it changes


def test_a_fresh_file_is_healthy(tmp_path: Path) -> None:
    """A worker that writes, is in its group and has its neighbours is live and ready."""
    path = tmp_path / "state"
    write(path, _state())
    assert "" == sick(path, readiness=False)
    assert "" == sick(path, readiness=True)


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    """The file is its owner's alone."""
    write(tmp_path / "state", _state())
    assert 0o600 == stat.S_IMODE((tmp_path / "state").stat().st_mode)


def test_each_illness_is_named(tmp_path: Path) -> None:
    """Liveness sees a stuck loop and a stuck thread; readiness also a missing group and a missing neighbour."""
    path = tmp_path / "state"
    assert "is it running" in sick(path, readiness=False)
    path.write_text("{")
    assert "is it running" in sick(path, readiness=False)
    write(path, _state(written_at=run_state.now() - 1000))
    assert "event loop" in sick(path, readiness=False)
    write(path, _state(beats={"publisher": 1000.0}))
    assert "publisher" in sick(path, readiness=False)
    write(path, _state(ready=False))
    assert "" == sick(path, readiness=False)
    assert "not in its group" in sick(path, readiness=True)
    write(path, _state(down=["gateway"]))
    assert "" == sick(path, readiness=False)
    assert "gateway" in sick(path, readiness=True)
