"""Looks for transactions in the gateway's lists: the unsettled one first, then the batches that were settled since.

There is no search by invoice number, so lists are read newest first, until their rows are older than what is looked for
can be, or they end. In that order nothing slips by: what leaves the unsettled list was seen there, or stands in a batch
that is read afterwards. A search counts as complete only where each list told one total on all its pages, rows stood in
order, no row was missing, and no batch was cut off that may not be listed yet. Lists hold declined rows too.
"""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from handlers.domain.intents import About, Question
from handlers.gateway.authorizenet.details import moment
from handlers.gateway.authorizenet.elements import Members
from handlers.gateway.authorizenet.questions import (
    PAGE_ROWS,
    batch_request,
    batches_request,
    unsettled_request,
)
from handlers.gateway.authorizenet.replies import Json, Reply, Scrubber, real_id, rows, text
from handlers.gateway.authorizenet.settings import Account
from handlers.gateway.authorizenet.standings import NOT_A_CHARGE, NOT_A_REFUND

SKEW: Final = timedelta(minutes=10)  # between the gateway's clock and ours
_MAX_PAGES: Final = 20  # of one list
_MAX_BATCH_ROWS: Final = 60 * PAGE_ROWS  # of all batches of a search
_LONGEST_SPAN: Final = timedelta(days=31)  # of one question for batches
_MAX_SPANS: Final = 8  # further back than the gateway refunds
_NO_RECORDS: Final = "I00004"
_Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Trouble:
    """A question to the gateway that got no readable answer, or a refusal. `code` is the gateway's, "" without one."""

    why: str
    code: str = ""


@dataclass(frozen=True, slots=True)
class Desk:
    """What a search works with: how to ask, as whom, and what time it is (UTC)."""

    ask: Callable[[Members], Awaitable[Reply | Trouble]]
    account: Account
    scrubber: Scrubber
    now: Callable[[], datetime]

    async def asked(self, request: Members) -> Reply | Trouble:
        """The reply to `request`; Trouble where the gateway refused it."""
        reply = await self.ask(request)
        if isinstance(reply, Trouble) or reply.ok:
            return reply
        said = reply.first
        return Trouble(f"the gateway refused to tell: {said.code} {said.text}".strip(), said.code)


@dataclass(frozen=True, slots=True)
class Search:
    """What was found: transaction ids, newest first. `gap` says why the search is not complete, "" where it is."""

    matches: tuple[str, ...]
    gap: str
    rows: int
    batches: int


@dataclass(slots=True)
class _Scan:
    """How far one list was read, and what can be said of its completeness."""

    question: Question
    totals: set[str] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)
    matches: list[str] = field(default_factory=list)
    newest_left: datetime | None = None
    reached: bool = False
    ended: bool = False
    fault: str = ""

    def take(self, reply: Reply) -> None:
        """One page."""
        page = rows(reply.root.get("transactions"), "transaction")
        total = text(reply.root.get("totalNumInResultSet"))
        self.totals.add(total or ("0" if reply.first.code == _NO_RECORDS else "untold"))
        for row in page:
            self._take(row)
        self.ended = self.ended or len(page) < PAGE_ROWS or total == str(len(self.seen))

    def _take(self, row: Json) -> None:
        transaction_id = real_id(row.get("transId"))
        at = moment(row.get("submitTimeUTC"))
        if not transaction_id or at is None:
            self.fault = "a row could not be read"
            return
        if self.newest_left is not None and at > self.newest_left:
            self.fault = "the list is not in order"
        self.newest_left = at
        self.reached = self.reached or at < self.question.since - SKEW
        if transaction_id not in self.seen and _may_be(row, self.question):
            self.matches.append(transaction_id)
        self.seen.add(transaction_id)

    @property
    def over(self) -> bool:
        """Nothing is to be read any more."""
        return self.reached or self.ended

    def gap(self) -> str:
        """Why the scan is not complete; "" where it is."""
        if self.fault:
            return self.fault
        if not self.over:
            return f"the list is longer than {_MAX_PAGES} pages"
        if len(self.totals) != 1:
            return "the list changed while it was read"
        if not self.reached and self.totals != {str(len(self.seen))}:
            return "rows of the list are missing"
        return ""


