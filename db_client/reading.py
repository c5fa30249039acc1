"""Reads of the journal that a session works with: positions, what is due, whole operations. Nothing is written here."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Engine, RowMapping, Select, Text, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import DBAPIError

from db_client import command_json
from db_client.failures import away
from db_client.sealing import SealBrokenError, Sealer
from db_client.tables import attempt, evidence, operation, payment, position, session
from handlers.domain.money import Money
from handlers.domain.payments import Payment
from handlers.domain.recovery import Inquiry, Stage
from handlers.domain.states import PaymentState
from handlers.domain.verdicts import Advice, Method, Reason
from handlers.ports import Operation

_IN_WORK: Final = operation.c.stage != Stage.CONCLUDED.value
_DUE: Final = (
    select(operation.c.operation_id)
    .where(
        operation.c.session_id == bindparam("me"),
        _IN_WORK,
        operation.c.due_at <= func.clock_timestamp(),
        operation.c.operation_id != func.all(bindparam("held", type_=ARRAY(Text))),
    )
    .order_by(operation.c.due_at)
    .limit(bindparam("most"))
)
# What this session owns without a due time is in work here, or was forgotten: the caller knows which.
_UNDATED: Final = (
    select(operation.c.operation_id)
    .where(
        operation.c.session_id == bindparam("me"),
        _IN_WORK,
        operation.c.due_at.is_(None),
        operation.c.operation_id != func.all(bindparam("held", type_=ARRAY(Text))),
    )
    .limit(bindparam("most"))
)
_WHOLE: Final = (
    select(
        operation,
        *(column.label(f"payment_{column.name}") for column in payment.c),
        attempt.c.merchant_account,
        attempt.c.invoice_number,
        select(evidence.c.transaction_id)
        .where(
            evidence.c.operation_id == operation.c.operation_id,
            evidence.c.transaction_id.is_not(None),
        )
        .order_by(evidence.c.evidence_id.desc())
        .limit(1)
        .scalar_subquery()
        .label("told_transaction_id"),
        func.clock_timestamp().label("now"),
    )
    .join(payment, payment.c.payment_id == operation.c.payment_id)
    .outerjoin(
        attempt,
        (attempt.c.operation_id == operation.c.operation_id) & (attempt.c.number == 1),
    )
    .where(operation.c.operation_id == func.any(bindparam("ids")))
)


@dataclass(frozen=True, slots=True)
class Position:
    """The next offset to be read, and when that was written (database time)."""

    next_offset: int
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Loaded:
    """Operations, and the ids of those whose sealed means do not open: the journal key that sealed them is missing."""

    operations: list[Operation]
    unopenable: list[str]


@dataclass(frozen=True, slots=True)
class Backlog:
    """How much is not concluded, by stage and why it waits, and since when the oldest is there."""

    by_stage: dict[str, int]
    oldest_age_s: float


class Reader:
    """Reads over a small pool. Every method raises Unavailable where the database is away."""

    def __init__(self, engine: Engine, *, session_id: str, sealer: Sealer) -> None:
        self._engine = engine
        self._session_id = session_id
        self._sealer = sealer

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        try:
            with self._engine.connect() as connection:
                yield connection
        except DBAPIError as error:
            raise away(error) from None

    def positions(self, topic_id: str) -> dict[int, Position]:
        """Partition → how far it was read, for the topic of this id."""
        with self._connection() as connection:
            found = connection.execute(select(position).where(position.c.topic_id == topic_id))
            return {row.partition: Position(row.next_offset, row.updated_at) for row in found}

    def ended(self) -> bool:
        """Whether this session's own row was ended, or is not there."""
        with self._connection() as connection:
            own = select(session.c.ended_at).where(session.c.session_id == self._session_id)
            row = connection.execute(own).one_or_none()
        return row is None or row.ended_at is not None

    def due(self, *, most: int, held: Sequence[str] = ()) -> list[str]:
        """Ids of what is due, the longest overdue first, without those in `held`."""
        return self._ids(_DUE, most=most, held=held)

    def undated(self, *, most: int = 1000, held: Sequence[str] = ()) -> list[str]:
        """Ids of what is unfinished and has no due time, without those in `held`."""
        return self._ids(_UNDATED, most=most, held=held)

    def _ids(self, statement: Select[Any], *, most: int, held: Sequence[str]) -> list[str]:
        with self._connection() as connection:
            parameters = {"me": self._session_id, "most": most, "held": list(held)}
            return [row.operation_id for row in connection.execute(statement, parameters)]

    def whole(self, ids: Collection[str]) -> Loaded:
        """The operations themselves, as they stand now; those of other sessions are left out."""
        loaded = Loaded([], [])
        if not ids:
            return loaded
        with self._connection() as connection:
            found = connection.execute(_WHOLE, {"ids": list(ids)}).mappings().all()
        for row in found:
            if row["session_id"] != self._session_id:
                continue
            try:
                loaded.operations.append(self._operation(row))
            except SealBrokenError:
                loaded.unopenable.append(row["operation_id"])
        return loaded

    def backlog(self) -> Backlog:
        """What is not concluded, over all sessions."""
        with self._connection() as connection:
            found = connection.execute(
                select(
                    operation.c.stage,
                    func.count().label("n"),
                    func.min(operation.c.admitted_at).label("oldest"),
                )
                .where(_IN_WORK)
                .group_by(operation.c.stage)
            ).all()
            now: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
        oldest = min((row.oldest for row in found), default=now)
        return Backlog({row.stage: row.n for row in found}, (now - oldest).total_seconds())

    def _operation(self, row: RowMapping) -> Operation:
        name, stage = row["operation_id"], Stage(row["stage"])
        sealed = row["means_sealed"] if stage is Stage.ADMITTED else None  # nothing else is sent
        secret = self._sealer.open(bytes(sealed), bound_to=name) if sealed is not None else None
        return Operation(
            operation_id=name,
            command=command_json.from_json(row["command"], secret=secret),
            payment=payment_of(row),
            stage=stage,
            token=row["token"],
            suspect=row["suspect"],
            inquiry=Inquiry(
                asked=row["asked"],
                complete_scans=row["complete_scans"],
                since=row["since"],
                until=row["until"],
                now=row["now"],
                merchant_account=row["merchant_account"],
                invoice_number=row["invoice_number"],
                transaction_id=row["told_transaction_id"],
            ),
            answered_at=row["answered_at"],
            traceparent=row["traceparent"],
        )


def payment_of(row: RowMapping | dict[str, Any]) -> Payment:
    """The payment out of a row whose columns are prefixed with `payment_`."""
    return Payment(
        payment_id=row["payment_payment_id"],
        order_id=row["payment_order_id"],
        user_id=row["payment_user_id"],
        money=Money(row["payment_amount_minor"], row["payment_currency"]),
        state=PaymentState(row["payment_state"]),
        version=row["payment_version"],
        authorised_minor=row["payment_authorised_minor"],
        captured_minor=row["payment_captured_minor"],
        refunded_minor=row["payment_refunded_minor"],
        transaction_id=row["payment_transaction_id"],
        method=Method(
            row["payment_method_kind"], row["payment_method_brand"], row["payment_method_last4"]
        ),
        reason=Reason(
            row["payment_reason_code"], row["payment_reason_text"], Advice(row["payment_advice"])
        ),
    )
