"""Finds card numbers that hide in texts: 13 to 19 digits, spaces and dashes allowed, issuer prefix, Luhn.

Luhn alone passes one random 16-digit number in ten, and microsecond timestamps are such numbers: the issuer's prefix
and its lengths cut that down. Source of the prefixes: the card brands' published BIN ranges.
"""

import re
from typing import Final

_CANDIDATE: Final = re.compile(r"(?<![0-9A-Za-z])[0-9](?:[ -]?[0-9]){12,18}(?![0-9A-Za-z])")
_ISSUERS: Final = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})"  # Visa: 13, 16, 19
    r"|5[1-5]\d{14}"  # Mastercard
    r"|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}"  # Mastercard, second range
    r"|3[47]\d{13}"  # American Express
    r"|6(?:011|4[4-9]\d|5\d\d)\d{12}(?:\d{3})?"  # Discover
    r"|3(?:0[0-5]|[689]\d)\d{11}(?:\d{2})?"  # Diners
    r"|35(?:2[89]|[3-8]\d)\d{12}"  # JCB
    r"|62\d{14}(?:\d{3})?"  # UnionPay
)
_RUN: Final = re.compile(rb"[0-9](?:[ -]?[0-9]){12,}")
_LENGTHS: Final = range(13, 20)
_MAX_RUN: Final = 1000
_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def _luhn(digits: str) -> bool:
    total = 0
    for place, sign in enumerate(reversed(digits)):
        total += _DOUBLED[int(sign)] if place % 2 else int(sign)
    return total % 10 == 0


def holds_card_number(text: str) -> bool:
    """True where `text` holds something that is a card number by prefix, length and check digit."""
    for match in _CANDIDATE.finditer(text):
        digits = match.group().replace(" ", "").replace("-", "")
        if _ISSUERS.fullmatch(digits) and _luhn(digits):
            return True
    return False


def bytes_hold_card_number(payload: bytes) -> bool:
    """The same for raw bytes of an unknown format, where a neighbour may be anything: every window of digits counts.

    It errs on the side of yes: it decides only whether a dead letter keeps its payload.
    """
    for run in _RUN.finditer(payload):
        digits = run.group().replace(b" ", b"").replace(b"-", b"").decode()
        if len(digits) > _MAX_RUN:
            return True  # nobody's honest data, and too dear to look through
        for length in _LENGTHS:
            for start in range(len(digits) - length + 1):
                window = digits[start : start + length]
                if _ISSUERS.fullmatch(window) and _luhn(window):
                    return True
    return False
