"""How records are gathered into calls, tried again and held back: against a real server that dies in every way.

What single answers mean is shown in `test_record_answers.py`.
"""

import asyncio
import time

import pytest

from db_client.service import DbService
from handlers.domain.errors import Unavailable
from handlers.domain.payments import Snapshot
from tests.unit.scripted_service import (
    AT,
    SECRET_BODY,
    Behaviour,
    Request,
    accept,
    accept_slowly,
    both,
    captured,
    refunding,
    scripted,
    settings,
    tell,
    tell_all,
)
from tests.waiting import turns, until

SILENCE_S = 60.0
FIRST_OPEN_S = 1.0


class Held:
    """Accepts only once it is released."""

    def __init__(self) -> None:
        self.released = asyncio.Event()

    async def accept(self, request: Request) -> None:
        """All good, when the test says so."""
        await self.released.wait()
        await request.accept()


async def test_a_lone_record_leaves_at_once() -> None:
    """Idle, a record is one call with one item and waits for nobody."""
    async with both(accept, patience_s=20) as (service, client):
        began_s = time.monotonic()
        assert "" == await tell(client, captured("pay-1"))
        assert time.monotonic() - began_s < 20
        assert [[("pay-1", 1)]] == service.posts


async def test_a_burst_shares_calls() -> None:
    """Payments that come at once go in batches of the allowed size, on no more connections than allowed."""
    async with both(accept_slowly) as (service, client):
        assert [""] * 95 == await tell_all(client, 95)
        assert 10 == max(map(len, service.posts))
        assert 10 == len(service.posts)
        assert 2 == service.most_under_way


async def test_a_refund_goes_with_its_payment_in_one_call() -> None:
    """Payments count for the size of a call, whether they bring a refund or not, and never part from it."""
    async with both(accept_slowly, batch=5, connections=1) as (service, client):
        told = [
            tell(client, captured(f"pay-{n}"), request=refunding(f"ref-{n}")) for n in range(12)
        ]
        assert [""] * 12 == await asyncio.gather(*told)
        assert [10, 10, 4] == list(map(len, service.posts))
        assert [("pay-0", 1), ("ref-0", 1), ("pay-1", 1)] == service.posts[0][:3]


async def test_what_arrives_meanwhile_goes_into_the_next_call() -> None:
    """Records that trickle in while a call is under way are gathered, not sent one by one."""
    held = Held()
    async with both(held.accept, patience_s=20) as (service, client):
        told = []
        for n in range(12):
            told.append(asyncio.create_task(tell(client, captured(f"pay-{n}"))))
            await turns()
        held.released.set()
        assert [""] * 12 == await asyncio.gather(*told)
        assert 3 == len(service.posts)


async def test_nobody_waits_behind_a_slow_call() -> None:
    """A call that takes longer than the patience does not hold up a lone record that comes after it."""
    held = Held()

    async def hang_on_the_first(request: Request) -> None:
        if request.items[0][0] == "pay-slow":
            await held.released.wait()
        await request.accept()

    async with both(hang_on_the_first, patience_s=0.02) as (service, client):
        slow = asyncio.create_task(tell(client, captured("pay-slow")))
        await until(lambda: 1 == service.under_way)
        assert "" == await tell(client, captured("pay-quick"))
        assert not slow.done()
        held.released.set()
        assert "" == await slow


async def test_one_payment_is_never_twice_in_flight() -> None:
    """Versions of one payment go out one after the other, lowest first, whatever their order of arrival."""
    async with both(accept_slowly, connections=4, patience_s=0.001) as (service, client):
        versions = (1, 5, 3, 2, 4)
        told = [tell(client, captured("pay-1", version=v)) for v in versions]
        assert [""] * 5 == await asyncio.gather(*told)
        assert [[("pay-1", v)] for v in sorted(versions)] == service.posts
        assert 1 == service.most_under_way


