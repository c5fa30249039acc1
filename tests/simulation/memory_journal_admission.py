"""Admission in memory: `db_client/admit.py`. A polled batch becomes operations, payments, positions and dead letters.

Fingerprints are made where two commands under one id must be told apart, and not before: most never are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from db_client import command_json
from db_client.moves import Admission, Admit, Admitted, DeadLetter, Fate
from db_client.repeats import REPEAT_OF
from handlers.domain.commands import (
    Command,
    InitiatePayment,
    VerifyPayment,
    amount_of,
)
from handlers.domain.payments import Payment, Request
from handlers.domain.recovery import Inquiry, Stage
from handlers.ports import Message, Operation
from tests.simulation.memory_journal_ground import MemoryGround
from tests.simulation.memory_journal_lanes import adopt, grant, hasten, wait_for_payments
from tests.simulation.memory_journal_outbox import (
    dead_letters,
    last_told,
    quoted,
    write_outbox,
)
from tests.simulation.memory_journal_rows import OperationRow, PaymentRow, PositionRow

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(slots=True, eq=False)
class _Plan:
    """What a batch will do, before anything is done: who is new and where in it, the fates, the answers to repeats."""

    new: dict[str, Admission]
    places: Mapping[str, int]
    fates: list[Fate]
    repeats: list[tuple[Admission, Message]] = field(default_factory=list)
    letters: Sequence[DeadLetter] = ()


def admit(ground: MemoryGround, move: Admit) -> Admitted | None:
    """Admit one polled batch; None where it was judged under another incarnation of the database."""
    if move.judged_under - {ground.incarnation}:
        return None
    plan = _planned(ground, move)
    rows = _claim(ground, plan)
    users = {
        it.payment_id: it.command.user_id for it in rows if isinstance(it.command, InitiatePayment)
    }
    canceled = adopt(ground, users)
    if len(users) < len(rows):
        _line_up(ground, rows)
    for repeat, message in plan.repeats:
        write_outbox(ground, [message], answers=repeat.source.key)
    if plan.letters:
        dead_letters(ground, plan.letters)
    if move.positions:
        _positions(ground, move)
    return Admitted(
        fates=plan.fates,
        operations=[
            _operation(ground, row, canceled=row.payment_id in canceled)
            for row in rows
            if row.request is None
        ],
    )


def _planned(ground: MemoryGround, move: Admit) -> _Plan:
    """Raises where two rows of the batch would answer one record."""
    first: dict[str, Admission] = {}
    for admission in move.admissions:
        first.setdefault(admission.command.operation_id, admission)
    known = ground.database.operations
    plan = _Plan(
        new={name: it for name, it in first.items() if name not in known},
        places={name: place for place, name in enumerate(first)},
        fates=[],
        letters=move.dead_letters,
    )
    if len(plan.new) == len(move.admissions):
        plan.fates = [Fate.ADMITTED] * len(plan.new)
    else:
        _find_fates(ground, move, plan=plan)
    return plan


def _find_fates(ground: MemoryGround, move: Admit, *, plan: _Plan) -> None:
    plan.fates = [_fate(ground, it, new=plan.new) for it in move.admissions]
    answered = set[str]()  # in this batch
    letters = list(move.dead_letters)
    for admission, fate in zip(move.admissions, plan.fates, strict=True):
        if fate is Fate.CONFLICT:
            letters.append(DeadLetter(admission.source, admission.conflict()))
        elif fate is Fate.REPEATED and (key := admission.source.key) not in answered:
            message = None if key in ground.database.answers else _answer(ground, admission)
            if message is not None:
                answered.add(key)
                plan.repeats.append((admission, message))
    plan.letters = letters


def _fate(ground: MemoryGround, admission: Admission, *, new: Mapping[str, Admission]) -> Fate:
    command, source = admission.command, admission.source
    name = command.operation_id
    if name in new:
        if new[name] is admission:
            return Fate.ADMITTED
        before = new[name].command
    else:
        row = ground.database.operations[name]
        there = row.source
        if (there.topic_id, there.partition, there.offset) == (
            source.topic_id,
            source.partition,
            source.offset,
        ):
            return Fate.REDELIVERED
        before = row.command
    return Fate.REPEATED if _is_same(command, before) else Fate.CONFLICT


def _is_same(one: Command, other: Command) -> bool:
    return one == other or command_json.fingerprint(one) == command_json.fingerprint(other)


def _answer(ground: MemoryGround, repeat: Admission) -> Message | None:
    """What was told already; None where the first one is in work, whose answer is this one's, too."""
    command = repeat.command
    # Of a verification, and of the payment itself, the last snapshot is the answer, whatever it was told for.
    plain = isinstance(command, InitiatePayment | VerifyPayment)
    told = last_told(
        ground,
        command.payment_id,
        topic=ground.limits.status_topic,
        operation_id=None if plain else command.operation_id,
    )
    return told and quoted(told, name=REPEAT_OF, value=repeat.source.key)


