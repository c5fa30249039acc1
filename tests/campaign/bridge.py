"""A TCP bridge to a server that can be taken away: closed it refuses, silent it swallows. What flows is not looked at.

What was swallowed never arrives later: a connection that met a silence is broken when the silence ends.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from worker.demo import ports

_CHUNK: Final = 65_536
_OBEYS_WITHIN_S: Final = 20.0


class Bridge:
    """Listens on `port`, while it is open or silent. Use `bridged`."""

    def __init__(self) -> None:
        [self.port] = ports.free_ports(1)
        self._target = 0
        self._silent = False
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self, target: int | None = None) -> None:
        """Lead to the port `target` of this machine from now on, or to the one that it led to before."""
        self._do(lambda: self._open(target))

    def refuse(self) -> None:
        """Break what is connected, and refuse who comes."""
        self._do(self._refuse)

    def silence(self) -> None:
        """Take everything, hand nothing on, answer nothing."""
        self._do(self._fall_silent)

    def run(self) -> None:
        """Serve until `end`."""
        self._loop.run_forever()
        self._loop.close()

    def end(self) -> None:
        """Break everything and stop."""
        self._do(self._refuse)
        self._do(self._let_go)
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _do(self, change: Callable[[], object]) -> None:
        async def changed() -> None:
            outcome = change()
            if asyncio.iscoroutine(outcome):
                await outcome

        asyncio.run_coroutine_threadsafe(changed(), self._loop).result(_OBEYS_WITHIN_S)

    async def _open(self, target: int | None) -> None:
        self._target = self._target if target is None else target
        self._break_all()
        self._silent = False
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, ports.LOOPBACK, self.port)

    def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        self._break_all()

    def _fall_silent(self) -> None:
        self._silent = True

    async def _let_go(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _break_all(self) -> None:
        for writer in self._connections:
            writer.transport.abort()
        self._connections.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._connections.add(writer)
        try:
            with suppress(OSError, asyncio.CancelledError):  # at the end; nobody waits for this
                await self._join(reader, writer)
        finally:
            writer.transport.abort()
            self._connections.discard(writer)
            self._tasks.discard(task)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._silent:
            await self._swallow(reader)
            return
        far_reader, far_writer = await asyncio.open_connection(ports.LOOPBACK, self._target)
        self._connections.add(far_writer)
        there = asyncio.create_task(self._pump(reader, far_writer))
        back = asyncio.create_task(self._pump(far_reader, writer))
        try:
            await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            there.cancel()
            back.cancel()
            far_writer.transport.abort()
            self._connections.discard(far_writer)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(_CHUNK):
                if not self._silent:
                    writer.write(data)
                    await writer.drain()
            if self._silent:  # the one side is gone: the other must not hear of it
                await asyncio.Event().wait()

    async def _swallow(self, reader: asyncio.StreamReader) -> None:
        while await reader.read(_CHUNK):
            pass


@contextmanager
def bridged(target: int) -> Iterator[Bridge]:
    """An open bridge to a port of this machine; everything breaks at the end."""
    bridge = Bridge()
    thread = threading.Thread(target=bridge.run, name="bridge", daemon=True)
    thread.start()
    try:
        bridge.open(target)
        yield bridge
    finally:
        bridge.end()
        thread.join(_OBEYS_WITHIN_S)
