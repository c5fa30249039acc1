"""One call to the db-service: pooled connections, one total deadline around each try, tries of what may be repeated.

Every call here may be repeated: the reads by nature, the writes because the service takes the same version with the
same content as often as it comes. That is why tenacity stands here. What an answer means for a payment is decided in
`service.py`; no text made here holds a body or the token.

The transport is used bare, without an `httpx.AsyncClient` around it: no redirects, cookies, proxies or environment
stand between us and the wire, and a call costs less CPU (0.48 against 0.55 ms, one run each).
"""

import asyncio
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

import aiohttp
import httpx
from aiohttp.http_exceptions import HttpProcessingError
from httpx_aiohttp import AiohttpTransport
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_result,
    stop_after_attempt,
    stop_before_delay,
    wait_exponential_jitter,
)

from db_client.outcome_body import UnreadableError, problem_code
from db_client.service_settings import DbServiceSettings
from handlers.domain.errors import InvalidValueError

_OK: Final = 200
_NOT_FOUND: Final = 404
# Worth another try: the service is busy, starting, stopping or behind a proxy that misses it.
_AGAIN: Final = frozenset({408, 425, 429, *range(500, 600)})
_MOST_BYTES: Final = 4 * 1024 * 1024
_CLOSE_S: Final = 1.0
# Everything that the network, the far side or a closed session raises through httpx-aiohttp, which maps only some of
# aiohttp's errors: aiohttp's own, the system's (time-outs and TLS among them), parsers' and "session is closed".
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

ReadT = TypeVar("ReadT")


@dataclass(frozen=True, slots=True)
class Ask(Generic[ReadT]):
    """What to ask. `name` is for metrics; `read` makes the answer's value or raises UnreadableError."""

    name: str
    method: str
    path: str
    read: Callable[[bytes], ReadT]
    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class Heard(Generic[ReadT]):
    """HTTP 200 with a whole answer that could be read."""

    value: ReadT


@dataclass(frozen=True, slots=True)
class Refused:
    """A definite no to the call as a whole: asking again would not help. `code` is a 404's problem code, or ""."""

    status: int
    code: str = ""

    @property
    def says_absent(self) -> bool:
        """True where the service itself says that nothing is stored there.

        Any other 404 (a proxy's, another server's, a path that is not the service's) says nothing about what is stored:
        taken for absence it would send a charge twice, or refuse one whose order exists.
        """
        return self.status == _NOT_FOUND and self.code == "not_found"


@dataclass(frozen=True, slots=True)
class Failed:
    """No usable answer. The service asked to be left alone for `wait_s`."""

    why: str
    wait_s: float = 0.0


class Observe(Protocol):
    """Hears of each try: `call` is outcomes, payment, refund, history, order or probe.

    `verdict` is heard, refused or failed.
    """

    def __call__(self, call: str, *, verdict: str, latency_s: float) -> None:
        """Count it. Must not raise."""
        ...


def unobserved(call: str, *, verdict: str, latency_s: float) -> None:
    """An `Observe` that keeps nothing."""


