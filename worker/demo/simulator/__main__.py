"""`python -m worker.demo.simulator`: start, say where, run until SIGTERM or until orphaned.

The watch over the parent polls its process id. Linux' own signal on a parent's death is not used:
it fires when the *thread* that started the child ends, and a stage may start its parts in threads.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import resource
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from worker.demo.simulator.app import PATH, Surface
from worker.demo.simulator.control import Control
from worker.demo.simulator.gateway import Account, Credentials, Gateway
from worker.demo.simulator.wire import Connection, Request

if TYPE_CHECKING:
    from collections.abc import Callable

_HOST = "127.0.0.1"
_BACKLOG = 4096
_PARENT_POLL_S = 0.5


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m worker.demo.simulator", description="A simulated Authorize.Net gateway."
    )
    parser.add_argument("--port", type=int, default=0, help="gateway port; 0 takes a free one")
    parser.add_argument("--control-port", type=int, default=0, help="control port; 0: a free one")
    parser.add_argument("--host", default=_HOST, help="address to listen on")
    parser.add_argument("--ready-file", type=Path, required=True, help="gets the two URLs")
    parser.add_argument("--login", default="", help="API login that is accepted; default: any")
    parser.add_argument("--transaction-key-file", type=Path, help="holds the key; default: any")
    parser.add_argument(
        "--account",
        type=_account,
        action="append",
        default=[],
        metavar="LOGIN:KEY:CUR",
        help="one more merchant account with its own currency; may be repeated",
    )
    parser.add_argument("--seed", type=int, default=0, help="of ids and of the fault dice")
    return parser.parse_args()


def _account(text: str) -> Account:
    login, _, rest = text.partition(":")
    key, _, currency = rest.rpartition(":")
    try:
        return Account(login, key, currency)
    except ValueError as error:  # argparse's own words would show the key
        raise argparse.ArgumentTypeError(str(error)) from None


def _credentials(arguments: argparse.Namespace) -> Credentials:
    path: Path | None = arguments.transaction_key_file
    key = path.read_text().strip() if path is not None else ""
    return Credentials(login=arguments.login, transaction_key=key)


def _allow_many_connections() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _listen(host: str, port: int) -> socket.socket:
    listening = socket.create_server((host, port), backlog=_BACKLOG)
    listening.setblocking(False)  # noqa: FBT003 - the socket module's own signature
    return listening


def _write_ready(path: Path, *, host: str, port: int, control_port: int) -> None:
    urls = {
        "url": f"http://{host}:{port}{PATH}",
        "control_url": f"http://{host}:{control_port}",
    }
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(json.dumps(urls))
    beside.replace(path)


class _Doors:
    """The open connections of both ports, so that the end leaves none."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._open: set[Connection] = set()

    def counted(self, serve: Callable[[Connection, Request], None]) -> Connection:
        return Connection(serve, opened=self._count_in, closed=self._count_out)

    def plain(self, serve: Callable[[Connection, Request], None]) -> Connection:
        return Connection(serve, opened=self._open.add, closed=self._open.discard)

    def break_all(self) -> None:
        for connection in list(self._open):
            connection.reset()

    def _count_in(self, connection: Connection) -> None:
        self._open.add(connection)
        calls = self._gateway.calls
        calls.connections += 1
        calls.open_connections += 1
        calls.most_open_connections = max(calls.most_open_connections, calls.open_connections)

    def _count_out(self, connection: Connection) -> None:
        self._open.discard(connection)
        self._gateway.calls.open_connections -= 1


async def _orphaned(parent: int) -> None:
    while os.getppid() == parent:  # noqa: ASYNC110 - a process id has no event to wait for
        await asyncio.sleep(_PARENT_POLL_S)


async def _run(arguments: argparse.Namespace, parent: int) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    gateway = Gateway(
        seed=arguments.seed,
        credentials=_credentials(arguments),
        accounts=arguments.account,
    )
    doors, surface, control = _Doors(gateway), Surface(gateway), Control(gateway)
    public = _listen(arguments.host, arguments.port)
    private = _listen(arguments.host, arguments.control_port)
    servers = [
        await loop.create_server(lambda: doors.counted(surface.serve), sock=public),
        await loop.create_server(lambda: doors.plain(control.serve), sock=private),
    ]
    _write_ready(
        arguments.ready_file,
        host=arguments.host,
        port=public.getsockname()[1],
        control_port=private.getsockname()[1],
    )
    waiting = [asyncio.ensure_future(stop.wait()), asyncio.ensure_future(_orphaned(parent))]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    for server in servers:
        server.close()
    doors.break_all()
    await asyncio.sleep(0)  # the broken connections say goodbye in the loop's next turn


def main() -> int:
    """Run the simulator; 0 when it was asked to end."""
    parent = os.getppid()  # before anything slow: a parent that dies meanwhile is noticed
    arguments = _arguments()
    _allow_many_connections()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(arguments, parent))
    return 0


if __name__ == "__main__":
    sys.exit(main())
