"""A TCP proxy in front of PostgreSQL that loses one COMMIT, in the ways in which a network can. No test lives here."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from typing import Final

_COMMIT: Final = b"Q\x00\x00\x00\x0bCOMMIT\x00"
_LATE_S: Final = 0.4


class Loss(Enum):
    """What is lost."""

    REQUEST = "the COMMIT never arrives"
    ANSWER = "the COMMIT is done, its answer is lost"
    LATE = "the client's connection dies, the COMMIT arrives later"


class DroppingProxy:
    """Listens on `port`; `lose` arms it for the next COMMIT."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._armed: Loss | None = None
        self.lost = 0
        self._threads: list[threading.Thread] = []

    def lose(self, loss: Loss) -> None:
        """Lose the next COMMIT in this way."""
        self._armed = loss

    def run(self) -> None:
        """Accept until the listener is shut."""
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target_port))
                self._start(self._upwards, client=client, server=server)
                self._start(self._downwards, client=client, server=server)

    def close(self) -> None:
        """Shut the listener, wait for the connections' threads."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)

    def _start(
        self, work: Callable[..., None], *, client: socket.socket, server: socket.socket
    ) -> None:
        thread = threading.Thread(target=work, args=(client, server), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _upwards(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65_536):
                loss = self._armed
                if loss is None or _COMMIT not in data:
                    server.sendall(data)
                    continue
                self._armed = None
                self.lost += 1
                self._lose(loss, data, client=client, server=server)
                break
        _shut(server)

    @staticmethod
    def _lose(loss: Loss, data: bytes, *, client: socket.socket, server: socket.socket) -> None:
        _shut(client)  # from here on the client hears nothing
        if loss is Loss.REQUEST:
            return
        if loss is Loss.LATE:
            time.sleep(_LATE_S)
        server.sendall(data)
        time.sleep(0.05)

    @staticmethod
    def _downwards(client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(65_536):
                with suppress(OSError):
                    client.sendall(data)
        _shut(client)
        client.close()
        server.close()


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def proxied(target_port: int) -> Iterator[DroppingProxy]:
    """A proxy in front of `target_port`."""
    proxy = DroppingProxy(target_port)
    thread = threading.Thread(target=proxy.run, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join(10)
