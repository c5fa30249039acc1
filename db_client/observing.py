"""What the finder must know of payments to judge the gateway's rows, and which authorisations are past their time.

While commands of lost time are being read again, nobody is told what is known: a request that explains a row (a
capture, a void) would come behind the question that the row makes, and its news would be told twice.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Engine, Text, any_, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import DBAPIError

from db_client.failures import away
from db_client.orphans import RECORDS_UNREAD
from db_client.tables import attempt, operation, payment
from handlers.domain.commands import Kind
from handlers.domain.errors import Unavailable
from handlers.domain.money import Money
from handlers.domain.states import PaymentState

_MOST_EXPIRED: Final = 500
_KNOWN: Final = (
    select(
        attempt.c.invoice_number,
        payment.c.payment_id,
        payment.c.state,
        payment.c.currency,
        payment.c.captured_minor,
        payment.c.transaction_id,
    )
    .join(operation, operation.c.operation_id == attempt.c.operation_id)
    .join(payment, payment.c.payment_id == operation.c.payment_id)
    .where(
        attempt.c.invoice_number == any_(bindparam("invoices", type_=ARRAY(Text))),
        operation.c.kind == Kind.INITIATION.value,
    )
)
_EXPIRED: Final = (
    select(payment.c.payment_id, attempt.c.invoice_number, payment.c.transaction_id)
    .join(operation, operation.c.operation_id == func.concat("initiation:", payment.c.payment_id))
    .join(attempt, (attempt.c.operation_id == operation.c.operation_id) & (attempt.c.number == 1))
    .where(
        payment.c.state == PaymentState.AUTHORIZED.value,
        payment.c.expires_at < func.clock_timestamp(),
        payment.c.held_by.is_(None),
        attempt.c.merchant_account == bindparam("account"),
    )
    .order_by(payment.c.expires_at)
    .limit(_MOST_EXPIRED)
)
_UNREAD: Final = select(RECORDS_UNREAD.label("some"))


@dataclass(frozen=True, slots=True)
class Known:
    """A payment of ours behind an invoice number. `captured`: what we know to be captured."""

    payment_id: str
    state: PaymentState
    captured: Money
    transaction_id: str | None


@dataclass(frozen=True, slots=True)
class Expired:
    """An authorisation that nobody captured in time."""

    payment_id: str
    invoice_number: str


class Observations:
    """Reads over a pool. Every method raises Unavailable where the database is away."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def known(self, invoices: Collection[str]) -> Mapping[str, Known]:
        """Invoice number of a charge → its payment, for those that are ours."""
        if self._rows(_UNREAD, {})[0]["some"]:
            raise Unavailable("journal", "what it forgot is being read again")
        return {
            row["invoice_number"]: Known(
                payment_id=row["payment_id"],
                state=PaymentState(row["state"]),
                captured=Money(row["captured_minor"], row["currency"]),
                transaction_id=row["transaction_id"],
            )
            for row in self._rows(_KNOWN, {"invoices": sorted(invoices)})
        }

    def expired(self, merchant_account: str) -> list[Expired]:
        """Authorisations of this account that should have ended by now, the oldest first."""
        found = self._rows(_EXPIRED, {"account": merchant_account})
        return [Expired(row["payment_id"], row["invoice_number"]) for row in found]

    def _rows(self, statement: Any, parameters: Mapping[str, object]) -> list[Any]:
        try:
            with self._engine.connect() as connection:
                return list(connection.execute(statement, parameters).mappings())
        except DBAPIError as error:
            raise away(error) from None
