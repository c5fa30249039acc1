"""What a campaign stands on: three workers in one group, and the servers that faults may take from them.

Gateway and db-service are reached over bridges, so that they can refuse, be silent, and come back on another port.
Which fault comes when stands in `fault_plan.py`, who carries it out in `performing.py`.
"""

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Final, Protocol
from urllib.parse import urlsplit, urlunsplit

from tests.campaign.bridge import Bridge, bridged
from tests.campaign.fault_plan import BROKER, DB_SERVICE, POSTGRES, WORKERS
from tests.campaign.terms import Terms
from tests.crash.installation import Installation, installed
from worker.demo import ports
from worker.demo.kept_process import KeptProcess
from worker.demo.stage import Stage

NAME: Final = "campaign"
LOST: Final = 0.05
_LATENCY: Final = {"p50_ms": 60, "p99_ms": 400}
_READS: Final = {"p50_ms": 20, "p99_ms": 150}
_READY: Final = "db-service.ready"


class Server(Protocol):
    """What can be killed, frozen, and started again on its data."""

    @property
    def alive(self) -> bool:
        """Whether it runs; a frozen one does."""
        ...

    def start(self) -> None:
        """Start; returns when it answers. Raises StageError."""
        ...

    def kill(self) -> None:
        """SIGKILL, or what comes to that."""
        ...

    def freeze(self) -> None:
        """SIGSTOP."""
        ...

    def thaw(self) -> None:
        """SIGCONT."""
        ...

    def insist_alive(self) -> None:
        """Raise StageError with its last words where it does not run."""
        ...


@dataclass(frozen=True, slots=True)
class Records:
    """The db-service behind its bridge: it comes back on another port, and nobody notices."""

    kept: KeptProcess
    ready: Path
    bridge: Bridge

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.kept.alive

    def start(self) -> None:
        """Start it, and lead the bridge there. Raises StageError."""
        self.kept.start()
        self.bridge.open(port_of(json.loads(self.ready.read_text())["url"]))

    def kill(self) -> None:
        """SIGKILL; who comes is refused, as by a port where nobody listens."""
        self.bridge.refuse()
        self.kept.kill()

    def freeze(self) -> None:
        """SIGSTOP."""
        self.kept.freeze()

    def thaw(self) -> None:
        """SIGCONT."""
        self.kept.thaw()

    def insist_alive(self) -> None:
        """Raise StageError where it does not run."""
        self.kept.insist_alive()


@dataclass(frozen=True, slots=True)
class Ground:
    """The running installation. `hands`: who does something to a victim holds its lock meanwhile."""

    installation: Installation
    terms: Terms
    workers: Mapping[str, KeptProcess]
    servers: Mapping[str, Server]
    gateway: Bridge
    hands: Mapping[str, Lock]

    @property
    def stage(self) -> Stage:
        """The installation's stage."""
        return self.installation.stage

    def calm(self) -> None:
        """The gateway as it is all the time: quick, and one answer in twenty gets lost."""
        lost = {"faults": {"lost_answer": LOST}, "read_faults": {"lost_answer": LOST / 2}}
        self._plan(latency=_LATENCY, read_latency=_READS, **lost)

    def slow(self) -> None:
        """Half of the answers come after the deadline of a call; its lists are slow, too."""
        half_ms = 1000 * self.terms.deadline_s
        latency = {"p50_ms": 0.8 * half_ms, "p99_ms": 3 * half_ms}
        reads = {"p50_ms": 0.3 * half_ms, "p99_ms": 1.5 * half_ms}
        self._plan(latency=latency, read_latency=reads, faults={"lost_answer": LOST})

    def fails(self) -> None:
        """Every answer is a 5xx; half of the charges happen all the same."""
        faults = {"http_5xx_charged": 0.5, "http_5xx_uncharged": 0.5}
        self._plan(latency=_LATENCY, faults=faults, read_faults={"http_5xx_uncharged": 1.0})

    def heal(self) -> None:
        """No fault any more."""
        self.gateway.open()
        self._plan(latency=_LATENCY, read_latency=_READS)

    def settle(self) -> None:
        """A batch of what waits for one."""
        self.stage.gateway("POST", "/settle", body={})

    def _plan(self, **plan: object) -> None:
        self.stage.gateway("PUT", "/plan", body=plan)


def port_of(url: str) -> int:
    """The port in a URL of ours."""
    port = urlsplit(url).port
    assert port is not None, "our servers name their port"
    return port


@contextmanager
def grounded(base: Stage, terms: Terms) -> Iterator[Ground]:
    """An installation with three running workers; everything of it ends with the block."""
    broker, postgres = base.broker, base.postgres
    assert broker is not None, "an external broker is not killed"
    assert postgres is not None, "an external database is not killed"
    with ExitStack() as stack:
        bridge = stack.enter_context(bridged(port_of(base.db_service_url)))
        records = Records(base.db_service, base.folder / _READY, bridge)
        over = _by_bridge(base.db_service_url, bridge)
        base = replace(
            base,
            db_service_url=over,
            environment={**base.environment, "WORKER_DB_SERVICE_URL": over},
        )
        installation = stack.enter_context(installed(base, NAME))
        gateway = _bridge_the_gateway(stack, installation.stage)
        settings = {f"WORKER_{name.upper()}": value for name, value in terms.settings.items()}
        installation.stage.environment |= settings
        workers = {name: installation.stage.worker(name) for name in WORKERS}
        servers: dict[str, Server] = {
            BROKER: broker,
            POSTGRES: postgres,
            DB_SERVICE: records,
            **workers,
        }
        hands = {name: Lock() for name in servers}
        ground = Ground(installation, terms, workers, servers, gateway, hands)
        installation.stage.gateway("PUT", "/settings", body={"list_lag_s": terms.lag_s})
        try:
            yield ground
        finally:
            _thaw(ground)


def start_workers(ground: Ground) -> None:
    """All at once; returns when each is in its group. Raises StageError."""
    with ThreadPoolExecutor(len(ground.workers)) as pool:
        for started in [pool.submit(it.start) for it in ground.workers.values()]:
            started.result()


def _bridge_the_gateway(stack: ExitStack, stage: Stage) -> Bridge:
    url = stage.environment["WORKER_GATEWAY_URL"]
    bridge = stack.enter_context(bridged(port_of(url)))
    stage.environment["WORKER_GATEWAY_URL"] = _by_bridge(url, bridge)
    return bridge


def _by_bridge(url: str, bridge: Bridge) -> str:
    return urlunsplit(urlsplit(url)._replace(netloc=f"{ports.LOOPBACK}:{bridge.port}"))


def _thaw(ground: Ground) -> None:
    """What is frozen hears of no end."""
    for server in ground.servers.values():
        server.thaw()
