"""The gateway's HTTP surface: reads a call, draws its fate, performs it, delivers the answer.

Half of the latency passes before the charge and half after it. Once a request was read the gateway
goes on whether or not the caller still listens: a caller that hung up may be charged all the same.
The rules stand in `verbs.py` and `reads.py`, the fates in `faults.py`, the sockets in `wire.py`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from worker.demo.simulator import protocol, settling
from worker.demo.simulator.faults import NO_FAULT, Delivery, Fate, Fault
from worker.demo.simulator.protocol import Call
from worker.demo.simulator.reads import READS
from worker.demo.simulator.verbs import create_transaction

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker.demo.simulator.gateway import Gateway
    from worker.demo.simulator.wire import Connection, Request

_Carried = TypeVar("_Carried")

PATH = "/xml/v1/request.api"
_JSON = "application/json; charset=utf-8"
_XML = "application/xml; charset=utf-8"
_HTML = "text/html; charset=utf-8"
_PAGE = (
    b"<!DOCTYPE html><html><head><title>Maintenance</title></head>"
    b"<body><h1>We will be back soon</h1></body></html>"
)


@dataclass(frozen=True, slots=True)
class Parcel:
    """An answer on its way: the body, who waits for it, and what befalls it."""

    connection: Connection
    body: bytes
    content_type: str
    fault: Fault = NO_FAULT


@dataclass(frozen=True, slots=True)
class Work:
    """A call that was read, with its fate."""

    connection: Connection
    call: Call
    fate: Fate
    is_xml: bool


class Surface:
    """Answers the gateway's one URL."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._deliveries: dict[Delivery, Callable[[Parcel], None]] = {
            Delivery.ANSWER: self._answer,
            Delivery.RESET: self._reset,
            Delivery.RESET_AT_ONCE: self._reset,
            Delivery.SILENCE: self._hold,
            Delivery.HTTP_ERROR: self._http_error,
            Delivery.HTML_PAGE: self._html_page,
            Delivery.MESSAGE: self._answer,
            Delivery.SLOW_BYTES: self._slow_bytes,
            Delivery.HALF_ANSWER: self._half_answer,
        }
        assert set(self._deliveries) == set(Delivery)

    def serve(self, connection: Connection, request: Request) -> None:
        """Take one request to its answer or its fault."""
        if request.target != PATH or request.method != "POST":
            status = 404 if request.target != PATH else 405
            connection.answer(b"", content_type="text/plain", status=status)
            return
        self._gateway.calls.requests_read += 1
        call = protocol.read(self._gateway, request.body, content_type=request.content_type)
        is_xml = protocol.is_xml(request.content_type)
        if not isinstance(call, Call):
            body = protocol.encoded_xml(call) if is_xml else protocol.encoded(call)
            self._answer(Parcel(connection, body, _XML if is_xml else _JSON))
            return
        work = Work(connection, call, self._drawn(call), is_xml)
        if work.fate.fault.delivery is Delivery.RESET_AT_ONCE:
            connection.reset()
        else:
            self._after_half(work.fate, self._perform, carried=work)

    def _drawn(self, call: Call) -> Fate:
        dice = self._gateway.dice
        if call.name == "createTransactionRequest":
            fate = dice.for_charge(call.body["transactionRequest"])
            name = fate.fault.name
        else:
            fate = dice.for_read(call.name)
            name = f"read.{fate.fault.name}"
        if fate.fault is not NO_FAULT:
            self._gateway.calls.faults[name] += 1
        return fate

    @staticmethod
    def _after_half(fate: Fate, action: Callable[[_Carried], None], *, carried: _Carried) -> None:
        """Do something after half of the latency, at once where there is none."""
        if fate.latency_s > 0:
            asyncio.get_running_loop().call_later(fate.latency_s / 2, action, carried)
        else:
            action(carried)

    def _perform(self, work: Work) -> None:
        settling.by_itself(self._gateway)
        reply = self._reply(work.call, work.fate.fault)
        name, is_xml = work.call.name, work.is_xml
        body = protocol.encoded_xml(reply, name) if is_xml else protocol.encoded(reply)
        content_type = _XML if work.is_xml else _JSON
        parcel = Parcel(work.connection, body, content_type, work.fate.fault)
        self._after_half(work.fate, self._deliver, carried=parcel)

    def _reply(self, call: Call, fault: Fault) -> protocol.Reply:
        reply: protocol.Reply = {}
        if call.name != "createTransactionRequest":
            reply = READS[call.name](self._gateway, call)
        elif fault.charged:
            reply = create_transaction(self._gateway, call, fault=fault)
        if fault.message:
            reply = protocol.message_reply(fault.message, ref_id=call.ref_id)
        return reply

    def _deliver(self, parcel: Parcel) -> None:
        self._deliveries[parcel.fault.delivery](parcel)

    def _answer(self, parcel: Parcel) -> None:
        if not parcel.connection.answer(parcel.body, content_type=parcel.content_type):
            self._gateway.calls.answers_without_listener += 1

    def _reset(self, parcel: Parcel) -> None:
        parcel.connection.reset()

    def _hold(self, parcel: Parcel) -> None:
        """Say nothing for ever: the connection stays busy until the caller gives up."""

    def _http_error(self, parcel: Parcel) -> None:
        status = self._gateway.dice.plan.http_status
        parcel.connection.answer(_PAGE, content_type=_HTML, status=status)

    def _html_page(self, parcel: Parcel) -> None:
        parcel.connection.answer(_PAGE, content_type=_HTML)

    def _slow_bytes(self, parcel: Parcel) -> None:
        seconds = self._gateway.dice.plan.slow_bytes_s
        parcel.connection.trickle(parcel.body, content_type=parcel.content_type, seconds=seconds)

    def _half_answer(self, parcel: Parcel) -> None:
        parcel.connection.half(parcel.body, content_type=parcel.content_type)
