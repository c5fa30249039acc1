"""The journal as the passage sees it (`handlers.ports.Journal`): each move goes to the journal's thread."""

from collections.abc import Sequence

from db_client.group_commit import GroupCommit
from db_client.moves import Answer, Conclude, Open, Outrun, Park
from handlers.domain.commands import Command
from handlers.domain.intents import Intent, Question
from handlers.domain.payments import Snapshot
from handlers.domain.verdicts import Evidence
from handlers.ports import Lost, Message, Moved, Operation, Queued, Taken, Wait


class Journal:
    """Implements `handlers.ports.Journal` over the group commit."""

    def __init__(self, commits: GroupCommit, *, deadline_s: float) -> None:
        self._commits = commits
        self._deadline_s = deadline_s

    async def open(
        self, operation: Operation, *, intent: Intent, frozen: Evidence
    ) -> Moved | Lost | Taken:
        """Write the intent first (P3), with what it reserves and claims."""
        moved: Moved | Lost | Taken = await self._commits.write(
            Open(operation, intent, frozen, self._deadline_s)
        )
        return moved

    async def answer(
        self,
        operation: Operation,
        *,
        told: Snapshot,
        evidence: Evidence,
        follow_up: Command | None = None,
        found: Question | None = None,
    ) -> Moved | Lost:
        """Append the evidence, then move payment and request."""
        moved: Moved | Lost = await self._commits.write(
            Answer(operation, told, evidence, follow_up, found)
        )
        return moved

    async def outrun(self, operation: Operation, *, version: int) -> Moved | Lost:
        """The same news under a version above all that was told."""
        moved: Moved | Lost = await self._commits.write(Outrun(operation, version))
        return moved

    async def wait(self, operation: Operation, *, wait: Wait) -> Moved | Lost:
        """Park it until it is due."""
        moved: Moved | Lost = await self._commits.write(Park(operation, wait))
        return moved

    async def conclude(
        self, operation: Operation, *, messages: Sequence[Message], wait: Wait | None
    ) -> Moved | Lost | Queued:
        """Events into the outbox, and the end or the next question."""
        moved: Moved | Lost | Queued = await self._commits.write(
            Conclude(operation, tuple(messages), wait)
        )
        return moved
