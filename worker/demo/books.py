"""The books compared: the gateway's ledger, the journal, the db-service, and the events as a consumer sees them.

An auditor of its own: it knows what must be equal and shares no decision with the worker. It reads everything, so it is
for demos, tests and benchmarks, at rest. The gateway's side stands in `books_gateway.py`, the events' in
`books_told.py`.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any, Final

from avro.reader import Reader
from db_client.audit import Entry, JournalBook, RequestEntry
from worker.demo.bookkeeping import Asked, Books, Row, Tallies, Tally, ToldOf, Verdict, Waiting
from worker.demo.books_gateway import back_of, compare_ledger, is_charge, returned_of
from worker.demo.books_told import payment_told, read_events, request_told

__all__ = ["KEPT", "Asked", "Books", "Tallies", "Tally", "Verdict", "Waiting", "compare"]

# How a payment stands in the words of all four books: the gateway has no others.
KEPT: Final = "kept"
_RETURNED: Final = "returned"
_TAKEN_BACK: Final = frozenset({_RETURNED, "charged back"})  # by the bank: nothing of it is kept
_AT_GATEWAY: Final = {
    "capturedPendingSettlement": "captured",
    "settledSuccessfully": "captured",
    "settlementError": "captured",
    "authorizedPendingCapture": "authorized",
    "FDSPendingReview": "held",
    "FDSAuthorizedPendingReview": "held",
    "chargeback": "charged back",
    "voided": "given back",
    "expired": "expired",
}
_ELSEWHERE: Final = {
    "settled": "captured",
    "voided": "given back",
    "refunded": "given back",
    "partially_refunded": "partly back",
    "charged_back": "charged back",
}
_PAYMENT_FIELDS: Final = (
    "state",
    "version",
    "amount_minor",
    "authorised_minor",
    "captured_minor",
    "refunded_minor",
    "transaction_id",
)
_REFUND_FIELDS: Final = ("payment_id", "amount_minor", "state", "transaction_id")
_REFUND_STATUS: Final = {"processed": "processed", "failed": "failed"}
_INITIATED: Final = "initiated"
_TEST_OF_MEANS_MINOR: Final = 1  # an authorisation of no more than this is no sale


def compare(books: Books, reader: Reader) -> Verdict:
    """Hold the four books against each other."""
    verdict = Verdict()
    told = read_events(books, reader, verdict=verdict)
    _tally(books, told, verdict=verdict)
    _nothing_lost(books, verdict)
    compare_ledger(books, verdict=verdict)
    _recorded(books, verdict)
    _refunds_recorded(books, verdict)
    for entry in books.journal.entries:
        verdict.states[entry.state] += 1
        payment_told(entry, told[entry.payment_id], verdict=verdict)
    last = _last_parts(books.journal)
    for request in books.journal.requests:
        verdict.requests[request.kind, request.state] += 1
        is_last = last.get(request.request_id, request) is request
        request_told(request, told[request.payment_id], is_last=is_last, verdict=verdict)
    _waits(books.journal, verdict)
    if books.journal.unpublished:
        verdict.differences.append(f"{books.journal.unpublished} outbox rows are not published")
    return verdict


def _tally(books: Books, told: ToldOf, *, verdict: Verdict) -> None:
    """Each book by itself, so that a person sees four columns that say the same."""
    verdict.tallies = {
        "gateway": _tallied(_gateway_rows(books)),
        "journal": _tallied(_rows_of(map(_as_row, books.journal.entries))),
        "db-service": _tallied(_rows_of(books.recorded)),
        "events": _tallied(_rows_of(it.statuses[-1] for it in told.values() if it.statuses)),
    }


_Line = tuple[str, str, int, int]  # state, currency, amount, kept


def _tallied(lines: Iterable[_Line]) -> Tallies:
    tallies: Tallies = defaultdict(Tally)
    for state, currency, amount_minor, kept_minor in lines:
        tallies[state, currency].add(amount_minor)
        if kept_minor and state not in _TAKEN_BACK:
            tallies[KEPT, currency].add(kept_minor)
    return tallies


def _gateway_rows(books: Books) -> Iterable[_Line]:
    back, returned = back_of(books.ledger), returned_of(books.ledger)
    for row in filter(is_charge, books.ledger):
        given, taken = back.get(row["transId"], 0), row["capturedMinor"]
        status = str(row["status"])
        state = _RETURNED if row["transId"] in returned else _AT_GATEWAY.get(status, status)
        if given:
            state = "given back" if given >= taken else "partly back"
        if row["type"] == "authOnlyTransaction" and row["amountMinor"] <= _TEST_OF_MEANS_MINOR:
            state = "verified" if status == "voided" else state
        yield state, row["currency"], row["amountMinor"], taken - given


def _as_row(entry: Entry) -> Row:
    return {name: getattr(entry, name) for name in (*_PAYMENT_FIELDS, "currency")}


def _rows_of(rows: Iterable[Row]) -> Iterable[_Line]:
    for row in rows:
        kept = row["captured_minor"] - row["refunded_minor"]
        state = str(row["state"])
        yield _ELSEWHERE.get(state, state), row["currency"], row["amount_minor"], kept


def _nothing_lost(books: Books, verdict: Verdict) -> None:
    """What is not in the journal has a dead letter of its own: by its key, or one of those whose key was left out."""
    letters: Counter[tuple[str, str]] = Counter()
    for seen in books.events:
        if seen.topic not in books.kinds:
            letters[seen.topic, seen.key.decode(errors="replace")] += 1
    keyless = sum(count for (_, key), count in letters.items() if not key)
    known = {entry.payment_id for entry in books.journal.entries}
    dead = {key for _, key in letters}
    lost = [it for it in dict.fromkeys(books.published) if it not in known and it not in dead]
    done = {it.operation_id for it in books.journal.requests}
    for asked in dict.fromkeys(books.requests):
        if asked.operation_id in done:
            continue
        place = f"{asked.topic}.dlq", asked.payment_id
        if letters[place]:
            letters[place] -= 1
        else:
            lost.append(asked.operation_id)
    if len(lost) > keyless:
        some = ", ".join(lost[:5])
        verdict.differences.append(
            f"lost: {len(lost)} commands, {keyless} dead letters without a key; {some}"
        )


def _recorded(books: Books, verdict: Verdict) -> None:
    recorded = {row["payment_id"]: row for row in books.recorded}
    for entry in books.journal.entries:
        row = recorded.get(entry.payment_id)
        if entry.version == 0:
            continue
        if row is None:
            verdict.differ(entry.payment_id, "not in the db-service")
            continue
        _fields(entry.payment_id, row, journal=_as_row(entry), verdict=verdict)


def _refunds_recorded(books: Books, verdict: Verdict) -> None:
    """Each refund that was told of stands in the db-service as the last of its operations does."""
    recorded = {row["refund_id"]: row for row in books.refunds}
    asked = {it.request_id for it in books.journal.requests if it.kind == "refund"}
    for request_id, it in _last_parts(books.journal).items():
        row = recorded.get(request_id)
        if row is None:
            verdict.differ(f"refund {request_id}", "not in the db-service")
            continue
        known: dict[str, Any] = {name: getattr(it, name) for name in _REFUND_FIELDS}
        known["refund_status"] = _REFUND_STATUS.get(it.state, _INITIATED)
        _fields(f"refund {request_id}", row, journal=known, verdict=verdict)
    for request_id in recorded.keys() - asked:
        verdict.differ(f"refund {request_id}", "in the db-service, unknown to the journal")


def _last_parts(journal: JournalBook) -> dict[str, RequestEntry]:
    """Refund id → the last of its operations that was told of: the earlier ones left it to that one."""
    last: dict[str, RequestEntry] = {}
    for it in journal.requests:
        before = last.get(it.request_id)
        if it.kind == "refund" and it.state != "requested":
            last[it.request_id] = it if before is None or before.part < it.part else before
    return last


def _fields(name: str, row: Row, *, journal: Row, verdict: Verdict) -> None:
    for field, value in journal.items():
        if row[field] != value:
            both = f"{row[field]} in the db-service, {value} in the journal"
            verdict.differ(name, f"{field} is {both}")


def _waits(journal: JournalBook, verdict: Verdict) -> None:
    """All that is not over is due at a known time; only what stands in line behind such a one need not be."""
    everything: list[Entry | RequestEntry] = [*journal.entries, *journal.requests]
    held = {it.payment_id for it in everything if it.due_at is not None}
    for it in everything:
        if it.stage != "concluded":
            _wait(it, in_line=it.stage == "queued" and it.payment_id in held, verdict=verdict)


def _wait(it: Entry | RequestEntry, *, in_line: bool, verdict: Verdict) -> None:
    what = "payment" if isinstance(it, Entry) else f"{it.kind} {it.request_id}"
    if it.due_at is not None:
        due = it.due_at.isoformat(timespec="seconds")
    elif in_line:
        due = "after the one before it"
    else:
        due = "being worked on"
        name = it.payment_id if isinstance(it, Entry) else f"{what} of {it.payment_id}"
        verdict.differ(name, f"{it.stage} without a due time")
    state = it.stage if it.stage == "queued" else it.state
    verdict.waiting.append(Waiting(it.payment_id, what, state, it.why, due))
