"""Admission: a polled batch becomes operations, payments, positions and dead letters in one commit.

An initiation holds its payment's lane from the start; a request about a payment is queued for it (`lanes.py`).
A command's id is claimed for ever, so the claim outlives any replay of the topic. The same record once more (a
re-delivery) is nothing new; the same content in another record is answered by what is known, under the first answer's
event id; the same id with other content is a dead letter.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Double,
    Integer,
    RowMapping,
    Text,
    bindparam,
    case,
    func,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.dialects.postgresql import insert as upsert

from db_client import command_json
from db_client.ground import Ground
from db_client.guarded import in_order
from db_client.lanes import adopt, hasten, line_up
from db_client.letters import already_answered, dead_letters
from db_client.moves import Admission, Admit, Admitted, DeadLetter, Fate
from db_client.outboxing import write_outbox
from db_client.recordset import given, rows
from db_client.repeats import REPEAT_OF, last_told
from db_client.tables import operation, payment, position
from handlers.domain.commands import Command, InitiatePayment, VerifyPayment, amount_of
from handlers.domain.payments import Payment
from handlers.domain.recovery import Inquiry, Stage
from handlers.domain.states import PaymentState, RequestState
from handlers.ports import Message, Operation

_MOMENT: Final = TIMESTAMP(timezone=True)
_SECOND: Final = text("interval '1 second'")

_asked = given(
    operation_id=Text(),
    kind=Text(),
    stage=Text(),
    arrival=BigInteger(),
    request_state=Text(),
    amount_minor=BigInteger(),
    payment_id=Text(),
    fingerprint=Text(),
    command=JSONB(),
    sealed=Text(),
    traceparent=Text(),
    topic_id=Text(),
    partition=Integer(),
    offset=BigInteger(),
    suspect=Boolean(),
    since=_MOMENT,
    deadline_s=Double(),
)
_CLAIM: Final = (
    upsert(operation)
    .from_select(
        [
            "operation_id",
            "kind",
            "payment_id",
            "fingerprint",
            "command",
            "means_sealed",
            "traceparent",
            "topic_id",
            "partition",
            "offset",
            "session_id",
            "stage",
            "arrival",
            "request_state",
            "amount_minor",
            "suspect",
            "since",
            "until",
        ],
        select(
            _asked.c.operation_id,
            _asked.c.kind,
            _asked.c.payment_id,
            _asked.c.fingerprint,
            _asked.c.command,
            func.decode(_asked.c.sealed, "hex"),
            _asked.c.traceparent,
            _asked.c.topic_id,
            _asked.c.partition,
            _asked.c.offset,
            bindparam("me", type_=Text),
            _asked.c.stage,
            _asked.c.arrival,
            _asked.c.request_state,
            _asked.c.amount_minor,
            _asked.c.suspect,
            _asked.c.since,
            func.clock_timestamp() + _asked.c.deadline_s * _SECOND,
        ),
    )
    .on_conflict_do_nothing(index_elements=["operation_id"])
    .returning(operation.c.operation_id)
)
_paid = given(
    payment_id=Text(),
    order_id=Text(),
    user_id=Text(),
    amount_minor=BigInteger(),
    currency=Text(),
    held_by=Text(),
)
_PAYMENT: Final = (
    upsert(payment)
    .from_select(
        ["payment_id", "order_id", "user_id", "amount_minor", "currency", "held_by", "state"],
        select(
            _paid.c.payment_id,
            _paid.c.order_id,
            _paid.c.user_id,
            _paid.c.amount_minor,
            _paid.c.currency,
            _paid.c.held_by,
            bindparam("state", type_=Text),
        ),
    )
    .on_conflict_do_nothing(index_elements=["payment_id"])
)
_KNOWN: Final = select(
    operation.c.operation_id,
    operation.c.fingerprint,
    operation.c.topic_id,
    operation.c.partition,
    operation.c.offset,
    operation.c.stage,
    operation.c.payment_id,
).where(operation.c.operation_id == func.any(bindparam("ids")))
_read = given(
    topic_id=Text(), partition=Integer(), topic=Text(), next_offset=BigInteger(), since=_MOMENT
)
_at = upsert(position).from_select(
    ["topic_id", "partition", "topic", "next_offset", "updated_at"],
    select(
        _read.c.topic_id,
        _read.c.partition,
        _read.c.topic,
        _read.c.next_offset,
        func.coalesce(_read.c.since, func.clock_timestamp()),
    ),
)
_POSITION: Final = _at.on_conflict_do_update(
    index_elements=["topic_id", "partition"],
    set_={
        "next_offset": func.greatest(position.c.next_offset, _at.excluded.next_offset),
        "updated_at": case(
            (_at.excluded.next_offset > position.c.next_offset, _at.excluded.updated_at),
            else_=position.c.updated_at,
        ),
    },
)


@dataclass(frozen=True, slots=True)
class Terms:
    """How long an intent may be under way, where a repeat is answered, how long a request waits for its payment."""

    deadline_s: float
    status_topic: str
    orphan_wait_s: float


def admit(ground: Ground, move: Admit, *, terms: Terms) -> Admitted | None:
    """Admit one polled batch; None where it was judged under another incarnation of the database."""
    if move.judged_under - {ground.incarnation}:
        return None
    first = _first_of_each(move.admissions)
    claimed = _claim(ground, first, deadline_s=terms.deadline_s)
    initiations = [it for it in claimed if isinstance(first[it].command, InitiatePayment)]
    users = (first[it].command for it in initiations)
    canceled = adopt(ground, {it.payment_id: it.user_id for it in users})
    _line_up(ground, [it for name, it in first.items() if name in claimed], terms=terms)
    fates = _fates(ground, move.admissions, first=first, claimed=claimed)
    _answer_repeats(ground, move.admissions, fates=fates, status_topic=terms.status_topic)
    conflicts = [
        DeadLetter(it.source, it.conflict())
        for it, fate in zip(move.admissions, fates, strict=True)
        if fate is Fate.CONFLICT
    ]
    dead_letters(ground, [*move.dead_letters, *conflicts])
    _positions(ground, move)
    new = [
        _operation(first[name], ground, deadline_s=terms.deadline_s, canceled=canceled)
        for name in first
        if name in initiations
    ]
    return Admitted(fates=fates, operations=new)


def _line_up(ground: Ground, claimed: Sequence[Admission], *, terms: Terms) -> None:
    """Requests stand in line behind their payment's other work. Who asks for news makes what waits due now."""
    requests = [it.command for it in claimed if not isinstance(it.command, InitiatePayment)]
    if not requests:
        return
    asking = [it for it in requests if isinstance(it, VerifyPayment)]
    ruled = [it.ruling.about for it in asking if it.ruling is not None]
    hasten(ground, {it.payment_id for it in asking}, named=ruled)
    line_up(
        ground,
        [it.operation_id for it in requests],
        payments={it.payment_id for it in requests},
        wait_s=terms.orphan_wait_s,
    )


