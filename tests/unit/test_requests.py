"""The gateway's requests: order and limits by the contract, what is cut, what is left out, and no secret in sight."""

import json
import timeit
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.domain.commands import Address, Line, Mode
from handlers.domain.errors import InvalidValueError
from handlers.domain.intents import Intent
from handlers.domain.means import (
    CardholderAuthentication,
    Credential,
    Means,
    StoredCredential,
    StoredProfile,
)
from handlers.domain.money import Money
from handlers.domain.secret import Secret
from handlers.domain.verdicts import BANK, Method
from handlers.gateway.authorizenet.contract_table import ALLOWED, ELEMENTS
from handlers.gateway.authorizenet.details import BankAccount
from handlers.gateway.authorizenet.elements import encode
from handlers.gateway.authorizenet.questions import (
    batch_request,
    batches_request,
    details_request,
    probe_request,
    unsettled_request,
)
from handlers.gateway.authorizenet.replies import Scrubber
from handlers.gateway.authorizenet.requests import frozen_request, transaction_request
from handlers.gateway.authorizenet.settings import Account, AuthorizeNetSettings, CutOff
from handlers.gateway.authorizenet.verdicts import verdict_of
from tests.contract.gateway_fixtures import (
    ACCOUNT,
    AUTHENTICATION,
    CAPTURE,
    CAVV,
    CHARGE,
    CODE,
    CRYPTOGRAM,
    INTENTS,
    KEY,
    LOGIN,
    NETWORK_TOKEN,
    NONCE,
    PROFILE,
    REFUND,
    SERIES,
    TOKEN,
    VOID,
    wire,
)

NOON = datetime(2026, 11, 20, 13, tzinfo=timezone(timedelta(hours=1)))
KINDS = {
    "merchantAuthentication": "merchantAuthenticationType",
    "transactionRequest": "transactionRequestType",
    "payment": "paymentType",
    "opaqueData": "opaqueDataType",
    "creditCard": "creditCardType",
    "bankAccount": "bankAccountType",
    "profile": "customerProfilePaymentType",
    "paymentProfile": "paymentProfile",
    "order": "orderType",
    "lineItems": "ArrayOfLineItem",
    "lineItem": "lineItemType",
    "tax": "extendedAmountType",
    "customer": "customerDataType",
    "billTo": "customerAddressType",
    "shipTo": "nameAndAddressType",
    "cardholderAuthentication": "ccAuthenticationType",
    "processingOptions": "processingOptions",
    "subsequentAuthInformation": "subsequentAuthInformation",
    "transactionSettings": "ArrayOfSetting",
    "setting": "settingType",
    "sorting": "TransactionListSorting",
    "paging": "Paging",
}


def held_to_the_contract(kind: str, members: dict[str, Any]) -> None:
    """Assert order and lengths of `members`, all the way down."""
    order = list(ELEMENTS[kind])
    assert sorted(members, key=order.index) == list(members)
    for name, value in members.items():
        limit = ELEMENTS[kind][name]
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, dict):
                held_to_the_contract(KINDS[name], part)
            else:
                assert isinstance(part, str)
                assert 0 < len(part) <= (limit or len(part))


TEXT = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=255)


@given(
    user_id=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}", fullmatch=True),
    texts=st.lists(TEXT, min_size=10, max_size=10),
    lines=st.lists(
        st.builds(Line, TEXT.filter(bool), TEXT, st.integers(1, 99), st.integers(0, 999))
    ),
    means=st.sampled_from((CHARGE.means, PROFILE.means, NETWORK_TOKEN)),
    mode=st.sampled_from(Mode),
    tax_minor=st.integers(0, 999),
    stored=st.none() | st.builds(StoredCredential, st.sampled_from(Credential)) | st.just(SERIES),
    authentication=st.none() | st.just(AUTHENTICATION),
)
def test_any_charge_keeps_to_the_contract(
    *,
    user_id: str,
    texts: list[str],
    lines: list[Line],
    means: Means,
    mode: Mode,
    tax_minor: int,
    stored: StoredCredential | None,
    authentication: CardholderAuthentication | None,
) -> None:
    """Whatever a command holds, its request has the contract's order, lengths and no empty element."""
    charge = replace(
        CHARGE,
        means=means,
        user_id=user_id,
        billing=Address(*texts),
        shipping=Address(*reversed(texts)),
        tax_minor=tax_minor,
        stored_credential=stored,
        cardholder_authentication=authentication,
        description=texts[0],
        lines=tuple(lines),
        mode=mode,
    )
    for name, request in json.loads(encode(transaction_request(charge, ACCOUNT))).items():
        held_to_the_contract(name, request)
        assert request["transactionRequest"]["transactionType"] in ALLOWED["transactionTypeEnum"]


