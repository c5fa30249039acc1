"""The contract of `handlers.ports.Records`, held by the client against the reference db-service on a real PostgreSQL.

What a server can do wrong beyond the reference's own faults is shown in `tests/unit/test_record_batches.py`.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from itertools import count
from typing import Any

import httpx
import pytest

from db_client.service import DbService, DbServiceSettings
from handlers.domain.errors import Unavailable
from handlers.domain.money import Money
from handlers.domain.payments import Payment, Snapshot
from handlers.domain.secret import Secret
from handlers.domain.states import PaymentState
from handlers.domain.verdicts import Advice, Method, Reason
from handlers.ports import Ahead
from tests.contract.db_service_contract import DOCUMENT, TOKEN, check
from tests.waiting import until

TIMEOUT_S = 1.0  # of one call of a client that gives up soon
AT = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
_numbers = count(1)


@pytest.fixture
def reader(ready: dict[str, str]) -> Iterator[httpx.Client]:
    """Another service's view of the db-service."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with httpx.Client(base_url=ready["url"], headers=headers, timeout=30) as one:
        yield one


def settings(url: str, **changes: Any) -> DbServiceSettings:
    """Settings for tests: short deadlines."""
    base: dict[str, Any] = {
        "token": Secret(TOKEN),
        "timeout_s": TIMEOUT_S,
        "give_up_s": 3 * TIMEOUT_S,
        "retry_first_wait_s": 0.02,
        "retry_longest_wait_s": 0.1,
        "breaker_after": 2,
        "breaker_first_open_s": 1.0,
        "breaker_longest_open_s": 2.0,
    }
    return DbServiceSettings(url=url, **{**base, **changes})


@pytest.fixture
async def records(ready: dict[str, str]) -> AsyncIterator[DbService]:
    """The client under test."""
    one = DbService(settings(ready["url"], timeout_s=20, give_up_s=60))
    yield one
    await one.aclose()


@pytest.fixture
async def hasty(ready: dict[str, str]) -> AsyncIterator[DbService]:
    """A client that gives up soon."""
    one = DbService(settings(ready["url"]))
    yield one
    await one.aclose()


def captured(**changes: Any) -> Payment:
    """A captured payment under an id of its own."""
    number = next(_numbers)
    base: dict[str, Any] = {
        "payment_id": f"pay:{number}",
        "order_id": f"ord-{number}",
        "user_id": f"usr-{number}",
        "money": Money(1999, "USD"),
        "state": PaymentState.CAPTURED,
        "version": 1,
        "authorised_minor": 1999,
        "captured_minor": 1999,
        "transaction_id": "60198",
        "method": Method("card", "Visa", "1111"),
        "reason": Reason("1", "This transaction has been approved.", Advice.HARD),
    }
    return Payment(**{**base, **changes})


def stored(reader: httpx.Client, payment: Payment) -> dict[str, Any]:
    """The payment as the service has it now, held against the document."""
    answer = reader.get(f"/payments/{payment.payment_id}")
    assert 200 == answer.status_code, answer.text
    body: dict[str, Any] = answer.json()
    check(DOCUMENT["components"]["schemas"]["Payment"], body)
    return body


def history(reader: httpx.Client, payment: Payment) -> list[int]:
    """The versions of the payment that were applied, in order."""
    items = reader.get(f"/payments/{payment.payment_id}/history").json()["items"]
    return [it["version"] for it in items]


def play(control: httpx.Client, **faults: Any) -> None:
    """Replace all faults; without any, the service is well."""
    assert 200 == control.put("/faults", json=faults).status_code


async def test_what_is_recorded_can_be_read(records: DbService, reader: httpx.Client) -> None:
    """Every field of the snapshot arrives as the document names it; a time of any zone arrives in UTC."""
    payment = captured()
    await records.record(Snapshot(payment), occurred_at=AT.astimezone(timezone(timedelta(hours=5))))
    expected = {
        "payment_id": payment.payment_id,
        "order_id": payment.order_id,
        "user_id": payment.user_id,
        "amount_minor": 1999,
        "currency": "USD",
        "payment_status": "success",
        "state": "captured",
        "authorised_minor": 1999,
        "captured_minor": 1999,
        "refunded_minor": 0,
        "version": 1,
        "occurred_at": "2026-03-01T12:00:00.123456Z",
        "payment_method": {"kind": "card", "brand": "Visa", "last4": "1111"},
        "transaction_id": "60198",
        "reason_code": "1",
        "reason_text": "This transaction has been approved.",
        "advice": "hard",
        "expires_at": None,
        "marks": [],
        "request": None,
    }
    assert expected == stored(reader, payment)


