"""Every way in which a connection can die, over real sockets: the verdict, and what arrived at the other side.

Unsent is said only where not one byte of the request arrived; wherever a byte may have arrived it is Unknown; and no
request ever arrives twice.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme

from handlers.domain.errors import Unavailable
from handlers.domain.verdicts import Answer, Approved, NotSeen, Unknown, Unsent
from handlers.gateway.authorizenet.client import AuthorizeNet
from handlers.gateway.authorizenet.gate import Gate, GateClosedError
from handlers.gateway.authorizenet.settings import AuthorizeNetSettings
from tests.contract.gateway_fixtures import CHARGE, FixedLease, asked_now, settings
from tests.contract.raw_server import Behaviour, Connection, http, raw_server

APPROVAL = (
    b'\xef\xbb\xbf{"transactionResponse":{"responseCode":"1","authCode":"A1","transId":"60123456789",'
    b'"accountNumber":"XXXX1111","accountType":"Visa","messages":[{"code":"1","description":"Approved."}]},'
    b'"refId":"ABCDEFGHIJKLMNOPQRST","messages":{"resultCode":"Ok","message":[{"code":"I00001","text":"Ok."}]}}'
)


@asynccontextmanager
async def client(
    config: AuthorizeNetSettings, lease: FixedLease | None = None
) -> AsyncIterator[AuthorizeNet]:
    """An adapter that is closed at the end."""
    gateway = AuthorizeNet(config, lease=lease or FixedLease())
    try:
        yield gateway
    finally:
        await gateway.aclose()


async def send_once(url: str, **changes: Any) -> Answer:
    """What a charge sent to `url` comes to."""
    async with client(settings(url, **changes)) as gateway:
        return await gateway.send(CHARGE)


async def approve(connection: Connection) -> None:
    """A gateway that works, for as many requests as come."""
    while True:
        await connection.request()
        await connection.say(http(APPROVAL))


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


async def keep_silent(connection: Connection) -> None:
    """Read it all and never answer."""
    await connection.request()
    await connection.rest()


async def trickle(connection: Connection) -> None:
    """Answer a byte at a time, each well within any read timeout."""
    await connection.request()
    for byte in http(APPROVAL):
        await connection.say(bytes([byte]))
        await asyncio.sleep(0.1)


async def trickle_head(connection: Connection) -> None:
    """The same, without ever ending the head."""
    await connection.request()
    await connection.say(b"HTTP/1.1 200 OK\r\n")
    for _ in range(100):
        await connection.say(b"x: y\r\n")
        await asyncio.sleep(0.1)


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


async def server_error(connection: Connection) -> None:
    """HTTP 500 with an approval inside, which must not be believed."""
    await connection.request()
    await connection.say(http(APPROVAL, status="500 Internal Server Error"))


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
        answer = await send_once(heard.url, unsent_attempts=3)
        await asyncio.sleep(0.02)
    assert isinstance(answer.verdict, Unknown)
    assert answer.verdict.reason.code.startswith("worker.")
    assert heard.requests == whole
    assert heard.connections == 1


async def test_the_whole_call_ends_with_its_deadline() -> None:
    """A trickle cannot stretch a call past its total deadline."""
    async with raw_server(trickle) as heard:
        answer = await send_once(heard.url)
    assert answer.latency_s < 0.9


async def test_refused_is_unsent_and_tried_again() -> None:
    """A refused connection is surely not sent; it is tried again within the bounds, then told as Unsent."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        answer = await send_once(url, unsent_attempts=3)
    assert isinstance(answer.verdict, Unsent)


