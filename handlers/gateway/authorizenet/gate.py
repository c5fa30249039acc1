"""The gate: where bytes leave, and the one place that decides whether they may.

It stands in aiohttp's trace hook `on_request_headers_sent`. Read in aiohttp 3.14 (`ClientRequest.send` awaits
`StreamWriter.write_headers`, which awaits the hook before it even serialises the headers; the body's task starts after
that): an exception raised here closes the connection with not one byte of the request written. This is not documented,
so `tests/contract/test_gate_unsent.py` holds it.

- Before the hook the request surely was not sent; once it let the call pass, any error is Unknown. Never judge by the
  class of an httpx exception: a server that read everything and dropped the connection shows up as `ConnectTimeout`.
- A call passes once. aiohttp re-sends on a stale pooled connection only for methods that it calls idempotent (POST is
  none), redirects are off and no proxy is used; should that change, the second pass is refused here.
- A guarded call (one that moves money) passes only while the session surely outlives it: the lease must exceed what is
  left of the call's total deadline, plus a margin, on a clock that runs through suspend.
- Where there is no eager task (Python 3.11) a turn of the event loop lies between that hook and the body's task, and a
  busy loop does much in a turn. A worker frozen in it would send on waking, however long its lease was over. So there
  is a second look in the hook `on_request_chunk_sent`, which `StreamWriter.write` awaits right before it hands headers
  and body to the transport at once: what is kept back here was not sent either.

A worker frozen between the second look and the end of that turn, when uvloop writes to the socket, is the residual
risk; the gateway's duplicate window covers it.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

import aiohttp

from handlers.ports import Lease

_CLOCK_ID: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def steady_s() -> float:
    """Seconds on a monotone clock that counts suspended time where the system has one."""
    return time.clock_gettime(_CLOCK_ID)


@dataclass(slots=True)
class Call:
    """One request on its way: must it be covered by the lease, when it ends at the latest, has it passed the gate.

    `written`: its first bytes were handed on. `kept_back`: why the second look did not allow that.
    """

    guarded: bool
    deadline_at_s: float
    sent: bool = False
    written: bool = False
    kept_back: "GateClosedError | None" = None


class GateClosedError(Exception):
    """The gate let nothing pass. `by_lease`: because the session may not outlive the call."""

    def __init__(self, why: str, *, by_lease: bool) -> None:
        super().__init__(why)
        self.by_lease = by_lease


_CALL: ContextVar[Call | None] = ContextVar("authorizenet_call", default=None)


class Gate:
    """Lets each call pass once, under the lease."""

    def __init__(
        self, lease: Lease, *, margin_s: float, clock_s: Callable[[], float] = steady_s
    ) -> None:
        self._lease = lease
        self._margin_s = margin_s
        self._clock_s = clock_s

    def trace_config(self) -> aiohttp.TraceConfig:
        """What the aiohttp session must be made with."""
        config = aiohttp.TraceConfig()
        config.on_request_headers_sent.append(self._on_request_headers_sent)
        config.on_request_chunk_sent.append(self._on_request_chunk_sent)
        return config

    @contextmanager
    def call(self, *, guarded: bool, deadline_s: float) -> Iterator[Call]:
        """The call that this task is about to make, `deadline_s` long at most."""
        call = Call(guarded=guarded, deadline_at_s=self._clock_s() + deadline_s)
        before = _CALL.set(call)
        try:
            yield call
        finally:
            _CALL.reset(before)

    async def _on_request_headers_sent(
        self, _session: object, _context: object, _params: object
    ) -> None:
        self.let_pass(_CALL.get())

    async def _on_request_chunk_sent(self, *_told: object) -> None:
        self.look_again(_CALL.get())

    def let_pass(self, call: Call | None) -> None:
        """Mark `call` as sent, or raise GateClosedError."""
        if call is None:
            raise GateClosedError("a request that no call stands for", by_lease=False)
        if call.sent or call.kept_back is not None:
            raise GateClosedError("the call has passed the gate before", by_lease=False)
        self._insist_covered(call)
        call.sent = True

    def look_again(self, call: Call | None) -> None:
        """Right before the first bytes: raise GateClosedError where the session may not outlive the call any more."""
        if call is None or call.written:
            return  # let_pass has refused the one; of the other something has left
        try:
            self._insist_covered(call)
        except GateClosedError as closed:
            call.sent, call.kept_back = False, closed
            raise
        call.written = True

    def _insist_covered(self, call: Call) -> None:
        left_s = call.deadline_at_s - self._clock_s()
        if left_s <= 0:
            raise GateClosedError("the call's deadline passed before it was sent", by_lease=False)
        lease_s = self._lease.remaining_s()
        if call.guarded and lease_s <= left_s + self._margin_s:
            raise GateClosedError(
                f"the session's lease ({lease_s:.1f} s) may end before the call does"
                f" ({left_s:.1f} s and {self._margin_s:.1f} s margin)",
                by_lease=True,
            )
