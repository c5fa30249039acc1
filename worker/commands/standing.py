"""How a payment stands now: as lines for a person, as one object for a script. Nothing is read here."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from db_client.history import History
from handlers.domain.commands import Kind
from handlers.domain.recovery import Stage
from handlers.domain.states import SEEN_REQUEST, RequestState, RequestStatus
from worker.commands.terminal import amount, clean, moment, shade
from worker.commands.timeline import advice_of, head, payment_object

_WAITS: Final[Mapping[str, str]] = {
    Stage.QUEUED.value: "in line",
    Stage.ADMITTED.value: "about to be planned or sent",
    Stage.OPEN.value: "sent, not answered yet",
    Stage.ANSWERED.value: "decided, not told yet",
    Stage.ASKING.value: "the gateway is asked",
    Stage.DEFERRED.value: "goes on later",
}
_OF_A_REQUEST: Final = (
    "operation_id",
    "kind",
    "amount_minor",
    "reserved_minor",
    "stage",
    "due_at",
    "promised_at",
    "why",
    "asked",
    "suspect",
    "reason_code",
    "reason_text",
    "advice",
    "transaction_id",
    "admitted_at",
    "answered_at",
    "concluded_at",
)
_OF_AN_INITIATION: Final = (
    "operation_id",
    "stage",
    "due_at",
    "why",
    "asked",
    "complete_scans",
    "suspect",
)


def as_object(history: History) -> dict[str, object]:
    """Snapshot, initiation, requests, line."""
    rows = [work.row for work in history.work]
    initiations = [it for it in rows if it["kind"] == Kind.INITIATION.value]
    return {
        "now": history.now,
        "payment": payment_object(history.payment),
        "initiation": _picked(initiations[0], _OF_AN_INITIATION) if initiations else None,
        "requests": [_request(row) for row in rows if row["kind"] != Kind.INITIATION.value],
        "in_line": _in_line(rows),
    }


def _picked(row: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, object]:
    return {name: row[name] for name in names}


def _request(row: Mapping[str, Any]) -> dict[str, object]:
    status = SEEN_REQUEST[RequestState(row["request_state"])]
    return {
        "request_id": _request_id(row),
        "state": row["request_state"],
        "status": status.value,
        **_picked(row, _OF_A_REQUEST),
        "currency": row["command"].get("currency"),
        "advice": advice_of(row, is_good=status is RequestStatus.PROCESSED),
    }


def _request_id(row: Mapping[str, Any]) -> str:
    return str(row["command"].get(f"{row['kind']}_id") or row["operation_id"])


def _in_line(rows: list[dict[str, Any]]) -> list[str]:
    return [it["operation_id"] for it in rows if it["stage"] == Stage.QUEUED.value]


def as_text(history: History) -> list[str]:
    """What it is, what was asked of it, and what it waits for."""
    rows = [work.row for work in history.work]
    currency = history.payment["currency"] if history.payment else ""
    payment_id = rows[0]["payment_id"] if rows else ""
    return [
        *head(history),
        *_initiation(rows),
        *(line for row in rows for line in _asked(row, currency)),
        *_line(rows),
        f"  more        run_worker.py payments history {clean(payment_id)}",
        f"  not taken   run_worker.py dead-letters list --payment {clean(payment_id)}",
    ]


def _initiation(rows: list[dict[str, Any]]) -> Iterator[str]:
    for row in rows:
        if row["kind"] == Kind.INITIATION.value and row["stage"] != Stage.CONCLUDED.value:
            yield f"  waits       {_waiting(row)}"


def _asked(row: Mapping[str, Any], currency: str) -> Iterator[str]:
    if row["kind"] == Kind.INITIATION.value:
        return
    state, status = row["request_state"], SEEN_REQUEST[RequestState(row["request_state"])].value
    # What is asked in another currency than the payment's is refused, and its amount is in that one.
    minor, named = row["amount_minor"], row["command"].get("currency") or currency
    money = f" of {amount(minor, named)}" if minor and named else ""
    stands = shade(status) if state == status else f"{state} ({shade(status)})"
    yield f"  {row['kind']:<11} {clean(_request_id(row))}{money}: {stands}"
    if row["reserved_minor"]:
        yield f"              keeps {amount(row['reserved_minor'], currency)} reserved"
    if row["reason_code"]:
        yield f"              {clean(row['reason_code'])} {clean(row['reason_text'])}"
    if row["transaction_id"]:
        yield f"              transaction {clean(row['transaction_id'])}"
    if row["stage"] != Stage.CONCLUDED.value:
        yield f"              waits: {_waiting(row)}"


def _waiting(row: Mapping[str, Any]) -> str:
    what = _WAITS.get(row["stage"], row["stage"])
    due = f", due {moment(row['due_at'])}" if row["due_at"] else ""
    why = f": {clean(row['why'])}" if row["why"] else ""
    asked = f" (asked {row['asked']} times)" if row["asked"] else ""
    return f"{what}{asked}{due}{why}"


def _line(rows: list[dict[str, Any]]) -> Iterator[str]:
    queued = _in_line(rows)
    if queued:
        yield f"  in line     {clean(', '.join(queued))}"
