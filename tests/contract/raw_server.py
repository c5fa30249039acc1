"""A raw TCP (or TLS) server whose one behaviour a test writes, and which counts what arrived. No tests live here."""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from tests.waiting import turns


@dataclass
class Heard:
    """What arrived: connections, bytes of requests, whole requests."""

    url: str = ""
    connections: int = 0
    received: int = 0
    requests: int = 0
    bodies: list[bytes] = field(default_factory=list)


class Connection:
    """One client's connection, seen from the server."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, heard: Heard
    ) -> None:
        self._reader = reader
        self.writer = writer
        self._heard = heard

    async def some(self, count: int) -> bytes:
        """Read exactly `count` bytes of a request."""
        part = await self._reader.readexactly(count)
        self._heard.received += len(part)
        return part

    async def request(self) -> bytes:
        """Read one whole request; its body."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        self._heard.received += len(head)
        length = next(
            int(line.split(b":")[1])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length")
        )
        body = await self._reader.readexactly(length)
        self._heard.received += len(body)
        self._heard.requests += 1
        self._heard.bodies.append(body)
        return body

    async def rest(self) -> None:
        """Read and count until the client hangs up."""
        while part := await self._reader.read(65536):
            self._heard.received += len(part)

    async def say(self, data: bytes) -> None:
        """Write and flush."""
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        """Drop the connection with a TCP reset."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Behaviour = Callable[[Connection], Awaitable[None]]


@contextlib.asynccontextmanager
async def raw_server(
    behaviour: Behaviour, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[Heard]:
    """A server that treats each connection with `behaviour`, on a free loopback port."""
    heard = Heard()
    running: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.connections += 1
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        try:
            await behaviour(Connection(reader, writer, heard=heard))
        except (OSError, EOFError, asyncio.CancelledError):
            pass
        finally:
            running.discard(task)
            writer.transport.abort()

    server = await asyncio.start_server(serve, host, 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    heard.url = f"{'https' if tls else 'http'}://localhost:{port}/xml/v1/request.api"
    if not tls:
        heard.url = heard.url.replace("localhost", host)
    try:
        yield heard
    finally:
        server.close()
        for task in tuple(running):
            task.cancel()
        await turns()  # aborted transports leave the loop


def http(body: bytes, *, status: str = "200 OK", length: int | None = None) -> bytes:
    """An HTTP answer; `length` is what it claims, if not the truth."""
    told = len(body) if length is None else length
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {told}\r\n\r\n"
    return head.encode() + body
