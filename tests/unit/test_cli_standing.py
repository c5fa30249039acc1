"""How a payment and its history are laid out: what repeats stands once, amounts in the money they are in."""

from datetime import timedelta
from typing import Any

from db_client.history import History, Work
from tests.doubles.values import MIDNIGHT
from worker.commands import standing, timeline

PAYMENT: dict[str, Any] = {
    "payment_id": "pay-1",
    "order_id": "o-1",
    "user_id": "u-1",
    "amount_minor": 5000,
    "currency": "USD",
    "state": "captured",
    "version": 2,
    "authorised_minor": 5000,
    "captured_minor": 5000,
    "refunded_minor": 0,
    "capturing_minor": 0,
    "refunding_minor": 0,
    "transaction_id": "60001",
    "expires_at": None,
    "marks": "",
    "method_kind": "",
    "method_brand": "",
    "method_last4": "",
    "reason_code": "1",
    "reason_text": "Approved.",
    "advice": "undecided",
}


def request(kind: str, *, command: dict[str, Any], **changed: Any) -> Work:
    """A request about pay-1 that is through, with `changed` columns."""
    row = {
        "operation_id": f"{kind}:x-1",
        "kind": kind,
        "payment_id": "pay-1",
        "command": {
            "kind": kind,
            "payment_id": "pay-1",
            f"{kind}_id": "x-1",
            "issued_at": "2026-03-01T00:00:00+00:00",
            "user_id": "",
            "reason": "",
            **command,
        },
        "partition": 0,
        "offset": 17,
        "stage": "concluded",
        "request_state": "processed",
        "amount_minor": command.get("amount_minor"),
        "reserved_minor": 0,
        "reason_code": "",
        "reason_text": "",
        "advice": "undecided",
        "transaction_id": None,
        "promised_at": None,
        "suspect": False,
        "due_at": None,
        "why": "",
        "asked": 0,
        "complete_scans": 0,
        "admitted_at": MIDNIGHT,
        "answered_at": MIDNIGHT,
        "concluded_at": MIDNIGHT,
        **changed,
    }
    return Work(row, f"{kind}_request", None, [])


def history(*work: Work, evidence: list[dict[str, Any]] | None = None, **changed: Any) -> History:
    """The history of pay-1."""
    return History(MIDNIGHT, {**PAYMENT, **changed}, list(work), evidence or [], [])


def heard(number: int, what: str, *, of: str = "initiation:pay-1", **body: Any) -> dict[str, Any]:
    """A piece of evidence, `number` seconds after midnight."""
    at = MIDNIGHT + timedelta(seconds=number)
    return {"operation_id": of, "what": what, "at": at, "body": body}


def test_what_was_heard_over_and_over_stands_once() -> None:
    """An undecided payment filled its history with 170 lines that said the same."""
    evidence = [
        heard(0, "sent", result="none"),
        *(heard(number, "asked", found=False) for number in range(1, 171)),
        heard(90, "asked", of="refund:r-1", found=False),
        heard(171, "asked", found=True),
    ]
    span = "from 2026-03-01 00:00:01.000Z to 2026-03-01 00:02:50.000Z"
    lines = [it for it in timeline.as_text(history(evidence=evidence)) if "  evidence " in it]
    assert [
        '2026-03-01 00:00:00.000Z  evidence   sent {"result": "none"}',
        f'2026-03-01 00:00:01.000Z  evidence   asked 170 times, {span}: {{"found": false}}',
        '2026-03-01 00:01:30.000Z  evidence   asked {"found": false}',
        '2026-03-01 00:02:51.000Z  evidence   asked {"found": true}',
    ] == lines
    assert len(evidence) == len(timeline.as_object(history(evidence=evidence))["evidence"])  # type: ignore[arg-type]  # an object of JSON


def test_amounts_of_requests_are_money() -> None:
    """A capture that names no currency counts in its payment's: "2000 minor units" stood beside "50.00 USD"."""
    capture = request("capture", command={"amount_minor": 2000})
    text = "\n".join(timeline.as_text(history(capture)))
    assert "capture x-1 of 20.00 USD about payment pay-1" in text
    assert "minor units" not in text


def test_a_request_in_another_currency_is_shown_in_that_one() -> None:
    """A refused refund of 5 yen was shown as 0.05 USD."""
    refund = request(
        "refund", command={"amount_minor": 5, "currency": "JPY"}, request_state="failed"
    )
    text = "\n".join(standing.as_text(history(refund)))
    assert "refund      x-1 of 5 JPY: failed" in text
    assert "failed (failed)" not in text
    [told] = standing.as_object(history(refund))["requests"]  # type: ignore[misc]  # an object of JSON
    assert (5, "JPY") == (told["amount_minor"], told["currency"])  # type: ignore[has-type]  # the same


def test_a_state_that_says_more_than_its_status_stands_beside_it() -> None:
    """What waits is told as initiated, and why."""
    refund = request(
        "refund", command={"amount_minor": 5, "currency": "USD"}, request_state="deferred"
    )
    assert "deferred (initiated)" in "\n".join(standing.as_text(history(refund)))


def test_what_went_well_has_no_advice() -> None:
    """Scripts read `undecided` of a payment that was paid, as if somebody still asked."""
    refund = request("refund", command={"amount_minor": 5, "currency": "USD"})
    told = standing.as_object(history(refund))
    assert told["payment"]["advice"] is None  # type: ignore[index]  # an object of JSON
    [done] = told["requests"]  # type: ignore[misc]  # the same
    assert done["advice"] is None  # type: ignore[has-type]  # the same
    unknown = timeline.payment_object({**PAYMENT, "state": "unknown"})
    assert unknown is not None
    assert "undecided" == unknown["advice"]


def test_where_to_look_for_what_could_not_be_taken_is_named() -> None:
    """A command with other content becomes a dead letter, of which the journal's rows know nothing."""
    text = "\n".join(standing.as_text(history(request("void", command={}))))
    assert "run_worker.py dead-letters list --payment pay-1" in text
