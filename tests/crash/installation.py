"""An installation under test: workers with short times, a producer of its own, and the books at the end.

What is proven stands in the tests. No worker's code is imported here but what publishes, reads and audits.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from db_client import schema
from db_client.audit import Entry, read_journal
from db_client.database import engine
from handlers.domain.errors import Unavailable
from worker import kafka_admin, wiring
from worker.demo import stage as stage_module
from worker.demo.audit import audit, settings_of, wait_for_rest
from worker.demo.books import Verdict
from worker.demo.kept_process import KeptProcess
from worker.demo.shop import Shop
from worker.demo.stage import Stage

# As short as the bounds between them allow, so that a take-over takes seconds and absence is proven within the test.
SHORT: Final = {
    "gateway_deadline_s": "2",
    "gateway_margin_s": "0.3",
    "lease_s": "4",
    "kafka_session_timeout_s": "3",
    "kafka_transaction_timeout_s": "2",
    "absence_after_s": "2",
    "ask_schedule_s": "0.5,1,2",
    "retry_wait_s": "0.5",
    "janitor_tick_s": "0.2",
    "db_service_timeout_s": "2",
    "shutdown_grace_s": "5",
    "in_flight": "10",
}
RESTS_WITHIN_S: Final = 120.0  # a thread of the Kafka client that hangs is given up after 60
_ONE_MIGRATION: Final = threading.Lock()
_CHARGE: Final = "createTransactionRequest"


def wait_until(happened: Callable[[], bool], *, within_s: float = 30.0) -> bool:
    """True as soon as it happened, False when it did not within the time."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if happened():
            return True
        time.sleep(0.05)
    return happened()


@dataclass(slots=True)
class Installation:
    """One installation on a stage. `published` are the payment ids that were asked for, in order."""

    name: str
    stage: Stage
    published: list[str] = field(default_factory=list)

    def worker(
        self, name: str, *, argv: tuple[str, ...] = (), settings: Mapping[str, str] = SHORT
    ) -> KeptProcess:
        """A running worker, in its group."""
        kept = self.stage.worker(name, argv=argv, **{**SHORT, **settings})
        kept.start()
        return kept

    def shop(self) -> Shop:
        """The independent producer's commands."""
        topic = f"{self.stage.environment['WORKER_TOPIC_PREFIX']}payment_initiation"
        return Shop(self.name, topic, wiring.wire_writer(settings_of(self.stage)))

    def publish(self, count: int, *, declined_every: int = 0) -> None:
        """Ask for `count` more payments; returns when the broker acknowledged all."""
        shop, first = self.shop(), len(self.published)
        records = []
        for number in range(first, first + count):
            declined = bool(declined_every) and number % declined_every == 0
            records.append(shop.record(shop.command(number, declined=declined)))
        self.send(records)

    def send(self, records: list[tuple[str, bytes, bytes, dict[str, bytes]]]) -> None:
        """Publish these records as they are, again if need be: a producer of a real platform would not give up."""
        self.published.extend(key.decode() for _, key, _, _ in records)
        while True:
            try:
                kafka_admin.send(settings_of(self.stage).kafka_properties(), records)
            except Unavailable:
                continue
            return

    def rests(self, *, admitted: int | None = None, within_s: float = RESTS_WITHIN_S) -> bool:
        """Wait until everything is admitted, concluded and published; False where it is not in time."""
        wanted = len(self.published) if admitted is None else admitted
        return wait_for_rest(self.stage, admitted=wanted, within_s=within_s)

    def settles(self, *, admitted: int | None = None) -> bool:
        """Wait until it rests and the gateway has left nothing undecided; what is held is: a person will decide it."""

        def decided() -> bool:
            entries = self.entries().values()
            return all(it.stage == "concluded" or it.state == "held" for it in entries)

        return wait_until(
            lambda: self.rests(admitted=admitted) and decided(), within_s=RESTS_WITHIN_S
        )

    def books(self, *, time_lost: bool = False) -> Verdict:
        """The books compared."""
        return audit(self.stage, published=self.published, name=self.name, time_lost=time_lost)

    def entries(self) -> dict[str, Entry]:
        """Payment id → its row in the journal."""
        return {entry.payment_id: entry for entry in read_journal(self.stage.journal_url).entries}

    def charge_calls(self) -> int:
        """How many charges the gateway was asked for, answered or not, new or not."""
        counted: int = self.stage.gateway("GET", "/calls")["requests"].get(_CHARGE, 0)
        return counted

    def charges(self) -> list[dict[str, Any]]:
        """What the gateway recorded for this installation."""
        return [row for row in self.stage.ledger() if str(row["description"]).startswith(self.name)]

    def logs(self, worker: KeptProcess) -> str:
        """Everything that this worker wrote."""
        return worker.log.read_text(errors="replace")


@contextmanager
def load(installation: Installation, *, wave: int, every_s: float) -> Iterator[None]:
    """Commands come in waves until the block ends."""
    done = threading.Event()

    def publish() -> None:
        while not done.wait(every_s):
            installation.publish(wave)

    thread = threading.Thread(target=publish, name="load")
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@contextmanager
def installed(base: Stage, name: str, *, partitions: int = 4) -> Iterator[Installation]:
    """A fresh installation called `name` with a gateway of its own; its workers end with it."""
    with ExitStack() as stack:
        stage = _with_gateway(stack, base.fresh(name))
        _prepare(stage, partitions)
        try:
            yield Installation(name, stage)
        finally:
            for kept in stage.workers:
                kept.kill()


def _with_gateway(stack: ExitStack, stage: Stage) -> Stage:
    """A gateway of its own, so that faults and counts of one test are nobody else's."""
    key = Path(stage.environment["WORKER_GATEWAY_TRANSACTION_KEY_FILE"])
    simulator, urls = stage_module._simulator(
        stack, stage.folder, files={"transaction_key": key}, seed=1
    )
    stage.environment["WORKER_GATEWAY_URL"] = urls["url"]
    return replace(stage, simulator=simulator, gateway_control=urls["control_url"])


def _prepare(stage: Stage, partitions: int) -> None:
    """What `migrate` and `topics` do, without a process for each."""
    settings = settings_of(stage)
    journal = engine(settings.journal_url.get_secret_value(), role="migrate")
    with _ONE_MIGRATION:  # Alembic keeps its context in globals
        schema.migrate(journal)
    journal.dispose()
    names = wiring.topics(settings)
    many = dict.fromkeys([*names.commands, *names.events, *names.dead_letters], partitions)
    kafka_admin.Admin(settings.kafka_properties()).create(
        {**many, names.progress: 1}, replicas=1, config={}
    )


def secrets_of(folder: Path) -> list[str]:
    """The secrets of the stage in `folder`, as its processes read them."""
    return [path.read_text() for path in sorted((folder / "secrets").iterdir())]
