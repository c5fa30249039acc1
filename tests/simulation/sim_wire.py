"""Records of the simulation: what is published is kept as it is, and its bytes only name it. No bytes are encoded.

The wire format has suites of its own, and would take half of a run's time. A record's value is a number under which
`Said` keeps the command or the event; a value that names nothing is one that cannot be read.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from avro.command_records import kind_of
from db_client.moves import Admission, DeadLetter
from db_client.sealing import Sealer
from handlers.domain.commands import Command
from handlers.domain.outcomes import Event, NotificationEvent, OrderEvent, StatusEvent
from handlers.ports import Message
from worker.dead_letters import Flaw, Reason, Record, letter
from worker.routes import EVENTS

SEALER: Final = Sealer({"k1": b"k" * 32})
_CONFLICT: Final = Flaw(Reason.CONFLICT, "this id was used before, with other content")
_REFUSED: Final = Flaw(Reason.REFUSED, "the journal's database does not take this command")
_UNREADABLE: Final = Flaw(Reason.UNREADABLE, "it names nothing")


@dataclass(frozen=True, slots=True)
class Told:
    """An event and when it happened."""

    event: Event
    at: datetime


@dataclass(slots=True)
class Said:
    """Everything that was ever put into a record of one run. Implements `handlers.ports.Wire`."""

    commands: dict[bytes, Command] = field(default_factory=dict)
    events: dict[bytes, Told] = field(default_factory=dict)
    _count: int = 0

    def _name(self) -> bytes:
        self._count += 1
        return b"%d" % self._count

    def message(self, event: Event, *, occurred_at: datetime, traceparent: str) -> Message:
        """The record that tells `event`, under an id that is the same whenever it is made."""
        del traceparent
        topic, _ = EVENTS[type(event)]
        payment, value = event.payment, self._name()
        event_id = f"{topic}:{payment.payment_id}:{payment.version}"
        self.events[value] = Told(event, occurred_at)
        return Message(topic, _key(event), value, (("ce_id", event_id.encode()),), event_id)

    def command(self, command: Command, *, traceparent: str) -> Message:
        """The record that asks for `command`."""
        del traceparent
        value, topic = self._name(), kind_of(command)
        self.commands[value] = command
        return Message(topic, command.payment_id.encode(), value, (), command.operation_id)


def _key(event: Event) -> bytes:
    payment = event.payment
    match event:
        case StatusEvent():
            return payment.payment_id.encode()
        case OrderEvent():
            return payment.order_id.encode()
        case NotificationEvent():
            return payment.user_id.encode()


@dataclass(frozen=True, slots=True)
class SimDecoder:
    """What `worker.decode.Decoder` is to intake, for records that only name their command."""

    said: Said
    max_age_s: float = 86_400.0

    def decode(self, record: Record, *, now: datetime) -> Admission | DeadLetter:
        """What the record names."""
        del now
        found = self.said.commands.get(record.value)
        if found is None:
            return letter(record, _UNREADABLE, sealer=SEALER)
        return Admission(
            command=found,
            source=record.source,
            since=record.suspect_since,
            traceparent="",
            suspect=record.suspect_since is not None,
            conflict=lambda: letter(record, _CONFLICT, sealer=SEALER).message,
            refused=lambda: letter(record, _REFUSED, sealer=SEALER).message,
        )
