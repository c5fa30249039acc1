"""The reference db-service as a program: `python -m worker.demo.db_service --help`.

It stands for another team's service: the worker knows it only through HTTP. Here are the arguments,
the log and the order of the start; what is served stands in `api.py`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop
from sqlalchemy.exc import ArgumentError, OperationalError

from worker.demo.db_service.api import build_api
from worker.demo.db_service.database import Database
from worker.demo.db_service.faults import (
    Counters,
    DroppableProtocol,
    FaultGate,
    Faults,
    build_control,
)
from worker.demo.db_service.serving import bind, serve, server, url_of

if TYPE_CHECKING:
    import socket


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def main(arguments: list[str]) -> int:
    """Runs the service to its end. 0: ended when told; 2: it could not start (the log says why)."""
    parent = os.getppid()
    given = _parse(arguments)
    _log_to_stderr()
    log = logging.getLogger("db_service")
    try:
        given.ready_file.unlink(
            missing_ok=True
        )  # an older one would tell of addresses that are gone
        token = _token(given.token_file)
        listeners = [bind(given.host, port) for port in _ports(given)]
        database = Database(given.database_url)
    except (OSError, ValueError, OperationalError, ArgumentError) as error:
        log.error("cannot start: %s", getattr(error, "orig", error))  # noqa: TRY400 - in one line
        return 2
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(
                _run(
                    listeners,
                    database=database,
                    token=token,
                    ready_file=given.ready_file,
                    parent=parent if given.die_with_parent else None,
                )
            )
    finally:
        database.close()
    log.info("ended")
    return 0


async def _run(
    listeners: list[socket.socket],
    *,
    database: Database,
    token: str,
    ready_file: Path,
    parent: int | None,
) -> None:
    counters = Counters()
    gate = FaultGate(
        build_api(database=database, token=token, counters=counters), counters=counters
    )
    servers = [server(gate, protocol=DroppableProtocol), server(build_control(gate, counters))]
    names = ("url", "control_url")
    ready = {name: url_of(at) for name, at in zip(names, listeners, strict=False)}
    logging.getLogger("db_service").info("listening: %s", ready)
    pairs = list(zip(servers, listeners, strict=False))
    await serve(
        pairs,
        ready_file=ready_file,
        ready=ready,
        parent=parent,
        let_go=lambda: gate.set(Faults()),
    )


def _token(file: Path) -> str:
    token = file.read_text(encoding="utf-8").strip()
    if not token:
        raise ValueError(f"the token file {file} is empty")
    return token


def _ports(given: argparse.Namespace) -> list[int]:
    return [given.port] if given.control_port is None else [given.port, given.control_port]


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m worker.demo.db_service",
        description="The reference db-service: orders, users, payments, refunds over HTTP.",
    )
    parser.add_argument("--database-url", required=True, help="postgresql://…; its own database")
    parser.add_argument("--token-file", type=Path, required=True, help="holds the bearer token")
    parser.add_argument("--ready-file", type=Path, required=True, help="written once it listens")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--control-port", type=int, help="faults on demand; 0 takes a free one")
    parser.add_argument("--die-with-parent", action="store_true", help="end when the parent ends")
    return parser.parse_args(arguments)


def _log_to_stderr() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("uvicorn").setLevel(logging.WARNING)  # it would tell of each server's day


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
