"""The db-service's contract: `db_client/openapi.yaml` held against the reference service.

Real HTTP against the real process on a real PostgreSQL. Every answer that the client of these
tests sees is checked against the document. How the process starts and ends
is shown in `test_db_service_process.py`.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from jsonschema import Draft202012Validator, ValidationError

from tests.contract.db_service_contract import (
    DOCUMENT,
    TOKEN,
    check,
    make_client,
    order,
    payment,
    post,
    put,
    refund,
    resolve,
    user,
    walk,
)
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def client(ready: dict[str, str]) -> Iterator[httpx.Client]:
    """A client with the token, whose every answer is held against the document."""
    with make_client(ready["url"], set()) as one:
        yield one


def told(answer: httpx.Response) -> tuple[int, str, int | None]:
    """A problem in short: status, code, current version."""
    problem = answer.json()
    return answer.status_code, problem["code"], problem.get("current_version")


def history(client: httpx.Client, key: str) -> list[Any]:
    """The versions of a payment."""
    items: list[Any] = client.get(f"/payments/{key}/history").json()["items"]
    return items


def test_document_is_whole() -> None:
    """Every schema of the document is a schema, and every reference in it leads somewhere."""
    Draft202012Validator.check_schema({"$defs": DOCUMENT["components"]["schemas"]})
    stack: list[Any] = [DOCUMENT]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            resolve(node)
            stack += node.values()
        elif isinstance(node, list):
            stack += node


def test_every_described_answer_is_given(ready: dict[str, str], control: httpx.Client) -> None:
    """Each status of each operation in the document is reached, and looks as described."""
    seen: set[tuple[str, str, int]] = set()
    known = {"payment_id": payment(), "refund_id": refund(), "order_id": order(), "user_id": user()}
    operations = [
        (template, method.upper())
        for template, item in DOCUMENT["paths"].items()
        for method in item
        if method != "parameters"
    ]
    with make_client(ready["url"], seen) as client:
        for template, method in sorted(operations, key=lambda pair: pair[1] != "PUT"):
            name = template.partition("{")[2].partition("}")[0]
            path = template.replace(f"{{{name}}}", known[name][name]) if name else template
            good = known[name] if name else {"outcomes": []}
            client.request(method, path, headers={"Authorization": "Bearer wrong"})
            if method == "GET":
                client.get(path)
                client.get(path, params={"limit": "0"})
                client.get(template.replace(f"{{{name}}}", "nobody"))
                continue
            client.request(method, path, json=good)
            client.request(method, path, json=good | {"surprise": 1})
            client.request(method, path, content=b"{")
            client.request(method, path, content=b" " * (4 * 1024 * 1024 + 1))
            if "version" in good:
                client.request(method, path, json=good | {"amount_minor": 1})
        control.put("/faults", json={"down": True})
        for template, method in operations:
            client.request(method, template.replace("{", "").replace("}", ""))
    described = {
        (template, method, int(status))
        for template, method in operations
        for status in DOCUMENT["paths"][template][method.lower()]["responses"]
    }
    assert described == seen


def test_versions_only_grow(client: httpx.Client) -> None:
    """A higher version is stored, an equal one compared, an older one refused with the current."""
    third = payment(version=3)
    key = third["payment_id"]
    assert {"version": 3, "applied": True} == put(client, third).json()
    assert {"version": 3, "applied": False} == put(client, third).json()
    other = put(client, third | {"state": "settled"})
    assert (409, "version_conflict", 3) == told(other)
    older = put(client, third | {"version": 2})
    assert (409, "older_version", 3) == told(older)
    assert "version" == older.json()["field"]
    fifth = third | {"version": 5, "state": "settled"}
    assert {"version": 5, "applied": True} == put(client, fifth).json()
    assert fifth == client.get(f"/payments/{key}").json()
    assert [third, fifth] == [item["body"] for item in history(client, key)]


def test_same_content_is_judged_by_meaning(client: httpx.Client) -> None:
    """A null that is left out and a time written otherwise are still the same content."""
    full = refund(occurred_at="2026-03-01T12:00:00Z", transaction_id=None)
    brief = {name: value for name, value in full.items() if value is not None}
    assert put(client, full).json()["applied"]
    again = put(client, brief | {"occurred_at": "2026-03-01T12:00:00.000+00:00"})
    assert {"version": 1, "applied": False} == again.json()


def test_of_racing_versions_the_highest_wins(client: httpx.Client) -> None:
    """However many writers race for one payment, the highest stays and the history ascends."""
    for _ in range(5):
        first = payment()
        bodies = [first | {"version": version} for version in (1, 2, 3, 4, 5, 6, 6, 5)]
        with ThreadPoolExecutor(len(bodies)) as pool:
            statuses = list(pool.map(lambda body: put(client, body).status_code, bodies))
        assert {200} == {statuses[5], statuses[6]}
        assert {200, 409} >= set(statuses)
        assert 6 == client.get(f"/payments/{first['payment_id']}").json()["version"]
        told_of = history(client, first["payment_id"])
        assert sorted(told_of, key=lambda item: item["applied_at"]) == told_of
        assert 6 == told_of[-1]["version"]


def test_batch_judges_each_item_in_order(client: httpx.Client) -> None:
    """Bad items are named in their places and hold up no other; one id may come several times."""
    one, back = payment(), refund()
    sent = [
        one,
        one | {"version": 3},
        one | {"version": 2},
        payment(currency="usd"),
        back,
        one | {"version": 3, "state": "settled"},
        back,
        refund(surprise=1),
    ]
    results = post(client, *sent)
    assert [200, 200, 409, 422, 200, 409, 200, 422] == [result["status"] for result in results]
    codes = [result["problem"] and result["problem"]["code"] for result in results]
    assert ["older_version", "invalid", "version_conflict"] == [codes[2], codes[3], codes[5]]
    assert ["body.currency", "body.surprise"] == [results[n]["problem"]["field"] for n in (3, 7)]
    assert [1, 3] == [item["version"] for item in history(client, one["payment_id"])]
    assert back == client.get(f"/refunds/{back['refund_id']}").json()


def test_batch_may_be_repeated_and_is_bounded(client: httpx.Client) -> None:
    """500 items pass, and pass again without a change; 501 are refused as a whole."""
    bodies = [payment() for _ in range(501)]
    for _ in range(2):
        assert {200} == {result["status"] for result in post(client, *bodies[:500])}
    assert 1 == len(history(client, bodies[0]["payment_id"]))
    items = [{"kind": "payment", "body": body} for body in bodies]
    refused = client.post("/outcomes", json={"outcomes": items})
    assert (422, "outcomes") == (refused.status_code, refused.json()["field"])
    assert 404 == client.get(f"/payments/{bodies[500]['payment_id']}").status_code


def test_overlapping_batches_do_not_hurt_each_other(client: httpx.Client) -> None:
    """Batches over the same ids in any order: no error, the highest versions stay."""
    firsts = [payment() for _ in range(20)] + [refund() for _ in range(20)]
    batches = [
        [body | {"amount_minor": version} for body in firsts[:: (-1) ** version]]
        + [body | {"version": version} for body in firsts[:: (-1) ** version]]
        for version in (2, 3, 4, 5)
    ]
    with ThreadPoolExecutor(len(batches)) as pool:
        results = list(pool.map(lambda batch: post(client, *batch), batches))
    assert {200, 409} >= {result["status"] for batch in results for result in batch}
    assert {200} == {result["status"] for result in results[3][len(firsts) :]}
    assert 5 == client.get(f"/refunds/{firsts[-1]['refund_id']}").json()["version"]


BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"amount_minor": -1}, "amount_minor"),
    ({"amount_minor": 1.5}, "amount_minor"),
    ({"amount_minor": 2**60}, "amount_minor"),
    ({"currency": "US"}, "currency"),
    ({"currency": "USD\n"}, "currency"),
    ({"payment_status": "maybe"}, "payment_status"),
    ({"state": None}, "state"),
    ({"state": "x" * 256}, "state"),
    ({"reason_text": "nul \0"}, "reason_text"),
    ({"advice": "pray"}, "advice"),
    ({"version": 0}, "version"),
    ({"order_id": ""}, "order_id"),
    ({"user_id": "a/b"}, "user_id"),
    ({"payment_method": {"brand": "Visa"}}, "payment_method.kind"),
    ({"payment_method": {"kind": "card", "pan": "1"}}, "payment_method.pan"),
    ({"payment_method": {"kind": "card", "last4": "41111"}}, "payment_method.last4"),
    ({"surprise": 1}, "surprise"),
    ({"marks": ["m"] * 21}, "marks"),
    ({"marks": None}, "marks"),
    ({"request": {"kind": "refund", "request_id": "r"}}, "request.state"),
    ({"request": {"kind": "theft", "request_id": "r", "state": "s"}}, "request.kind"),
]


@pytest.mark.parametrize(("changes", "field"), BROKEN, ids=lambda value: str(value)[:40])
def test_broken_bodies_are_named(client: httpx.Client, changes: Any, field: str) -> None:
    """What breaks a rule gets 422 with the field, and the document's schema refuses it too."""
    body = payment(**changes)
    answer = put(client, body)
    assert (422, field) == (answer.status_code, answer.json()["field"])
    assert answer.json()["rule"]
    # Python's `$` lets a trailing newline pass, the document's dialect (ECMA 262) does not.
    if not str(changes.get(field)).endswith("\n"):
        with pytest.raises(ValidationError):
            check({"$ref": "#/components/schemas/Payment"}, body)


