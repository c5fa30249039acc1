"""Refunds and requests as the client records them at the reference db-service on a real PostgreSQL."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from itertools import count
from typing import Any

import httpx
import pytest

from db_client.service import DbService, DbServiceSettings
from handlers.domain.commands import Kind
from handlers.domain.errors import Unavailable
from handlers.domain.money import Money
from handlers.domain.payments import Payment, Request, Snapshot
from handlers.domain.secret import Secret
from handlers.domain.states import PaymentState, RequestState
from handlers.domain.verdicts import Advice, Reason
from tests.contract.db_service_contract import DOCUMENT, TOKEN, check

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
DUE = datetime(2026, 3, 2, 1, tzinfo=timezone(timedelta(hours=1)))
WAITS = Reason("worker.waits_for_settlement", "The charge settles first.", Advice.UNDECIDED)
_numbers = count(1)


@pytest.fixture
async def records(ready: dict[str, str]) -> AsyncIterator[DbService]:
    """The client under test."""
    one = DbService(
        DbServiceSettings(url=ready["url"], token=Secret(TOKEN), timeout_s=20, give_up_s=60)
    )
    yield one
    await one.aclose()


@pytest.fixture
def reader(ready: dict[str, str]) -> Iterator[httpx.Client]:
    """Another service's view of the db-service."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with httpx.Client(base_url=ready["url"], headers=headers, timeout=30) as one:
        yield one


def snapshot(kind: Kind = Kind.REFUND, **changes: Any) -> Snapshot:
    """A captured payment with a request about it, both under ids of their own; `changes` are the request's."""
    number = next(_numbers)
    base: dict[str, Any] = {
        "request_id": f"rq:{number}",
        "amount_minor": 500,
        "state": RequestState.DEFERRED,
        "reason": WAITS,
        "due_at": DUE,
        "why": "damaged",
    }
    payment = Payment(
        f"refunded-{number}",
        f"ord-{number}",
        f"usr-{number}",
        Money(1999, "USD"),
        PaymentState.CAPTURED,
        version=3,
        captured_minor=1999,
    )
    return Snapshot(payment, Request(kind, **{**base, **changes}))


def read(reader: httpx.Client, path: str, *, schema: str) -> dict[str, Any]:
    """What the service has now, held against the document."""
    answer = reader.get(path)
    assert 200 == answer.status_code, answer.text
    body: dict[str, Any] = answer.json()
    check(DOCUMENT["components"]["schemas"][schema], body)
    return body


def request_id(told: Snapshot) -> str:
    """The id of its request."""
    assert told.request is not None
    return told.request.request_id


async def test_a_waiting_refund_can_be_read(records: DbService, reader: httpx.Client) -> None:
    """Its amount, why it was asked for, why it waits and until when; and it is found by user and status."""
    told = snapshot()
    await records.record(told, occurred_at=AT)
    expected = {
        "refund_id": request_id(told),
        "payment_id": told.payment.payment_id,
        "amount_minor": 500,
        "currency": "USD",
        "refund_status": "initiated",
        "state": "deferred",
        "version": 3,
        "occurred_at": "2026-03-01T12:00:00Z",
        "reason": "damaged",
        "reason_code": "worker.waits_for_settlement",
        "reason_text": "The charge settles first.",
        "advice": "undecided",
        "due_at": "2026-03-02T00:00:00Z",
        "transaction_id": None,
    }
    assert expected == read(reader, f"/refunds/{request_id(told)}", schema="Refund")
    of_user = f"/refunds?user_id={told.payment.user_id}&status=initiated"
    assert [expected] == read(reader, of_user, schema="RefundPage")["items"]


@pytest.mark.parametrize("state", list(RequestState))
async def test_every_state_of_a_refund_can_be_recorded(
    records: DbService, reader: httpx.Client, state: RequestState
) -> None:
    """The contract has a place for each state of ours, with or without a due time and a transaction."""
    told = snapshot(state=state, due_at=None, transaction_id="60200", why="")
    await records.record(told, occurred_at=AT)
    there = read(reader, f"/refunds/{request_id(told)}", schema="Refund")
    assert told.request is not None
    assert (state.value, told.request.status.value) == (there["state"], there["refund_status"])
    assert ("60200", None, None) == (there["transaction_id"], there["reason"], there["due_at"])


@pytest.mark.parametrize("kind", [it for it in Kind if it is not Kind.INITIATION])
async def test_a_payment_names_the_request_that_its_news_is_about(
    records: DbService, reader: httpx.Client, kind: Kind
) -> None:
    """Kind, id and state; only a refund has a record of its own."""
    told = snapshot(kind)
    await records.record(told, occurred_at=AT)
    there = read(reader, f"/payments/{told.payment.payment_id}", schema="Payment")
    expected = {"kind": kind.value, "request_id": request_id(told), "state": "deferred"}
    assert expected == there["request"]
    own = f"/refunds?payment_id={told.payment.payment_id}"
    assert (kind is Kind.REFUND) == bool(read(reader, own, schema="RefundPage")["items"])


async def test_an_authorisation_says_when_it_ends_and_what_it_broke(
    records: DbService, reader: httpx.Client
) -> None:
    """The time arrives in UTC, the marks in order and no more of them than fit."""
    payment = replace(
        snapshot().payment, expires_at=DUE, marks=("order_paid", "", *["m" * 300] * 30)
    )
    await records.record(Snapshot(payment), occurred_at=AT)
    there = read(reader, f"/payments/{payment.payment_id}", schema="Payment")
    assert "2026-03-02T00:00:00Z" == there["expires_at"]
    assert ["order_paid", *["m" * 255] * 19] == there["marks"]


async def test_another_refund_under_our_id_needs_a_person(records: DbService) -> None:
    """A refund's payment and amount never change: that is told with what differs."""
    told = snapshot()
    await records.record(told, occurred_at=AT)
    with pytest.raises(Unavailable) as caught:
        await records.record(snapshot(request_id=request_id(told), amount_minor=1), occurred_at=AT)
    assert f"refund {request_id(told)} version 3 is stored there" in str(caught.value)
    assert "other payment_id, amount_minor:" in str(caught.value)
    assert records.available


async def test_a_payment_without_its_refund_is_not_recorded(
    records: DbService, reader: httpx.Client
) -> None:
    """A refund that the contract refuses is named; its neighbours are stored all the same."""
    bad, good = snapshot(amount_minor=-1), snapshot()
    with pytest.raises(Unavailable) as caught:
        await records.record(bad, occurred_at=AT)
    assert f"refund {request_id(bad)} version 3 (field amount_minor)" in str(caught.value)
    assert await records.record(good, occurred_at=AT) is None
    assert 3 == read(reader, f"/refunds/{request_id(good)}", schema="Refund")["version"]
