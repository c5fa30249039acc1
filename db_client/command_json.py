"""Commands as JSON columns and back. The means' secret is not in the JSON: it goes through `sealing.py`.

The fingerprint is versioned and covers the business fields, the means included, but neither when the command was issued
nor how long it is good: a producer that publishes again may stamp those anew.
"""

import hashlib
import json
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

from handlers.domain.commands import (
    Address,
    Command,
    InitiatePayment,
    Line,
    Means,
    Mode,
    OpaqueData,
    StoredProfile,
)
from handlers.domain.money import Money
from handlers.domain.secret import Secret

_FINGERPRINT_VERSION: Final = "1"
_NOT_BUSINESS: Final = ("issued_at", "not_after")

KIND: Final = "payment_initiation"


def to_json(command: Command) -> dict[str, Any]:
    """The command without its secret."""
    return {
        "payment_id": command.payment_id,
        "order_id": command.order_id,
        "user_id": command.user_id,
        "amount_minor": command.money.amount_minor,
        "currency": command.money.currency,
        "mode": command.mode.value,
        "means": _means_to_json(command.means),
        "issued_at": command.issued_at.isoformat(),
        "not_after": command.not_after.isoformat() if command.not_after else None,
        "billing": {name: value for name, value in asdict(command.billing).items() if value},
        "customer_ip": command.customer_ip,
        "description": command.description,
        "lines": [asdict(line) for line in command.lines],
    }


def secret_of(command: Command) -> str | None:
    """What must be sealed, or None where the means hold no secret."""
    return command.means.value.reveal() if isinstance(command.means, OpaqueData) else None


def from_json(value: dict[str, Any], *, secret: str | None) -> Command:
    """The command again. `secret` is None where the means hold none, or were erased because all is final."""
    not_after = value["not_after"]
    return InitiatePayment(
        payment_id=value["payment_id"],
        order_id=value["order_id"],
        user_id=value["user_id"],
        money=Money(value["amount_minor"], value["currency"]),
        mode=Mode(value["mode"]),
        means=_means_from_json(value["means"], secret),
        issued_at=datetime.fromisoformat(value["issued_at"]),
        not_after=datetime.fromisoformat(not_after) if not_after else None,
        billing=Address(**value["billing"]),
        customer_ip=value["customer_ip"],
        description=value["description"],
        lines=tuple(Line(**line) for line in value["lines"]),
    )


def fingerprint(command: Command) -> str:
    """`version:sha256` over the business fields; equal content gives an equal fingerprint for ever."""
    business = {key: value for key, value in to_json(command).items() if key not in _NOT_BUSINESS}
    business["secret"] = secret_of(command)
    encoded = json.dumps(business, sort_keys=True, separators=(",", ":")).encode()
    return f"{_FINGERPRINT_VERSION}:{hashlib.sha256(encoded).hexdigest()}"


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


_ERASED: Final = Secret("erased")


def _means_from_json(value: dict[str, str], secret: str | None) -> Means:
    if value["kind"] == "opaque_data":
        return OpaqueData(value["descriptor"], Secret(secret) if secret is not None else _ERASED)
    return StoredProfile(value["customer_profile_id"], value["payment_profile_id"])
