"""The state file and what `health` makes of it."""

import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from worker import run_state
from worker.run_state import RunState, sick, write


def _state(**changes: object) -> RunState:
    well = RunState(
        pid=os.getpid(),
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
    write(path, _state(written_at=run_state.now() - 1))
    hangs = f"process {os.getpid()} stands still or hangs: restart it"
    stuck = sick(path, readiness=False, max_age_s=0.5)  # this process itself is not much older
    assert f"the event loop has not been heard of for 1 s: {hangs}" == stuck
    write(path, _state(beats={"publisher": 1000.0}))
    assert f"publisher has not been heard of for 1000 s: {hangs}" == sick(path, readiness=False)
    write(path, _state(ready=False))
    assert "" == sick(path, readiness=False)
    assert "not in its group" in sick(path, readiness=True)
    write(path, _state(down=["gateway"]))
    assert "" == sick(path, readiness=False)
    assert "gateway" in sick(path, readiness=True)


def test_a_process_that_is_gone_is_told_apart_from_one_that_hangs(tmp_path: Path) -> None:
    """Both looked like an event loop that is not heard of, and the first one only after ten seconds."""
    path = tmp_path / "state"
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        write(path, _state(pid=child.pid))
        assert "" == sick(path, readiness=False)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        gone = (
            f"process {child.pid} is gone: start it again;"
            " another worker takes its payments over once its lease is over"
        )
        assert gone == sick(path, readiness=False)  # a zombie: nobody has asked for its end yet
    assert gone == sick(path, readiness=True)


def test_another_process_with_the_same_number_is_not_ours(tmp_path: Path) -> None:
    """A container that was started again numbers its processes as before, beside the file of the last one."""
    path = tmp_path / "state"
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        write(path, _state(pid=child.pid, written_at=run_state.now() - 5))
        assert "is gone" in sick(path, readiness=False)
        child.kill()


def test_the_number_of_another_container_says_nothing(tmp_path: Path) -> None:
    """Where the file lies on a shared volume nobody is called gone for a number that counts elsewhere."""
    path = tmp_path / "state"
    with subprocess.Popen(["true"]) as child:
        child.wait()
    write(path, _state(pid=child.pid, pid_namespace="pid:[1]"))
    assert "" == sick(path, readiness=False)
    write(path, _state(pid=child.pid, pid_namespace="pid:[1]", written_at=run_state.now() - 20))
    assert "the event loop has not been heard of for 20 s" == sick(path, readiness=False)
