"""Free loopback ports for the servers of the stage. Nothing here starts or talks to a server."""

import random
import socket

from worker.demo.stage_error import StageError

LOOPBACK = "127.0.0.1"
# Below the range from which kernels take the local ports of outgoing connections (Linux: from 32768).
# A server that is down for a moment and wants its old port back must not find a client sitting on it.
_LOWEST = 15_000
_HIGHEST = 32_000
_TRIES = 200


def free_ports(count: int) -> list[int]:
    """`count` different ports of 127.0.0.1 on which nobody listens now.

    They are not held: whoever binds first has them. The range is wide and the choice random, so that two
    stages starting at once are unlikely to meet, and a server that finds its port taken says so.
    """
    found: list[int] = []
    for _ in range(_TRIES):
        if len(found) == count:
            return found
        port = random.SystemRandom().randrange(_LOWEST, _HIGHEST)
        if port not in found and is_free(port):
            found.append(port)
    raise StageError(
        f"No {count} free ports between {_LOWEST} and {_HIGHEST} on {LOOPBACK} after {_TRIES} tries. "
        "Next: look with `ss -ltn` at who listens there."
    )


def is_free(port: int) -> bool:
    """Whether a server could bind this port of 127.0.0.1 now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do it: a port whose old connections are still in TIME_WAIT counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def insist_free(port: int, *, server: str) -> None:
    """Raise `StageError` where another program holds the port that `server` is about to bind."""
    if not is_free(port):
        raise StageError(
            f"{server} cannot start: port {port} of {LOOPBACK} is taken by another program. "
            f"Next: find it with `ss -ltnp 'sport = :{port}'` and end it, or start {server} in a new folder."
        )
