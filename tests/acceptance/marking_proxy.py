"""A proxy before the gateway or the db-service: it writes marks into the fields of their replies. No claims here.

Which fields there are is seen in the replies themselves, so that a new one is marked as soon as it is there: each reply
gets a mark in the first field that had none yet. Whatever the worker sent is kept, to show that the search can find.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Protocol

import httpx

from tests.acceptance.marks import Marks

_PASSED_ON: Final = ("content-type", "authorization", "accept", "idempotency-key", "traceparent")
_BOM: Final = b"\xef\xbb\xbf"
Answer = tuple[int, bytes]


class Marker(Protocol):
    """Decides what becomes of one request and its reply."""

    def passes(self, request: bytes) -> bool:
        """Whether the request goes on to the server; otherwise the connection ends."""
        ...

    def changed(self, path: str, request: bytes, *, answer: Answer) -> Answer:
        """The answer that is given instead."""
        ...


@dataclass(slots=True)
class Fields:
    """The fields of one kind of reply: which there are, which are marked, and how many of them in one reply."""

    of: str
    marks: Marks
    at_once: int = 1
    known: dict[str, None] = field(default_factory=dict)
    marked: set[str] = field(default_factory=set)

    @property
    def open(self) -> list[str]:
        """Those that are known and not marked yet."""
        return [it for it in self.known if it not in self.marked]

    def mark(self, reply: Any, *, beside: str = "") -> bool:
        """Write a card number, and `beside` it, into the next fields that have none; False where all have one."""
        places = dict(_leaves(reply, ""))
        self.known |= dict.fromkeys(places)
        chosen = [it for it in places if it not in self.marked][: self.at_once]
        for place in chosen:
            holder, key = places[place]
            holder[key] = f"{self.marks.card(f'{self.of}{place}')} {beside}".strip()
        self.marked.update(chosen)
        return bool(chosen)


def _leaves(value: Any, place: str) -> Iterator[tuple[str, tuple[Any, Any]]]:
    items = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
    for key, inside in items:
        where = f"{place}.{key}" if isinstance(value, dict) else f"{place}[]"
        if isinstance(inside, dict | list):
            yield from _leaves(inside, where)
        else:
            yield where, (value, key)


def parsed(body: bytes) -> Any:
    """The JSON in a reply, with the gateway's byte order mark or without."""
    return json.loads(body.removeprefix(_BOM)) if body.strip() else {}


class _Proxy(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, upstream: str, marker: Marker) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.marker = marker
        self.turn = threading.Lock()
        self.client = httpx.Client(base_url=upstream, timeout=20, trust_env=False)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Proxy

    def _serve(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        request = self.rfile.read(length)
        with self.server.turn:
            passes = self.server.marker.passes(request)
        if not passes:
            self.close_connection = True
            return
        headers = {it: self.headers[it] for it in _PASSED_ON if it in self.headers}
        said = self.server.client.request(self.command, self.path, content=request, headers=headers)
        with self.server.turn:
            answer = self.server.marker.changed(
                self.path, request, answer=(said.status_code, said.content)
            )
        status, body = answer
        self.send_response(status)
        self.send_header("content-type", said.headers.get("content-type", "application/json"))
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_POST = _serve  # noqa: N815 - the library looks for these names

    def log_message(self, *_given: object) -> None:
        """Say nothing."""


@contextmanager
def proxy(upstream: str, marker: Marker) -> Iterator[str]:
    """A proxy before `upstream` (scheme, host, port); its own address."""
    server = _Proxy(upstream, marker)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="proxy")
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        server.client.close()
