"""Carries faults out: one thread for each victim, in the order of the plan, every wait with an end.

A victim is there again before its next fault begins. What does not come back in time is a TroubleError: then the
campaign, not the worker, has failed.
"""

import threading
import time
from collections.abc import Iterable
from contextlib import nullcontext
from typing import Final, assert_never

from tests.campaign.chronicle import Chronicle, TroubleError
from tests.campaign.fault_plan import Fault, FaultKind
from tests.campaign.ground import Ground, Server
from worker.demo.stage_error import StageError

COMES_BACK_WITHIN_S: Final = 180.0
_LEAVES_WITHIN_S: Final = 45.0
_TRIES_AGAIN_S: Final = 0.5
_LATE_BY: Final = 1.1  # of the campaign's time: what could not begin by then is left out


def perform(
    faults: Iterable[Fault], ground: Ground, *, opened: float, chronicle: Chronicle, stop: threading.Event
) -> None:  # fmt: skip
    """The faults of one victim, since the opening (on the monotonic clock). Raises TroubleError, StageError."""
    for fault in faults:
        stop.wait(max(0.0, opened + fault.at_s - time.monotonic()))
        if stop.is_set():
            return
        if time.monotonic() > opened + _LATE_BY * ground.terms.lasts_s:
            chronicle.leave_out()
            continue
        with chronicle.write(fault), ground.hands.get(fault.victim, nullcontext()):
            _meet(fault, ground, stop=stop)


def _meet(fault: Fault, ground: Ground, *, stop: threading.Event) -> None:
    kinds = FaultKind
    match fault.kind:
        case (
            kinds.WORKER_KILLED
            | kinds.BROKER_KILLED
            | kinds.POSTGRES_KILLED
            | kinds.DB_SERVICE_KILLED
        ):
            _kill(ground.servers[fault.victim], fault, stop=stop)
        case (
            kinds.WORKER_FROZEN
            | kinds.WORKER_FROZEN_BRIEFLY
            | kinds.BROKER_FROZEN
            | kinds.POSTGRES_FROZEN
            | kinds.DB_SERVICE_FROZEN
        ):
            _freeze(ground.servers[fault.victim], fault, stop=stop)
        case kinds.WORKER_LEAVES:
            worker = ground.workers[fault.victim]
            worker.stop(grace_s=_LEAVES_WITHIN_S)
            stop.wait(fault.lasts_s)
            start_again(worker, fault.victim)
        case (
            kinds.GATEWAY_SLOW | kinds.GATEWAY_FAILS | kinds.GATEWAY_REFUSES | kinds.GATEWAY_SILENT
        ):
            _trouble_the_gateway(fault, ground, stop=stop)
        case kinds.BATCH_SETTLES:
            ground.settle()
        case never:
            assert_never(never)


def _kill(server: Server, fault: Fault, *, stop: threading.Event) -> None:
    if fault.kind is not FaultKind.WORKER_KILLED:  # a worker may have ended by itself: that is told
        server.insist_alive()
    server.kill()
    stop.wait(fault.lasts_s)
    start_again(server, fault.victim)


def _freeze(server: Server, fault: Fault, *, stop: threading.Event) -> None:
    server.freeze()
    try:
        stop.wait(fault.lasts_s)
    finally:
        server.thaw()


def _trouble_the_gateway(fault: Fault, ground: Ground, *, stop: threading.Event) -> None:
    try:
        if fault.kind is FaultKind.GATEWAY_SLOW:
            ground.slow()
        elif fault.kind is FaultKind.GATEWAY_FAILS:
            ground.fails()
        elif fault.kind is FaultKind.GATEWAY_REFUSES:
            ground.gateway.refuse()
        else:
            ground.gateway.silence()
        stop.wait(fault.lasts_s)
    finally:
        ground.gateway.open()
        ground.calm()


def start_again(server: Server, name: str) -> None:
    """Again and again, as a supervisor does it: what it needs may be away. Raises TroubleError."""
    deadline = time.monotonic() + COMES_BACK_WITHIN_S
    while not server.alive:
        try:
            server.start()
        except StageError as error:
            if time.monotonic() > deadline:
                why = f"{name} did not come back within {COMES_BACK_WITHIN_S:.0f} s"
                raise TroubleError(f"{why}: {error}") from error
            time.sleep(_TRIES_AGAIN_S)
