"""The moves of an operation on its way, in memory: `db_client/progress.py`, and `telling.py` for the last one.

Evidence alone is appended unguarded: what the gateway said is kept, whoever holds the operation now.
"""

from datetime import datetime
from typing import Final

from db_client.moves import Answer, Conclude, Outrun, Park
from handlers.domain.intents import Question
from handlers.domain.payments import renumbered
from handlers.domain.recovery import Stage
from handlers.domain.states import NOTHING_TAKEN, PaymentState
from handlers.orders import MARK_TAKEN
from handlers.ports import Lost, Moved, OnePayment, Operation, Queued
from tests.simulation.memory_journal_database import MemoryDatabase
from tests.simulation.memory_journal_ground import MemoryGround, RefusedError, insist_lawful
from tests.simulation.memory_journal_lanes import (
    answer_verifications,
    heed_rulings,
    line_up_suspects,
    release,
)
from tests.simulation.memory_journal_opening import claim_order, let_go, wish
from tests.simulation.memory_journal_outbox import last_told, tell_verifications, write_outbox
from tests.simulation.memory_journal_rows import (
    ANSWERED,
    OPEN,
    UNSENT,
    AttemptRow,
    EvidenceRow,
    OperationRow,
    changed_inquiry,
    changed_operation,
    changed_payment,
)

_LOST: Final = Lost()
_QUEUED: Final = Queued()
_OUTRUN: Final = "the db-service knew this version with other news: the journal lost time"
_HAS_ITS_ORDER: Final = frozenset(
    {
        PaymentState.AUTHORIZED,
        PaymentState.CAPTURED,
        PaymentState.HELD,
        PaymentState.UNKNOWN,
        PaymentState.CONFLICTED,
    }
)
_SENT: Final = frozenset({Stage.OPEN, Stage.ASKING})
_LEAVES_ITS_ORDER: Final = NOTHING_TAKEN | {PaymentState.REFUNDED, PaymentState.RETURNED}


def append_evidence(
    database: MemoryDatabase, move: Answer | Park, *, by: str, at: datetime
) -> None:
    """Whatever the gateway said is kept, whoever holds the operation now (P6)."""
    told = move.told if isinstance(move, Answer) else None
    database.add_evidence(
        EvidenceRow(
            move.operation.operation_id,
            payment_id=move.operation.payment.payment_id,
            session_id=by,
            at=at,
            told=told,
            body=move.evidence if isinstance(move, Answer) else move.wait.evidence,
        )
    )


def answer(ground: MemoryGround, move: Answer) -> Moved | Lost:
    """Evidence first, then the news on payment and request where the operation is still ours."""
    of, told = move.operation, move.told
    row = ground.mine(of)
    if row is None:
        append_evidence(ground.database, move, by=ground.me, at=ground.now)
        return _LOST
    database, payment = ground.database, row.folder.payment
    if payment is None or payment.known.version != told.payment.version - 1:
        raise RefusedError("a payment has moved on under another operation")
    insist_lawful(told.payment)
    append_evidence(ground.database, move, by=ground.me, at=ground.now)
    database.touch(row)
    database.touch(payment)
    database.move(row, stage=Stage.ANSWERED, due_at=None)
    row.why = ""
    row.answered_at = payment.updated_at = ground.now
    if of.stage is Stage.OPEN:
        row.until = max(row.until, ground.after(ground.limits.deadline_s))
    row.erased = True
    row.request = told.request
    row.follow_up = move.follow_up
    payment.known = told.payment
    if told.payment.state in _LEAVES_ITS_ORDER:
        let_go(ground, payment.payment_id)
    if ground.limits.one_payment is not OnePayment.OFF:
        _claim_late(ground, move)
    _settle_attempts(row, ANSWERED)
    if move.found is not None:
        _write_found(ground, row, move=move, found=move.found)
    return Moved(
        changed_operation(
            of,
            stage=Stage.ANSWERED,
            payment=told.payment,
            request=told.request,
            follow_up=move.follow_up,
            answered_at=ground.now,
        )
    )


