"""One record in, an admission or a flaw out. Pure but for the reader's schemas; nothing is lost and nothing raised.

The exception is Unavailable (the schema registry is down): then nobody can say what the record is, and intake waits.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from avro.commands import to_command
from avro.errors import Unreadable
from avro.reader import Reader
from db_client.moves import Admission, DeadLetter
from db_client.sealing import Sealer
from handlers.domain.card_numbers import holds_card_number, is_card_number
from handlers.domain.commands import Command
from handlers.domain.errors import InvalidValueError
from worker.dead_letters import Flaw, Reason, Record, letter

_TRACEPARENT: Final = re.compile(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_MAX_COMMAND_BYTES: Final = 262_144
_CONFLICT: Final = Flaw(
    Reason.CONFLICT, "this payment id was used before, with other content", "payment_id"
)
_REFUSED: Final = Flaw(Reason.REFUSED, "the journal's database does not take this command")


@dataclass(frozen=True, slots=True)
class Decoder:
    """Decodes the records of command topics. `kinds`: topic name → kind of command."""

    reader: Reader
    sealer: Sealer
    kinds: dict[str, str]
    max_age_s: float

    def decode(self, record: Record, *, now: datetime) -> Admission | DeadLetter:
        """What `record` is. Raises Unavailable where the schema registry is needed and away."""
        found = self._command(record, now)
        if isinstance(found, Flaw):
            return letter(record, found, sealer=self.sealer)
        trace = record.headers.get("traceparent", b"")
        return Admission(
            command=found,
            source=record.source,
            since=record.suspect_since,
            traceparent=trace.decode() if _TRACEPARENT.fullmatch(trace) else "",
            suspect=record.suspect_since is not None,
            conflict=lambda: letter(record, _CONFLICT, sealer=self.sealer).message,
            refused=lambda: letter(record, _REFUSED, sealer=self.sealer).message,
        )

    def _command(self, record: Record, now: datetime) -> Command | Flaw:
        if len(record.value) > _MAX_COMMAND_BYTES:
            return Flaw(Reason.TOO_LARGE, f"a command must be at most {_MAX_COMMAND_BYTES} bytes")
        try:
            command = to_command(self.reader.read(self.kinds[record.source.topic], record.value))
        except Unreadable as unreadable:
            return Flaw(Reason.UNREADABLE, unreadable.why)
        except InvalidValueError as invalid:
            return Flaw(Reason.INVALID, str(invalid), invalid.field)
        return self._flaw(command, record, now=now) or command

    def _flaw(self, command: Command, record: Record, *, now: datetime) -> Flaw | None:
        suspicious = [name for name, text in command.texts() if holds_card_number(text)]
        suspicious += [name for name, text in command.ids() if is_card_number(text)]
        if suspicious:
            name = suspicious[0]
            return Flaw(Reason.CARD_NUMBER, f"{name}: holds what looks like a card number", name)
        if record.key != command.payment_id.encode():
            return Flaw(Reason.INVALID, "key: the record's key must be the payment id", "key")
        age_s = now.timestamp() - record.timestamp_ms / 1000
        if (
            age_s > self.max_age_s and record.suspect_since is None
        ):  # a suspect may have been charged: it is asked for
            return Flaw(
                Reason.STALE,
                f"the record is {age_s:.0f} s old, at most {self.max_age_s:.0f} s are allowed",
            )
        return None
