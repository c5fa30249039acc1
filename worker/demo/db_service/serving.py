"""Sockets, the two servers, their end: by SIGTERM or SIGINT, or when the parent is gone.

Knows nothing of what is served.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import msgspec
import uvicorn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from starlette.types import ASGIApp

LOOK_FOR_PARENT_EVERY_S: Final = 0.25
GRACE_S: Final = 1


class QuietServer(uvicorn.Server):
    """A server that leaves the signals to us: two of them share one process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Captures none."""
        yield


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises OSError where the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=1024)


def url_of(listener: socket.socket) -> str:
    """The address under which a client on this machine reaches the socket."""
    host, port = listener.getsockname()[:2]
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - translated, not bound
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def server(app: ASGIApp, *, protocol: type[asyncio.Protocol] | None = None) -> QuietServer:
    """A server for one application."""
    return QuietServer(
        uvicorn.Config(
            app,
            http=protocol or "h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=GRACE_S,
        )
    )


async def serve(
    pairs: Sequence[tuple[QuietServer, socket.socket]],
    *,
    ready_file: Path,
    ready: dict[str, str],
    parent: int | None,
    let_go: Callable[[], None],
) -> None:
    """Serves until told to end; writes `ready` to the ready file once all listen.

    `parent` is the process whose end is ours too, None for no such bond. `let_go` is called at the
    end, to release requests that are held on purpose.
    """
    servers = [one for one, _ in pairs]

    def end() -> None:
        let_go()
        for one in servers:
            one.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(one.serve(sockets=[at])) for one, at in pairs]
        while not all(one.started or one.should_exit for one in servers):  # noqa: ASYNC110 - uvicorn tells by a flag
            await asyncio.sleep(0.01)
        write_whole(ready_file, msgspec.json.encode(ready))
        watch = None if parent is None else group.create_task(_watch(parent, end))
        await asyncio.wait(running)
        if watch is not None:
            watch.cancel()


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file so that a reader sees all of it or none."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.write_bytes(content)
    draft.replace(path)


async def _watch(parent: int, end: Callable[[], None]) -> None:
    # Asked again and again rather than told by the kernel (PR_SET_PDEATHSIG): that signal also
    # comes when only the thread that started us ends, and Linux alone has it.
    while os.getppid() == parent:  # noqa: ASYNC110 - nobody would set an event
        await asyncio.sleep(LOOK_FOR_PARENT_EVERY_S)
    end()
