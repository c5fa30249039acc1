"""A shop on an installation whose journal is put back to a copy: what it asks for, and what the gateway did. No claims.

The journal has a PostgreSQL of its own, as the db-service does not lose its memory with it. Kafka's committed offsets
can be thrown away as well: that is the worst case, in which nothing but the marks of `rebuild` tells what is suspect.
"""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import httpx
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from db_client.audit import read_journal
from db_client.database import Engine, engine
from db_client.rebuild_rows import Left, Rebuild
from db_client.rebuilding import left, unfinished
from handlers.domain.commands import InitiatePayment, Mode, Request
from tests.contract.simulated_gateway import charge_body
from tests.crash.installation import SHORT, Installation, installed, wait_until
from worker import kafka_admin
from worker.demo.audit import audit, is_at_rest, settings_of
from worker.demo.books import Asked, Verdict
from worker.demo.kept_process import KeptProcess
from worker.demo.postgres import Postgres
from worker.demo.stage import Stage

ROOT: Final = Path(__file__).parents[2]
SETTINGS: Final = {**SHORT, "settlement_wait_s": "1", "in_flight": "30", "absence_after_s": "1"}
_KILLABLE: Final = "tests.crash.dying_rebuild"


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Its standard output as the one JSON document that it must be."""
        return json.loads(self.out)


@dataclass
class RestoredShop:
    """What was asked for, on an installation whose journal is `server`'s."""

    installation: Installation
    server: Postgres
    requests: list[Asked] = field(default_factory=list)

    def workers(self) -> list[KeptProcess]:
        """Two that run."""
        with ThreadPoolExecutor() as pool:
            return list(pool.map(self.worker, ("one", "two")))

    def worker(self, name: str) -> KeptProcess:
        """One."""
        return self.installation.worker(name, settings=SETTINGS)

    def pay(self, count: int, *, mode: Mode = Mode.SALE) -> list[InitiatePayment]:
        """So many more payments are asked for."""
        shop, first = self.installation.shop(), len(self.installation.published)
        made = [shop.command(number, mode=mode) for number in range(first, first + count)]
        self.installation.send([shop.record(it) for it in made])
        return made

    def ask(self, *asked: Request) -> None:
        """Requests about payments."""
        shop = self.installation.shop()
        records = [shop.record(it) for it in asked]
        kafka_admin.send(self._properties, records)
        for it, record in zip(asked, records, strict=True):
            self.requests.append(Asked(it.operation_id, it.payment_id, record[0]))

    def settle(self) -> None:
        """A batch at the gateway, at once."""
        self.installation.stage.gateway("POST", "/settle", body={})

    def rests(self) -> bool:
        """Whether everything that was asked for is known, and nothing moves before it is due."""
        book = read_journal(self.installation.stage.journal_url)
        known = {it.operation_id for it in book.requests}
        return (
            len(book.entries) >= len(self.installation.published)
            and known.issuperset(it.operation_id for it in self.requests)
            and is_at_rest(book)
        )

    def performed(self) -> Counter[str]:
        """How often the gateway carried out each type of transaction."""
        calls = self.installation.stage.gateway("GET", "/calls")
        return Counter({name: count for name, count in calls["performed"].items() if count})

    def charge_without_us(self) -> str:
        """Somebody charges with the merchant's own credentials; the transaction's id."""
        environment = self.installation.stage.environment
        key = Path(environment["WORKER_GATEWAY_TRANSACTION_KEY_FILE"]).read_text()
        by = {"name": environment["WORKER_GATEWAY_LOGIN"], "transactionKey": key}
        asked = {
            "merchantAuthentication": by,
            "refId": "alone",
            "transactionRequest": charge_body(),
        }
        answer = httpx.post(
            environment["WORKER_GATEWAY_URL"],
            json={"createTransactionRequest": asked},
            timeout=30,
            trust_env=False,
        )
        told = json.loads(answer.content.decode("utf-8-sig"))["transactionResponse"]
        assert "1" == told["responseCode"], told
        return str(told["transId"])

    def forget_offsets(self) -> None:
        """The group's committed offsets are gone. Its dead members leave after their session's time-out."""
        group = self.installation.stage.environment["WORKER_KAFKA_GROUP"]
        admin = AdminClient({**self._properties, "log_level": 2})

        def gone() -> bool:
            try:
                admin.delete_consumer_groups([group])[group].result(timeout=10)
            except KafkaException:
                return False
            return True

        assert wait_until(gone)

    def begun(self) -> Rebuild | None:
        """The rebuild that is not finished."""
        with self._journal() as journal:
            return unfinished(journal)

    def left(self) -> Left:
        """What is left of it."""
        with self._journal() as journal:
            begun = unfinished(journal)
            assert begun is not None
            return left(journal, begun)

    def living(self) -> int:
        """How many sessions are alive, as another one would see it."""
        with self._journal() as journal, journal.connect() as connection:
            alive = "SELECT count(*) FROM lease WHERE alive_until > clock_timestamp()"
            count: int = connection.exec_driver_sql(alive).scalar_one()
            return count

    @contextmanager
    def _journal(self) -> Iterator[Engine]:
        one = engine(self.installation.stage.journal_url, role="test")
        try:
            yield one
        finally:
            one.dispose()

    def books(self) -> Verdict:
        """The books compared, requests and all."""
        installation = self.installation
        return audit(
            installation.stage,
            published=installation.published,
            requests=self.requests,
            name=installation.name,
            time_lost=True,
        )

    def rebuild(self, *argv: str, dies: str = "") -> "subprocess.Popen[str]":
        """The command as a process; `dies`: where it kills itself."""
        program = ["-m", _KILLABLE, dies] if dies else [str(ROOT / "run_worker.py"), "rebuild"]
        return subprocess.Popen(
            [sys.executable, *program, *argv],
            env=self.installation.stage.worker_environment(**SETTINGS),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def _properties(self) -> dict[str, str]:
        return settings_of(self.installation.stage).kafka_properties()


def ended(process: "subprocess.Popen[str]", *, within_s: float = 90.0) -> Ended:
    """Wait for a command."""
    out, err = process.communicate(timeout=within_s)
    return Ended(process.returncode, out, err)


def hears(process: "subprocess.Popen[str]", text: str) -> str:
    """What it said beside its document, up to the line with `text`."""
    assert process.stderr is not None
    said: list[str] = []
    for line in process.stderr:
        said.append(line)
        if text in line:
            return "".join(said)
    raise AssertionError(f"it ended without {text!r}: {''.join(said)}")


@contextmanager
def restored_shop(base: Stage, folder: Path, *, name: str) -> Iterator[RestoredShop]:
    """A shop on a fresh installation."""
    with Postgres(folder) as server:
        stage = replace(base, postgres=server, environment=dict(base.environment))
        with installed(stage, name) as installation:
            yield RestoredShop(installation, server)