def _first_of_each(admissions: Sequence[Admission]) -> dict[str, Admission]:
    first: dict[str, Admission] = {}
    for admission in admissions:
        first.setdefault(admission.command.operation_id, admission)
    return first


def _claim(ground: Ground, first: Mapping[str, Admission], *, deadline_s: float) -> set[str]:
    if not first:
        return set()
    began = int(ground.now.timestamp() * 1e6)  # what comes later in one batch stands behind
    asked = in_order(
        (
            _row(ground, it, deadline_s=deadline_s, arrival=began + place)
            for place, it in enumerate(first.values())
        ),
        "operation_id",
    )
    parameters = {**rows(asked), "me": ground.session_id}
    claimed = {row["operation_id"] for row in ground.rows(_CLAIM, parameters)}
    paid = [
        {
            "payment_id": command.payment_id,
            "order_id": command.order_id,
            "user_id": command.user_id,
            "amount_minor": command.money.amount_minor,
            "currency": command.money.currency,
            "held_by": name,
        }
        for name, command in ((name, it.command) for name, it in first.items() if name in claimed)
        if isinstance(command, InitiatePayment)
    ]
    if paid:
        state = PaymentState.REQUESTED.value
        ground.connection.execute(_PAYMENT, {**rows(in_order(paid, "payment_id")), "state": state})
    return claimed


