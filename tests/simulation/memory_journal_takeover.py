"""The take-over of a dead session in memory: `db_client/takeover.py`."""

from datetime import timedelta
from typing import Final

from db_client.moves import Numbered, Rehome, Rehomed
from handlers.domain.recovery import Stage
from tests.simulation.memory_journal_ground import MemoryGround
from tests.simulation.memory_journal_rows import OperationRow, SessionRow

_IN_LINE: Final = frozenset({Stage.QUEUED, Stage.DEFERRED})
_AT_MOST: Final = timedelta(days=1)


def rehome(ground: MemoryGround, move: Rehome) -> Rehomed | None:
    """Take it over; None where another session did."""
    dead = ground.database.sessions.get(move.dead_session)
    if dead is None or dead.ended_at is None or dead.rehomed_at is not None:
        return None
    ground.database.touch(dead)
    dead.rehomed_at, dead.rehomed_by = ground.now, ground.me
    # The larger of both counts: the offset in Kafka may have expired, the mirror may lag behind the last kafka_txn.
    dead.watermark = max(dead.watermark, move.watermark)
    messages = renumber(ground, dead)
    lost_time = dead.incarnation != ground.incarnation
    taken = list(ground.database.estate(dead.session_id).unfinished.values())
    for row in taken:
        take(ground, row, move=move, lost_time=lost_time)
    return Rehomed(operations=len(taken), messages=messages)


def renumber(ground: MemoryGround, dead: SessionRow) -> int:
    """What is unpublished gets our numbers, in its order."""
    database = ground.database
    estate = database.estate(dead.session_id)
    waiting = estate.unpublished(dead.watermark)
    if not waiting:
        return 0
    del estate.outbox[-len(waiting) :]
    mine = database.estate(ground.me).outbox
    for row in waiting:
        database.touch(row)
        before, row.number = row.number, ground.number()
        row.session_id = ground.me
        mine.append(row)
        ground.outbox.append(Numbered(row.number, row.message, row.created_at))
        payment = database.payments.get(row.payment_id or "")
        if (
            payment is not None
            and payment.event_session == dead.session_id
            and payment.event_number == before
        ):
            database.touch(payment)
            payment.event_session, payment.event_number = ground.me, row.number
    ground.session.next_number = ground.next_number
    return len(waiting)


def take(ground: MemoryGround, row: OperationRow, *, move: Rehome, lost_time: bool) -> None:
    """One operation under a new token. What waits in line, or for its time, goes on waiting; all else is due soon."""
    ground.database.touch(row)
    due_at = row.due_at
    if row.stage not in _IN_LINE:
        due_at = min(due_at or ground.now, ground.now + _AT_MOST)
    if lost_time:
        row.suspect = True
        row.complete_scans = 0
        due_at = ground.now if row.stage is Stage.DEFERRED else due_at
        row.until = ground.after(move.deadline_s)
    if row.stage is Stage.OPEN:
        row.until = max(row.until, ground.now)
    row.token += 1
    ground.database.hand_over(row, to=ground.me, due_at=due_at)