@pytest.mark.parametrize("moment", ["2026-03-01T12:00:00", "2026-03-01T12:00:00+02:00", "noon"])
def test_times_are_in_utc(client: httpx.Client, moment: str) -> None:
    """A time without an offset, with another one, or no time at all is refused by name."""
    for body, name in (
        (payment(occurred_at=moment), "occurred_at"),
        (payment(expires_at=moment), "expires_at"),
        (refund(occurred_at=moment), "occurred_at"),
        (refund(due_at=moment), "due_at"),
    ):
        answer = put(client, body)
        assert (422, name) == (answer.status_code, answer.json()["field"])
        assert f"body.{name}" == post(client, body)[0]["problem"]["field"]


def test_path_and_body_name_the_same(client: httpx.Client) -> None:
    """A body under another id's path is refused."""
    for path, body in (("payments", payment()), ("refunds", refund()), ("orders", order())):
        answer = client.put(f"/{path}/another", json=body)
        assert (422, f"{path[:-1]}_id") == (answer.status_code, answer.json()["field"])


def test_seeded_documents_come_back_whole(client: httpx.Client) -> None:
    """An order with its customer, and a user, are read as they were seeded; the last one wins."""
    for path, body, name in (("orders", order(), "order_id"), ("users", user(), "user_id")):
        for version in (body, body | ({"status": "paid"} if path == "orders" else {"phone": "1"})):
            assert version == client.put(f"/{path}/{body[name]}", json=version).json()
            assert version == client.get(f"/{path}/{body[name]}").json()


