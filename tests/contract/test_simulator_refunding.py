"""The simulator's refunds: a transaction of their own, against a settled charge, never above it."""

from typing import Any

import httpx
import pytest

from tests.contract import vendor_sdk as sdk
from tests.contract.simulated_gateway import SimulatedGateway, profile, settings, token

CREATE = "createTransactionRequest"
REFUND = "refundTransaction"
VISA = {"payment": {"creditCard": {"cardNumber": "1111", "expirationDate": "XXXX"}}}
DAY_S = 86_400


def test_a_refund_is_a_transaction_of_its_own(gateway: SimulatedGateway) -> None:
    """It has its own id and invoice number, names its original, and waits for settlement."""
    sold = _settled(gateway, "O-1")
    answer = _refund(gateway, sold, invoice="R-1", amount="4.00")
    assert ("1", sold) == (answer["responseCode"], answer["refTransID"])
    assert sold != answer["transId"]
    (row,) = gateway.ledger("R-1")
    assert (REFUND, "refundPendingSettlement", 400, sold, False) == _pick(
        row, "type", "status", "amountMinor", "refTransId", "settled"
    )
    told = gateway.call("getTransactionDetailsRequest", transId=answer["transId"])["transaction"]
    assert (REFUND, "refundPendingSettlement", sold, 4.0) == _pick(
        told, "transactionType", "transactionStatus", "refTransId", "settleAmount"
    )
    assert "XXXX1111" == told["payment"]["creditCard"]["cardNumber"]
    assert ["R-1"] == [row["invoiceNumber"] for row in gateway.unsettled()["transactions"]]
    assert "settledSuccessfully" == gateway.ledger("O-1")[0]["status"]


def test_refunds_never_exceed_what_was_captured(gateway: SimulatedGateway) -> None:
    """Parts add up to the captured amount and no cent more; a void one counts no more."""
    sold = _settled(gateway, "O-2")
    first = _refund(gateway, sold, invoice="R-1", amount="6.00")
    assert "55" == _said(_refund(gateway, sold, invoice="R-2", amount="4.01"))
    assert "1" == _said(_refund(gateway, sold, invoice="R-3", amount="4.00"))
    assert "55" == _said(_refund(gateway, sold, invoice="R-4", amount="0.01"))
    void = {"transactionType": "voidTransaction", "refTransId": first["transId"]}
    gateway.call(CREATE, transactionRequest=void)
    assert "voided" == gateway.ledger("R-1")[0]["status"]
    assert "1" == _said(_refund(gateway, sold, invoice="R-5", amount="6.00"))
    summary = gateway.control("GET", "/ledger/summary")
    assert ({"USD": 1000}, {"USD": 1000}, []) == _pick(
        summary, "captured", "refunded", "refunded_above_captured"
    )


def test_what_does_not_qualify_is_54(gateway: SimulatedGateway) -> None:
    """An unsettled charge, another card, a refund and a charge settled over 180 days ago."""
    unsettled = str(gateway.charge(order={"invoiceNumber": "O-3"})["transId"])
    answer = _refund(gateway, unsettled, invoice="R-1")
    assert ("3", "0", "54") == (answer["responseCode"], answer["transId"], _said(answer))
    gateway.control("POST", "/settle")
    other = {"payment": {"creditCard": {"cardNumber": "XXXX0015", "expirationDate": "XXXX"}}}
    assert "54" == _said(_refund(gateway, unsettled, invoice="R-2", means=other))
    refund = str(_refund(gateway, unsettled, invoice="R-3", amount="1.00")["transId"])
    assert "54" == _said(_refund(gateway, refund, invoice="R-4", amount="1.00"))
    gateway.control("POST", "/clock", body={"advance_s": 180 * DAY_S - 60})
    assert "1" == _said(_refund(gateway, unsettled, invoice="R-5", amount="1.00"))
    gateway.control("POST", "/clock", body={"advance_s": 120})
    assert "54" == _said(_refund(gateway, unsettled, invoice="R-6", amount="1.00"))


def test_what_is_refused_before_the_original_is_looked_at(gateway: SimulatedGateway) -> None:
    """An unknown id, none, no amount, another currency and no means have their own reasons."""
    sold = _settled(gateway, "O-4")
    assert ["16", "15", "5", "39", "33"] == [
        _said(answer)
        for answer in (
            _refund(gateway, "123", invoice="R-1"),
            _refund(gateway, "", invoice="R-1"),
            _refund(gateway, sold, invoice="R-1", amount="0.00"),
            _refund(gateway, sold, invoice="R-1", currency="EUR"),
            _refund(gateway, sold, invoice="R-1", means={}),
        )
    ]


@pytest.mark.parametrize("number", ["1111", "XXXX1111"])
def test_the_last_four_digits_name_the_card(gateway: SimulatedGateway, number: str) -> None:
    """Both spellings pass; a whole number is refused and counted as everywhere."""
    sold = _settled(gateway, "O-5")
    card = {"payment": {"creditCard": {"cardNumber": number, "expirationDate": "XXXX"}}}
    assert "1" == _said(_refund(gateway, sold, invoice="R-1", means=card))
    whole = {
        "payment": {"creditCard": {"cardNumber": "4111111111111111", "expirationDate": "XXXX"}}
    }
    assert "66" == _said(_refund(gateway, sold, invoice="R-2", means=whole))
    assert 1 == gateway.control("GET", "/calls")["raw_card_attempts"]


