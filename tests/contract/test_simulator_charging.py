"""The simulator's rules: approvals, tokens and profiles, triggers, duplicates, lists and details."""

from typing import Any

import pytest

from tests.contract.simulated_gateway import (
    SimulatedGateway,
    charge_body,
    profile,
    settings,
    token,
)

CREATE = "createTransactionRequest"
NEWEST_FIRST = {"orderBy": "submitTimeUTC", "orderDescending": True}


def test_an_approval_has_the_vendors_shape(gateway: SimulatedGateway) -> None:
    """The code is a string, the card is masked, and the row stands in the ledger."""
    fields = {"userField": [{"name": "a", "value": "b"}]}
    answer = gateway.charge(order={"invoiceNumber": "A-1"}, userFields=fields)
    assert ("1", "XXXX1111", "Visa") == (
        answer["responseCode"],
        answer["accountNumber"],
        answer["accountType"],
    )
    assert [{"code": "1", "description": "This transaction has been approved."}] == answer[
        "messages"
    ]
    assert (6, 128) == (len(answer["authCode"]), len(answer["transHashSha2"]))
    assert "errors" not in answer
    assert [{"name": "a", "value": "b"}] == answer["userFields"]
    row = gateway.ledger("A-1")[0]
    assert answer["transId"] == row["transId"]
    assert ("capturedPendingSettlement", 1000, "USD", "ref-1", True) == (
        row["status"], row["amountMinor"], row["currency"], row["refId"], row["approved"],
    )  # fmt: skip


def test_an_authorisation_waits_for_its_capture(gateway: SimulatedGateway) -> None:
    """The authOnly type is approved and not captured."""
    gateway.charge(transactionType="authOnlyTransaction", order={"invoiceNumber": "O-1"})
    assert "authorizedPendingCapture" == gateway.ledger("O-1")[0]["status"]


def test_transaction_ids_are_unique_and_not_in_order(gateway: SimulatedGateway) -> None:
    """Later transactions may have smaller ids."""
    found = [int(gateway.charge()["transId"]) for _ in range(40)]
    assert 40 == len(set(found))
    assert sorted(found) != found


@pytest.mark.parametrize("wallet", ["ACCEPT", "APPLE", "GOOGLE"])
def test_every_wallets_token_is_taken_once(gateway: SimulatedGateway, wallet: str) -> None:
    """A second use of the same token is E00114 without a transaction, declined or not."""
    means = token("once", f"COMMON.{wallet}.INAPP.PAYMENT")
    assert "2" == gateway.charge(**means, billTo={"zip": "46282"})["responseCode"]
    request = charge_body(**means, order={"invoiceNumber": "other"})
    assert "E00114" == gateway.refusal(CREATE, transactionRequest=request)[0]
    assert {"SupplementalDataQualificationIndicator": 0} == gateway.charge(**means)


def test_an_expired_token_is_e00115(gateway: SimulatedGateway) -> None:
    """A token whose value starts with expired is refused as such."""
    request = charge_body(**token("expired-1"))
    assert "E00115" == gateway.refusal(CREATE, transactionRequest=request)[0]


def test_an_unknown_descriptor_is_reason_153(gateway: SimulatedGateway) -> None:
    """Only the three descriptors are taken."""
    assert "153" == _reason(gateway.charge(**token("x", "COMMON.OTHER")))


def test_a_profile_is_charged_with_its_own_card(gateway: SimulatedGateway) -> None:
    """The reply names the profile, carries no hash, and every payment profile has its card."""
    first = gateway.charge(**profile("900000001"))
    second = gateway.charge(**profile("900000002"))
    ids = {"customerProfileId": "900000000", "customerPaymentProfileId": "900000001"}
    assert (ids, "") == (first["profile"], first["transHashSha2"])
    assert first["accountNumber"] != second["accountNumber"]


