"""What a fuzzed input is, and what one comes to: the words that targets, oracle and campaign share. No claims here.

A case is a row of byte strings, so that every target is mutated, printed and replayed in one way; what the parts mean
is the target's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, Protocol

Case = tuple[bytes, ...]

_SHOWN_CHARS: Final = 400


@dataclass(frozen=True, slots=True)
class Seen:
    """What an input came to: the error's name, or what kind of value. `told`: every text that came out of it.

    `shape` is what makes an input worth keeping: another way to the end than those before.
    """

    name: str
    shape: str
    told: str = ""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What an input of n bytes may cost: `fixed + each * n`, in bytes of memory and in lines of ours that run."""

    memory_fixed: int
    memory_each: int
    steps_fixed: int
    steps_each: int


class Target(Protocol):
    """Something that reads what others wrote."""

    name: str
    bounds: Bounds

    def seeds(self) -> Sequence[Case]:
        """Good inputs, and known bad ones."""
        ...

    def wild(self, rng: Random) -> Case:
        """An input that mostly keeps the grammar."""
        ...

    def run(self, case: Case) -> Seen:
        """Read it. Catches the errors that it may end in, by name, and nothing else."""
        ...


class BrokenClaimError(AssertionError):
    """What came out breaks a rule of the target's own; the text says which, without the input."""


def insist(holds: object, claim: str) -> None:
    """Raise BrokenClaimError with the claim unless it holds."""
    if not holds:
        raise BrokenClaimError(claim)


def size(case: Case) -> int:
    """How many bytes came in."""
    return sum(map(len, case))


def written(case: Case) -> str:
    """The case as one word: its parts in hexadecimal, joined by dots."""
    return ".".join(part.hex() for part in case)


def read(text: str) -> Case:
    """The case that `written` wrote. Raises ValueError for a text that is none."""
    return tuple(bytes.fromhex(part) for part in text.strip().split("."))


def shortened(case: Case) -> str:
    """The same for people: at most a few lines."""
    text = written(case)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}… ({size(case)} bytes)"
