"""A payment's history laid out: as lines for a person, as one object for a script. Nothing is read here."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from db_client.history import History, Work
from handlers.domain.commands import Kind
from handlers.domain.states import SEEN, PaymentState, PaymentStatus
from handlers.domain.verdicts import Advice
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
    status = SEEN[PaymentState(payment["state"])]
    advice = advice_of(payment, is_good=status is PaymentStatus.SUCCESS)
    return {"status": status, **payment, "marks": marks, "advice": advice}


def advice_of(row: Mapping[str, Any], *, is_good: bool) -> str | None:
    """The row's advice for another try, as the events tell it: none where all is well."""
    return None if is_good and row["advice"] == Advice.UNDECIDED else str(row["advice"])


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
    currency = history.payment["currency"] if history.payment else None
    for work in history.work:
        yield from _work(work, currency)
    for run in _runs(history.evidence):
        yield run.began, "evidence", run.text()
    for event in history.events:
        state = "published" if event.published else "waiting to be published"
        yield (
            event.created_at,
            "event",
            f"{event.topic} {event.event_id}: {state} (number {event.number} of {event.session_id})",
        )


@dataclass(slots=True)
class _Run:
    """The same evidence of one operation, so many times in a row."""

    row: Mapping[str, Any]
    began: datetime
    ended: datetime
    count: int = 1

    def text(self) -> str:
        body = as_json(self.row["body"])
        shown = body if len(body) <= _MOST else f"{body[:_MOST]}… (--json shows all)"
        if self.count == 1:
            return f"{self.row['what']} {shown}"
        times = f"{self.count} times, from {moment(self.began)} to {moment(self.ended)}"
        return f"{self.row['what']} {times}: {shown}"


def _runs(evidence: list[dict[str, Any]]) -> list[_Run]:
    """What was heard over and over stands once: an undecided payment is asked for hundreds of times."""
    runs: list[_Run] = []
    last: dict[str, _Run] = {}  # of each operation
    for row in evidence:
        run = last.get(row["operation_id"])
        if run and (run.row["what"], run.row["body"]) == (row["what"], row["body"]):
            run.ended, run.count = row["at"], run.count + 1
        else:
            run = last[row["operation_id"]] = _Run(row, began=row["at"], ended=row["at"])
            runs.append(run)
    return runs


def _work(work: Work, currency: str | None) -> Iterator[tuple[datetime, str, str]]:
    row = work.row
    yield (
        row["admitted_at"],
        "admitted",
        f"from {work.topic}[{row['partition']}]@{row['offset']}: {asked(row['command'], currency)}",
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


def asked(command: Mapping[str, Any], currency: str | None = None) -> str:
    """A command of `db_client.command_json` on one line. It holds no secret, and none is shown.

    `currency`: the payment's, for a request that does not name its own.
    """
    kind = Kind(command.get("kind", Kind.INITIATION))
    if kind is Kind.INITIATION:
        return _initiation(command)
    return _request(command, kind, currency=command.get("currency") or currency)


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


def _request(command: Mapping[str, Any], kind: Kind, *, currency: str | None) -> str:
    said = [f"{kind} {command[f'{kind}_id']}"]
    if command.get("amount_minor") is not None:
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
