"""Means of payment as the gateway resolves them: opaque tokens, stored profiles, and triggers.

A token's value chooses the means (a test writes it, no card number is ever sent):

| value starts with | becomes |
|---|---|
| `expired` | E00115 |
| `invalid` | E00114 |
| `bank` | an eCheck: above 100.00 declined |
| `amex`, `mastercard`, `discover` | a card of that brand |
| anything else | the Visa test card that ends in 1111 |

A network token's cryptogram that starts with `invalid` is reason 156.

Profiles: every pair of numeric ids inside the seeded range exists, with a Visa card derived from
the payment profile's id; the control port adds others. A token is good for one use; who spends it
stands in `charging.py`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

DESCRIPTORS = frozenset(
    {
        "COMMON.ACCEPT.INAPP.PAYMENT",
        "COMMON.APPLE.INAPP.PAYMENT",
        "COMMON.GOOGLE.INAPP.PAYMENT",
    }
)
_CARDS = {
    "amex": ("AmericanExpress", "370000000000002"),
    "mastercard": ("MasterCard", "5424000000000015"),
    "discover": ("Discover", "6011000000000012"),
}
_VISA = ("Visa", "4111111111111111")
_BRANDS = {"2": "MasterCard", "3": "AmericanExpress", "5": "MasterCard", "6": "Discover"}
_VAULT_RANGE = range(900_000_000, 1_000_000_000)


@dataclass(frozen=True, slots=True)
class Means:
    """A card or bank account behind a token or a profile."""

    account_type: str
    account: str
    is_bank: bool = False
    zip_code: str = ""
    decline_reason: int | None = None
    profile_id: str = ""
    payment_profile_id: str = ""

    @property
    def masked(self) -> str:
        """What replies show; an eCheck's mask has nine characters."""
        return ("XXXXX" if self.is_bank else "XXXX") + self.account[-4:]


def from_token(value: str) -> Means | str:
    """The means behind an opaque value, or the message code of its refusal."""
    if value.startswith("expired"):
        return "E00115"
    if value.startswith("invalid"):
        return "E00114"
    if value.startswith("bank"):
        return Means("eCheck", "000123456789", is_bank=True)
    brand = next((name for name in _CARDS if value.startswith(name)), "")
    account_type, account = _CARDS.get(brand, _VISA)
    return Means(account_type, account)


def from_network_token(card: Mapping[str, Any]) -> Means | None:
    """The means behind a network token; None for a cryptogram that is refused."""
    if str(card["cryptogram"]).startswith("invalid"):
        return None
    number = str(card["cardNumber"])
    return Means(_BRANDS.get(number[:1], "Visa"), number)


class Vault:
    """Stored customer profiles."""

    def __init__(self) -> None:
        self._added: dict[tuple[str, str], Means] = {}

    def add(self, means: Means) -> None:
        """Store a profile, or replace it."""
        self._added[means.profile_id, means.payment_profile_id] = means

    def find(self, profile_id: str, payment_profile_id: str) -> Means | None:
        """The means behind a pair of ids; None when there is none."""
        added = self._added.get((profile_id, payment_profile_id))
        if added is not None:
            return added
        if not (_seeded(profile_id) and _seeded(payment_profile_id)):
            return None
        return profile_means(profile_id, payment_profile_id)


def profile_means(profile_id: str, payment_profile_id: str, **chosen: Any) -> Means:
    """A profile's means: a Visa card of its own, unless something else was chosen."""
    digest = hashlib.blake2b(payment_profile_id.encode(), digest_size=8).digest()
    number = int.from_bytes(digest, "big") % 10**15
    fields = {"account_type": "Visa", "account": f"4{number:015d}", **chosen}
    return Means(profile_id=profile_id, payment_profile_id=payment_profile_id, **fields)


def _seeded(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 12 and int(text) in _VAULT_RANGE
