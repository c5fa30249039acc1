"""The finder of each merchant account: one session at a time looks into the gateway's lists, for the whole group.

A scan answers all questions at once, so they are gathered where it runs: the holder takes over what is due, with a
raised token, from whatever session has it, and the others leave such questions alone (`reading.py`). An account is held
for as long as its session's row has not ended; ending waits for that session's last commit, so two never hold one.
"""

from typing import Final

from sqlalchemy import BigInteger, Text, and_, any_, bindparam, exists, func, or_, select, update
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP
from sqlalchemy.dialects.postgresql import insert as upsert

from db_client.ground import Ground
from db_client.moves import Gather, Held, Hold, Walked
from db_client.recordset import given, rows
from db_client.tables import attempt, finder, operation, payment, session
from handlers.domain.commands import Kind
from handlers.domain.recovery import Stage

_wanted = given(merchant_account=Text(), currency=Text())
_at = upsert(finder).from_select(
    ["merchant_account", "currency", "session_id", "held_since"],
    select(
        _wanted.c.merchant_account,
        _wanted.c.currency,
        bindparam("me", type_=Text),
        func.clock_timestamp(),
    ),
)
_living = select(session.c.session_id).where(session.c.ended_at.is_(None))
_HOLD: Final = _at.on_conflict_do_update(
    index_elements=["merchant_account"],
    set_={
        "session_id": _at.excluded.session_id,
        "held_since": _at.excluded.held_since,
        "currency": _at.excluded.currency,
    },
    where=or_(finder.c.session_id.is_(None), finder.c.session_id.not_in(_living)),
)
_HELD: Final = select(finder.c.merchant_account, finder.c.walked_until).where(
    finder.c.session_id == bindparam("me"),
    finder.c.merchant_account == any_(bindparam("accounts", type_=ARRAY(Text))),
)
# Captures and voids are asked for by the details of a transaction, which needs no list.
_BY_LIST: Final = (Kind.INITIATION.value, Kind.REFUND.value)
ASKED_BY_LIST: Final = and_(
    operation.c.kind.in_(_BY_LIST),
    or_(
        operation.c.stage.in_([Stage.OPEN.value, Stage.ASKING.value]),
        and_(operation.c.suspect, operation.c.stage == Stage.ADMITTED.value),
    ),
)
_sent_with = (
    select(attempt.c.merchant_account)
    .where(attempt.c.operation_id == operation.c.operation_id)
    .order_by(attempt.c.number.desc())
    .limit(1)
    .correlate(operation)
    .scalar_subquery()
)
_currency = (
    select(payment.c.currency)
    .where(payment.c.payment_id == operation.c.payment_id)
    .correlate(operation)
    .scalar_subquery()
)


# An operation belongs to the account that it was sent with; one that may have been sent, to that of its currency.
IN_ACCOUNT: Final = or_(
    finder.c.merchant_account == _sent_with,
    and_(_sent_with.is_(None), finder.c.currency == _currency),
)
# Another session looks into the account, so it is asked there.
ASKED_ELSEWHERE: Final = and_(
    ASKED_BY_LIST,
    exists()
    .where(
        finder.c.session_id == session.c.session_id,
        session.c.session_id != bindparam("me"),
        session.c.ended_at.is_(None),
        IN_ACCOUNT,
    )
    .correlate(operation),
)
_owner = session.alias("owner")
_mine = session.alias("mine")
_strayed = select(operation.c.operation_id).where(
    operation.c.session_id != bindparam("me"),
    operation.c.due_at <= func.clock_timestamp(),
    operation.c.stage != Stage.CONCLUDED.value,
    ASKED_BY_LIST,
    exists()
    .where(finder.c.merchant_account == any_(bindparam("accounts", type_=ARRAY(Text))), IN_ACCOUNT)
    .correlate(operation),
    # What belongs to a session from before a loss of time stays until it is taken over, which marks it as suspect. A
    # commit has written its own incarnation down before it looks.
    exists().where(
        _owner.c.session_id == operation.c.session_id,
        _mine.c.session_id == bindparam("me"),
        _mine.c.incarnation == _owner.c.incarnation,
    ),
)
STRAYED: Final = select(_strayed.exists())
# Rows that another commit holds are left for the next round: nobody waits for anybody here.
_gathered = (
    _strayed.order_by(operation.c.due_at)
    .limit(bindparam("most", type_=BigInteger))
    .with_for_update(skip_locked=True)
    .cte("gathered")
)
_GATHER: Final = (
    update(operation)
    .where(operation.c.operation_id == _gathered.c.operation_id)
    .values(session_id=bindparam("me"), token=operation.c.token + 1)
    .returning(operation.c.operation_id)
)
_WALKED: Final = (
    update(finder)
    .where(
        finder.c.merchant_account == bindparam("account"), finder.c.session_id == bindparam("me")
    )
    .values(
        walked_until=func.greatest(
            finder.c.walked_until, bindparam("until", type_=TIMESTAMP(timezone=True))
        )
    )
)


def hold(ground: Ground, move: Hold) -> list[Held]:
    """Those of the accounts that this session looks into from now on."""
    wanted = [
        {"merchant_account": account, "currency": currency}
        for account, currency in sorted(move.accounts.items())
    ]
    if not wanted:
        return []
    ground.connection.execute(_HOLD, {**rows(wanted), "me": ground.session_id})
    held = ground.rows(_HELD, {"me": ground.session_id, "accounts": list(move.accounts)})
    return [Held(row["merchant_account"], row["walked_until"]) for row in held]


def gather(ground: Ground, move: Gather) -> int:
    """Take due questions over; how many."""
    if not move.accounts or move.most <= 0:
        return 0
    parameters = {"me": ground.session_id, "accounts": list(move.accounts), "most": move.most}
    return len(ground.rows(_GATHER, parameters))


def walked(ground: Ground, move: Walked) -> bool:
    """Remember how far an account's lists were walked; False where another session looks into it now."""
    done = ground.connection.execute(
        _WALKED, {"me": ground.session_id, "account": move.merchant_account, "until": move.until}
    )
    return done.rowcount > 0