def _may_be(row: Json, question: Question) -> bool:
    strangers = NOT_A_REFUND if question.about is About.REFUND else NOT_A_CHARGE
    status = text(row.get("transactionStatus"))
    return text(row.get("invoiceNumber")) == question.invoice_number and status not in strangers


async def search(question: Question, desk: Desk) -> Search | Trouble:
    """Where the invoice number of `question` stands."""
    unsettled = _Scan(question)
    trouble = await _read(unsettled, lambda page: unsettled_request(page, desk.account), desk=desk)
    if trouble is not None:
        return trouble
    seen = len(unsettled.seen)
    if unsettled.matches:
        return Search(tuple(unsettled.matches), unsettled.gap(), rows=seen, batches=0)
    settled = await _settled(question, desk)
    if isinstance(settled, Trouble):
        return settled
    gap = unsettled.gap() or settled.gap or _hidden(question, desk)
    return Search(settled.matches, gap, rows=seen + settled.rows, batches=settled.batches)


def _hidden(question: Question, desk: Desk) -> str:
    """Asked after the last page: a batch that is cut off while the list is read empties it."""
    cut_off, since, now = desk.account.cut_off, question.since - SKEW, desk.now()
    if cut_off is not None and any(cut_off.hides(since, now=at) for at in (now, now + SKEW)):
        return "a batch was cut off since, which may not be listed yet"
    return ""


async def _read(scan: _Scan, request: Callable[[int], Members], *, desk: Desk) -> Trouble | None:
    for page in range(1, _MAX_PAGES + 1):
        reply = await desk.asked(request(page))
        if isinstance(reply, Trouble):
            return reply
        scan.take(reply)
        if scan.over:
            break
    return None


async def _settled(question: Question, desk: Desk) -> Search | Trouble:
    """The same in the settled batches since; each batch is a list of its own."""
    spans = list(_spans(question.since - SKEW, desk.now() + SKEW))
    gap = "it reaches further back than settled batches are read" if len(spans) > _MAX_SPANS else ""
    batch_ids = await _batches(spans[-_MAX_SPANS:], desk)
    if isinstance(batch_ids, Trouble):
        return batch_ids
    seen = 0
    for number, batch_id in enumerate(batch_ids):
        if seen > _MAX_BATCH_ROWS:
            gap = "there are more settled transactions than are read"
            break
        scan = _Scan(question)
        trouble = await _read(scan, _pages_of(batch_id, desk.account), desk=desk)
        if trouble is not None:
            return trouble
        seen += len(scan.seen)
        gap = gap or scan.gap()
        if scan.matches:
            return Search(tuple(scan.matches), gap, rows=seen, batches=number + 1)
    return Search((), gap, rows=seen, batches=len(batch_ids))


def _pages_of(batch_id: str, account: Account) -> Callable[[int], Members]:
    return lambda page: batch_request(batch_id, page, account=account)


async def _batches(spans: list[_Span], desk: Desk) -> list[str] | Trouble:
    """The batches of these times, newest first."""
    found: list[str] = []
    for first, last in spans:
        reply = await desk.asked(batches_request(first, last, account=desk.account))
        if isinstance(reply, Trouble):
            return reply
        for row in rows(reply.root.get("batchList"), "batch"):
            batch_id = real_id(row.get("batchId"))
            if not batch_id:
                return Trouble("a settled batch carries no number")
            if batch_id not in found:
                found.append(batch_id)
    return found[::-1]


def _spans(since: datetime, now: datetime) -> Iterator[_Span]:
    first = since
    while first < now:
        last = min(first + _LONGEST_SPAN, now)
        yield first, last
        first = last
