"""The db-service's document as a judge, its program as a child, good bodies, and ways to send them.

Used by every suite that speaks to the reference db-service; no test stands here.
"""

from __future__ import annotations

import subprocess
import sys
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import yaml
from jsonschema import Draft202012Validator

from tests.waiting import addresses

ROOT = Path(__file__).parents[2]
DOCUMENT = yaml.safe_load((ROOT / "db_client" / "openapi.yaml").read_text(encoding="utf-8"))
TOKEN = "a-token-of-the-tests"
_numbers = count(1)


def start(folder: Path, database_url: str, *more: str) -> subprocess.Popen[bytes]:
    """Starts the program with its files in the folder."""
    (folder / "token").write_text(TOKEN + "\n", encoding="utf-8")
    files = ["--token-file", str(folder / "token"), "--ready-file", str(folder / "ready")]
    command = [sys.executable, "-m", "worker.demo.db_service", "--database-url", database_url]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen([*command, *files, *more], cwd=ROOT, stderr=log)


def wait_ready(folder: Path, process: subprocess.Popen[bytes] | None = None) -> dict[str, str]:
    """The ready file's content, once it is there."""
    return addresses(folder / "ready", process, log=folder / "log")


def make_client(url: str, seen: set[tuple[str, str, int]]) -> httpx.Client:
    """A client that checks each answer and notes (path, method, status) in `seen`."""

    def hold(response: httpx.Response) -> None:
        response.read()
        path, described = described_by(response.request.method, response.request.url.path)
        status = response.status_code
        assert str(status) in described["responses"], f"not described: {status} {response.text}"
        answer = resolve(described["responses"][str(status)])
        media = response.headers["content-type"]
        check(answer["content"][media]["schema"], response.json())
        seen.add((path, response.request.method, status))

    headers = {"Authorization": f"Bearer {TOKEN}"}
    return httpx.Client(base_url=url, headers=headers, event_hooks={"response": [hold]}, timeout=30)


def described_by(method: str, path: str) -> tuple[str, Any]:
    """The path template and operation of the document that a request belongs to."""
    parts = path.split("/")
    for template, operations in DOCUMENT["paths"].items():
        wanted = template.split("/")
        pairs = list(zip(wanted, parts, strict=False))
        if len(wanted) == len(parts) and all(w == p or w.startswith("{") for w, p in pairs):
            return template, operations[method.lower()]
    raise AssertionError(f"{method} {path} is not described")


def resolve(node: Any) -> Any:
    """The node, or what its reference points to."""
    if "$ref" not in node:
        return node
    found = DOCUMENT
    for part in node["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return found


def check(schema: Any, content: Any) -> None:
    """Raises where the content breaks the schema."""
    Draft202012Validator({**schema, "components": DOCUMENT["components"]}).validate(content)


def payment(**changes: Any) -> dict[str, Any]:
    """A good payment under an id of its own."""
    number = next(_numbers)
    return {
        "payment_id": f"pay-{number}",
        "order_id": f"ord-{number}",
        "user_id": f"usr-{number}",
        "amount_minor": 1999,
        "currency": "USD",
        "payment_status": "success",
        "state": "captured",
        "authorised_minor": 1999,
        "captured_minor": 1999,
        "refunded_minor": 0,
        "version": 1,
        "occurred_at": "2026-03-01T12:00:00.123456Z",
        "payment_method": {"kind": "card", "brand": "Visa", "last4": "1111"},
        "transaction_id": "60198",
        "reason_code": None,
        "reason_text": None,
        "advice": None,
        "expires_at": None,
        "marks": [],
        "request": None,
    } | changes


def refund(**changes: Any) -> dict[str, Any]:
    """A good refund under an id of its own."""
    number = next(_numbers)
    return {
        "refund_id": f"ref-{number}",
        "payment_id": f"pay-{number}",
        "amount_minor": 500,
        "currency": "USD",
        "refund_status": "processed",
        "state": "processed",
        "reason": "damaged",
        "reason_code": None,
        "reason_text": None,
        "advice": None,
        "due_at": None,
        "transaction_id": None,
        "version": 1,
        "occurred_at": "2026-03-01T12:00:00Z",
    } | changes


def order(**changes: Any) -> dict[str, Any]:
    """A good order under an id of its own."""
    return {
        "order_id": f"ord-{next(_numbers)}",
        "customer": user(billing_address=address(), shipping_address=None),
        "status": "payable",
        "currency": "USD",
        "total_minor": 2199,
        "paid_minor": 0,
        "tax_minor": 200,
        "lines": [{"sku": "tea-1", "name": "Tea", "quantity": 1, "unit_minor": 1999}],
    } | changes


def user(**changes: Any) -> dict[str, Any]:
    """A good user under an id of its own."""
    return {
        "user_id": f"usr-{next(_numbers)}",
        "email": "ada@example.org",
        "first_name": "Ada",
        "last_name": "L.",
        "phone": None,
        "billing_address": None,
        "shipping_address": None,
    } | changes


def address() -> dict[str, Any]:
    """A good address."""
    return {
        "first_name": "Ada",
        "last_name": "L.",
        "company": None,
        "street": "1 Mill Road",
        "city": "Bellevue",
        "region": "WA",
        "postal_code": "98004",
        "country": "US",
    }


def put(client: httpx.Client, body: dict[str, Any]) -> httpx.Response:
    """PUTs a payment or refund under its id."""
    if "refund_id" in body:
        return client.put(f"/refunds/{body['refund_id']}", json=body)
    return client.put(f"/payments/{body['payment_id']}", json=body)


def post(client: httpx.Client, *bodies: Any) -> list[Any]:
    """POSTs a batch; the results."""
    kinds = ["refund" if "refund_id" in body else "payment" for body in bodies]
    items = [{"kind": kind, "body": body} for kind, body in zip(kinds, bodies, strict=True)]
    answer = client.post("/outcomes", json={"outcomes": items})
    assert answer.status_code == 200, answer.text
    results: list[Any] = answer.json()["results"]
    return results


def walk(client: httpx.Client, path: str, **parameters: Any) -> list[Any]:
    """All items of a list, page by page."""
    items: list[Any] = []
    page = client.get(path, params=parameters).json()
    items += page["items"]
    while page["next_cursor"]:
        page = client.get(path, params=parameters | {"cursor": page["next_cursor"]}).json()
        items += page["items"]
    return items
