"""The outbox in memory, and answers out of it: `db_client/outboxing.py`, `repeats.py` and `letters.py`."""

from collections.abc import Iterable, Sequence
from typing import Final

from db_client.moves import DeadLetter, Mirror, Numbered, Orphaned
from db_client.repeats import ANSWERS
from handlers.domain.recovery import Stage
from handlers.ports import Message
from tests.simulation.memory_journal_ground import MemoryGround
from tests.simulation.memory_journal_rows import OutboxRow

_MOST_NAMED: Final = 50


def write_outbox(
    ground: MemoryGround,
    messages: Iterable[Message],
    *,
    payment_id: str | None = None,
    operation_id: str | None = None,
    answers: str | None = None,
) -> int:
    """Put `messages` into the outbox; returns the last number."""
    database, now, number = ground.database, ground.now, 0
    for message in messages:
        number = ground.number()
        ground.outbox.append(Numbered(number, message, now))
        database.add_outbox(
            OutboxRow(
                database.place(),
                session_id=ground.me,
                number=number,
                message=message,
                payment_id=payment_id,
                operation_id=operation_id,
                answers=answers,
                created_at=now,
                epoch=database.epoch,
            )
        )
    return number


def last_told(
    ground: MemoryGround, payment_id: str, *, topic: str, operation_id: str | None = None
) -> Message | None:
    """The last snapshot that was told on `topic` of the payment, or of one request about it; None where none was.

    What still waits in another session's outbox does not count: then the answer is on its way already.
    """
    sessions = ground.database.sessions
    for row in reversed(ground.database.folder(payment_id).told):
        if row.message.topic != topic or operation_id not in {None, row.operation_id}:
            continue
        teller = sessions.get(row.session_id)
        is_told = row.session_id == ground.me or (teller and row.number < teller.watermark)
        return row.message if is_told else None  # nor may an older one be told behind it
    return None


def tell_verifications(ground: MemoryGround, over: Sequence[str], *, told: Message) -> None:
    """Answer these verifications of one payment with the snapshot that is told of it."""
    names = sorted(over)
    for first in range(0, len(names), _MOST_NAMED):
        some = ",".join(names[first : first + _MOST_NAMED])
        write_outbox(ground, [quoted(told, name=ANSWERS, value=some)])


def quoted(message: Message, *, name: str, value: str) -> Message:
    """The same message once more, with a header that says why."""
    headers = (*message.headers, (name, value.encode()))
    return Message(message.topic, message.key, message.value, headers, message.event_id)


def dead_letters(ground: MemoryGround, letters: Iterable[DeadLetter]) -> None:
    """Put the letters into the outbox, one for each record for ever."""
    known = ground.database.answers
    for letter in letters:
        if letter.source.key not in known:
            write_outbox(ground, [letter.message], answers=letter.source.key)


def orphaned(ground: MemoryGround, move: Orphaned) -> bool:
    """Let go of a request whose payment never came; False where it came after all."""
    row = ground.database.operations.get(move.operation_id)
    if (
        row is None
        or row.session_id != ground.me
        or row.stage is not Stage.QUEUED
        or (row.suspect and ground.database.has_unread)
        or row.due_at is None
        or row.due_at > ground.now
        or row.folder.payment is not None
    ):
        return False
    ground.database.remove(row)
    dead_letters(ground, [move.letter])
    return True


def mirror(ground: MemoryGround, move: Mirror) -> None:
    """Keep the publisher's watermark beside its rows."""
    ground.session.watermark = max(ground.session.watermark, move.watermark)
