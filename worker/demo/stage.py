"""The stage: a real broker, a real PostgreSQL, the reference db-service and the simulated gateway, and workers on it.

Used by the demo, the tests and the benchmarks alike. `STACK` chooses the broker and the database: `embedded` (the
default), `containers` (a Docker engine), or `external` (KAFKA_BOOTSTRAP_SERVERS and DATABASE_URL). Everything lives in
one folder and ends with this process.
"""

import base64
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import httpx

from worker.demo.broker import Broker
from worker.demo.kept_process import KeptProcess
from worker.demo.passfile import without_password
from worker.demo.postgres import Postgres
from worker.demo.stage_error import StageError

if TYPE_CHECKING:
    from worker.demo.containers import ContainerBroker, ContainerPostgres

_ROOT: Final = Path(__file__).parents[2]
_LOGIN: Final = "demo-login"


def quiet(_text: str) -> None:
    """Says nothing."""


@dataclass(slots=True)
class Stage:
    """The running servers. `environment` is what a worker needs to find them."""

    folder: Path
    bootstrap: str
    journal_url: str
    environment: dict[str, str]
    gateway_control: str
    db_service_url: str
    db_service_control: str
    db_service_token: str
    db_service: KeptProcess
    simulator: KeptProcess
    broker: "Broker | ContainerBroker | None" = None
    postgres: "Postgres | ContainerPostgres | None" = None
    workers: list[KeptProcess] = field(default_factory=list)

    def fresh(self, name: str) -> "Stage":
        """Another installation on the same servers: its own journal, topics, group and invoice numbers.

        The db-service and the gateway are shared, as they are in life; ids of payments must differ.
        """
        assert self.postgres is not None, "an external database is used once"
        environment = {
            **self.environment,
            "WORKER_ENVIRONMENT": name,
            "WORKER_JOURNAL_URL": self.postgres.database(name.replace("-", "_")),
            "WORKER_TOPIC_PREFIX": f"{name}.",
            "WORKER_KAFKA_GROUP": name,
        }
        place = self.folder / name
        place.mkdir(exist_ok=True)
        return replace(
            self,
            folder=place,
            environment=environment,
            journal_url=environment["WORKER_JOURNAL_URL"],
            workers=[],
        )

    def prepare(self, *, partitions: int = 6) -> None:
        """Migrate the journal and create the topics, by the product's own commands."""
        for argv in (
            ["migrate"],
            ["topics", "--create", "--partitions", str(partitions), "--replicas", "1"],
        ):
            done = subprocess.run(
                [sys.executable, str(_ROOT / "run_worker.py"), *argv],
                env=self.worker_environment(),
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
            )
            if done.returncode:
                raise StageError(
                    f"run_worker.py {argv[0]} ended with {done.returncode}: {done.stderr[-800:]}"
                )

    def worker(self, name: str, *, argv: tuple[str, ...] = (), **settings: str) -> KeptProcess:
        """A worker process, not yet started. `settings` are WORKER_* variables without the prefix, in lower case."""
        state = self.state_file(name)
        kept = KeptProcess(
            name,
            [sys.executable, *(argv or (str(_ROOT / "run_worker.py"), "run"))],
            log=self.folder / f"{name}.log",
            ready=lambda: _is_ready(state),
            env={**self.worker_environment(**settings), "WORKER_STATE_FILE": str(state)},
            start_timeout_s=60,
            advice="mend what its log says, and start anew",
        )
        self.workers.append(kept)
        return kept

    def state_file(self, worker: str) -> Path:
        """Where a worker of this name says how it is."""
        return self.folder / f"{worker}.state"

    def worker_environment(self, **settings: str) -> dict[str, str]:
        """The environment of a worker or of the CLI on this stage."""
        overrides = {f"WORKER_{name.upper()}": value for name, value in settings.items()}
        return {**_inherited(), **self.environment, **overrides}

    def stop_workers(self) -> None:
        """End every worker, kindly first."""
        for kept in self.workers:
            if kept.alive:
                kept.thaw()
                kept.stop(grace_s=15)

    def gateway(self, method: str, path: str, *, body: Mapping[str, Any] | None = None) -> Any:
        """Talk to the simulator's control port."""
        with _spoken_to(self.simulator):
            return _control(self.gateway_control, method, path=path, body=body)

    def db_service_faults(
        self, method: str, path: str, *, body: Mapping[str, Any] | None = None
    ) -> Any:
        """Talk to the db-service's fault port."""
        with _spoken_to(self.db_service):
            return _control(self.db_service_control, method, path=path, body=body)

    def ledger(self) -> list[dict[str, Any]]:
        """Everything that the gateway really recorded."""
        rows: list[dict[str, Any]] = []
        while True:
            page = self.gateway("GET", f"/ledger?limit=5000&offset={len(rows)}")
            found = page["transactions"] if isinstance(page, dict) else page
            rows.extend(found)
            if len(found) < 5000:
                return rows

    def recorded_payments(self) -> list[dict[str, Any]]:
        """Every payment that the db-service has."""
        return self._recorded("/payments")

    def recorded_refunds(self) -> list[dict[str, Any]]:
        """Every refund that the db-service has."""
        return self._recorded("/refunds")

    def seed_orders(self, orders: Iterable[Mapping[str, Any]]) -> None:
        """Put these orders into the db-service, as an order service would: bodies of `openapi.yaml`."""
        with _spoken_to(self.db_service), self._client() as client:
            for order in orders:
                answer = client.put(f"/orders/{order['order_id']}", json=order)
                if answer.is_error:
                    raise StageError(f"PUT /orders: {answer.status_code} {answer.text[:300]}")

    def _recorded(self, path: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        cursor = ""
        with self._client() as client:
            while True:
                page = client.get(
                    path, params={"limit": 500} | ({"cursor": cursor} if cursor else {})
                )
                body = page.raise_for_status().json()
                rows.extend(body["items"])
                cursor = body["next_cursor"] or ""
                if not cursor:
                    return rows

    def _client(self) -> httpx.Client:
        headers = {"authorization": f"Bearer {self.db_service_token}"}
        return httpx.Client(
            base_url=self.db_service_url, headers=headers, timeout=30, trust_env=False
        )


@contextmanager
def open_stage(
    folder: Path,
    *,
    say: Callable[[str], None] = quiet,
    heap_mb: int = 384,
    seed: int = 1,
    durable: bool = True,
) -> Iterator[Stage]:
    """Start everything, and stop everything at the end. Raises StageError with the log's last lines."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        stage = _start(stack, folder, say=say, heap_mb=heap_mb, seed=seed, durable=durable)
        stack.callback(stage.stop_workers)
        yield stage


def _start(
    stack: ExitStack,
    folder: Path,
    *,
    say: Callable[[str], None],
    heap_mb: int,
    seed: int,
    durable: bool,
) -> Stage:
    broker, postgres = _broker_and_database(folder, say=say, heap_mb=heap_mb, durable=durable)
    if broker is None or postgres is None:
        bootstrap = _needed("KAFKA_BOOTSTRAP_SERVERS")
        journal_url = db_url = _needed("DATABASE_URL")
    else:
        stack.enter_context(broker)
        say(f"Apache Kafka answers at {broker.bootstrap}")
        stack.enter_context(postgres)
        bootstrap = broker.bootstrap
        journal_url, db_url = postgres.database("journal"), postgres.database("shop")
        say(f"PostgreSQL answers at 127.0.0.1:{urlsplit(journal_url).port}")
    files = _secret_files(folder)
    db_service, service = _db_service(stack, folder, url=db_url, files=files)
    say(f"db-service answers at {service['url']}")
    simulator, gateway = _simulator(stack, folder, files=files, seed=seed)
    say(f"Authorize.Net simulator answers at {gateway['url']}")
    environment = {
        "WORKER_ENVIRONMENT": "demo",
        "WORKER_KAFKA_BOOTSTRAP_SERVERS": bootstrap,
        "WORKER_JOURNAL_URL": journal_url,
        "WORKER_JOURNAL_KEYS_FILE": str(files["journal_keys"]),
        "WORKER_INVOICE_KEY_FILE": str(files["invoice_key"]),
        "WORKER_DB_SERVICE_URL": service["url"],
        "WORKER_DB_SERVICE_TOKEN_FILE": str(files["db_service_token"]),
        "WORKER_GATEWAY_URL": gateway["url"],
        "WORKER_GATEWAY_CUT_OFF": "none",
        "WORKER_GATEWAY_LOGIN": _LOGIN,
        "WORKER_ORDER_CHECK": "off",  # who seeds orders switches it on
        "WORKER_GATEWAY_TRANSACTION_KEY_FILE": str(files["transaction_key"]),
    }
    return Stage(
        folder=folder,
        bootstrap=bootstrap,
        journal_url=journal_url,
        environment=environment,
        gateway_control=gateway["control_url"],
        db_service_url=service["url"],
        db_service_control=service["control_url"],
        db_service_token=files["db_service_token"].read_text(),
        db_service=db_service,
        simulator=simulator,
        broker=broker,
        postgres=postgres,
    )


def _broker_and_database(
    folder: Path, *, say: Callable[[str], None], heap_mb: int, durable: bool
) -> "tuple[Broker, Postgres] | tuple[ContainerBroker, ContainerPostgres] | tuple[None, None]":
    """The two servers that STACK asks for, not yet started; none where they are somebody else's."""
    match os.environ.get("STACK") or "embedded":
        case "embedded":
            return (
                Broker(folder / "kafka", say=say, heap_mb=heap_mb),
                Postgres(folder / "postgres", say=say, durable=durable),
            )
        case "containers":
            from worker.demo import containers

            return containers.servers(say=say, heap_mb=heap_mb, durable=durable)
        case "external":
            return None, None
        case other:
            raise StageError(
                f"STACK is {other!r}. Next: set it to embedded, containers or external."
            )


def _secret_files(folder: Path) -> dict[str, Path]:
    """Fresh secrets, readable for their owner alone; those of an earlier run in this folder are kept."""
    values = {
        "journal_keys": f"demo:{base64.b64encode(secrets.token_bytes(32)).decode()}",
        "invoice_key": secrets.token_hex(24),
        "db_service_token": secrets.token_hex(16),
        "transaction_key": secrets.token_hex(8),
    }
    place = folder / "secrets"
    place.mkdir(mode=0o700, exist_ok=True)
    for name, value in values.items():
        path = place / name
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(value)
    return {name: place / name for name in values}


def serve(
    stack: ExitStack, folder: Path, *, name: str, argv: Sequence[str]
) -> tuple[KeptProcess, dict[str, str]]:
    """Start one of our own servers, `argv` behind Python, and give the addresses that it tells in its ready file."""
    ready = folder / f"{name}.ready"
    kept = KeptProcess(
        name,
        [sys.executable, *argv, "--ready-file", str(ready)],
        log=folder / f"{name}.log",
        ready=ready,
        env=_inherited(),
    )
    stack.enter_context(kept)
    return kept, json.loads(ready.read_text())


def _db_service(
    stack: ExitStack, folder: Path, *, url: str, files: Mapping[str, Path]
) -> tuple[KeptProcess, dict[str, str]]:
    passfile = files["db_service_token"].with_name("db_service_pgpass")
    shown = without_password(url, passfile=passfile)
    argv = (
        "-m", "worker.demo.db_service", "--port", "0", "--control-port", "0", "--database-url", shown,
        "--token-file", str(files["db_service_token"]), "--die-with-parent",
    )  # fmt: skip
    return serve(stack, folder, name="db-service", argv=argv)


def _simulator(
    stack: ExitStack, folder: Path, *, files: Mapping[str, Path], seed: int
) -> tuple[KeptProcess, dict[str, str]]:
    argv = (
        "-m", "worker.demo.simulator", "--port", "0", "--control-port", "0", "--login", _LOGIN,
        "--transaction-key-file", str(files["transaction_key"]), "--seed", str(seed),
    )  # fmt: skip
    return serve(stack, folder, name="simulator", argv=argv)


def _inherited() -> dict[str, str]:
    """Our environment without settings of another worker, and with the project on the path."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WORKER_")}
    return {**kept, "PYTHONPATH": str(_ROOT), "PYTHONUNBUFFERED": "1"}


def _is_ready(state: Path) -> bool:
    try:
        return bool(json.loads(state.read_text())["ready"])
    except (OSError, ValueError, KeyError):
        return False


@contextmanager
def _spoken_to(server: KeptProcess) -> Iterator[None]:
    """Raise StageError where the server does not answer: with its own last words, if it is dead."""
    try:
        yield
    except httpx.HTTPError as error:
        server.insist_alive()
        raise StageError(f"{server.name} does not answer: {type(error).__name__}") from None


def _control(url: str, method: str, *, path: str, body: Mapping[str, Any] | None) -> Any:
    answer = httpx.request(method, f"{url}{path}", json=body, timeout=30, trust_env=False)
    if answer.is_error:
        raise StageError(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
    return answer.json() if answer.content else None


def _needed(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise StageError(f"STACK=external needs {name}")
    return value
