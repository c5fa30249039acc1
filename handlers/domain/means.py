"""What pays, as a sum type, and what goes with it: stored-credential flags and 3-D Secure values.

A means is a one-time token, a profile that the gateway keeps, or a network's token of a card with its cryptogram. None
of them is a card number; what is secret of them is a `Secret`, sealed in the journal and erased once it was used.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from handlers.domain.checks import gateway_id, short_text
from handlers.domain.errors import InvalidValueError
from handlers.domain.money import MAX_MINOR
from handlers.domain.secret import Secret

_MAX_TOKEN: Final = 16_384  # wallet payloads are a few KiB of base64
WALLET_DESCRIPTORS: Final = {
    "COMMON.ACCEPT.INAPP.PAYMENT": "accept_js",
    "COMMON.APPLE.INAPP.PAYMENT": "apple_pay",
    "COMMON.GOOGLE.INAPP.PAYMENT": "google_pay",
}
_SECURITY_CODE: Final = re.compile(r"[0-9]{3,4}")
_NETWORK_TOKEN: Final = re.compile(r"[0-9]{13,16}")  # the gateway's cardNumber takes 4 to 16
_EXPIRY: Final = re.compile(r"20[0-9]{2}-(?:0[1-9]|1[0-2])")
_NETWORK_ID: Final = re.compile(r"[A-Za-z0-9]{1,255}")
_INDICATOR: Final = re.compile(r"[0-9A-Za-z]{1,2}")


@dataclass(frozen=True, slots=True)
class OpaqueData:
    """A one-time token of Accept.js (card or bank account) or a wallet: `descriptor` says which, `value` is secret."""

    descriptor: str
    value: Secret

    def __post_init__(self) -> None:
        if self.descriptor not in WALLET_DESCRIPTORS:
            allowed = ", ".join(WALLET_DESCRIPTORS)
            raise InvalidValueError("means.data_descriptor", f"must be one of {allowed}")
        if not 1 <= len(self.value.reveal()) <= _MAX_TOKEN:
            raise InvalidValueError("means.data_value", f"must be 1 to {_MAX_TOKEN} characters")


@dataclass(frozen=True, slots=True)
class StoredProfile:
    """A payment profile that the gateway keeps for a customer; `security_code` where the customer typed it anew."""

    customer_profile_id: str
    payment_profile_id: str
    security_code: Secret | None = None

    def __post_init__(self) -> None:
        gateway_id("means.customer_profile_id", self.customer_profile_id)
        gateway_id("means.payment_profile_id", self.payment_profile_id)
        code = self.security_code
        if code is not None and not _SECURITY_CODE.fullmatch(code.reveal()):
            raise InvalidValueError("means.security_code", "must be 3 or 4 digits")


@dataclass(frozen=True, slots=True)
class NetworkToken:
    """A card network's token of a card, good with its `cryptogram` only. `expires`: YYYY-MM."""

    token: Secret
    expires: str
    cryptogram: Secret
    requestor_id: str = ""

    def __post_init__(self) -> None:
        if not _NETWORK_TOKEN.fullmatch(self.token.reveal()):
            raise InvalidValueError("means.network_token", "must be 13 to 16 digits")
        if not _EXPIRY.fullmatch(self.expires):
            raise InvalidValueError("means.expires", "must be YYYY-MM")
        if not 1 <= len(self.cryptogram.reveal()) <= _MAX_TOKEN:
            raise InvalidValueError("means.cryptogram", f"must be 1 to {_MAX_TOKEN} characters")
        short_text("means.requestor_id", self.requestor_id, most=40)


Means = OpaqueData | StoredProfile | NetworkToken


def secrets_of(means: Means) -> Iterator[Secret]:
    """What of `means` no log, error or evidence may hold."""
    match means:
        case OpaqueData(value=value):
            yield value
        case StoredProfile(security_code=code):
            if code is not None:
                yield code
        case NetworkToken(token=token, cryptogram=cryptogram):
            yield token
            yield cryptogram


def ids_of(means: Means) -> Iterator[tuple[str, str]]:
    """Every open id of `means` with its field's name."""
    match means:
        case OpaqueData():
            pass
        case StoredProfile(customer_profile_id=customer, payment_profile_id=profile):
            yield "means.customer_profile_id", customer
            yield "means.payment_profile_id", profile
        case NetworkToken(requestor_id=requestor):
            yield "means.requestor_id", requestor


def method_kind(means: Means) -> str:
    """The kind of `means` as anyone may see it."""
    match means:
        case OpaqueData(descriptor=descriptor):
            return WALLET_DESCRIPTORS[descriptor]
        case StoredProfile():
            return "stored_profile"
        case NetworkToken():
            return "network_token"


class Credential(StrEnum):
    """Who starts a payment with a credential that is, or will be, on file."""

    FIRST_RECURRING = "first_recurring"  # the first of a series that the customer agrees to
    FIRST_UNSCHEDULED = "first_unscheduled"  # stored now, charged later without a schedule
    BY_CUSTOMER = "by_customer"  # on file, and the customer is there
    BY_MERCHANT = "by_merchant"  # on file, and the customer is not there


class MerchantReason(StrEnum):
    """Why a merchant charges without the customer, in the card networks' words."""

    RESUBMISSION = "resubmission"
    DELAYED_CHARGE = "delayed_charge"
    REAUTHORIZATION = "reauthorization"
    NO_SHOW = "no_show"


@dataclass(frozen=True, slots=True)
class StoredCredential:
    """Stored-credential flags. `network_transaction_id` is the one of the first payment of the series."""

    credential: Credential
    network_transaction_id: str = ""
    original_minor: int | None = None
    reason: MerchantReason | None = None

    def __post_init__(self) -> None:
        if self.network_transaction_id and not _NETWORK_ID.fullmatch(self.network_transaction_id):
            raise InvalidValueError(
                "stored_credential.network_transaction_id", "must be 1 to 255 letters or digits"
            )
        if self.original_minor is not None and not 0 <= self.original_minor <= MAX_MINOR:
            raise InvalidValueError(
                "stored_credential.original_minor", f"must be from 0 to {MAX_MINOR} minor units"
            )


@dataclass(frozen=True, slots=True)
class CardholderAuthentication:
    """What 3-D Secure gave: the indicator (ECI) and the value (CAVV), passed on as they are."""

    indicator: str
    value: Secret

    def __post_init__(self) -> None:
        if not _INDICATOR.fullmatch(self.indicator):
            raise InvalidValueError(
                "cardholder_authentication.indicator", "must be 1 or 2 letters or digits"
            )
        if not 1 <= len(self.value.reveal()) <= 255:  # noqa: PLR2004 - the bound is the rule in the text beside it
            raise InvalidValueError(
                "cardholder_authentication.value", "must be 1 to 255 characters"
            )
