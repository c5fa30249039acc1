"""The whole journal as rows, from PostgreSQL and from memory, so that the two can be compared column by column.

Ids that only a server gives (incarnations, evidence numbers) are told by their order. No claim lives here.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from db_client import command_json
from db_client.payment_rows import payment_row, request_row
from handlers.domain.commands import Command, InitiatePayment, amount_of
from tests.contract.journal_stage import JournalStage
from tests.simulation.memory_journal_database import MemoryDatabase
from tests.simulation.memory_journal_rows import (
    OperationRow,
    OutboxRow,
    PaymentRow,
    SessionRow,
)

Rows = dict[str, list[dict[str, Any]]]

_TABLES: Final = {
    "operation": "operation_id",
    "payment": "payment_id",
    "attempt": "operation_id, number",
    "evidence": "evidence_id",
    "outbox": "session_id, number",
    "order_claim": "claim",
    "position": "topic_id, partition",
    "finder": "merchant_account",
    "session": "session_id",
    "lease": "session_id",
}
_PARTS: Final = ", ".join(
    f"'{name}', (SELECT coalesce(json_agg(t), '[]') FROM (SELECT * FROM \"{name}\" ORDER BY {key}) t)"  # noqa: S608 - names of ours
    for name, key in _TABLES.items()
)
_ALL: Final = f"SELECT json_build_object({_PARTS})"
_MOMENTS: Final = frozenset(
    "due_at since until admitted_at answered_at concluded_at promised_at expires_at created_at updated_at opened_at at"
    " claimed_at started_at ended_at rehomed_at alive_until held_since walked_until".split()
)
_headers: Final = msgspec.msgpack.Encoder()


def real_rows(stage: JournalStage) -> Rows:
    """What PostgreSQL has."""
    found: Rows = stage.one(_ALL)
    for rows in found.values():
        for row in rows:
            for name in _MOMENTS & row.keys():
                row[name] = _moment(row[name])
    for row in found["operation"]:
        row["means_sealed"] = row["means_sealed"] is not None
    for row in found["evidence"]:
        del row["evidence_id"]
    for row in found["session"]:
        del row["host"], row["pid"]
    _by_order(found["session"])
    return found


def _moment(value: str | datetime | None) -> str | None:
    """To the millisecond: two transactions of one step differ by less in memory, and not at all on the server."""
    if value is None:
        return None
    at = datetime.fromisoformat(value) if isinstance(value, str) else value
    return at.isoformat(timespec="milliseconds")


def _by_order(sessions: Sequence[dict[str, Any]]) -> None:
    """Incarnations as numbers, in the order in which they are met."""
    known: dict[str, int] = {}
    for row in sorted(sessions, key=lambda it: str(it["started_at"])):
        row["incarnation"] = known.setdefault(row["incarnation"], len(known))


def memory_rows(database: MemoryDatabase) -> Rows:
    """The same columns out of memory."""
    operations = sorted(database.operations.values(), key=lambda it: it.operation_id)
    outbox = sorted(database.outbox.values(), key=lambda it: (it.session_id, it.number))
    sessions = sorted(database.sessions.values(), key=lambda it: it.session_id)
    rows: Rows = {
        "operation": [_operation(it) for it in operations],
        "payment": [_payment(database.payments[it]) for it in sorted(database.payments)],
        "attempt": [attempt for it in operations for attempt in _attempts(it)],
        "evidence": _evidence(database),
        "outbox": [_message(it) for it in outbox],
        "order_claim": _claims(database),
        "position": _positions(database),
        "finder": _finders(database),
        "session": [_session(it) for it in sessions],
        "lease": [
            {"session_id": it.session_id, "alive_until": _moment(it.alive_until)}
            for it in sessions
            if it.alive_until is not None
        ],
    }
    _by_order(rows["session"])
    return rows


def _json(command: Command | None) -> Any:
    return None if command is None else command_json.to_json(command)


def _operation(row: OperationRow) -> dict[str, Any]:
    has_secret = command_json.secret_of(row.command) is not None
    columns = {
        "operation_id": row.operation_id,
        "kind": row.kind.value,
        "payment_id": row.payment_id,
        "fingerprint": command_json.fingerprint(row.command),
        "command": _json(row.command),
        "means_sealed": has_secret and not row.erased,
        "traceparent": row.traceparent,
        "topic_id": row.source.topic_id,
        "partition": row.source.partition,
        "offset": row.source.offset,
        "session_id": row.session_id,
        "token": row.token,
        "stage": row.stage.value,
        "arrival": row.arrival,
        "follow_up": _json(row.follow_up),
        "suspect": row.suspect,
        "due_at": _moment(row.due_at),
        "why": row.why,
        "asked": row.asked,
        "complete_scans": row.complete_scans,
        "since": _moment(row.since),
        "until": _moment(row.until),
        "admitted_at": _moment(row.admitted_at),
        "answered_at": _moment(row.answered_at),
        "concluded_at": _moment(row.concluded_at),
        **request_row(row.request),
    }
    if row.request is not None and row.answered_at is None:
        assert not isinstance(row.command, InitiatePayment)
        columns["amount_minor"] = amount_of(row.command)
    columns["promised_at"] = _moment(columns["promised_at"])
    return columns


def _payment(row: PaymentRow) -> dict[str, Any]:
    known = payment_row(row.known)
    expires_at = row.known.expires_at
    return {
        **known,
        "order_id": row.known.order_id,
        "user_id": row.known.user_id,
        "amount_minor": row.known.money.amount_minor,
        "currency": row.known.money.currency,
        "expires_at": _moment(expires_at),
        "held_by": row.held_by,
        "event_session": row.event_session,
        "event_number": row.event_number,
        "created_at": _moment(row.created_at),
        "updated_at": _moment(row.updated_at),
    }


def _attempts(row: OperationRow) -> list[dict[str, Any]]:
    return [
        {
            "operation_id": row.operation_id,
            "number": it.number,
            "invoice_number": it.invoice_number,
            "merchant_account": it.merchant_account,
            "about": it.about.value,
            "state": it.state,
            "request": dict(it.request),
            "session_id": it.session_id,
            "opened_at": _moment(it.opened_at),
        }
        for it in row.attempts
    ]


def _evidence(database: MemoryDatabase) -> list[dict[str, Any]]:
    return [
        {
            "operation_id": it.operation_id,
            "payment_id": it.payment_id,
            "session_id": it.session_id,
            "at": _moment(it.at),
            "what": it.what,
            "transaction_id": it.transaction_id,
            "body": dict(it.body),
        }
        for it in database.evidence
    ]


def _message(row: OutboxRow) -> dict[str, Any]:
    message = row.message
    return {
        "session_id": row.session_id,
        "number": row.number,
        "topic": message.topic,
        "key": _bytes(message.key),
        "value": None if message.value is None else _bytes(message.value),
        "headers": _bytes(_headers.encode(message.headers)),
        "event_id": message.event_id,
        "payment_id": row.payment_id,
        "operation_id": row.operation_id,
        "answers": row.answers,
        "created_at": _moment(row.created_at),
    }


def _bytes(value: bytes) -> str:
    return f"\\x{value.hex()}"


def _claims(database: MemoryDatabase) -> list[dict[str, Any]]:
    return [
        {
            "claim": it.claim,
            "payment_id": it.payment_id,
            "paid_minor": it.paid_minor,
            "claimed_at": _moment(it.claimed_at),
        }
        for it in (database.claims[name] for name in sorted(database.claims))
    ]


def _positions(database: MemoryDatabase) -> list[dict[str, Any]]:
    return [
        {
            "topic_id": it.topic_id,
            "partition": it.partition,
            "topic": it.topic,
            "next_offset": it.next_offset,
            "updated_at": _moment(it.updated_at),
            "suspect_below": it.suspect_below,
        }
        for it in (database.positions[key] for key in sorted(database.positions))
    ]


def _finders(database: MemoryDatabase) -> list[dict[str, Any]]:
    return [
        {
            "merchant_account": it.merchant_account,
            "currency": it.currency,
            "session_id": it.session_id,
            "held_since": _moment(it.held_since),
            "walked_until": _moment(it.walked_until),
        }
        for it in (database.finders[name] for name in sorted(database.finders))
    ]


def _session(row: SessionRow) -> dict[str, Any]:
    return {
        "session_id": row.session_id,
        "group_name": row.group,
        "started_at": _moment(row.started_at),
        "ended_at": _moment(row.ended_at),
        "ended_why": row.ended_why,
        "rehomed_at": _moment(row.rehomed_at),
        "rehomed_by": row.rehomed_by,
        "commits": row.commits,
        "next_number": row.next_number,
        "watermark": row.watermark,
        "incarnation": row.incarnation,
    }


def differences(real: Rows, memory: Rows) -> list[str]:
    """Where the two are not the same, column by column."""
    found: list[str] = []
    for table, there in real.items():
        here = memory[table]
        if len(there) != len(here):
            found.append(f"{table}: {len(there)} rows, in memory {len(here)}")
        for row, other in zip(there, here, strict=False):
            found += [f"{table} {next(iter(row.values()))}: {it}" for it in _unequal(row, other)]
    return found


def _unequal(row: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    missing = object()
    names = sorted({*row, *other})
    return [
        f"{name} is {row.get(name, missing)!r}, in memory {other.get(name, missing)!r}"
        for name in names
        if row.get(name, missing) != other.get(name, missing)
    ]


def indexes(database: MemoryDatabase) -> str:
    """Every index of the database as one text, in an order that does not depend on how it came about."""
    folders = {
        folder.payment_id: (
            folder.payment is not None,
            sorted(it.operation_id for it in folder.operations),
            [it.operation_id for it in folder.line],
            [(it.session_id, it.number) for it in folder.told],
            sorted(it.claim for it in folder.claims),
        )
        for folder in database.folders.values()
        if folder.payment or folder.operations or folder.told or folder.claims
    }
    estates = {
        name: (
            sorted(it.unfinished),
            [(str(due_at), row.operation_id) for due_at, _, row in it.dated],
            [(str(due_at), row.operation_id) for due_at, _, row in it.deferred],
            [row.number for row in it.outbox],
        )
        for name, it in database.estates.items()
        if it.unfinished or it.outbox
    }
    whole = [
        folders,
        estates,
        {name: row.place for name, row in database.answers.items()},
        database.told,
        dict.fromkeys(database.lines),
        database.invoices,
    ]
    return json.dumps(whole, sort_keys=True)
