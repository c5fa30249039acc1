"""The stage's servers in containers: port and data outlive an end, and what they cannot do they say."""

import socket
import time
from pathlib import Path
from typing import Final

import psycopg

from tests.containers.engine import ProofError
from worker.demo.containers import ContainerBroker, ContainerPostgres, servers
from worker.demo.stage_error import StageError

_FROZEN_S: Final = 1.0


def check() -> str:
    """Stop, kill, freeze and start both servers again. Raises ProofError or StageError."""
    began = time.monotonic()
    broker, postgres = servers(say=lambda _: None, heap_mb=256, durable=True)
    with broker, postgres:
        started_s = time.monotonic() - began
        _postgres(postgres)
        _broker(broker)
        try:
            postgres.backup(Path("backup"))
        except StageError as error:
            said = str(error)
        else:
            raise ProofError("a backup out of a container should have been refused")
        assert "STACK=embedded" in said
    if broker.alive or postgres.alive:
        raise ProofError("a server outlived its block")
    return f"the stage's servers: ready after {started_s:.0f} s; stopped, killed, frozen, started again with their data"


def _postgres(postgres: ContainerPostgres) -> None:
    url = postgres.database("proof")
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept (it int)")
        connection.execute("INSERT INTO kept VALUES (7)")
    for end in (postgres.stop, postgres.kill):
        end()
        if postgres.alive:
            raise ProofError(f"PostgreSQL runs after {end.__name__}")
        postgres.start()
        if postgres.database("proof") != url:
            raise ProofError("PostgreSQL came back under another address")
        with psycopg.connect(url) as connection:
            row = connection.execute("SELECT it FROM kept").fetchone()
        if row != (7,):
            raise ProofError(f"expected the row from before {end.__name__}, found {row}")


def _broker(broker: ContainerBroker) -> None:
    broker.freeze()
    if not broker.alive or _speaks(broker.port):
        raise ProofError("a frozen broker should be there and silent")
    broker.thaw()
    broker.kill()
    broker.restart_after_kill()
    broker.insist_alive()
    if not _speaks(broker.port):
        raise ProofError("the broker does not answer after its restart")


def _speaks(port: int) -> bool:
    """Whether an ApiVersions request (key 18, version 0, correlation 7) is answered at once."""
    request = b"\x00\x00\x00\x0a" + b"\x00\x12\x00\x00" + b"\x00\x00\x00\x07" + b"\xff\xff"
    with socket.create_connection(("127.0.0.1", port), _FROZEN_S) as connection:
        connection.sendall(request)
        try:
            return bool(connection.recv(1))
        except TimeoutError:
            return False
