"""An installation with marks in all that goes in: settings, commands, records around them, payments. No claims here.

What is written into replies stands in `marked_replies.py`, what a person types in `marked_typing.py`.
"""

from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from handlers.domain.commands import Command, InitiatePayment
from handlers.domain.means import (
    CardholderAuthentication,
    Means,
    NetworkToken,
    OpaqueData,
    StoredProfile,
)
from handlers.domain.secret import Secret
from tests.acceptance.front_door import STRICT, FrontDoor
from tests.acceptance.marked_commands import Marked, marked_commands
from tests.acceptance.marked_replies import GatewayReplies, ServiceReplies
from tests.acceptance.marking_proxy import proxy
from tests.acceptance.marks import Marks
from tests.acceptance.what_came_out import Heard, heard
from tests.crash.installation import installed, wait_until
from tests.doubles.token_issuer import (
    AUDIENCE,
    ISSUER,
    bearer,
    claims,
    ec_key,
    key_set,
    published,
    token,
)
from tests.fuzz import markers
from worker.askers import ASKER_HEADER
from worker.demo.ports import free_ports
from worker.demo.stage import Stage
from worker.kafka_admin import Seen
from worker.own_signature import SIGNATURE_HEADER

NAME: Final = "marked"
_WAVE: Final = 24
_MOST_WAVES: Final = 5
_SETTINGS: Final = {
    **STRICT,
    "askers_audience": AUDIENCE,
    "askers_issuer": ISSUER,
    "log_level": "debug",
    "fuse_run": "0",  # nearly all of it is dead letters
    "fuse_share": "0",
    "absence_after_s": "600",
    "one_payment": "off",
}


@dataclass(slots=True)
class Scene:
    """The installation with marks in all that goes in.

    `silent` is the payment that the gateway never hears of, `waiting` the one that could not be begun.
    """

    door: FrontDoor
    ear: Heard
    marks: Marks
    gateway: GatewayReplies
    service: ServiceReplies
    metrics_url: str
    tokens: dict[str, bytes] = field(default_factory=dict)
    commands: list[Marked] = field(default_factory=list)
    made: list[InitiatePayment] = field(default_factory=list)
    said: list[tuple[str, str]] = field(default_factory=list)
    silent: InitiatePayment | None = None
    waiting: InitiatePayment | None = None

    def allowed(self, user_id: str) -> dict[str, bytes]:
        """The header with a customer's token, which is a mark itself."""
        if user_id not in self.tokens:
            text = token(ec_key("issuer"), kid="issuer", said=claims(sub=user_id))
            self.marks.secret("a customer's token, its signature", text.rpartition(".")[2])
            self.tokens[user_id] = bearer(text)
        return {ASKER_HEADER: self.tokens[user_id]}

    def payment(self, means: Means | None = None, **changes: Any) -> InitiatePayment:
        """The next payment; its token is a mark, and every fourth has a stored profile."""
        self.door.numbers += 1
        command = self.door.shop.command(self.door.numbers)
        if means is None and self.door.numbers % 4 == 0:
            means = StoredProfile("900000000", str(900_000_001 + self.door.numbers))
        secret = self.marks.secret("payment_initiation: a one-time token")
        token_means = OpaqueData("COMMON.ACCEPT.INAPP.PAYMENT", Secret(secret))
        return replace(command, means=means or token_means, **changes)

    def ask(self, *commands: Command) -> None:
        """Publish these in their customers' names; orders are known to the db-service."""
        shop, new = self.door.shop, [it for it in commands if isinstance(it, InitiatePayment)]
        self.made += new
        self.door.stage.seed_orders([shop.order(it) for it in new])
        records = [(shop.record(it), self.allowed(it.user_id)) for it in commands]
        self.door.send([(*record[:3], headers) for record, headers in records])


def marked_installation(stack: ExitStack, base: Stage, *, folder: Path) -> Scene:
    """A worker behind marking proxies, whose settings are marks."""
    installation = stack.enter_context(installed(base, NAME))
    stage, marks = installation.stage, Marks()
    keys = {it.name: it.read_text().strip() for it in sorted((base.folder / "secrets").iterdir())}
    for name, text in keys.items():
        marks.secret(f"setting: {name}", text.rpartition(":")[2])
    marks.secret("setting: password of the journal", urlsplit(stage.journal_url).password or "")
    gateway = GatewayReplies(marks, keys["transaction_key"])
    service = ServiceReplies(marks, keys["db_service_token"])
    environment = stage.environment
    at = urlsplit(environment["WORKER_GATEWAY_URL"])
    before_gateway = stack.enter_context(proxy(f"{at.scheme}://{at.netloc}", gateway))
    environment["WORKER_GATEWAY_URL"] = f"{before_gateway}{at.path}"
    environment["WORKER_DB_SERVICE_URL"] = stack.enter_context(proxy(stage.db_service_url, service))
    sasl = folder / "kafka.properties"
    sasl.write_text(
        f"sasl.username=worker\nsasl.password={marks.secret('setting: SASL password')}\n"
    )
    jwks = folder / "jwks.json"
    jwks.write_bytes(key_set(published("issuer", ec_key("issuer"))))
    (port,) = free_ports(1)
    files = {
        "kafka_config_file": str(sasl),
        "askers_jwks_file": str(jwks),
        "metrics_port": str(port),
    }
    environment |= {f"WORKER_{it.upper()}": value for it, value in {**_SETTINGS, **files}.items()}
    installation.worker("worker", settings={**_SETTINGS, **files})
    ear = heard(stage)
    stack.callback(ear.tail.close)
    door = FrontDoor(installation, ear, installation.shop())
    return Scene(door, ear, marks, gateway, service, f"http://127.0.0.1:{port}/metrics")


