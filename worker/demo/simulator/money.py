"""Amounts of the simulator: decimal text to minor units and back. Nothing else."""

from __future__ import annotations

from decimal import Decimal

# ISO 4217 currencies whose minor unit is not a hundredth; the others have two digits.
_EXPONENTS = {"JPY": 0, "KRW": 0, "CLP": 0, "VND": 0, "BHD": 3, "KWD": 3, "OMR": 3, "TND": 3}


def exponent(currency: str) -> int:
    """Digits after the point."""
    return _EXPONENTS.get(currency, 2)


def minor_units(amount: Decimal, currency: str) -> int | None:
    """Minor units; None when the amount has more digits than the currency."""
    scaled = amount.scaleb(exponent(currency))
    whole = int(scaled)
    return whole if scaled == whole else None


def decimal_text(minor: int, currency: str) -> str:
    """Decimal text with all digits of the currency."""
    return str(Decimal(minor).scaleb(-exponent(currency)))
