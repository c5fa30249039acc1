"""Card numbers and secrets that are sent in on purpose, and how one is found again in what came out. No claims here.

The numbers are the card brands' published test cards. A spelling is how people, programs and phones write one.
"""

import re
from typing import Final

CARDS: Final = ("4111111111111111", "5555555555554444", "378282246310005", "6011111111111117")
_FULL_WIDTH: Final = str.maketrans("0123456789", "".join(chr(0xFF10 + n) for n in range(10)))
_ARABIC: Final = str.maketrans("0123456789", "".join(chr(0x0660 + n) for n in range(10)))
# What a call or a process knows and must not tell. Long enough that no chance makes one.
TOKEN: Final = "tok3nMARKa1b2c3d4e5f6"
TRANSACTION_KEY: Final = "txkMARK9y8x7w6v"
LOGIN: Final = "lgnMARK5u4t3s"
CAVV: Final = "cavvMARKq1w2e3r4t5y6"
CRYPTOGRAM: Final = "cryptMARKz9x8c7v6b5"
PASSWORD: Final = "passMARK-p0o9i8u7"
BEARER: Final = "bearerMARK-m1n2b3v4"
SECRETS: Final = (TOKEN, TRANSACTION_KEY, LOGIN, CAVV, CRYPTOGRAM, PASSWORD, BEARER)
_DIGIT: Final = re.compile(r"\d+")
_PLAIN: Final = tuple(marker.encode() for marker in SECRETS + CARDS)
_SHORTEST: Final = min(map(len, CARDS))
_BETWEEN: Final = r"[\s\-./_,\u2010-\u2015\u2212]{0,3}"
_PATTERNS: Final = {
    card: re.compile(r"(?<![0-9A-Za-z])" + _BETWEEN.join(card) + r"(?![0-9A-Za-z])")
    for card in CARDS
}


def spellings(card: str) -> tuple[str, ...]:
    """The ways in which `card` is written."""
    groups = [card[:4], card[4:8], card[8:12], card[12:]]
    return (
        card,
        "-".join(groups),
        " ".join(groups),
        ".".join(groups),
        "\u2013".join(groups),
        "_".join(groups),
        "/".join(groups),
        " - ".join(groups),
        " ".join(card),
        f"{card[:4]} {card[4:10]} {card[10:]}",
        card.translate(_FULL_WIDTH),
        card.translate(_ARABIC),
    )


SPELLED: Final = tuple(spelling for card in CARDS for spelling in spellings(card))


def leaks(text: str) -> list[str]:
    """Which markers stand in `text`, in whatever spelling: whose text may hold none."""
    found = [secret for secret in SECRETS if secret in text]
    return found + cards_in(text)


def cards_in(text: str) -> list[str]:
    """Which card numbers stand in `text`, in whatever spelling and script, but not as a part of a word."""
    if sum(map(len, _DIGIT.findall(text))) < _SHORTEST:
        return []
    if not text.isascii():
        text = "".join(str(int(sign)) if sign.isdecimal() else sign for sign in text)
    return [card for card, pattern in _PATTERNS.items() if pattern.search(text)]


def bytes_leak(data: bytes) -> bool:
    """Whether a marker stands in `data` as it is written plainly."""
    return any(marker in data for marker in _PLAIN)