def test_an_unknown_profile_is_e00040_until_it_is_seeded(gateway: SimulatedGateway) -> None:
    """The control port adds profiles, with a card, a postal code or a decline of their own."""
    means: dict[str, Any] = {
        "profile": {"customerProfileId": "5", "paymentProfile": {"paymentProfileId": "6"}}
    }
    assert "E00040" == gateway.refusal(CREATE, transactionRequest=charge_body(**means))[0]
    added = {"customerProfileId": "5", "paymentProfileId": "6", "declineReason": 44}
    gateway.control("POST", "/profiles", body={"profiles": [added]})
    assert ("2", "44") == (
        gateway.charge(**means)["responseCode"],
        _reason(gateway.charge(amount="3", **means)),
    )


def test_a_profile_and_a_payment_exclude_each_other(gateway: SimulatedGateway) -> None:
    """Both at once are E00091."""
    request = charge_body(**token(), **profile())
    assert "E00091" == gateway.refusal(CREATE, transactionRequest=request)[0]


def test_card_numbers_are_refused_and_counted(gateway: SimulatedGateway) -> None:
    """A raw card charges nothing, and the control port knows of the attempt."""
    card = {"creditCard": {"cardNumber": "4111111111111111", "expirationDate": "2030-12"}}
    answer = gateway.charge(payment=card)
    assert ("3", "66", "0") == (answer["responseCode"], _reason(answer), answer["transId"])
    assert 1 == gateway.control("GET", "/calls")["raw_card_attempts"]
    assert 0 == gateway.control("GET", "/ledger")["total"]


def test_the_postal_code_declines(gateway: SimulatedGateway) -> None:
    """Zip 46282 is reason 2 with an Ok envelope, and its row is a declined one."""
    request = charge_body(billTo={"zip": "46282"}, order={"invoiceNumber": "D-1"})
    answer = gateway.call(CREATE, transactionRequest=request)
    response = answer["transactionResponse"]
    assert ("Ok", "2", "2") == (
        answer["messages"]["resultCode"],
        response["responseCode"],
        _reason(response),
    )
    assert ("declined", False) == _pick(gateway.ledger("D-1")[0], "status", "approved")


@pytest.mark.parametrize(
    ("zip_code", "letter"), [("46201", "A"), ("46205", "N"), ("46217", "Z"), ("10001", "Y")]
)
def test_the_postal_code_chooses_the_avs_letter(
    gateway: SimulatedGateway, zip_code: str, letter: str
) -> None:
    """The documented postal codes give their letters, all others Y."""
    assert letter == gateway.charge(billTo={"zip": zip_code})["avsResultCode"]


@pytest.mark.parametrize(
    ("code", "letter"), [("900", "M"), ("901", "N"), ("902", "S"), ("903", "U"), ("904", "P")]
)
def test_the_card_code_chooses_the_cvv_letter(
    gateway: SimulatedGateway, code: str, letter: str
) -> None:
    """A profile's card code gives the documented letter."""
    assert letter == gateway.charge(**profile(cardCode=code))["cvvResultCode"]


def test_partial_approval_only_where_it_is_allowed(gateway: SimulatedGateway) -> None:
    """Zip 46225 approves 1.23 of the amount, unless allowPartialAuth is false."""
    bill = {"zip": "46225"}
    partial = gateway.charge(billTo=bill)
    assert ("295", "1.23") == (
        partial["messages"][0]["code"],
        partial["prePaidCard"]["approvedAmount"],
    )
    whole = gateway.charge(billTo=bill, **settings(allowPartialAuth="false"))
    assert ("1", "1") == (whole["responseCode"], whole["messages"][0]["code"])
    assert "1.23" == gateway.charge(billTo={"zip": "46226"})["prePaidCard"]["balanceOnCard"]


def test_an_echeck_above_a_hundred_is_declined(gateway: SimulatedGateway) -> None:
    """A token that says bank is an eCheck with a nine character mask."""
    assert "1" == gateway.charge(amount="100.00", **token("bank-1"))["responseCode"]
    declined = gateway.charge(amount="100.01", **token("bank-2"))
    assert ("2", 9) == (declined["responseCode"], len(declined["accountNumber"]))


