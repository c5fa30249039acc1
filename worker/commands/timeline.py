"""A payment's history laid out: as lines for a person, as one object for a script. Nothing is read here."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

from db_client.history import History, Work
from handlers.domain.commands import Kind
from handlers.domain.states import SEEN, PaymentState
from worker.commands.terminal import amount, as_json, clean, moment, shade

_MOST: Final = 400  # characters of one piece of evidence; --json has all of it


def as_object(history: History) -> dict[str, object]:
    """Everything, in the journal's own words."""
    return {
        "now": history.now,
        "payment": payment_object(history.payment),
        "operations": [
            {**work.row, "topic": work.topic, "holder": work.holder, "attempts": work.attempts}
            for work in history.work
        ],
        "evidence": history.evidence,
        "events": [asdict(event) for event in history.events],
    }


def payment_object(payment: Mapping[str, Any] | None) -> dict[str, object] | None:
    """The payment's row, its marks as a list, and how the outside sees it."""
    if payment is None:
        return None
    marks = [it for it in payment["marks"].split(",") if it]
    return {"status": SEEN[PaymentState(payment["state"])], **payment, "marks": marks}


def as_text(history: History) -> list[str]:
    """How it stands, who has it, and what happened in which order."""
    happened = sorted(_happened(history), key=lambda row: row[0])
    return [
        *head(history),
        *(line for work in history.work for line in _holder(work, history.now)),
        "",
        *(f"{moment(at)}  {what:<9}  {clean(text)}" for at, what, text in happened),
    ]


def head(history: History) -> Iterator[str]:
    """The payment itself; where it is not known yet, that requests wait for it."""
    payment = history.payment
    if payment is None:
        waiting = clean(history.work[0].row["payment_id"]) if history.work else ""
        yield f"payment {waiting} is not known yet; what is here waits for it"
        return
    status = SEEN[PaymentState(payment["state"])].value
    yield f"payment {payment['payment_id']}: {payment['state']} ({shade(status)}), version {payment['version']}"
    currency = payment["currency"]
    yield f"  amount      {amount(payment['amount_minor'], currency)}"
    yield f"  totals      {_totals(payment, currency)}"
    yield f"  for         order {payment['order_id']}, user {payment['user_id']}"
    if payment["transaction_id"]:
        yield f"  at gateway  transaction {clean(payment['transaction_id'])}"
    if payment["expires_at"]:
        yield f"  expires     {moment(payment['expires_at'])}: the gateway lets the authorisation go then"
    if payment["marks"]:
        yield f"  marked      {clean(payment['marks'])}: rules that it broke while they were not enforced"
    method = [payment["method_kind"], payment["method_brand"], payment["method_last4"]]
    if any(method):
        yield f"  paid with   {clean(' '.join(part for part in method if part))}"
    if payment["reason_code"]:
        advice = "" if payment["advice"] == "undecided" else f" (advice: {payment['advice']})"
        yield f"  reason      {clean(payment['reason_code'])} {clean(payment['reason_text'])}{advice}"


def _totals(payment: Mapping[str, Any], currency: str) -> str:
    """What moved, and what requests under way have reserved."""
    said = [
        f"{name} {amount(payment[f'{name}_minor'], currency)}"
        for name in ("authorised", "captured", "refunded")
    ]
    said += [
        f"{name} {amount(payment[f'{name}_minor'], currency)}"
        for name in ("capturing", "refunding")
        if payment[f"{name}_minor"]
    ]
    return ", ".join(said)


