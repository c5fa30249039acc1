"""The gateway's requests: order and limits by the contract, what is cut, what is left out, and no secret in sight."""

import json
import timeit
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.domain.commands import Address, Line, Mode, StoredProfile
from handlers.domain.errors import InvalidValueError
from handlers.domain.intents import Charge
from handlers.domain.money import Money
from handlers.domain.secret import Secret
from handlers.gateway.authorizenet.contract_table import ALLOWED, ELEMENTS
from handlers.gateway.authorizenet.replies import Scrubber
from handlers.gateway.authorizenet.requests import (
    charge_request,
    details_request,
    encode,
    frozen_charge,
    probe_request,
    unsettled_request,
)
from handlers.gateway.authorizenet.settings import Account, AuthorizeNetSettings, CutOff
from handlers.gateway.authorizenet.verdicts import charge_verdict
from tests.contract.gateway_fixtures import ACCOUNT, CHARGE, KEY, LOGIN, NONCE

PROFILE = replace(CHARGE, means=StoredProfile("123", "456"))
KINDS = {
    "merchantAuthentication": "merchantAuthenticationType",
    "transactionRequest": "transactionRequestType",
    "payment": "paymentType",
    "opaqueData": "opaqueDataType",
    "profile": "customerProfilePaymentType",
    "paymentProfile": "paymentProfile",
    "order": "orderType",
    "lineItems": "ArrayOfLineItem",
    "lineItem": "lineItemType",
    "customer": "customerDataType",
    "billTo": "customerAddressType",
    "transactionSettings": "ArrayOfSetting",
    "setting": "settingType",
    "sorting": "TransactionListSorting",
    "paging": "Paging",
}


def wire(charge: Charge = CHARGE) -> dict[str, Any]:
    """The transactionRequest of `charge` as it goes over the wire."""
    sent = json.loads(encode(charge_request(charge, ACCOUNT)))
    transaction: dict[str, Any] = sent["createTransactionRequest"]["transactionRequest"]
    return transaction


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
    profile=st.booleans(),
    mode=st.sampled_from(Mode),
)
def test_any_charge_keeps_to_the_contract(
    *, user_id: str, texts: list[str], lines: list[Line], profile: bool, mode: Mode
) -> None:
    """Whatever a command holds, its request has the contract's order, lengths and no empty element."""
    charge = replace(
        PROFILE if profile else CHARGE,
        user_id=user_id,
        billing=Address(*texts),
        description=texts[0],
        lines=tuple(lines),
        mode=mode,
    )
    for name, request in json.loads(encode(charge_request(charge, ACCOUNT))).items():
        held_to_the_contract(name, request)
        assert request["transactionRequest"]["transactionType"] in ALLOWED["transactionTypeEnum"]


def test_a_charge_says_what_it_must() -> None:
    """Amount as an exact decimal text, invoice number, reference, and the two settings that never change."""
    sent = json.loads(encode(charge_request(CHARGE, ACCOUNT)))["createTransactionRequest"]
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
    assert encode(charge_request(CHARGE, ACCOUNT)) == encode(charge_request(CHARGE, ACCOUNT))


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


def test_what_is_frozen_holds_no_secret() -> None:
    """The journal's copy has neither credentials nor the token, and is otherwise what is sent."""
    frozen = json.loads(json.dumps(frozen_charge(CHARGE)))
    for secret in (LOGIN, KEY, NONCE):
        assert secret not in json.dumps(frozen)
    sent = json.loads(encode(charge_request(CHARGE, ACCOUNT)))["createTransactionRequest"]
    del sent["merchantAuthentication"]
    del sent["transactionRequest"]["payment"]["opaqueData"]["dataValue"]
    assert sent == frozen
    assert charge_request(CHARGE, ACCOUNT) == charge_request(CHARGE, ACCOUNT)


def test_a_request_cannot_print_its_secrets() -> None:
    """Until it is encoded, a request holds its secrets sealed."""
    for secret in (LOGIN, KEY, NONCE):
        assert secret not in repr(charge_request(CHARGE, ACCOUNT))
        assert secret not in repr(ACCOUNT)


def test_the_other_requests_keep_to_the_contract() -> None:
    """Details, list and probe: order, and the longest page, newest first."""
    for request in (
        details_request("60123456789", ACCOUNT),
        unsettled_request(3, ACCOUNT),
        probe_request(ACCOUNT),
    ):
        for name, members in json.loads(encode(request)).items():
            held_to_the_contract(name, members)
    listed = json.loads(encode(unsettled_request(3, ACCOUNT)))["getUnsettledTransactionListRequest"]
    assert listed["paging"] == {"limit": "1000", "offset": "3"}
    assert listed["sorting"] == {"orderBy": "submitTimeUTC", "orderDescending": "true"}


def test_encoding_and_decoding_a_charge_is_cheap() -> None:
    """Encode and decode together take well under a millisecond; the figure itself is a benchmark's (0.1 ms)."""
    reply = (
        b'\xef\xbb\xbf{"transactionResponse":{"responseCode":"1","authCode":"A1","transId":"60123456789",'
        b'"messages":[{"code":"1","description":"Approved."}]},"messages":{"resultCode":"Ok","message":'
        b'[{"code":"I00001","text":"Ok."}]}}'
    )
    scrubber = Scrubber([Secret(KEY), Secret(LOGIN), Secret(NONCE)])

    def once() -> None:
        encode(charge_request(CHARGE, ACCOUNT))
        charge_verdict(reply, CHARGE, scrubber=scrubber)

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
        Account(Secret("l" * 26), Secret(KEY))
    with pytest.raises(InvalidValueError):
        Account(Secret(LOGIN), Secret("k" * 17))
    with pytest.raises(InvalidValueError):
        CutOff(zone="Mars/Olympus")
