"""Dead letters: records that are no command of ours, with a reason that a person understands.

A payload is sealed (the journal's keys), because it may hold a token; the one of a record that carries a card number is
left out altogether, and so is its key. Headers say where the record lay, why it is here and what to do.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from db_client.moves import DeadLetter, Source
from db_client.reading import Orphan
from db_client.sealing import Sealer
from handlers.domain.card_numbers import bytes_hold_card_number
from handlers.ports import Message
from worker.routes import MAX_MESSAGE_BYTES, dead_letter_topic

# On the replay of a letter whose record was suspect: since when it can have been sent.
SUSPECT_HEADER: Final = "worker_suspect_since"


class Reason(StrEnum):
    """Why a record is a dead letter. The closed list; the README has a sentence for each."""

    UNREADABLE = "unreadable"
    INVALID = "invalid"
    REFUSED = "refused"
    STALE = "stale"
    CARD_NUMBER = "card_number"
    CONFLICT = "conflict"
    TOO_LARGE = "too_large"
    NOT_ALLOWED = "not_allowed"
    PAYMENT_UNKNOWN = "payment_unknown"


ADVICE: Final[Mapping[Reason, str]] = MappingProxyType(
    {
        Reason.UNREADABLE: "Not Avro of a schema we know. Publish with the schemas in avro/avsc/.",
        Reason.INVALID: "A field breaks a rule. Mend the producer and publish again under the same id.",
        Reason.REFUSED: "The journal's database refuses it. Tell the maintainers; publish again when it is mended.",
        Reason.STALE: "Older than WORKER_MAX_COMMAND_AGE_S. Start a new payment if it is still wanted.",
        Reason.CARD_NUMBER: "A card number in a text field. Its payload is not kept. Find who let it in, and publish"
        " a token or a stored profile instead.",
        Reason.CONFLICT: "The same id was used before with other content. The first one counts; use a new id.",
        Reason.TOO_LARGE: "Larger than a command may be. Its payload is not kept.",
        Reason.NOT_ALLOWED: "Who asked may not. Publish it again under the same id, with what the text asks for.",
        Reason.PAYMENT_UNKNOWN: "No payment of this id came within WORKER_ORPHAN_WAIT_S. Find out why; then replay it.",
    }
)


@dataclass(frozen=True, slots=True)
class Record:
    """A Kafka record as it was read. `headers` are the first value of each name.

    `suspect_since` is set where it lies below the offsets that were committed before, so the journal may have forgotten
    it: the earliest moment (database time) at which it can have been sent.
    """

    source: Source
    key: bytes
    value: bytes
    headers: Mapping[str, bytes]
    timestamp_ms: int
    suspect_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Flaw:
    """What is wrong with a record."""

    reason: Reason
    text: str
    field: str = ""


def letter(record: Record, flaw: Flaw, *, sealer: Sealer) -> DeadLetter:
    """The dead letter for `record`, ready for the outbox."""
    source = record.source
    is_left_out = flaw.reason in {Reason.CARD_NUMBER, Reason.TOO_LARGE}
    keep = not is_left_out and not bytes_hold_card_number(record.value)
    sealed = sealer.seal_bytes(record.value, bound_to=source.key) if keep else None
    if sealed is not None and len(sealed) > MAX_MESSAGE_BYTES:
        sealed = None
    key = record.key
    if len(key) > MAX_KEY_BYTES or bytes_hold_card_number(key) or flaw.reason is Reason.CARD_NUMBER:
        key = b""
    since = record.suspect_since
    headers = [
        ("dlq.reason", flaw.reason.value),
        ("dlq.text", flaw.text[:MAX_TEXT]),
        ("dlq.field", flaw.field),
        ("dlq.advice", ADVICE[flaw.reason]),
        ("dlq.topic", source.topic),
        ("dlq.topic_id", source.topic_id),
        ("dlq.partition", str(source.partition)),
        ("dlq.offset", str(source.offset)),
        ("dlq.timestamp_ms", str(record.timestamp_ms)),
        ("dlq.suspect_since", since.isoformat() if since is not None else ""),
        ("dlq.payload", "sealed" if sealed is not None else "left out"),
        ("ce_id", f"dlq:{source.key}"),
        ("ce_specversion", "1.0"),
        ("ce_type", "payments.dead_letter.v1"),
    ]
    message = Message(
        topic=dead_letter_topic(source.topic),
        key=key,
        value=sealed if sealed is not None else b"",
        headers=tuple((name, value.encode()) for name, value in headers if value),
        event_id=f"dlq:{source.key}",
    )
    return DeadLetter(source, message)


def reason_of(found: DeadLetter) -> Reason:
    """Why it is one."""
    return Reason(
        next(value.decode() for name, value in found.message.headers if name == "dlq.reason")
    )


def orphan_letter(orphan: Orphan, message: Message, *, sealer: Sealer, now: datetime) -> DeadLetter:
    """The dead letter for a request whose payment never came; `message` is its record, written anew and signed."""
    record = Record(
        source=Source(message.topic, orphan.topic_id, orphan.partition, orphan.offset),
        key=message.key,
        value=message.value or b"",
        headers={},
        timestamp_ms=int(now.timestamp() * 1000),
        suspect_since=orphan.suspect_since,
    )
    text = f"payment_id: no payment {orphan.command.payment_id} is known"
    return letter(record, Flaw(Reason.PAYMENT_UNKNOWN, text, "payment_id"), sealer=sealer)


MAX_KEY_BYTES: Final = 256
MAX_TEXT: Final = 500
