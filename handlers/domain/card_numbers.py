"""Finds card numbers that hide in texts: 13 to 19 digits with separators between, issuer prefix, check digit.

Luhn alone passes one random 16-digit number in ten, and microsecond timestamps are such numbers: the issuer's prefix
and its lengths cut that down to about three in a hundred. It errs on the side of yes: a number that only looks like a
card's is refused with a clear reason, a card that slips through is a breach.
Source of the prefixes: the card brands' published BIN ranges.
"""

import re
from collections.abc import Iterator
from itertools import islice, pairwise
from typing import Final

# Digits, and between them what people type: up to three blanks, dashes of any kind, dots, underscores, slashes.
# A number that is a part of a word is no card's: `o4111…` is somebody's order.
_BETWEEN: Final = r"[\s\-./_,\u2010-\u2015\u2212]{1,3}"
_GROUPED: Final = re.compile(rf"(?<![0-9A-Za-z])\d+(?:{_BETWEEN}\d+)*(?![0-9A-Za-z])")
_ANYWHERE: Final = re.compile(
    rf"\d++(?:{_BETWEEN}\d++)*+"
)  # looks back at nothing, so it keeps nothing
_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_GROUP: Final = re.compile(r"\d+")
_OTHER_DIGIT: Final = re.compile(r"(?![0-9])\d")
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
_SHORTEST: Final = 13
_LONGEST: Final = 19
_MAX_DIGITS: Final = 10_000  # of a payload; a megabyte of them would take seconds
_ONCE: Final = bytes.maketrans(b"0123456789", bytes((0, 1, 2, 3, 4, 5, 6, 7, 8, 9)))
_TWICE: Final = bytes.maketrans(b"0123456789", bytes((0, 2, 4, 6, 8, 1, 3, 5, 7, 9)))


def holds_card_number(text: str) -> bool:
    """True where neighbouring groups of digits in `text` make a card number. UUIDs are passed over."""
    text = _in_ascii_digits(text)
    if not any(sign.isdigit() for sign in text):
        return False
    for run in _GROUPED.finditer(_UUID.sub(" id ", text)):
        groups = [found.group() for found in _GROUP.finditer(run.group())]
        if any(_is_card(digits) for digits in _spans(groups)):
            return True
    return False


def is_card_number(identifier: str) -> bool:
    """True where an id as a whole, but for separators, is a card number. Ids of platforms are full of digits.

    13 digits pass: every tenth EAN of some countries would be one of the 13-digit cards, which nobody issues any more.
    """
    identifier = _in_ascii_digits(identifier)
    groups = _GROUP.findall(identifier)
    bare = re.sub(_BETWEEN, "", identifier)
    return bare == "".join(groups) and len(bare) > _SHORTEST and _is_card(bare)


def bytes_hold_card_number(payload: bytes) -> bool:
    """The same for raw bytes of an unknown format, where a neighbour may be anything: every window of digits counts.

    It decides only whether a dead letter keeps its payload.
    """
    looked_at = 0
    for run in _ANYWHERE.finditer(_in_ascii_digits(payload.decode("utf-8", "replace"))):
        groups = islice(_GROUP.finditer(run.group()), _MAX_DIGITS + 1)
        digits = "".join(found.group() for found in groups)
        if len(digits) < _SHORTEST:
            continue
        looked_at += len(digits)
        if looked_at > _MAX_DIGITS:
            return True  # nobody's honest data, and too dear to look through
        for length in range(_SHORTEST, _LONGEST + 1):
            for start in range(len(digits) - length + 1):
                if _is_card(digits[start : start + length]):
                    return True
    return False


def _in_ascii_digits(text: str) -> str:
    """`text` with the digits of every script as ours: a full-width card number is one to whoever reads it."""
    return text if text.isascii() else _OTHER_DIGIT.sub(lambda found: str(int(found[0])), text)


def _spans(groups: list[str]) -> Iterator[str]:
    """Every row of neighbouring groups that has the length of a card number."""
    ends = [0]
    for group in groups:
        ends.append(ends[-1] + len(group))
    whole = "".join(groups)
    for place, (start, _) in enumerate(pairwise(ends)):
        for end in ends[place + 1 : place + 1 + _LONGEST]:  # each group has a digit at least
            if end - start > _LONGEST:
                break
            if end - start >= _SHORTEST:
                yield whole[start:end]


def _is_card(digits: str) -> bool:
    return _ISSUERS.fullmatch(digits) is not None and _luhn(digits)


def _luhn(digits: str) -> bool:
    signs = digits.encode()[::-1]
    return (sum(signs[::2].translate(_ONCE)) + sum(signs[1::2].translate(_TWICE))) % 10 == 0
