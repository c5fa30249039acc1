"""`STACK=containers`: the stage's broker and PostgreSQL as containers, through testcontainers. Imported only then.

Same faces as `broker.Broker` and `postgres.Postgres`, on the images that docker-compose.yml names; what a container
cannot do for a stage raises `StageError`. Ports are on the loopback only and stay the same when a server is started
again. A test run that gets SIGKILL leaves its containers to testcontainers' own helper, where that is not switched off.
"""

import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self

from docker.errors import DockerException  # type: ignore[import-untyped]  # ships no types
from testcontainers.core.container import DockerContainer

from worker.demo import ports
from worker.demo.broker import KAFKA_VERSION, answers
from worker.demo.stage_error import StageError

KAFKA_IMAGE: Final = f"apache/kafka:{KAFKA_VERSION}"
POSTGRES_IMAGE: Final = "postgres:18"
_USER: Final = "stage"
_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_READY_WITHIN_S: Final = 90.0
_LOOK_EVERY_S: Final = 0.1
_STOP_GRACE_S: Final = 20
_LOG_LINES: Final = 30
_KAFKA: Final = MappingProxyType(
    {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "KAFKA_LOG_DIRS": "/var/lib/kafka/data",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS": "4",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_NUM_PARTITIONS": "4",
        "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR": "1",
        # Short waits, as the embedded broker has them.
        "KAFKA_BROKER_SESSION_TIMEOUT_MS": "3000",
        "KAFKA_BROKER_HEARTBEAT_INTERVAL_MS": "500",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS": "1000",
    }
)


class _KeptContainer:
    """One server in a container that keeps its port and, until the end, its data."""

    pid: None = None  # its processes belong to the engine

    def __init__(
        self,
        name: str,
        *,
        image: str,
        environment: Mapping[str, str],
        inner_port: int,
        port: int,
        command: str | None = None,
    ) -> None:
        self.port = port
        self._name = name
        self._image = image
        with _translated(name, image):
            self._container = DockerContainer(image, env=dict(environment), command=command)
        # The engine takes a pair and binds the loopback alone; testcontainers hands it on as it is.
        self._container.ports[str(inner_port)] = (ports.LOOPBACK, port)  # type: ignore[assignment]  # see above
        self._made = False

    @property
    def alive(self) -> bool:
        """Whether the server's container runs (a frozen one does)."""
        if not self._made:
            return False
        with _translated(self._name, self._image):
            wrapped = self._container.get_wrapped_container()
            wrapped.reload()
            return str(wrapped.status) in {"running", "paused"}

    def start(self) -> None:
        """Start the server on its port and data; returns when it answers. Raises `StageError`."""
        with _translated(self._name, self._image):
            if self._made:
                self._container.get_wrapped_container().start()
            else:
                ports.insist_free(self.port, server=self._name)
                self._container.start()
                self._made = True
        deadline = time.monotonic() + _READY_WITHIN_S
        while not self._is_ready():
            self.insist_alive()
            if time.monotonic() > deadline:
                raise StageError(
                    f"{self._name} was not ready after {_READY_WITHIN_S:g} s. Its log:\n{self._tail()}"
                )
            time.sleep(_LOOK_EVERY_S)

    def stop(self) -> None:
        """Shut the server down in order; its data stay."""
        if self._made:
            with _translated(self._name, self._image):
                self._container.get_wrapped_container().stop(timeout=_STOP_GRACE_S)

    def kill(self) -> None:
        """SIGKILL."""
        if self.alive:
            with _translated(self._name, self._image):
                self._container.get_wrapped_container().kill()

    def freeze(self) -> None:
        """The engine freezes all of its processes: connections stay open, nothing answers."""
        with _translated(self._name, self._image):
            self._container.get_wrapped_container().pause()

    def thaw(self) -> None:
        """Let a frozen server go on."""
        with _translated(self._name, self._image):
            self._container.get_wrapped_container().unpause()

    def insist_alive(self) -> None:
        """Raise `StageError` with the last log lines if the server is not running."""
        if not self.alive:
            raise StageError(f"{self._name} is not running. Its log:\n{self._tail()}")

    def remove(self) -> None:
        """Remove the container and its data."""
        with _translated(self._name, self._image):
            self._container.stop()
        self._made = False

    def _is_ready(self) -> bool:
        raise NotImplementedError

    def _run(self, *words: str) -> tuple[int, str]:
        """Run a program inside the container; its exit code and what it said."""
        with _translated(self._name, self._image):
            done = self._container.exec(list(words))
        return -1 if done.exit_code is None else done.exit_code, done.output.decode(
            errors="replace"
        ).strip()

    def _tail(self) -> str:
        if not self._made:
            return "(it was not started)"
        with _translated(self._name, self._image):
            said = self._container.get_wrapped_container().logs(tail=_LOG_LINES)
        return bytes(said).decode(errors="replace").strip()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


