"""The db-service's book: what it recorded since the span began; what else the journal has is asked one by one."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final

from db_client.service_pages import RecordedPayment, RecordPages
from db_client.service_pages import RecordedRefund as RefundRecord
from handlers.domain.errors import Unavailable
from handlers.domain.states import RequestState
from worker.reconciling.books import JournalBook, Recorded, RecordedRefund, ServiceBook, Span

MOST_ASKED: Final = 10_000  # payments, and refunds, that are not in the pages
_AT_ONCE: Final = 8


async def read(
    pages: RecordPages, *, span: Span, journal: JournalBook, unexplained: Collection[str]
) -> ServiceBook:
    """What it has of the journal's payments. `unexplained`: transactions of which it may know whose they are.

    A book that could not be read to its end says why.
    """
    book = ServiceBook()
    try:
        await _pages(book, pages, span=span, journal=journal, unexplained=unexplained)
        await _one_by_one(book, pages, span=span, journal=journal)
    except Unavailable as unavailable:
        book.gap = unavailable.why
    return book


async def _pages(
    book: ServiceBook,
    pages: RecordPages,
    *,
    span: Span,
    journal: JournalBook,
    unexplained: Collection[str],
) -> None:
    async for payments in pages.payments(span.since):
        for payment in payments:
            if payment.payment_id in journal.payments:
                book.payments[payment.payment_id] = _recorded(payment)
            elif payment.transaction_id and payment.transaction_id in unexplained:
                book.claims[payment.transaction_id] = payment.payment_id
    async for refunds in pages.refunds(span.since):
        for refund in refunds:
            if refund.payment_id in journal.payments:
                book.refunds[refund.refund_id] = _refund(refund)


async def _one_by_one(
    book: ServiceBook, pages: RecordPages, *, span: Span, journal: JournalBook
) -> None:
    """What was told here in the span and is in no page: recorded before it, or never."""
    payments = [
        name
        for name, it in journal.payments.items()
        if it.version and span.touches(it.created_at, it.updated_at) and name not in book.payments
    ]
    refunds = {
        it.refund_id: None
        for it in journal.refunds
        if it.told_at >= span.since
        and it.state is not RequestState.REQUESTED
        and it.refund_id not in book.refunds
    }

    async def ask_payment(name: str) -> None:
        found = await pages.payment(name)
        book.payments[name] = None if found is None else _recorded(found)

    async def ask_refund(name: str) -> None:
        found = await pages.refund(name)
        book.refunds[name] = None if found is None else _refund(found)

    await _each(payments[:MOST_ASKED], ask_payment)
    await _each(list(refunds)[:MOST_ASKED], ask_refund)
    left = max(len(payments), len(refunds)) - MOST_ASKED
    if left > 0:
        book.gap = f"more is missing there than is asked for one by one: {left} were not"


async def _each(names: Sequence[str], ask: Callable[[str], Awaitable[None]]) -> None:
    for start in range(0, len(names), _AT_ONCE):
        few = names[start : start + _AT_ONCE]
        ended = await asyncio.gather(*map(ask, few), return_exceptions=True)
        for it in ended:
            if it is not None:
                raise it


def _recorded(payment: RecordedPayment) -> Recorded:
    return Recorded(
        currency=payment.currency,
        state=payment.state,
        version=payment.version,
        amount_minor=payment.amount_minor,
        authorised_minor=payment.authorised_minor,
        captured_minor=payment.captured_minor,
        refunded_minor=payment.refunded_minor,
        transaction_id=payment.transaction_id or "",
        occurred_at=payment.occurred_at,
    )


def _refund(refund: RefundRecord) -> RecordedRefund:
    return RecordedRefund(
        payment_id=refund.payment_id,
        currency=refund.currency,
        state=refund.state,
        version=refund.version,
        amount_minor=refund.amount_minor,
        transaction_id=refund.transaction_id or "",
        occurred_at=refund.occurred_at,
    )