def test_a_profile_is_refunded_by_itself(gateway: SimulatedGateway) -> None:
    """The same payment profile passes, another one is E00051, and both means at once are E00091."""
    gateway.charge(**profile(), order={"invoiceNumber": "O-6"})
    gateway.control("POST", "/settle")
    sold = gateway.ledger("O-6")[0]["transId"]
    assert "1" == _said(_refund(gateway, sold, invoice="R-1", amount="1.00", means=profile()))
    for means, code in ((profile("900000002"), "E00051"), ({**VISA, **profile()}, "E00091")):
        request = _request(sold, invoice="R-2", means=means)
        assert code == gateway.refusal(CREATE, transactionRequest=request)[0]


def test_an_echeck_is_refunded_by_its_masked_account(gateway: SimulatedGateway) -> None:
    """The masked account passes; a card's digits do not."""
    gateway.charge(**token("bank-1"), order={"invoiceNumber": "O-7"})
    gateway.control("POST", "/settle")
    sold = gateway.ledger("O-7")[0]["transId"]
    account = {"routingNumber": "XXXX", "accountNumber": "XXXXX6789", "nameOnAccount": "Ann"}
    bank = {"payment": {"bankAccount": account}}
    assert "54" == _said(_refund(gateway, sold, invoice="R-1"))
    assert "1" == _said(_refund(gateway, sold, invoice="R-1", means=bank))
    told = gateway.unsettled()["transactions"][0]
    assert ("eCheck", "XXXXX6789") == _pick(told, "accountType", "accountNumber")


def test_an_equal_refund_inside_the_window_is_a_repeat(gateway: SimulatedGateway) -> None:
    """The same invoice number is 11 and names the first; another original or number is new."""
    window = settings(duplicateWindow="28800")
    sold, other = _settled(gateway, "O-8"), _settled(gateway, "O-9")
    first = _refund(gateway, sold, invoice="R-1", amount="1.00", more=window)
    again = _refund(gateway, sold, invoice="R-1", amount="1.00", more=window)
    assert ("11", first["transId"]) == (_said(again), again["transId"])
    assert "1" == _said(_refund(gateway, other, invoice="R-1", amount="1.00", more=window))
    assert "1" == _said(_refund(gateway, sold, invoice="R-2", amount="1.00", more=window))


def test_a_lost_answer_hides_a_refund(gateway: SimulatedGateway) -> None:
    """A script matches the type and the original; the book knows the refund."""
    sold = _settled(gateway, "O-10")
    gateway.script("lost_answer", match={"transactionType": REFUND, "refTransId": sold})
    assert "1" == gateway.charge()["responseCode"]
    with pytest.raises(httpx.ReadError):
        _refund(gateway, sold, invoice="R-1")
    assert ["refundPendingSettlement"] == [row["status"] for row in gateway.ledger("R-1")]


def test_a_refund_may_be_declined_or_held(gateway: SimulatedGateway) -> None:
    """A declined one leaves a row that gives nothing back; a held one waits and blocks its amount."""
    sold = _settled(gateway, "O-11")
    gateway.script("decline")
    assert "2" == _refund(gateway, sold, invoice="R-1")["responseCode"]
    assert "declined" == gateway.ledger("R-1")[0]["status"]
    gateway.script("held_252")
    held = _refund(gateway, sold, invoice="R-2")
    assert "4" == held["responseCode"]
    assert "55" == _said(_refund(gateway, sold, invoice="R-3"))
    gateway.control("POST", f"/held/{held['transId']}", body={"action": "approve"})
    assert "refundPendingSettlement" == gateway.ledger("R-2")[0]["status"]


def test_without_the_guard_the_auditor_sees_it(gateway: SimulatedGateway) -> None:
    """With the gateway's check of amounts off, a refund above the captured amount is named."""
    sold = _settled(gateway, "O-12")
    gateway.control("PUT", "/settings", body={"checks_amounts": False})
    assert "1" == _said(_refund(gateway, sold, invoice="R-1", amount="10.01"))
    summary = gateway.control("GET", "/ledger/summary")
    assert ([sold], {"USD": 1001}) == _pick(summary, "refunded_above_captured", "refunded")


def test_the_vendors_sdk_refunds(gateway: SimulatedGateway) -> None:
    """The SDK's own controller, which speaks XML, gets a refund through."""
    sold = _settled(gateway, "O-13")
    answer = sdk.follow_up(
        gateway.url, REFUND, transaction_id=sold, amount="3.00", last4="XXXX1111"
    )
    assert ("1", "1") == (answer.response_code, answer.reason)
    assert "3.0" == sdk.settle_amount(gateway.url, answer.transaction_id).rstrip("0") + "0"


def _settled(gateway: SimulatedGateway, invoice: str) -> str:
    """A charge of 10.00 that is settled."""
    made = gateway.charge(order={"invoiceNumber": invoice})
    gateway.control("POST", "/settle")
    return str(made["transId"])


def _request(
    original: str,
    *,
    invoice: str,
    amount: str = "10.00",
    currency: str = "USD",
    means: dict[str, Any] | None = None,
    more: dict[str, Any] | None = None,
) -> dict[str, Any]:
    return {
        "transactionType": REFUND,
        "amount": amount,
        "currencyCode": currency,
        **(VISA if means is None else means),
        "refTransId": original,
        "order": {"invoiceNumber": invoice},
        **(more or {}),
    }


def _refund(gateway: SimulatedGateway, original: str, **members: Any) -> dict[str, Any]:
    request = _request(original, **members)
    response: dict[str, Any] = gateway.call(CREATE, transactionRequest=request)[
        "transactionResponse"
    ]
    return response


def _said(response: dict[str, Any]) -> str:
    """The reason code, wherever it stands."""
    if "errors" in response:
        return str(response["errors"][0]["errorCode"])
    return str(response["messages"][0]["code"])


def _pick(row: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)
