"""One POST through the gate under one total deadline: heard, surely not sent, or silence. Knows nothing of payments.

The transport is used bare, without an `httpx.AsyncClient` around it: no redirects, cookies, proxies, environment or
authentication stand between us and the wire, and nothing there can send a request a second time. Each attempt opens
with a fresh call at the gate; who may try again is decided by the caller.
"""

import asyncio
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import aiohttp
import httpx
from aiohttp.http_exceptions import HttpProcessingError
from httpx_aiohttp import AiohttpTransport

from handlers.domain.errors import InvalidValueError
from handlers.gateway.authorizenet.gate import Gate, GateClosedError
from handlers.gateway.authorizenet.settings import AuthorizeNetSettings

_MAX_BODY: Final = 16 * 1024 * 1024  # a page of 1000 rows is half a megabyte
_CLOSE_S: Final = 1.0
_HTTP_OK: Final = 200
_HEADERS: Final = {
    "content-type": "application/json",
    "accept": "application/json",
    "accept-encoding": "identity",
    "user-agent": "payment-worker",
}
# Everything that the network, the far side or a closed session raises through httpx-aiohttp, which maps only some of
# aiohttp's errors: aiohttp's own, the system's (timeouts and TLS among them), parsers' and "session is closed".
_FOREIGN: Final = (
    httpx.HTTPError,
    httpx.StreamError,
    aiohttp.ClientError,
    HttpProcessingError,
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
)


@dataclass(frozen=True, slots=True)
class Heard:
    """HTTP 200 and a whole body."""

    body: bytes
    latency_s: float


@dataclass(frozen=True, slots=True)
class NotSent:
    """The gate was not passed, or closed again before the first byte: not one byte left."""

    why: str
    by_lease: bool
    latency_s: float


@dataclass(frozen=True, slots=True)
class Silence:
    """The gate was passed and no whole answer came. `code` and `text` never hold anything of the body."""

    code: str
    text: str
    latency_s: float
    status: int | None = None


Result = Heard | NotSent | Silence


class _StatusError(Exception):
    def __init__(self, status: int) -> None:
        super().__init__()
        self.status = status


class _TooLongError(Exception):
    pass


def _tls(settings: AuthorizeNetSettings) -> ssl.SSLContext:
    try:
        context = (
            httpx.create_ssl_context(trust_env=False)
            if settings.ca_file is None
            else ssl.create_default_context(cafile=str(settings.ca_file))
        )
    except OSError as error:  # ssl.SSLError is one
        rule = f"must be a readable file of certificates ({type(error).__name__})"
        raise InvalidValueError("gateway.ca_file", rule) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class Exchange:
    """The pooled connections to the gateway."""

    def __init__(self, settings: AuthorizeNetSettings, gate: Gate) -> None:
        self._settings = settings
        self._gate = gate
        self._tls = _tls(settings)
        self._session: aiohttp.ClientSession | None = None
        self._transport = AiohttpTransport(verify=self._tls, trust_env=False, client=self._open)

    def _open(self) -> aiohttp.ClientSession:
        settings = self._settings
        connector = aiohttp.TCPConnector(
            limit=len(settings.accounts) * (settings.in_flight + settings.reads_in_flight),
            keepalive_timeout=settings.keepalive_s,
            ssl=self._tls,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            trace_configs=[self._gate.trace_config()],
        )
        return self._session

    async def aclose(self) -> None:
        """Close the connections. A call that is still in flight ends as silence."""
        if self._session is not None:
            await self._session.close()

    async def post(self, body: bytes, *, guarded: bool) -> Result:
        """Send `body` at most once and read the whole answer. Raises nothing but cancellation."""
        began_s = time.perf_counter()
        deadline_s = self._settings.total_deadline_s
        with self._gate.call(guarded=guarded, deadline_s=deadline_s) as call:
            try:
                async with asyncio.timeout(deadline_s):
                    answer = await self._post(body)
            except GateClosedError as closed:
                took_s = time.perf_counter() - began_s
                if call.sent:  # refused a second pass; the first one may have arrived
                    return _silence(closed, took_s)
                return NotSent(str(closed), by_lease=closed.by_lease, latency_s=took_s)
            except (*_FOREIGN, _StatusError, _TooLongError) as error:
                took_s = time.perf_counter() - began_s
                if call.sent:
                    return _silence(error, took_s)
                kept_back = call.kept_back  # aiohttp tells it as a broken connection
                if kept_back is not None:
                    return NotSent(str(kept_back), by_lease=kept_back.by_lease, latency_s=took_s)
                return NotSent(_why(error), by_lease=False, latency_s=took_s)
            return Heard(answer, time.perf_counter() - began_s)

    async def _post(self, body: bytes) -> bytes:
        timeout = {"connect": self._settings.connect_timeout_s, "read": None, "pool": None}
        request = httpx.Request(
            "POST",
            self._settings.endpoint,
            headers=_HEADERS,
            content=body,
            extensions={"timeout": timeout},
        )
        response = await self._transport.handle_async_request(request)
        try:
            if response.status_code != _HTTP_OK:
                raise _StatusError(response.status_code)
            return await _read(response)
        finally:
            with suppress(*_FOREIGN):  # an answer that was read is not lost to a bad farewell
                async with asyncio.timeout(_CLOSE_S):
                    await response.aclose()


async def _read(response: httpx.Response) -> bytes:
    parts = bytearray()
    async for part in response.aiter_bytes():
        parts += part
        if len(parts) > _MAX_BODY:
            raise _TooLongError
    return bytes(parts)


def _why(error: Exception) -> str:
    """Before the gate nothing of ours was sent and nothing of theirs was read: the text is safe to show."""
    if type(error) is TimeoutError:
        return "no connection within the call's deadline"
    return f"{type(error).__name__}: {error}"[:200]


def _silence(error: Exception, latency_s: float) -> Silence:
    """After the gate a text may quote the answer, so only the error's name is told."""
    match error:
        case _StatusError():
            code, text = f"worker.http_{error.status}", f"The gateway answered HTTP {error.status}."
            return Silence(code, text, latency_s, error.status)
        case _TooLongError():
            return Silence("worker.unreadable", "The gateway's answer was too long.", latency_s)
        case _ if type(error) is TimeoutError:
            text = f"No whole answer came within {latency_s:.0f} s."
            return Silence("worker.no_answer", text, latency_s)
        case _:
            name = type(error.__cause__ or error).__name__
            text = f"The connection ended before a whole answer came ({name})."
            return Silence("worker.connection_lost", text, latency_s)
