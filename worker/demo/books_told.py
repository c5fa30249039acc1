"""The events as a consumer sees them: each told once, in version order, and what each piece of news had to say.

What a state says to orders and customers is written out a second time on purpose: an auditor that imports the table it
audits finds nothing.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Final

from avro import catalog
from avro.reader import Reader
from db_client.audit import Entry, RequestEntry
from worker.demo.bookkeeping import Books, Told, ToldOf, Verdict
from worker.kafka_admin import Seen

_ORDER_NEWS: Final = {
    "captured": "PAID",
    "authorized": "AUTHORIZED",
    "declined": "PAYMENT_FAILED",
    "refused": "PAYMENT_FAILED",
    "failed": "PAYMENT_FAILED",
    "expired": "PAYMENT_FAILED",
    "returned": "PAYMENT_FAILED",
    "charged_back": "PAYMENT_FAILED",
    "held": "CHARGE_HELD",
    "voided": "CANCELED",
    "partially_refunded": "PARTIALLY_REFUNDED",
    "refunded": "REFUNDED",
}
_NOTICES: Final = {
    "captured": "PAYMENT_RECEIVED",
    "authorized": "PAYMENT_AUTHORIZED",
    "declined": "PAYMENT_DECLINED",
    "refused": "PAYMENT_FAILED",
    "failed": "PAYMENT_FAILED",
    "expired": "PAYMENT_FAILED",
    "returned": "PAYMENT_FAILED",
    "held": "PAYMENT_WAITING",
    "unknown": "PAYMENT_WAITING",
    "voided": "PAYMENT_CANCELED",
    "partially_refunded": "PAYMENT_REFUNDED",
    "refunded": "PAYMENT_REFUNDED",
}
_NOTICES_OF_REFUNDS: Final = {
    "deferred": "REFUND_WAITING",
    "unknown": "REFUND_WAITING",
    "failed": "REFUND_FAILED",
}
_OUTSIDE: Final = {
    "requested": "INITIATED",
    "deferred": "INITIATED",
    "unknown": "INITIATED",
    "continued": "INITIATED",
    "conflicted": "INITIATED",
    "processed": "PROCESSED",
    "failed": "FAILED",
}
_TOTALS: Final = ("authorised_minor", "captured_minor", "refunded_minor")
_UNTOLD: Final = "requested"
_SETTLED_STAGES: Final = frozenset({"concluded", "asking", "deferred"})


def read_events(books: Books, reader: Reader, *, verdict: Verdict) -> ToldOf:
    """Everything that was told, by payment. Counts events, dead letters and repeats; names what was told twice."""
    told: ToldOf = defaultdict(Told)
    once: dict[bytes, dict[str, Any]] = {}
    answered: list[tuple[str, bytes]] = []
    for seen in books.events:
        kind, event_id = books.kinds.get(seen.topic), seen.headers["ce_id"]
        if kind is None:
            _letter(seen, once, books=books, verdict=verdict)
            continue
        record: dict[str, Any] = reader.read(kind, seen.value)
        payment_id = record["payment_id"]
        if "repeat_of" in seen.headers or "answers" in seen.headers:
            answered.append((payment_id, event_id))
            verdict.repeats += "repeat_of" in seen.headers
            told[payment_id].answered.update(_names(seen))
            continue
        before = once.setdefault(event_id, record)
        if before is not record and books.time_lost and _same_news(before, record):
            verdict.repeats += 1
            continue
        if before is not record:
            verdict.differ(payment_id, f"told twice on {seen.topic}")
        verdict.events[kind] += 1
        _shelf(told[payment_id], kind).append(record)
    for payment_id, event_id in answered:
        if event_id not in once:
            verdict.differ(payment_id, "a repeat was answered by an event that nobody was told")
    return told


def _names(seen: Seen) -> list[str]:
    return [it for it in seen.headers.get("answers", b"").decode().split(",") if it]


def _shelf(told: Told, kind: str) -> list[dict[str, Any]]:
    match kind:
        case catalog.PAYMENT_STATUS:
            return told.statuses
        case catalog.ORDER_EVENTS:
            return told.orders
        case _:
            return told.notices


def _letter(
    seen: Seen, once: dict[bytes, dict[str, Any]], *, books: Books, verdict: Verdict
) -> None:
    verdict.dead_letters[seen.headers["dlq.reason"].decode()] += 1
    if seen.headers["ce_id"] in once and not books.time_lost:
        verdict.differences.append(f"dead letter told twice on {seen.topic}")
    once[seen.headers["ce_id"]] = {}


def _same_news(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Equal but for when and in which words: what was found has another reason text than what was answered."""
    words = dict.fromkeys(("occurred_at", "reason_code", "reason_text"))
    return {**one, **words} == {**other, **words}


