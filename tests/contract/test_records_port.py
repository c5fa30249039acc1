"""One suite for `handlers.ports.Records`: over the double, and over the client against the reference db-service.

What the client promises beyond the port is in `test_records.py`.
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Protocol

import httpx
import pytest

from db_client.service import DbService, DbServiceSettings
from handlers.domain.errors import Unavailable
from handlers.domain.money import Money
from handlers.domain.payments import Payment
from handlers.domain.secret import Secret
from handlers.domain.states import PaymentState
from handlers.ports import Ahead, Records
from tests.contract.db_service_contract import TOKEN
from tests.doubles.records import RecordsDouble

AT = datetime(2026, 3, 1, tzinfo=UTC)
_numbers = count(1)


class Subject(Protocol):
    """What a test does around the port, on either side."""

    @property
    def records(self) -> Records:
        """The port."""
        ...

    def stored(self, payment: Payment) -> tuple[int, str]:
        """Version and state as stored."""
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

    def down(self) -> None:
        """By the script."""
        self.records.down = True


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
        headers = {"Authorization": f"Bearer {TOKEN}"}
        url = f"{self._ready['url']}/payments/{payment.payment_id}"
        body = httpx.get(url, headers=headers, trust_env=False).json()
        return body["version"], body["state"]

    def down(self) -> None:
        """By the service's control port."""
        control(self._ready, down=True)


def control(ready: dict[str, str], **faults: bool) -> None:
    """Set the service's faults."""
    url = f"{ready['control_url']}/faults"
    assert httpx.put(url, json=faults, trust_env=False).is_success


@pytest.fixture(params=["double", "real"])
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    """The records under test."""
    if request.param == "double":
        yield DoubleSubject()
        return
    ready: dict[str, str] = request.getfixturevalue("ready")
    control(ready)
    real = RealSubject(ready)
    yield real
    await real.records.aclose()


def payment(version: int = 1, state: PaymentState = PaymentState.UNKNOWN) -> Payment:
    """A payment under an id of its own."""
    number = next(_numbers)
    return Payment(
        f"port-{number}", f"ord-{number}", f"usr-{number}", Money(5, "USD"), state, version
    )


async def test_what_is_recorded_is_stored(subject: Subject) -> None:
    """It is there when the call returns."""
    one = payment()
    await subject.records.record(one, occurred_at=AT)
    assert (1, "unknown") == subject.stored(one)


async def test_the_same_again_is_success(subject: Subject) -> None:
    """A crash between recording and concluding records again: the same content under the same version."""
    one = payment()
    for _ in range(2):
        await subject.records.record(one, occurred_at=AT)
    assert (1, "unknown") == subject.stored(one)


async def test_other_news_below_what_was_told_must_outrun_it(subject: Subject) -> None:
    """Knowledge only grows: the newer version stays, and says under which one other news may be told."""
    one = payment()
    newer = replace(one, version=2, state=PaymentState.DECLINED)
    await subject.records.record(newer, occurred_at=AT + timedelta(seconds=5))
    assert Ahead(2) == await subject.records.record(one, occurred_at=AT)
    assert (2, "declined") == subject.stored(one)
    assert await subject.records.record(replace(one, version=3), occurred_at=AT) is None
    assert (3, "unknown") == subject.stored(one)


async def test_the_same_news_is_told_under_the_version_that_is_there(subject: Subject) -> None:
    """A journal that lost time finds the same outcome again: the consumers know it by the number they heard."""
    one = payment(version=2)
    await subject.records.record(one, occurred_at=AT)
    assert Ahead(1) == await subject.records.record(replace(one, version=1), occurred_at=AT)
    assert await subject.records.record(one, occurred_at=AT) is None


async def test_other_news_under_a_version_is_not_taken(subject: Subject) -> None:
    """Two truths under one version would be told under one event id: the first stays."""
    one = payment()
    await subject.records.record(one, occurred_at=AT)
    other = replace(one, state=PaymentState.DECLINED)
    assert Ahead(1) == await subject.records.record(other, occurred_at=AT)
    assert (1, "unknown") == subject.stored(one)


async def test_a_service_that_is_down_is_unavailable(subject: Subject) -> None:
    """Unavailable names the db-service; nothing else is raised."""
    subject.down()
    with pytest.raises(Unavailable) as turned_away:
        await subject.records.record(payment(), occurred_at=AT)
    assert "db-service" == turned_away.value.what