async def test_a_caller_that_leaves_takes_its_record_along() -> None:
    """A record whose caller was cancelled while it waited is not sent, and holds up nothing."""
    held = Held()
    async with both(held.accept) as (service, client):
        first = asyncio.create_task(tell(client, captured("pay-1")))
        await until(lambda: 1 == service.under_way)
        second = asyncio.create_task(tell(client, captured("pay-1", version=2)))
        await asyncio.sleep(0)
        second.cancel()
        held.released.set()
        assert "" == await first
        assert "" == await tell(client, captured("pay-1", version=3))
        assert [[("pay-1", 1)], [("pay-1", 3)]] == service.posts


async def reset_it(request: Request) -> None:
    """Reset the connection after the request was read."""
    request.reset()


async def say_500(request: Request) -> None:
    """Fail, with a body that no text may carry."""
    await request.say(500, SECRET_BODY)


async def say_429(request: Request) -> None:
    """Ask to be left alone for much longer than the client will."""
    await request.say(429, SECRET_BODY, headers="retry-after: 3600\r\n")


async def say_garbage(request: Request) -> None:
    """Answer 200 with something that is no answer."""
    await request.say(200, SECRET_BODY)


async def say_no_json(request: Request) -> None:
    """Answer 200 with bytes that are no JSON."""
    await request.say(200, b"\xff<html>")


async def say_too_little(request: Request) -> None:
    """Answer for fewer items than were sent."""
    await request.say_each()


