"""What the gateway's answers to a charge mean: the code tables, code by code, and the verdict of each kind of answer.

In which shapes answers come is in `test_gateway_shapes.py`.
"""

import json
from dataclasses import replace
from typing import Any

import pytest

from handlers.domain.commands import Mode
from handlers.domain.intents import About
from handlers.domain.means import StoredProfile
from handlers.domain.verdicts import Advice, Approved, Declined, Held, Method, Unknown
from handlers.gateway.authorizenet.reason_codes import (
    MESSAGES,
    REASONS,
    Kind,
    message_row,
    reason_row,
)
from handlers.gateway.authorizenet.verdicts import verdict_of
from tests.contract.gateway_fixtures import (
    CHARGE,
    OK,
    SCRUBBER,
    UNSUCCESSFUL,
    approval,
    judged,
    judged_with_evidence,
    refusal,
)

# Every reason and message code of the vendor's list, written out a second time, by what it comes to for a charge.
REASONS_BY_MEANING = {
    (Kind.APPROVED, Advice.UNDECIDED): "1",
    (Kind.LOOK, Advice.UNDECIDED): "11 50 54 295 307 310 311 327 2000",
    (Kind.UNKNOWN, Advice.UNDECIDED): "36 120 121 122 181 318 901",
    (Kind.HELD, Advice.REVIEW): "104 105 106 107 108 109 110 193 252 253",
    (Kind.DECLINED, Advice.HARD): (
        "3 4 6 8 9 10 17 27 28 37 41 44 45 65 127 128 141 145 165 200 201 202 203 204 205 206 207 208"
        " 210 211 212 213 215 216 217 218 219 221 222 223 250 251 254 315 316 317"
    ),
    (Kind.DECLINED, Advice.SOFT): (
        "2 19 20 21 22 23 25 26 52 57 58 59 60 61 62 63 152 180 191 192 209 214 220 224 261"
    ),
    (Kind.DECLINED, Advice.FIX): (
        "5 7 13 15 16 18 24 29 30 31 33 34 35 38 39 43 47 48 49 51 55 56 66 78 87 90 114 115 116 117 118"
        " 119 123 130 131 132 153 154 155 156 170 171 172 173 174 175 244 246 247 270 271 289 319 2007"
    ),
}
MESSAGES_BY_MEANING = {
    (Kind.LOOK, Advice.UNDECIDED): (
        "I00001 I00003 I00004 E00114 E00012 E00039 E00099 E00100 E00101 E00102 E00103"
    ),
    (
        Kind.UNKNOWN,
        Advice.UNDECIDED,
    ): "E00001 E00027 E00049 E00053 E00104 E00108 E00133 E00145 E00155",
    (Kind.DECLINED, Advice.HARD): "E00040 E00113 E00115 E00116 E00121",
    (Kind.DECLINED, Advice.SOFT): "E00117 E00118",
    (Kind.DECLINED, Advice.FIX): (
        "E00002 E00003 E00004 E00005 E00006 E00007 E00008 E00009 E00010 E00011 E00013 E00014 E00015 E00016"
        " E00029 E00041 E00042 E00044 E00045 E00051 E00059 E00064 E00067 E00068 E00071 E00072 E00073"
        " E00074 E00075 E00076 E00077 E00088 E00089 E00090 E00091 E00092 E00093 E00105 E00106 E00123"
        " E00124 E00139 E00141 E00142"
    ),
}


def test_every_reason_code_means_what_it_should() -> None:
    """The table of reason codes holds exactly these codes, each with this meaning."""
    expected = {code: key for key, codes in REASONS_BY_MEANING.items() for code in codes.split()}
    assert expected == {code: (row.kind, row.advice) for code, row in REASONS.items()}


def test_every_message_code_means_what_it_should() -> None:
    """The table of message codes holds exactly these codes, each with this meaning."""
    expected = {code: key for key, codes in MESSAGES_BY_MEANING.items() for code in codes.split()}
    assert expected == {code: (row.kind, row.advice) for code, row in MESSAGES.items()}


@pytest.mark.parametrize("code", ["", "0", "9999", "E00199", "E09999", "x"])
def test_a_code_that_is_in_no_table_is_unknown(code: str) -> None:
    """A code nobody listed decides nothing."""
    for about in About:
        assert Kind.UNKNOWN is reason_row(code, about).kind
        assert Kind.UNKNOWN is message_row(code, about).kind


