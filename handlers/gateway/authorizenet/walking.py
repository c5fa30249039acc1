"""Walks an account's lists for whatever happened: the unsettled rows since a moment, then the batches settled since.

Nobody asks for anything here; what the rows mean for our payments is judged elsewhere. A walk that could not read
everything ends with Unavailable, so that whoever remembers how far it came walks there again.
"""

import re
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from handlers.domain.errors import Unavailable
from handlers.domain.facts import Entry, Standing
from handlers.domain.money import Money, minor_units
from handlers.gateway.authorizenet.elements import Members
from handlers.gateway.authorizenet.lists import MAX_PAGES, SKEW, Reading
from handlers.gateway.authorizenet.questions import unsettled_request
from handlers.gateway.authorizenet.replies import Json, amount, real_id, text
from handlers.gateway.authorizenet.scanning import Desk, Trouble, batches_between, pages_of
from handlers.gateway.authorizenet.standings import CHARGES, OF_REFUNDS, REFUNDS

_NUMBER: Final = re.compile(r"[ -~]{1,20}")  # anybody's, but such as the journal can be asked for
_NOTHING_WANTED: Final = frozenset[str]()
_LISTED_LATE: Final = timedelta(hours=12)  # a batch may show up that long after it was settled
_BEFORE_ALL: Final = datetime(1970, 1, 1, tzinfo=UTC)  # a batch is read to its end


async def walk(desk: Desk, *, since: datetime, walked: set[str]) -> AsyncIterator[Sequence[Entry]]:
    """Rows page by page. `walked`: batches that need no second reading.

    A batch is added when it was taken whole; not where the gateway is still at it (it was rejected, and goes again).
    """
    unsettled = Reading(_NOTHING_WANTED, since)
    async for page in _pages(unsettled, lambda it: unsettled_request(it, desk.account), desk=desk):
        yield page
    batches = await batches_between(since - _LISTED_LATE, desk.now() + SKEW, desk=desk)
    if isinstance(batches, Trouble):
        raise Unavailable("gateway", batches.why)
    for batch_id in reversed(batches):  # oldest first: a charge before its return
        if batch_id in walked:
            continue
        batch, moving = Reading(_NOTHING_WANTED, since=_BEFORE_ALL), False
        async for page in _pages(batch, pages_of(batch_id, desk.account), desk=desk):
            moving = moving or any(it.standing is Standing.UNCLEAR for it in page)
            yield page
        if not moving:
            walked.add(batch_id)


async def _pages(
    reading: Reading, request: Callable[[int], Members], *, desk: Desk
) -> AsyncIterator[Sequence[Entry]]:
    for page in range(1, MAX_PAGES + 1):
        reply = await desk.asked(request(page))
        if isinstance(reply, Trouble):
            raise Unavailable("gateway", reply.why)
        reading.take(reply)
        yield [_entry(row, currency=desk.account.currency) for row in reading.entries]
        if reading.over:
            break
    gap = reading.gap(reading.since)
    if gap:
        raise Unavailable("gateway", gap)


def _entry(row: Json, *, currency: str) -> Entry:
    status = text(row.get("transactionStatus"))
    refunds = status in OF_REFUNDS
    number = text(row.get("invoiceNumber"))
    return Entry(
        transaction_id=real_id(row.get("transId")),
        invoice_number=number if _NUMBER.fullmatch(number) else "",
        standing=(REFUNDS if refunds else CHARGES).get(status, Standing.UNCLEAR),
        refunds=refunds,
        money=_money(row, currency=currency),
    )


def _money(row: Json, *, currency: str) -> Money | None:
    said = amount(row.get("settleAmount"))
    minor = None if said is None else minor_units(said, currency)
    return None if minor is None else Money(minor, currency)
