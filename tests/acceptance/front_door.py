"""The front door of an installation: commands are published, events read back, as other services do. No claims.

`Ear` hears what consumers hear; nothing of a worker's inside is looked at. `Merchant` does at the gateway what a person
can do in the merchant interface, behind the worker's back.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import httpx

from avro import catalog
from avro.reader import Reader
from handlers.domain.commands import Command, InitiatePayment, Mode
from tests.crash.installation import SHORT, Installation, installed, wait_until
from worker import wiring
from worker.demo import stage as stage_module
from worker.demo.audit import settings_of
from worker.demo.shop import Record, Shop
from worker.demo.stage import Stage
from worker.kafka_admin import Seen, Tail

STRICT: Final = {
    **SHORT,
    "in_flight": "50",
    "order_check": "strict",
    "one_payment": "enforce",
    "settlement_wait_s": "1",
    "orphan_wait_s": "2",
    "order_cache_s": "0",
}
_LOGIN: Final = "demo-login"
ACCEPT: Final = "COMMON.ACCEPT.INAPP.PAYMENT"
SETTINGS: Final = {**STRICT, "refund_days": "190"}
_DAY_S: Final = 86_400
LONG_AGO_D, AGO_D = 200, 185  # the first is beyond our limit, the second beyond the gateway's only
_THEN: Final = (
    "import time; now = time.time; time.time = lambda: now() - {seconds};"
    " from worker.demo.simulator.__main__ import main; raise SystemExit(main())"
)
Told = dict[str, Any]


@dataclass(slots=True)
class Ear:
    """Everything that was told so far, in the order of the topics. Used by one thread; close it."""

    tail: Tail
    reader: Reader
    kinds: dict[str, str]
    statuses: defaultdict[str, list[Told]] = field(default_factory=lambda: defaultdict(list))
    orders: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    notices: defaultdict[str, list[Told]] = field(default_factory=lambda: defaultdict(list))
    letters: list[Seen] = field(default_factory=list)
    answered: set[str] = field(default_factory=set)

    def hears(self, claim: Callable[[], bool], *, within_s: float = 30.0) -> bool:
        """Listen until the claim holds; False where it does not within the time."""

        def heard() -> bool:
            for seen in self.tail.take(timeout_s=0.1):
                self._hear(seen)
            return claim()

        return wait_until(heard, within_s=within_s)

    def state(self, payment_id: str) -> str:
        """How a payment was told to stand last, "" before anything was told."""
        told = self.statuses[payment_id]
        return str(told[-1]["state"]) if told else ""

    def blocks(self, request_id: str) -> list[Told]:
        """What was told of a request, in its order."""
        return [
            record["request"]
            for told in self.statuses.values()
            for record in told
            if record["request"] is not None and record["request"]["request_id"] == request_id
        ]

    def request(self, request_id: str) -> str:
        """How a request was told to stand last, "" before anything was told."""
        told = self.blocks(request_id)
        return str(told[-1]["state"]) if told else ""

    def stand(self, wanted: dict[str, str], *, within_s: float = 30.0) -> dict[str, str]:
        """Listen until these payments and requests (by id) stand so, or the time is over; how they stand then."""

        def now() -> dict[str, str]:
            return {it: self.state(it) or self.request(it) for it in wanted}

        self.hears(lambda: now() == wanted, within_s=within_s)
        return now()

    def _hear(self, seen: Seen) -> None:
        kind = self.kinds.get(seen.topic)
        if kind is None:
            self.letters.append(seen)
            return
        record: Told = self.reader.read(kind, seen.value)
        payment_id: str = record["payment_id"]
        if "answers" in seen.headers:
            self.answered |= set(seen.headers["answers"].decode().split(","))
        elif "repeat_of" in seen.headers:
            return
        elif kind == catalog.PAYMENT_STATUS:
            self.statuses[payment_id].append(record)
        elif kind == catalog.ORDER_EVENTS:
            self.orders[payment_id].append(record["news"])
        else:
            self.notices[payment_id].append(record)


@dataclass(slots=True)
class FrontDoor:
    """An installation with its ear; `shop` makes the commands, each payment under the next number."""

    installation: Installation
    ear: Ear
    shop: Shop
    numbers: int = 0

    @property
    def stage(self) -> Stage:
        """Its servers."""
        return self.installation.stage

    def new(self, **changes: Any) -> InitiatePayment:
        """The next payment, whose order is known to the db-service. `changes` are the shop's."""
        self.numbers += 1
        command = self.shop.command(self.numbers, **changes)
        self.stage.seed_orders([self.shop.order(command)])
        return command

    def ask(self, *commands: Command) -> None:
        """Publish these."""
        self.send(self.shop.record(command) for command in commands)

    def send(self, records: Iterable[Record]) -> None:
        """Publish records as they are."""
        self.installation.send(list(records))

    def settle(self) -> None:
        """The night's batch."""
        self.stage.gateway("POST", "/settle", body={})

    def script(self, *rules: dict[str, Any]) -> None:
        """What meets single transactions at the gateway."""
        self.stage.gateway("POST", "/script", body={"rules": list(rules)})

    def charge(self, command: InitiatePayment) -> dict[str, Any]:
        """The row of this payment's charge in the gateway's ledger, as soon as there is one."""
        rows: list[dict[str, Any]] = []

        def there() -> bool:
            rows[:] = [
                row
                for row in self.stage.ledger()
                if row["description"] == command.description and not row["refTransId"]
            ]
            return bool(rows)

        assert wait_until(there), f"{command.payment_id} never came to the gateway"
        return rows[0]


