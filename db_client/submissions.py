"""Moves on their way to the journal's thread, and how their results get back to whoever waits."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from db_client.moves import Move


@dataclass(frozen=True, slots=True)
class Submission:
    """A move on its way, and where its result goes."""

    move: Move
    future: "asyncio.Future[Any] | Future[Any]"


def settle(results: Sequence[tuple["asyncio.Future[Any] | Future[Any]", Any]]) -> None:
    """Hand results back: threads at once, each event loop with one wake-up."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
    for future, outcome in results:
        if isinstance(future, Future):
            _resolve(future, outcome)
        else:
            by_loop.setdefault(future.get_loop(), []).append((future, outcome))
    for loop, settled in by_loop.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_resolve_all, settled)


def _resolve_all(settled: Sequence[tuple["asyncio.Future[Any]", Any]]) -> None:
    for future, outcome in settled:
        _resolve(future, outcome)


def _resolve(future: "asyncio.Future[Any] | Future[Any]", outcome: Any) -> None:
    if future.done():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