def test_lists_filter_and_page(client: httpx.Client) -> None:
    """Each filter narrows, and a cursor walks every item once in order of time."""
    moments = [f"2031-01-01T00:00:{second:02}Z" for second in (3, 1, 2, 2, 0)]
    buyer = user()["user_id"]
    bodies = [payment(user_id=buyer, occurred_at=moment) for moment in moments]
    bodies[0] |= {"payment_status": "failure"}
    backs = [refund(payment_id=body["payment_id"], occurred_at=moments[0]) for body in bodies[:2]]
    post(client, *bodies, *backs)
    in_order = sorted(bodies, key=lambda body: (body["occurred_at"], body["payment_id"]))
    assert in_order == walk(client, "/payments", user_id=buyer, limit=2)
    assert in_order == walk(client, "/payments", user_id=buyer, limit=5)
    assert [bodies[0]] == walk(client, "/payments", user_id=buyer, status="failure")
    assert [bodies[1]] == walk(client, "/payments", order_id=bodies[1]["order_id"])
    span = {"from": moments[1], "to": moments[0]}
    assert in_order[1:4] == walk(client, "/payments", limit=1, **span)
    assert backs == walk(client, "/refunds", user_id=buyer)
    assert backs == walk(client, "/refunds", user_id=buyer, limit=1)
    assert [backs[1]] == walk(client, "/refunds", payment_id=bodies[1]["payment_id"])
    assert [backs[0]] == walk(client, "/refunds", order_id=bodies[0]["order_id"])
    assert [] == walk(client, "/refunds", user_id=buyer, status="failed")


