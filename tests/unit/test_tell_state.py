"""The state file of a running worker: what cannot be written is said, tried again, and ends nothing."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from handlers.domain.errors import InvalidValueError
from tests.waiting import until
from worker import run_state
from worker.commands.checks_inside import setting_notes
from worker.config import read_settings
from worker.run_state import RunState, insist_folder, sick
from worker.session import tell_state


def _well() -> RunState:
    return RunState(
        pid=os.getpid(),
        session="s",
        ready=True,
        written_at=run_state.now(),
        beats={},
        down=[],
        in_flight=0,
    )


@asynccontextmanager
async def _telling(path: Path) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(tell_state(path, _well))
    yield task
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_a_file_that_cannot_be_written_ends_nothing(tmp_path: Path) -> None:
    """Regression: WORKER_STATE_FILE=/nope/x ended one session after the other, and no payment was made."""
    path = tmp_path / "nope" / "state"
    with capture_logs() as logs:
        async with _telling(path) as telling:
            await asyncio.sleep(2.5)  # several tries, one line
            assert not telling.done()
            assert [
                f"cannot write WORKER_STATE_FILE {path}: No such file or directory; health cannot see this worker"
            ] == [it["event"] for it in logs]
            path.parent.mkdir()
            await until(lambda: len(logs) == 2)
            assert "" == sick(path, readiness=True)
    assert "the state file is written again" == logs[-1]["event"]


async def test_another_reason_is_said_again(tmp_path: Path) -> None:
    """A folder that came to be, but as a file, is another thing to mend."""
    path = tmp_path / "nope" / "state"
    with capture_logs() as logs:
        async with _telling(path):
            await until(lambda: len(logs) == 1)
            path.parent.write_text("")
            await until(lambda: len(logs) == 2)
    assert "Not a directory" in logs[-1]["event"]


def test_the_start_and_check_want_the_folder(tmp_path: Path) -> None:
    """A worker that nobody can see is not begun: the setting and the rule are named."""
    path = tmp_path / "nope" / "state"
    with pytest.raises(InvalidValueError, match="state_file: the folder"):
        insist_folder(path)
    insist_folder(tmp_path / "state")
    insist_folder(Path("state"))
    found = {it.what: it.text for it in setting_notes(read_settings(state_file=path))}
    assert (
        f"the folder {path.parent} does not exist; create it or name another"
        == found["WORKER_STATE_FILE"]
    )
