"""The shapes in which the gateway's answers come, and what is kept of them: readable texts, no secret."""

import json
from typing import Any

import pytest

from handlers.domain.verdicts import Advice, Approved, Declined, Unknown
from handlers.gateway.authorizenet.verdicts import verdict_of
from tests.contract.gateway_fixtures import (
    BOM,
    CHARGE,
    KEY,
    LOGIN,
    NONCE,
    SCRUBBER,
    approval,
    judged,
    judged_with_evidence,
    refusal,
)


def test_the_response_code_may_be_a_number() -> None:
    """Numbers and texts change places."""
    verdict = judged(approval(responseCode=1, transId=60123456789))
    assert isinstance(verdict, Approved)
    assert verdict.transaction_id == "60123456789"


@pytest.mark.parametrize(
    "errors",
    [
        {"errorCode": "2", "errorText": "No."},
        {"error": [{"errorCode": 2, "errorText": "No."}]},
        {"error": {"errorCode": "2", "errorText": "No."}},
        [{"errorCode": "2", "errorText": "No."}],
    ],
)
def test_lists_come_in_many_shapes(errors: object) -> None:
    """A list may be bare, nested as in XML, or a single object."""
    verdict = judged(refusal("2", errors=errors))
    assert isinstance(verdict, Declined)
    assert verdict.reason.code == "2"


@pytest.mark.parametrize(
    "root",
    [
        {"messages": {"resultCode": "Error", "message": {"code": "E00007", "text": "No."}}},
        {"messages": [{"code": "E00007", "text": "No."}]},
        {"message": [{"code": "E00007", "text": "No."}]},
        {"message": {"code": "E00007", "text": "No."}},
        {"createTransactionResponse": {"messages": {"message": [{"code": "E00007"}]}}},
        {"ErrorResponse": {"messages": {"message": {"code": "E00007"}}}},
    ],
)
def test_the_envelope_comes_in_many_shapes(root: dict[str, Any]) -> None:
    """Messages nested, bare, single, or below a root named after the reply."""
    for mark in (b"", BOM):
        verdict, _ = verdict_of(mark + json.dumps(root).encode(), CHARGE, scrubber=SCRUBBER)
        assert isinstance(verdict, Declined)
        assert ("E00007", Advice.FIX) == (verdict.reason.code, verdict.reason.advice)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        BOM,
        b"{",
        b"[]",
        b"null",
        b'"1"',
        b"\xff\xfe",
        b"<html>",
        b"[" * 5000,
        b"{}",
        b'{"a":1e999999}',
    ],
)
def test_what_cannot_be_read_is_unknown(body: bytes) -> None:
    """No body, half a body, another format: Unknown, and the evidence holds nothing of it."""
    verdict, evidence = verdict_of(body, CHARGE, scrubber=SCRUBBER)
    assert isinstance(verdict, Unknown)
    assert set(evidence) <= {"unreadable_bytes", "result", "messages", "transaction"}


def test_texts_are_readable() -> None:
    """Character references are resolved in what people read."""
    told = refusal("2", errors=[{"errorCode": "2", "errorText": "Bank&#39;s no."}])
    verdict = judged(told)
    assert isinstance(verdict, Declined)
    assert verdict.reason.text == "Bank's no."


@pytest.mark.parametrize(
    "said",
    [
        f"The value &#39;{KEY}&#39; is invalid according to its datatype",
        f"The element is invalid - The value '{NONCE[:20]}' is invalid",
        f"no {LOGIN} here",
        "card 4111 1111 1111 1111 refused",
    ],
)
def test_no_secret_is_kept_of_a_reply(said: str) -> None:
    """The gateway quotes what it refuses: keys, tokens and card numbers stay out of reasons and evidence."""
    messages = {"resultCode": "Error", "message": [{"code": "E00003", "text": said}]}
    told = refusal(
        "3", "5", accountNumber="4111111111111111", secureAcceptance=NONCE, userFields=KEY
    )
    for kept in (judged_with_evidence(None, messages), judged_with_evidence(told, messages)):
        for secret in (KEY, NONCE[:20], LOGIN, "4111111111111111", "4111 1111"):
            assert secret not in repr(kept)


def test_evidence_is_json_and_by_allow_list() -> None:
    """What the journal keeps is plain JSON of known fields; unknown fields of a reply are dropped."""
    _, evidence = judged_with_evidence(approval())
    assert json.loads(json.dumps(evidence)) == evidence
    assert "someNewField" not in json.dumps(evidence)
    assert "60123456789" in json.dumps(evidence)