def _claim_late(ground: MemoryGround, move: Answer) -> None:
    """What was found, not opened here, claims its order now. Where another payment has it, both are marked."""
    known = move.told.payment
    if (
        move.operation.stage is Stage.OPEN
        or known.state not in _HAS_ITS_ORDER
        or known.state is move.operation.payment.state
    ):
        return
    wished = wish(ground, known.order_id, payment_id=known.payment_id)
    claim_order(ground, wished)
    if wished.taken_by:
        for payment_id in (known.payment_id, wished.taken_by):
            payment = ground.database.payments.get(payment_id)
            if payment is not None:
                ground.database.touch(payment)
                marks = (*payment.known.marks, MARK_TAKEN)
                payment.known = changed_payment(payment.known, marks=marks)


def _write_found(ground: MemoryGround, row: OperationRow, *, move: Answer, found: Question) -> None:
    """An attempt that the journal forgot, or remembers as unsent."""
    number = move.operation.attempt
    for tried in row.attempts:
        if tried.number == number:
            tried.state = ANSWERED
            tried.invoice_number = found.invoice_number
            tried.merchant_account = found.merchant_account
            return
    ground.database.add_attempt(
        row,
        AttemptRow(
            number,
            invoice_number=found.invoice_number,
            merchant_account=found.merchant_account,
            about=found.about,
            state=ANSWERED,
            request={},
            session_id=ground.me,
            opened_at=ground.now,
        ),
    )


def _settle_attempts(row: OperationRow, state: str) -> None:
    for attempt in row.attempts:
        if attempt.state == OPEN:
            attempt.state = state


def outrun(ground: MemoryGround, move: Outrun) -> Moved | Lost:
    """The same news under a version above all that was told in the time that the journal lost."""
    row = ground.mine(move.operation)
    if row is None:
        return _LOST
    payment = row.folder.payment
    if payment is None or payment.known.version >= move.version:
        raise RefusedError("a payment is beyond the version that it was to outrun")
    ground.database.touch(row)
    ground.database.touch(payment)
    row.why = _OUTRUN
    payment.known = renumbered(payment.known, version=move.version)
    told = renumbered(move.operation.payment, version=move.version)
    return Moved(changed_operation(move.operation, payment=told))


def park(ground: MemoryGround, move: Park) -> Moved | Lost:
    """Due again later; what was learned on the way is kept."""
    of, wait = move.operation, move.wait
    if wait.evidence:
        append_evidence(ground.database, move, by=ground.me, at=ground.now)
    is_back = goes_back_in_line(ground, move)
    row = ground.mine(of)
    if row is None:
        return _LOST
    stage = Stage.QUEUED if is_back else _parked_in(of, move)
    anew = wait.trust or wait.again
    ground.database.touch(row)
    due_at = None if stage is Stage.QUEUED else ground.after(wait.seconds)
    row.suspect = row.suspect and not wait.trust
    ground.database.move(row, stage=stage, due_at=due_at)
    row.why = wait.why
    row.asked = 0 if anew else row.asked + wait.asked
    row.complete_scans = 0 if anew else row.complete_scans + wait.complete_scan
    if wait.unsent or wait.told or anew:
        _settle_attempts(row, UNSENT if wait.unsent else ANSWERED)
    if wait.release or is_back:
        release(ground, row)
    if wait.asked and row.folder.line:
        heed_rulings(ground, row.folder)
        if of.stage is Stage.ASKING:
            _answer_those_in_line(ground, row)
    return Moved(_parked(of, move, stage=stage))


def goes_back_in_line(ground: MemoryGround, move: Park) -> bool:
    """Whether it is a request that is trusted now: others of its payment may have been done, and go first."""
    of = move.operation
    if not move.wait.trust or of.request is None:
        return False
    line_up_suspects(ground, ground.database.folder(of.payment.payment_id))
    return True


