"""A minimal HTTP/1.1 server on asyncio's protocols: requests in, answers out, sound or broken.

Why not uvicorn: breaking connections is what this program is for, and half an answer, a trickle or
a reset in the middle need the transport itself. It is also the yardstick of a worker on the same
cores, so it must cost little. It reads bodies by content-length only, keeps connections alive,
bounds head and body, answers one request of a connection at a time, and never logs a request. What
an answer says is not decided here.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable

_HEAD_LIMIT = 16 * 1024
_BODY_LIMIT = 1024 * 1024
_LINGER_0 = struct.pack("ii", 1, 0)
_REASONS = {
    200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed",
    411: "Length Required", 413: "Content Too Large", 431: "Request Header Fields Too Large",
    500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable",
    504: "Gateway Timeout",
}  # fmt: skip
_TRICKLE_STEPS = 50


@dataclass(frozen=True, slots=True)
class Request:
    """One request that was read whole."""

    method: str
    target: str
    content_type: str
    body: bytes


class _BadRequestError(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass(slots=True)
class _Head:
    method: str
    target: str
    content_type: str = ""
    length: int = 0
    keeps_alive: bool = True
    size: int = 0


class Connection(asyncio.Protocol):
    """One accepted connection. `serve` gets each request and must answer, break, or hold it."""

    def __init__(
        self,
        serve: Callable[[Connection, Request], None],
        *,
        opened: Callable[[Connection], None],
        closed: Callable[[Connection], None],
    ) -> None:
        self._serve = serve
        self._opened, self._closed = opened, closed
        self._buffer = bytearray()
        self._head: _Head | None = None
        self._busy = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio's entry."""
        self._transport = cast("asyncio.Transport", transport)
        self._opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Asyncio's exit; what was begun goes on, as at a real gateway."""
        del exc
        self._transport = None
        self._closed(self)

    def data_received(self, data: bytes) -> None:
        """Asyncio's bytes."""
        self._buffer += data
        if self._busy:
            if len(self._buffer) > _HEAD_LIMIT + _BODY_LIMIT:
                self.reset()
            return
        self._read()

    @property
    def is_open(self) -> bool:
        """Whether anyone still listens."""
        return self._transport is not None and not self._transport.is_closing()

    def answer(self, body: bytes, *, content_type: str, status: int = 200) -> bool:
        """Send a whole answer; False when nobody listens any more."""
        if not self.is_open:
            return False
        assert self._transport is not None
        self._transport.write(
            self._head_bytes(body, content_type=content_type, status=status) + body
        )
        self._done()
        return True

    def reset(self) -> None:
        """Break the connection with an RST: lingering off, then away."""
        transport = self._transport
        if transport is None:
            return
        accepted = transport.get_extra_info("socket")
        if accepted is not None:
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)
        transport.abort()

    def half(self, body: bytes, *, content_type: str) -> None:
        """Promise a whole answer, send half of it, then close."""
        if not self.is_open:
            return
        assert self._transport is not None
        head = self._head_bytes(body, content_type=content_type, status=200)
        self._transport.write(head + body[: len(body) // 2])
        self._transport.close()

    def trickle(self, body: bytes, *, content_type: str, seconds: float) -> None:
        """Send a whole answer in small pieces over some seconds."""
        if not self.is_open:
            return
        whole = self._head_bytes(body, content_type=content_type, status=200) + body
        size = max(1, -(-len(whole) // _TRICKLE_STEPS))
        self._drop_in(whole, size=size, pause=seconds / _TRICKLE_STEPS)

    def _drop_in(self, rest: bytes, *, size: int, pause: float) -> None:
        if not self.is_open:
            return
        assert self._transport is not None
        self._transport.write(rest[:size])
        if len(rest) <= size:
            self._done()
            return
        loop = asyncio.get_running_loop()
        loop.call_later(pause, lambda: self._drop_in(rest[size:], size=size, pause=pause))

    def _head_bytes(self, body: bytes, *, content_type: str, status: int) -> bytes:
        kept = "keep-alive" if self._head is None or self._head.keeps_alive else "close"
        return (
            f"HTTP/1.1 {status} {_REASONS.get(status, 'Error')}\r\nContent-Type: {content_type}\r\n"
            f"Content-Length: {len(body)}\r\nConnection: {kept}\r\n\r\n"
        ).encode("ascii")

    def _done(self) -> None:
        head, self._head, self._busy = self._head, None, False
        if head is not None and not head.keeps_alive:
            assert self._transport is not None
            self._transport.close()
        elif self._buffer:
            asyncio.get_running_loop().call_soon(self._read)

    def _read(self) -> None:
        if self._busy or not self.is_open:
            return
        try:
            request = self._next_request()
        except _BadRequestError as error:
            self._head = _Head("", "", keeps_alive=False)
            self._buffer.clear()
            self.answer(b"", content_type="text/plain", status=error.status)
            return
        if request is not None:
            self._busy = True
            self._serve(self, request)

    def _next_request(self) -> Request | None:
        head = self._head
        if head is None:
            end = self._buffer.find(b"\r\n\r\n")
            if end > _HEAD_LIMIT or (end < 0 and len(self._buffer) > _HEAD_LIMIT):
                raise _BadRequestError(431)
            if end < 0:
                return None
            head = self._head = _parsed(bytes(self._buffer[:end]))
            head.size = end + 4
        whole = head.size + head.length
        if len(self._buffer) < whole:
            return None
        body = bytes(self._buffer[head.size : whole])
        del self._buffer[:whole]
        return Request(head.method, head.target, head.content_type, body)


def _parsed(raw: bytes) -> _Head:
    lines = raw.decode("latin-1").split("\r\n")
    parts = lines[0].split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise _BadRequestError(400)
    head = _Head(parts[0], parts[1], keeps_alive=parts[2] == "HTTP/1.1")
    has_length = False
    for line in lines[1:]:
        name, _, value = line.partition(":")
        name, value = name.lower(), value.strip()
        if name == "content-length":
            head.length, has_length = _length(value), True
        elif name == "content-type":
            head.content_type = value
        elif name == "connection" and value.lower() == "close":
            head.keeps_alive = False
        elif name == "transfer-encoding":
            raise _BadRequestError(411)
    if not has_length and head.method in {"POST", "PUT"}:
        raise _BadRequestError(411)
    return head


def _length(value: str) -> int:
    if not (value.isascii() and value.isdigit()):
        raise _BadRequestError(400)
    length = int(value) if len(value) < 12 else _BODY_LIMIT + 1
    if length > _BODY_LIMIT:
        raise _BadRequestError(413)
    return length