def send_commands(scene: Scene) -> None:
    """A card number in each field of each command."""
    prefix = scene.door.stage.environment["WORKER_TOPIC_PREFIX"]
    for secret in (markers.TOKEN, markers.CAVV, markers.CRYPTOGRAM):
        scene.marks.secret("commands: what is secret of a means", secret)
    scene.commands = marked_commands(scene.marks, name=NAME)
    scene.door.send(
        [
            (f"{prefix}{it.kind}", it.key, it.value, scene.allowed(it.user_id))
            for it in scene.commands
        ]
    )


def send_records(scene: Scene) -> int:
    """Marks around a command: in its key, in headers of every name that is read, in bytes that are no command."""
    marks, command = scene.marks, scene.payment()
    topic, key, value, _ = scene.door.shop.record(command)
    allowed = scene.allowed(command.user_id)
    card, stranger = marks.card, marks.secret("header authorization: a token that is none")
    rows: list[tuple[bytes, bytes, dict[str, bytes]]] = [
        (card("key of a record").encode(), value, allowed),
        (key, value, {ASKER_HEADER: f"Bearer {stranger} {card('header authorization')}".encode()}),
        (key, value, {ASKER_HEADER: stranger.encode()}),
        (key, value, {SIGNATURE_HEADER: card("header worker_signature").encode()}),
        (key, f"card {card('bytes that are no Avro')}".encode(), allowed),
        (key, value + card("bytes behind a record").encode(), allowed),
        (key, b"x" * 300_000 + card("a record that is too large").encode(), allowed),
    ]
    others = {
        "traceparent": card("header traceparent").encode(),
        "x-card": card("header x-card").encode(),
    }
    scene.door.send([(topic, *row) for row in rows] + [(topic, key, value, allowed | others)])
    return len(rows)


def pay_with_everything(scene: Scene) -> None:
    """Each means of payment and what goes with it; then so many payments that every field of a reply was marked."""
    marks = scene.marks
    cavv = CardholderAuthentication("05", Secret(marks.secret("cardholder_authentication.value")))
    cryptogram = Secret(marks.secret("network_token.cryptogram"))
    network = NetworkToken(Secret(marks.plain_card("network_token.token")), "2031-12", cryptogram)
    scene.silent = scene.payment()
    assert isinstance(scene.silent.means, OpaqueData)
    scene.gateway.silent.add(scene.silent.means.value.reveal())
    scene.ask(
        scene.silent,
        scene.payment(network, cardholder_authentication=cavv),
        scene.payment(StoredProfile("900000000", "900000001", Secret("987"))),
        scene.payment(
            OpaqueData("COMMON.APPLE.INAPP.PAYMENT", Secret(marks.card("means.data_value")))
        ),
    )
    for _ in range(_MOST_WAVES):
        wave = [scene.payment() for _ in range(_WAVE)]
        names = [it.payment_id for it in wave]
        scene.ask(*wave)
        assert scene.ear.hears(partial(_told, scene.ear, names))
        shop = scene.door.shop
        kinds = (shop.refund, shop.void)
        scene.ask(*(kinds[number % 2](f"r-{it.payment_id}", it) for number, it in enumerate(wave)))
        if wait_until(lambda: scene.gateway.is_done, within_s=4):
            break


def _told(ear: Heard, names: list[str]) -> bool:
    return all(ear.statuses[it] for it in names)


def ask_an_odd_service(scene: Scene) -> None:
    """So many payments that every field of an order was marked."""
    scene.service.is_on = True
    for _ in range(_MOST_WAVES):
        scene.ask(*(scene.payment() for _ in range(_WAVE // 2)))
        if wait_until(lambda: scene.service.is_done, within_s=4):
            break
    scene.service.is_on = False


def leave_one_waiting(scene: Scene) -> None:
    """A payment whose order nobody can look up: it waits in the journal, with its token."""
    scene.service.is_away = True
    scene.waiting = scene.payment()
    name = scene.waiting.payment_id
    scene.ask(scene.waiting)
    assert wait_until(lambda: name in scene.door.installation.entries())


def sealed_with_a_token(scene: Scene) -> Seen:
    """A dead letter of an initiation whose payload is kept."""
    return next(
        it
        for it in scene.ear.letters
        if it.topic.endswith("payment_initiation.dlq")
        and it.headers.get("dlq.field") == b"tax_minor"
    )
