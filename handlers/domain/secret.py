"""A value that cannot print itself. Only the code that must send or seal it calls `reveal()`."""

from typing import Final

_STARS: Final = "********"


class Secret:
    """A text whose `repr`, `str` and `format` are stars; equality works, ordering and pickling do not."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself. Call it where bytes leave or get sealed, nowhere else."""
        return self._text

    def __repr__(self) -> str:
        return _STARS

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return _STARS

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __reduce__(self) -> str:
        raise TypeError("a Secret is never pickled: reveal it where it is needed")

    def __getstate__(self) -> object:
        raise TypeError("a Secret is never copied by its state: reveal it where it is needed")
