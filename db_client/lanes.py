"""The line before each payment: one operation of a payment holds its lane, the others are QUEUED behind it.

The lane is the column `payment.held_by`. It is taken by an initiation when the payment is written down, and by the
first in line when it is let go. Nobody takes or lets go without the payment's row locked first, in a statement of its
own: the next statement then sees what the other one committed, so that no wake-up is lost between two sessions.
A request that came before its payment is queued for nobody; the initiation's admission finds it, or the janitor, when
its time has run out.

After a loss of time suspects go first, and one that was proven absent stands in line again: what came later may have
been done, and what is left to refund or to capture is not known before all were asked for. So nothing else goes while
an operation of the payment belongs to a session from before, which nobody has taken over yet. Then those that were not
done go in the order in which they came. What is still to be read again is not waited for: intake waits for room, which
questions take, so that would be a circle. A refund is proven absent long after its partition is read, and the gateway
refuses more than is left (reason 55).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from sqlalchemy import Text, and_, bindparam, exists, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import distinct_on

from db_client.ground import Ground
from db_client.moves import FINDER_TOPIC_ID
from db_client.recordset import given, rows
from db_client.tables import attempt, operation, payment, session
from handlers.domain.commands import Kind
from handlers.domain.recovery import LOOKED_AGAIN, Stage
from handlers.domain.states import RequestState

_these = given(payment_id=Text())
_LOCK: Final = (
    select(payment.c.payment_id)
    .join(_these, _these.c.payment_id == payment.c.payment_id)
    .order_by(payment.c.payment_id)
    .with_for_update(of=payment)
)
_other = operation.alias("other")
_named = given(payment_id=Text())
# Worked out once for a payment, not for each in its line; materialised, so that the planner keeps to these payments.
_lines = (
    select(
        _named.c.payment_id,
        exists()
        .where(
            _other.c.payment_id == _named.c.payment_id,
            _other.c.session_id == session.c.session_id,
            or_(
                and_(
                    _other.c.suspect,
                    _other.c.stage == Stage.DEFERRED.value,
                    _other.c.due_at <= func.clock_timestamp(),
                ),
                and_(
                    _other.c.stage != Stage.CONCLUDED.value,
                    _other.c.session_id != bindparam("me"),
                    session.c.incarnation != bindparam("incarnation"),
                ),
            ),
        )
        .correlate(_named)
        .label("waits_for_others"),
    )
    .cte("lines")
    .prefix_with("MATERIALIZED")
)
_first = (
    select(operation.c.operation_id, operation.c.payment_id)
    .ext(distinct_on(operation.c.payment_id))
    .join(_lines, _lines.c.payment_id == operation.c.payment_id)
    .join(payment, payment.c.payment_id == operation.c.payment_id)
    .where(
        operation.c.stage == Stage.QUEUED.value,
        payment.c.held_by.is_(None),
        or_(operation.c.suspect, ~_lines.c.waits_for_others),
    )
    .order_by(
        operation.c.payment_id,
        operation.c.suspect.desc(),
        operation.c.arrival,
        operation.c.operation_id,
    )
    .subquery()
)
_GRANT: Final = (
    update(operation)
    .where(operation.c.operation_id == _first.c.operation_id)
    .values(stage=Stage.ADMITTED.value, due_at=func.clock_timestamp(), why="")
    .returning(operation.c.operation_id, operation.c.payment_id)
)
_held = given(payment_id=Text(), operation_id=Text())
_HOLD: Final = (
    update(payment)
    .where(payment.c.payment_id == _held.c.payment_id)
    .values(held_by=_held.c.operation_id)
)
_RELEASE: Final = (
    update(payment)
    .where(payment.c.payment_id == _held.c.payment_id, payment.c.held_by == _held.c.operation_id)
    .values(held_by=None)
)


def grant(ground: Ground, payments: Collection[str]) -> None:
    """Give each free lane among `payments` to the first in its line."""
    if not payments:
        return
    these = rows([{"payment_id": it} for it in sorted(payments)])
    ground.connection.execute(_LOCK, these)
    _give(ground, these)


def _give(ground: Ground, these: Mapping[str, str]) -> None:
    """The payments' rows are locked."""
    me = {"me": ground.session_id, "incarnation": ground.incarnation}
    granted = ground.rows(_GRANT, {**these, **me})
    if granted:
        held = [dict(row) for row in granted]
        ground.connection.execute(_HOLD, rows(held))
        ground.granted = True


