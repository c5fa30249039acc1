"""An operation that waits: due again later, in line, or asked about. Set-based, and guarded per row (`guarded.py`)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Boolean, Double, Integer, Text, case, func, null, text, update

from db_client.evidence import append_evidence, settle_attempts
from db_client.ground import Ground
from db_client.guarded import GUARD, guard, mine, moved, result
from db_client.lanes import (
    answer_verifications,
    asked_for,
    heed_rulings,
    line_up_suspects,
    release,
)
from db_client.moves import Park
from db_client.recordset import given
from db_client.repeats import last_told, tell_verifications
from db_client.tables import operation
from handlers.domain.recovery import Stage
from handlers.ports import Lost, Moved

_SECOND: Final = text("interval '1 second'")

_parked = given(
    **GUARD,
    seconds=Double(),
    why=Text(),
    next_stage=Text(),
    asked=Integer(),
    complete_scans=Integer(),
    anew=Boolean(),
    trust=Boolean(),
)
_PARK: Final = (
    update(operation)
    .where(*mine(_parked))
    .values(
        stage=_parked.c.next_stage,
        due_at=case(
            (_parked.c.next_stage == Stage.QUEUED.value, null()),
            else_=func.clock_timestamp() + _parked.c.seconds * _SECOND,
        ),
        why=_parked.c.why,
        asked=case((_parked.c.anew, 0), else_=operation.c.asked + _parked.c.asked),
        complete_scans=case(
            (_parked.c.anew, 0), else_=operation.c.complete_scans + _parked.c.complete_scans
        ),
        suspect=case((_parked.c.trust, False), else_=operation.c.suspect),
    )
    .returning(operation.c.operation_id)
)


def park(ground: Ground, moves: Sequence[Park], *, status_topic: str) -> list[Moved | Lost]:
    """Due again later; what was learned on the way is kept."""
    append_evidence(ground, [move for move in moves if move.wait.evidence])
    line_up_suspects(ground, {_payment_id(it) for it in moves if _goes_back_in_line(it)})
    parked = (
        {
            **guard(move.operation),
            "seconds": move.wait.seconds,
            "why": move.wait.why,
            "next_stage": _next_stage(move).value,
            "asked": int(move.wait.asked),
            "complete_scans": int(move.wait.complete_scan),
            "anew": move.wait.trust or move.wait.again,
            "trust": move.wait.trust,
        }
        for move in moves
    )
    ids = moved(ground, _PARK, batch=parked)
    still = [it for it in moves if it.operation.operation_id in ids]
    settle_attempts(
        ground,
        sorted((it.operation.operation_id, _end(it)) for it in still if _end(it)),
    )
    release(
        ground,
        (
            (_payment_id(it), it.operation.operation_id)
            for it in still
            if it.wait.release or _goes_back_in_line(it)
        ),
    )
    _answer_those_in_line(ground, still, status_topic=status_topic)
    return [result(move.operation, ids, **_after(move)) for move in moves]


def _payment_id(move: Park) -> str:
    return move.operation.payment.payment_id


def _end(move: Park) -> str:
    """What becomes of the attempt that is open; "" where it stays so."""
    if move.wait.unsent:
        return "unsent"
    return "answered" if move.wait.again or move.wait.trust or move.wait.told else ""


def _goes_back_in_line(move: Park) -> bool:
    return move.wait.trust and move.operation.request is not None


def _is_next_attempt(move: Park) -> bool:
    """Whether what was sent is proven not done."""
    was_sent = move.operation.stage in {Stage.OPEN, Stage.ASKING}
    return move.wait.again or (move.wait.trust and was_sent)


def _next_stage(move: Park) -> Stage:
    if _goes_back_in_line(move):
        return Stage.QUEUED
    if move.wait.unsent or move.wait.again:
        return Stage.ADMITTED
    if move.wait.told:
        return Stage.ASKING
    return Stage.DEFERRED if move.wait.release else move.operation.stage


def _answer_those_in_line(ground: Ground, moves: Sequence[Park], *, status_topic: str) -> None:
    """The gateway was asked, and nothing new came of it: whoever waits for that hears what is known."""
    heed_rulings(ground, {_payment_id(it) for it in moves if it.wait.asked})
    asked = {
        _payment_id(it) for it in moves if it.wait.asked and it.operation.stage is Stage.ASKING
    }
    told = {it: last_told(ground, it, topic=status_topic) for it in asked_for(ground, asked)}
    # What a dead session told and may not have published is not known yet: those who ask for it wait for more.
    known = {name: message for name, message in told.items() if message is not None}
    tell_verifications(ground, answer_verifications(ground, known), told=known)


def _after(move: Park) -> dict[str, Any]:
    """What a wait changes of its operation, as `_PARK` does."""
    of, wait = move.operation, move.wait
    inquiry = of.inquiry
    if inquiry is not None:
        asked, scans = inquiry.asked + wait.asked, inquiry.complete_scans + wait.complete_scan
        if wait.trust or wait.again:
            asked = scans = 0
        inquiry = replace(inquiry, asked=asked, complete_scans=scans)
    return {
        "stage": _next_stage(move),
        "suspect": of.suspect and not wait.trust,
        "attempt": of.attempt + 1 if _is_next_attempt(move) else of.attempt,
        "inquiry": inquiry,
    }
