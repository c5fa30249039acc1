"""The journal against what was told: the db-service's records, and the events on Kafka. Pure.

Both were read after the journal, so they may be ahead by what happened meanwhile, and never behind for long.
"""

from collections.abc import Iterator
from typing import Final

from handlers.domain.states import RequestState
from worker.reconciling.books import Books, EventsBook, PaymentEntry, Recorded, RefundEntry
from worker.reconciling.kinds import Book, Kind
from worker.reconciling.weighing import Found, Stake, Subject, of_payment, shown, worth

_AMOUNTS: Final = ("amount_minor", "authorised_minor", "captured_minor", "refunded_minor")


def compare_records(books: Books, *, found: Found) -> None:
    """Payments that lived in the span, each with its last version, whenever that came: a later one mends an earlier."""
    for entry in books.journal.payments.values():
        if entry.version == 0 or not books.span.touches(entry.created_at, entry.updated_at):
            continue
        if entry.payment_id in books.service.payments:
            _payment(entry, books, found=found)
        if books.events is not None:
            _told(entry, books.events, books=books, found=found)
    for refund in _last_told(books):
        _refund(refund, books, found=found)


def _payment(entry: PaymentEntry, books: Books, *, found: Found) -> None:
    recorded = books.service.payments[entry.payment_id]
    subject = of_payment(entry, Book.DB_SERVICE)
    stake = Stake(worth(entry), entry.currency)
    young = books.young(entry.updated_at)
    if recorded is None:
        text = f"{entry.state}, version {entry.version} here; not there"
        found.add(Kind.MISSING, subject, stake=stake, text=text, young=young)
    elif recorded.version < entry.version:
        text = f"version {recorded.version} ({recorded.state}) there, {entry.version} ({entry.state}) here"
        found.add(Kind.STALE, subject, stake=stake, text=text, young=young)
    elif recorded.version > entry.version:
        if recorded.occurred_at < books.now:  # else it moved while the books were read
            text = f"version {recorded.version} there, {entry.version} here: the journal lost time"
            found.add(Kind.STATUS, subject, stake=stake, text=text)
    else:
        _same_version(entry, recorded, subject=subject, found=found)


def _same_version(
    entry: PaymentEntry, recorded: Recorded, *, subject: Subject, found: Found
) -> None:
    """The same version has the same content: nothing passes here by itself."""
    stake = Stake(worth(entry), entry.currency)
    if recorded.currency != entry.currency:
        text = f"{recorded.currency} in the db-service, {entry.currency} here"
        found.add(Kind.CURRENCY, subject, stake=stake, text=text)
        return
    gaps = {name: getattr(recorded, name) - getattr(entry, name) for name in _AMOUNTS}
    worst = max(gaps, key=lambda name: abs(gaps[name]))
    if gaps[worst]:
        there, here = getattr(recorded, worst), getattr(entry, worst)
        text = f"{worst.removesuffix('_minor')}: {there} minor units in the db-service, {here} here"
        found.add(Kind.AMOUNT, subject, stake=Stake(abs(gaps[worst]), entry.currency), text=text)
    if recorded.state != entry.state:
        text = (
            f"{recorded.state} in the db-service, {entry.state} here, both version {entry.version}"
        )
        found.add(Kind.STATUS, subject, stake=stake, text=text)
    elif recorded.transaction_id != entry.transaction_id:
        there, here = recorded.transaction_id or "none", entry.transaction_id or "none"
        text = f"transaction {there} in the db-service, {here} here"
        found.add(Kind.STATUS, subject, stake=stake, text=text)


def _told(entry: PaymentEntry, events: EventsBook, *, books: Books, found: Found) -> None:
    told = events.last.get(entry.payment_id)
    subject = of_payment(entry, Book.EVENTS)
    stake = Stake(worth(entry), entry.currency)
    if told is None or told.version < entry.version:
        if told is None and events.gap:
            return
        last = f"version {told.version} ({told.state})" if told else "nothing"
        text = f"{last} was told, {entry.version} ({entry.state}) is here"
        young = books.young(entry.updated_at)
        found.add(Kind.UNTOLD, subject, stake=stake, text=text, young=young)
    elif told.version == entry.version and told.state != entry.state:
        text = f"told {told.state}, {entry.state} here, both version {entry.version}"
        found.add(Kind.STATUS, subject, stake=stake, text=text)
    elif told.version > entry.version and told.occurred_at < books.now:
        text = f"version {told.version} was told, {entry.version} is here: the journal lost time"
        found.add(Kind.STATUS, subject, stake=stake, text=text)


def _last_told(books: Books) -> Iterator[RefundEntry]:
    """Each refund that was told of in the span, as its last operation with news has it."""
    last: dict[str, RefundEntry] = {}
    for it in books.journal.refunds:
        before = last.get(it.refund_id)
        if it.state is not RequestState.REQUESTED and (before is None or before.part < it.part):
            last[it.refund_id] = it
    for it in last.values():
        if it.told_at >= books.span.since and it.refund_id in books.service.refunds:
            yield it


def _refund(refund: RefundEntry, books: Books, *, found: Found) -> None:
    entry = books.journal.payments.get(refund.payment_id)
    if entry is None:
        return
    recorded = books.service.refunds[refund.refund_id]
    subject = Subject(
        book=Book.DB_SERVICE,
        name=f"refund {refund.refund_id}",
        happened_at=refund.told_at,
        account=entry.account,
        payment_id=refund.payment_id,
        transaction_id=refund.transaction_id,
    )
    stake = Stake(refund.amount_minor, entry.currency)
    young = books.young(refund.told_at)
    if recorded is None:
        text = f"{refund.state} here; not there"
        found.add(Kind.MISSING, subject, stake=stake, text=text, young=young)
    elif recorded.occurred_at >= books.now:
        return  # it moved while the books were read
    elif recorded.currency != entry.currency:
        text = f"{recorded.currency} in the db-service, {entry.currency} here"
        found.add(Kind.CURRENCY, subject, stake=stake, text=text)
    elif recorded.state != refund.state:
        # A refund carries its payment's version, and only that tells an older one from another one.
        older = recorded.version < entry.version
        text = f"{recorded.state} in the db-service, {refund.state} here"
        kind = Kind.STALE if older else Kind.STATUS
        found.add(kind, subject, stake=stake, text=text, young=young)
    elif recorded.amount_minor != refund.amount_minor:
        there = shown(recorded.amount_minor, entry.currency)
        text = f"{there} in the db-service, {shown(refund.amount_minor, entry.currency)} here"
        less = Stake(abs(recorded.amount_minor - refund.amount_minor), entry.currency)
        found.add(Kind.AMOUNT, subject, stake=less, text=text)