def payment_told(entry: Entry, told: Told, *, verdict: Verdict) -> None:
    """Versions without a gap, the last one as the journal has it, and each piece of news told to whom it concerns."""
    if entry.stage not in _SETTLED_STAGES:
        return
    name = entry.payment_id
    versions = [record["version"] for record in told.statuses]
    if versions != list(range(1, entry.version + 1)):
        verdict.differ(name, f"told versions {versions}, stands at {entry.version}")
    if told.statuses:
        last = told.statuses[-1]
        if last["state"] != entry.state:
            verdict.differ(name, f"told {last['state']}, is {entry.state}")
        for total in _TOTALS:
            if last[total] != getattr(entry, total):
                both = f"told {last[total]}, {getattr(entry, total)} in the journal"
                verdict.differ(name, f"{total}: {both}")
    wanted = list(_news_of(told))
    orders = [(it["payment_version"], it["news"]) for it in told.orders]
    if orders != [(version, news) for version, news, _ in wanted if news]:
        expected = [f"{news} (version {version})" for version, news, _ in wanted if news]
        found = [f"{news} (version {version})" for version, news in orders]
        verdict.differ(name, f"order_events told {found}, {expected} is right")
    notices = [(it["payment_version"], it["template"]) for it in told.notices]
    if notices != [(version, notice) for version, _, notice in wanted if notice]:
        expected = [f"{notice} (version {version})" for version, _, notice in wanted if notice]
        found = [f"{notice} (version {version})" for version, notice in notices]
        verdict.differ(name, f"notification_events told {found}, {expected} is right")


def _news_of(told: Told) -> Iterator[tuple[int, str, str]]:
    """Version, what orders and what the customer must be told with it, "" for nothing."""
    before, refunded = _UNTOLD, 0
    for record in told.statuses:
        state, request = record["state"], record["request"]
        # A second partial refund is news although the state's name is the same.
        came = state != before or record["refunded_minor"] > refunded
        before, refunded = state, record["refunded_minor"]
        notice = ""
        if came:
            notice = _NOTICES.get(state, "")
        elif request is not None and request["kind"] == "refund":
            notice = _NOTICES_OF_REFUNDS.get(request["state"], "")
        yield record["version"], _ORDER_NEWS.get(state, "") if came else "", notice


def request_told(entry: RequestEntry, told: Told, *, is_last: bool, verdict: Verdict) -> None:
    """Whoever asked was answered by a payment_status that names the request and says how it stands now.

    `is_last`: no other operation went on with the same request, under the same id.
    """
    name = f"{entry.kind} {entry.request_id} of {entry.payment_id}"
    if entry.stage == "concluded" and entry.state in {_UNTOLD, "unknown", "deferred"}:
        verdict.differ(name, f"over, but {entry.state}")
    if entry.state == _UNTOLD or entry.stage not in _SETTLED_STAGES:
        return
    answers = [record["request"] for record in told.statuses if _is_about(record["request"], entry)]
    if not answers:
        if entry.operation_id not in told.answered:
            verdict.differ(name, "was never answered")
        return
    if not is_last:
        if entry.state not in {it["state"] for it in answers}:
            verdict.differ(name, f"was never told to be {entry.state}")
        return
    last = answers[-1]
    for field, known in (
        ("state", entry.state),
        ("request_status", _OUTSIDE[entry.state]),
        ("transaction_id", entry.transaction_id),
        ("amount_minor", entry.amount_minor or 0),
    ):
        if last[field] != known:
            verdict.differ(name, f"{field}: told {last[field]}, {known} in the journal")


def _is_about(request: Mapping[str, Any] | None, entry: RequestEntry) -> bool:
    return (
        request is not None
        and request["kind"] == entry.kind
        and request["request_id"] == entry.request_id
    )