@pytest.mark.parametrize("code", list(REASONS))
@pytest.mark.parametrize("response_code", ["2", "3"])
def test_an_error_is_declined_only_where_the_table_says_so(response_code: str, code: str) -> None:
    """A refusal with a reason is Declined with the table's advice, or Unknown; never approved."""
    verdict = judged(refusal(response_code, code), UNSUCCESSFUL)
    row = REASONS[code]
    if row.kind is Kind.DECLINED:
        assert isinstance(verdict, Declined)
        assert (code, row.advice) == (verdict.reason.code, verdict.reason.advice)
    else:  # held needs a transaction id, which a refusal does not have
        assert isinstance(verdict, Unknown)


@pytest.mark.parametrize("code", sorted(MESSAGES))
def test_a_refused_request_is_declined_only_where_the_table_says_so(code: str) -> None:
    """Without a transactionResponse the message code decides: Declined by the table, else Unknown."""
    messages = {"resultCode": "Error", "message": [{"code": code, "text": "why"}]}
    nothing: list[object] = [None, {}, {"SupplementalDataQualificationIndicator": 0}, "", []]
    for told in nothing:
        verdict = judged(told, messages)
        row = MESSAGES[code]
        if row.kind is Kind.DECLINED:
            assert isinstance(verdict, Declined)
            assert row.advice == verdict.reason.advice
        else:
            assert isinstance(verdict, Unknown)


def test_an_approval_carries_what_the_gateway_said() -> None:
    """Response code 1 with a transaction id is an approval, captured for a sale, with all that later steps need."""
    verdict = judged(approval())
    assert isinstance(verdict, Approved)
    assert verdict == Approved(
        transaction_id="60123456789",
        captured=True,
        reason=verdict.reason,
        auth_code="HW617E",
        network_transaction_id="NTI123",
        avs="Y",
        cvv="P",
        method=Method("accept_js", "mastercard", "1111"),
    )
    assert verdict.reason.code == "1"


def test_an_authorisation_is_not_captured() -> None:
    """An approval of an authorisation reserves; off a stored profile the method says so."""
    charge = replace(CHARGE, mode=Mode.AUTHORISE, means=StoredProfile("1", "2"))
    body = json.dumps({"messages": OK, "transactionResponse": approval()}).encode()
    verdict, _ = verdict_of(body, charge, scrubber=SCRUBBER)
    assert isinstance(verdict, Approved)
    assert not verdict.captured
    assert verdict.method.kind == "stored_profile"


@pytest.mark.parametrize("transaction_id", ["0", "", None, 0, "abc", "000"])
def test_an_approval_without_a_transaction_is_a_set_up_fault(transaction_id: object) -> None:
    """A test-mode answer is no success: Unknown, and a person must act."""
    verdict = judged(approval(transId=transaction_id, testRequest="1"))
    assert isinstance(verdict, Unknown)
    assert verdict.reason.code == "worker.test_mode"
    assert verdict.reason.advice is Advice.FIX


@pytest.mark.parametrize("code", ["310", "311", "307", "9999", "2"])
@pytest.mark.parametrize("transaction_id", ["0", "60123456789"])
def test_an_approval_with_another_message_proves_nothing(code: str, transaction_id: str) -> None:
    """Already captured, already voided or an unknown code beside response code 1 is Unknown, and is looked up."""
    messages = [{"code": code, "description": "?"}]
    verdict = judged(approval(transId=transaction_id, messages=messages))
    assert isinstance(verdict, Unknown)
    assert verdict.reason.code == code
    assert verdict.reason.advice is Advice.UNDECIDED


def test_an_approval_with_an_error_beside_it_is_unknown() -> None:
    """Two words that contradict each other decide nothing."""
    told = approval(errors=[{"errorCode": "2", "errorText": "Declined."}])
    assert isinstance(judged(told), Unknown)


@pytest.mark.parametrize("messages", [None, [], "", {}])
def test_an_approval_without_any_message_is_an_approval(messages: object) -> None:
    """The response code and the transaction id suffice: replies without messages were recorded."""
    assert isinstance(judged(approval(messages=messages)), Approved)


@pytest.mark.parametrize("response_code", ["2", "4"])
def test_message_code_1_approves_nothing(response_code: str) -> None:
    """The code inside messages may be 1 beside a decline or a hold; it never decides."""
    verdict = judged(approval(responseCode=response_code))
    assert isinstance(verdict, Declined if response_code == "2" else Held)


