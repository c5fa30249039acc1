"""A tiny Schema Registry on a real socket: ids, subjects, comparison, and every way of answering badly.

It speaks the part of Confluent's API that the worker uses, with its status and error codes. Its rule of compatibility
is FULL_TRANSITIVE, by the project's own comparison. What it cannot do: references, other levels, deletion.
"""

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

from avro.compat import fully_transitive
from avro.errors import Unreadable
from avro.schema import load

Answer = tuple[int, object]


@dataclass
class SchemaRegistryDouble:
    """`answer` (status, body as it is sent) replaces every answer; `trickle_s` lies between the bytes of one."""

    url: str = ""
    schemas: dict[int, dict[str, object]] = field(default_factory=dict)
    subjects: dict[str, list[int]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    answer: tuple[int, bytes] | None = None
    basic: tuple[str, str] | None = None
    trickle_s: float = 0.0

    def add(self, text: str, **more: object) -> int:
        """Keep a schema without a subject, as a producer of another team would have; its id."""
        schema_id = len(self.schemas) + 1
        self.schemas[schema_id] = {"schema": text, **more}
        return schema_id

    def handle(self, method: str, path: str, *, body: dict[str, object]) -> Answer:
        """One call, as the API reference has it."""
        match (method, *[unquote(part) for part in path.strip("/").split("/")]):
            case ("GET", "schemas", "ids", schema_id):
                found = self.schemas.get(int(schema_id))
                return (200, found) if found else (404, _error(40403, "Schema not found"))
            case ("POST", "subjects", subject, "versions"):
                return self._register(subject, str(body["schema"]))
            case ("POST", "compatibility", "subjects", subject, "versions"):
                if subject not in self.subjects:
                    return 404, _error(40401, "Subject not found")
                messages = self._conflicts(subject, str(body["schema"]))
                return 200, {"is_compatible": not messages, "messages": messages}
            case _:
                return 404, _error(404, "HTTP 404 Not Found")

    def _register(self, subject: str, text: str) -> Answer:
        try:
            load(text)
        except Unreadable as refusal:
            return 422, _error(42201, refusal.why)
        conflicts = self._conflicts(subject, text)
        if conflicts:
            return 409, _error(409, conflicts[0])
        same = [number for number, kept in self.schemas.items() if kept == {"schema": text}]
        schema_id = same[0] if same else self.add(text)
        versions = self.subjects.setdefault(subject, [])
        if schema_id not in versions:
            versions.append(schema_id)
        return 200, {"id": schema_id}

    def _conflicts(self, subject: str, text: str) -> list[str]:
        kept = [str(self.schemas[each]["schema"]) for each in self.subjects.get(subject, [])]
        return list(fully_transitive([load(each) for each in (*kept, text)]))


def _error(code: int, message: str) -> dict[str, object]:
    return {"error_code": code, "message": message}


class _Server(ThreadingHTTPServer):
    def __init__(self, double: SchemaRegistryDouble) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.double = double
        double.url = f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def log_message(self, *_arguments: object) -> None:
        """Tests speak for themselves."""

    def _serve(self, method: str) -> None:
        path = urlsplit(self.path).path
        length = int(self.headers.get("content-length") or 0)
        body = json.loads(self.rfile.read(length)) if length else {}
        self.server.double.calls.append(f"{method} {path}")
        status, content = self._answer(method, path, body=body)
        self.send_response(status)
        self.send_header("content-type", "application/vnd.schemaregistry.v1+json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self._send(content)

    def _answer(self, method: str, path: str, *, body: dict[str, object]) -> tuple[int, bytes]:
        double = self.server.double
        if double.answer is not None:
            return double.answer
        if double.basic is not None:
            pair = base64.b64encode(":".join(double.basic).encode()).decode()
            if self.headers.get("authorization") != f"Basic {pair}":
                return 401, json.dumps(_error(40101, "Unauthorized")).encode()
        status, value = double.handle(method, path, body=body)
        return status, json.dumps(value).encode()

    def _send(self, content: bytes) -> None:
        pause_s = self.server.double.trickle_s
        try:
            if not pause_s:
                self.wfile.write(content)
                return
            for byte in content:
                self.wfile.write(bytes([byte]))
                time.sleep(pause_s)
        except OSError:
            return  # the client had enough, which is what some tests want


@contextmanager
def schema_registry() -> Iterator[SchemaRegistryDouble]:
    """A registry on a free loopback port; gone when the block ends."""
    double = SchemaRegistryDouble()
    server = _Server(double)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield double
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