def release(ground: Ground, holders: Iterable[tuple[str, str]]) -> None:
    """Let the lanes of these (payment id, operation id) go, and give them to the next in line."""
    held = [{"payment_id": it, "operation_id": by} for it, by in sorted(holders)]
    if held:
        ground.connection.execute(_RELEASE, rows(held))  # which locks them
        _give(ground, rows([{"payment_id": row["payment_id"]} for row in held]))


_LINE_UP_SUSPECTS: Final = (
    update(operation)
    .where(
        operation.c.payment_id == _these.c.payment_id,
        operation.c.suspect,
        operation.c.stage == Stage.DEFERRED.value,
    )
    .values(
        stage=Stage.QUEUED.value,
        due_at=None,
        why="may have been done in the lost time; waits for the operation before it",
    )
)


def line_up_suspects(ground: Ground, payments: Collection[str]) -> None:
    """Deferred suspects of these payments stand in line now: they are asked for before anything more is sent."""
    if payments:
        these = rows([{"payment_id": it} for it in sorted(payments)])
        ground.connection.execute(_LOCK, these)
        ground.connection.execute(_LINE_UP_SUSPECTS, these)


_ORPHANS: Final = (
    update(operation)
    .where(
        operation.c.operation_id == func.any(bindparam("ids")),
        ~exists().where(payment.c.payment_id == operation.c.payment_id),
    )
    .values(
        due_at=func.clock_timestamp() + bindparam("seconds") * text("interval '1 second'"),
        why="its payment is not known yet",
    )
)
_ADOPTED: Final = (
    update(operation)
    .where(
        operation.c.payment_id == func.any(bindparam("payments")),
        operation.c.stage == Stage.QUEUED.value,
    )
    .values(due_at=None, why="waits for the operation before it")
    .returning(
        operation.c.payment_id,
        operation.c.kind,
        operation.c.command["user_id"].as_string().label("user_id"),
    )
)
# What the gateway is asked for, and a person may decide: told as undecided, or a suspect that nobody has in hand.
_is_asked_for = or_(
    operation.c.stage == Stage.ASKING.value,
    and_(
        operation.c.suspect,
        operation.c.stage == Stage.ADMITTED.value,
        operation.c.due_at.is_not(None),
    ),
)
_HASTEN: Final = (
    update(operation)
    .where(
        operation.c.payment_id == func.any(bindparam("payments")),
        or_(
            _is_asked_for,
            # What the gateway refused as too early keeps its time: asking does not make it later.
            and_(
                operation.c.stage == Stage.DEFERRED.value,
                or_(
                    operation.c.operation_id == func.any(bindparam("named")),
                    ~exists().where(attempt.c.operation_id == operation.c.operation_id),
                ),
            ),
        ),
    )
    .values(due_at=func.clock_timestamp())
)


def line_up(
    ground: Ground, ids: Sequence[str], *, payments: Collection[str], wait_s: float
) -> None:
    """Requests that were just queued: the first of each free lane may go, those of no payment wait at most `wait_s`."""
    grant(ground, payments)
    ground.connection.execute(_ORPHANS, {"ids": list(ids), "seconds": wait_s})


def hasten(ground: Ground, payments: Collection[str], *, named: Sequence[str] = ()) -> None:
    """Make due now what is asked for or deferred of `payments`: somebody asks. `named`: what a person ruled on."""
    if payments:
        ground.connection.execute(_HASTEN, {"payments": sorted(payments), "named": list(named)})
        ground.granted = True


def adopt(ground: Ground, payments: Mapping[str, str]) -> set[str]:
    """Requests that came before these new payments (id → user) wait for them now; those that their user has voided."""
    if not payments:
        return set()
    found = ground.rows(_ADOPTED, {"payments": list(payments)})
    return {
        row["payment_id"]
        for row in found
        if row["kind"] == Kind.VOID.value and row["user_id"] in {"", payments[row["payment_id"]]}
    }


