"""Reads all that an account's lists hold since a moment, row by row, for reconciliation. Judges nothing.

The batches are listed before the unsettled list is read and again after it: where one was settled in between, rows left
the list while it was read, and it is read anew. What a batch holds is added up beside what the gateway says that it
comes to. A question that got no answer is asked again: to ask changes nothing. Who asks, and how, stands in
`reading_desk.py`.
"""

import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from handlers.domain.facts import Standing
from handlers.domain.money import minor_units
from handlers.gateway.authorizenet.details import moment, read_details
from handlers.gateway.authorizenet.elements import Members
from handlers.gateway.authorizenet.lists import MAX_PAGES, SKEW, Reading
from handlers.gateway.authorizenet.questions import (
    batch_request,
    batches_request,
    details_request,
    unsettled_request,
)
from handlers.gateway.authorizenet.replies import (
    Json,
    Reply,
    Scrubber,
    amount,
    real_id,
    rows,
    section,
    text,
)
from handlers.gateway.authorizenet.scanning import Trouble
from handlers.gateway.authorizenet.settings import Account
from handlers.gateway.authorizenet.standings import CHARGES, OF_REFUNDS, REFUNDS, RETURNED_ITEM

_READINGS: Final = 3  # of an unsettled list out of which a settlement took rows
_UNKNOWN_RECORD: Final = "E00040"
_LONGEST_SPAN: Final = timedelta(days=31)  # of one question for batches
_FIRST_OF_ALL: Final = datetime(2000, 1, 1, tzinfo=UTC)  # a batch is read to its end
_SETTLED: Final = "settledSuccessfully"
_OURS: Final = re.compile(r"[A-Z2-7]{20}")
_TAKEN: Final = frozenset({Standing.SETTLED, Standing.RETURNED, Standing.CHARGED_BACK})


class Desk(Protocol):
    """Where one account is asked; `now` is the time (UTC) by which batches are reckoned."""

    @property
    def account(self) -> Account:
        """As whom."""
        ...

    @property
    def scrubber(self) -> Scrubber:
        """Makes texts safe to keep."""
        ...

    @property
    def now(self) -> Callable[[], datetime]:
        """What time it is."""
        ...

    async def asked(self, request: Members) -> Reply | Trouble:
        """The reply to `request`; Trouble where none came, or a refusal."""
        ...


@dataclass(frozen=True, slots=True)
class Listed:
    """One row. `charge` and `refund`: what its status means, were it the one or the other; lists do not always tell.

    `is_refund` and `is_return` where its status says so. `amount_minor` is in the account's currency. `of`: the
    transaction that it refers to, which only its details name.
    """

    transaction_id: str
    invoice_number: str
    status: str
    charge: Standing
    refund: Standing
    is_refund: bool
    is_return: bool
    amount_minor: int
    submitted_at: datetime
    of: str = ""


@dataclass(frozen=True, slots=True)
class Sums:
    """What was charged and what was refunded, in minor units of the account's currency."""

    charged_minor: int = 0
    refunded_minor: int = 0

    def plus(self, page: Sequence[Listed]) -> "Sums":
        """With the rows of one more page that settled."""
        charges = [it for it in page if it.charge in _TAKEN and not (it.is_refund or it.is_return)]
        refunded = sum(
            it.amount_minor for it in page if it.is_refund and it.refund is Standing.SETTLED
        )
        charged = sum(it.amount_minor for it in charges)
        return Sums(self.charged_minor + charged, self.refunded_minor + refunded)


@dataclass(frozen=True, slots=True)
class SettledBatch:
    """A batch that went through: `told` as the gateway sums it up, `summed` as its rows come to."""

    batch_id: str
    settled_at: datetime
    told: Sums
    summed: Sums


@dataclass(frozen=True, slots=True)
class _Head:
    """A batch as it is announced. `told` is None where its totals are missing or it did not go through."""

    batch_id: str
    settled_at: datetime | None
    told: Sums | None


