"""A db-service whose every misdeed a test writes: raw asyncio, real sockets, no framework. No test stands here."""

import asyncio
import contextlib
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from db_client.service import DbService, DbServiceSettings
from handlers.domain.commands import Kind
from handlers.domain.errors import Unavailable
from handlers.domain.money import Money
from handlers.domain.payments import Payment, Snapshot
from handlers.domain.payments import Request as RefundRequest
from handlers.domain.secret import Secret
from handlers.domain.states import PaymentState, RequestState
from handlers.ports import Records
from tests.waiting import turns

TOKEN = "a-token-of-the-tests"
SECRET_BODY = b'{"leak": "not-for-texts"}'  # no text may quote it
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass
class Request:
    """One request that arrived whole, and the ways to treat it."""

    method: str
    path: str
    body: Any
    writer: asyncio.StreamWriter

    @property
    def items(self) -> list[tuple[str, int]]:
        """Payment or refund id and version of each outcome."""
        bodies = [it["body"] for it in self.body["outcomes"]]
        return [(it.get("refund_id", it["payment_id"]), it["version"]) for it in bodies]

    async def say(self, status: int, content: Any = None, *, headers: str = "") -> None:
        """Answer; bytes go out as they are, anything else as JSON."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        head = f"HTTP/1.1 {status} Said\r\ncontent-length: {len(body)}\r\n{headers}\r\n"
        self.writer.write(head.encode() + body)
        await self.writer.drain()

    async def say_each(self, *results: tuple[int, str]) -> None:
        """Answer for each item: status and problem code."""
        told = [{"status": s, "problem": {"code": c} if c else None} for s, c in results]
        await self.say(200, {"results": told})

    async def accept(self) -> None:
        """Answer that all of it is stored."""
        await self.say_each(*[(200, "")] * len(self.items))

    def reset(self) -> None:
        """Drop the connection with a TCP reset."""
        reset(self.writer)


def reset(writer: asyncio.StreamWriter) -> None:
    """Drop the connection with a TCP reset."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


Behaviour = Callable[[Request], Awaitable[None]]


@dataclass
class Service:
    """What the server does now, and what it saw."""

    behaviour: Behaviour
    url: str = ""
    drops_connections: bool = False
    posts: list[list[tuple[str, int]]] = field(default_factory=list)
    gets: list[str] = field(default_factory=list)
    under_way: int = 0
    most_under_way: int = 0
    _running: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side ends it."""
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        try:
            while not self.drops_connections:
                await self._treat(await _read(reader, writer))
            reset(writer)
        except (OSError, EOFError, asyncio.CancelledError):
            pass
        finally:
            self._running.discard(task)
            writer.transport.abort()

    async def _treat(self, request: Request) -> None:
        if request.method == "POST":
            self.posts.append(request.items)
        else:
            self.gets.append(request.path)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await self.behaviour(request)
        finally:
            self.under_way -= 1

    async def end(self) -> None:
        """Let go of all connections."""
        running = tuple(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running)


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    assert f"Bearer {TOKEN}" in head
    method, path, _ = head.split("\r\n", 1)[0].split(" ")
    lengths = [
        int(line.split(":")[1])
        for line in head.lower().split("\r\n")
        if line.startswith("content-length")
    ]
    body = await reader.readexactly(lengths[0]) if lengths else b"null"
    return Request(method, path, json.loads(body), writer)


@contextlib.asynccontextmanager
async def scripted(
    behaviour: Behaviour, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Service]:
    """A server on a free loopback port that treats each request with `behaviour`."""
    service = Service(behaviour)
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0, ssl=tls)
    host, port = server.sockets[0].getsockname()
    service.url = f"{'https' if tls else 'http'}://{host}:{port}"
    try:
        yield service
    finally:
        server.close()
        await service.end()
        await turns()  # aborted transports leave the loop


def settings(url: str, **changes: Any) -> DbServiceSettings:
    """Settings for tests. The deadlines suit a busy machine; a test that waits for one to pass names a short one."""
    base: dict[str, Any] = {
        "timeout_s": 10.0,
        "give_up_s": 30.0,
        "batch": 10,
        "connections": 2,
        "tries": 3,
        "retry_first_wait_s": 0.01,
        "retry_longest_wait_s": 0.05,
        "breaker_after": 3,
        "breaker_first_open_s": 0.5,
        "breaker_longest_open_s": 1.0,
    }
    return DbServiceSettings(url=url, **{"token": Secret(TOKEN), **base, **changes})


def captured(payment_id: str, **changes: Any) -> Payment:
    """A captured payment."""
    base: dict[str, Any] = {
        "order_id": f"ord-{payment_id}",
        "user_id": "usr-1",
        "money": Money(1999, "USD"),
        "state": PaymentState.CAPTURED,
        "version": 1,
        "authorised_minor": 1999,
        "captured_minor": 1999,
        "transaction_id": "60198",
    }
    return Payment(payment_id=payment_id, **{**base, **changes})


def refunding(refund_id: str, **changes: Any) -> RefundRequest:
    """A refund of 5.00 that is waiting."""
    base: dict[str, Any] = {
        "kind": Kind.REFUND,
        "request_id": refund_id,
        "amount_minor": 500,
        "state": RequestState.DEFERRED,
    }
    return RefundRequest(**{**base, **changes})


async def tell(records: Records, payment: Payment, *, request: RefundRequest | None = None) -> str:
    """Record it; "" where it is recorded, else why not. Any other error than Unavailable is a test's failure."""
    why = ""
    try:
        ahead = await records.record(Snapshot(payment, request), occurred_at=AT)
        why = repr(ahead) if ahead else ""
    except Unavailable as unavailable:
        why = str(unavailable).removeprefix("db-service is unavailable: ")
    assert TOKEN not in why
    return why


@contextlib.asynccontextmanager
async def both(behaviour: Behaviour, **changes: Any) -> AsyncIterator[tuple[Service, DbService]]:
    """A scripted server and a client of it, both closed at the end."""
    async with scripted(behaviour) as service:
        client = DbService(settings(service.url, **changes))
        try:
            yield service, client
        finally:
            await client.aclose()


async def tell_all(client: DbService, count: int) -> list[str]:
    """Record `count` payments at once."""
    return await asyncio.gather(*[tell(client, captured(f"pay-{n}")) for n in range(count)])


async def accept(request: Request) -> None:
    """All good."""
    await request.accept()


async def accept_slowly(request: Request) -> None:
    """All good, after a while."""
    await asyncio.sleep(0.03)
    await request.accept()