def test_a_charge_says_what_it_must() -> None:
    """Amount as an exact decimal text, invoice number, reference, and the two settings that never change."""
    sent = json.loads(encode(transaction_request(CHARGE, ACCOUNT)))["createTransactionRequest"]
    transaction = sent["transactionRequest"]
    assert sent["merchantAuthentication"] == {"name": LOGIN, "transactionKey": KEY}
    assert sent["refId"] == CHARGE.reference
    assert transaction["transactionType"] == "authCaptureTransaction"
    assert transaction["amount"] == "12.34"
    assert transaction["currencyCode"] == "USD"
    assert transaction["payment"]["opaqueData"]["dataValue"] == NONCE
    assert transaction["order"] == {
        "invoiceNumber": CHARGE.invoice_number,
        "description": "Two books",
    }
    assert transaction["customer"] == {"id": "user-1", "email": "ada@example.org"}
    assert transaction["customerIP"] == "192.0.2.7"
    assert transaction["transactionSettings"]["setting"] == [
        {"settingName": "allowPartialAuth", "settingValue": "false"},
        {"settingName": "duplicateWindow", "settingValue": "28800"},
    ]
    assert "poNumber" not in transaction


def test_the_same_intent_gives_the_same_bytes() -> None:
    """A request depends on nothing but its intent and account."""
    assert encode(transaction_request(CHARGE, ACCOUNT)) == encode(
        transaction_request(CHARGE, ACCOUNT)
    )


def test_an_authorisation_and_a_yen_amount() -> None:
    """An authorisation has its own type; a currency without minor units has no decimals."""
    transaction = wire(replace(CHARGE, mode=Mode.AUTHORISE, money=Money(500, "JPY"), lines=()))
    assert transaction["transactionType"] == "authOnlyTransaction"
    assert transaction["amount"] == "500"


def test_a_stored_profile_goes_alone() -> None:
    """A profile has its own billing data: sending ours beside it is refused by the gateway."""
    transaction = wire(PROFILE)
    expected = {"customerProfileId": "123", "paymentProfile": {"paymentProfileId": "456"}}
    assert transaction["profile"] == expected
    assert not {"payment", "billTo", "customer"} & transaction.keys()


def test_texts_are_cut_and_keys_are_left_out() -> None:
    """A long name is cut at its limit; a long customer id is left out, for a cut key is another key."""
    billing = Address(first_name="A" * 80, zip="9" * 30)
    transaction = wire(replace(CHARGE, user_id="u" * 21, billing=billing))
    assert transaction["billTo"] == {"firstName": "A" * 50, "zip": "9" * 20}
    assert "customer" not in transaction
    assert wire(replace(CHARGE, user_id="u" * 20))["customer"]["id"] == "u" * 20


def test_lines_go_all_or_none() -> None:
    """More than 30 lines, or an item id that does not fit, leave out every line."""
    line = Line("sku", "n" * 40, 1, 100)
    assert len(wire(replace(CHARGE, lines=(line,) * 30))["lineItems"]["lineItem"]) == 30
    assert wire(replace(CHARGE, lines=(line,)))["lineItems"]["lineItem"][0]["name"] == "n" * 31
    assert "lineItems" not in wire(replace(CHARGE, lines=(line,) * 31))
    assert "lineItems" not in wire(replace(CHARGE, lines=(line, replace(line, sku="s" * 32))))
    assert wire(replace(CHARGE, lines=(replace(line, unit_minor=0),)))["lineItems"]


def test_an_address_that_is_none_is_left_out() -> None:
    """Only real IP addresses are sent."""
    assert "customerIP" not in wire(replace(CHARGE, customer_ip="unknown"))
    assert wire(replace(CHARGE, customer_ip="2001:db8::1"))["customerIP"] == "2001:db8::1"