def test_cents_choose_a_reason_only_when_switched_on(gateway: SimulatedGateway) -> None:
    """An amount of 10.27 is ordinary until the control port says otherwise."""
    assert "1" == gateway.charge(amount="10.27")["responseCode"]
    gateway.control("PUT", "/settings", body={"amount_triggers": True})
    assert "27" == _reason(gateway.charge(amount="10.27"))
    failed = gateway.charge(amount="10.19", order={"invoiceNumber": "G-1"})
    assert ("3", "generalError") == (failed["responseCode"], gateway.ledger("G-1")[0]["status"])


@pytest.mark.parametrize("amount", ["0", "-1.00", "1.001"])
def test_an_amount_must_be_payable(gateway: SimulatedGateway, amount: str) -> None:
    """Nothing, less than nothing and parts of a cent are reason 5."""
    assert "5" == _reason(gateway.charge(amount=amount))


def test_another_currency_is_reason_39(gateway: SimulatedGateway) -> None:
    """The account has one currency, which the control port can change."""
    assert "39" == _reason(gateway.charge(currencyCode="EUR"))
    gateway.control("PUT", "/settings", body={"currency": "JPY"})
    gateway.charge(amount="500", currencyCode="JPY", order={"invoiceNumber": "J-1"})
    assert (500, "JPY") == _pick(gateway.ledger("J-1")[0], "amountMinor", "currency")


def test_test_requests_leave_no_trace(gateway: SimulatedGateway) -> None:
    """By setting or by account, a test is approved with id 0 and not recorded."""
    one = gateway.charge(**settings(testRequest="true"))
    gateway.control("PUT", "/settings", body={"test_mode": True})
    other = gateway.charge()
    assert [("1", "0", "1")] * 2 == [
        _pick(each, "responseCode", "transId", "testRequest") for each in (one, other)
    ]
    assert 0 == gateway.control("GET", "/ledger")["total"]


def test_a_repeat_inside_the_window_is_reason_11(gateway: SimulatedGateway) -> None:
    """Without a setting the default of 120 s holds, and the answer is bare."""
    same: dict[str, Any] = {**profile(), "order": {"invoiceNumber": "R-1"}}
    assert "1" == gateway.charge(same)["responseCode"]
    repeat = gateway.charge(same, ref_id="another")
    assert ("3", "0", "", "P") == _pick(
        repeat, "responseCode", "transId", "authCode", "avsResultCode"
    )
    assert "11" == _reason(repeat)
    gateway.control("POST", "/clock", body={"advance_s": 121})
    assert "1" == gateway.charge(same)["responseCode"]
    assert 1 == gateway.control("GET", "/ledger/summary")["invoices_charged_twice"]


def test_with_the_setting_the_repeat_names_its_original(gateway: SimulatedGateway) -> None:
    """The enhanced answer has the original's id, and its auth code only when it was approved."""
    window = {**settings(duplicateWindow="28800"), "order": {"invoiceNumber": "R-2"}, **profile()}
    first = gateway.charge(window)
    repeat = gateway.charge(window)
    assert _pick(first, "transId", "authCode") == _pick(repeat, "transId", "authCode")
    declined = {"billTo": {"zip": "46282"}, **window}
    first = gateway.charge(declined)
    assert (first["transId"], "") == _pick(gateway.charge(declined), "transId", "authCode")
    gateway.control("PUT", "/settings", body={"enhanced_duplicates": False})
    assert "0" == gateway.charge(window)["transId"]


@pytest.mark.parametrize(
    ("changed", "is_repeat"),
    [
        ({"amount": "11.00"}, False),
        ({"order": {"invoiceNumber": "other"}}, False),
        ({"poNumber": "other"}, False),
        ({"customer": {"id": "other"}}, False),
        ({"billTo": {"firstName": "Other"}}, False),
        ({"transactionType": "authOnlyTransaction"}, False),
        (profile("900000099"), False),
        (settings(duplicateWindow="600"), False),
        ({"order": {"invoiceNumber": "D", "description": "other"}}, True),
        ({"customer": {"id": "c", "email": "other@example.com"}}, True),
    ],
)
def test_what_is_compared_and_what_is_not(
    gateway: SimulatedGateway, *, changed: dict[str, Any], is_repeat: bool
) -> None:
    """The vendor's list of fields makes a request new; description and e-mail do not."""
    request = {
        **profile(),
        "order": {"invoiceNumber": "D"},
        "customer": {"id": "c"},
        "billTo": {"firstName": "Ann"},
    }
    gateway.charge(**request)
    assert is_repeat == ("errors" in gateway.charge(**{**request, **changed}))


