"""What a charge or an authorisation says to the gateway, member by member. The frame around it is in `requests.py`.

A charge off a stored profile carries no billing address and no customer: the profile has its own, and the gateway
refuses both at once. Line items go all or none. Nothing here depends on the clock, so the same intent always gives the
same bytes.
"""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final, assert_never

from handlers.domain.commands import Address, Line, Mode
from handlers.domain.intents import Charge
from handlers.domain.means import (
    CardholderAuthentication,
    Credential,
    MerchantReason,
    NetworkToken,
    OpaqueData,
    StoredCredential,
    StoredProfile,
)
from handlers.domain.money import Money
from handlers.gateway.authorizenet.elements import Members, cut, fits, in_order

_MAX_LINES: Final = 30
_TYPES: Final = {
    Mode.SALE: "authCaptureTransaction",
    Mode.AUTHORISE: "authOnlyTransaction",
    Mode.VERIFY: "authOnlyTransaction",
}
_BILLING: Final = {
    "firstName": "first_name",
    "lastName": "last_name",
    "company": "company",
    "address": "address",
    "city": "city",
    "state": "state",
    "zip": "zip",
    "country": "country",
    "phoneNumber": "phone",
}
_SHIPPING: Final = {name: ours for name, ours in _BILLING.items() if name != "phoneNumber"}
_PROCESSING: Final = {
    Credential.FIRST_RECURRING: "isFirstRecurringPayment",
    Credential.FIRST_UNSCHEDULED: "isFirstSubsequentAuth",
    Credential.BY_CUSTOMER: "isStoredCredentials",
    Credential.BY_MERCHANT: "isSubsequentAuth",
}
_REASONS: Final = {
    MerchantReason.RESUBMISSION: "resubmission",
    MerchantReason.DELAYED_CHARGE: "delayedCharge",
    MerchantReason.REAUTHORIZATION: "reauthorization",
    MerchantReason.NO_SHOW: "noShow",
}


def charge_members(charge: Charge) -> Members:
    """The members of `charge`'s transaction, but for its order and settings. In no particular order."""
    currency = charge.money.currency
    stored = charge.stored_credential
    return {
        "transactionType": _TYPES[charge.mode],
        "amount": charge.money.decimal_text(),
        "currencyCode": currency,
        "lineItems": _lines(charge.lines, currency),
        "tax": _tax(charge.tax_minor, currency),
        "shipTo": _address("nameAndAddressType", charge.shipping, names=_SHIPPING),
        "customerIP": _ip(charge.customer_ip),
        "cardholderAuthentication": _authentication(charge.cardholder_authentication),
        "processingOptions": {_PROCESSING[stored.credential]: "true"} if stored else {},
        "subsequentAuthInformation": _series(stored, currency),
        **_means(charge),
    }


def _means(charge: Charge) -> Members:
    """What pays, and who; a stored profile says both."""
    match charge.means:
        case StoredProfile(
            customer_profile_id=customer, payment_profile_id=payment, security_code=code
        ):
            inner = in_order("paymentProfile", {"paymentProfileId": payment, "cardCode": code})
            profile = {"customerProfileId": customer, "paymentProfile": inner}
            return {"profile": in_order("customerProfilePaymentType", profile)}
        case OpaqueData(descriptor=descriptor, value=value):
            opaque = {"dataDescriptor": descriptor, "dataValue": value}
            paying: Members = {"opaqueData": in_order("opaqueDataType", opaque)}
        case NetworkToken():
            paying = {"creditCard": _network_token(charge.means)}
        case _:
            assert_never(charge.means)
    return {
        "payment": paying,
        "customer": _customer(charge.user_id, charge.billing.email),
        "billTo": _address("customerAddressType", charge.billing, names=_BILLING),
    }


def _network_token(token: NetworkToken) -> Members:
    card = {
        "cardNumber": token.token,
        "expirationDate": token.expires,
        "isPaymentToken": "true",
        "cryptogram": token.cryptogram,
        "tokenRequestorId": token.requestor_id,
    }
    return in_order("creditCardType", card)


def _customer(user_id: str, email: str) -> Members:
    members = {
        name: key
        for name, key in (("id", user_id), ("email", email))
        if fits("customerDataType", name, key=key)
    }
    return in_order("customerDataType", members)


def _address(kind: str, address: Address, *, names: Mapping[str, str]) -> Members:
    members = {name: cut(kind, name, text=getattr(address, ours)) for name, ours in names.items()}
    return in_order(kind, members)


def _ip(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        return ""


def _lines(lines: tuple[Line, ...], currency: str) -> Members:
    kind = "lineItemType"
    if len(lines) > _MAX_LINES or not all(fits(kind, "itemId", key=line.sku) for line in lines):
        return {}
    items = [
        in_order(
            kind,
            {
                "itemId": line.sku,
                "name": cut(kind, "name", text=line.name) or line.sku,
                "quantity": str(line.quantity),
                "unitPrice": Money(line.unit_minor, currency).decimal_text(),
            },
        )
        for line in lines
    ]
    return {"lineItem": items} if items else {}


def _tax(tax_minor: int, currency: str) -> Members:
    return {"amount": Money(tax_minor, currency).decimal_text()} if tax_minor else {}


def _authentication(authentication: CardholderAuthentication | None) -> Members:
    if authentication is None:
        return {}
    members = {
        "authenticationIndicator": authentication.indicator,
        "cardholderAuthenticationValue": authentication.value,
    }
    return in_order("ccAuthenticationType", members)


def _series(stored: StoredCredential | None, currency: str) -> Members:
    """Which payment began the series that this one belongs to."""
    if stored is None:
        return {}
    original = stored.original_minor
    members = {
        "originalNetworkTransId": stored.network_transaction_id,
        "originalAuthAmount": "" if original is None else Money(original, currency).decimal_text(),
        "reason": _REASONS[stored.reason] if stored.reason else "",
    }
    return in_order("subsequentAuthInformation", members)