async def say_half(request: Request) -> None:
    """Promise more bytes than come, then hang up."""
    request.writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{")
    await request.writer.drain()
    request.reset()


async def say_no_http(request: Request) -> None:
    """Answer with something that is no HTTP."""
    request.writer.write(b"not-for-texts\r\n\r\n")
    await request.writer.drain()


async def trickle(request: Request) -> None:
    """Send a byte now and then, for ever: no read ever times out by itself."""
    request.writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
    while True:
        request.writer.write(b" ")
        await request.writer.drain()
        await asyncio.sleep(0.02)


async def flood(request: Request) -> None:
    """Send an answer without an end."""
    request.writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
    while True:
        request.writer.write(b" " * 65536)
        await request.writer.drain()


async def say_nothing(_: Request) -> None:
    """Silence."""
    await asyncio.sleep(SILENCE_S)


DEATHS = [
    (reset_it, "the connection to"),
    (say_500, "HTTP 500"),
    (say_429, "HTTP 429"),
    (say_garbage, "could not be read"),
    (say_no_json, "could not be read"),
    (say_too_little, "it answered for 0 of"),
    (say_half, "the connection to"),
    (say_no_http, "the connection to"),
    (trickle, "no whole answer within"),
    (flood, ""),
    (say_nothing, "no whole answer within"),
]
SILENT = {trickle, flood, say_nothing}
HASTY = {"timeout_s": 0.5}


@pytest.mark.parametrize(("death", "why"), DEATHS, ids=[death.__name__ for death, _ in DEATHS])
async def test_every_death_is_tried_again_then_told(death: Behaviour, why: str) -> None:
    """Whatever the server does, every record ends within its bound, after more than one try, and quotes nothing."""
    short = HASTY if death in SILENT else {}
    async with both(death, **short) as (service, client):
        began_s = time.monotonic()
        told = await tell_all(client, 15)
        assert time.monotonic() - began_s < SILENCE_S / 2
        assert all(why in text for text in told), told
        assert not any("not-for-texts" in text for text in told)
        assert all(told)
        assert len(service.posts) >= 2


@pytest.mark.parametrize("death", [it for it, _ in DEATHS], ids=[it.__name__ for it, _ in DEATHS])
async def test_one_death_is_survived(death: Behaviour) -> None:
    """A single misdeed costs another try and nothing more."""
    seen = []

    async def die_once(request: Request) -> None:
        seen.append(request)
        await (death if len(seen) == 1 else accept)(request)

    short = {"timeout_s": 2.0} if death in SILENT else {}
    async with both(die_once, **short) as (_, client):
        assert "" == await tell(client, captured("pay-1"))
        assert client.available


async def test_refused_and_dropped_connections_are_unavailable() -> None:
    """Nobody listening, and somebody who drops each connection before reading: both are told within the bound."""
    async with both(accept) as (service, client):
        service.drops_connections = True
        assert "the connection to" in await tell(client, captured("pay-1"))
    client = DbService(settings(service.url))
    assert "the connection to" in await tell(client, captured("pay-1"))
    assert "the connection to" in await client.probe()
    await client.aclose()


def turned_away(client: DbService) -> bool:
    """Whether the breaker is open now (asked anew: the type checker must not remember the answer)."""
    return not client.available


async def test_breaker_opens_and_one_probe_closes_it() -> None:
    """After failures in a row records fail at once without a call; then a single call tries, and all is well."""
    opens = {"breaker_first_open_s": FIRST_OPEN_S, "breaker_longest_open_s": 2 * FIRST_OPEN_S}
    async with both(say_500, connections=1, **opens) as (service, client):
        for _ in range(3):
            assert not turned_away(client)
            await tell(client, captured("pay-1"))
        assert turned_away(client)
        calls = len(service.posts)
        assert "HTTP 500; tried again in" in await tell(client, captured("pay-1"))
        assert calls == len(service.posts)
        await until(lambda: not turned_away(client))
        assert "HTTP 500" in await tell(client, captured("pay-1"))
        assert calls + 1 == len(service.posts)  # the probe gets one try
        opened_s = time.monotonic()
        await until(lambda: not turned_away(client))
        assert time.monotonic() - opened_s > FIRST_OPEN_S  # open for longer each time
        held = Held()
        service.behaviour = held.accept
        trying = asyncio.create_task(tell(client, captured("pay-1")))
        await until(lambda: 1 == service.under_way)
        assert turned_away(client)
        assert "tried again" in await tell(client, captured("pay-2"))
        held.released.set()
        assert "" == await trying
        assert not turned_away(client)
        assert [""] * 30 == await tell_all(client, 30)


async def test_an_opening_breaker_frees_who_waits() -> None:
    """Records that still wait in line when the breaker opens are told at once, not one time-out later."""
    hasty = {"timeout_s": 1.0, "breaker_first_open_s": 20.0, "breaker_longest_open_s": 20.0}
    async with both(say_nothing, breaker_after=1, tries=1, connections=1, **hasty) as (
        service,
        client,
    ):
        began_s = time.monotonic()
        told = await tell_all(client, 40)
        assert time.monotonic() - began_s < 4 * hasty["timeout_s"]  # what four calls would take
        assert all(told)
        assert 1 == len(service.posts)


async def test_closing_frees_everyone() -> None:
    """Closing tells those who wait and those in flight; afterwards nothing starts."""
    async with both(say_nothing, connections=1) as (service, client):
        told = [asyncio.create_task(tell(client, captured(f"pay-{n}"))) for n in range(30)]
        await until(lambda: 1 == service.under_way)
        await client.aclose()
        assert ["its client was closed"] * 30 == await asyncio.gather(*told)
        assert not client.available
        with pytest.raises(Unavailable, match="closed"):
            await client.record(Snapshot(captured("pay-1")), occurred_at=AT)


async def test_each_try_is_observed() -> None:
    """The observer hears of every try with its end."""
    heard = []

    def observe(call: str, *, verdict: str, latency_s: float) -> None:
        heard.append((call, verdict, latency_s >= 0))

    async with scripted(say_500) as service:
        client = DbService(settings(service.url, tries=2), observe=observe)
        await tell(client, captured("pay-1"))
        service.behaviour = accept
        assert "" == await client.probe()
        await client.aclose()
    assert [("outcomes", "failed", True)] * 2 + [("probe", "heard", True)] == heard
