"""What the gate and the roads before it keep back, over real sockets: Unsent, and not one byte arrived."""

import asyncio
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from handlers.domain.verdicts import Approved, NotSeen, Unknown, Unsent
from handlers.gateway.authorizenet.gate import Gate, GateClosedError
from tests.contract.gateway_fixtures import (
    APPROVAL,
    CHARGE,
    FixedLease,
    approve,
    asked_now,
    client,
    keep_silent,
    send_once,
    settings,
)
from tests.contract.raw_server import Connection, http, raw_server
from tests.waiting import turns

DEADLINE_S = 20.0


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
    await turns()
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
        answer = await send_once(heard.url, ca_file=_pem(authority, tmp_path))
    assert isinstance(answer.verdict, Approved)


async def test_a_wrong_authority_is_unsent(tmp_path: Path) -> None:
    """A certificate of another authority: the handshake fails, not a byte of the request leaves."""
    async with raw_server(approve, tls=_tls(trustme.CA())) as heard:
        answer = await send_once(heard.url, ca_file=_pem(trustme.CA(), tmp_path))
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
        answer = await send_once(
            url, ca_file=ca_file, connect_timeout_s=0.3, total_deadline_s=DEADLINE_S
        )
    assert isinstance(answer.verdict, Unsent)
    assert answer.latency_s < DEADLINE_S / 2


async def test_waiting_for_a_connection_past_the_deadline_is_unsent() -> None:
    """A call that found no connection in the pool before its deadline was not sent; those before it are Unknown.

    The first two end a moment before the others, so that one more may still get their place: then it was sent, too.
    """
    async with raw_server(keep_silent) as heard:
        config = settings(heard.url, in_flight=1, reads_in_flight=1, total_deadline_s=1.5)
        async with client(config) as gateway:
            answers = await asyncio.gather(*[gateway.send(CHARGE) for _ in range(12)])
        await turns()
    verdicts = [answer.verdict for answer in answers]
    unknown = sum(isinstance(verdict, Unknown) for verdict in verdicts)
    unsent = sum(isinstance(verdict, Unsent) for verdict in verdicts)
    assert len(verdicts) == unknown + unsent
    assert 2 <= heard.requests <= unknown
    assert 1 <= unsent


async def test_a_short_lease_lets_not_a_byte_leave() -> None:
    """Where the lease does not outlive the call: Unsent, not tried again, zero bytes at the server."""
    async with raw_server(approve) as heard:
        config = settings(heard.url, unsent_attempts=5)
        async with client(config, FixedLease(left_s=1.0)) as gateway:
            answer = await gateway.send(CHARGE)
        await turns()
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
        await turns()
    assert isinstance(answer.verdict, Unsent)
    assert before == heard.received


@dataclass
class LapsingLease(FixedLease):
    """A lease that is over at every second look, while it lapses: a call is looked at twice."""

    lapses: bool = True
    looks: int = 0

    def remaining_s(self) -> float:
        """Seconds left."""
        self.looks += 1
        return -1.0 if self.lapses and self.looks % 2 == 0 else self.left_s


async def test_a_lease_that_ends_between_gate_and_socket_lets_not_a_byte_leave() -> None:
    """Frozen behind the gate, in the turn of the loop before its bytes, a call is looked at once more on waking.

    A worker that was stopped there for longer than its lease charged when it woke, nine seconds after another one had
    proven the charge absent and told the payment as failed: in each of twenty runs of `test_frozen.py` on a busy
    machine.
    """
    lease = LapsingLease()
    async with raw_server(approve) as heard:
        async with client(settings(heard.url, unsent_attempts=5), lease) as gateway:
            answer = await gateway.send(CHARGE)
        await turns()
    assert isinstance(answer.verdict, Unsent)
    assert "lease" in answer.verdict.why
    assert 0 == heard.received
    assert 2 == lease.looks  # and not tried again


async def test_what_was_kept_back_at_the_socket_spoils_no_connection() -> None:
    """The next call goes out as if nothing had been."""
    lease = LapsingLease(lapses=False)
    async with raw_server(approve) as heard, client(settings(heard.url), lease) as gateway:
        verdicts = []
        for lease.lapses in (False, True, False):
            verdicts.append(type((await gateway.send(CHARGE)).verdict))
        await turns()
    assert [Approved, Unsent, Approved] == verdicts
    assert 2 == heard.requests


async def test_questions_need_no_lease() -> None:
    """A question moves no money: it passes under any lease."""
    async with (
        raw_server(approve) as heard,
        client(settings(heard.url), FixedLease(left_s=-1.0)) as gateway,
    ):
        finding = await gateway.find(asked_now())
    assert isinstance(finding, NotSeen)
    assert 2 == heard.requests  # the list, and which batches there are


async def test_a_closed_adapter_sends_nothing() -> None:
    """After `aclose` a charge is Unsent."""
    async with raw_server(approve) as heard:
        async with client(settings(heard.url)) as gateway:
            await gateway.send(CHARGE)
        answer = await gateway.send(CHARGE)
    assert isinstance(answer.verdict, Unsent)
    assert heard.requests == 1


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


def test_what_has_begun_to_leave_is_not_called_back() -> None:
    """The second look is before the first bytes only: of what has left in part nobody may say that it was not sent."""
    gate = Gate(lease := FixedLease(), margin_s=1.0)
    with gate.call(guarded=True, deadline_s=60.0) as call:
        gate.let_pass(call)
        gate.look_again(call)
        lease.left_s = -1.0
        gate.look_again(call)
    assert call.sent
    assert call.kept_back is None


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
