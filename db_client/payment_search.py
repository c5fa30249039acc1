"""Lists of payments for people: filtered, paged, with what the unfinished work of each waits for. Only reads."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    Engine,
    Select,
    case,
    exists,
    func,
    select,
    text,
    tuple_,
)

from db_client.tables import operation, payment
from handlers.domain.recovery import Stage
from handlers.domain.states import SEEN, PaymentState, PaymentStatus

_UNFINISHED: Final = operation.c.stage != Stage.CONCLUDED.value
_IN_LINE: Final = [Stage.QUEUED.value, Stage.DEFERRED.value]
# What holds the payment's lane says what it waits for; what is in line behind it comes after.
_first = (
    select(
        operation.c.operation_id,
        operation.c.stage,
        operation.c.due_at,
        operation.c.why,
        operation.c.asked,
    )
    .where(operation.c.payment_id == payment.c.payment_id, _UNFINISHED)
    .order_by(
        case((operation.c.stage.in_(_IN_LINE), 1), else_=0),
        operation.c.arrival,
        operation.c.operation_id,
    )
    .limit(1)
    .lateral("first")
)
_counted = (
    select(
        func.count().label("unfinished"),
        func.coalesce(func.bool_or(operation.c.suspect), text("false")).label("suspect"),
    )
    .where(operation.c.payment_id == payment.c.payment_id, _UNFINISHED)
    .lateral("counted")
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ended: the payment that was its last, and its time in the order of the list."""

    at: datetime
    payment_id: str


@dataclass(frozen=True, slots=True)
class Search:
    """Which payments, in which order. What is None or false fits all.

    `since` and `until` are about when it last moved. `waiting`: only those with unfinished work, the oldest first;
    else those that moved last come first.
    """

    states: frozenset[PaymentState] | None = None
    user_id: str | None = None
    order_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    waiting: bool = False
    suspect: bool = False
    after: Place | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """`rows`: the payment's columns, with operation_id, stage, due_at, why and asked of what it waits for (or None).

    `unfinished` counts its operations that are not concluded. `next`: where the following page begins, if there is one.
    """

    rows: list[dict[str, Any]]
    next: Place | None


def states_of(
    *, state: PaymentState | None, status: PaymentStatus | None
) -> frozenset[PaymentState] | None:
    """The states that fit both; None where neither was asked for."""
    if state is None and status is None:
        return None
    return frozenset(
        it for it, seen in SEEN.items() if state in (None, it) and status in (None, seen)
    )


def search(engine: Engine, wanted: Search, *, limit: int) -> Page:
    """One page of what fits."""
    statement = _filtered(wanted).limit(limit + 1)
    with engine.connect().execution_options(postgresql_readonly=True) as connection:
        rows = [dict(row) for row in connection.execute(statement).mappings()]
    if len(rows) <= limit:
        return Page(rows, None)
    last = rows[limit - 1]
    return Page(rows[:limit], Place(last[_order(wanted)], last["payment_id"]))


def _order(wanted: Search) -> str:
    return "created_at" if wanted.waiting else "updated_at"


def _filtered(wanted: Search) -> Select[Any]:
    statement = (
        select(
            payment,
            *(_first.c[name] for name in ("operation_id", "stage", "due_at", "why", "asked")),
            _counted.c.unfinished,
            _counted.c.suspect,
        )
        .select_from(payment)
        .outerjoin(_first, text("true"))
        .join(_counted, text("true"))
    )
    place = tuple_(payment.c[_order(wanted)], payment.c.payment_id)
    statement = statement.order_by(*(it if wanted.waiting else it.desc() for it in place.clauses))
    if wanted.after is not None:
        end = tuple_(wanted.after.at, wanted.after.payment_id)
        statement = statement.where(place > end if wanted.waiting else place < end)
    return statement.where(*_conditions(wanted))


def _conditions(wanted: Search) -> list[Any]:
    found: list[Any] = []
    if wanted.states is not None:
        found.append(payment.c.state.in_(sorted(wanted.states)))
    if wanted.user_id is not None:
        found.append(payment.c.user_id == wanted.user_id)
    if wanted.order_id is not None:
        found.append(payment.c.order_id == wanted.order_id)
    if wanted.since is not None:
        found.append(payment.c.updated_at >= wanted.since)
    if wanted.until is not None:
        found.append(payment.c.updated_at < wanted.until)
    if wanted.waiting:
        found.append(_has())
    if wanted.suspect:
        found.append(_has(operation.c.suspect))
    return found


def _has(*more: Any) -> Any:
    """Whether it has unfinished work, of which `more` is so."""
    return exists().where(operation.c.payment_id == payment.c.payment_id, _UNFINISHED, *more)
