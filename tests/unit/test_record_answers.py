"""What the db-service's answers mean for a payment and for the breaker; settings and certificates.

How calls are gathered and tried again is shown in `test_record_batches.py`.
"""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

from db_client.service import DbService
from handlers.domain.errors import InvalidValueError, Unavailable
from handlers.domain.secret import Secret
from handlers.ports import Recorded
from tests.doubles.values import operation
from tests.unit.scripted_service import (
    SECRET_BODY,
    TOKEN,
    Request,
    accept,
    both,
    captured,
    refunding,
    scripted,
    settings,
    tell,
    tell_all,
)


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_token_opens_the_breaker_at_once(status: int) -> None:
    """A token that is refused once is refused always: no second try, and the text says what to look at."""

    async def refuse(request: Request) -> None:
        await request.say(status, SECRET_BODY)

    async with both(refuse) as (service, client):
        told = await tell(client, captured("pay-1"))
        assert "check the token" in told
        assert not client.available
        assert 1 == len(service.posts)
        assert "check the token" in await client.probe()


@pytest.mark.parametrize("status", [302, 404])
async def test_a_wrong_address_is_named_and_no_redirect_followed(status: int) -> None:
    """An address that is not the db-service's says so, and gets the token once."""

    async def lead_astray(request: Request) -> None:
        await request.say(status, b"", headers="location: /elsewhere\r\n")

    async with both(lead_astray) as (service, client):
        assert "check the address" in await tell(client, captured("pay-1"))
        assert 1 == len(service.posts)
        assert [] == service.gets


async def test_a_bad_payment_stops_nobody_else() -> None:
    """An item that is refused as invalid fails alone, names its field, and leaves the breaker closed."""

    async def refuse_one(request: Request) -> None:
        problem = {"code": "invalid", "field": "body.reason_text", "rule": "not-for-texts"}
        told = [
            {"status": 422, "problem": problem} if key == "pay-1" else {"status": 200}
            for key, _ in request.items
        ]
        await request.say(200, {"results": told})

    async with both(refuse_one, breaker_after=1) as (_, client):
        told = await tell_all(client, 3)
        assert ["", ""] == [told[0], told[2]]
        assert "payment pay-1 version 1 (field reason_text)" in told[1]
        assert "not-for-texts" not in told[1]
        assert client.available


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_refused_batch_is_halved_until_the_bad_one_stands_alone(status: int) -> None:
    """Where a whole batch is refused for one payment's sake, its neighbours are recorded all the same."""

    async def refuse_whole(request: Request) -> None:
        if any(key == "pay-3" for key, _ in request.items):
            await request.say(status, SECRET_BODY)
        else:
            await request.accept()

    async with both(refuse_whole, breaker_after=1) as (_, client):
        told = await tell_all(client, 8)
        assert [3] == [n for n, text in enumerate(told) if text]
        assert "openapi.yaml" in told[3]
        assert client.available


def stored(**changes: Any) -> dict[str, Any]:
    """What the service has of `captured("pay-1")`."""
    return {
        "payment_id": "pay-1",
        "order_id": "ord-pay-1",
        "user_id": "usr-1",
        "amount_minor": 1999,
        "currency": "USD",
        "payment_status": "success",
        "state": "captured",
        "authorised_minor": 1999,
        "captured_minor": 1999,
        "refunded_minor": 0,
        "version": 1,
        "transaction_id": "60198",
        "reason_text": "told otherwise",
    } | changes


@pytest.mark.parametrize(
    ("there", "why"),
    [
        (stored(), ""),
        (stored(version=2), "Ahead(version=1)"),
        (stored(version=2, state="settled"), "Ahead(version=2)"),
        (stored(state="declined", payment_status="failure"), "Ahead(version=1)"),
        (stored(captured_minor=1), "Ahead(version=1)"),
        (stored(transaction_id=None), "Ahead(version=1)"),
        (stored(order_id="ord-2"), "other order_id:"),
        ({"leak": "not-for-texts"}, "could not be read"),
    ],
)
async def test_a_version_conflict_is_judged_by_what_is_there(
    there: dict[str, Any], why: str
) -> None:
    """Success where only texts and times differ; other news must outrun it; another payment is named."""

    async def conflict(request: Request) -> None:
        if request.method == "GET":
            await request.say(200, there)
        else:
            await request.say_each((409, "version_conflict"))

    async with both(conflict, breaker_after=2) as (service, client):
        told = await tell(client, captured("pay-1"))
        assert why in told
        assert bool(why) == bool(told)
        assert not told or "Ahead" in told or "payment pay-1 version 1" in told
        assert "/payments/pay-1" == service.gets[0]
        assert client.available


def stored_refund(**changes: Any) -> dict[str, Any]:
    """What the service has of `refunding("ref-1")` of `captured("pay-1")`."""
    return {
        "refund_id": "ref-1",
        "payment_id": "pay-1",
        "amount_minor": 500,
        "currency": "USD",
        "refund_status": "initiated",
        "state": "deferred",
        "version": 1,
        "reason_text": "told otherwise",
    } | changes


OURS: dict[str, Any] = {
    "request": {"kind": "refund", "request_id": "ref-1", "state": "deferred", "new": 1}
}


