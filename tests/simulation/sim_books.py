"""The books of a run, for the auditor: plain rows of what all the parts hold. Judges nothing."""

from datetime import datetime
from typing import Any, Final

from handlers.domain.outcomes import NotificationEvent, OrderEvent, StatusEvent
from handlers.domain.recovery import Stage
from tests.simulation.auditor_books import Books, Row, Terms
from tests.simulation.memory_journal_rows import OperationRow, PaymentRow
from tests.simulation.memory_kafka_log import MemoryMessage
from tests.simulation.sim_terms import (
    ABSENCE_S,
    DEADLINE_S,
    EVENT_TOPICS,
    LEASE_S,
    LETTERS,
    MARGIN_S,
)
from tests.simulation.sim_world import World

SLACK_S: Final = 60.0
DECIDED_S: Final = 600.0


def books(world: World) -> Books:
    """Everything that was written down, at rest."""
    database = world.database
    return Books(
        asked=world.asked,
        letters=[_letter(world, it) for topic in LETTERS for it in world.kafka.records(topic)],
        events=[
            row
            for topic in EVENT_TOPICS
            for it in world.kafka.records(topic)
            if (row := _event(world, it)) is not None
        ],
        recorded=world.service.payment_rows,
        ledger=world.ledger.told(),
        sends=world.ledger.sends,
        asks=world.ledger.asks,
        operations=[_operation(it) for it in database.operations.values()],
        payments=[_payment(it) for it in database.payments.values()],
        attempts=[
            {
                "operation_id": row.operation_id,
                "number": it.number,
                "invoice_number": it.invoice_number,
                "about": it.about.value,
                "state": it.state,
            }
            for row in database.operations.values()
            for it in row.attempts
        ],
        evidence=[
            {"operation_id": it.operation_id, "session_id": it.session_id}
            for it in database.evidence
        ],
        sessions=[
            {"session_id": name, "gone_at": world.gone_at.get(name)}
            for name in {
                **database.sessions,
                **world.gone_at,
            }  # the journal may have forgotten some
        ],
        moves=world.moves,
        orders=world.orders,
        unpublished=_unpublished(world),
        faults_ended_at=world.faults_ended_at,
        now=world.now().timestamp(),
        terms=Terms(
            deadline_s=DEADLINE_S,
            absence_after_s=ABSENCE_S,
            patience_s=LEASE_S + MARGIN_S,
            slack_s=SLACK_S,
            decided_within_s=DECIDED_S,
            one_payment=True,
            lost=tuple(world.lost),
        ),
    )


def _unpublished(world: World) -> int:
    return sum(
        len(world.database.estate(name).unpublished(row.watermark))
        for name, row in world.database.sessions.items()
        if row.rehomed_at is None
    )


def _headers(message: MemoryMessage) -> dict[str, bytes]:
    return dict(message.headers() or ())


def _letter(world: World, message: MemoryMessage) -> Row:
    said = {name: value.decode() for name, value in _headers(message).items()}
    return {
        "topic": said.get("dlq.topic", ""),
        "partition": int(said.get("dlq.partition", -1)),
        "offset": int(said.get("dlq.offset", -1)),
        "reason": said.get("dlq.reason", ""),
        "n": world.kafka.committed_at.get(id(message.txn), 0),
    }


def _event(world: World, message: MemoryMessage) -> Row | None:
    told = world.said.events.get(message.value() or b"")
    if told is None:
        return None
    headers = _headers(message)
    event, payment = told.event, told.event.payment
    txn = message.txn
    row: dict[str, Any] = {
        "topic": message.topic(),
        "event_id": headers.get("ce_id", b"").decode(),
        "payment_id": payment.payment_id,
        "version": payment.version,
        "n": world.kafka.committed_at.get(id(txn), 0),
        "repeat_of": headers.get("repeat_of", b"").decode(),
        "answers": tuple(it for it in headers.get("answers", b"").decode().split(",") if it),
        "occurred_at": told.at.timestamp(),
    }
    match event:
        case StatusEvent(payment=known, request=request):
            about = None
            if request is not None:
                about = {
                    "kind": request.kind.value,
                    "request_id": request.request_id,
                    "state": request.state.value,
                }
            row |= {
                "state": known.state.value,
                "reason_code": known.reason.code,
                "request": about,
                "authorised_minor": known.authorised_minor,
                "captured_minor": known.captured_minor,
                "refunded_minor": known.refunded_minor,
            }
        case OrderEvent(news=news):
            row["news"] = news.value.upper()
        case NotificationEvent(template=template):
            row["template"] = template.value.upper()
    return row


def _operation(row: OperationRow) -> Row:
    request, known = row.request, row.folder.payment
    reason = None if known is None else known.known.reason.code
    return {
        "operation_id": row.operation_id,
        "kind": row.kind.value,
        "payment_id": row.payment_id,
        "stage": row.stage.value,
        "request_state": None if request is None else request.state.value,
        "reserved_minor": 0 if request is None else request.reserved_minor,
        "reason_code": reason if request is None else request.reason.code,
        "due_at": _seconds(None if row.stage is Stage.CONCLUDED else row.due_at),
    }


def _payment(row: PaymentRow) -> Row:
    of = row.known
    names = ("authorised", "captured", "capturing", "refunded", "refunding")
    totals = {f"{name}_minor": getattr(of, f"{name}_minor") for name in names}
    return {
        "payment_id": of.payment_id,
        "state": of.state.value,
        "version": of.version,
        **totals,
    }


def _seconds(at: datetime | None) -> float | None:
    return None if at is None else at.timestamp()
