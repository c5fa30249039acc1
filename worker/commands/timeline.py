"""A payment's history laid out: as lines for a person, as one object for a script. Nothing is read here."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

from db_client.history import History, Work
from handlers.domain.states import SEEN, PaymentState
from worker.commands.terminal import amount, as_json, clean, moment, shade

_MOST: Final = 400  # characters of one piece of evidence; --json has all of it


def as_object(history: History) -> dict[str, object]:
    """Everything, in the journal's own words."""
    return {
        "now": history.now,
        "payment": {"status": SEEN[PaymentState(history.payment["state"])], **history.payment},
        "operations": [
            {**work.row, "topic": work.topic, "holder": work.holder, "attempts": work.attempts}
            for work in history.work
        ],
        "evidence": history.evidence,
        "events": [asdict(event) for event in history.events],
    }


def as_text(history: History) -> list[str]:
    """How it stands, who has it, and what happened in which order."""
    happened = sorted(_happened(history), key=lambda row: row[0])
    return [
        *_head(history.payment),
        *(line for work in history.work for line in _holder(work, history.now)),
        "",
        *(f"{moment(at)}  {what:<9}  {clean(text)}" for at, what, text in happened),
    ]


def _head(payment: dict[str, Any]) -> Iterator[str]:
    status = SEEN[PaymentState(payment["state"])].value
    yield f"payment {payment['payment_id']}: {payment['state']} ({shade(status)}), version {payment['version']}"
    currency = payment["currency"]
    yield f"  amount      {amount(payment['amount_minor'], currency)}"
    yield (
        f"  totals      authorised {amount(payment['authorised_minor'], currency)},"
        f" captured {amount(payment['captured_minor'], currency)},"
        f" refunded {amount(payment['refunded_minor'], currency)}"
    )
    yield f"  for         order {payment['order_id']}, user {payment['user_id']}"
    if payment["transaction_id"]:
        yield f"  at gateway  transaction {clean(payment['transaction_id'])}"
    method = [payment["method_kind"], payment["method_brand"], payment["method_last4"]]
    if any(method):
        yield f"  paid with   {clean(' '.join(part for part in method if part))}"
    if payment["reason_code"]:
        advice = "" if payment["advice"] == "undecided" else f" (advice: {payment['advice']})"
        yield f"  reason      {clean(payment['reason_code'])} {clean(payment['reason_text'])}{advice}"


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
        text = f"attempt {it['number']} as invoice {it['invoice_number']}, {it['state']}"
        yield it["opened_at"], "opened", f"{text}, by session {it['session_id']}"
    if row["answered_at"] is not None:
        yield row["answered_at"], "answered", row["operation_id"]
    if row["concluded_at"] is not None:
        yield row["concluded_at"], "concluded", row["operation_id"]


def asked(command: dict[str, Any]) -> str:
    """A command of `db_client.command_json` on one line. It holds no secret, and none is shown."""
    means = command["means"]
    paying = (
        f"a token ({means['descriptor']})"
        if means["kind"] == "opaque_data"
        else f"the stored profile {means['customer_profile_id']}:{means['payment_profile_id']}"
    )
    until = f", not after {command['not_after']}" if command["not_after"] else ""
    return (
        f"{command['mode']} of {amount(command['amount_minor'], command['currency'])} for order"
        f" {command['order_id']} of {command['user_id']} with {paying}, issued {command['issued_at']}{until}"
    )