@dataclass(frozen=True, slots=True)
class Merchant:
    """A person in the merchant interface: acts on transactions without the worker."""

    stage: Stage

    def act(self, what: str, transaction_id: str, *, amount: str = "") -> None:
        """`what` is a transaction type of the gateway."""
        request: dict[str, Any] = {"transactionType": what}
        if amount:
            request["amount"] = amount
        request["refTransId"] = transaction_id
        self._send(request)

    def charge(self, invoice_number: str, *, amount: str) -> None:
        """Charge a card under a number that is somebody else's."""
        token = {"dataDescriptor": ACCEPT, "dataValue": f"merchant-{invoice_number}"}
        self._send(
            {
                "transactionType": "authCaptureTransaction",
                "amount": amount,
                "payment": {"opaqueData": token},
                "order": {"invoiceNumber": invoice_number},
            }
        )

    def _send(self, request: dict[str, Any]) -> None:
        environment = self.stage.environment
        key = Path(environment["WORKER_GATEWAY_TRANSACTION_KEY_FILE"]).read_text().strip()
        body = {
            "createTransactionRequest": {
                "merchantAuthentication": {"name": _LOGIN, "transactionKey": key},
                "transactionRequest": request,
            }
        }
        url = environment["WORKER_GATEWAY_URL"]
        answer = httpx.post(url, json=body, timeout=10, trust_env=False)
        assert '"resultCode":"Ok"' in answer.text.replace(" ", ""), answer.text


