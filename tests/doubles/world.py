"""The passage on doubles: one house in which everything can be scripted, cut and counted. No test lives here."""

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import timedelta

from handlers.domain.payments import Payment
from handlers.passage import Ending, House, carry
from handlers.ports import Operation, Rules
from tests.doubles.clock import ClockDouble
from tests.doubles.gateway import GatewayDouble
from tests.doubles.journal import JournalDouble, Row
from tests.doubles.power import Power
from tests.doubles.records import RecordsDouble
from tests.doubles.values import RULES, wire
from worker.routes import STATUS, EventWire

_WIRE = wire()


@dataclass
class World:
    """Everything the passage touches."""

    power: Power = field(default_factory=Power)
    clock: ClockDouble = field(default_factory=ClockDouble)
    rules: Rules = RULES
    wire: EventWire = _WIRE

    def __post_init__(self) -> None:
        self.gateway = GatewayDouble(self.power)
        self.journal = JournalDouble(self.clock, self.power)
        self.records = RecordsDouble(self.power)

    @property
    def house(self) -> House:
        """The house as it stands now."""
        return House(self.gateway, self.journal, self.records, self.wire, self.clock, self.rules)

    async def carry(self, operation: Operation) -> Ending:
        """Carry it as it is handed in."""
        return await carry(operation, self.house)

    async def again(self, operation_id: str) -> Ending:
        """Carry what the journal has, as the janitor does when it is due."""
        return await carry(self.journal.load(operation_id), self.house)

    def pass_due(self, operation_id: str) -> None:
        """Let time pass until it is due; work that is in nobody's hands is due at once."""
        due_at = self.row(operation_id).due_at
        self.clock.at = max(self.clock.at, due_at or self.clock.at) + timedelta(milliseconds=1)

    def row(self, operation_id: str) -> Row:
        """The operation on disk."""
        return self.journal.rows[operation_id]

    def payment(self, operation_id: str) -> Payment:
        """The payment on disk."""
        return self.row(operation_id).operation.payment

    def due_s(self, operation_id: str) -> float | None:
        """Seconds until it is due."""
        due_at = self.row(operation_id).due_at
        return None if due_at is None else (due_at - self.clock.at).total_seconds()

    def told(self) -> list[str]:
        """The topics of what was told, in order."""
        return [message.topic for message in self.journal.outbox]

    def statuses(self) -> int:
        """How many snapshots were told."""
        return self.told().count(STATUS)

    def twice(self) -> list[str]:
        """Event ids that were told more than once."""
        told = Counter(message.event_id for message in self.journal.outbox)
        return [event_id for event_id, times in told.items() if times > 1]

    def restart(self, operation_id: str) -> None:
        """After a power cut: somebody else goes on, with a raised token."""
        self.power.cut_at = None
        self.gateway.in_slot = 0
        self.journal.take_over(operation_id)


def at_rules(world: World, **changes: object) -> None:
    """Change a setting."""
    world.rules = replace(world.rules, **changes)  # type: ignore[arg-type]  # the fields of Rules, by name