def test_refunds_are_found_by_time_and_status(client: httpx.Client) -> None:
    """What came at or after one time and before another, in one status, page by page in order of time."""
    moments = [f"2032-01-01T00:00:{second:02}Z" for second in (2, 0, 1, 3)]
    waiting = {"refund_status": "initiated", "state": "deferred", "due_at": "2032-01-02T00:00:00Z"}
    bodies = [refund(occurred_at=moment, **waiting) for moment in moments]
    done = refund(occurred_at=moments[2])
    post(client, *bodies, done)
    span = {"from": moments[1], "to": moments[3], "limit": 1}
    assert [bodies[1], bodies[2], bodies[0]] == walk(client, "/refunds", status="initiated", **span)
    assert [done] == walk(client, "/refunds", status="processed", **span)


def test_a_refund_is_listed_by_user_once_its_payment_is_known(client: httpx.Client) -> None:
    """The two may arrive in either order; by user and order it is found through its payment."""
    body = payment()
    back = refund(payment_id=body["payment_id"])
    put(client, back)
    assert [] == walk(client, "/refunds", user_id=body["user_id"])
    put(client, body)
    assert [back] == walk(client, "/refunds", user_id=body["user_id"])


@pytest.mark.parametrize(
    "wrong",
    [
        {"usr": "1"},
        {"user_id": "\0"},
        {"from": "noon"},
        {"limit": "501"},
        {"cursor": "x"},
        {"status": "good"},
    ],
)
def test_wrong_parameters_are_named(client: httpx.Client, wrong: dict[str, str]) -> None:
    """A parameter that is unknown or unreadable is refused, never ignored."""
    for path in ("/payments", "/refunds"):
        answer = client.get(path, params=wrong)
        assert (422, *wrong) == (answer.status_code, answer.json()["field"])


def test_only_health_needs_no_token(ready: dict[str, str]) -> None:
    """Without the token nothing is told, not even which paths there are."""
    with httpx.Client(base_url=ready["url"]) as stranger:
        assert 200 == stranger.get("/healthz").status_code
        for headers in ({}, {"Authorization": "Bearer no"}, {"Authorization": TOKEN}):
            for path in ("/payments", "/nothing", "/outcomes"):
                answer = stranger.get(path, headers=headers)
                assert (401, "unauthorized") == told(answer)[:2]
                assert answer.headers["www-authenticate"].startswith("Bearer")
        known = {"Authorization": f"Bearer {TOKEN}"}
        assert (404, "unknown_path") == told(stranger.get("/nothing", headers=known))[:2]
        assert (404, "not_found") == told(stranger.get("/orders/nobody", headers=known))[:2]
        assert (405, "method_not_allowed") == told(stranger.delete("/payments", headers=known))[:2]


def test_lost_answer_is_applied(client: httpx.Client, control: httpx.Client) -> None:
    """A lost answer looks like a dead connection, and the write is there afterwards."""
    body = payment()
    control.put("/faults", json={"lost_answer_p": 1})
    with pytest.raises(httpx.RemoteProtocolError):
        put(client, body)
    before = control.get("/counters").json()
    control.delete("/faults")
    assert {"version": 1, "applied": False} == put(client, body).json()
    after = control.get("/counters").json()
    assert 1 == after["outcomes"]["unchanged"] - before["outcomes"]["unchanged"]
    assert after["faults"]["lost_answers"] >= 1


def test_hang_holds_and_applies_nothing(client: httpx.Client, control: httpx.Client) -> None:
    """A hanging service answers nothing and stores nothing; then it goes on."""
    body = payment()
    control.put("/faults", json={"hang": True})
    with pytest.raises(httpx.ReadTimeout):
        client.put(f"/payments/{body['payment_id']}", json=body, timeout=0.5)
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(put, client, body)
        wait_until(lambda: 2 == control.get("/counters").json()["faults"]["hung"])
        control.delete("/faults")
        with pytest.raises(httpx.RemoteProtocolError):
            held.result()
    assert {"version": 1, "applied": True} == put(client, body).json()


def test_down_and_late(client: httpx.Client, control: httpx.Client) -> None:
    """Down is a 503 that says when to come back; latency is added to every answer."""
    control.put("/faults", json={"down": True})
    answer = client.get("/payments")
    assert (503, "1") == (answer.status_code, answer.headers["retry-after"])
    control.put("/faults", json={"latency_ms": 150})
    began = time.monotonic()
    assert 200 == client.get("/payments").status_code
    assert time.monotonic() - began >= 0.15
    refused = control.put("/faults", json={"lost": 1})
    assert (422, "lost") == (refused.status_code, refused.json()["field"])
