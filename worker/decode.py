"""One record in, an admission or a flaw out. Pure but for the reader's schemas; nothing is lost and nothing raised.

The exception is Unavailable (the schema registry is down): then nobody can say what the record is, and intake waits.
"""

import re
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from avro.commands import to_command
from avro.errors import Unreadable
from avro.reader import Reader
from db_client.moves import Admission, DeadLetter
from db_client.sealing import Sealer
from handlers.domain.card_numbers import holds_card_number, is_card_number
from handlers.domain.commands import Command, RefundPayment, VerifyPayment
from handlers.domain.errors import InvalidValueError
from worker.askers import ASKER_HEADER, Askers
from worker.dead_letters import SUSPECT_HEADER, Flaw, Reason, Record, letter
from worker.own_signature import SIGNATURE_HEADER, SignedRecord, is_ours
from worker.routes import MAX_COMMAND_BYTES

_TRACEPARENT: Final = re.compile(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_CONFLICT: Final = Flaw(Reason.CONFLICT, "this id was used before, with other content")
_REFUSED: Final = Flaw(Reason.REFUSED, "the journal's database does not take this command")


@dataclass(frozen=True, slots=True)
class Decoder:
    """Decodes the records of command topics. `kinds`: topic name → kind of command."""

    reader: Reader
    sealer: Sealer
    kinds: dict[str, str]
    max_age_s: float
    signing_key: bytes = field(repr=False)
    askers: Askers | None = None

    def decode(self, record: Record, *, now: datetime) -> Admission | DeadLetter:
        """What `record` is. Raises Unavailable where the schema registry is needed and away."""
        found = self._command(record, now)
        since = _suspect_since(record)
        told = replace(record, suspect_since=since)  # a letter of it keeps the suspicion
        if isinstance(found, Flaw):
            return letter(told, found, sealer=self.sealer)
        trace = record.headers.get("traceparent", b"")
        return Admission(
            command=found,
            source=record.source,
            since=since,
            traceparent=trace.decode() if _TRACEPARENT.fullmatch(trace) else "",
            suspect=since is not None,
            conflict=lambda: letter(told, _CONFLICT, sealer=self.sealer).message,
            refused=lambda: letter(told, _REFUSED, sealer=self.sealer).message,
        )

    def _command(self, record: Record, now: datetime) -> Command | Flaw:
        if len(record.value) > MAX_COMMAND_BYTES:
            return Flaw(Reason.TOO_LARGE, f"a command must be at most {MAX_COMMAND_BYTES} bytes")
        try:
            kind = self.kinds[record.source.topic]
            command = to_command(self.reader.read(kind, record.value), kind=kind)
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
        return self._stale(record, now=now) or self._not_allowed(command, record)

    def _signed(self, record: Record) -> SignedRecord:
        return SignedRecord(
            record.source.topic, record.key, record.value, record.headers.get(SIGNATURE_HEADER)
        )

    def _stale(self, record: Record, *, now: datetime) -> Flaw | None:
        age_s = now.timestamp() - record.timestamp_ms / 1000
        if (
            age_s > self.max_age_s
            and record.suspect_since is None
            and not self._is_ours(self._signed(record))  # what we began goes on, however late
        ):  # a suspect may have been charged: it is asked for
            return Flaw(
                Reason.STALE,
                f"the record is {age_s:.0f} s old, at most {self.max_age_s:.0f} s are allowed",
            )
        return None

    def _not_allowed(self, command: Command, record: Record) -> Flaw | None:
        """Who may ask this. What was asked before the journal lost time was allowed then, and may have been charged."""
        signed = self._signed(record)
        if _is_inner(command) and not self._is_ours(signed):
            field_of = "ruling" if isinstance(command, VerifyPayment) else "continuation"
            text = f"{field_of}: only the worker and its operator may publish it, signed"
            return Flaw(Reason.NOT_ALLOWED, text, field_of)
        if self.askers is None or record.suspect_since is not None:
            return None
        token = record.headers.get(ASKER_HEADER)
        against = self.askers.objection(user_id=command.user_id, token=token, record=signed)
        return Flaw(Reason.NOT_ALLOWED, against, ASKER_HEADER) if against else None

    def _is_ours(self, record: SignedRecord) -> bool:
        return record.signature is not None and is_ours(
            self.signing_key,
            topic=record.topic,
            record_key=record.key,
            value=record.value,
            signature=record.signature,
        )


def _suspect_since(record: Record) -> datetime | None:
    """The earliest moment at which it can have been sent: by where it lies, and by what its dead letter said.

    The header is heeded whoever wrote it, for it only adds care: what is suspect is asked for before it may be sent.
    """
    try:
        told = datetime.fromisoformat(record.headers.get(SUSPECT_HEADER, b"").decode())
    except ValueError:  # which bytes that are no text also raise
        return record.suspect_since
    if told.tzinfo is None:
        return record.suspect_since
    return min(told, record.suspect_since or told)


def _is_inner(command: Command) -> bool:
    """Whether it says what only we may say: a person's ruling, or how the worker goes on with a refund."""
    if isinstance(command, VerifyPayment):
        return command.ruling is not None
    return isinstance(command, RefundPayment) and command.continuation > 1
