"""What a charge tells the gateway of the order and the means, and amounts of every kind."""

from dataclasses import replace
from typing import Any

import pytest

from handlers.domain.commands import Address, Mode
from handlers.domain.intents import Charge, Intent
from handlers.domain.means import Credential, MerchantReason, StoredCredential, StoredProfile
from handlers.domain.money import Money
from handlers.domain.secret import Secret
from handlers.gateway.authorizenet.contract_table import ALLOWED
from tests.contract.gateway_fixtures import (
    AUTHENTICATION,
    CAPTURE,
    CAVV,
    CHARGE,
    CODE,
    CRYPTOGRAM,
    NETWORK_TOKEN,
    PROFILE,
    REFUND,
    SERIES,
    TOKEN,
    wire,
)


@pytest.mark.parametrize(
    ("money", "text"),
    [
        (Money(1, "USD"), "0.01"),
        (Money(123456789, "EUR"), "1234567.89"),
        (Money(7, "JPY"), "7"),
        (Money(5, "KWD"), "0.005"),
        (Money(10**13, "USD"), "100000000000.00"),
    ],
)
def test_amounts_are_exact_decimal_texts(money: Money, text: str) -> None:
    """As many digits as the currency has, and never an exponent."""
    for intent in (CHARGE, CAPTURE, REFUND):
        assert text == wire(replace(intent, money=money, **_no_lines(intent)))["amount"]


def _no_lines(intent: Intent) -> dict[str, Any]:
    return {"lines": ()} if isinstance(intent, Charge) else {}


@pytest.mark.parametrize(("amount_minor", "text"), [(0, "0.00"), (1, "0.01")])
def test_a_means_is_verified_by_reserving_next_to_nothing(amount_minor: int, text: str) -> None:
    """An authorisation, never a sale; an amount of zero is sent, not left out."""
    verify = replace(CHARGE, mode=Mode.VERIFY, money=Money(amount_minor, "USD"), lines=())
    transaction = wire(verify)
    assert ("authOnlyTransaction", text) == (transaction["transactionType"], transaction["amount"])


def test_the_order_is_told_as_far_as_the_gateway_has_room() -> None:
    """Shipping address without phone, tax as its own amount; nothing of them where there is nothing."""
    shipping = Address(first_name="Ada", city="London", phone="1", email="ada@example.org")
    transaction = wire(replace(CHARGE, shipping=shipping, tax_minor=123))
    assert {"firstName": "Ada", "city": "London"} == transaction["shipTo"]
    assert {"amount": "1.23"} == transaction["tax"]
    assert not {"shipTo", "tax", "processingOptions", "subsequentAuthInformation"} & wire().keys()


def test_a_profile_may_come_with_the_code_and_the_shipping_address() -> None:
    """The security code that was typed anew stands in the profile; where it is shipped to is the order's."""
    means = StoredProfile("123", "456", Secret(CODE))
    transaction = wire(replace(PROFILE, means=means, shipping=Address(city="London")))
    paying = {"paymentProfileId": "456", "cardCode": CODE}
    assert {"customerProfileId": "123", "paymentProfile": paying} == transaction["profile"]
    assert {"city": "London"} == transaction["shipTo"]


def test_a_network_token_comes_with_its_cryptogram() -> None:
    """It is marked as no card number; what pays is the customer's, so their address goes with it."""
    transaction = wire(replace(CHARGE, means=NETWORK_TOKEN))
    assert {
        "creditCard": {
            "cardNumber": TOKEN,
            "expirationDate": "2031-12",
            "isPaymentToken": "true",
            "cryptogram": CRYPTOGRAM,
            "tokenRequestorId": "40010051602",
        }
    } == transaction["payment"]
    assert {"billTo", "customer"} <= transaction.keys()


@pytest.mark.parametrize(
    ("credential", "option"),
    [
        (Credential.FIRST_RECURRING, "isFirstRecurringPayment"),
        (Credential.FIRST_UNSCHEDULED, "isFirstSubsequentAuth"),
        (Credential.BY_CUSTOMER, "isStoredCredentials"),
        (Credential.BY_MERCHANT, "isSubsequentAuth"),
    ],
)
def test_who_starts_a_payment_is_passed_on(credential: Credential, option: str) -> None:
    """Each flag of a stored credential is one of the gateway's options, alone where nothing else is known."""
    transaction = wire(replace(PROFILE, stored_credential=StoredCredential(credential)))
    assert {option: "true"} == transaction["processingOptions"]
    assert "subsequentAuthInformation" not in transaction


@pytest.mark.parametrize("reason", MerchantReason)
def test_a_series_names_its_first_payment(reason: MerchantReason) -> None:
    """The network's id and the amount of the first payment, and the reason in a word that the contract knows."""
    transaction = wire(replace(PROFILE, stored_credential=replace(SERIES, reason=reason)))
    told = transaction["subsequentAuthInformation"]
    assert ("NTI0123456789", "5.00") == (told["originalNetworkTransId"], told["originalAuthAmount"])
    assert told["reason"] in ALLOWED["merchantInitTransReasonEnum"]


def test_three_d_secure_values_are_passed_on() -> None:
    """As they came."""
    told = wire(replace(CHARGE, cardholder_authentication=AUTHENTICATION))[
        "cardholderAuthentication"
    ]
    assert {"authenticationIndicator": "05", "cardholderAuthenticationValue": CAVV} == told
