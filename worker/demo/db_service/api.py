"""The db-service's routes: JSON in, `writing` and `reading` behind, JSON or a problem out.

Every answer is described in `db_client/openapi.yaml`. No SQL here.
"""

from __future__ import annotations

import hmac
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec
from sqlalchemy.exc import InterfaceError, OperationalError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import Route

from worker.demo.db_service import messages, problems, reading, tables, writing
from worker.demo.db_service.database import Database, alive
from worker.demo.db_service.kinds import KINDS, Kind
from worker.demo.db_service.messages import Batch, Body, BrokenRuleError, GoodBatch, Item, Outcome
from worker.demo.db_service.problems import Problem, Ruling

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, ExceptionHandler, Receive, Scope, Send

    from worker.demo.db_service.faults import Counters

MOST_BODY_BYTES: Final = 4 * 1024 * 1024

_BATCH: Final = msgspec.json.Decoder(Batch)
_GOOD_BATCH: Final = msgspec.json.Decoder(GoodBatch)
_ITEM: Final = msgspec.json.Decoder(Item)


class TooLargeError(Exception):
    """The body has more bytes than the service takes."""


class Result(msgspec.Struct, frozen=True):
    """What became of one item of a batch."""

    status: int
    problem: Problem | None


class OutcomeRoutes:
    """Payments, or refunds: write, read, list, history."""

    def __init__(self, *, database: Database, kind: Kind, counters: Counters) -> None:
        self._database = database
        self._kind = kind
        self._counters = counters

    def routes(self) -> list[Route]:
        """The routes of this kind."""
        base = f"/{self._kind.current.name}"
        return [
            Route(base, self.list_page, methods=["GET"]),
            Route(base + "/{key}", self.read, methods=["GET"]),
            Route(base + "/{key}", self.write, methods=["PUT"]),
            Route(base + "/{key}/history", self.read_history, methods=["GET"]),
        ]

    async def list_page(self, request: Request) -> Response:
        """One page by filter."""
        question = reading.ask(self._kind, request.query_params)
        return _json(await self._database.read(partial(reading.read_page, question=question)))

    async def read(self, request: Request) -> Response:
        """One document."""
        return await _read(request, self._database, table=self._kind.current)

    async def read_history(self, request: Request) -> Response:
        """The versions that were applied."""
        key = _key(request)
        work = partial(reading.read_history, kind=self._kind, key=key)
        versions = await self._database.read(work) if key else []
        return _json({"items": versions}) if versions else _refuse(problems.NOT_FOUND)

    async def write(self, request: Request) -> Response:
        """One versioned write."""
        outcome: Outcome = self._kind.read(await _body(request))
        _check_key(request, outcome, id_field=self._kind.id_field)
        [ruling] = await self._database.write(partial(writing.record, outcomes=[outcome]))
        self._counters.count_rulings([ruling])
        if ruling.problem is not None:
            return _refuse(ruling.problem)
        return _json({"version": outcome.version, "applied": ruling.applied})


class SeededRoutes:
    """Orders, or users: read, and seed."""

    def __init__(self, *, database: Database, shape: type[Body], id_field: str) -> None:
        self._database = database
        self._shape = shape
        self._id_field = id_field
        self._table = tables.ORDERS if shape is messages.Order else tables.USERS

    def routes(self) -> list[Route]:
        """The routes of this table."""
        path = f"/{self._table.name}/{{key}}"
        return [
            Route(path, self.read, methods=["GET"]),
            Route(path, self.seed, methods=["PUT"]),
        ]

    async def read(self, request: Request) -> Response:
        """One document."""
        return await _read(request, self._database, table=self._table)

    async def seed(self, request: Request) -> Response:
        """Stores a document; the last one wins."""
        body = msgspec.json.decode(await _body(request), type=self._shape)
        _check_key(request, body, id_field=self._id_field)
        key = getattr(body, self._id_field)
        await self._database.write(partial(writing.seed, table=self._table, body=body, key=key))
        return _json(body)


class Bearer:
    """Lets a request pass that carries the token; only `/healthz` needs none."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers 401, or hands the request on."""
        given = dict(scope["headers"]).get(b"authorization", b"")
        if scope["path"] == "/healthz" or hmac.compare_digest(given, self._expected):
            await self._app(scope, receive, send)
        else:
            answer = _refuse(problems.UNAUTHORIZED)
            answer.headers["WWW-Authenticate"] = 'Bearer realm="db-service"'
            await answer(scope, receive, send)


