"""A small client of a Confluent-compatible Schema Registry: schema by id, register, compare. Synchronous.

Called from the intake thread and at start, by one thread at a time. A registry that is down, refuses our credentials or
answers what no registry would is `Unavailable`: intake pauses and asks again. Only its own definite "no such schema"
(HTTP 404 *with* the registry's error code) makes a record unreadable; a bare 404 is what a wrong URL or a proxy says,
and must not empty a topic into the dead letters.
Source: Confluent Schema Registry API reference, v1. Schema references are not followed: our topics need none.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, cast
from urllib.parse import quote

import httpx

from avro.errors import SchemaRefused, Unreadable
from handlers.domain.errors import InvalidValueError, Unavailable
from handlers.domain.secret import Secret

_WHAT: Final = "schema registry"
_CONTENT_TYPE: Final = "application/vnd.schemaregistry.v1+json"
_MAX_ANSWER_BYTES: Final = 524_288
_NO_SUCH_THING: Final = frozenset({40401, 40402, 40403})  # subject, version, schema not found
_REMEMBERED: Final = 256
_MISSES_REMEMBERED: Final = 1_024
_MISS_S: Final = (
    5.0  # poison with made-up ids must not become one call each; a new schema may appear soon
)
_MAX_REASON: Final = 300


@dataclass(frozen=True, slots=True)
class Credentials:
    """Basic authentication at the registry."""

    user: str
    password: Secret


class Registry:
    """`url` may have a path, never credentials. Each call ends after about `timeout_s` seconds."""

    def __init__(
        self, url: str, *, credentials: Credentials | None = None, timeout_s: float = 5.0
    ) -> None:
        auth = None
        if credentials is not None:
            auth = httpx.BasicAuth(credentials.user, credentials.password.reveal())
        self._client = httpx.Client(
            base_url=_checked(url),
            auth=auth,
            timeout=timeout_s,
            headers={"accept": f"{_CONTENT_TYPE}, application/json"},
        )
        self._timeout_s = timeout_s
        self._misses: dict[int, float] = {}
        self._known = lru_cache(maxsize=_REMEMBERED)(self._download)

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def schema(self, schema_id: int) -> str:
        """The JSON of schema `schema_id`. Raises Unavailable, or Unreadable where there is no such Avro schema."""
        if time.monotonic() < self._misses.get(schema_id, 0.0):
            raise _unknown(schema_id)
        return self._known(schema_id)

    def register(self, subject: str, schema: str) -> int:
        """The id of `schema` under `subject`; the same for the same schema. Raises Unavailable or SchemaRefused."""
        path = f"/subjects/{quote(subject, safe='')}/versions"
        status, answer = self._call("POST", path, body={"schema": schema, "schemaType": "AVRO"})
        schema_id = answer.get("id")
        if status == httpx.codes.OK and isinstance(schema_id, int):
            return schema_id
        if status in {httpx.codes.CONFLICT, httpx.codes.UNPROCESSABLE_ENTITY}:
            raise SchemaRefused(subject, str(answer.get("message"))[:_MAX_REASON])
        raise _unexpected(status, path)

    def conflicts(self, subject: str, schema: str) -> tuple[str, ...]:
        """Why `schema` would not be accepted under `subject`, by the registry's own rule; empty where it would.

        A subject that does not exist yet accepts everything. Raises Unavailable or SchemaRefused.
        """
        path = f"/compatibility/subjects/{quote(subject, safe='')}/versions?verbose=true"
        status, answer = self._call("POST", path, body={"schema": schema, "schemaType": "AVRO"})
        if status == httpx.codes.NOT_FOUND and answer.get("error_code") in _NO_SUCH_THING:
            return ()
        if status == httpx.codes.UNPROCESSABLE_ENTITY:
            raise SchemaRefused(subject, str(answer.get("message"))[:_MAX_REASON])
        if status != httpx.codes.OK or "is_compatible" not in answer:
            raise _unexpected(status, path)
        if answer["is_compatible"] is True:
            return ()
        messages = answer.get("messages")
        told = messages if isinstance(messages, list) and messages else ["it gives no reason"]
        return tuple(str(message)[:_MAX_REASON] for message in told)

    def _download(self, schema_id: int) -> str:
        path = f"/schemas/ids/{schema_id}"
        status, answer = self._call("GET", path, body=None)
        if status == httpx.codes.NOT_FOUND and answer.get("error_code") in _NO_SUCH_THING:
            if len(self._misses) >= _MISSES_REMEMBERED:
                self._misses.clear()
            self._misses[schema_id] = time.monotonic() + _MISS_S
            raise _unknown(schema_id)
        text = answer.get("schema")
        if status != httpx.codes.OK or not isinstance(text, str):
            raise _unexpected(status, path)
        if answer.get("schemaType", "AVRO") != "AVRO":
            raise Unreadable(f"schema {schema_id} of the registry is not an Avro schema")
        if answer.get("references"):
            raise Unreadable(
                f"schema {schema_id} of the registry has references, which are not read"
            )
        return text

    def _call(
        self, method: str, path: str, *, body: Mapping[str, str] | None
    ) -> tuple[int, dict[str, object]]:
        """The status and the JSON object of the answer. A total deadline lies around the reading of its body."""
        deadline = time.monotonic() + self._timeout_s
        headers = {"content-type": _CONTENT_TYPE} if body else {}
        content = json.dumps(body).encode() if body else None
        read = bytearray()
        try:
            with self._client.stream(method, path, content=content, headers=headers) as response:
                for chunk in response.iter_bytes():
                    read += chunk
                    if len(read) > _MAX_ANSWER_BYTES:
                        raise Unavailable(_WHAT, f"its answer to {path} is too large")
                    if time.monotonic() > deadline:
                        raise Unavailable(_WHAT, f"its answer to {path} takes too long")
        except httpx.HTTPError as error:
            raise Unavailable(_WHAT, f"{method} {path}: {type(error).__name__}") from None
        return response.status_code, _json_object(bytes(read))


def _json_object(body: bytes) -> dict[str, object]:
    """Empty where the body is no JSON object: then no definite answer can be read from it."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def _unexpected(status: int, path: str) -> Unavailable:
    if status in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        return Unavailable(_WHAT, f"it refuses our credentials (HTTP {status} for {path})")
    return Unavailable(_WHAT, f"HTTP {status} for {path}, without an answer that a registry gives")


def _unknown(schema_id: int) -> Unreadable:
    return Unreadable(f"the schema registry knows no schema {schema_id}")


def _checked(url: str) -> httpx.URL:
    rule = (
        "must be http://host[:port][/path] or https://…, with credentials in settings of their own"
    )
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        raise InvalidValueError("schema_registry_url", rule) from None
    if parsed.scheme not in {"http", "https"} or not parsed.host or parsed.userinfo:
        raise InvalidValueError("schema_registry_url", rule)
    return parsed
