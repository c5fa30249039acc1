"""Faults on demand: what a test or the demo may do to this service, and what it counts.

The control port is a second, unauthenticated server of its own, meant for loopback: `PUT /faults`
replaces all faults, `DELETE /faults` ends them, `GET /counters` tells what happened. A fault hits
every request of the main port, `/healthz` included. `hang` holds a request before it is applied,
until its client leaves or the fault ends, then drops its connection; `lost_answer_p` applies the
request and drops the connection without a byte.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from msgspec import Meta
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from worker.demo.db_service import problems
from worker.demo.db_service.messages import broken_rule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from worker.demo.db_service.problems import Ruling


class Faults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is wrong with the service now."""

    latency_ms: Annotated[int, Meta(ge=0, le=60_000)] = 0
    down: bool = False
    hang: bool = False
    lost_answer_p: Annotated[float, Meta(ge=0, le=1)] = 0.0


class Counters:
    """What happened since the start."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter(applied=0, unchanged=0, refused=0)
        self.faults: Counter[str] = Counter(down=0, hung=0, lost_answers=0)

    def count_rulings(self, rulings: Sequence[Ruling]) -> None:
        """Counts what writes came to."""
        for ruling in rulings:
            if ruling.problem is not None:
                self.outcomes["refused"] += 1
            else:
                self.outcomes["applied" if ruling.applied else "unchanged"] += 1


class DroppableProtocol(H11Protocol):
    """HTTP whose connections can be dropped; ASGI itself has no word for that."""

    open_transports: Final[dict[tuple[str, int], asyncio.Transport]] = {}

    def connection_made(  # type: ignore[override]  # as uvicorn narrows it
        self, transport: asyncio.Transport
    ) -> None:
        """Remembers the connection under its client's address."""
        super().connection_made(transport)
        if self.client is not None:
            self.open_transports[self.client] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets the connection."""
        super().connection_lost(exc)
        if self.client is not None:
            self.open_transports.pop(self.client, None)


class FaultGate:
    """Stands in front of the API and plays the faults. Counts every request with its answer."""

    def __init__(self, app: ASGIApp, *, counters: Counters, seed: int = 1) -> None:
        self._app = app
        self._counters = counters
        self._dice = random.Random(seed)
        self._changed = asyncio.Event()
        self.faults = Faults()

    def set(self, faults: Faults) -> None:
        """Replaces all faults; requests that hang are let go (their connections drop)."""
        self.faults = faults
        self._changed.set()
        self._changed = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Plays the faults of this moment on one request."""
        faults = self.faults
        if faults.latency_ms:
            await asyncio.sleep(faults.latency_ms / 1000)
        if faults.hang:
            await self._hang(scope, receive)
        elif faults.down:
            self._counters.faults["down"] += 1
            await _answer_down(send)
        elif faults.lost_answer_p > self._dice.random():
            await self._lose_answer(scope, receive)
        else:
            await self._app(scope, receive, self._counted(scope, send))

    async def _hang(self, scope: Scope, receive: Receive) -> None:
        self._counters.faults["hung"] += 1
        gone = asyncio.ensure_future(_until_gone(receive))
        changed = asyncio.ensure_future(self._changed.wait())
        try:
            await asyncio.wait({gone, changed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            changed.cancel()
        await _drop(scope, receive)

    async def _lose_answer(self, scope: Scope, receive: Receive) -> None:
        async def swallow(message: Message) -> None:
            pass

        self._counters.faults["lost_answers"] += 1
        await self._app(scope, receive, self._counted(scope, swallow))
        await _drop(scope, receive)

    def _counted(self, scope: Scope, send: Send) -> Send:
        async def count_and_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                collection = scope["path"].split("/")[1]
                line = f"{scope['method']} /{collection} {message['status']}"
                self._counters.requests[line] += 1
            await send(message)

        return count_and_send


def build_control(gate: FaultGate, counters: Counters) -> Starlette:
    """The control port's application."""

    async def put_faults(request: Request) -> Response:
        try:
            gate.set(msgspec.json.decode(await request.body(), type=Faults))
        except msgspec.ValidationError as error:
            broken = broken_rule(error)
            return _json(problems.invalid(broken.field, broken.rule), status=422)
        return _json(gate.faults)

    async def get_faults(_: Request) -> Response:
        return _json(gate.faults)

    async def delete_faults(_: Request) -> Response:
        gate.set(Faults())
        return _json(gate.faults)

    async def get_counters(_: Request) -> Response:
        return _json(vars(counters))

    return Starlette(
        routes=[
            Route("/faults", put_faults, methods=["PUT"]),
            Route("/faults", get_faults, methods=["GET"]),
            Route("/faults", delete_faults, methods=["DELETE"]),
            Route("/counters", get_counters, methods=["GET"]),
        ]
    )


def _json(content: object, *, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status_code=status, media_type="application/json")


async def _answer_down(send: Send) -> None:
    headers = [(b"content-type", b"application/problem+json"), (b"retry-after", b"1")]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": msgspec.json.encode(problems.UNAVAILABLE)})


async def _drop(scope: Scope, receive: Receive) -> None:
    transport = DroppableProtocol.open_transports.get(tuple(scope["client"] or ()))
    if transport is not None:
        transport.abort()
    # Left only once the server has seen the end, else it would answer 500 by itself.
    await _until_gone(receive)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
