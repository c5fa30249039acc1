"""What the records' suite is run on: two doubles, and the client in front of the reference db-service. No tests."""

import asyncio
from datetime import UTC, datetime
from typing import Any, Protocol

import httpx

from db_client.service import DbService, DbServiceSettings
from handlers.domain.commands import Address
from handlers.domain.facts import Order
from handlers.domain.payments import Payment
from handlers.domain.secret import Secret
from handlers.ports import Records
from tests.contract.db_service_contract import TOKEN
from tests.doubles.records import RecordsDouble
from tests.simulation.memory_records import MemoryDbService, MemoryRecords, RecordScript


class Subject(Protocol):
    """What a test does around the port, on either side."""

    @property
    def records(self) -> Records:
        """The port."""
        ...

    def stored(self, payment: Payment) -> tuple[int, str]:
        """Version and state as stored."""
        ...

    def refund(self, refund_id: str) -> tuple[int, str]:
        """Version and state as stored."""
        ...

    def seed(self, order: Order) -> None:
        """The shop writes an order."""
        ...

    def down(self) -> None:
        """Turn every record away."""
        ...


class DoubleSubject:
    """The double."""

    def __init__(self) -> None:
        self.records = RecordsDouble()

    def stored(self, payment: Payment) -> tuple[int, str]:
        """Version and state as stored."""
        there, _ = self.records.stored[payment.payment_id]
        return there.version, there.state.value

    def refund(self, refund_id: str) -> tuple[int, str]:
        """Version and state as stored."""
        there, version = self.records.refunds[refund_id]
        return version, there.state.value

    def seed(self, order: Order) -> None:
        """By the script."""
        self.records.orders[order.order_id] = order

    def down(self) -> None:
        """By the script."""
        self.records.down = True


class MemorySubject:
    """The db-service of the simulation, in the time of the machine."""

    def __init__(self) -> None:
        self._service = MemoryDbService(now=lambda: datetime.now(UTC))
        self.records = MemoryRecords(self._service, fates=RecordScript(), sleep=asyncio.sleep)

    def stored(self, payment: Payment) -> tuple[int, str]:
        """Version and state as stored."""
        there = self._service.payments[payment.payment_id].payment
        return there.version, there.state.value

    def refund(self, refund_id: str) -> tuple[int, str]:
        """Version and state as stored."""
        there, version = self._service.refunds[refund_id]
        return version, there.state.value

    def seed(self, order: Order) -> None:
        """By the shop."""
        self._service.keep(order)

    def down(self) -> None:
        """Nobody answers."""
        self._service.away = "it is down"


class RealSubject:
    """The client and its service."""

    def __init__(self, ready: dict[str, str]) -> None:
        self._ready = ready
        self.records = DbService(
            DbServiceSettings(
                url=ready["url"], token=Secret(TOKEN), timeout_s=2, give_up_s=4, tries=1
            )
        )

    def stored(self, payment: Payment) -> tuple[int, str]:
        """Version and state as stored."""
        return self._read(f"/payments/{payment.payment_id}")

    def refund(self, refund_id: str) -> tuple[int, str]:
        """Version and state as stored."""
        return self._read(f"/refunds/{refund_id}")

    def seed(self, order: Order) -> None:
        """As the order service would."""
        self._ask("PUT", f"/orders/{order.order_id}", json=order_body(order))

    def down(self) -> None:
        """By the service's control port."""
        control(self._ready, down=True)

    def _read(self, path: str) -> tuple[int, str]:
        body = self._ask("GET", path).json()
        return body["version"], body["state"]

    def _ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        url = f"{self._ready['url']}{path}"
        answer = httpx.request(method, url, headers=headers, trust_env=False, **more)
        assert answer.is_success, answer.text
        return answer


def order_body(order: Order) -> dict[str, Any]:
    """An order of ours as the document has it."""
    return {
        "order_id": order.order_id,
        "customer": {
            "user_id": order.user_id,
            "email": order.email,
            "phone": order.billing.phone,
            "billing_address": address_body(order.billing),
            "shipping_address": address_body(order.shipping),
        },
        "status": order.status,
        "currency": order.money.currency,
        "total_minor": order.money.amount_minor,
        "paid_minor": order.paid_minor,
        "tax_minor": order.tax_minor,
        "lines": [
            {"sku": it.sku, "name": it.name, "quantity": it.quantity, "unit_minor": it.unit_minor}
            for it in order.lines
        ],
    }


def address_body(address: Address) -> dict[str, str]:
    """An address of ours as the document has it."""
    return {
        "first_name": address.first_name,
        "last_name": address.last_name,
        "company": address.company,
        "street": address.address,
        "city": address.city,
        "region": address.state,
        "postal_code": address.zip,
        "country": address.country,
    }


def control(ready: dict[str, str], **faults: bool) -> None:
    """Set the service's faults."""
    url = f"{ready['control_url']}/faults"
    assert httpx.put(url, json=faults, trust_env=False).is_success
