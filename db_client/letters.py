"""Dead letters on their way out: one for each record. A request whose payment never came leaves as one, too."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import bindparam, delete, func, select

from db_client.ground import Ground
from db_client.moves import DeadLetter, Orphaned
from db_client.orphans import IS_ORPHAN
from db_client.outboxing import write_outbox
from db_client.tables import operation, outbox

_ANSWERED_RECORDS: Final = select(outbox.c.answers).where(
    outbox.c.answers == func.any(bindparam("answers"))
)
_ORPHANED: Final = (
    delete(operation)
    .where(operation.c.operation_id == bindparam("operation_id"), IS_ORPHAN)
    .returning(operation.c.operation_id)
)


def already_answered(ground: Ground, answers: Sequence[str]) -> set[str]:
    """Those of these records that have their answer in the outbox."""
    if not answers:
        return set()
    return {row["answers"] for row in ground.rows(_ANSWERED_RECORDS, {"answers": list(answers)})}


def dead_letters(ground: Ground, letters: Sequence[DeadLetter]) -> None:
    """Put the letters into the outbox, one for each record for ever, also where a record comes twice in one batch."""
    known = already_answered(ground, [letter.source.key for letter in letters])
    for letter in letters:
        if letter.source.key not in known:
            known.add(letter.source.key)
            write_outbox(ground, [letter.message], payment_id=None, answers=letter.source.key)


def orphaned(ground: Ground, move: Orphaned) -> bool:
    """Let go of a request whose payment never came; False where it came after all."""
    gone = ground.rows(_ORPHANED, {"operation_id": move.operation_id, "me": ground.session_id})
    if gone:
        dead_letters(ground, [move.letter])
    return bool(gone)
