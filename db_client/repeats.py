"""Answers out of what was told before: to a command that came again, and to who asked what nobody knows yet."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from sqlalchemy import Text, bindparam, or_, select

from db_client.ground import Ground
from db_client.outboxing import write_outbox
from db_client.tables import outbox, session
from handlers.ports import Message

REPEAT_OF: Final = "repeat_of"  # the coordinates of the record that came again
ANSWERS: Final = "answers"  # the verifications that this answers, by id
_MOST_NAMED: Final = 50
_headers: Final = msgspec.msgpack.Decoder(list[tuple[str, bytes]])

# The last snapshot that was told of a payment, unless it still waits in another session's outbox: then the answer to
# the repeat is on its way already. Of a request: the last one that was told about itself.
_LAST_TOLD: Final = (
    select(
        *outbox.c["topic", "key", "value", "headers", "event_id"],
        or_(outbox.c.session_id == bindparam("me"), outbox.c.number < session.c.watermark).label(
            "is_told"
        ),
    )
    .join(session, session.c.session_id == outbox.c.session_id)
    .where(
        outbox.c.payment_id == bindparam("payment_id"),
        outbox.c.topic == bindparam("topic"),
        or_(
            bindparam("operation_id", type_=Text).is_(None),
            outbox.c.operation_id == bindparam("operation_id", type_=Text),
        ),
    )
    .order_by(outbox.c.created_at.desc(), outbox.c.number.desc())
    .limit(1)
)


def last_told(
    ground: Ground, payment_id: str, *, topic: str, operation_id: str | None = None
) -> Message | None:
    """The last snapshot that was told on `topic` of the payment, or of one request about it; None where none was."""
    parameters = {
        "payment_id": payment_id,
        "topic": topic,
        "operation_id": operation_id,
        "me": ground.session_id,
    }
    for row in ground.rows(_LAST_TOLD, parameters):
        if not row["is_told"]:  # nor may an older one be told behind it
            break
        headers = tuple(_headers.decode(row["headers"]))
        return Message(row["topic"], row["key"], row["value"], headers, row["event_id"])
    return None


def tell_verifications(
    ground: Ground, over: Mapping[str, Sequence[str]], *, told: Mapping[str, Message]
) -> None:
    """Answer these verifications (payment id → operation ids) with the snapshot that is told of their payment."""
    for payment_id, ids in sorted(over.items()):
        if payment_id not in told:
            continue
        message, names = told[payment_id], sorted(ids)
        for first in range(0, len(names), _MOST_NAMED):
            some = ",".join(names[first : first + _MOST_NAMED])
            headers = (*message.headers, (ANSWERS, some.encode()))
            again = Message(message.topic, message.key, message.value, headers, message.event_id)
            write_outbox(ground, [again], payment_id=None)
