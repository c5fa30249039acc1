"""When a request whose payment never came may leave as a dead letter.

Not before its time is up. A suspect (it may have been carried out in time that the journal lost) not before all records
of that time are read again, either: its payment may be one of them. Its letter keeps the suspicion, and so does a
replay of it, which is asked for before it may be sent. Without that way out a request that names a payment of nobody
would wait for ever, wherever the database was merely started again.
"""

from typing import Final

from sqlalchemy import ColumnElement, and_, bindparam, exists, func, or_, select

from db_client.tables import operation, payment, position
from handlers.domain.recovery import Stage

IS_UNREAD: Final = position.c.next_offset < position.c.suspect_below
"""Whether a partition still has records of lost time to be read again."""

RECORDS_UNREAD: Final = exists().where(IS_UNREAD)
"""Whether any has."""

IS_ORPHAN: Final[ColumnElement[bool]] = and_(
    operation.c.session_id == bindparam("me"),
    operation.c.stage == Stage.QUEUED.value,
    operation.c.due_at <= func.clock_timestamp(),
    ~exists().where(payment.c.payment_id == operation.c.payment_id),
    or_(~operation.c.suspect, ~RECORDS_UNREAD),
)
"""Whether an operation of session `me` is such a request."""

ORPHANS: Final = (
    select(
        operation.c.operation_id,
        operation.c.command,
        operation.c.topic_id,
        operation.c.partition,
        operation.c.offset,
        operation.c.suspect,
        operation.c.since,
    )
    .where(IS_ORPHAN)
    .limit(bindparam("most"))
)
"""Session `me`'s, at most so many."""
