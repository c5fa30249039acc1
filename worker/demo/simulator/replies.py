"""The shape of createTransaction's replies. What is said stands with the rules of each type."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any

from worker.demo.simulator.money import decimal_text
from worker.demo.simulator.protocol import Call, Reply, full_reply, message_reply
from worker.demo.simulator.reasons import APPROVED, ERROR, HELD, REASONS

if TYPE_CHECKING:
    from worker.demo.simulator.gateway import Gateway
    from worker.demo.simulator.ledger import Row


def _signature_key(seed: int) -> bytes:
    return hashlib.sha512(f"signature key of seed {seed}".encode()).digest()


def recorded(call: Call, row: Row, *, seed: int, prepaid_balance: str | None = None) -> Reply:
    """The reply about a transaction that has a row: approved, declined, held or failed."""
    response = _empty_response(row.response_code)
    response |= {
        "authCode": row.auth_code,
        "avsResultCode": row.avs,
        "cvvResultCode": row.cvv,
        "transId": row.transaction_id,
        "refTransID": row.ref_transaction_id,
        "accountNumber": row.means.masked,
        "accountType": row.means.account_type,
    }
    if prepaid_balance is not None:
        response["prePaidCard"] = {
            "requestedAmount": decimal_text(row.amount_minor, row.currency),
            "approvedAmount": decimal_text(row.approved_minor, row.currency),
            "balanceOnCard": prepaid_balance,
        }
        response["splitTenderId"] = "" if row.reason == 1 else row.transaction_id[-6:]
    response |= _said(row.response_code, row.reason)
    _add_user_fields(response, call)
    # Recordings of profile charges carry an empty hash.
    response["transHashSha2"] = "" if row.means.profile_id else _hash(call, row, seed=seed)
    response |= _profile(row)
    if row.network_id:
        response["networkTransId"] = row.network_id
    return _finished(call, response)


def acted(call: Call, row: Row, *, reason: int) -> Reply:
    """The reply about something done to a row that was there before: its own id, twice."""
    response = _empty_response(REASONS[reason][0])
    response |= {
        "authCode": row.auth_code,
        "transId": row.transaction_id,
        "refTransID": row.transaction_id,
        "accountNumber": row.means.masked,
        "accountType": row.means.account_type,
    }
    response |= _said(response["responseCode"], reason)
    _add_user_fields(response, call)
    response["transHashSha2"] = ""
    return _finished(call, response | _profile(row))


def raw_number(gateway: Gateway, call: Call) -> Reply:
    """The refusal of a card or account number in clear, which is counted."""
    gateway.calls.raw_card_attempts += 1
    text = f"{REASONS[66][1]} (This simulator takes no card or account numbers.)"
    return refused(call, 66, text=text)


def refused(
    call: Call, reason: int, *, text: str | None = None, original: Row | None = None
) -> Reply:
    """The reply of a request that became no transaction; a duplicate may name its original."""
    response = _empty_response(REASONS[reason][0])
    if original is not None:
        response |= {
            "avsResultCode": original.avs,
            "cvvResultCode": original.cvv,
            "transId": original.transaction_id,
            "authCode": original.auth_code,
            "accountNumber": original.means.masked,
            "accountType": original.means.account_type,
        }
    response |= _said(response["responseCode"], reason, text=text)
    _add_user_fields(response, call)
    response["transHashSha2"] = ""
    return _finished(call, response)


def test_answer(call: Call, *, account: str, account_type: str) -> Reply:
    """The reply in test mode: approved, id 0, nothing recorded."""
    response = _empty_response(APPROVED)
    response |= {"authCode": "000000", "testRequest": "1"}
    response |= {"accountNumber": account, "accountType": account_type}
    response |= _said(APPROVED, 1)
    _add_user_fields(response, call)
    response["transHashSha2"] = ""
    return _finished(call, response)


def without_transaction(call: Call, code: str, *, text: str | None = None) -> Reply:
    """A request-level refusal of a charge: its transactionResponse is as good as empty."""
    empty = {"transactionResponse": {"SupplementalDataQualificationIndicator": 0}}
    return {**empty, **message_reply(code, text, ref_id=call.ref_id)}


def _finished(call: Call, response: dict[str, Any]) -> Reply:
    response["SupplementalDataQualificationIndicator"] = 0
    code = "E00027" if response["responseCode"] == ERROR else "I00001"
    return full_reply({"transactionResponse": response}, ref_id=call.ref_id, code=code)


def _profile(row: Row) -> dict[str, Any]:
    if not row.means.profile_id:
        return {}
    ids = {
        "customerProfileId": row.means.profile_id,
        "customerPaymentProfileId": row.means.payment_profile_id,
    }
    return {"profile": ids}


def _empty_response(response_code: str) -> dict[str, Any]:
    return {
        "responseCode": response_code,
        "authCode": "",
        "avsResultCode": "P",
        "cvvResultCode": "",
        "cavvResultCode": "",
        "transId": "0",
        "refTransID": "",
        "transHash": "",
        "testRequest": "0",
        "accountNumber": "",
        "accountType": "",
    }


def _said(response_code: str, reason: int, *, text: str | None = None) -> dict[str, Any]:
    words = REASONS[reason][1] if text is None else text
    if response_code in {APPROVED, HELD}:
        return {"messages": [{"code": str(reason), "description": words}]}
    return {"errors": [{"errorCode": str(reason), "errorText": words}]}


def _add_user_fields(response: dict[str, Any], call: Call) -> None:
    """User fields come back flattened: a list without the element's name around it."""
    given = (call.body["transactionRequest"].get("userFields") or {}).get("userField")
    if given:
        response["userFields"] = given if isinstance(given, list) else [given]


def _hash(call: Call, row: Row, *, seed: int) -> str:
    amount = decimal_text(row.amount_minor, row.currency)
    text = f"^{call.login}^{row.transaction_id}^{amount}^"
    return hmac.digest(_signature_key(seed), text.encode(), "sha512").hex().upper()
