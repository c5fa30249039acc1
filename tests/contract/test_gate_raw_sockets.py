"""Every way in which a connection can die after the gate, over real sockets: the verdict, and what arrived.

Wherever a byte may have arrived it is Unknown, and no request ever arrives twice. What is kept back before the gate is
in `test_gate_unsent.py`.
"""

import asyncio

import aiohttp
import pytest

from handlers.domain.verdicts import Approved, Unknown
from tests.contract.gateway_fixtures import (
    APPROVAL,
    CHARGE,
    approve,
    client,
    keep_silent,
    send_once,
    server_error,
    settings,
)
from tests.contract.raw_server import Behaviour, Connection, http, raw_server
from tests.waiting import turns, until

DEADLINE_S = 20.0
SILENCE_S = (
    1.5  # the deadline where it has to pass: long enough for a busy machine to send within it
)
EVERY_S = 0.1


async def reset_before_reading(connection: Connection) -> None:
    """Reset when the first byte is there, without reading any."""
    await connection._reader.read(1)
    connection.reset()


async def reset_while_reading(connection: Connection) -> None:
    """Reset in the middle of the request's head."""
    await connection.some(50)
    connection.reset()


async def reset_after_reading(connection: Connection) -> None:
    """Read it all, then reset."""
    await connection.request()
    connection.reset()


async def close_after_reading(connection: Connection) -> None:
    """Read it all, then close without a word."""
    await connection.request()


async def trickle(connection: Connection) -> None:
    """Answer a byte at a time, each well within any read timeout."""
    await connection.request()
    for byte in http(APPROVAL):
        await connection.say(bytes([byte]))
        await asyncio.sleep(EVERY_S)


async def trickle_head(connection: Connection) -> None:
    """The same, without ever ending the head."""
    await connection.request()
    await connection.say(b"HTTP/1.1 200 OK\r\n")
    while True:
        await connection.say(b"x: y\r\n")
        await asyncio.sleep(EVERY_S)


