"""Money as an integer of minor units with an ISO 4217 currency. No float and no bare Decimal outside this file.

Source of the exponents: ISO 4217 table A.1 (SIX, amendment 176). Funds and metal codes are left out.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from handlers.domain.errors import InvalidValueError

_BY_EXPONENT: Final = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: (
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP"
        " CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS"
        " INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN"
        " MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE"
        " SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR"
        " ZMW ZWG"
    ),
    3: "BHD IQD JOD KWD LYD OMR TND",
}
EXPONENTS: Final[dict[str, int]] = {
    code: exponent for exponent, codes in _BY_EXPONENT.items() for code in codes.split()
}
MAX_MINOR: Final = 10**13  # far above any payment; keeps every sum inside a signed 64-bit column


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in minor units (cents, fils, yen), never negative, of a known currency."""

    amount_minor: int
    currency: str

    def __post_init__(self) -> None:
        if type(self.amount_minor) is not int:
            raise InvalidValueError("amount_minor", "must be a whole number of minor units")
        if self.currency not in EXPONENTS:
            raise InvalidValueError("currency", "must be an ISO 4217 code in capitals, such as USD")
        if not 0 <= self.amount_minor <= MAX_MINOR:
            raise InvalidValueError("amount_minor", f"must be from 0 to {MAX_MINOR} minor units")

    def decimal_text(self) -> str:
        """The exact decimal that gateways take: 1234 USD is "12.34", 5 JPY is "5"."""
        exponent = EXPONENTS[self.currency]
        return str(
            Decimal(self.amount_minor).scaleb(-exponent).quantize(Decimal(1).scaleb(-exponent))
        )


def minor_units(amount: Decimal, currency: str) -> int | None:
    """`amount` in minor units, or None where it is no amount of the currency: a reply that we must not trust."""
    exponent = EXPONENTS.get(currency)
    if exponent is None or not amount.is_finite() or not 0 <= amount <= MAX_MINOR:
        return None
    scaled = amount.scaleb(exponent)
    minor = int(scaled)
    return minor if minor == scaled and minor <= MAX_MINOR else None
