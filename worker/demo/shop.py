"""A small shop: makes orders and commands, and the records that ask for them like any other service would. Seeded."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from avro import catalog
from avro.command_records import kind_of
from avro.writer import Writer
from handlers.domain.commands import (
    Address,
    CapturePayment,
    Command,
    InitiatePayment,
    Line,
    Mode,
    RefundPayment,
    VerifyPayment,
    VoidPayment,
)
from handlers.domain.means import OpaqueData, StoredProfile
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
    """`name` starts every id, so that shops do not meet. `topic` is where its payment initiations go."""

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

    def test_of_means(self, number: int) -> InitiatePayment:
        """The same customer's means of payment, to be tested and not to be charged."""
        command = self.command(number)
        nothing = Money(0, command.money.currency)
        return replace(command, mode=Mode.VERIFY, money=nothing, lines=())

    def capture(
        self, name: str, of: InitiatePayment, *, minor: int | None = None
    ) -> CapturePayment:
        """Capture `minor` of an authorisation, or all of it."""
        return CapturePayment(
            payment_id=of.payment_id,
            capture_id=f"{self.name}-{name}",
            amount_minor=minor,
            issued_at=datetime.now(UTC),
            user_id=of.user_id,
        )

    def void(self, name: str, of: InitiatePayment) -> VoidPayment:
        """Undo a payment as a whole."""
        return VoidPayment(
            payment_id=of.payment_id,
            void_id=f"{self.name}-{name}",
            issued_at=datetime.now(UTC),
            user_id=of.user_id,
            reason="the customer changed their mind",
        )

    def refund(self, name: str, of: InitiatePayment, *, minor: int | None = None) -> RefundPayment:
        """Give `minor` of a payment back, or its whole amount."""
        amount_minor = of.money.amount_minor if minor is None else minor
        return RefundPayment(
            payment_id=of.payment_id,
            refund_id=f"{self.name}-{name}",
            money=Money(amount_minor, of.money.currency),
            issued_at=datetime.now(UTC),
            user_id=of.user_id,
            reason="returned",
        )

    def verification(self, name: str, of: InitiatePayment) -> VerifyPayment:
        """Ask what became of a payment."""
        return VerifyPayment(
            payment_id=of.payment_id,
            verification_id=f"{self.name}-{name}",
            issued_at=datetime.now(UTC),
            user_id=of.user_id,
        )

    def order(self, command: InitiatePayment, **changes: Any) -> dict[str, Any]:
        """The order that `command` pays, as the db-service keeps it: payable, of this customer, of this amount."""
        billing = command.billing
        customer = {
            "user_id": command.user_id,
            "email": f"{command.user_id}@shop.example",
            "first_name": billing.first_name,
            "last_name": billing.last_name,
        }
        lines = [
            {"sku": it.sku, "name": it.name, "quantity": it.quantity, "unit_minor": it.unit_minor}
            for it in command.lines
        ]
        return {
            "order_id": command.order_id,
            "customer": customer,
            "status": "payable",
            "currency": command.money.currency,
            "total_minor": command.money.amount_minor,
            "paid_minor": 0,
            "tax_minor": 0,
            "lines": lines,
            **changes,
        }

    def record(self, command: Command) -> Record:
        """The Kafka record that asks for `command`."""
        prefix = self.topic.removesuffix(catalog.PAYMENT_INITIATION)
        topic = f"{prefix}{kind_of(command)}"
        value = self.writer.encode_command(command, topic=topic)
        return topic, command.payment_id.encode(), value, {}

    def records(self, count: int, *, declined_share: float = 0.0) -> Iterator[Record]:
        """`count` commands, a share of them declined by the vendor's trigger."""
        dice = random.Random(self.seed)
        for number in range(count):
            yield self.record(self.command(number, declined=dice.random() < declined_share))
