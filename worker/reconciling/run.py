"""One scan: read the books, compare them, write down what was seen. It adjusts nothing.

The order is part of the comparison: the gateway first, the journal after it, the db-service and the events last. What
stands at the gateway was written here before it was sent, so a row that nothing here explains is an orphan at once, and
what was told later than it was read here is no difference.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from db_client import breaks
from db_client.break_rows import Break, Scope
from db_client.database import Engine
from handlers.domain.errors import InvalidValueError
from worker import wiring
from worker.config import Settings
from worker.reconciling import events_book, gateway_book, journal_book, service_book
from worker.reconciling.books import (
    Books,
    GatewayBook,
    GatewayRow,
    JournalBook,
    ServiceBook,
    Span,
)
from worker.reconciling.compare import compare, doubtful
from worker.reconciling.kinds import Book
from worker.reconciling.matching import Index

DEFAULT_SPAN: Final = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be compared. `until` None is now, `since` None two days before that; `account` None is all."""

    since: datetime | None = None
    until: datetime | None = None
    account: str | None = None
    grace_s: float = 3600.0
    events: bool = False


@dataclass(frozen=True, slots=True)
class Scan:
    """What a scan saw. `gaps`: why it is not complete, book by book. `read`: how much each book held.

    `account` is the one that it was about, None where it was about all. `fixed`: how many breaks it closed.
    """

    span: Span
    account: str | None
    breaks: Sequence[Break]
    gaps: Sequence[tuple[str, str]]
    read: dict[str, int]
    fixed: int

    @property
    def complete(self) -> bool:
        """Whether every book was read to its end."""
        return not self.gaps


def scan(settings: Settings, engine: Engine, *, wanted: Wanted) -> Scan:
    """Compare the books of a span. Raises Unavailable where the journal is away, InvalidValueError."""
    account = _account(settings, wanted.account)
    began = breaks.began(engine)
    until = min(wanted.until or began, began)
    span = Span(wanted.since or until - DEFAULT_SPAN, until)
    if span.since >= span.until:
        raise InvalidValueError("--since", "must be before --until, and in the past")
    gateway = asyncio.run(_gateway(settings, span, account=account))
    rules = wiring.rules(settings)
    journal = journal_book.read(engine, span=span, rules=rules, rows=gateway.rows.values())
    service = asyncio.run(_service(settings, span, journal=journal, gateway=gateway))
    books = Books(
        span=span,
        now=began,
        grace_s=wanted.grace_s,
        gateway=gateway,
        journal=journal,
        service=service,
        events=events_book.read(settings, journal) if wanted.events else None,
        account=account,
    )
    found = compare(books)
    closer = asyncio.run(_closer(settings, gateway, found=found))
    if closer:
        gateway.rows |= {row.transaction_id: row for row in closer}
        journal_book.add_owners(engine, journal, rules=rules, rows=closer)
        found = compare(books)
    scope = Scope(began, span.since, span.until, complete=list(_complete(books)))
    fixed = breaks.keep(engine, found, scope=scope)
    return Scan(span, account, found, list(_gaps(books)), _counts(books), fixed)


def _account(settings: Settings, wanted: str | None) -> str | None:
    """The account's name, given itself or its currency."""
    if wanted is None:
        return None
    known = wiring.accounts(settings)
    for name, account in known.items():
        if wanted in (name, account.currency):
            return name
    names = ", ".join(f"{name} ({it.currency})" for name, it in known.items())
    raise InvalidValueError("--account", f"must be one of {names}")


async def _gateway(settings: Settings, span: Span, *, account: str | None) -> GatewayBook:
    desks = wiring.reading_desks(settings)
    try:
        return await gateway_book.read(desks, account=account, span=span)
    finally:
        await desks.aclose()


async def _closer(
    settings: Settings, gateway: GatewayBook, *, found: list[Break]
) -> list[GatewayRow]:
    if not any(doubtful(found)):
        return []
    desks = wiring.reading_desks(settings)
    try:
        return await gateway_book.look_closer(desks, gateway, doubtful=doubtful(found))
    finally:
        await desks.aclose()


async def _service(
    settings: Settings, span: Span, *, journal: JournalBook, gateway: GatewayBook
) -> ServiceBook:
    index = Index(journal)
    unexplained = {name for name, row in gateway.rows.items() if index.owner(row) is None}
    pages = wiring.record_pages(settings)
    try:
        return await service_book.read(pages, span=span, journal=journal, unexplained=unexplained)
    finally:
        await pages.aclose()


def _complete(books: Books) -> Iterator[tuple[str, str | None]]:
    """What this scan may close: an account's place at the gateway, and the others where they were read."""
    for name, gap in books.gateway.gaps.items():
        if not gap and books.account in (None, name):
            yield Book.GATEWAY, name
    if not books.service.gap:
        yield Book.DB_SERVICE, books.account
    if books.events is not None and not books.events.gap:
        yield Book.EVENTS, books.account


def _gaps(books: Books) -> Iterator[tuple[str, str]]:
    for name, gap in books.gateway.gaps.items():
        if gap:
            yield f"{Book.GATEWAY.value} {name}", gap
    if books.service.gap:
        yield Book.DB_SERVICE.value, books.service.gap
    if books.events is not None and books.events.gap:
        yield Book.EVENTS.value, books.events.gap
    for name in sorted(_unknown_accounts(books)):
        yield f"{Book.GATEWAY.value} {name}", "the settings have no credentials for this account"


def _unknown_accounts(books: Books) -> set[str]:
    """Accounts that charged in the span, and that the settings do not know any more."""
    if books.account is not None:
        return set()
    named = {
        it.account
        for it in books.journal.payments.values()
        if it.opened_at is not None and books.span.holds(it.opened_at)
    }
    return named - books.gateway.gaps.keys()


def _counts(books: Books) -> dict[str, int]:
    """How much each book holds, the margin at both ends of the span included."""
    counted = {
        "gateway": len(books.gateway.rows),
        "journal": len(books.journal.payments),
        "db_service": sum(1 for it in books.service.payments.values() if it is not None),
    }
    return counted | ({} if books.events is None else {"events": len(books.events.last)})
