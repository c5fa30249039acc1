"""A child process that the stage keeps: started until ready, watched, frozen, stopped or killed, never left behind.

What the child is, and how one sees that it is ready, is told by the caller; no server is known here.

Children end with their parent, even one that gets SIGKILL. Linux sends the death signal when the *thread* that
started the child ends, so every child is started by one thread that lives as long as the process. On other systems
that tie is missing: there only an orderly end takes the children along.
"""

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

import psutil  # type: ignore[import-untyped]  # ships no types

from worker.demo.stage_error import StageError

_DOOR = Path(__file__).with_name("kept_child.py")
_LOOK_EVERY_S = 0.02
_REAPED_WITHIN_S = 10.0
_STOPS_WITHIN_S = 2.0
_TAIL_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Identity:
    """The user and group, by number, that a child runs as."""

    user: int
    group: int


SAME_IDENTITY = Identity(-1, -1)


def tied(argv: Sequence[str | Path], *, death_signal: int, identity: Identity) -> list[str]:
    """The command line that starts `argv` so that it gets `death_signal` when this process dies."""
    ties = (os.getpid(), int(death_signal), identity.user, identity.group)
    return [sys.executable, "-I", "-S", str(_DOOR), *map(str, ties), *map(str, argv)]


class KeptProcess:
    """One child process, by name.

    `ready` is asked about every 20 ms, or is a file that the child writes when it is ready (removed before each
    start). `env` is the whole environment, the parent's where it is None. Output goes to the end of `log`.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        log: Path,
        ready: Callable[[], bool] | Path,
        env: Mapping[str, str] | None = None,
        start_timeout_s: float = 30.0,
        stop_signal: int = signal.SIGTERM,
        kill_signal: int = signal.SIGKILL,
        identity: Identity = SAME_IDENTITY,
        advice: str = "",
    ) -> None:
        self.name = name
        self.log = log
        self._argv = [str(word) for word in argv]
        self._identity = identity
        self._env = None if env is None else dict(env)
        self._ready = ready
        self._start_timeout_s = start_timeout_s
        self._stop_signal = stop_signal
        self._kill_signal = kill_signal
        self._advice = advice or f"read {log} and start it again"
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def alive(self) -> bool:
        """Whether the child runs (a frozen one does)."""
        return self._child is not None and self._child.poll() is None

    @property
    def pid(self) -> int | None:
        """The process id of the child that was started last."""
        return None if self._child is None else self._child.pid

    @property
    def returncode(self) -> int | None:
        """The exit code (minus the signal's number if one ended it); None while it runs or before its start."""
        return None if self._child is None else self._child.poll()

    def start(self) -> None:
        """Start the child and wait until it is ready.

        Raises `StageError` if it dies or is not ready in time; then nothing of it is left running.
        """
        if self.alive:
            raise StageError(f"{self.name} runs already (process {self.pid}).")
        if isinstance(self._ready, Path):
            self._ready.unlink(missing_ok=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        command = tied(self._argv, death_signal=self._kill_signal, identity=self._identity)
        with self.log.open("ab") as output:
            self._child = _nursery().spawn(command, output=output, env=self._env)
        try:
            self._wait_until_ready()
        except BaseException:
            self.kill()
            raise

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self._start_timeout_s
        while time.monotonic() < deadline:
            said = self._is_ready()
            # In this order: a child that found its port taken must not pass for the one that answers there.
            if not self.alive:
                raise StageError(self._complaint(f"ended with {self._ending()} while it started"))
            if said:
                return
            time.sleep(_LOOK_EVERY_S)
        raise StageError(
            self._complaint(f"was not ready after {self._start_timeout_s:g} s (exit code: none)")
        )

    def _is_ready(self) -> bool:
        if isinstance(self._ready, Path):
            return self._ready.exists() and self._ready.stat().st_size > 0
        return self._ready()

    def _ending(self) -> str:
        code = self.returncode
        if code is not None and code < 0:
            return f"signal {signal.Signals(-code).name} (exit code {code})"
        return f"exit code {code}"

    def _complaint(self, what: str) -> str:
        lines = self.tail(15) or "(it wrote nothing)"
        return f"{self.name} {what}. Its last log lines:\n{lines}\nNext: {self._advice}."

    def insist_alive(self) -> None:
        """Raise `StageError` with the last log lines if the child is not running."""
        if not self.alive:
            raise StageError(self._complaint(f"is not running: {self._ending()}"))

    def stop(self, grace_s: float = 10.0) -> None:
        """Ask the child to end, kill it after `grace_s`; returns when it is gone. Does nothing if it is."""
        if not self.alive or self._child is None:
            return
        self._send(self._stop_signal, self._child.pid)
        self.thaw()  # a frozen child would not see the signal
        try:
            self._child.wait(grace_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End the child at once, as a power cut would; returns when it is gone."""
        if not self.alive or self._child is None:
            return
        self._send(self._kill_signal, self._child.pid)
        self.thaw()
        try:
            self._child.wait(_REAPED_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait(_REAPED_WITHIN_S)

    def freeze(self) -> None:
        """Stop the child and its children in their tracks (SIGSTOP): connections stay open, nothing answers."""
        self._send_all(signal.SIGSTOP)
        # A signal stops one thread after the other: until the last one stands, something may still answer.
        deadline = time.monotonic() + _STOPS_WITHIN_S
        while self._some_thread_runs() and time.monotonic() < deadline:
            time.sleep(_LOOK_EVERY_S)

    def thaw(self) -> None:
        """Let a frozen child and its children go on."""
        self._send_all(signal.SIGCONT)

    def _some_thread_runs(self) -> bool:
        if not self.alive or self._child is None:
            return False
        with suppress(psutil.NoSuchProcess):
            child = psutil.Process(self._child.pid)
            family = [child, *child.children(recursive=True)]
            threads = [it.id for one in family for it in one.threads()]
            return any(psutil.Process(it).status() != psutil.STATUS_STOPPED for it in threads)
        return False

    def _send_all(self, number: int) -> None:
        if not self.alive or self._child is None:
            return
        self._send(number, self._child.pid)
        with suppress(psutil.NoSuchProcess):
            for descendant in psutil.Process(self._child.pid).children(recursive=True):
                self._send(number, descendant.pid)

    @staticmethod
    def _send(number: int, pid: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, number)

    def tail(self, lines: int = 20) -> str:
        """The last lines of the log, for error texts."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as handle:
            handle.seek(max(0, self.log.stat().st_size - _TAIL_BYTES))
            text = handle.read().decode(errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Nursery:
    """The thread that starts all children of this process and lives as long as it does."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self._wanted: queue.SimpleQueue[
            tuple[Callable[[], subprocess.Popen[bytes]], Future[subprocess.Popen[bytes]]]
        ] = queue.SimpleQueue()
        threading.Thread(target=self._serve, name="nursery", daemon=True).start()

    def _serve(self) -> None:
        while True:
            birth, born = self._wanted.get()
            try:
                born.set_result(birth())
            except (
                OSError,
                ValueError,
                TypeError,
            ) as error:  # a wrong command must not end this thread
                born.set_exception(error)

    def spawn(
        self, argv: list[str], *, output: IO[bytes], env: dict[str, str] | None
    ) -> subprocess.Popen[bytes]:
        def birth() -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=env,
                start_new_session=True,  # Ctrl-C in the terminal is for us; we stop the children in order
            )

        born: Future[subprocess.Popen[bytes]] = Future()
        self._wanted.put((birth, born))
        return born.result()


_nurseries: list[_Nursery] = []
_nurseries_lock = threading.Lock()


def _nursery() -> _Nursery:
    """This process's nursery; a forked process has lost the thread of its parent and gets its own."""
    with _nurseries_lock:
        if not _nurseries or _nurseries[0].owner != os.getpid():
            _nurseries[:] = [_Nursery()]
        return _nurseries[0]