class ServiceCalls:
    """The pooled connections to the db-service."""

    def __init__(self, settings: DbServiceSettings, *, observe: Observe) -> None:
        self._settings = settings
        self._observe = observe
        self._tls = _tls(settings)
        self._transport = AiohttpTransport(verify=self._tls, trust_env=False, client=self._open)
        self._base = settings.url.rstrip("/")
        self._headers = httpx.Headers(  # its repr masks the token
            {
                "authorization": f"Bearer {settings.token.reveal()}",
                "content-type": "application/json",
                "accept": "application/json",
                "accept-encoding": "identity",
                "user-agent": "payment-worker",
            }
        )

    def _open(self) -> aiohttp.ClientSession:
        settings = self._settings
        most = (
            settings.connections + settings.look_ups + 1
        )  # nobody waits here: it would count as silence
        connector = aiohttp.TCPConnector(limit=most, ssl=self._tls)
        return aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    async def call(
        self, ask: Ask[ReadT], *, tries: int, worth_it: Callable[[], bool]
    ) -> Heard[ReadT] | Refused | Failed:
        """Ask, and again where no usable answer came, while it is `worth_it`. Ends within `give_up_s`."""
        settings = self._settings
        pause = wait_exponential_jitter(
            multiplier=settings.retry_first_wait_s,
            max=settings.retry_longest_wait_s,
            jitter=settings.retry_first_wait_s,
        )

        def wait(state: RetryCallState) -> float:
            asked_s = min(_last(state, Failed).wait_s, settings.retry_longest_wait_s)
            return max(pause(state), asked_s)

        retrying = AsyncRetrying(
            retry=retry_if_result(lambda result: isinstance(result, Failed) and worth_it()),
            # No try begins that could end after the bound.
            stop=stop_after_attempt(tries)
            | stop_before_delay(settings.give_up_s - settings.timeout_s),
            wait=wait,
            retry_error_callback=lambda state: _last(state, Failed),
        )
        result: Heard[ReadT] | Refused | Failed = await retrying(self._try, ask)
        return result

    async def _try(self, ask: Ask[ReadT]) -> Heard[ReadT] | Refused | Failed:
        began_s = time.perf_counter()
        result = await self._try_once(ask)
        self._observe(
            ask.name,
            verdict=type(result).__name__.lower(),
            latency_s=time.perf_counter() - began_s,
        )
        return result

    async def _try_once(self, ask: Ask[ReadT]) -> Heard[ReadT] | Refused | Failed:
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                answer = await self._exchange(ask)
            return Heard(ask.read(answer)) if isinstance(answer, bytes) else answer
        except UnreadableError as unreadable:
            return Failed(str(unreadable))
        except _FOREIGN as error:
            if type(error) is TimeoutError:
                return Failed(f"no whole answer within {self._settings.timeout_s:g} s")
            # The name alone: the text of such an error may quote what was answered.
            name = type(error.__cause__ or error).__name__
            return Failed(f"the connection to {self._settings.url} failed ({name})")

    async def _exchange(self, ask: Ask[ReadT]) -> bytes | Refused | Failed:
        request = httpx.Request(
            ask.method, self._base + ask.path, headers=self._headers, content=ask.content
        )
        response = await self._transport.handle_async_request(request)
        try:
            if response.status_code == _OK:
                return await _read(response)
            if response.status_code in _AGAIN:
                return Failed(f"it answered HTTP {response.status_code}", _retry_after_s(response))
            gone = response.status_code == _NOT_FOUND
            code = problem_code(await _read(response)) if gone else ""
            return Refused(response.status_code, code)
        finally:
            with suppress(*_FOREIGN):  # an answer that was read is not lost to a bad farewell
                async with asyncio.timeout(_CLOSE_S):
                    await response.aclose()


async def _read(response: httpx.Response) -> bytes:
    parts = bytearray()
    async for part in response.aiter_bytes():
        parts += part
        if len(parts) > _MOST_BYTES:
            raise UnreadableError("its answer was too long")
    return bytes(parts)


def _retry_after_s(response: httpx.Response) -> float:
    text = response.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() else 0.0


ResultT = TypeVar("ResultT")


def _last(state: RetryCallState, kind: type[ResultT]) -> ResultT:
    assert state.outcome is not None, "tenacity waits and stops after an attempt"
    result = state.outcome.result()
    assert isinstance(result, kind), "only what failed is tried again"
    return result


def _tls(settings: DbServiceSettings) -> ssl.SSLContext:
    try:
        context = (
            httpx.create_ssl_context(trust_env=False)
            if settings.ca_file is None
            else ssl.create_default_context(cafile=str(settings.ca_file))
        )
    except OSError as error:  # ssl.SSLError is one
        rule = f"must be a readable file of certificates ({type(error).__name__})"
        raise InvalidValueError("db_service.ca_file", rule) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
