"""Work on the two journals: operations are written, loaded and carried on, on both at once. No claim lives here."""

from dataclasses import dataclass, field
from typing import Any

from db_client.moves import Admit, Move
from handlers.domain.recovery import Stage
from handlers.ports import Moved, Operation
from tests.simulation import journal_twin_moves as moves
from tests.simulation.journal_twin_stage import TwinDesk, Twins


@dataclass(slots=True)
class TwinWork:
    """What is known of operations: all that was ever heard, and `last` what was heard of each, the latest last."""

    twins: Twins
    known: list[tuple[TwinDesk, Operation]] = field(default_factory=list)
    last: dict[str, tuple[TwinDesk, Operation]] = field(default_factory=dict)

    def desk(self, number: int) -> TwinDesk:
        """One of the sessions."""
        desks = self.twins.desks
        return desks[number % len(desks)]

    def recent(self, number: int, *stages: Stage) -> tuple[TwinDesk, Operation]:
        """One of those heard of last, if possible one that was in one of these stages then."""
        fitting = [it for it in self.last.values() if it[1].stage in stages]
        found = fitting or list(self.last.values())
        return found[-1 - number % len(found)]

    def carry(self, name: str, *, news: int) -> None:
        """An operation goes one step on, as it usually does; `news` is what the gateway says where it is asked."""
        desk, operation = self.last[name]
        match operation.stage:
            case Stage.ADMITTED if operation.suspect:  # asked for, and found
                usual = moves.usual_news(operation, news)
                self.write(desk, moves.answering(operation, usual, broken=0))
            case Stage.ADMITTED:
                minor = 1000 if operation.request is None else 300
                self.write(desk, moves.opening(operation, kind=0, later=False, minor=minor))
            case Stage.OPEN | Stage.ASKING:
                usual = moves.usual_news(operation, news)
                self.write(desk, moves.answering(operation, usual, broken=0))
            case Stage.ANSWERED:
                wait = moves.usual_wait(operation)
                self.write(desk, moves.concluding(operation, moves.BOTH, wait=wait))
                self.load(desk)  # who was next in line may go now
            case _:
                pass

    def admit(self, desk: TwinDesk, batch: Admit) -> None:
        """Intake has polled, and what is due is loaded."""
        admitted = self.twins.write(desk, batch)
        for operation in getattr(admitted, "operations", ()):
            self.learn(desk, operation)
        self.load(desk)

    def write(self, desk: TwinDesk, move: Move) -> Any:
        """One move, and what became of it."""
        done = self.twins.write(desk, move)
        if isinstance(done, Moved):
            self.learn(desk, done.operation)
        return done

    def learn(self, desk: TwinDesk, operation: Operation) -> None:
        """An operation was heard of."""
        self.known.append((desk, operation))
        self.last.pop(operation.operation_id, None)
        self.last[operation.operation_id] = desk, operation

    def load(self, desk: TwinDesk) -> None:
        """What is due comes into work."""
        for operation in self.twins.whole(desk, self.twins.due(desk)):
            self.learn(desk, operation)

    def read(self, desk: TwinDesk) -> None:
        """All reads; everything of its own is loaded."""
        self.twins.read(desk)
        for operation in self.twins.whole(desk, sorted(self.twins.database.operations)):
            self.learn(desk, operation)