def _row(
    ground: Ground, admission: Admission, *, deadline_s: float, arrival: int
) -> dict[str, object]:
    command, source = admission.command, admission.source
    secret = command_json.secret_of(command)
    sealed = None
    if secret is not None:
        sealed = ground.sealer.seal(secret, bound_to=command.operation_id).hex()
    return {
        "operation_id": command.operation_id,
        "kind": command.kind.value,
        **_as_asked(command),
        "arrival": arrival,
        "payment_id": command.payment_id,
        "fingerprint": command_json.fingerprint(command),
        "command": command_json.to_json(command),
        "sealed": sealed,
        "traceparent": admission.traceparent,
        "topic_id": source.topic_id,
        "partition": source.partition,
        "offset": source.offset,
        "suspect": admission.suspect,
        "since": (admission.since or ground.now).isoformat(),
        "deadline_s": deadline_s,
    }


def _as_asked(command: Command) -> dict[str, object]:
    """What of the row only requests have; an initiation starts at once, a request in line."""
    if isinstance(command, InitiatePayment):
        return {"stage": Stage.ADMITTED.value, "request_state": None}
    return {
        "stage": Stage.QUEUED.value,
        "request_state": RequestState.REQUESTED.value,
        "amount_minor": amount_of(command),
    }


def _fates(
    ground: Ground,
    admissions: Sequence[Admission],
    *,
    first: Mapping[str, Admission],
    claimed: set[str],
) -> list[Fate]:
    known = _known(ground, [name for name in first if name not in claimed])
    fates = []
    for admission in admissions:
        name, source = admission.command.operation_id, admission.source
        if first[name] is admission and name in claimed:
            fates.append(Fate.ADMITTED)
            continue
        if name in claimed:
            same_record = False
            print_before = command_json.fingerprint(first[name].command)
        else:
            row = known[name]
            before = (row["topic_id"], row["partition"], row["offset"])
            same_record = before == (source.topic_id, source.partition, source.offset)
            print_before = row["fingerprint"]
        if same_record:
            fates.append(Fate.REDELIVERED)
        elif command_json.fingerprint(admission.command) == print_before:
            fates.append(Fate.REPEATED)
        else:
            fates.append(Fate.CONFLICT)
    return fates


def _known(ground: Ground, ids: Sequence[str]) -> dict[str, RowMapping]:
    if not ids:
        return {}
    return {row["operation_id"]: row for row in ground.rows(_KNOWN, {"ids": list(ids)})}


def _answer_repeats(
    ground: Ground, admissions: Sequence[Admission], *, fates: Sequence[Fate], status_topic: str
) -> None:
    repeats = [it for it, fate in zip(admissions, fates, strict=True) if fate is Fate.REPEATED]
    answered = already_answered(ground, [it.source.key for it in repeats])
    for repeat in repeats:
        if repeat.source.key in answered:
            continue
        command = repeat.command
        # Of a verification, and of the payment itself, the last snapshot is the answer, whatever it was told for.
        plain = isinstance(command, InitiatePayment | VerifyPayment)
        name = None if plain else command.operation_id
        told = last_told(ground, command.payment_id, topic=status_topic, operation_id=name)
        if told is not None:  # else the first one is in work, and its answer is this one's, too
            answered.add(repeat.source.key)
            headers = (*told.headers, (REPEAT_OF, repeat.source.key.encode()))
            again = Message(told.topic, told.key, told.value, headers, told.event_id)
            write_outbox(ground, [again], payment_id=None, answers=repeat.source.key)


def _positions(ground: Ground, move: Admit) -> None:
    read: list[dict[str, Any]] = [
        {
            "topic": place[0],
            "topic_id": place[1],
            "partition": place[2],
            "next_offset": offset,
            "since": move.since[place].isoformat() if place in move.since else None,
        }
        for place, offset in sorted(move.positions.items())
    ]
    if read:
        ground.connection.execute(_POSITION, rows(read))


def _operation(
    admission: Admission, ground: Ground, *, deadline_s: float, canceled: Collection[str]
) -> Operation:
    command = admission.command
    assert isinstance(command, InitiatePayment), "requests are queued, and loaded when they may go"
    inquiry = Inquiry(
        asked=0,
        complete_scans=0,
        since=admission.since or ground.now,
        until=ground.after(deadline_s),
        now=ground.now,
    )
    return Operation(
        operation_id=command.operation_id,
        command=command,
        payment=Payment(command.payment_id, command.order_id, command.user_id, command.money),
        stage=Stage.ADMITTED,
        token=1,
        suspect=admission.suspect,
        inquiry=inquiry,
        traceparent=admission.traceparent,
        canceled=command.payment_id in canceled,
        record=admission.source.coordinates,
    )
