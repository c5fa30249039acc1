"""The db-service's refusals as RFC 9457 problems, and what one write came to.

Pure values: no HTTP, no SQL.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

import msgspec


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One refusal. `code` is stable; `field` and `rule` name what is wrong with the request."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    field: str | None = None
    rule: str | None = None
    current_version: int | None = None


@dataclass(frozen=True, slots=True)
class Ruling:
    """What one write came to: applied, already there (neither), or refused."""

    applied: bool
    problem: Problem | None = None


def problem(status: HTTPStatus, *, code: str, detail: str) -> Problem:
    """A problem without a field."""
    return Problem(
        type=f"/problems/{code}", title=status.phrase, status=status, code=code, detail=detail
    )


def invalid(field: str, rule: str) -> Problem:
    """422: a field or parameter breaks a rule."""
    return Problem(
        type="/problems/invalid",
        title=HTTPStatus.UNPROCESSABLE_ENTITY.phrase,
        status=HTTPStatus.UNPROCESSABLE_ENTITY,
        code="invalid",
        detail=f"{field}: {rule}",
        field=field,
        rule=rule,
    )


def older_version(version: int, *, current: int) -> Problem:
    """409: what is stored is newer."""
    return _version_problem(
        "older_version",
        rule="version must not be below the current one",
        detail=f"version {version} is older than the current version {current}",
        current=current,
    )


def version_conflict(current: int) -> Problem:
    """409: the same version came before with other content."""
    return _version_problem(
        "version_conflict",
        rule="one version has one content",
        detail=f"version {current} is stored with other content",
        current=current,
    )


def _version_problem(code: str, *, rule: str, detail: str, current: int) -> Problem:
    return Problem(
        type=f"/problems/{code}",
        title=HTTPStatus.CONFLICT.phrase,
        status=HTTPStatus.CONFLICT,
        code=code,
        detail=detail,
        field="version",
        rule=rule,
        current_version=current,
    )


MALFORMED = problem(
    HTTPStatus.BAD_REQUEST, code="malformed_json", detail="the body is not JSON in UTF-8"
)
UNAUTHORIZED = Problem(
    type="/problems/unauthorized",
    title=HTTPStatus.UNAUTHORIZED.phrase,
    status=HTTPStatus.UNAUTHORIZED,
    code="unauthorized",
    detail="the bearer token is missing or wrong",
    field="Authorization",
    rule="Bearer and the token of this service",
)
NOT_FOUND = problem(HTTPStatus.NOT_FOUND, code="not_found", detail="nothing is stored here")
UNKNOWN_PATH = problem(
    HTTPStatus.NOT_FOUND, code="unknown_path", detail="this service has no such path"
)
TOO_LARGE = problem(
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE, code="too_large", detail="the body has more than 4 MiB"
)
METHOD_NOT_ALLOWED = problem(
    HTTPStatus.METHOD_NOT_ALLOWED, code="method_not_allowed", detail="this path has other methods"
)
UNAVAILABLE = problem(
    HTTPStatus.SERVICE_UNAVAILABLE, code="unavailable", detail="down for a while; repeat later"
)
INTERNAL = problem(
    HTTPStatus.INTERNAL_SERVER_ERROR, code="internal", detail="a bug in the db-service; see its log"
)