@pytest.mark.parametrize("state", list(PaymentState))
async def test_every_state_can_be_recorded(
    records: DbService, reader: httpx.Client, state: PaymentState
) -> None:
    """The contract has a place for each state of ours."""
    payment = captured(state=state)
    await records.record(Snapshot(payment), occurred_at=AT)
    there = stored(reader, payment)
    assert (state.value, payment.status.value) == (there["state"], there["payment_status"])


async def test_what_is_empty_is_null(records: DbService, reader: httpx.Client) -> None:
    """A payment without means, reason and transaction id has nulls there, not empty texts."""
    payment = Payment("pay-bare", "ord-bare", "usr-bare", Money(5, "JPY"), version=1)
    await records.record(Snapshot(payment), occurred_at=AT)
    there = stored(reader, payment)
    names = ("payment_method", "transaction_id", "reason_code", "reason_text", "advice")
    assert [None] * 5 == [there[name] for name in names]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("ü" * 300, "ü" * 255),
        ("nul \0 inside", "nul  inside"),
        ("half a pair \ud800", "half a pair ?"),
        ("\0", None),
    ],
)
async def test_any_text_of_a_gateway_fits(
    records: DbService, reader: httpx.Client, text: str, kept: str | None
) -> None:
    """A text that the contract has no room for is cut or cleaned; it never holds up the payment."""
    reason = Reason("E" * 300, text, Advice.FIX)
    payment = captured(reason=reason, method=Method("", text, "XXXX1111"))
    await records.record(Snapshot(payment), occurred_at=AT)
    there = stored(reader, payment)
    assert ("E" * 255, kept) == (there["reason_code"], there["reason_text"])
    assert {"kind": "", "brand": kept, "last4": None} == there["payment_method"]


async def test_repeats_are_success_and_newer_versions_replace(
    records: DbService, reader: httpx.Client
) -> None:
    """The same again changes nothing; under an older version it is to be told under the one that is there."""
    payment = captured(version=2)
    assert await records.record(Snapshot(payment), occurred_at=AT) is None
    assert await records.record(Snapshot(payment), occurred_at=AT) is None
    assert Ahead(1) == await records.record(Snapshot(replace(payment, version=1)), occurred_at=AT)
    assert 2 == stored(reader, payment)["version"]
    await records.record(Snapshot(replace(payment, version=3)), occurred_at=AT)
    assert 3 == stored(reader, payment)["version"]


async def test_same_version_with_other_texts_is_success(
    records: DbService, reader: httpx.Client
) -> None:
    """After a restored journal the gateway may word it otherwise, later: the payment is recorded all the same."""
    payment = captured()
    await records.record(Snapshot(payment), occurred_at=AT)
    again = replace(payment, reason=Reason("1", "Approved.", Advice.SOFT), method=Method("card"))
    await records.record(Snapshot(again), occurred_at=AT + timedelta(hours=1))
    assert "This transaction has been approved." == stored(reader, payment)["reason_text"]


async def test_other_news_under_a_version_that_is_taken_must_outrun_it(records: DbService) -> None:
    """Told in time that the journal lost: the news goes under the next version, which is then stored."""
    payment = captured(version=3)
    await records.record(Snapshot(payment), occurred_at=AT)
    for version in (1, 3):
        other = replace(payment, version=version, state=PaymentState.DECLINED, captured_minor=0)
        assert Ahead(3) == await records.record(Snapshot(other), occurred_at=AT)
    assert await records.record(Snapshot(replace(other, version=4)), occurred_at=AT) is None


