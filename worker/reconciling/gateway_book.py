"""The gateway's book: its lists, page by page, into one small record for each transaction of the span."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Final

from db_client.break_rows import Break
from handlers.gateway.authorizenet.listing import Desk, Listed, Listing, SettledBatch, detailed
from handlers.gateway.authorizenet.reading_desk import ReadingDesks
from handlers.gateway.authorizenet.scanning import Trouble
from worker.reconciling.books import Batch, GatewayBook, GatewayRow, Span

MARGIN: Final = timedelta(minutes=30)  # between the clocks, and between writing first and sending
MOST_ASKED: Final = 200  # transactions whose details are looked at once more


async def read(desks: ReadingDesks, *, account: str | None, span: Span) -> GatewayBook:
    """What the accounts have of the span, and a little around it. `account`: only this one."""
    book = GatewayBook()
    for names in desks.shared():
        if account is None or account in names:
            await _account(book, names, desk=desks.desk(names[0]), span=span)
            currencies = frozenset(desks.desk(name).account.currency for name in names)
            book.currencies |= dict.fromkeys(names, currencies)
    return book


async def _account(book: GatewayBook, names: Sequence[str], *, desk: Desk, span: Span) -> None:
    listing = Listing(desk, since=span.since - MARGIN)
    around = Span(span.since - MARGIN, span.until + MARGIN)
    async for page in listing.pages():
        for listed in page:
            if around.holds(listed.submitted_at):
                row = _row(listed, account=names[0], desk=desk)
                book.rows[row.transaction_id] = row
    book.batches += [_batch(it, account=names[0], desk=desk) for it in listing.batches]
    book.gaps |= dict.fromkeys(names, listing.gap)


async def look_closer(
    desks: ReadingDesks, book: GatewayBook, *, doubtful: Iterable[Break]
) -> list[GatewayRow]:
    """The details of what is doubtful, as rows; what the gateway does not know, or does not tell, is left out."""
    found: list[GatewayRow] = []
    for it in list(doubtful)[:MOST_ASKED]:
        if it.account not in book.gaps:
            continue
        desk = desks.desk(it.account)
        told = await detailed(it.transaction_id, desk)
        if isinstance(told, Trouble):
            break
        if told is not None:
            found.append(_row(told, account=it.account, desk=desk))
    return found


def _row(listed: Listed, *, account: str, desk: Desk) -> GatewayRow:
    return GatewayRow(
        account=account,
        transaction_id=listed.transaction_id,
        invoice_number=listed.invoice_number,
        status=listed.status,
        charge=listed.charge,
        refund=listed.refund,
        is_refund=listed.is_refund,
        is_return=listed.is_return,
        amount_minor=listed.amount_minor,
        currency=desk.account.currency,
        submitted_at=listed.submitted_at,
        of=listed.of,
    )


def _batch(settled: SettledBatch, *, account: str, desk: Desk) -> Batch:
    return Batch(
        account=account,
        batch_id=settled.batch_id,
        settled_at=settled.settled_at,
        currency=desk.account.currency,
        charged_told_minor=settled.told.charged_minor,
        refunded_told_minor=settled.told.refunded_minor,
        charged_minor=settled.summed.charged_minor,
        refunded_minor=settled.summed.refunded_minor,
    )