@pytest.mark.parametrize(
    "means", [CHARGE.means, StoredProfile("123", "456", Secret(CODE)), NETWORK_TOKEN]
)
def test_what_is_frozen_holds_no_secret(means: Means) -> None:
    """The journal's copy has neither credentials nor anything secret, and is otherwise what is sent."""
    charge = replace(CHARGE, means=means, cardholder_authentication=AUTHENTICATION)
    frozen = json.loads(json.dumps(frozen_request(charge)))
    for secret in (LOGIN, KEY, NONCE, CODE, TOKEN, CRYPTOGRAM, CAVV):
        assert f'"{secret}"' not in json.dumps(frozen)
    sent = json.loads(encode(transaction_request(charge, ACCOUNT)))["createTransactionRequest"]
    del sent["merchantAuthentication"]
    transaction = sent["transactionRequest"]
    del transaction["cardholderAuthentication"]["cardholderAuthenticationValue"]
    payment, profile = transaction.get("payment", {}), transaction.get("profile", {})
    payment.get("opaqueData", {}).pop("dataValue", None)
    payment.get("creditCard", {}).pop("cardNumber", None)
    payment.get("creditCard", {}).pop("cryptogram", None)
    profile.get("paymentProfile", {}).pop("cardCode", None)
    assert sent == frozen
    assert transaction_request(charge, ACCOUNT) == transaction_request(charge, ACCOUNT)


@pytest.mark.parametrize("intent", [CAPTURE, VOID, REFUND], ids=lambda intent: intent.about)
def test_what_has_no_secret_is_frozen_as_it_is_sent(intent: Intent) -> None:
    """Of a capture, a void and a refund only the credentials are left out."""
    sent = json.loads(encode(transaction_request(intent, ACCOUNT)))["createTransactionRequest"]
    del sent["merchantAuthentication"]
    assert sent == json.loads(json.dumps(frozen_request(intent)))


def test_a_capture_and_a_void_act_upon_the_charges_transaction() -> None:
    """They name it and carry no invoice number of their own, which would take the place of the charge's."""
    assert {
        "transactionType": "priorAuthCaptureTransaction",
        "amount": "10.00",
        "currencyCode": "USD",
        "refTransId": CAPTURE.transaction_id,
    } == wire(CAPTURE)
    assert {"transactionType": "voidTransaction", "refTransId": VOID.transaction_id} == wire(VOID)


def test_a_refund_names_the_charge_and_its_card() -> None:
    """The last four digits and a masked expiry, its own invoice number, and the same duplicate window always."""
    assert {
        "transactionType": "refundTransaction",
        "amount": "5.00",
        "currencyCode": "USD",
        "payment": {"creditCard": {"cardNumber": "1111", "expirationDate": "XXXX"}},
        "refTransId": REFUND.transaction_id,
        "order": {"invoiceNumber": REFUND.invoice_number},
        "transactionSettings": {
            "setting": [{"settingName": "duplicateWindow", "settingValue": "28800"}]
        },
    } == wire(REFUND)


def test_a_refund_to_a_bank_account_names_it_masked() -> None:
    """Nothing of it is in clear but the last four digits and the holder, who is cut to the gateway's length."""
    refund = replace(REFUND, method=Method("accept_js", BANK, "6789"))
    transaction = wire(refund)
    unknown = {"routingNumber": "XXXX", "accountNumber": "XXXXX6789", "nameOnAccount": "XXXX"}
    assert {"bankAccount": unknown} == transaction["payment"]
    bank = BankAccount("checking", "XXXX0001", "XXXX6789", "Ada " * 10)
    sent = json.loads(encode(transaction_request(refund, ACCOUNT, bank=bank)))
    assert {
        "accountType": "checking",
        "routingNumber": "XXXX0001",
        "accountNumber": "XXXX6789",
        "nameOnAccount": "Ada Ada Ada Ada Ada Ad",
    } == sent["createTransactionRequest"]["transactionRequest"]["payment"]["bankAccount"]
    assert "Ada" not in repr(bank)