class Listing:
    """One account's lists from `since` until today. Iterate `pages` to its end; then `gap` and `batches` count.

    A row may come twice, the later one counts. `gap` says why the lists were not read to their end, "" where they were.
    """

    def __init__(self, desk: Desk, *, since: datetime) -> None:
        self._desk = desk
        self._since = since
        self.gap = ""
        self.batches: list[SettledBatch] = []

    async def pages(self) -> AsyncIterator[Sequence[Listed]]:
        """The unsettled list, then each batch."""
        heads = await self._heads()
        for _ in range(_READINGS):
            if isinstance(heads, Trouble):
                break
            before, self.gap = heads, ""
            unsettled = Reading((), self._since)
            async for page in self._read(unsettled, self._unsettled):
                yield page
            heads = await self._heads()
            if heads == before:
                break
            self._miss("batches were settled while the unsettled list was read")
        if isinstance(heads, Trouble):
            self._miss(heads.why)
            return
        for head in heads:
            async for page in self._batch(head):
                yield page
        self._miss(self._hidden())

    def _miss(self, why: str) -> None:
        """Something was not read; what was missed first is told."""
        self.gap = self.gap or why

    def _unsettled(self, page: int) -> Members:
        return unsettled_request(page, self._desk.account)

    async def _batch(self, head: _Head) -> AsyncIterator[Sequence[Listed]]:
        def request(page: int) -> Members:
            return batch_request(head.batch_id, page, account=self._desk.account)

        summed = Sums()
        reading = Reading((), _FIRST_OF_ALL)
        async for page in self._read(reading, request):
            summed = summed.plus(page)
            yield page
        if head.told is not None and head.settled_at is not None and not self.gap:
            self.batches.append(SettledBatch(head.batch_id, head.settled_at, head.told, summed))

    async def _read(
        self, reading: Reading, request: Callable[[int], Members]
    ) -> AsyncIterator[Sequence[Listed]]:
        for page in range(1, MAX_PAGES + 1):
            reply = await self._desk.asked(request(page))
            if isinstance(reply, Trouble):
                self._miss(reply.why)
                return
            reading.take(reply)
            read = [self._listed(row) for row in reading.entries]
            known = [row for row in read if row is not None]
            if len(known) < len(read):
                self._miss("a row's amount could not be read")
            yield known
            if reading.over:
                break
        self._miss(reading.gap(self._since))

    def _listed(self, row: Json) -> Listed | None:
        at = moment(row.get("submitTimeUTC"))
        minor = self._minor(row.get("settleAmount"))
        if at is None or minor is None:
            return None
        status = text(row.get("transactionStatus"))
        charge = CHARGES.get(status, Standing.UNCLEAR)
        returned = text(row.get("hasReturnedItems")) == "true"
        number = text(row.get("invoiceNumber"))
        return Listed(
            transaction_id=real_id(row.get("transId")),
            # Another's number may be anything that a person can type.
            invoice_number=number if _OURS.fullmatch(number) else self._desk.scrubber.text(number),
            status=status if status in CHARGES else self._desk.scrubber.text(status),
            charge=Standing.RETURNED if returned and charge is Standing.SETTLED else charge,
            refund=REFUNDS.get(status, Standing.UNCLEAR),
            is_refund=status in OF_REFUNDS,
            is_return=status == RETURNED_ITEM,
            amount_minor=minor,
            submitted_at=at,
        )

    def _minor(self, told: object) -> int | None:
        said = amount(told)
        return None if said is None else minor_units(said, self._desk.account.currency)

    async def _heads(self) -> list[_Head] | Trouble:
        """The batches of the span, oldest first, each once."""
        found: dict[str, _Head] = {}
        for first, last in _spans(self._since - SKEW, self._desk.now() + SKEW):
            request = batches_request(first, last, account=self._desk.account, totals=True)
            reply = await self._desk.asked(request)
            if isinstance(reply, Trouble):
                return reply
            for row in rows(reply.root.get("batchList"), "batch"):
                head = self._head(row)
                if not head.batch_id:
                    return Trouble("a settled batch carries no number")
                found[head.batch_id] = head
        return list(found.values())

    def _head(self, row: Json) -> _Head:
        parts = rows(row.get("statistics"), "statistic")
        told = Sums()
        for part in parts:
            charged = self._minor(part.get("chargeAmount"))
            refunded = self._minor(part.get("refundAmount"))
            if charged is None or refunded is None:
                parts = ()
                break
            told = Sums(told.charged_minor + charged, told.refunded_minor + refunded)
        settled = text(row.get("settlementState")) == _SETTLED
        return _Head(
            batch_id=real_id(row.get("batchId")),
            settled_at=moment(row.get("settlementTimeUTC")),
            told=told if parts and settled else None,
        )

    def _hidden(self) -> str:
        cut_off, now = self._desk.account.cut_off, self._desk.now()
        if cut_off is None or not cut_off.hides(self._since - SKEW, now=now):
            return ""
        return "a batch was cut off lately, and may not be listed yet: try again some hours later"


async def detailed(transaction_id: str, desk: Desk) -> Listed | Trouble | None:
    """The transaction as it stands today, with what it refers to; None where the gateway knows none of that id."""
    reply = await desk.asked(details_request(transaction_id, desk.account))
    if isinstance(reply, Trouble):
        return None if reply.code == _UNKNOWN_RECORD else reply
    told = read_details(reply, currency=desk.account.currency, scrubber=desk.scrubber)
    if told.money is None or told.submitted_at is None or not told.transaction_id:
        return Trouble("the details could not be read")
    referred = section(reply.root.get("transaction")).get("refTransId")
    row = Listed(
        transaction_id=told.transaction_id,
        invoice_number=desk.scrubber.text(told.invoice_number),
        status=told.status,
        charge=Standing.UNCLEAR if told.refunds else told.standing,
        refund=told.standing if told.refunds else Standing.UNCLEAR,
        is_refund=told.refunds,
        is_return=told.returned_item,
        amount_minor=told.money.amount_minor,
        submitted_at=told.submitted_at,
    )
    return replace(row, of=real_id(referred))


def _spans(since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
    first = since
    while first < until:
        last = min(first + _LONGEST_SPAN, until)
        yield first, last
        first = last