@dataclass(slots=True)
class Cast:
    """Payments by the part that they play (`cast`). A request about one is called `<kind>-<name>`."""

    door: FrontDoor
    cast: dict[str, InitiatePayment] = field(default_factory=dict)
    merchant: Merchant = field(init=False)

    def __post_init__(self) -> None:
        self.merchant = Merchant(self.door.stage)

    def part(
        self, name: str, *, seeded: dict[str, Any] | None = None, **changes: Any
    ) -> InitiatePayment:
        """A payment that plays this part. `changes` are of the command, `seeded` of its order."""
        self.door.numbers += 1
        shop = self.door.shop
        mode, declined = changes.pop("mode", Mode.SALE), changes.pop("declined", False)
        command = shop.command(self.door.numbers, mode=mode, declined=declined)
        command = replace(command, **changes)
        self.door.stage.seed_orders([shop.order(command, **(seeded or {}))])
        self.cast[name] = command
        return command

    def paid(self, *names: str, mode: Mode = Mode.SALE) -> None:
        """Payments of these parts, made and told."""
        made = [self.part(name, mode=mode) for name in names]
        self.door.ask(*made)
        state = "captured" if mode is Mode.SALE else "authorized"
        self.stand(dict.fromkeys(names, state))

    def stand(self, wanted: dict[str, str], *, within_s: float = 30.0) -> None:
        """Wait until these parts (or requests, `<kind>-<part>`) are told to stand so."""
        ids = {self.name_of(name): state for name, state in wanted.items()}
        stands = self.door.ear.stand(ids, within_s=within_s)
        assert ids == stands, {it: at for it, at in stands.items() if at != ids[it]}

    def ask(self, kind: str, name: str, *, part: str = "", **changes: Any) -> None:
        """Ask about a part; the request is called `<kind>-<name>`."""
        self.door.ask(self.asked(kind, name, part=part, **changes))

    def asked(self, kind: str, name: str, *, part: str = "", **changes: Any) -> Command:
        """What is published to ask about a part; several are quicker together."""
        shop, of = self.door.shop, self.cast[part or name]
        minor = changes.pop("minor", None)
        made: Command
        match kind:
            case "capture":
                made = shop.capture(f"capture-{name}", of, minor=minor)
            case "void":
                made = shop.void(f"void-{name}", of)
            case "refund":
                made = shop.refund(f"refund-{name}", of, minor=minor)
            case _:
                made = shop.verification(f"verification-{name}", of)
        return replace(made, **changes)

    def transaction(self, name: str) -> str:
        """The gateway's id of a part's charge."""
        return str(self.door.charge(self.cast[name])["transId"])

    def gateway(self, **settings: object) -> None:
        """Change the gateway's switches."""
        self.door.stage.gateway("PUT", "/settings", body=settings)

    def clock(self, days: float) -> None:
        """Let days pass at the gateway."""
        self.door.stage.gateway("POST", "/clock", body={"advance_s": days * _DAY_S})

    def codes_of(self, request_id: str) -> list[str]:
        """The reason codes that were told of a request."""
        return [it["reason_code"] for it in self.door.ear.blocks(request_id)]

    def half(self, name: str) -> int:
        """A half of a part's amount, in minor units."""
        return self.cast[name].money.amount_minor // 2

    def name_of(self, name: str) -> str:
        """The id of a part's payment, or of a request."""
        return self.cast[name].payment_id if name in self.cast else f"{self.door.shop.name}-{name}"

    def script(self, fault: str, name: str, **match: Any) -> None:
        """What meets a part's charge at the gateway, or whatever matches."""
        match = match or {"description": self.cast[name].description}
        self.door.script({"match": match, "fault": fault})


def front_door(installation: Installation) -> FrontDoor:
    """The front door of an installation, from now on heard."""
    settings = settings_of(installation.stage)
    topics = wiring.topics(settings)
    kinds = {it: kind for it, kind in wiring.topic_kinds(settings).items() if it in topics.events}
    tail = Tail(
        settings.kafka_properties(), [*topics.events, *topics.dead_letters], from_beginning=True
    )
    return FrontDoor(
        installation, Ear(tail, wiring.wire_reader(settings), kinds), installation.shop()
    )


@contextmanager
def door_to_the_past(base: Stage, name: str) -> Iterator[FrontDoor]:
    """A front door whose gateway's clock stands half a year back."""
    with installed(base, name) as installation, ExitStack() as stack:
        stage = installation.stage
        key = stage.environment["WORKER_GATEWAY_TRANSACTION_KEY_FILE"]
        simulator, urls = stage_module.serve(
            stack,
            stage.folder,
            name="simulator-then",
            argv=(
                "-c", _THEN.format(seconds=LONG_AGO_D * _DAY_S), "--port", "0", "--control-port", "0",
                "--login", "demo-login", "--transaction-key-file", key, "--seed", "1",
            ),
        )  # fmt: skip
        stage.simulator, stage.gateway_control = simulator, urls["control_url"]
        stage.environment["WORKER_GATEWAY_URL"] = urls["url"]
        stage.environment |= {f"WORKER_{it.upper()}": value for it, value in SETTINGS.items()}
        installation.worker("worker", settings=SETTINGS)
        door = front_door(installation)
        try:
            yield door
        finally:
            door.ear.tail.close()
