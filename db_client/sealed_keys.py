"""With which keys there are things sealed in the journal: a read for `check`. Nothing is opened here.

A sealed value begins with its key's id (`sealing.py`). Dead letters are found as long as the outbox keeps them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Engine, Select, bindparam, case, func, select

from db_client.tables import operation, outbox
from handlers.domain.recovery import Stage


@dataclass(frozen=True, slots=True)
class SealedWith:
    """Ids of the keys that sealed the means of payments that wait, and the dead letters."""

    means: frozenset[str]
    letters: frozenset[str]


def _key_id(sealed: ColumnElement[Any]) -> ColumnElement[Any]:
    """The id in front; null where nothing is sealed."""
    return case(
        (func.octet_length(sealed) > 1, func.substring(sealed, 2, func.get_byte(sealed, 0)))
    )


_MEANS: Final = (
    select(_key_id(operation.c.means_sealed))
    .where(operation.c.stage != Stage.CONCLUDED.value, operation.c.means_sealed.is_not(None))
    .distinct()
)
_LETTERS: Final = (
    select(_key_id(outbox.c.value))
    .where(
        outbox.c.payment_id.is_(None),  # which is indexed: the letters are few among the events
        outbox.c.topic == func.any(bindparam("topics")),
    )
    .distinct()
)


def sealed_with(engine: Engine, *, letter_topics: Sequence[str]) -> SealedWith:
    """The ids of all keys that something sealed in the journal needs."""
    with engine.connect() as connection:
        return SealedWith(
            _ids(connection, _MEANS, parameters={}),
            _ids(connection, _LETTERS, parameters={"topics": list(letter_topics)}),
        )


def _ids(
    connection: Connection, wanted: Select[Any], *, parameters: dict[str, object]
) -> frozenset[str]:
    found = connection.execute(wanted, parameters).scalars()
    return frozenset(bytes(it).decode("utf-8", "replace") for it in found if it)
