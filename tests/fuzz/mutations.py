"""Changes an input as a broken wire, a careless program or an attacker would: operators on bytes. No claims here."""

from collections.abc import Callable
from random import Random
from typing import Final

from tests.fuzz.cases import Case
from tests.fuzz.markers import SECRETS, SPELLED

_MOST_BYTES: Final = 1_200_000  # above every bound of ours
_ODD_BYTES: Final = b"\x00\x01\x02\x7f\x80\x81\xfe\xff"
# Numbers as Avro writes them, at the edges: 0, -1, 2**31, 2**63 - 1, -2**63, and one that never ends.
_ODD_NUMBERS: Final = (
    b"\x00",
    b"\x01",
    b"\x80\x80\x80\x80\x10",
    b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\xff" * 12,
)
_ODD_TEXTS: Final = tuple(
    text.encode()
    for text in ("nan", "1e999", "\u0000", "\ud7ff", "{", "]", '"', "\\u0000", "9" * 40)
)
Operator = Callable[[bytes, Random], bytes]


def _flip(data: bytes, rng: Random) -> bytes:
    if not data:
        return data
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _overwrite(data: bytes, rng: Random) -> bytes:
    if not data:
        return data
    at = rng.randrange(len(data))
    return data[:at] + rng.choice(_ODD_BYTES).to_bytes() + data[at + 1 :]


def _cut(data: bytes, rng: Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _drop(data: bytes, rng: Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + data[at + rng.randint(1, 16) :]


def _repeat(data: bytes, rng: Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    part = data[at : at + rng.randint(1, 32)]
    return data[:at] + part * rng.randint(2, 8) + data[at:]


def _insert(data: bytes, rng: Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    kind = rng.randrange(4)
    if kind == 0:
        part = rng.randbytes(rng.randint(1, 9))
    elif kind == 1:
        part = rng.choice(_ODD_NUMBERS)
    elif kind == 2:
        part = rng.choice(_ODD_TEXTS)
    else:
        part = rng.choice(SPELLED + SECRETS).encode()
    return data[:at] + part + data[at:]


def _move(data: bytes, rng: Random) -> bytes:
    first, second = rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)
    length = rng.randint(1, 24)
    part = data[first : first + length]
    return data[:second] + part + data[second + length :]


def _swell(data: bytes, rng: Random) -> bytes:
    """Rare, because it is dear: one part many times over."""
    if rng.randrange(40) or not data:
        return _flip(data, rng)
    at = rng.randrange(len(data))
    part = data[at : at + rng.randint(1, 64)]
    times = min(rng.choice((300, 3_000, 30_000)), _MOST_BYTES // len(part))
    return data[:at] + part * times + data[at:]


OPERATORS: Final[tuple[Operator, ...]] = (
    _flip,
    _overwrite,
    _cut,
    _drop,
    _repeat,
    _insert,
    _move,
    _swell,
)


def mutated(data: bytes, rng: Random) -> bytes:
    """`data` after one to four changes."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        data = rng.choice(OPERATORS)(data, rng)[:_MOST_BYTES]
    return data


def mutated_case(case: Case, rng: Random, *, other: Case) -> Case:
    """`case` with one part changed, or taken from another case."""
    at = rng.randrange(len(case))
    is_taken = at < len(other) and not rng.randrange(8)
    changed = other[at] if is_taken else mutated(case[at], rng)
    return (*case[:at], changed, *case[at + 1 :])