def build_api(*, database: Database, token: str, counters: Counters) -> Starlette:
    """The whole API as one ASGI application."""
    routes = [
        Route("/healthz", partial(_health, database=database), methods=["GET"]),
        Route(
            "/outcomes",
            partial(_write_batch, database=database, counters=counters),
            methods=["POST"],
        ),
        *SeededRoutes(database=database, shape=messages.Order, id_field="order_id").routes(),
        *SeededRoutes(database=database, shape=messages.Customer, id_field="user_id").routes(),
    ]
    for kind in KINDS:
        routes += OutcomeRoutes(database=database, kind=kind, counters=counters).routes()
    return Starlette(
        routes=routes,
        middleware=[Middleware(Bearer, token=token)],
        exception_handlers=dict(_TRANSLATED),
    )


async def _health(request: Request, database: Database) -> Response:
    del request
    await database.read(alive)
    return _json({"status": "ok"})


async def _write_batch(request: Request, *, database: Database, counters: Counters) -> Response:
    items = _read_batch(await _body(request))
    good = [item for item in items if not isinstance(item, Problem)]
    rulings = iter(await database.write(partial(writing.record, outcomes=good)) if good else [])
    in_order = [
        Ruling(applied=False, problem=item) if isinstance(item, Problem) else next(rulings)
        for item in items
    ]
    counters.count_rulings(in_order)
    return _json({"results": [_result(ruling) for ruling in in_order]})


def _read_batch(body: bytes) -> list[Outcome | Problem]:
    try:
        return [item.body for item in _GOOD_BATCH.decode(body).outcomes]
    except msgspec.ValidationError:
        return [_read_item(raw) for raw in _BATCH.decode(body).outcomes]


def _read_item(raw: msgspec.Raw) -> Outcome | Problem:
    try:
        item: Item = _ITEM.decode(raw)
    except msgspec.ValidationError as error:
        broken = messages.broken_rule(error)
        return problems.invalid(broken.field, broken.rule)
    return item.body


def _result(ruling: Ruling) -> Result:
    return Result(200 if ruling.problem is None else ruling.problem.status, ruling.problem)


async def _read(request: Request, database: Database, *, table: Any) -> Response:
    key = _key(request)
    work = partial(reading.read_document, table=table, key=key)
    document = await database.read(work) if key else None
    return _refuse(problems.NOT_FOUND) if document is None else _json(document)


async def _body(request: Request) -> bytes:
    # What is too much is read to its end all the same: a client that is still writing would
    # otherwise see a reset instead of the 413.
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size <= MOST_BODY_BYTES:
            parts.append(part)
    if size > MOST_BODY_BYTES:
        raise TooLargeError
    return b"".join(parts)


def _key(request: Request) -> str:
    # No id holds a NUL, and PostgreSQL takes none: such a key finds nothing.
    key: str = request.path_params["key"]
    return "" if "\0" in key else key


def _check_key(request: Request, body: Body, *, id_field: str) -> None:
    if getattr(body, id_field) != request.path_params["key"]:
        raise BrokenRuleError(id_field, "must be the id of the path")


def _json(content: object) -> Response:
    return Response(msgspec.json.encode(content), media_type="application/json")


def _refuse(problem: Problem) -> Response:
    headers = {"Retry-After": "1"} if problem.status == 503 else None
    return Response(
        msgspec.json.encode(problem),
        status_code=problem.status,
        headers=headers,
        media_type="application/problem+json",
    )


def _always(problem: Problem) -> ExceptionHandler:
    def handle(request: Request, error: Exception) -> Response:
        del request, error
        return _refuse(problem)

    return handle


def _on_broken_rule(request: Request, error: Exception) -> Response:
    del request
    if isinstance(error, msgspec.ValidationError):
        error = messages.broken_rule(error)
    assert isinstance(error, BrokenRuleError)
    return _refuse(problems.invalid(error.field, error.rule))


def _on_http(request: Request, error: Exception) -> Response:
    del request
    known = {404: problems.UNKNOWN_PATH, 405: problems.METHOD_NOT_ALLOWED}
    status = error.status_code if isinstance(error, HTTPException) else 500
    return _refuse(known.get(status, problems.INTERNAL))


# Exception → answer. What is not here is a bug: answered with 500 and logged by the server.
_TRANSLATED: Final[dict[type[Exception] | int, ExceptionHandler]] = {
    BrokenRuleError: _on_broken_rule,
    msgspec.ValidationError: _on_broken_rule,
    msgspec.DecodeError: _always(problems.MALFORMED),
    RecursionError: _always(problems.MALFORMED),  # msgspec, on brackets nested without end
    UnicodeDecodeError: _always(problems.MALFORMED),
    TooLargeError: _always(problems.TOO_LARGE),
    writing.LostRaceError: _always(problems.UNAVAILABLE),
    OperationalError: _always(problems.UNAVAILABLE),
    InterfaceError: _always(problems.UNAVAILABLE),
    HTTPException: _on_http,
    Exception: _always(problems.INTERNAL),
}
