"""What must hold at the end of a campaign, said once more from the outside: the ledger, the events, what was published.

The auditor of the four books (`worker/demo/audit.py`) compares everything with the journal; here the journal is asked
for nothing but whether something still waits. What differs between the two is a bug in one of them.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from db_client.audit import JournalBook
from handlers.domain.commands import Kind
from tests.acceptance.mixed_load import Day
from tests.campaign.hearing import Heard

Row = Mapping[str, Any]
_LIVE: Final = frozenset(
    {"authorizedPendingCapture", "capturedPendingSettlement", "settledSuccessfully"}
)
_REFUNDED: Final = frozenset({"refundPendingSettlement", "refundSettledSuccessfully"})
_CHARGES: Final = frozenset({"authCaptureTransaction", "authOnlyTransaction"})
_DECIDED: Final = frozenset(
    """authorized captured settled verified declined refused failed voided expired
    partially_refunded refunded""".split()
)


class Breach(StrEnum):
    """What the issue's claim is made of: each must come to none."""

    CHARGED_TWICE = "charged twice"
    LOST = "lost"
    TOLD_TWICE = "told twice"
    UNDECIDED = "undecided"
    BOOKS = "the books differ"
    RECONCILE = "reconcile finds a break"
    ENDED = "a worker ended by itself"


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that must not be. `payment_id` is empty where it is nobody's."""

    breach: Breach
    payment_id: str
    text: str

    def __str__(self) -> str:
        name = (
            f"{self.payment_id}: " if self.payment_id and self.payment_id not in self.text else ""
        )
        return f"{self.breach}: {name}{self.text}"


@dataclass(frozen=True, slots=True)
class Books:
    """What is looked at. `ledger` holds this installation's rows, all of them."""

    day: Day
    ledger: Sequence[Row]
    heard: Sequence[Heard]
    journal: JournalBook


def broken(books: Books) -> Iterator[Difference]:
    """Everything that does not hold."""
    yield from _charged_twice(books)
    yield from _lost(books)
    yield from _told_twice(books.heard)
    yield from _undecided(books.journal)


def payment_named(description: str) -> str:
    """The payment whose charge carries this description: the shop writes its name and the number."""
    name, _, number = description.rpartition(" ")
    return f"{name}-{int(number):06d}" if name and number.isdigit() else ""


def _charged_twice(books: Books) -> Iterator[Difference]:
    live: dict[str, list[Row]] = defaultdict(list)
    for row in books.ledger:
        if row["type"] in _CHARGES and row["status"] in _LIVE:
            live[payment_named(row["description"])].append(row)
    for name, rows in live.items():
        if len(rows) > 1:
            ids = ", ".join(str(row["transId"]) for row in rows)
            text = f"{len(rows)} live charges at the gateway: {ids}"
            yield Difference(Breach.CHARGED_TWICE, name, text)
    yield from _paid_twice(books, live)


def _paid_twice(books: Books, live: Mapping[str, list[Row]]) -> Iterator[Difference]:
    """An order that two payments keep money for; what went back in full does not count."""
    back: Counter[str] = Counter()
    for row in books.ledger:
        if row["type"] == "refundTransaction" and row["status"] in _REFUNDED:
            back[row["refTransId"]] += row["amountMinor"]
    order_of = {it.payment_id: it.order_id for it in books.journal.entries}
    keeping: dict[str, list[str]] = defaultdict(list)
    for name, rows in live.items():
        kept = sum(row["capturedMinor"] - back[row["transId"]] for row in rows)
        if kept > 0 and name in order_of:
            keeping[order_of[name]].append(name)
    for order_id, names in keeping.items():
        if len(names) > 1:
            text = f"order {order_id} is paid by {', '.join(names)}"
            yield Difference(Breach.CHARGED_TWICE, names[-1], text)


def _lost(books: Books) -> Iterator[Difference]:
    """Each command was answered by an event, or lies in a dead-letter topic."""
    told: set[str] = set()
    answered: set[str] = set()
    dead: set[tuple[str, str]] = set()
    for it in books.heard:
        if not it.kind:
            dead.add((it.seen.topic, it.payment_id))
            continue
        told.add(it.payment_id)
        answered.update(it.answers)
        request = it.record.get("request")
        if request:
            answered.add(f"{request['kind']}:{request['request_id']}")
    dead_payments = {name for _, name in dead}
    for name in sorted(books.day.payments - told - dead_payments):
        yield Difference(Breach.LOST, name, "nobody was told of it, and it is no dead letter")
    for asked in books.day.asked:
        if asked.operation_id in answered or (f"{asked.topic}.dlq", asked.payment_id) in dead:
            continue
        text = f"{asked.operation_id} was not answered, and is no dead letter"
        yield Difference(Breach.LOST, asked.payment_id, text)


def _told_twice(heard: Iterable[Heard]) -> Iterator[Difference]:
    """No event id comes twice, no version of a payment comes twice in a topic, none comes after a later one."""
    once: set[tuple[str, str]] = set()
    last: dict[tuple[str, str], int] = {}
    for it in heard:
        if it.is_repeat:
            continue
        place = it.seen.topic, it.event_id
        if place in once:
            yield Difference(Breach.TOLD_TWICE, it.payment_id, f"event {it.event_id} came twice")
        once.add(place)
        version = it.record.get("version", it.record.get("payment_version"))
        if version is None:
            continue
        before = last.get((it.seen.topic, it.payment_id), 0)
        if version <= before:
            text = f"version {version} came after version {before} on {it.seen.topic}"
            yield Difference(Breach.TOLD_TWICE, it.payment_id, text)
        last[it.seen.topic, it.payment_id] = version


def _undecided(journal: JournalBook) -> Iterator[Difference]:
    for entry in journal.entries:
        if entry.stage != "concluded" or entry.state not in _DECIDED:
            text = f"is {entry.state}, {entry.stage}: {entry.why or 'no reason given'}"
            yield Difference(Breach.UNDECIDED, entry.payment_id, text)
    for it in journal.requests:
        if it.stage != "concluded":
            text = f"{it.kind} {it.request_id} is {it.state}, {it.stage}: {it.why or 'no reason given'}"
            yield Difference(Breach.UNDECIDED, it.payment_id, text)


def kinds_of(day: Day) -> Counter[str]:
    """How many commands of each kind were published, poison beside them."""
    found: Counter[str] = Counter()
    for cue in day.cues:
        if cue.poison:
            found["poison"] += 1
        elif cue.asked is None:
            found[Kind.INITIATION.value] += 1
        else:
            found[cue.asked.operation_id.partition(":")[0]] += 1
    return found
