"""What may go wrong with a commit of the journal in memory: one question for each move, answered from outside.

The default goes smoothly and takes no time. Whoever wants lanes to meet at the journal lets commits take some: a commit
without any does not even give the event loop a turn.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from db_client.moves import Move


class Loss(Enum):
    """When the connection breaks."""

    BEFORE = "before"  # nothing of it was written
    AFTER = "after"  # it is on disk, and nobody says so


@dataclass(frozen=True, slots=True)
class Course:
    """How one commit goes. It is on disk after `before_s`, and acknowledged `after_s` later.

    `loss`: the connection breaks; the session reads its own row again, and tries again where nothing was written.
    `refused`: a text with which the database refuses the move; "" where it takes it.
    """

    before_s: float = 0.0
    after_s: float = 0.0
    loss: Loss | None = None
    refused: str = ""


SMOOTH: Final = Course()


class Faults(Protocol):
    """The dice. Asked once for each try of a commit, in an order that the simulation decides."""

    def course(self, session_id: str, move: Move) -> Course:
        """How this commit goes."""
        ...
