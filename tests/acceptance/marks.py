"""Marks that are sent in on purpose, each under the place where it went in, and the search for them. No claims here.

A card number of ours passes every check of one and is nobody's: each place gets a number of its own, written in one of
the ways that people and programs write it. A secret is a text that occurs nowhere else.
"""

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Final
from urllib.parse import quote

from tests.fuzz.markers import spellings

_PREFIX: Final = "411111"
_STRIDE: Final = 7_919_717
_BETWEEN: Final = r"[\s\-./_,\u2010-\u2015\u2212]{0,3}"
_CARD: Final = re.compile(_BETWEEN.join(_PREFIX) + (_BETWEEN + r"\d") * 10)
_NO_DIGIT: Final = re.compile(r"\D")
_HEX_CARD: Final = re.compile(rb"34(?:31){5}(?:3[0-9]){10}")
_SHORTEST_SECRET: Final = 12


@dataclass(slots=True)
class Marks:
    """What was sent in: card number or secret → where."""

    cards: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def card(self, where: str) -> str:
        """A card number for this place, spelled in one way after the other."""
        plain = self.plain_card(where)
        ways = spellings(plain)
        return ways[len(self.cards) % len(ways)]

    def plain_card(self, where: str) -> str:
        """The same as digits only."""
        digits = f"{_PREFIX}{next(self._numbers) * _STRIDE % 10**9:09d}"
        odd = sum(map(int, digits[-2::-2]))
        even = sum(sum(divmod(2 * int(it), 10)) for it in digits[::-2])
        card = f"{digits}{-(odd + even) % 10}"
        self.cards[card] = where
        return card

    def secret(self, where: str, text: str = "") -> str:
        """A secret for this place, or `text` where it is made already."""
        text = text or f"mark{next(self._numbers):06d}secret"
        assert len(text) >= _SHORTEST_SECRET, "a shorter one is found by chance"
        self.secrets[text] = where
        return text

    def found_in(self, data: bytes) -> list[str]:
        """Which marks stand in `data`: plainly, in whatever spelling, in hexadecimal, base64 or a URL's form."""
        found = [
            where for text, where in self.secrets.items() if any(it in data for it in _forms(text))
        ]
        return sorted({*found, *self._cards_in(data)})

    def _cards_in(self, data: bytes) -> Iterator[str]:
        text = data.decode("utf-8", "replace")
        if not text.isascii():
            text = re.sub(r"(?![0-9])\d", lambda sign: str(int(sign[0])), text)
        for run in _CARD.findall(text):
            card = _NO_DIGIT.sub("", run)
            yield self.cards.get(card, f"a card number that is none of ours: {card}")
        for run in _HEX_CARD.findall(data):
            yield self.cards.get(
                bytes.fromhex(run.decode()).decode(), "a card number in hexadecimal"
            )
        if any(it in data for it in _in_base64(_PREFIX)):
            yield "a card number in base64"


def _forms(text: str) -> Iterator[bytes]:
    plain = text.encode()
    yield plain
    yield plain.hex().encode()
    yield quote(text, safe="").encode()
    yield from _in_base64(text)


def _in_base64(text: str) -> Iterator[bytes]:
    """What of `text` stands in the base64 of any bytes around it: one form for each of the three places in a group."""
    for before in range(3):
        coded = base64.b64encode(b"\0" * before + text.encode())
        first = (0, 2, 3)[before]
        yield coded[first : -4 if coded.endswith(b"=") else None]
