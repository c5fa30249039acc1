"""The line before each payment, in memory: `db_client/lanes.py` move for move."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Final

from db_client.moves import FINDER_TOPIC_ID
from handlers.domain.commands import Kind, VerifyPayment, VoidPayment
from handlers.domain.recovery import LOOKED_AGAIN, Stage
from handlers.domain.states import RequestState
from handlers.domain.verdicts import Advice, Reason
from tests.simulation.memory_journal_ground import MemoryGround
from tests.simulation.memory_journal_rows import Folder, OperationRow, changed_request

_VERIFIED: Final = Reason(
    "worker.verified", "The gateway was asked, and it is still not decided.", Advice.UNDECIDED
)
_HEEDED_S: Final = 30.0


def grant(ground: MemoryGround, payments: Iterable[str]) -> None:
    """Give each free lane among `payments` to the first in its line."""
    for payment_id in payments:
        folder = ground.database.lines.get(payment_id)
        if folder is not None:
            _give(ground, folder)


def _give(ground: MemoryGround, folder: Folder) -> None:
    payment = folder.payment
    if payment is None or payment.held_by is not None:
        return
    database = ground.database
    first = next((it for it in folder.line if it.suspect), folder.line[0])
    if not first.suspect and any(_goes_first(ground, it) for it in folder.operations):
        return
    database.touch(first)
    database.touch(payment)
    database.move(first, stage=Stage.ADMITTED, due_at=ground.now)
    first.why = ""
    payment.held_by = first.operation_id
    ground.granted = True


def _goes_first(ground: MemoryGround, row: OperationRow) -> bool:
    """Whether it may have been done in lost time, and is asked for or taken over before anything else goes."""
    if row.suspect and row.stage is Stage.DEFERRED:
        return row.due_at is not None and row.due_at <= ground.now
    if row.stage is Stage.CONCLUDED or row.session_id == ground.me:
        return False
    owner = ground.database.sessions.get(row.session_id)
    return owner is not None and owner.incarnation != ground.incarnation


def release(ground: MemoryGround, row: OperationRow) -> None:
    """Let the lane of its payment go where `row` holds it, and give it to the next in line."""
    folder = row.folder
    payment = folder.payment
    if payment is not None and payment.held_by == row.operation_id:
        ground.database.touch(payment)
        payment.held_by = None
    if folder.line:
        _give(ground, folder)


def line_up_suspects(ground: MemoryGround, folder: Folder) -> None:
    """Deferred suspects of this payment stand in line now: they are asked for before anything more is sent."""
    for row in folder.operations:
        if row.suspect and row.stage is Stage.DEFERRED:
            ground.database.touch(row)
            ground.database.move(row, stage=Stage.QUEUED, due_at=None)
            row.why = "may have been done in the lost time; waits for the operation before it"


def wait_for_payments(ground: MemoryGround, rows: Iterable[OperationRow]) -> None:
    """Those of these new requests whose payment nobody knows yet wait for it, bounded."""
    for row in rows:
        if row.folder.payment is None:
            due_at = ground.after(ground.limits.orphan_wait_s)
            ground.database.move(row, stage=row.stage, due_at=due_at)
            row.why = "its payment is not known yet"


def _is_asked_for(row: OperationRow) -> bool:
    """The gateway is asked for it, and a person may decide: told as undecided, or a suspect that nobody has in hand."""
    is_suspect = row.suspect and row.stage is Stage.ADMITTED and row.due_at is not None
    return row.stage is Stage.ASKING or is_suspect


def hasten(ground: MemoryGround, payments: Iterable[str], *, named: Iterable[str]) -> None:
    """Make due now what is asked for or deferred of `payments`; `named`: what a person ruled on."""
    ruled = frozenset(named)
    for payment_id in payments:
        ground.granted = True
        for row in ground.database.folder(payment_id).operations:
            # What the gateway refused as too early keeps its time: asking does not make it later.
            if _is_asked_for(row) or (
                row.stage is Stage.DEFERRED and (row.operation_id in ruled or not row.attempts)
            ):
                ground.database.touch(row)
                ground.database.move(row, stage=row.stage, due_at=ground.now)


def adopt(ground: MemoryGround, payments: Mapping[str, str]) -> set[str]:
    """Requests that came before these new payments (id → user) wait for them now; those that their user has voided."""
    canceled: set[str] = set()
    if not ground.database.lines:
        return canceled
    for payment_id, user_id in payments.items():
        folder = ground.database.lines.get(payment_id)
        for row in folder.line if folder is not None else ():
            ground.database.touch(row)
            ground.database.move(row, stage=row.stage, due_at=None)
            row.why = "waits for the operation before it"
            if isinstance(row.command, VoidPayment) and row.command.user_id in {"", user_id}:
                canceled.add(payment_id)
    return canceled


def go_on(ground: MemoryGround) -> int:
    """Put what was deferred until now back in line, and wake what stands in line before a free lane; how many."""
    database, back = ground.database, dict[str, None]()
    due = [row for due_at, _, row in database.estate(ground.me).deferred if due_at <= ground.now]
    for row in due:
        database.touch(row)
        database.move(row, stage=Stage.QUEUED, due_at=None)
        row.why = "due again; waits for the operation before it"
        back[row.payment_id] = None
    grant(ground, sorted({*back, *forgotten(ground)}))
    return len(back)


def forgotten(ground: MemoryGround) -> list[str]:
    """Payments whose lane is free while an operation of this session stands in line: a wake-up that nobody made."""
    return [
        folder.payment_id
        for folder in ground.database.lines.values()
        if folder.payment is not None
        and folder.payment.held_by is None
        and any(row.session_id == ground.me for row in folder.line)
    ]


def heed_rulings(ground: MemoryGround, folder: Folder) -> None:
    """Let what was asked for just now be looked at again soon where a person's word about it came meanwhile."""
    ruled = {
        row.command.ruling.about
        for row in folder.line
        if isinstance(row.command, VerifyPayment) and row.command.ruling is not None
    }
    if not ruled:
        return
    soon = ground.now + timedelta(seconds=_HEEDED_S)
    for row in folder.operations:
        if _is_asked_for(row) and row.operation_id in ruled:
            ground.database.touch(row)
            due_at = soon if row.due_at is None else min(row.due_at, soon)
            ground.database.move(row, stage=row.stage, due_at=due_at)


def _is_our_own(row: OperationRow) -> bool:
    """What the worker itself has seen is no question about the lane's holder."""
    return row.source.topic_id == FINDER_TOPIC_ID or row.operation_id.startswith(LOOKED_AGAIN)


def answer_verifications(ground: MemoryGround, folder: Folder) -> list[str]:
    """Verifications in line that are over: whoever holds the lane has asked just now, for them too."""
    over: list[str] = []
    for row in [it for it in folder.line if it.kind is Kind.VERIFICATION]:
        assert isinstance(row.command, VerifyPayment)
        if row.command.ruling is not None or _is_our_own(row):  # a person's word is heeded first
            continue
        assert row.request is not None
        ground.database.touch(row)
        ground.database.move(row, stage=Stage.CONCLUDED, due_at=row.due_at)
        row.concluded_at = ground.now
        reason = Reason(_VERIFIED.code, _VERIFIED.text, row.request.reason.advice)
        row.request = changed_request(row.request, state=RequestState.PROCESSED, reason=reason)
        row.why = ""
        over.append(row.operation_id)
    return over