def test_a_window_of_nothing_guards_nothing(gateway: SimulatedGateway) -> None:
    """Zero, and anything below it, lets every repeat through."""
    for window in ("0", "-5"):
        answers = [
            gateway.charge(**profile(), **settings(duplicateWindow=window)) for _ in range(2)
        ]
        assert ["1", "1"] == [answer["responseCode"] for answer in answers]


def test_the_guard_is_no_lock_when_told_so(gateway: SimulatedGateway) -> None:
    """A twin that comes soon enough is charged too; a later one is found."""
    gateway.control("PUT", "/settings", body={"duplicate_blind_s": 5})
    request = {**profile(), "order": {"invoiceNumber": "N-1"}}
    assert ["1", "1"] == [gateway.charge(request)["responseCode"] for _ in range(2)]
    gateway.control("POST", "/clock", body={"advance_s": 6})
    assert "11" == _reason(gateway.charge(request))


def test_the_list_shows_everything_unsettled(gateway: SimulatedGateway) -> None:
    """Approved and declined rows stand in it with their invoice number and an amount that is a number."""
    gateway.charge(order={"invoiceNumber": "L-1"}, amount="12.50")
    gateway.charge(order={"invoiceNumber": "L-2"}, billTo={"lastName": "Lee", "zip": "46282"})
    answer = gateway.unsettled(sorting=NEWEST_FIRST, paging={"limit": 10, "offset": 1})
    assert 2 == answer["totalNumInResultSet"]
    newest, oldest = answer["transactions"]
    assert ("L-2", "declined", "Lee") == _pick(
        newest, "invoiceNumber", "transactionStatus", "lastName"
    )
    assert (12.5, "XXXX1111", "Visa") == _pick(
        oldest, "settleAmount", "accountNumber", "accountType"
    )
    assert "refId" not in oldest


def test_pages_are_counted_from_one(gateway: SimulatedGateway) -> None:
    """Limit and offset give pages; one past the end is Ok with I00004; 1001 rows are too many."""
    for number in range(5):
        gateway.charge(order={"invoiceNumber": f"P-{number}"})
    ascending = {"orderBy": "submitTimeUTC", "orderDescending": False}
    page = gateway.unsettled(sorting=ascending, paging={"limit": 2, "offset": 2})
    assert ["P-2", "P-3"] == [row["invoiceNumber"] for row in page["transactions"]]
    assert 5 == page["totalNumInResultSet"]
    beyond = gateway.unsettled(paging={"limit": 2, "offset": 4})
    assert ("Ok", "I00004") == (
        beyond["messages"]["resultCode"],
        beyond["messages"]["message"][0]["code"],
    )
    name = "getUnsettledTransactionListRequest"
    assert "E00003" == gateway.refusal(name, paging={"limit": 1001, "offset": 1})[0]
    by_id = gateway.unsettled(sorting={"orderBy": "id", "orderDescending": False})["transactions"]
    assert sorted(by_id, key=lambda row: int(row["transId"])) == by_id


def test_a_new_row_shows_up_late_when_told_so(gateway: SimulatedGateway) -> None:
    """The list's lag hides young rows, though the ledger and the details know them."""
    gateway.control("PUT", "/settings", body={"list_lag_s": 30, "cut_off": "none"})
    charged = gateway.charge()
    assert 0 == gateway.unsettled()["totalNumInResultSet"]
    assert "transaction" in gateway.call("getTransactionDetailsRequest", transId=charged["transId"])
    gateway.control("POST", "/clock", body={"advance_s": 31})
    assert 1 == gateway.unsettled()["totalNumInResultSet"]


