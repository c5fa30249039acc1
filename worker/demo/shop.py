"""A small shop that pays: makes commands and publishes them like any other service would. Seeded."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from avro.writer import Writer
from handlers.domain.commands import (
    Address,
    InitiatePayment,
    Line,
    Mode,
    OpaqueData,
    StoredProfile,
)
from handlers.domain.money import Money
from handlers.domain.secret import Secret

_GOODS: Final = (
    ("tea", "Darjeeling, 100 g", 1290),
    ("cup", "Cup, blue", 1850),
    ("pot", "Teapot", 5400),
    ("tin", "Tin", 790),
)
_NAMES: Final = (
    ("Ada", "Lovelace"),
    ("Grace", "Hopper"),
    ("Emmy", "Noether"),
    ("Sofja", "Kowalewskaja"),
)
DECLINED_ZIP: Final = "46282"  # the vendor's own test trigger for a decline
_ACCEPT: Final = "COMMON.ACCEPT.INAPP.PAYMENT"

Record = tuple[str, bytes, bytes, dict[str, bytes]]


@dataclass(frozen=True, slots=True)
class Shop:
    """`name` starts every id, so that shops do not meet. `topic` is where its commands go."""

    name: str
    topic: str
    writer: Writer
    seed: int = 1

    def command(
        self, number: int, *, declined: bool = False, mode: Mode = Mode.SALE
    ) -> InitiatePayment:
        """The `number`-th payment; the same number is the same command but for the time."""
        dice = random.Random(f"{self.seed}:{number}")
        lines = tuple(
            Line(sku, label, dice.randint(1, 3), price)
            for sku, label, price in dice.sample(_GOODS, dice.randint(1, 3))
        )
        first, last = dice.choice(_NAMES)
        means = (
            StoredProfile("900000000", str(900000001 + number % 90_000_000))
            if dice.random() < 0.2
            else OpaqueData(_ACCEPT, Secret(f"nonce-{self.name}-{number}"))
        )
        return InitiatePayment(
            payment_id=f"{self.name}-{number:06d}",
            order_id=f"{self.name}-o{number:06d}",
            user_id=f"{self.name}-u{dice.randint(1, 50)}",
            money=Money(sum(line.quantity * line.unit_minor for line in lines), "USD"),
            mode=mode,
            means=OpaqueData(_ACCEPT, Secret(f"nonce-{self.name}-{number}")) if declined else means,
            issued_at=datetime.now(UTC),
            billing=Address(
                first,
                last,
                address="1 Main Street",
                zip=DECLINED_ZIP if declined else "94105",
                country="US",
            ),
            customer_ip="203.0.113.7",
            description=f"{self.name} {number}",
            lines=lines,
        )

    def record(self, command: InitiatePayment) -> Record:
        """The Kafka record that asks for `command`."""
        value = self.writer.encode_command(command, topic=self.topic)
        return self.topic, command.payment_id.encode(), value, {}

    def records(self, count: int, *, declined_share: float = 0.0) -> Iterator[Record]:
        """`count` commands, a share of them declined by the vendor's trigger."""
        dice = random.Random(self.seed)
        for number in range(count):
            yield self.record(self.command(number, declined=dice.random() < declined_share))