_due = given(operation_id=Text())
_mine = (operation.c.session_id == bindparam("me"), operation.c.due_at <= func.clock_timestamp())
_GO_ON: Final = (
    update(operation)
    .where(*_mine, operation.c.stage == Stage.DEFERRED.value)
    .values(
        stage=Stage.QUEUED.value,
        due_at=None,
        why="due again; waits for the operation before it",
    )
    .returning(operation.c.payment_id)
)
# What waits in line although its lane is free: a wake-up that nobody made, whatever the reason.
_FORGOTTEN: Final = (
    select(operation.c.payment_id)
    .join(payment, payment.c.payment_id == operation.c.payment_id)
    .where(
        operation.c.session_id == bindparam("me"),
        operation.c.stage == Stage.QUEUED.value,
        payment.c.held_by.is_(None),
    )
)


def go_on(ground: Ground) -> int:
    """Put what was deferred until now back in line, and wake what stands in line before a free lane; how many."""
    me = {"me": ground.session_id}
    back = {row["payment_id"] for row in ground.rows(_GO_ON, me)}
    forgotten = {row["payment_id"] for row in ground.rows(_FORGOTTEN, me)}
    grant(ground, back | forgotten)
    return len(back)


_asked = given(payment_id=Text())
_is_verification_in_line = and_(
    operation.c.payment_id == _asked.c.payment_id,
    operation.c.stage == Stage.QUEUED.value,
    operation.c.kind == Kind.VERIFICATION.value,
    operation.c.command[("ruling", "why")].as_string().is_(None),  # a person's word is heeded first
    # What the worker itself has seen is no question about the lane's holder: a return, a second charge, a settlement.
    operation.c.topic_id != FINDER_TOPIC_ID,
    ~operation.c.operation_id.startswith(LOOKED_AGAIN),
)
_ASKED_FOR: Final = select(operation.c.payment_id).where(_is_verification_in_line).distinct()
_ANSWERED_BY_ASKING: Final = (
    update(operation)
    .where(_is_verification_in_line)
    .values(
        stage=Stage.CONCLUDED.value,
        concluded_at=func.clock_timestamp(),
        request_state=RequestState.PROCESSED.value,
        reason_code="worker.verified",
        reason_text="The gateway was asked, and it is still not decided.",
        why="",
    )
    .returning(operation.c.operation_id, operation.c.payment_id)
)


_ruling = operation.alias("ruling")
_HEED: Final = (
    update(operation)
    .where(
        operation.c.payment_id == _asked.c.payment_id,
        _is_asked_for,
        exists().where(
            _ruling.c.payment_id == operation.c.payment_id,
            _ruling.c.stage == Stage.QUEUED.value,
            _ruling.c.command[("ruling", "about")].as_string() == operation.c.operation_id,
        ),
    )
    .values(
        due_at=func.least(
            operation.c.due_at, func.clock_timestamp() + text("interval '30 seconds'")
        )
    )
)


def heed_rulings(ground: Ground, payments: Collection[str]) -> None:
    """Let what was asked for just now be looked at again soon where a person's word about it came meanwhile."""
    if payments:
        asked = rows([{"payment_id": it} for it in sorted(payments)])
        ground.connection.execute(_HEED, asked)


def asked_for(ground: Ground, payments: Collection[str]) -> list[str]:
    """Those of these payments about which a verification in line asks."""
    if not payments:
        return []
    asked = rows([{"payment_id": it} for it in sorted(payments)])
    return sorted(row["payment_id"] for row in ground.rows(_ASKED_FOR, asked))


def answer_verifications(ground: Ground, payments: Collection[str]) -> dict[str, list[str]]:
    """Payment id → verifications in line that are over: whoever holds the lane has asked just now, for them too."""
    if not payments:
        return {}
    over: dict[str, list[str]] = {}
    for row in ground.rows(
        _ANSWERED_BY_ASKING, rows([{"payment_id": it} for it in sorted(payments)])
    ):
        over.setdefault(row["payment_id"], []).append(row["operation_id"])
    return over
