"""What is recorded in the db-service once more after a restore: the last news of payments and refunds, as it was told.

The db-service may have been put back as well. Each piece of news goes out under its own version and with the request
that it was about, so that the same content is nothing new there and a newer version there stays: nothing that is known
is overwritten by what this journal knows less of. Of a refund whose payment has moved on since, the journal does not
know the version under which it was told: it is recorded only where the db-service was never told of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Engine, Text, and_, bindparam, select
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.exc import DBAPIError

from db_client import command_json
from db_client.failures import away
from db_client.payment_rows import payment_of, request_of
from db_client.tables import operation, payment
from handlers.domain.commands import Kind
from handlers.domain.recovery import Stage
from handlers.domain.states import RequestState
from handlers.ports import Operation

_PORTION: Final = 200
_since = bindparam("since", type_=TIMESTAMP(timezone=True))
_after = bindparam("after", type_=Text)
_payment = [column.label(f"payment_{column.name}") for column in payment.c]
# A payment's last news and its request's are written in one commit, with one time.
_made_it = and_(
    operation.c.payment_id == payment.c.payment_id, operation.c.answered_at == payment.c.updated_at
)
_NEWS: Final = (
    select(operation, *_payment)
    .select_from(payment.join(operation, _made_it))
    .where(payment.c.version > 0, payment.c.updated_at >= _since, payment.c.payment_id > _after)
    .order_by(payment.c.payment_id)
    .limit(_PORTION)
)
_EARLIER: Final = (
    select(operation, *_payment)
    .select_from(payment.join(operation, operation.c.payment_id == payment.c.payment_id))
    .where(
        operation.c.kind == Kind.REFUND.value,
        # A refund that went on is told by its last part.
        operation.c.request_state.not_in(
            [RequestState.REQUESTED.value, RequestState.CONTINUED.value]
        ),
        operation.c.answered_at >= _since,
        operation.c.answered_at < payment.c.updated_at,
        operation.c.operation_id > _after,
    )
    .order_by(operation.c.operation_id)
    .limit(_PORTION)
)


@dataclass(frozen=True, slots=True)
class Told:
    """A piece of news: the operation that made it, with payment and request as they stand. `if_unknown`: see above."""

    operation: Operation
    occurred_at: datetime
    if_unknown: bool


def told_since(engine: Engine, since: datetime) -> Iterator[Sequence[Told]]:
    """Everything whose last news is not older than `since`, in portions of a few hundred. Raises Unavailable."""
    for rows in _pages(engine, _NEWS, since=since, key="payment_id"):
        yield [_told(row, if_unknown=False) for row in rows]
    for rows in _pages(engine, _EARLIER, since=since, key="operation_id"):
        yield [_told(row, if_unknown=True) for row in rows]


def _pages(
    engine: Engine, statement: Any, *, since: datetime, key: str
) -> Iterator[list[dict[str, Any]]]:
    """Each page is a db_txn of its own: what is done with it may take long."""
    after = ""
    while True:
        try:
            with engine.connect() as connection:
                asked = {"since": since, "after": after}
                found = [dict(row) for row in connection.execute(statement, asked).mappings()]
        except DBAPIError as error:
            raise away(error) from None
        if not found:
            return
        yield found
        after = found[-1][key]


def _told(row: Mapping[str, Any], *, if_unknown: bool) -> Told:
    command = command_json.from_json(row["command"], secret=None)
    made = Operation(
        operation_id=row["operation_id"],
        command=command,
        payment=payment_of(row),
        stage=Stage(row["stage"]),
        token=row["token"],
        request=request_of(row, command),
    )
    return Told(made, row["answered_at"], if_unknown)
