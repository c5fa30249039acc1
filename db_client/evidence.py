"""What is kept whatever comes of a move: what the gateway said, and the ends of attempts.

Evidence alone is appended unguarded: it is kept, whoever holds the operation now (P6).
"""

from collections.abc import Iterable, Sequence
from typing import Final

from sqlalchemy import Text, bindparam, insert, select, update
from sqlalchemy.dialects.postgresql import JSONB

from db_client.ground import Ground
from db_client.moves import Answer, Park
from db_client.recordset import given, rows
from db_client.tables import attempt, evidence

_settled = given(operation_id=Text(), state=Text())
_ATTEMPT_STATE: Final = (
    update(attempt)
    .where(attempt.c.operation_id == _settled.c.operation_id, attempt.c.state == "open")
    .values(state=_settled.c.state)
)
_said = given(
    operation_id=Text(), payment_id=Text(), what=Text(), transaction_id=Text(), body=JSONB()
)
_EVIDENCE: Final = insert(evidence).from_select(
    ["operation_id", "payment_id", "session_id", "what", "transaction_id", "body"],
    select(
        _said.c.operation_id,
        _said.c.payment_id,
        bindparam("me", type_=Text),
        _said.c.what,
        _said.c.transaction_id,
        _said.c.body,
    ),
)


def append_evidence(ground: Ground, moves: Sequence[Answer | Park]) -> None:
    """Whatever the gateway said is kept, whoever holds the operation now (P6)."""
    said = [
        {
            "operation_id": move.operation.operation_id,
            "payment_id": move.operation.payment.payment_id,
            "what": _what(move),
            "transaction_id": _transaction_id(move),
            "body": dict(move.evidence if isinstance(move, Answer) else move.wait.evidence),
        }
        for move in moves
    ]
    if said:
        ground.connection.execute(_EVIDENCE, {**rows(said), "me": ground.session_id})


def _what(move: Answer | Park) -> str:
    if isinstance(move, Park):
        return "asked"
    request = move.told.request
    of_request = f":{request.kind}:{request.state}" if request is not None else ""
    return f"answer:{move.told.payment.state}{of_request}"


def _transaction_id(move: Answer | Park) -> str | None:
    """The transaction that the operation itself made: a charge's, or a refund's own."""
    if isinstance(move, Park):
        return None
    request = move.told.request
    return move.told.payment.transaction_id if request is None else request.transaction_id


def settle_attempts(ground: Ground, states: Iterable[tuple[str, str]]) -> None:
    """The open attempt of each operation ended in this state."""
    settled = [{"operation_id": name, "state": state} for name, state in states]
    if settled:
        ground.connection.execute(_ATTEMPT_STATE, rows(settled))