@pytest.mark.parametrize("intent", INTENTS.values(), ids=list(INTENTS))
def test_every_request_keeps_to_the_contract(intent: Intent) -> None:
    """Order, lengths and type, whatever is asked."""
    for name, request in json.loads(encode(transaction_request(intent, ACCOUNT))).items():
        held_to_the_contract(name, request)
        assert intent.reference == request["refId"]
        assert request["transactionRequest"]["transactionType"] in ALLOWED["transactionTypeEnum"]


def test_a_request_cannot_print_its_secrets() -> None:
    """Until it is encoded, a request holds its secrets sealed."""
    for secret in (LOGIN, KEY, NONCE):
        assert secret not in repr(transaction_request(CHARGE, ACCOUNT))
        assert secret not in repr(ACCOUNT)


def test_the_other_requests_keep_to_the_contract() -> None:
    """Details, list and probe: order, and the longest page, newest first."""
    for request in (
        details_request("60123456789", ACCOUNT),
        unsettled_request(3, ACCOUNT),
        probe_request(ACCOUNT),
        batches_request(NOON, NOON + timedelta(days=1), account=ACCOUNT),
        batch_request("9", 2, account=ACCOUNT),
    ):
        for name, members in json.loads(encode(request)).items():
            held_to_the_contract(name, members)
    listed = json.loads(encode(unsettled_request(3, ACCOUNT)))["getUnsettledTransactionListRequest"]
    assert {"limit": "1000", "offset": "3"} == listed["paging"]
    assert {"orderBy": "submitTimeUTC", "orderDescending": "true"} == listed["sorting"]
    spanned = json.loads(encode(batches_request(NOON, NOON, account=ACCOUNT)))
    assert "2026-11-20T12:00:00Z" == spanned["getSettledBatchListRequest"]["firstSettlementDate"]


def test_encoding_and_decoding_a_charge_is_cheap() -> None:
    """Encode and decode together take well under a millisecond; the figure itself is a benchmark's (0.1 ms)."""
    reply = (
        b'\xef\xbb\xbf{"transactionResponse":{"responseCode":"1","authCode":"A1","transId":"60123456789",'
        b'"messages":[{"code":"1","description":"Approved."}]},"messages":{"resultCode":"Ok","message":'
        b'[{"code":"I00001","text":"Ok."}]}}'
    )
    scrubber = Scrubber([Secret(KEY), Secret(LOGIN), Secret(NONCE)])

    def once() -> None:
        encode(transaction_request(CHARGE, ACCOUNT))
        verdict_of(reply, CHARGE, scrubber=scrubber)

    assert min(timeit.repeat(once, number=100, repeat=5)) / 100 < 0.001


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("gateway.environment", {"environment": "live"}),
        ("gateway.endpoint", {"endpoint": "http://gateway.example.org/"}),
        ("gateway.endpoint", {"endpoint": "https://api.authorize.net/xml/v1/request.api"}),
        (
            "gateway.endpoint",
            {"endpoint": "https://apitest.authorize.net/xml", "environment": "production"},
        ),
        ("gateway.accounts", {"accounts": {}}),
        ("gateway.in_flight", {"in_flight": 0}),
        ("gateway.total_deadline_s", {"total_deadline_s": 0.0}),
    ],
)
def test_settings_check_themselves(field: str, changes: dict[str, Any]) -> None:
    """A wrong setting stops the start with its name."""
    base = {"endpoint": "https://apitest.authorize.net/xml", "accounts": {"main": ACCOUNT}}
    with pytest.raises(InvalidValueError) as caught:
        AuthorizeNetSettings(**{**base, **changes})
    assert field == caught.value.field


def test_credentials_keep_to_the_contract() -> None:
    """A login of 26 or a key of 17 characters cannot be the gateway's; a zone that is none is refused."""
    with pytest.raises(InvalidValueError):
        Account(Secret("l" * 26), Secret(KEY), "USD")
    with pytest.raises(InvalidValueError):
        Account(Secret(LOGIN), Secret("k" * 17), "USD")
    with pytest.raises(InvalidValueError):
        Account(Secret(LOGIN), Secret(KEY), "usd")
    with pytest.raises(InvalidValueError):
        CutOff(zone="Mars/Olympus")
