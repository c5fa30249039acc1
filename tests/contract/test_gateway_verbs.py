"""What the gateway's answers to a capture, a void and a refund mean. Charges are in `test_gateway_replies.py`."""

from typing import Any

import pytest

from handlers.domain.intents import About, Intent
from handlers.domain.verdicts import Advice, Approved, Declined, Held, Method, NotYet, Unknown
from tests.contract.gateway_fixtures import (
    CAPTURE,
    INTENTS,
    REFUND,
    UNSUCCESSFUL,
    VOID,
    approval,
    judged,
    refusal,
)

ACTED = [CAPTURE, VOID]
REQUESTS = [CAPTURE, VOID, REFUND]


def already(code: str, **changes: Any) -> dict[str, Any]:
    """An answer that says that it was done before."""
    return approval(messages=[{"code": code, "description": "Already."}], **changes)


@pytest.mark.parametrize("intent", REQUESTS, ids=lambda intent: intent.about)
def test_a_request_is_approved(intent: Intent) -> None:
    """Response code 1 with a transaction id is done; the amount is ours, for the answer names none."""
    verdict = judged(approval(transId=CAPTURE.transaction_id), intent=intent)
    assert isinstance(verdict, Approved)
    expected = (CAPTURE.transaction_id, intent is not VOID, None)
    assert expected == (verdict.transaction_id, verdict.captured, verdict.amount_minor)


def test_a_refund_has_a_transaction_of_its_own() -> None:
    """Its id is new, and its method is the one that the charge was paid with."""
    verdict = judged(approval(transId="60999999999"), intent=REFUND)
    assert isinstance(verdict, Approved)
    assert "60999999999" == verdict.transaction_id
    assert Method("accept_js", "mastercard", "1111") == verdict.method


@pytest.mark.parametrize("intent", ACTED, ids=lambda intent: intent.about)
def test_an_answer_about_another_transaction_proves_nothing(intent: Intent) -> None:
    """A capture or void that answers with another id than the one that it was about is Unknown."""
    verdict = judged(approval(transId="60999999999"), intent=intent)
    assert isinstance(verdict, Unknown)
    assert "worker.other_transaction" == verdict.reason.code


@pytest.mark.parametrize("intent", REQUESTS, ids=lambda intent: intent.about)
def test_a_test_mode_answer_is_no_success(intent: Intent) -> None:
    """Approved with transaction id 0 is a set-up fault, whatever was asked."""
    verdict = judged(approval(transId="0", testRequest="1"), intent=intent)
    assert isinstance(verdict, Unknown)
    assert ("worker.test_mode", Advice.FIX) == (verdict.reason.code, verdict.reason.advice)


@pytest.mark.parametrize("transaction_id", ["0", VOID.transaction_id])
def test_a_void_of_what_is_void_is_a_success(transaction_id: str) -> None:
    """310 says so with the transaction's id, or with id 0 for a stored profile; a void is always the whole."""
    verdict = judged(already("310", transId=transaction_id), intent=VOID)
    assert isinstance(verdict, Approved)
    assert ("310", VOID.transaction_id) == (verdict.reason.code, verdict.transaction_id)


@pytest.mark.parametrize("transaction_id", ["0", CAPTURE.transaction_id])
def test_a_capture_of_what_is_captured_is_looked_up(transaction_id: str) -> None:
    """311 does not say how much was captured: Unknown, until the details are read."""
    verdict = judged(already("311", transId=transaction_id), intent=CAPTURE)
    assert isinstance(verdict, Unknown)
    assert ("311", Advice.UNDECIDED) == (verdict.reason.code, verdict.reason.advice)


@pytest.mark.parametrize(
    ("about", "code"), [(About.VOID, "311"), (About.CAPTURE, "310"), (About.REFUND, "310")]
)
def test_what_was_done_must_be_what_was_asked(about: About, code: str) -> None:
    """Captured already is no void, void already is no capture: Unknown."""
    verdict = judged(already(code, transId=VOID.transaction_id), intent=INTENTS[about])
    assert isinstance(verdict, Unknown)


@pytest.mark.parametrize(("intent", "code"), [(VOID, "327"), (REFUND, "54"), (REFUND, "50")])
def test_what_settlement_decides_is_not_yet(intent: Intent, code: str) -> None:
    """A void that is too late and a refund that is too early moved nothing, and are no failures."""
    for told in (refusal("3", code), refusal("", code)):
        verdict = judged(told, UNSUCCESSFUL, intent=intent)
        assert isinstance(verdict, NotYet)
        assert (code, Advice.UNDECIDED) == (verdict.reason.code, verdict.reason.advice)


@pytest.mark.parametrize(("intent", "code"), [(VOID, "50"), (CAPTURE, "54"), (CAPTURE, "327")])
def test_what_belongs_to_another_verb_proves_nothing(intent: Intent, code: str) -> None:
    """A reason that no rule of this verb has is Unknown."""
    assert isinstance(judged(refusal("3", code), UNSUCCESSFUL, intent=intent), Unknown)


@pytest.mark.parametrize(
    ("intent", "code"),
    [(REFUND, "55"), (REFUND, "51"), (CAPTURE, "47"), (CAPTURE, "16"), (VOID, "16")],
)
def test_a_request_above_or_about_nothing_is_to_be_fixed(intent: Intent, code: str) -> None:
    """More than was captured or authorised, or a transaction that is not there: a definite no, and a person's work."""
    verdict = judged(refusal("3", code), UNSUCCESSFUL, intent=intent)
    assert isinstance(verdict, Declined)
    assert (code, Advice.FIX) == (verdict.reason.code, verdict.reason.advice)


def test_a_refusal_for_two_reasons_must_agree() -> None:
    """Too early and declined at once decide nothing."""
    assert isinstance(judged(refusal("3", "54", "55"), UNSUCCESSFUL, intent=REFUND), Unknown)


def test_a_repeated_refund_is_unknown() -> None:
    """The gateway's own guard against repeats says that the first may have gone through: it is asked for."""
    told = refusal("3", "11", transId="60123456700")
    assert isinstance(judged(told, UNSUCCESSFUL, intent=REFUND), Unknown)


def test_a_held_refund_is_held() -> None:
    """The fraud filters hold refunds, too."""
    messages = [{"code": "252", "description": "Held."}]
    told = approval(responseCode="4", transId="60999999999", messages=messages)
    verdict = judged(told, intent=REFUND)
    assert isinstance(verdict, Held)
    assert ("60999999999", "252") == (verdict.transaction_id, verdict.reason.code)


def test_a_refund_that_says_nothing_is_unknown() -> None:
    """Seen with stored profiles: E00027 and an empty transactionResponse."""
    assert isinstance(judged({"responseCode": None}, UNSUCCESSFUL, intent=REFUND), Unknown)
