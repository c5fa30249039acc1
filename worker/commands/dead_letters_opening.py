"""Opens a dead letter and judges whether its record may be published again. Nothing is published here.

A replayed record carries our signature, so that no customer's token is asked of it: whoever replays vouches for it.
Therefore

- nothing is signed that cannot be read: it could say anything;
- what only the worker or its operator may say (a ruling, a continuation) is signed only where it was proven ours before
  it became a dead letter; else a stranger's ruling would become ours by a replay;
- what was never asked for its customer's token, or had a wrong one, needs a word more (`--anyway`), for the token is
  not kept with the letter.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from avro.commands import to_command
from avro.errors import Unreadable
from avro.reader import Reader
from db_client.sealing import SealBrokenError, Sealer
from handlers.domain.card_numbers import holds_card_number
from handlers.domain.commands import Command, InitiatePayment, RefundPayment, VerifyPayment
from handlers.domain.errors import InvalidValueError
from worker import own_signature
from worker.commands.dead_letters_reading import Letter, known_reason
from worker.dead_letters import SUSPECT_HEADER, Reason

Record = tuple[str, bytes, bytes, dict[str, bytes]]  # topic, key, value, headers
REPLAY_OF: Final = "replay_of"  # the header that names the letter; nobody decides by it
# These came behind the look at who asked: what they say is proven to be allowed.
_AFTER_THE_ASKER: Final = frozenset({Reason.CONFLICT, Reason.REFUSED, Reason.PAYMENT_UNKNOWN})


@dataclass(frozen=True, slots=True)
class Payload:
    """What the record held. `command` is None where it is none: `flaw` says why. `value` and `fields` may hold a token.

    `fields`: the record as its schema has it, where it can be read and breaks a rule, in its field `flawed`.
    """

    value: bytes = field(repr=False)
    command: Command | None = None
    flaw: str = ""
    fields: Mapping[str, object] | None = field(default=None, repr=False)
    flawed: str = ""


@dataclass(frozen=True, slots=True)
class Closed:
    """The payload cannot be had, and why; where `is_locked`, it is there, and a key is missing."""

    why: str
    is_locked: bool = False


@dataclass(frozen=True, slots=True)
class Go:
    """It may be published again; `note` is what its replayer should know."""

    record: Record = field(repr=False)
    note: str = ""


@dataclass(frozen=True, slots=True)
class Stop:
    """It may not, and why; where `can_be_forced`, --anyway does it all the same."""

    why: str
    can_be_forced: bool = False


@dataclass(frozen=True, slots=True)
class Opener:
    """Opens letters. `kinds`: topic name → kind of command."""

    sealer: Sealer
    reader: Reader
    kinds: dict[str, str]

    def open(self, letter: Letter) -> Payload | Closed:
        """Its payload. Raises Unavailable where the schema registry is needed and away."""
        kind = self.kinds.get(letter.topic)
        if kind is None:
            return Closed(f"{letter.topic} is no command topic of this installation")
        if not letter.sealed:
            return Closed(_LEFT_OUT.get(known_reason(letter), _TOO_LARGE_SEALED))
        try:
            value = self.sealer.open_bytes(letter.sealed, bound_to=letter.source_key)
        except SealBrokenError as broken:
            return Closed(
                f"it is kept, but {broken}. Keep old keys behind the first one in WORKER_JOURNAL_KEYS",
                is_locked=True,
            )
        try:
            record = self.reader.read(kind, value)
        except Unreadable as unreadable:
            return Payload(value, flaw=unreadable.why)
        try:
            command = to_command(record, kind=kind)
        except InvalidValueError as invalid:
            return Payload(value, flaw=str(invalid), fields=record, flawed=invalid.field)
        if any(holds_card_number(text) for _, text in command.texts()):
            return Payload(value, flaw="a text of it looks like a card number")
        if letter.key != command.payment_id.encode():
            return Payload(value, command, "key: the record's key is not the payment id")
        return Payload(value, command)


_LEFT_OUT: Final[dict[Reason | None, str]] = {
    Reason.CARD_NUMBER: "its payload was not kept, because it held a card number",
    Reason.TOO_LARGE: "its payload was not kept, because it is larger than a command may be",
}
_TOO_LARGE_SEALED: Final = (
    "its payload was not kept: sealed it is larger than a record may be, or it held a card number"
)


@dataclass(frozen=True, slots=True)
class Judge:
    """Judges letters. `tokens_asked`: this installation asks for customers' tokens. `anyway`: the operator insists."""

    signing_key: bytes = field(repr=False)
    tokens_asked: bool
    anyway: bool
    max_command_age_s: float

    def judge(self, letter: Letter, payload: Payload | Closed) -> Go | Stop:
        """Whether its record may be published again, and the record."""
        if isinstance(payload, Closed) and payload.is_locked:
            return Stop(f"{payload.why}. With its key it opens, and can be replayed.")
        if isinstance(payload, Closed):
            return Stop(
                f"{payload.why}. There is nothing to publish: ask its producer to publish it again, mended."
            )
        if payload.command is not None and _is_stolen(letter, payload.command):
            return Stop(
                "it says what only the worker or its operator may say, and nothing proves that it came from one."
                " Decide with `run_worker.py review decide`."
            )
        why = self._objection(letter, payload)
        if why and not self.anyway:
            return Stop(why, can_be_forced=True)
        return Go(self._record(letter, payload), note=self._note(letter, payload))

    def _objection(self, letter: Letter, payload: Payload) -> str:
        reason = known_reason(letter)
        if payload.flaw:
            return f"it would become a dead letter again: {payload.flaw}."
        if reason is Reason.CONFLICT:
            return (
                "its id was used before with other content, and the first one counts: it would become a dead letter"
                " again. Publish what is still wanted under a new id, and drop this one."
            )
        if reason is Reason.NOT_ALLOWED and self.tokens_asked:
            return (
                "who asked was not allowed to. A replay is signed as yours: nobody would ask again. Be sure that the"
                " customer wants this."
            )
        if self.tokens_asked and reason not in _AFTER_THE_ASKER:
            return (
                "nobody looked yet at who asked, and the token is not kept. A replay is signed as yours: be sure that"
                " the customer wants this."
            )
        return ""

    def _record(self, letter: Letter, payload: Payload) -> Record:
        headers = {REPLAY_OF: letter.letter_id.encode()}
        if payload.command is not None and not payload.flaw:
            headers[own_signature.SIGNATURE_HEADER] = own_signature.sign(
                self.signing_key, topic=letter.topic, record_key=letter.key, value=payload.value
            )
        if letter.suspect_since:
            headers[SUSPECT_HEADER] = letter.suspect_since.encode()
        return letter.topic, letter.key, payload.value, headers

    def _note(self, letter: Letter, payload: Payload) -> str:
        command = payload.command
        late = isinstance(command, InitiatePayment) and known_reason(letter) is Reason.STALE
        if late and command is not None:
            hours = self.max_command_age_s / 3600
            return (
                f"Asked for at {command.issued_at.isoformat(timespec='seconds')}: where that is more than {hours:g} h"
                " ago, the payment is refused as too old, and told so."
            )
        if letter.suspect_since:
            return "It may have been carried out in time that the journal lost: the gateway is asked before it is sent."
        return ""


def _is_stolen(letter: Letter, command: Command) -> bool:
    """Whether it says what only we may say, and was not proven ours before it became a letter."""
    match command:
        case VerifyPayment(ruling=ruling):
            inner = ruling is not None
        case RefundPayment(continuation=number):
            inner = number > 1
        case _:
            inner = False
    return inner and known_reason(letter) not in _AFTER_THE_ASKER