def _claim(ground: MemoryGround, plan: _Plan) -> list[OperationRow]:
    """The new rows. What comes later in one batch stands behind."""
    database = ground.database
    arrival = (ground.now - _EPOCH) // _MICROSECOND
    if len(plan.places) > 1:
        database.take_time(len(plan.places))
    rows = [
        _row(ground, admission, name=name, arrival=arrival + plan.places[name])
        for name, admission in plan.new.items()
    ]
    for row in rows:
        command = row.command
        if isinstance(command, InitiatePayment) and command.payment_id not in database.payments:
            database.add_payment(
                PaymentRow(
                    command.payment_id,
                    known=_payment(command),
                    held_by=row.operation_id,
                    created_at=ground.now,
                    updated_at=ground.now,
                    epoch=database.epoch,
                )
            )
    return rows


def _row(ground: MemoryGround, admission: Admission, *, name: str, arrival: int) -> OperationRow:
    command, database = admission.command, ground.database
    row = OperationRow(
        operation_id=name,
        kind=command.kind,
        payment_id=command.payment_id,
        command=command,
        traceparent=admission.traceparent,
        source=admission.source,
        session_id=ground.me,
        stage=Stage.ADMITTED if isinstance(command, InitiatePayment) else Stage.QUEUED,
        arrival=arrival,
        suspect=admission.suspect,
        since=admission.since or ground.now,
        until=ground.after(ground.limits.deadline_s),
        admitted_at=ground.now,
        request=_request(command),
        serial=database.serial(),
        folder=database.folder(command.payment_id),
        epoch=database.epoch,
    )
    database.add_operation(row)
    return row


def _request(command: Command) -> Request | None:
    if isinstance(command, InitiatePayment):
        return None
    amount_minor = amount_of(command) or 0
    return Request(command.kind, command.request_id, amount_minor, why=command.reason)


def _payment(command: InitiatePayment) -> Payment:
    return Payment(command.payment_id, command.order_id, command.user_id, command.money)


def _line_up(ground: MemoryGround, rows: Sequence[OperationRow]) -> None:
    """Requests stand in line behind their payment's other work. Who asks for news makes what waits due now."""
    requests = [it for it in rows if it.request is not None]
    asking = [it.command for it in requests if isinstance(it.command, VerifyPayment)]
    ruled = [it.ruling.about for it in asking if it.ruling is not None]
    hasten(ground, dict.fromkeys(it.payment_id for it in asking), named=ruled)
    grant(ground, dict.fromkeys(it.payment_id for it in requests))
    wait_for_payments(ground, requests)


def _positions(ground: MemoryGround, move: Admit) -> None:
    database = ground.database
    for place, offset in sorted(move.positions.items()):
        topic, topic_id, partition = place
        read_at = move.since.get(place, ground.now)
        row = database.positions.get((topic_id, partition))
        if row is None:
            database.add_position(
                PositionRow(
                    topic_id,
                    partition=partition,
                    topic=topic,
                    next_offset=offset,
                    updated_at=read_at,
                    epoch=database.epoch,
                )
            )
        elif offset > row.next_offset:
            database.touch(row)
            row.next_offset, row.updated_at = offset, read_at


def _operation(ground: MemoryGround, row: OperationRow, *, canceled: bool) -> Operation:
    """A new initiation as its lane begins with it; requests are queued, and loaded when they may go."""
    payment = row.folder.payment
    assert payment is not None
    return Operation(
        row.operation_id,
        row.command,
        payment.known,
        stage=Stage.ADMITTED,
        token=1,
        suspect=row.suspect,
        inquiry=Inquiry(0, 0, since=row.since, until=row.until, now=ground.now),
        traceparent=row.traceparent,
        canceled=canceled,
        record=row.source.coordinates,
    )
