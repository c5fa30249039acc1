"""The outbox: messages become rows, numbered in commit order by the session's counter in the same db_txn."""

from collections.abc import Iterable
from typing import Final

import msgspec
from sqlalchemy import insert

from db_client.ground import Ground
from db_client.moves import Numbered
from db_client.tables import outbox
from handlers.ports import Message

_headers: Final = msgspec.msgpack.Encoder()
_OUTBOX: Final = insert(outbox)


def write_outbox(
    ground: Ground,
    messages: Iterable[Message],
    *,
    payment_id: str | None,
    operation_id: str | None = None,
    answers: str | None = None,
) -> int:
    """Put `messages` into this db_txn's outbox rows; returns the last number. `flush_outbox` inserts them."""
    number = 0
    for message in messages:
        number = ground.number()
        ground.outbox.append(Numbered(number, message, ground.now))
        ground.outbox_rows.append(
            {
                "session_id": ground.session_id,
                "number": number,
                "topic": message.topic,
                "key": message.key,
                "value": message.value,
                "headers": _headers.encode(message.headers),
                "event_id": message.event_id,
                "payment_id": payment_id,
                "operation_id": operation_id,
                "answers": answers,
            }
        )
    return number


def flush_outbox(ground: Ground) -> None:
    """Insert what `write_outbox` gathered, all at once."""
    if ground.outbox_rows:
        ground.connection.execute(_OUTBOX, ground.outbox_rows)
