"""The books compared: the gateway's ledger, the journal, the db-service, and the events as a consumer sees them.

An auditor of its own: it knows what must be equal and shares no decision with the worker. It reads everything, so it is
for demos, tests and benchmarks, at rest.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from avro.reader import Reader
from db_client.audit import Entry, JournalBook
from worker.kafka_admin import Seen

_CHARGED: Final = frozenset({"captured", "authorized"})
_NOT_CHARGED: Final = frozenset({"declined", "refused", "failed"})
_APPROVED_STATUS: Final = frozenset(
    {"capturedPendingSettlement", "authorizedPendingCapture", "settledSuccessfully"}
)
_STATE_AT_GATEWAY: Final = {
    "capturedPendingSettlement": "captured",
    "settledSuccessfully": "captured",
    "authorizedPendingCapture": "authorized",
    "FDSPendingReview": "held",
    "FDSAuthorizedPendingReview": "held",
}
# What a consumer of order_events and notification_events must see for a payment's state, written out a second time on
# purpose: an auditor that imports the table it audits finds nothing.
_ORDER_NEWS: Final = {
    "captured": "PAID",
    "authorized": "AUTHORIZED",
    "declined": "PAYMENT_FAILED",
    "refused": "PAYMENT_FAILED",
    "failed": "PAYMENT_FAILED",
    "held": "CHARGE_HELD",
}


@dataclass(frozen=True, slots=True)
class Waiting:
    """A payment that is not final: why, and when it is due."""

    payment_id: str
    state: str
    why: str
    due: str


@dataclass(slots=True)
class Tally:
    """How many payments, and their amounts together in minor units."""

    count: int = 0
    amount_minor: int = 0

    def add(self, amount_minor: int) -> None:
        """One more."""
        self.count += 1
        self.amount_minor += amount_minor


Tallies = dict[tuple[str, str], Tally]  # (state, currency) → tally


@dataclass(slots=True)
class Verdict:
    """What the comparison found. `differences` is empty where the books are equal."""

    differences: list[str] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)
    charged: int = 0
    states: Counter[str] = field(default_factory=Counter)
    dead_letters: Counter[str] = field(default_factory=Counter)
    repeats: int = 0
    events: Counter[str] = field(default_factory=Counter)
    tallies: dict[str, Tallies] = field(default_factory=dict)  # book → its tallies

    @property
    def equal(self) -> bool:
        """True where nothing differs."""
        return not self.differences


@dataclass(frozen=True, slots=True)
class Books:
    """The four books, read at rest. `published`: payment ids that an independent producer asked for.

    `time_lost`: the journal was put back in time. What was told in the lost time may be told again, then, under the
    same event id and with the same news, in other words perhaps; a consumer that knows event ids sees it once.
    """

    ledger: Sequence[Mapping[str, Any]]
    journal: JournalBook
    recorded: Sequence[Mapping[str, Any]]
    events: Sequence[Seen]
    published: Iterable[str]
    kinds: Mapping[str, str]
    time_lost: bool = False


def compare(books: Books, reader: Reader) -> Verdict:
    """Hold the four books against each other."""
    verdict = Verdict()
    entries = {entry.payment_id: entry for entry in books.journal.entries}
    told = _told(books, reader, verdict=verdict)
    _tally(books, told, verdict=verdict)
    _nothing_lost(books, entries, verdict=verdict)
    _nothing_twice(books, entries, verdict=verdict)
    _recorded(books, entries, verdict=verdict)
    for entry in entries.values():
        verdict.states[entry.state] += 1
        _waits(entry, verdict)
        _events(entry, told.get(entry.payment_id, {}), verdict=verdict)
    if books.journal.unpublished:
        verdict.differences.append(f"{books.journal.unpublished} outbox rows are not published")
    return verdict


def _tally(
    books: Books, told: Mapping[str, Mapping[str, list[dict[str, Any]]]], *, verdict: Verdict
) -> None:
    """Each book by itself, so that a person sees four columns that say the same."""
    gateway: Tallies = defaultdict(Tally)
    for row in books.ledger:
        state = _STATE_AT_GATEWAY.get(row["status"], row["status"])
        gateway[state, row["currency"]].add(row["amountMinor"])
    journal: Tallies = defaultdict(Tally)
    for entry in books.journal.entries:
        journal[entry.state, entry.currency].add(entry.amount_minor)
    recorded: Tallies = defaultdict(Tally)
    for row in books.recorded:
        recorded[row["state"], row["currency"]].add(row["amount_minor"])
    events: Tallies = defaultdict(Tally)
    for kinds in told.values():
        for record in kinds.get("payment_status", [])[-1:]:
            events[record["state"], record["currency"]].add(record["amount_minor"])
    verdict.tallies = {
        "gateway": gateway,
        "journal": journal,
        "db-service": recorded,
        "events": events,
    }


def _nothing_lost(books: Books, entries: Mapping[str, Entry], *, verdict: Verdict) -> None:
    """Who is not in the journal has a dead letter of its own: by its key, or one of those whose key was left out."""
    letters = [seen.key for seen in books.events if seen.topic not in books.kinds]
    keyless = letters.count(b"")
    absent = [it for it in books.published if it not in entries]
    lost = [it for it in absent if it.encode() not in letters]
    if len(lost) > keyless:
        some = ", ".join(lost[:5])
        verdict.differences.append(
            f"lost: {len(lost)} commands, {keyless} dead letters without a key; {some}"
        )


def _nothing_twice(books: Books, entries: Mapping[str, Entry], *, verdict: Verdict) -> None:
    charged: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in books.ledger:
        if row["status"] in _APPROVED_STATUS:
            charged[row["invoiceNumber"]].append(row)
    verdict.charged = len(charged)
    for invoice, rows in charged.items():
        if len(rows) > 1:
            verdict.differences.append(
                f"charged {len(rows)} times at the gateway: invoice {invoice}"
            )
    # A charge that a journal forgot was found by its derived number: no attempt of it stands in the journal.
    found = {row["transId"]: invoice for invoice, rows in charged.items() for row in rows}
    by_entry = {
        entry.payment_id: entry.invoice_number or found.get(entry.transaction_id or "", "")
        for entry in entries.values()
    }
    ours = set(by_entry.values())
    for invoice in charged.keys() - ours:
        verdict.differences.append(f"charged at the gateway, unknown to the journal: {invoice}")
    for entry in entries.values():
        wrong = _misfit(entry, charged.get(by_entry[entry.payment_id], []))
        if wrong:
            verdict.differences.append(f"{entry.payment_id}: {wrong}")


def _misfit(entry: Entry, rows: Sequence[Mapping[str, Any]]) -> str:
    """What is wrong between a payment and the approved charges under its invoice number, or ""."""
    if entry.state in _NOT_CHARGED and rows:
        return f"{entry.state}, but CHARGED at the gateway"
    if entry.state not in _CHARGED:
        return ""
    if not rows:
        return f"{entry.state}, but not charged"
    if rows[0]["transId"] != entry.transaction_id:
        return "another transaction id than the gateway's"
    if rows[0]["approvedMinor"] != entry.authorised_minor:
        approved = rows[0]["approvedMinor"]
        return f"{approved} minor units at the gateway, {entry.authorised_minor} in the journal"
    return ""


def _recorded(books: Books, entries: Mapping[str, Entry], *, verdict: Verdict) -> None:
    recorded = {row["payment_id"]: row for row in books.recorded}
    for entry in entries.values():
        row = recorded.get(entry.payment_id)
        if entry.version == 0:
            continue
        if row is None:
            verdict.differences.append(f"{entry.payment_id}: not in the db-service")
            continue
        for name in (
            "state",
            "version",
            "amount_minor",
            "authorised_minor",
            "captured_minor",
            "transaction_id",
        ):
            if row[name] != getattr(entry, name):
                both = f"{row[name]} in the db-service, {getattr(entry, name)} in the journal"
                verdict.differences.append(f"{entry.payment_id}: {name} is {both}")


def _waits(entry: Entry, verdict: Verdict) -> None:
    if entry.stage != "concluded":
        due = entry.due_at.isoformat(timespec="seconds") if entry.due_at else "being worked on"
        verdict.waiting.append(Waiting(entry.payment_id, entry.state, entry.why, due))
        if entry.due_at is None:
            verdict.differences.append(f"{entry.payment_id}: {entry.stage} without a due time")


def _told(
    books: Books, reader: Reader, *, verdict: Verdict
) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Payment id → kind → its records in the order of the topic, each told once."""
    told: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    ids: dict[bytes, dict[str, Any]] = {}
    answered: list[tuple[str, bytes]] = []
    for seen in books.events:
        kind = books.kinds.get(seen.topic)
        if kind is None:
            verdict.dead_letters[seen.headers["dlq.reason"].decode()] += 1
            if seen.headers["ce_id"] in ids and not books.time_lost:
                verdict.differences.append(f"dead letter told twice on {seen.topic}")
            ids[seen.headers["ce_id"]] = {}
            continue
        record: dict[str, Any] = reader.read(kind, seen.value)
        event_id = seen.headers["ce_id"]
        if "repeat_of" in seen.headers:
            verdict.repeats += 1
            answered.append((record["payment_id"], event_id))
            continue
        before = ids.setdefault(event_id, record)
        if before is not record and books.time_lost and _same_news(before, record):
            verdict.repeats += 1
            continue
        if before is not record:
            verdict.differences.append(f"{record['payment_id']}: told twice on {seen.topic}")
        verdict.events[kind] += 1
        told[record["payment_id"]][kind].append(record)
    for payment_id, event_id in answered:
        if event_id not in ids:
            verdict.differences.append(
                f"{payment_id}: a repeat was answered by an event that nobody was told"
            )
    return told


def _same_news(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Equal but for when and in which words: what was found has another reason text than what was answered."""
    words = dict.fromkeys(("occurred_at", "reason_code", "reason_text"))
    return {**one, **words} == {**other, **words}


def _events(entry: Entry, told: Mapping[str, list[dict[str, Any]]], *, verdict: Verdict) -> None:
    statuses = told.get("payment_status", [])
    versions = [record["version"] for record in statuses]
    final = entry.stage in {"concluded", "asking"}
    if final and versions != list(range(1, entry.version + 1)):
        verdict.differences.append(
            f"{entry.payment_id}: told versions {versions}, stands at {entry.version}"
        )
    if final and statuses and statuses[-1]["state"] != entry.state:
        verdict.differences.append(
            f"{entry.payment_id}: told {statuses[-1]['state']}, is {entry.state}"
        )
    news = [record["news"] for record in told.get("order_events", [])]
    wanted = _ORDER_NEWS.get(entry.state)
    if final and wanted and news.count(wanted) != 1:
        verdict.differences.append(
            f"{entry.payment_id}: order_events told {news}, {wanted} once is right"
        )
