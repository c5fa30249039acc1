"""What the command lines of the test programs have in common: numbers that have a least value. No claims here."""

import argparse
from collections.abc import Callable


def at_least(least: int) -> Callable[[str], int]:
    """A `type` for argparse: a whole number that is not below `least`; else it ends with its usage and exit code 2."""

    def number(text: str) -> int:
        try:
            given = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"must be a whole number, is {text!r}") from None
        if given < least:
            raise argparse.ArgumentTypeError(f"must be at least {least}, is {given}")
        return given

    return number