class ContainerBroker(_KeptContainer):
    """One Kafka node in a container."""

    def __init__(self, *, heap_mb: int = 384) -> None:
        [port] = ports.free_ports(1)
        self.bootstrap = f"{ports.LOOPBACK}:{port}"
        # The same number inside and outside: the node calls itself, too, under the address that it advertises.
        listeners = f"PLAINTEXT://:{port},CONTROLLER://:9093"
        environment = {
            **_KAFKA,
            "KAFKA_LISTENERS": listeners,
            "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://{self.bootstrap}",
            "KAFKA_HEAP_OPTS": f"-Xmx{heap_mb}m",
        }
        super().__init__(
            "Apache Kafka", image=KAFKA_IMAGE, environment=environment, inner_port=port, port=port
        )

    def restart_after_kill(self) -> None:
        """Start a killed broker again, on the same port and data."""
        self.start()

    def _is_ready(self) -> bool:
        return answers(self.port)


class ContainerPostgres(_KeptContainer):
    """One PostgreSQL server in a container. `durable=False` gives up durability for speed."""

    def __init__(self, *, durable: bool = True) -> None:
        self._password = secrets.token_hex(16)
        [port] = ports.free_ports(1)
        hasty = " -c fsync=off -c synchronous_commit=off -c full_page_writes=off"
        super().__init__(
            "PostgreSQL",
            image=POSTGRES_IMAGE,
            environment={"POSTGRES_USER": _USER, "POSTGRES_PASSWORD": self._password},
            inner_port=5432,
            port=port,
            command=f"postgres{'' if durable else hasty}",
        )

    def database(self, name: str) -> str:
        """The URL of the database `name`, made if it is not there: `postgresql://user:password@host:port/name`."""
        if not _NAME.fullmatch(name):
            raise StageError(f"{name!r} cannot name a database. Next: use a-z, 0-9 and _.")
        if name not in self._asked("SELECT datname FROM pg_database").splitlines():
            self._asked(f'CREATE DATABASE "{name}"')
        return f"postgresql://{_USER}:{self._password}@{ports.LOOPBACK}:{self.port}/{name}"

    def backup(self, to: Path) -> None:
        """Not in a container: its data folder is the engine's."""
        raise StageError(f"No backup to {to} from a container. Next: use STACK=embedded for this.")

    def restore(self, from_: Path) -> None:
        """Not in a container: its data folder is the engine's."""
        raise StageError(
            f"No restore of {from_} in a container. Next: use STACK=embedded for this."
        )

    def _asked(self, statement: str) -> str:
        """What the server answers to a statement of ours, over TCP: its socket is up before it is ready."""
        words = self._psql(statement)
        code, said = self._run(*words)
        if code:
            raise StageError(f"PostgreSQL's psql failed (exit code {code}):\n{said}")
        return said

    def _psql(self, statement: str) -> list[str]:
        connection = f"host=127.0.0.1 user={_USER} password={self._password} dbname=postgres"
        return [
            "psql",
            "-X",
            "-q",
            "-t",
            "-A",
            "-v",
            "ON_ERROR_STOP=1",
            "-d",
            connection,
            "-c",
            statement,
        ]

    def _is_ready(self) -> bool:
        return self.alive and self._run(*self._psql("SELECT 1")) == (0, "1")


@contextmanager
def _translated(name: str, image: str) -> Iterator[None]:
    """The engine's errors as `StageError`, each with what to do."""
    try:
        yield
    except DockerException as error:
        raise StageError(
            f"{name}: the Docker engine says: {error}\nNext: see that `docker info` works and that {image} is there"
            " or can be pulled (where only testcontainers' own helper cannot, set TESTCONTAINERS_RYUK_DISABLED=true),"
            " or leave STACK at its default, embedded."
        ) from error


def servers(
    *, say: Callable[[str], None], heap_mb: int, durable: bool
) -> tuple[ContainerBroker, ContainerPostgres]:
    """Both servers, not yet started."""
    say(f"the broker and the database run in containers: {KAFKA_IMAGE}, {POSTGRES_IMAGE}")
    return ContainerBroker(heap_mb=heap_mb), ContainerPostgres(durable=durable)