def test_details_tell_the_whole_transaction(gateway: SimulatedGateway) -> None:
    """The code is a number here, and the original reference can be read back."""
    charged = gateway.charge(
        order={"invoiceNumber": "T-1", "description": "tea"}, customer={"id": "c1"}
    )
    answer = gateway.call("getTransactionDetailsRequest", transId=charged["transId"])
    found = answer["transaction"]
    assert (1, 10.0, 10.0) == _pick(found, "responseCode", "authAmount", "settleAmount")
    assert ("T-1", "c1", "ref-1") == (
        found["order"]["invoiceNumber"],
        found["customer"]["id"],
        answer["transrefId"],
    )
    assert ("authCaptureTransaction", "capturedPendingSettlement") == _pick(
        found, "transactionType", "transactionStatus"
    )
    assert "XXXX1111" == found["payment"]["creditCard"]["cardNumber"]


def test_details_of_nothing_are_e00040(gateway: SimulatedGateway) -> None:
    """An id that nobody has is not found."""
    assert "E00040" == gateway.refusal("getTransactionDetailsRequest", transId="123")[0]


@pytest.mark.parametrize(
    ("code", "action", "before", "after"),
    [
        ("252", "approve", "FDSPendingReview", "capturedPendingSettlement"),
        ("252", "decline", "FDSPendingReview", "declined"),
        ("253", "approve", "FDSAuthorizedPendingReview", "capturedPendingSettlement"),
        ("253", "decline", "FDSAuthorizedPendingReview", "voided"),
    ],
)
def test_a_held_charge_waits_for_a_person(
    gateway: SimulatedGateway, *, code: str, action: str, before: str, after: str
) -> None:
    """It is listed as pending approval until the control port decides it."""
    gateway.script(f"held_{code}")
    answer = gateway.charge(order={"invoiceNumber": "H-1"})
    assert ("4", code) == (answer["responseCode"], answer["messages"][0]["code"])
    pending = gateway.unsettled(status="pendingApproval")["transactions"]
    assert [before] == [row["transactionStatus"] for row in pending]
    gateway.control("POST", f"/held/{answer['transId']}", body={"action": action})
    assert (after, action == "approve") == _pick(gateway.ledger("H-1")[0], "status", "approved")
    assert 0 == gateway.unsettled(status="pendingApproval")["totalNumInResultSet"]


def test_a_network_token_is_a_means(gateway: SimulatedGateway) -> None:
    """A card number that is marked as a token and has its cryptogram passes; without one it is a raw card."""
    card = {"cardNumber": "5424000000000015", "expirationDate": "2030-12", "isPaymentToken": True}
    taken = gateway.charge(payment={"creditCard": {**card, "cryptogram": "EjRWeJCrze8="}})
    assert ("1", "MasterCard", "XXXX0015") == _pick(
        taken, "responseCode", "accountType", "accountNumber"
    )
    assert "66" == _reason(gateway.charge(payment={"creditCard": card}))
    broken = {"creditCard": {**card, "cryptogram": "invalid"}}
    assert "156" == _reason(gateway.charge(payment=broken))
    assert 1 == gateway.control("GET", "/ledger")["total"]


def test_a_verification_of_nothing_is_a_setting(gateway: SimulatedGateway) -> None:
    """An authorisation of 0.00 is approved, a charge of it is not, and an account may refuse both."""
    zero: dict[str, Any] = {"amount": "0.00", "transactionType": "authOnlyTransaction"}
    answer = gateway.charge(zero, order={"invoiceNumber": "Z-1"})
    assert "1" == answer["responseCode"]
    assert ("authorizedPendingCapture", 0) == _pick(
        gateway.ledger("Z-1")[0], "status", "approvedMinor"
    )
    gateway.control("PUT", "/settings", body={"zero_auth": False})
    assert "289" == _reason(gateway.charge(zero))


def _reason(answer: dict[str, Any]) -> str:
    reason: str = answer["errors"][0]["errorCode"]
    return reason


def _pick(row: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)