def test_an_error_with_the_text_approved_is_unknown() -> None:
    """Response code 3 with an approving message and transaction id 0 was recorded: nothing definite."""
    assert isinstance(judged(approval(responseCode="3", transId="0")), Unknown)


@pytest.mark.parametrize("result", [OK, UNSUCCESSFUL])
def test_a_decline_is_a_decline_whatever_the_envelope_says(result: object) -> None:
    """Declines come with Ok as well as with E00027: the response code alone decides."""
    verdict = judged(refusal("2", "2", transId="60123456780"), result)
    assert isinstance(verdict, Declined)
    assert ("2", Advice.SOFT) == (verdict.reason.code, verdict.reason.advice)
    assert verdict.transaction_id == "60123456780"


@pytest.mark.parametrize("enhanced", [False, True])
def test_a_duplicate_is_unknown_never_declined(enhanced: bool) -> None:
    """Reason 11, bare or with the original's transaction id, sends the finder; the id is kept as evidence."""
    original = {"transId": "60123456700", "authCode": "HW617E"} if enhanced else {}
    verdict, evidence = judged_with_evidence(refusal("3", "11", **original), UNSUCCESSFUL)
    assert isinstance(verdict, Unknown)
    assert verdict.reason.code == "11"
    assert ("60123456700" in json.dumps(evidence)) is enhanced


@pytest.mark.parametrize("code", ["193", "252", "253"])
def test_a_hold_is_held(code: str) -> None:
    """Response code 4 is neither success nor failure, with the reason in messages or in errors."""
    in_messages = approval(responseCode="4", messages=[{"code": code, "description": "Held."}])
    in_errors = refusal("4", code, transId="60123456781")
    for told in (in_messages, in_errors):
        verdict = judged(told)
        assert isinstance(verdict, Held)
        assert (code, Advice.REVIEW) == (verdict.reason.code, verdict.reason.advice)


def test_a_hold_without_a_transaction_is_unknown() -> None:
    """What is held must be findable."""
    assert isinstance(judged(approval(responseCode="4", transId="0")), Unknown)


def test_an_e_check_under_review_is_held() -> None:
    """Response code 3 with a review reason and a transaction id is held."""
    assert isinstance(judged(refusal("3", "104", transId="60123456782")), Held)


@pytest.mark.parametrize("response_code", ["1", "4"])
@pytest.mark.parametrize(
    "parts",
    [
        {"splitTenderPayments": [{"approvedAmount": "1.23"}]},
        {"splitTenderPayments": {"splitTenderPayment": {"approvedAmount": 1.23}}},
        {"prePaidCard": {"requestedAmount": "12.34", "approvedAmount": "1.23"}},
    ],
)
def test_a_partial_approval_tells_its_amount(response_code: str, parts: dict[str, Any]) -> None:
    """A part is approved as that part, so that the difference is seen."""
    told = approval(responseCode=response_code, messages=[{"code": "295", "description": "Part."}])
    verdict = judged(told | parts)
    assert isinstance(verdict, Approved)
    assert verdict.amount_minor == 123


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"splitTenderPayments": [{"approvedAmount": ""}]},
        {"splitTenderPayments": [{"approvedAmount": "12.34"}]},
        {"splitTenderPayments": [{"approvedAmount": "1.234"}]},
        {"splitTenderPayments": [{"approvedAmount": "NaN"}]},
    ],
)
def test_a_partial_approval_without_its_amount_is_unknown(parts: dict[str, Any]) -> None:
    """Reason 295 without a readable smaller amount never reads as an approval."""
    told = approval(messages=[{"code": "295", "description": "Part."}])
    assert isinstance(judged(told | parts), Unknown)


def test_a_prepaid_card_that_paid_all_is_an_approval() -> None:
    """An approved sum equal to ours, without reason 295, is a full approval."""
    verdict = judged(approval(prePaidCard={"approvedAmount": "12.34"}))
    assert isinstance(verdict, Approved)
    assert verdict.amount_minor == 1234


def test_an_answer_to_another_request_is_unknown() -> None:
    """A reply that carries another reference decides nothing about this charge."""
    verdict = judged(approval(), refId="ANOTHER")
    assert isinstance(verdict, Unknown)
    assert verdict.reason.code == "worker.other_reference"
    assert isinstance(judged(approval(), refId=""), Approved)
