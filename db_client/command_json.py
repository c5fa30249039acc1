"""Commands as JSON columns and back. What is secret of them is not in the JSON: it goes through `sealing.py`.

An initiation's JSON has no `kind`, and what is empty of its later fields is left out: so the rows and the fingerprints
of the first release hold. A one-time token that is the only secret is sealed as it is, as it was then; any other
secrets are sealed as one JSON object, and their names stand in the member `sealed`.

The fingerprint is versioned and covers the business fields, the means included, but neither when the command was issued
nor how long it is good: a producer that publishes again may stamp those anew. That a security code was given is
covered, the code itself is not: who has a hash over three digits has the digits, and they must not be kept once they
were used (PCI DSS 3.3). The other secrets are long and good once.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, assert_never

from handlers.domain.commands import (
    Address,
    CapturePayment,
    Command,
    InitiatePayment,
    Kind,
    Line,
    Mode,
    RefundPayment,
    Request,
    Ruling,
    Settlement,
    VerifyPayment,
    VoidPayment,
)
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
from handlers.domain.money import Money
from handlers.domain.secret import Secret

_FINGERPRINT_VERSION: Final = "1"
_NOT_BUSINESS: Final = ("issued_at", "not_after")
_SEALED: Final = "sealed"
# The names of the secrets in the sealed object.
_VALUE: Final = "value"
_CODE: Final = "security_code"
_TOKEN: Final = "token"  # noqa: S105 - a member's name
_CRYPTOGRAM: Final = "cryptogram"
_CARDHOLDER: Final = "cardholder_value"
_ERASED: Final = "erased"
_ERASED_TOKEN: Final = "0" * 13

KIND: Final = "payment_initiation"


def to_json(command: Command) -> dict[str, Any]:
    """The command without its secrets."""
    match command:
        case InitiatePayment():
            return _initiation(command)
        case CapturePayment(capture_id=name, amount_minor=amount_minor, currency=currency):
            said = {} if currency is None else {"currency": currency}
            return _request(command) | {"capture_id": name, "amount_minor": amount_minor, **said}
        case VoidPayment(void_id=name):
            return _request(command) | {"void_id": name}
        case RefundPayment(refund_id=name, money=money, continuation=number, up_to=up_to):
            return _request(command) | {
                "refund_id": name,
                "amount_minor": money.amount_minor,
                "currency": money.currency,
                "continuation": number,
                "up_to": up_to,
            }
        case VerifyPayment(verification_id=name, ruling=ruling, settlement=settlement):
            seen: dict[str, Any] = {}
            if settlement is not None:
                seen["settlement"] = asdict(settlement)
            seen |= {"other": command.other} if command.other else {}
            return _request(command) | {
                "verification_id": name,
                "ruling": None if ruling is None else asdict(ruling),
                **seen,
            }
        case _:
            assert_never(command)


def secret_of(command: Command) -> str | None:
    """What must be sealed, as one text; None where the command holds no secret."""
    secrets = _secrets(command)
    if not secrets:
        return None
    return secrets[_VALUE] if secrets.keys() == {_VALUE} else json.dumps(secrets)


def from_json(value: Mapping[str, Any], *, secret: str | None) -> Command:
    """The command again. `secret` is None where it holds none, or they were erased because they are used."""
    kind = Kind(value.get("kind", Kind.INITIATION))
    return _to_initiation(value, secret) if kind is Kind.INITIATION else _REQUESTS[kind](value)


def fingerprint(command: Command) -> str:
    """`version:sha256` over the business fields; equal content gives an equal fingerprint for ever."""
    business = {key: value for key, value in to_json(command).items() if key not in _NOT_BUSINESS}
    secrets = _secrets(command)
    if secrets.keys() == {_VALUE}:
        business["secret"] = secrets[_VALUE]
    else:
        secrets.pop(_CODE, None)
        business["secret"] = secrets or None
    encoded = json.dumps(business, sort_keys=True, separators=(",", ":")).encode()
    return f"{_FINGERPRINT_VERSION}:{hashlib.sha256(encoded).hexdigest()}"


def _secrets(command: Command) -> dict[str, str]:
    """Every secret of the command in clear, by name."""
    if not isinstance(command, InitiatePayment):
        return {}
    secrets = _secrets_of_means(command.means)
    if command.cardholder_authentication is not None:
        secrets[_CARDHOLDER] = command.cardholder_authentication.value.reveal()
    return secrets


def _secrets_of_means(means: Means) -> dict[str, str]:
    match means:
        case OpaqueData(value=value):
            return {_VALUE: value.reveal()}
        case StoredProfile(security_code=code):
            return {} if code is None else {_CODE: code.reveal()}
        case NetworkToken(token=token, cryptogram=cryptogram):
            return {_TOKEN: token.reveal(), _CRYPTOGRAM: cryptogram.reveal()}
        case _:
            assert_never(means)


def _request(command: Request) -> dict[str, Any]:
    return {
        "kind": command.kind.value,
        "payment_id": command.payment_id,
        "issued_at": command.issued_at.isoformat(),
        "user_id": command.user_id,
        "reason": command.reason,
    }


def _initiation(command: InitiatePayment) -> dict[str, Any]:
    first = {
        "payment_id": command.payment_id,
        "order_id": command.order_id,
        "user_id": command.user_id,
        "amount_minor": command.money.amount_minor,
        "currency": command.money.currency,
        "mode": command.mode.value,
        "means": _means_to_json(command.means),
        "issued_at": command.issued_at.isoformat(),
        "not_after": command.not_after.isoformat() if command.not_after else None,
        "billing": _address(command.billing),
        "customer_ip": command.customer_ip,
        "description": command.description,
        "lines": [asdict(line) for line in command.lines],
    }
    names = sorted(_secrets(command))
    flags, authentication = command.stored_credential, command.cardholder_authentication
    later = {
        "shipping": _address(command.shipping),
        "tax_minor": command.tax_minor,
        "stored_credential": flags and _stored_credential(flags),
        "cardholder_authentication": authentication and {"indicator": authentication.indicator},
        _SEALED: [] if names == [_VALUE] else names,
    }
    return first | {name: value for name, value in later.items() if value}


def _stored_credential(flags: StoredCredential) -> dict[str, Any]:
    return {
        "credential": flags.credential.value,
        "network_transaction_id": flags.network_transaction_id,
        "original_minor": flags.original_minor,
        "reason": None if flags.reason is None else flags.reason.value,
    }


def _address(address: Address) -> dict[str, str]:
    return {name: value for name, value in asdict(address).items() if value}


def _means_to_json(means: Means) -> dict[str, str]:
    match means:
        case OpaqueData(descriptor):
            return {"kind": "opaque_data", "descriptor": descriptor}
        case StoredProfile(customer, profile):
            return {
                "kind": "stored_profile",
                "customer_profile_id": customer,
                "payment_profile_id": profile,
            }
        case NetworkToken(expires=expires, requestor_id=requestor_id):
            return {"kind": "network_token", "expires": expires, "requestor_id": requestor_id}
        case _:
            assert_never(means)


def _to_initiation(value: Mapping[str, Any], secret: str | None) -> InitiatePayment:
    not_after = value["not_after"]
    secrets = _opened(value, secret)
    return InitiatePayment(
        payment_id=value["payment_id"],
        order_id=value["order_id"],
        user_id=value["user_id"],
        money=Money(value["amount_minor"], value["currency"]),
        mode=Mode(value["mode"]),
        means=_to_means(value["means"], secrets),
        issued_at=datetime.fromisoformat(value["issued_at"]),
        not_after=datetime.fromisoformat(not_after) if not_after else None,
        billing=Address(**value["billing"]),
        shipping=Address(**value.get("shipping", {})),
        customer_ip=value["customer_ip"],
        description=value["description"],
        lines=tuple(Line(**line) for line in value["lines"]),
        tax_minor=value.get("tax_minor", 0),
        stored_credential=_to_stored_credential(value.get("stored_credential")),
        cardholder_authentication=_to_authentication(
            value.get("cardholder_authentication"), secrets
        ),
    )


def _opened(value: Mapping[str, Any], secret: str | None) -> dict[str, str]:
    if secret is None:
        return {}
    if _SEALED not in value:
        return {_VALUE: secret}
    secrets: dict[str, str] = json.loads(secret)
    return secrets


def _to_means(value: Mapping[str, str], secrets: Mapping[str, str]) -> Means:
    match value["kind"]:
        case "opaque_data":
            return OpaqueData(value["descriptor"], Secret(secrets.get(_VALUE, _ERASED)))
        case "network_token":
            return NetworkToken(
                Secret(secrets.get(_TOKEN, _ERASED_TOKEN)),
                value["expires"],
                Secret(secrets.get(_CRYPTOGRAM, _ERASED)),
                requestor_id=value["requestor_id"],
            )
        case _:
            code = secrets.get(_CODE)
            return StoredProfile(
                value["customer_profile_id"],
                value["payment_profile_id"],
                security_code=None if code is None else Secret(code),
            )


def _to_stored_credential(value: Mapping[str, Any] | None) -> StoredCredential | None:
    if value is None:
        return None
    reason = value["reason"]
    return StoredCredential(
        Credential(value["credential"]),
        network_transaction_id=value["network_transaction_id"],
        original_minor=value["original_minor"],
        reason=None if reason is None else MerchantReason(reason),
    )


def _to_authentication(
    value: Mapping[str, str] | None, secrets: Mapping[str, str]
) -> CardholderAuthentication | None:
    if value is None:
        return None
    return CardholderAuthentication(value["indicator"], Secret(secrets.get(_CARDHOLDER, _ERASED)))


def _asked(value: Mapping[str, Any]) -> dict[str, Any]:
    """What every request has."""
    return {
        "payment_id": value["payment_id"],
        "issued_at": datetime.fromisoformat(value["issued_at"]),
        "user_id": value["user_id"],
        "reason": value["reason"],
    }


def _to_capture(value: Mapping[str, Any]) -> CapturePayment:
    return CapturePayment(
        **_asked(value),
        capture_id=value["capture_id"],
        amount_minor=value["amount_minor"],
        currency=value.get("currency"),
    )


def _to_void(value: Mapping[str, Any]) -> VoidPayment:
    return VoidPayment(**_asked(value), void_id=value["void_id"])


def _to_refund(value: Mapping[str, Any]) -> RefundPayment:
    return RefundPayment(
        **_asked(value),
        refund_id=value["refund_id"],
        money=Money(value["amount_minor"], value["currency"]),
        continuation=value["continuation"],
        up_to=value["up_to"],
    )


def _to_verification(value: Mapping[str, Any]) -> VerifyPayment:
    ruling, seen = value["ruling"], value.get("settlement")
    return VerifyPayment(
        **_asked(value),
        verification_id=value["verification_id"],
        ruling=None if ruling is None else Ruling(**ruling),
        settlement=None
        if seen is None
        else Settlement(seen["transaction_id"], Money(**seen["money"])),
        other=value.get("other", ""),
    )


_REQUESTS: Final[Mapping[Kind, Callable[[Mapping[str, Any]], Request]]] = MappingProxyType(
    {
        Kind.CAPTURE: _to_capture,
        Kind.VOID: _to_void,
        Kind.REFUND: _to_refund,
        Kind.VERIFICATION: _to_verification,
    }
)