async def half_an_answer(connection: Connection) -> None:
    """Claim the whole length, send half of it."""
    await connection.request()
    await connection.say(http(APPROVAL[: len(APPROVAL) // 2], length=len(APPROVAL)))


async def half_without_length(connection: Connection) -> None:
    """Half a body of unknown length, ended by closing."""
    await connection.request()
    await connection.say(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + APPROVAL[:80])


async def no_http(connection: Connection) -> None:
    """Answer something that is no HTTP."""
    await connection.request()
    await connection.say(b"\x00\xffSSH-2.0-nonsense\r\n\r\n")


async def no_json(connection: Connection) -> None:
    """A maintenance page with status 200."""
    await connection.request()
    await connection.say(http(b"<html>back soon</html>"))


async def bad_zip(connection: Connection) -> None:
    """A body that claims a compression which it has not."""
    await connection.request()
    await connection.say(
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nabcd"
    )


async def redirect(connection: Connection) -> None:
    """HTTP 307 to itself: followed, it would post a second time."""
    await connection.request()
    await connection.say(
        b"HTTP/1.1 307 Temporary Redirect\r\nlocation: /again\r\ncontent-length: 0\r\n\r\n"
    )
    await connection.request()


async def early_error(connection: Connection) -> None:
    """Answer before the request was read."""
    await connection.some(10)
    await connection.say(http(b"", status="503 Service Unavailable"))
    await connection.rest()


AFTER_THE_GATE: list[tuple[Behaviour, int]] = [
    (reset_before_reading, 0),
    (reset_while_reading, 0),
    (reset_after_reading, 1),
    (close_after_reading, 1),
    (keep_silent, 1),
    (trickle, 1),
    (trickle_head, 1),
    (half_an_answer, 1),
    (half_without_length, 1),
    (no_http, 1),
    (no_json, 1),
    (bad_zip, 1),
    (server_error, 1),
    (redirect, 1),
    (early_error, 0),
]
SILENT = {keep_silent, trickle, trickle_head}


async def test_a_working_gateway_answers() -> None:
    """The control: over the same server a good answer is an approval, and the request arrived once."""
    async with raw_server(approve) as heard:
        answer = await send_once(heard.url)
    assert isinstance(answer.verdict, Approved)
    assert heard.requests == 1


@pytest.mark.parametrize(
    ("behaviour", "whole"), AFTER_THE_GATE, ids=lambda value: getattr(value, "__name__", "")
)
async def test_after_the_gate_everything_is_unknown(behaviour: Behaviour, whole: int) -> None:
    """Once the gate let a call pass, no fault is anything but Unknown, and no request arrives twice."""
    async with raw_server(behaviour) as heard:
        deadline_s = SILENCE_S if behaviour in SILENT else DEADLINE_S
        answer = await send_once(heard.url, unsent_attempts=3, total_deadline_s=deadline_s)
        await turns()
    assert isinstance(answer.verdict, Unknown)
    assert answer.verdict.reason.code.startswith("worker.")
    assert heard.requests == whole
    assert heard.connections == 1


async def test_the_whole_call_ends_with_its_deadline() -> None:
    """A trickle cannot stretch a call past its total deadline."""
    async with raw_server(trickle) as heard:
        answer = await send_once(heard.url, total_deadline_s=SILENCE_S)
    assert isinstance(answer.verdict, Unknown)
    assert "worker.no_answer" == answer.verdict.reason.code
    assert SILENCE_S <= answer.latency_s < len(http(APPROVAL)) * EVERY_S / 2


async def test_connections_are_used_again() -> None:
    """Two charges one after the other use one connection."""
    async with raw_server(approve) as heard, client(settings(heard.url)) as gateway:
        await gateway.send(CHARGE)
        await gateway.send(CHARGE)
    assert heard.connections == 1
    assert heard.requests == 2


async def test_a_connection_closed_between_calls_is_replaced() -> None:
    """The server closed the kept connection while nobody used it: the next call goes over a new one, once."""

    async def answer_and_close(connection: Connection) -> None:
        await connection.request()
        await connection.say(http(APPROVAL))

    async with raw_server(answer_and_close) as heard, client(settings(heard.url)) as gateway:
        await gateway.send(CHARGE)
        await turns()
        answer = await gateway.send(CHARGE)
    assert isinstance(answer.verdict, Approved)
    assert heard.requests == 2


async def test_a_connection_closed_under_the_second_call_is_never_retried() -> None:
    """The kept connection dies when the second request comes: Unknown, and no second try on a new connection."""

    async def answer_once(connection: Connection) -> None:
        await connection.request()
        await connection.say(http(APPROVAL))
        await connection.some(1)
        connection.reset()

    async with (
        raw_server(answer_once) as heard,
        client(settings(heard.url, unsent_attempts=3)) as gateway,
    ):
        await gateway.send(CHARGE)
        answer = await gateway.send(CHARGE)
    assert isinstance(answer.verdict, Unknown)
    assert heard.requests == 1
    assert heard.connections == 1


async def test_the_gate_stops_a_retry_below_us(monkeypatch: pytest.MonkeyPatch) -> None:
    """Should aiohttp ever retry POST on a dead connection, the second pass is refused: Unknown, arrived once."""
    retried = aiohttp.client.IDEMPOTENT_METHODS | {"POST"}
    monkeypatch.setattr(aiohttp.client, "IDEMPOTENT_METHODS", retried)

    async with raw_server(reset_after_reading) as heard:
        answer = await send_once(heard.url)
        await turns()
    assert isinstance(answer.verdict, Unknown)
    assert heard.connections == 2  # it did try
    assert heard.requests == 1
    assert len(heard.bodies) == 1


async def test_cancellation_goes_through() -> None:
    """A caller that is cancelled is cancelled: no verdict is made up, and the connection is not used again."""
    async with (
        raw_server(keep_silent) as heard,
        client(settings(heard.url)) as gateway,
    ):
        sending = asyncio.create_task(gateway.send(CHARGE))
        await until(lambda: heard.requests == 1)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
    assert heard.requests == 1


async def test_no_error_shows_what_was_sent() -> None:
    """Neither verdict nor evidence of a failed call holds a credential or the token."""

    async def echo(connection: Connection) -> None:
        body = await connection.request()
        await connection.say(b"HTTP/1.1 200 " + body + b"\r\n" + body + b"\r\n\r\n" + body)

    async with raw_server(echo) as heard:
        answer = await send_once(heard.url)
    for secret in ("5KP3u95bQpv", "346HZ32z3fP4hTG2", "eyJjb2RlIjoi"):
        assert secret not in repr(answer)
    assert isinstance(answer.verdict, Unknown)