@pytest.mark.parametrize(
    ("payment", "refund", "why"),
    [
        (stored(**OURS), stored_refund(), ""),
        (stored(**OURS, version=3), stored_refund(version=3), "Ahead(version=2)"),
        (stored(), stored_refund(), "Ahead(version=1)"),
        (stored(**OURS), stored_refund(version=2), "Ahead(version=1)"),
        (stored(version=7), stored_refund(version=5), "Ahead(version=7)"),
        (stored(version=7), stored_refund(amount_minor=1), "refund ref-1 version 1 is stored"),
        (stored(user_id="usr-2"), stored_refund(currency="EUR"), "other user_id, request: compare"),
        (stored(**OURS), {"leak": "not-for-texts"}, "refund ref-1 version 1 is stored"),
    ],
)
async def test_a_refund_and_its_payment_are_judged_together(
    payment: dict[str, Any], refund: dict[str, Any], why: str
) -> None:
    """A person's case comes first, then the higher of the two versions; recorded is only what both agree on."""

    async def conflict(request: Request) -> None:
        if request.method == "GET":
            await request.say(200, payment if "payments" in request.path else refund)
        else:
            await request.say_each((409, "version_conflict"), (409, "older_version"))

    async with both(conflict) as (service, client):
        told = await tell(client, captured("pay-1"), request=refunding("ref-1"))
        assert why in told
        assert bool(why) == bool(told)
        assert "not-for-texts" not in told
        assert ["/payments/pay-1", "/refunds/ref-1"] == sorted(set(service.gets))
        assert client.available


async def test_only_the_part_that_conflicts_is_asked_for() -> None:
    """The payment is stored already, its refund holds other news: that decides."""

    async def conflict(request: Request) -> None:
        if request.method == "GET":
            await request.say(200, stored_refund(state="failed", refund_status="failed", version=4))
        else:
            await request.say_each((200, ""), (409, "older_version"))

    async with both(conflict) as (service, client):
        told = await tell(client, captured("pay-1"), request=refunding("ref-1"))
        assert "Ahead(version=4)" == told
        assert ["/refunds/ref-1"] == service.gets


async def test_a_404_that_is_not_the_services_own_proves_no_absence() -> None:
    """A suspect that looked unknown would be sent again: a proxy's 404 is a wrong address instead."""
    answers = iter([(404, b"<html>"), (404, b'{"code":"not_found"}'), (200, stored())])

    async def say(request: Request) -> None:
        await request.say(*next(answers))

    async with both(say, breaker_after=2) as (_, client):
        with pytest.raises(Unavailable, match="check the address"):
            await client.recorded(operation())
        assert Recorded.NOTHING is await client.recorded(operation())
        assert Recorded.SOMETHING is await client.recorded(operation())


async def test_a_slow_question_does_not_free_a_lane_that_is_not_its_own() -> None:
    """While one payment of a batch is still asked for, its neighbour's next versions go out one by one all the same."""
    flying: list[int] = []

    async def treat(request: Request) -> None:
        if request.method == "GET":
            await asyncio.sleep(0.1)
            await request.say(200, stored())
        elif len(request.items) == 2:
            await request.say_each((409, "version_conflict"), (200, ""))
        else:
            flying.append(request.items[0][1])
            assert 1 == len(flying)
            await asyncio.sleep(0.15)  # past the end of the question
            flying.clear()
            await request.accept()

    async with both(treat, patience_s=0.01, connections=4) as (service, client):
        first = [tell(client, captured("pay-1")), tell(client, captured("pay-2"))]
        batch = asyncio.gather(*first)
        await asyncio.sleep(0.05)
        later = [tell(client, captured("pay-2", version=v)) for v in (2, 3)]
        assert ["", ""] == await asyncio.gather(*later)
        assert ["", ""] == await batch
        assert [[("pay-2", 2)], [("pay-2", 3)]] == service.posts[1:]


async def test_other_answers_for_an_item() -> None:
    """A status that the contract does not know is told, and stops nobody."""

    async def answer(request: Request) -> None:
        await request.say_each((200, ""), (409, "other"), (500, ""))

    async with both(answer, breaker_after=1) as (_, client):
        newer, other, broken = await tell_all(client, 3)
        assert "" == newer
        assert "it answered 409 for payment pay-1" in other
        assert "it answered 500 for payment pay-2" in broken
        assert client.available


async def test_certificates_are_verified(tmp_path: Path) -> None:
    """Over TLS the authority of `ca_file` is believed, and no other."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    async with scripted(accept, tls=tls) as service:
        trusting = DbService(settings(service.url, ca_file=tmp_path / "ca.pem"))
        assert "" == await tell(trusting, captured("pay-1"))
        await trusting.aclose()
        wary = DbService(settings(service.url))
        assert "CertificateError" in await tell(wary, captured("pay-2"))
        await wary.aclose()
        assert [[("pay-1", 1)]] == service.posts


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "ftp://127.0.0.1"},
        {"url": "http://user:word@127.0.0.1"},
        {"url": "http://127.0.0.1:99999"},
        {"url": "http://127.0.0.1/?x=1"},
        {"token": Secret("two\nlines-of-a-token")},
        {"token": Secret("")},
        {"batch": 251},
        {"connections": 0},
        {"look_ups": 0},
        {"order_cache_s": 61},
        {"order_cache_s": -1},
        {"order_cache_entries": 0},
        {"timeout_s": 0},
        {"give_up_s": 0.1},
    ],
)
def test_settings_check_themselves(changes: dict[str, Any]) -> None:
    """A wrong setting is refused by name, and a token is never in the text."""
    with pytest.raises(InvalidValueError, match=r"^db_service\.") as caught:
        settings(**{"url": "http://127.0.0.1:1", **changes})
    assert "lines-of-a-token" not in str(caught.value)
    assert TOKEN not in repr(settings("http://127.0.0.1:1"))