async def test_a_gateway_that_comes_back_is_reached_by_the_retry() -> None:
    """What was refused first is sent once when the gateway listens again."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    requests = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        await reader.readuntil(b"\r\n\r\n")
        requests += 1
        writer.write(http(APPROVAL))
        await writer.drain()
        await reader.read()
        writer.close()

    config = settings(
        f"http://127.0.0.1:{port}/",
        unsent_attempts=50,
        retry_first_wait_s=0.05,
        retry_longest_wait_s=0.1,
    )
    async with client(config) as gateway:
        sending = asyncio.create_task(gateway.send(CHARGE))
        await asyncio.sleep(0.15)
        server = await asyncio.start_server(serve, "127.0.0.1", port)
        answer = await sending
    server.close()
    await asyncio.sleep(0.02)
    assert isinstance(answer.verdict, Approved)
    assert requests == 1


async def test_a_name_that_does_not_resolve_is_unsent() -> None:
    """DNS failure: nothing was sent."""
    answer = await send_once("https://gateway.invalid/xml", total_deadline_s=2.0)
    assert isinstance(answer.verdict, Unsent)


def _tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    return context


def _pem(authority: trustme.CA, folder: Path) -> Path:
    path = folder / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


async def test_the_right_authority_is_trusted(tmp_path: Path) -> None:
    """The control: TLS with the authority that the settings name works."""
    authority = trustme.CA()
    async with raw_server(approve, tls=_tls(authority)) as heard:
        answer = await send_once(heard.url, ca_file=_pem(authority, tmp_path), total_deadline_s=2.0)
    assert isinstance(answer.verdict, Approved)


async def test_a_wrong_authority_is_unsent(tmp_path: Path) -> None:
    """A certificate of another authority: the handshake fails, not a byte of the request leaves."""
    async with raw_server(approve, tls=_tls(trustme.CA())) as heard:
        answer = await send_once(
            heard.url, ca_file=_pem(trustme.CA(), tmp_path), total_deadline_s=2.0
        )
    assert isinstance(answer.verdict, Unsent)
    assert heard.received == 0


async def test_a_handshake_that_breaks_is_unsent(tmp_path: Path) -> None:
    """A server that hangs up in the TLS handshake has not seen the request."""
    ca_file = _pem(trustme.CA(), tmp_path)

    async def hang_up(connection: Connection) -> None:
        await connection.some(20)

    async with raw_server(hang_up) as heard:
        url = heard.url.replace("http://", "https://")
        answer = await send_once(url, ca_file=ca_file)
    assert isinstance(answer.verdict, Unsent)
    assert heard.requests == 0


async def test_a_handshake_that_never_ends_is_unsent(tmp_path: Path) -> None:
    """A server that accepts and keeps silent in the handshake costs no more than the connect timeout."""
    ca_file = _pem(trustme.CA(), tmp_path)

    async with raw_server(Connection.rest) as heard:
        url = heard.url.replace("http://", "https://")
        answer = await send_once(url, ca_file=ca_file)
    assert isinstance(answer.verdict, Unsent)
    assert answer.latency_s < 0.6


async def test_waiting_for_a_connection_past_the_deadline_is_unsent() -> None:
    """A call that found no connection in the pool before its deadline was not sent; those before it are Unknown."""
    async with raw_server(keep_silent) as heard:
        config = settings(heard.url, in_flight=1, reads_in_flight=1)
        async with client(config) as gateway:
            answers = await asyncio.gather(
                gateway.send(CHARGE), gateway.send(CHARGE), gateway.send(CHARGE)
            )
    kinds = sorted(type(answer.verdict).__name__ for answer in answers)
    assert kinds == ["Unknown", "Unknown", "Unsent"]
    assert heard.requests == 2


async def test_a_short_lease_lets_not_a_byte_leave() -> None:
    """Where the lease does not outlive the call: Unsent, not tried again, zero bytes at the server."""
    async with raw_server(approve) as heard:
        config = settings(heard.url, unsent_attempts=5)
        async with client(config, FixedLease(left_s=0.55)) as gateway:
            answer = await gateway.send(CHARGE)
        await asyncio.sleep(0.02)
    assert isinstance(answer.verdict, Unsent)
    assert "lease" in answer.verdict.why
    assert heard.received == 0
    assert heard.connections == 1


async def test_a_lease_that_ends_on_a_kept_connection_lets_not_a_byte_leave() -> None:
    """The gate is asked for each call, also where the connection is open already."""
    lease = FixedLease()
    async with raw_server(approve) as heard, client(settings(heard.url), lease) as gateway:
        await gateway.send(CHARGE)
        before = heard.received
        lease.left_s = -1.0
        answer = await gateway.send(CHARGE)
        await asyncio.sleep(0.02)
    assert isinstance(answer.verdict, Unsent)
    assert before == heard.received


async def test_questions_need_no_lease() -> None:
    """A question moves no money: it passes under any lease."""
    async with (
        raw_server(approve) as heard,
        client(settings(heard.url), FixedLease(left_s=-1.0)) as gateway,
    ):
        finding = await gateway.find(asked_now())
    assert isinstance(finding, NotSeen)
    assert heard.requests == 1


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
        await asyncio.sleep(0.05)
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
        await asyncio.sleep(0.02)
    assert isinstance(answer.verdict, Unknown)
    assert heard.connections == 2  # it did try
    assert heard.requests == 1
    assert len(heard.bodies) == 1


async def test_cancellation_goes_through() -> None:
    """A caller that is cancelled is cancelled: no verdict is made up, and the connection is not used again."""
    async with (
        raw_server(keep_silent) as heard,
        client(settings(heard.url, total_deadline_s=5.0)) as gateway,
    ):
        sending = asyncio.create_task(gateway.send(CHARGE))
        await asyncio.sleep(0.1)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
    assert heard.requests == 1


async def test_a_closed_adapter_sends_nothing() -> None:
    """After `aclose` a charge is Unsent."""
    async with raw_server(approve) as heard:
        async with client(settings(heard.url)) as gateway:
            await gateway.send(CHARGE)
        answer = await gateway.send(CHARGE)
    assert isinstance(answer.verdict, Unsent)
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


def takes_calls(gateway: AuthorizeNet) -> bool:
    """What intake asks (a call, so that the type checker does not remember the answer)."""
    return gateway.available


async def test_the_breaker_turns_calls_away_and_lets_one_try() -> None:
    """After so many failures in a row slots are refused at once; later one call tries, and success closes it."""
    working = False

    async def sometimes(connection: Connection) -> None:
        while True:
            await connection.request()
            status = "200 OK" if working else "503 Service Unavailable"
            await connection.say(http(APPROVAL, status=status))

    async with raw_server(sometimes) as heard:
        config = settings(heard.url, breaker_after=3, breaker_first_open_s=0.1)
        async with client(config) as gateway:
            for _ in range(3):
                assert takes_calls(gateway)
                async with gateway.slot():
                    await gateway.send(CHARGE)
            assert not takes_calls(gateway)
            with pytest.raises(Unavailable, match="gateway"):
                async with gateway.slot():
                    pytest.fail("the breaker is open")
            working = True
            await asyncio.sleep(0.12)
            async with gateway.slot():
                assert not takes_calls(gateway)
                with pytest.raises(Unavailable):
                    async with gateway.slot():
                        pytest.fail("one is trying already")
                await gateway.send(CHARGE)
            assert takes_calls(gateway)
    assert heard.requests == 4


async def test_a_try_that_never_sent_leaves_the_try_to_the_next() -> None:
    """A slot that was taken half open and given back unused does not lock the breaker."""
    async with raw_server(server_error) as heard:
        config = settings(heard.url, breaker_after=1, breaker_first_open_s=0.05)
        async with client(config) as gateway:
            async with gateway.slot():
                await gateway.send(CHARGE)
            await asyncio.sleep(0.06)
            async with gateway.slot():
                pass
            assert takes_calls(gateway)


def test_the_gate_lets_a_call_pass_once() -> None:
    """A second pass of the same call is refused, whoever tries it."""
    gate = Gate(FixedLease(), margin_s=1.0)
    with gate.call(guarded=True, deadline_s=60.0) as call:
        gate.let_pass(call)
        with pytest.raises(GateClosedError, match="before"):
            gate.let_pass(call)
    assert call.sent


def test_the_gate_lets_nothing_pass_that_no_call_stands_for() -> None:
    """A request from elsewhere over our connections is refused."""
    with pytest.raises(GateClosedError):
        Gate(FixedLease(), margin_s=1.0).let_pass(None)


@pytest.mark.parametrize(("elapsed_s", "lease_s"), [(0.0, 61.0), (30.0, 31.0), (61.0, 3600.0)])
def test_the_gate_measures_what_is_left_of_the_deadline(elapsed_s: float, lease_s: float) -> None:
    """The lease must exceed the rest of the deadline plus the margin; a deadline that slept away is refused."""
    now_s = 0.0
    gate = Gate(lease := FixedLease(lease_s), margin_s=1.0, clock_s=lambda: now_s)
    with gate.call(guarded=True, deadline_s=60.0) as call:
        now_s = elapsed_s
        with pytest.raises(GateClosedError):
            gate.let_pass(call)
        assert not call.sent
        if elapsed_s < 60.0:
            lease.left_s = lease_s + 0.1
            gate.let_pass(call)
            assert call.sent
