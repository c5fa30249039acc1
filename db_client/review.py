"""What waits for a person: undecided to the end of the schedule, held too long, conflicted, a refund nobody can find.

Only reads. A person's word goes through Kafka like every command, and is kept as the operation of a verification.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Double,
    Engine,
    Integer,
    RowMapping,
    Text,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal,
    or_,
    select,
    text,
)

from db_client.tables import attempt, operation, payment
from handlers.domain.commands import Kind
from handlers.domain.recovery import Stage
from handlers.domain.states import PaymentState, RequestState

MOST: Final = 1000
_ABSENT: Final = "the refund is not in the gateway's list"  # as handlers/refund.py says it
_SECOND: Final = text("interval '1 second'")


class Cause(StrEnum):
    """Why something waits for a person. `early`: it does not yet, but a person may decide all the same."""

    REFUND_ABSENT = "refund_absent"
    UNDECIDED = "undecided"
    HELD = "held"
    CONFLICTED = "conflicted"
    REQUEST_CONFLICTED = "request_conflicted"
    EARLY = "early"


@dataclass(frozen=True, slots=True)
class Pending:
    """A person's word that was admitted and is not applied yet. `about`: the operation, "" the payment itself.

    It counts for this `version` of the payment only.
    """

    operation_id: str
    happened: bool
    by: str
    why: str
    transaction_id: str
    about: str
    version: int
    at: datetime
    stage: str
    reason_text: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """Something that a person may decide about.

    `operation_id` is None where it is the payment itself. `amount_minor` in the payment's currency. `tried`: what the
    last intent was (charge, capture, void, refund), empty where nothing was opened. `payment_conflicted`: the payment
    is conflicted, too. `words`: what people said about it that is not applied yet.
    """

    cause: Cause
    payment_id: str
    operation_id: str | None
    kind: Kind
    amount_minor: int
    currency: str
    state: str
    version: int
    captured_minor: int
    transaction_id: str | None
    since: datetime
    why: str
    reason_code: str
    asked: int
    due_at: datetime | None
    tried: str
    payment_conflicted: bool
    words: tuple[Pending, ...] = ()

    @property
    def about(self) -> str:
        """The id by which it is decided: the operation's, or the payment's."""
        return self.operation_id or self.payment_id


_tried = (
    select(attempt.c.about)
    .where(attempt.c.operation_id == operation.c.operation_id)
    .order_by(attempt.c.number.desc())
    .limit(1)
    .scalar_subquery()
)
_ruling = operation.alias("ruling")
_WAS_RULED: Final = exists().where(
    _ruling.c.payment_id == operation.c.payment_id,
    _ruling.c.kind == Kind.VERIFICATION.value,
    _ruling.c.command["ruling"].as_string().is_not(None),
    _ruling.c.concluded_at > operation.c.answered_at,
)
_since = func.coalesce(operation.c.answered_at, operation.c.admitted_at)
_is_held = and_(
    operation.c.kind == Kind.INITIATION.value, payment.c.state == PaymentState.HELD.value
)
_cause = case(
    (operation.c.request_state == RequestState.CONFLICTED.value, Cause.REQUEST_CONFLICTED.value),
    (operation.c.why.startswith(_ABSENT, autoescape=True), Cause.REFUND_ABSENT.value),
    (
        and_(
            _is_held,
            _since <= func.clock_timestamp() - bindparam("held_s", type_=Double) * _SECOND,
        ),
        Cause.HELD.value,
    ),
    (
        and_(operation.c.asked >= bindparam("asked", type_=Integer), ~_is_held),
        Cause.UNDECIDED.value,
    ),
    else_=Cause.EARLY.value,
)
# What a journal that lost time may have forgotten is asked for before it is sent, while it is only admitted.
_asking = or_(
    operation.c.stage == Stage.ASKING.value,
    and_(operation.c.stage == Stage.ADMITTED.value, operation.c.suspect),
)
_OPERATIONS: Final = (
    select(
        _cause.label("cause"),
        operation.c.payment_id,
        operation.c.operation_id,
        operation.c.kind,
        func.coalesce(operation.c.amount_minor, payment.c.amount_minor).label("amount_minor"),
        payment.c.currency,
        func.coalesce(operation.c.request_state, payment.c.state).label("state"),
        payment.c.version,
        payment.c.captured_minor,
        func.coalesce(operation.c.transaction_id, payment.c.transaction_id).label("transaction_id"),
        _since.label("since"),
        func.coalesce(func.nullif(operation.c.why, ""), operation.c.reason_text).label("why"),
        operation.c.reason_code,
        operation.c.asked,
        operation.c.due_at,
        func.coalesce(_tried, "").label("tried"),
        (payment.c.state == PaymentState.CONFLICTED.value).label("payment_conflicted"),
    )
    .join(payment, payment.c.payment_id == operation.c.payment_id)
    .where(
        or_(
            _asking,
            and_(operation.c.request_state == RequestState.CONFLICTED.value, ~_WAS_RULED),
        )
    )
)
_PAYMENTS: Final = select(
    literal(Cause.CONFLICTED.value).label("cause"),
    payment.c.payment_id,
    literal(None, type_=Text).label("operation_id"),
    literal(Kind.INITIATION.value).label("kind"),
    payment.c.amount_minor,
    payment.c.currency,
    payment.c.state,
    payment.c.version,
    payment.c.captured_minor,
    payment.c.transaction_id,
    payment.c.updated_at.label("since"),
    payment.c.reason_text.label("why"),
    payment.c.reason_code,
    literal(0).label("asked"),
    literal(None, type_=operation.c.due_at.type).label("due_at"),
    literal("").label("tried"),
    literal(value=True).label("payment_conflicted"),
).where(payment.c.state == PaymentState.CONFLICTED.value)
_WORDS: Final = (
    select(
        operation.c.operation_id,
        operation.c.payment_id,
        operation.c.command,
        operation.c.admitted_at,
        operation.c.stage,
        operation.c.reason_text,
    )
    .where(
        operation.c.payment_id == func.any(bindparam("payments")),
        operation.c.kind == Kind.VERIFICATION.value,
        operation.c.command["ruling"].as_string().is_not(None),
        operation.c.stage != Stage.CONCLUDED.value,
    )
    .order_by(operation.c.arrival)
)


def waiting(engine: Engine, *, asked: int, held_for_s: float, most: int = MOST) -> list[Waiting]:
    """What waits for a person, the longest first, at most `most`.

    `asked`: after so many questions something is undecided for good; `held_for_s`: how long a held payment may be.
    """
    waits = _cause != Cause.EARLY.value
    return _found(engine, {"asked": asked, "held_s": held_for_s}, where=waits, most=most)


def of_one(engine: Engine, name: str, *, asked: int, held_for_s: float) -> list[Waiting]:
    """What a person may decide about the payment, or the operation, of this id; those that are early included."""
    parameters = {"asked": asked, "held_s": held_for_s, "name": name}
    is_it = or_(
        operation.c.operation_id == bindparam("name", type_=Text),
        operation.c.payment_id == bindparam("name", type_=Text),
    )
    return _found(engine, parameters, where=is_it, most=MOST, one=True)


def _found(
    engine: Engine,
    parameters: dict[str, Any],
    *,
    where: ColumnElement[bool],
    most: int,
    one: bool = False,
) -> list[Waiting]:
    payments = _PAYMENTS
    if one:
        payments = payments.where(payment.c.payment_id == bindparam("name", type_=Text))
    both = _OPERATIONS.where(where).union_all(payments).subquery("both")
    ordered = select(both).order_by(both.c.since, both.c.payment_id).limit(most)
    with engine.connect() as connection:
        rows = connection.execute(ordered, parameters).mappings().all()
        words = _words(connection, sorted({row["payment_id"] for row in rows}))
    return [_waiting(row, words.get(row["payment_id"], ())) for row in rows]


def _waiting(row: RowMapping, words: Sequence[Pending]) -> Waiting:
    known = {**row, "cause": Cause(row["cause"]), "kind": Kind(row["kind"])}
    stands = (row["operation_id"] or "", row["version"])
    return Waiting(**known, words=tuple(it for it in words if (it.about, it.version) == stands))


def _words(connection: Connection, payments: list[str]) -> dict[str, list[Pending]]:
    found: dict[str, list[Pending]] = {}
    if not payments:
        return found
    for row in connection.execute(_WORDS, {"payments": payments}).mappings():
        ruling = row["command"]["ruling"]
        found.setdefault(row["payment_id"], []).append(
            Pending(
                operation_id=row["operation_id"],
                happened=ruling["happened"],
                by=ruling["by"],
                why=ruling["why"],
                transaction_id=ruling["transaction_id"],
                about=ruling["about"],
                version=ruling["version"],
                at=row["admitted_at"],
                stage=row["stage"],
                reason_text=row["reason_text"],
            )
        )
    return found