def _holder(work: Work, now: datetime) -> Iterator[str]:
    row, holder = work.row, work.holder
    name = f"{row['operation_id']} ({row['stage']})"
    if row["stage"] == "concluded":
        yield f"  operation   {name}: nobody holds it any more"
        return
    if holder is None:
        yield f"  operation   {name}: held by session {row['session_id']}, of which nothing is known"
    elif holder["alive"]:
        yield (
            f"  operation   {name}: held by session {holder['session_id']}, alive"
            f" (process {holder['pid']} on {clean(holder['host'])})"
        )
    else:
        ended = f"ended {moment(holder['ended_at'])}" if holder["ended_at"] else "its lease ran out"
        yield (
            f"  operation   {name}: held by session {holder['session_id']}, dead ({ended});"
            " any live worker of the group takes it over"
        )
    if row["due_at"] is not None:
        left_s = (row["due_at"] - now).total_seconds()
        when = f"in {left_s:.0f} s" if left_s > 0 else "now"
        yield f"  waits       due {moment(row['due_at'])} ({when}): {clean(row['why']) or 'no reason given'}"
    if row["asked"]:
        yield (
            f"  asked       the gateway {row['asked']} times, {row['complete_scans']} complete scans without it"
        )
    if row["suspect"]:
        yield "  suspect     the journal may have forgotten it: asked for before it is sent"


def _happened(history: History) -> Iterator[tuple[datetime, str, str]]:
    for work in history.work:
        yield from _work(work)
    for row in history.evidence:
        body = as_json(row["body"])
        shown = body if len(body) <= _MOST else f"{body[:_MOST]}… (--json shows all)"
        yield row["at"], "evidence", f"{row['what']} {shown}"
    for event in history.events:
        state = "published" if event.published else "waiting to be published"
        yield (
            event.created_at,
            "event",
            f"{event.topic} {event.event_id}: {state} (number {event.number} of {event.session_id})",
        )


def _work(work: Work) -> Iterator[tuple[datetime, str, str]]:
    row = work.row
    yield (
        row["admitted_at"],
        "admitted",
        f"from {work.topic}[{row['partition']}]@{row['offset']}: {asked(row['command'])}",
    )
    for it in work.attempts:
        text = f"attempt {it['number']} ({it['about']}) as invoice {it['invoice_number']}, {it['state']}"
        yield it["opened_at"], "opened", f"{text}, by session {it['session_id']}"
    reason = f": {row['reason_code']} {row['reason_text']}" if row["reason_code"] else ""
    if row["answered_at"] is not None:
        yield row["answered_at"], "answered", f"{row['operation_id']}{reason}"
    if row["concluded_at"] is not None:
        state = f": {row['request_state']}" if row["request_state"] else ""
        yield row["concluded_at"], "concluded", f"{row['operation_id']}{state}"


def asked(command: Mapping[str, Any]) -> str:
    """A command of `db_client.command_json` on one line. It holds no secret, and none is shown."""
    kind = Kind(command.get("kind", Kind.INITIATION))
    return _initiation(command) if kind is Kind.INITIATION else _request(command, kind)


def _initiation(command: Mapping[str, Any]) -> str:
    until = f", not after {command['not_after']}" if command["not_after"] else ""
    return (
        f"{command['mode']} of {amount(command['amount_minor'], command['currency'])} for order"
        f" {command['order_id']} of {command['user_id']} with {_means(command['means'])},"
        f" issued {command['issued_at']}{until}"
    )


def _means(means: Mapping[str, str]) -> str:
    match means["kind"]:
        case "opaque_data":
            return f"a token ({means['descriptor']})"
        case "stored_profile":
            return (
                f"the stored profile {means['customer_profile_id']}:{means['payment_profile_id']}"
            )
        case other:
            return f"a {other.replace('_', ' ')}"


def _request(command: Mapping[str, Any], kind: Kind) -> str:
    said = [f"{kind} {command[f'{kind}_id']}"]
    if command.get("amount_minor") is not None:
        currency = command.get("currency")
        minor = command["amount_minor"]
        said.append(f"of {amount(minor, currency) if currency else f'{minor} minor units'}")
    said.append(f"about payment {command['payment_id']}")
    if command.get("continuation", 1) > 1:
        said.append(f"(goes on, part {command['continuation']})")
    if command["user_id"]:
        said.append(f"asked by {command['user_id']}")
    ruling = command.get("ruling")
    if ruling:
        did = "happened" if ruling["happened"] else "did not happen"
        where = f" as transaction {ruling['transaction_id']}" if ruling["transaction_id"] else ""
        said.append(f"with the word of {ruling['by']} that it {did}{where}: {ruling['why']}")
    if command["reason"]:
        said.append(f"because: {command['reason']}")
    return f"{' '.join(said)}, issued {command['issued_at']}"