async def test_another_payment_under_our_id_needs_a_person(records: DbService) -> None:
    """Whose payment it is never changes: that is told with what differs, and holds up nobody else."""
    payment = captured()
    await records.record(Snapshot(payment), occurred_at=AT)
    with pytest.raises(Unavailable) as caught:
        await records.record(Snapshot(replace(payment, order_id="ord-other")), occurred_at=AT)
    assert f"payment {payment.payment_id} version 1 is stored there" in str(caught.value)
    assert "other order_id:" in str(caught.value)
    await records.record(Snapshot(captured()), occurred_at=AT)
    assert records.available


async def test_a_payment_that_breaks_the_contract_fails_alone(
    records: DbService, reader: httpx.Client
) -> None:
    """Version 0 is refused by name; what went in the same batch is stored."""
    good = [captured() for _ in range(20)]
    bad = captured(version=0)
    told = await asyncio.gather(
        *[records.record(Snapshot(one), occurred_at=AT) for one in (*good, bad)],
        return_exceptions=True,
    )
    assert [None] * 20 == told[:20]
    assert isinstance(told[20], Unavailable)
    assert f"payment {bad.payment_id} version 0 (field version)" in str(told[20])
    assert all(1 == stored(reader, one)["version"] for one in good)
    assert records.available


async def test_all_versions_of_a_payment_arrive_in_order(
    records: DbService, reader: httpx.Client
) -> None:
    """Versions recorded at once are all in the history, none overtaken by a later one."""
    payments = [captured() for _ in range(30)]
    versions = [replace(one, version=v) for v in (4, 2, 3, 1) for one in payments]
    await asyncio.gather(*[records.record(Snapshot(one), occurred_at=AT) for one in versions])
    assert all([1, 2, 3, 4] == history(reader, one) for one in payments)


async def test_lost_answers_are_asked_for_again(
    hasty: DbService, reader: httpx.Client, control: httpx.Client
) -> None:
    """Writes whose answer was lost are repeated until they are answered; each is stored once."""
    play(control, lost_answer_p=0.3)
    payments = [captured() for _ in range(200)]
    left = payments
    for _ in range(60):  # as the worker does with what could not be recorded
        told = await asyncio.gather(
            *[hasty.record(Snapshot(one), occurred_at=AT) for one in left], return_exceptions=True
        )
        left = [one for one, said in zip(left, told, strict=True) if said is not None]
        if not left:
            break
        await asyncio.sleep(0.1)
    assert [] == left
    play(control)
    assert all([1] == history(reader, one) for one in payments)


@pytest.mark.parametrize("fault", [{"down": True}, {"hang": True}])
async def test_a_bad_day_ends_by_itself(
    hasty: DbService, control: httpx.Client, fault: dict[str, Any]
) -> None:
    """While the service is down or silent each record ends in time and the breaker opens; then work goes on."""
    play(control, **fault)
    began_s = time.monotonic()
    told = await asyncio.gather(
        *[hasty.record(Snapshot(captured()), occurred_at=AT) for _ in range(100)],
        return_exceptions=True,
    )
    assert time.monotonic() - began_s < len(told) * TIMEOUT_S / 4  # not one after the other
    assert all(isinstance(said, Unavailable) for said in told)
    closed = hasty.available
    assert not closed
    play(control)
    await until(lambda: hasty.available)
    shown = hasty.answers  # one may try, which is no answer yet
    assert not shown
    await hasty.record(Snapshot(captured()), occurred_at=AT)
    assert hasty.answers
    await asyncio.gather(*[hasty.record(Snapshot(captured()), occurred_at=AT) for _ in range(100)])


async def test_probe_tells_what_is_wrong(ready: dict[str, str], records: DbService) -> None:
    """Good address and token: nothing to say. A wrong token is named without being shown."""
    assert "" == await records.probe()
    wrong = DbService(settings(ready["url"], token=Secret("not-the-token")))
    said = await wrong.probe()
    assert "HTTP 401: check the token" in said
    with pytest.raises(Unavailable, match="check the token") as caught:
        await wrong.record(Snapshot(captured()), occurred_at=AT)
    assert "not-the-token" not in f"{caught.value} {said}"
    assert not wrong.available
    await wrong.aclose()
    astray = DbService(settings(ready["url"] + "/nowhere"))
    assert "check the address" in await astray.probe()
    await astray.aclose()
