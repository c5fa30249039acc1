"""What pays, and what goes with it, between records and values: the same fields in every topic that has them.

A network token stands in a field of its own, since a union cannot grow: version 1 of `payment_initiation` reads it as a
payment without means, and refuses it. What must not live here: the rules of a value (`handlers/domain/means.py`).
"""

from typing import assert_never

from avro.fields import Record, nested, text, text_or_none, whole_or_none
from handlers.domain.errors import InvalidValueError
from handlers.domain.means import (
    CardholderAuthentication,
    Credential,
    Means,
    MerchantReason,
    NetworkToken,
    OpaqueData,
    StoredCredential,
    StoredProfile,
)
from handlers.domain.secret import Secret

_CREDENTIALS = {each.name: each for each in Credential}
_MERCHANT_REASONS = {each.name: each for each in MerchantReason}


def has_means(record: Record) -> bool:
    """Whether the record says what pays."""
    return record.get("means") is not None or record.get("network_token") is not None


def to_means(record: Record) -> Means:
    """What pays, from `means` or `network_token`. Raises InvalidValueError."""
    token = nested(record, "network_token")
    means = record.get("means")
    if token is not None and means is not None:
        raise InvalidValueError("network_token", "must be null where means says what pays")
    if token is not None:
        return _network_token(token)
    if not isinstance(means, dict):
        raise InvalidValueError(
            "means", "is missing: must be opaque data or a stored profile, or use network_token"
        )
    if "data_value" in means:
        secret = Secret(text(means, "data_value", path="means."))
        return OpaqueData(text(means, "data_descriptor", path="means."), secret)
    code = text_or_none(means, "security_code", path="means.")
    return StoredProfile(
        text(means, "customer_profile_id", path="means."),
        text(means, "payment_profile_id", path="means."),
        security_code=None if code is None else Secret(code),
    )


def _network_token(record: Record) -> NetworkToken:
    path = "network_token."
    return NetworkToken(
        token=Secret(text(record, "token", path=path)),
        expires=text(record, "expires", path=path),
        cryptogram=Secret(text(record, "cryptogram", path=path)),
        requestor_id=text(record, "requestor_id", path=path, default=""),
    )


def to_stored_credential(record: Record) -> StoredCredential | None:
    """The stored-credential flags. Raises InvalidValueError."""
    given = nested(record, "stored_credential")
    if given is None:
        return None
    path = "stored_credential."
    credential = _CREDENTIALS.get(text(given, "credential", path=path))
    if credential is None:
        raise InvalidValueError(f"{path}credential", f"must be one of {', '.join(_CREDENTIALS)}")
    name = text_or_none(given, "reason", path=path)
    if name is not None and name not in _MERCHANT_REASONS:
        allowed = ", ".join(_MERCHANT_REASONS)
        raise InvalidValueError(f"{path}reason", f"must be null or one of {allowed}")
    return StoredCredential(
        credential,
        network_transaction_id=text(given, "network_transaction_id", path=path, default=""),
        original_minor=whole_or_none(given, "original_minor", path=path),
        reason=None if name is None else _MERCHANT_REASONS[name],
    )


def to_authentication(record: Record) -> CardholderAuthentication | None:
    """The 3-D Secure values. Raises InvalidValueError."""
    given = nested(record, "cardholder_authentication")
    if given is None:
        return None
    path = "cardholder_authentication."
    return CardholderAuthentication(
        text(given, "indicator", path=path), Secret(text(given, "value", path=path))
    )


def from_means(means: Means) -> dict[str, object]:
    """The two fields that say what pays, secrets in clear."""
    match means:
        case OpaqueData(descriptor, value):
            record = {"data_descriptor": descriptor, "data_value": value.reveal()}
            return {"means": record, "network_token": None}
        case StoredProfile(customer, payment, code):
            profile = {
                "customer_profile_id": customer,
                "payment_profile_id": payment,
                "security_code": None if code is None else code.reveal(),
            }
            return {"means": profile, "network_token": None}
        case NetworkToken(token, expires, cryptogram, requestor_id):
            token_record = {
                "token": token.reveal(),
                "expires": expires,
                "cryptogram": cryptogram.reveal(),
                "requestor_id": requestor_id,
            }
            return {"means": None, "network_token": token_record}
        case _:
            assert_never(means)


def from_stored_credential(flags: StoredCredential | None) -> dict[str, object] | None:
    """The record of the flags."""
    if flags is None:
        return None
    return {
        "credential": flags.credential.name,
        "network_transaction_id": flags.network_transaction_id,
        "original_minor": flags.original_minor,
        "reason": None if flags.reason is None else flags.reason.name,
    }


def from_authentication(values: CardholderAuthentication | None) -> dict[str, object] | None:
    """The record of the 3-D Secure values, the secret one in clear."""
    if values is None:
        return None
    return {"indicator": values.indicator, "value": values.value.reveal()}
