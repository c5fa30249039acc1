"""Reads one of the gateway's lists page by page, newest first, for all questions at once. Pure; who asks is elsewhere.

A list counts as read completely where its rows stood in order, no row was missing, and its total never fell. It may
grow: what comes in stands on top, so that a page shows again the end of the one before, and nothing slips by. Where it
shrinks, rows have left for a batch, and what stood behind them was skipped.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from handlers.domain.intents import About, Question
from handlers.gateway.authorizenet.details import moment
from handlers.gateway.authorizenet.questions import PAGE_ROWS
from handlers.gateway.authorizenet.replies import Json, Reply, real_id, rows, text
from handlers.gateway.authorizenet.standings import NOT_A_CHARGE, NOT_A_REFUND

SKEW: Final = timedelta(minutes=10)  # between the gateway's clock and ours
MAX_PAGES: Final = 200  # of one list
_NO_RECORDS: Final = "I00004"
_UNTOLD: Final = -1
_MAX_TOTAL_DIGITS: Final = 12  # Python refuses to read numbers of thousands of them


@dataclass(slots=True)
class Reading:
    """How far one list was read for what is `wanted` (invoice numbers), and what can be said of its completeness.

    `since`: rows before that need not be seen; the list is read until then, or to its end.
    """

    wanted: Collection[str]
    since: datetime
    entries: list[Json] = field(default_factory=list)  # of the last page, those not seen before
    totals: list[int] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    matches: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    oldest: datetime | None = None
    ended: bool = False
    fault: str = ""

    def take(self, reply: Reply) -> None:
        """One page."""
        page = rows(reply.root.get("transactions"), "transaction")
        total = _total(reply)
        self.totals.append(total)
        self.entries = []
        for row in page:
            self._take(row)
        self.ended = self.ended or len(page) < PAGE_ROWS or total == len(self.seen)

    def _take(self, row: Json) -> None:
        transaction_id = real_id(row.get("transId"))
        at = moment(row.get("submitTimeUTC"))
        if not transaction_id or at is None:
            self.fault = "a row could not be read"
            return
        if transaction_id in self.seen:
            return
        self.seen.add(transaction_id)
        self.entries.append(row)
        if self.oldest is not None and at > self.oldest:
            self.fault = "the list is not in order"
        self.oldest = at
        invoice_number = text(row.get("invoiceNumber"))
        if invoice_number in self.wanted:
            found = transaction_id, text(row.get("transactionStatus"))
            self.matches.setdefault(invoice_number, []).append(found)

    @property
    def over(self) -> bool:
        """Nothing is to be read any more."""
        return self.ended or self.reached(self.since)

    def reached(self, since: datetime) -> bool:
        """Whether all rows from `since` on were read, as far as clocks can be trusted."""
        return self.oldest is not None and self.oldest < since - SKEW

    def found(self, question: Question) -> tuple[str, ...]:
        """Transaction ids under the question's invoice number that may be what it asks for, newest first."""
        strangers = NOT_A_REFUND if question.about is About.REFUND else NOT_A_CHARGE
        rows_of = self.matches.get(question.invoice_number, ())
        return tuple(name for name, status in rows_of if status not in strangers)

    def gap(self, since: datetime) -> str:
        """Why it proves nothing for a question that reaches back to `since`; "" where it does."""
        if self.fault:
            return self.fault
        reached = self.reached(since)
        if not (self.ended or reached):
            return f"the list is longer than {MAX_PAGES} pages"
        if _UNTOLD in self.totals:
            return "rows of the list are missing: it told no total"
        if any(later < before for before, later in zip(self.totals, self.totals[1:], strict=False)):
            return "the list shrank while it was read"
        if not reached and len(self.seen) < self.totals[0]:
            return "rows of the list are missing"
        return ""


def _total(reply: Reply) -> int:
    said = text(reply.root.get("totalNumInResultSet"))
    if not said and reply.first.code == _NO_RECORDS:
        return 0
    return int(said) if said.isdecimal() and len(said) <= _MAX_TOTAL_DIGITS else _UNTOLD
