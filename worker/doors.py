"""What intake needs of the journal and of the crew, as protocols. No implementation lives here."""

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Protocol

from db_client.moves import Admit, Admitted
from db_client.reading import Position
from handlers.ports import Operation


class JournalDoor(Protocol):
    """What intake needs of the journal."""

    def positions(self, topic_id: str) -> dict[int, Position]:
        """Partition → how far it was read. Raises Unavailable."""
        ...

    @property
    def incarnation(self) -> str:
        """Of the database, as it was when this session last reached it."""
        ...

    def admit(self, move: Admit) -> "Future[Admitted | None]":
        """One batch in one commit; None where it was judged under another incarnation."""
        ...

    def topic_ids(self, names: Sequence[str]) -> dict[str, str]:
        """Topic name → id of the cluster. Raises Unavailable."""
        ...


class CrewDoor(Protocol):
    """What intake needs of the crew."""

    @property
    def crowded(self) -> bool:
        """Whether too much waits for more to be read."""
        ...

    def room(self) -> int:
        """How many more payments may be taken now; 0 while anything that they need is down."""
        ...

    def take(self, operations: Sequence[Operation]) -> None:
        """Start these. From any thread."""
        ...

    def wake(self) -> None:
        """Look again at what waits. From any thread."""
        ...
