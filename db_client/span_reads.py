"""The journal as reconciliation reads it: payments and refunds of a time span, row by row, and those that keys lead to.

Everything is read at one moment and nothing is written. Rows come in portions, so that a hundred thousand of them never
lie here together; what the reader keeps of each is its own affair. The demo's auditor reads the journal by itself.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Select,
    Text,
    and_,
    bindparam,
    func,
    select,
    text,
    union,
)
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by

from db_client.tables import attempt, operation, payment
from handlers.domain.commands import Kind
from handlers.domain.intents import About

Row = dict[str, Any]
# What is read in portions is read to its end: a plan that is quick for the first rows only would take minutes.
_TO_THE_END: Final = text("SET LOCAL cursor_tuple_fraction = 1")
_PORTION: Final = 2000
_FIRST: Final = 1
_PAYMENTS: Final = (
    select(
        payment.c.payment_id,
        payment.c.currency,
        payment.c.state,
        payment.c.version,
        payment.c.amount_minor,
        payment.c.authorised_minor,
        payment.c.captured_minor,
        payment.c.refunded_minor,
        payment.c.transaction_id,
        payment.c.created_at,
        payment.c.updated_at,
        operation.c.operation_id,
        attempt.c.invoice_number,
        attempt.c.merchant_account,
        attempt.c.opened_at,
    )
    .select_from(payment)
    .outerjoin(
        operation,
        and_(
            operation.c.payment_id == payment.c.payment_id,
            operation.c.kind == Kind.INITIATION.value,
        ),
    )
    .outerjoin(
        attempt,
        and_(attempt.c.operation_id == operation.c.operation_id, attempt.c.number == _FIRST),
    )
)
_is_refund = attempt.c.about == About.REFUND.value
_REFUNDS: Final = (
    select(
        operation.c.operation_id,
        operation.c.payment_id,
        operation.c.request_state,
        operation.c.amount_minor,
        operation.c.transaction_id,
        func.coalesce(operation.c.answered_at, operation.c.admitted_at).label("told_at"),
        func.array_agg(aggregate_order_by(attempt.c.invoice_number, attempt.c.number))
        .filter(_is_refund)
        .label("invoice_numbers"),
        func.max(attempt.c.merchant_account).filter(_is_refund).label("merchant_account"),
        func.max(attempt.c.opened_at).filter(_is_refund).label("opened_at"),
    )
    .select_from(operation)
    .join(payment, payment.c.payment_id == operation.c.payment_id)
    .outerjoin(attempt, attempt.c.operation_id == operation.c.operation_id)
    .where(operation.c.kind == Kind.REFUND.value)
    .group_by(operation.c.operation_id)
)
_names: Final = bindparam("names", type_=ARRAY(Text))
_IS_NAMED: Final = payment.c.payment_id == func.any(_names)
_OWNERS: Final = union(
    select(operation.c.payment_id)
    .join(attempt, attempt.c.operation_id == operation.c.operation_id)
    .where(attempt.c.invoice_number == func.any(bindparam("numbers", type_=ARRAY(Text)))),
    select(payment.c.payment_id).where(payment.c.transaction_id == func.any(_names)),
    select(operation.c.payment_id).where(operation.c.transaction_id == func.any(_names)),
)


class SpanReads:
    """The reads, all at one moment."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def payments(self, *, since: datetime, until: datetime) -> Iterator[Row]:
        """Payments that lived in the span: made before its end, moved after its beginning."""
        return self._portions(_PAYMENTS.where(_lived(since, until)))

    def refunds(self, *, since: datetime, until: datetime) -> Iterator[Row]:
        """All refunds of those payments, a row for each operation."""
        return self._portions(_REFUNDS.where(_lived(since, until)))

    def payments_named(self, names: Collection[str]) -> Iterator[Row]:
        """Payments by id."""
        return self._portions(_PAYMENTS.where(_IS_NAMED), names)

    def refunds_named(self, names: Collection[str]) -> Iterator[Row]:
        """All refunds of these payments."""
        return self._portions(_REFUNDS.where(_IS_NAMED), names)

    def owners(self, *, invoice_numbers: Sequence[str], transaction_ids: Sequence[str]) -> set[str]:
        """The payments to which any of these lead: by an attempt's invoice number, or by a transaction's id."""
        asked = {"numbers": list(invoice_numbers), "names": list(transaction_ids)}
        return {row.payment_id for row in self._connection.execute(_OWNERS, asked)}

    def _portions(self, wanted: Select[Any], names: Collection[str] = ()) -> Iterator[Row]:
        asked = {"names": list(names)}
        streamed = {"yield_per": _PORTION}
        found = self._connection.execute(wanted, asked, execution_options=streamed)
        for row in found.mappings():
            yield dict(row)


@contextmanager
def one_moment(engine: Engine) -> Iterator[SpanReads]:
    """The journal as it stands now; it stands still for as long as the block lasts, and cannot be written."""
    with engine.connect().execution_options(
        isolation_level="REPEATABLE READ", postgresql_readonly=True
    ) as connection:
        connection.execute(_TO_THE_END)
        yield SpanReads(connection)


def _lived(since: datetime, until: datetime) -> ColumnElement[bool]:
    return and_(payment.c.created_at < until, payment.c.updated_at >= since)