def _parked_in(of: Operation, move: Park) -> Stage:
    wait = move.wait
    if wait.unsent or wait.again:
        return Stage.ADMITTED
    if wait.told:
        return Stage.ASKING
    return Stage.DEFERRED if wait.release else of.stage


def _answer_those_in_line(ground: MemoryGround, row: OperationRow) -> None:
    """The gateway was asked, and nothing new came of it: whoever waits for that hears what is known."""
    told = last_told(ground, row.payment_id, topic=ground.limits.status_topic)
    if told is not None:  # else a dead session told it, and may not have published it
        tell_verifications(ground, answer_verifications(ground, row.folder), told=told)


def _parked(of: Operation, move: Park, *, stage: Stage) -> Operation:
    """What a wait changes of its operation."""
    inquiry, wait = of.inquiry, move.wait
    if inquiry is not None:
        anew = wait.trust or wait.again
        inquiry = changed_inquiry(
            inquiry,
            asked=0 if anew else inquiry.asked + wait.asked,
            complete_scans=0 if anew else inquiry.complete_scans + wait.complete_scan,
        )
    is_next = wait.again or (wait.trust and of.stage in _SENT)
    return changed_operation(
        of,
        stage=stage,
        suspect=of.suspect and not wait.trust,
        attempt=of.attempt + 1 if is_next else of.attempt,
        inquiry=inquiry,
    )


def conclude(ground: MemoryGround, move: Conclude) -> Moved | Lost | Queued:
    """Events into the outbox, the end (or how it goes on) on the operation, the lane to the next, in one commit."""
    of, wait = move.operation, move.wait
    if _is_queued(ground, of.payment.payment_id):
        return _QUEUED
    row = ground.mine(of)
    if row is None:
        return _LOST
    ground.database.touch(row)
    inquiry = of.inquiry
    if wait is None:
        stage = Stage.CONCLUDED
        ground.database.move(row, stage=stage, due_at=None)
        row.concluded_at = ground.now
        row.erased = True
        row.why = ""
    else:
        stage = Stage.DEFERRED if wait.release else Stage.ASKING
        ground.database.move(row, stage=stage, due_at=ground.after(wait.seconds))
        row.concluded_at = None
        row.why = wait.why
        row.asked += wait.asked
        if inquiry is not None:
            inquiry = changed_inquiry(inquiry, asked=inquiry.asked + wait.asked)
    _tell(ground, row, move=move)
    if stage is not Stage.ASKING:
        release(ground, row)
    elif row.folder.line:
        _answer_by_news(ground, row, move=move)
    return Moved(changed_operation(of, stage=stage, inquiry=inquiry))


def _is_queued(ground: MemoryGround, payment_id: str) -> bool:
    """The payment's last event lies unpublished in another session's outbox: ours must not overtake it."""
    payment = ground.database.payments.get(payment_id)
    if payment is None or payment.event_session is None or payment.event_session == ground.me:
        return False
    teller = ground.database.sessions.get(payment.event_session)
    number = payment.event_number
    return teller is not None and number is not None and number >= teller.watermark


def _tell(ground: MemoryGround, row: OperationRow, *, move: Conclude) -> None:
    payment = row.folder.payment
    if not move.messages:
        return
    number = write_outbox(
        ground, move.messages, payment_id=row.payment_id, operation_id=row.operation_id
    )
    if payment is not None:
        ground.database.touch(payment)
        payment.event_session, payment.event_number = ground.me, number


def _answer_by_news(ground: MemoryGround, row: OperationRow, *, move: Conclude) -> None:
    """What is told just now is the answer to whoever asked for it, where the lane is kept."""
    topic = ground.limits.status_topic
    told = [message for message in move.messages if message.topic == topic]
    if told:
        over = answer_verifications(ground, row.folder)
        tell_verifications(ground, over, told=told[-1])
