"""The finder of one charge: by its details where the transaction id is known, else through the unsettled list.

The list is read newest first, until its rows are older than the charge can be, or it ends. A scan counts as complete
only where nothing can have slipped by: every page told the same total, rows stood in order, no row was missing, and no
batch was cut off since the charge can have been made (what settles leaves the list; the settled batches must then be
looked at, which this finder does not do). Lists hold declined rows too. There is no search by invoice number.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from handlers.domain.intents import Question
from handlers.domain.verdicts import (
    NO_EVIDENCE,
    Approved,
    Declined,
    Evidence,
    Finding,
    Found,
    Held,
    NotSeen,
)
from handlers.gateway.authorizenet.details import (
    Unclear,
    details_evidence,
    read_details,
    transaction,
)
from handlers.gateway.authorizenet.replies import Json, Reply, Scrubber, real_id, rows, text
from handlers.gateway.authorizenet.requests import (
    PAGE_ROWS,
    Members,
    details_request,
    unsettled_request,
)
from handlers.gateway.authorizenet.settings import Account, CutOff

SKEW: Final = timedelta(minutes=10)  # between the gateway's clock and ours
_SETTLED_BY: Final = timedelta(
    hours=20
)  # a batch is cut off each 24 h: older charges may have settled
_MAX_PAGES: Final = 20
_MAX_MATCHES: Final = 5
_NO_RECORDS: Final = "I00004"


@dataclass(frozen=True, slots=True)
class Trouble:
    """A question to the gateway that got no readable answer. `why` is for people."""

    why: str


Ask = Callable[[Members], Awaitable[Reply | Trouble]]


@dataclass(frozen=True, slots=True)
class Desk:
    """What a search works with: how to ask, as whom, and when the account's batches are cut off."""

    ask: Ask
    account: Account
    scrubber: Scrubber
    cut_off: CutOff | None


@dataclass(slots=True)
class _Scan:
    """How far the list was read, and what can be said of its completeness."""

    reach: datetime
    totals: set[str] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)
    matches: list[str] = field(default_factory=list)
    newest_left: datetime | None = None
    reached: bool = False
    ended: bool = False
    fault: str = ""

    def take(self, page: tuple[Json, ...], invoice_number: str) -> None:
        for row in page:
            transaction_id = real_id(row.get("transId"))
            at = _moment(row.get("submitTimeUTC"))
            if not transaction_id or at is None:
                self.fault = "a row could not be read"
                continue
            if self.newest_left is not None and at > self.newest_left:
                self.fault = "the list is not in order"
            self.newest_left = at
            self.reached = self.reached or at < self.reach
            is_match = text(row.get("invoiceNumber")) == invoice_number
            if is_match and transaction_id not in self.seen:
                self.matches.append(transaction_id)
            self.seen.add(transaction_id)
        self.ended = self.ended or len(page) < PAGE_ROWS

    def gap(self) -> str:
        """Why the scan is not complete; "" where it is."""
        if self.fault:
            return self.fault
        if not (self.reached or self.ended):
            return f"the list is longer than {_MAX_PAGES} pages"
        if len(self.totals) != 1:
            return "the list changed while it was read"
        if not self.reached and self.totals != {str(len(self.seen))}:
            return "rows of the list are missing"
        return ""


async def find(question: Question, desk: Desk) -> Finding:
    """What became of the charge that `question` asks for."""
    if question.transaction_id:
        return await _details(question, desk, candidates=(question.transaction_id,))
    scan = await _scan(question, desk)
    if isinstance(scan, Trouble):
        return NotSeen(complete=False, why=scan.why)
    evidence = {"rows": len(scan.seen), "total": ", ".join(sorted(scan.totals))}
    if scan.matches:
        return await _details(question, desk, candidates=tuple(scan.matches))
    # Read after the last page, and a little later still: a batch that is cut off while the list is read empties it.
    now = datetime.now(UTC) + SKEW
    gap = scan.gap() or _settled_since(question.since, now=now, cut_off=desk.cut_off)
    if gap:
        return NotSeen(
            complete=False, why=f"not in the unsettled list, but {gap}", evidence=evidence
        )
    return NotSeen(complete=True, why="not in the unsettled list", evidence=evidence)


def _settled_since(since: datetime, *, now: datetime, cut_off: CutOff | None) -> str:
    reach = since - SKEW
    crossed = cut_off is not None and cut_off.lies_between(reach, now)
    if crossed or now - reach > _SETTLED_BY:
        return "a batch may have been cut off since: the settled batches must be looked at"
    return ""


async def _scan(question: Question, desk: Desk) -> _Scan | Trouble:
    scan = _Scan(reach=question.since - SKEW)
    for page in range(1, _MAX_PAGES + 1):
        reply = await desk.ask(unsettled_request(page, desk.account))
        if isinstance(reply, Trouble):
            return reply
        if not reply.ok:
            return Trouble(f"the list was refused: {reply.first.code} {reply.first.text}")
        listed = rows(reply.root.get("transactions"), "transaction")
        total = text(reply.root.get("totalNumInResultSet"))
        scan.totals.add(total or ("0" if reply.first.code == _NO_RECORDS else "untold"))
        scan.take(listed, question.invoice_number)
        scan.ended = scan.ended or total == str(len(scan.seen))
        if scan.reached or scan.ended:
            break
    return scan


def _moment(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text(value))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


_RANK: Final = (Approved, Held, Declined)  # of several rows the one that may have cost money counts


async def _details(question: Question, desk: Desk, *, candidates: tuple[str, ...]) -> Finding:
    found: list[tuple[Approved | Declined | Held, Evidence]] = []
    unclear: list[str] = []
    evidence: Evidence = NO_EVIDENCE
    for transaction_id in candidates[:_MAX_MATCHES]:
        reply = await desk.ask(details_request(transaction_id, desk.account))
        if isinstance(reply, Trouble):
            unclear.append(reply.why)
            continue
        if not reply.ok:
            said = reply.first
            unclear.append(f"no details of {transaction_id}: {said.code} {said.text}")
            continue
        told = transaction(reply)
        evidence = details_evidence(told, desk.scrubber)
        reading = read_details(told, question, scrubber=desk.scrubber)
        if isinstance(reading, Unclear):
            unclear.append(reading.why)
        else:
            found.append((reading, evidence))
    unclear += ["more rows match than were looked at"] if len(candidates) > _MAX_MATCHES else []
    return _chosen(found, unclear=unclear, candidates=candidates, last=evidence)


def _chosen(
    found: list[tuple[Approved | Declined | Held, Evidence]],
    *,
    unclear: list[str],
    candidates: tuple[str, ...],
    last: Evidence,
) -> Finding:
    for rank in _RANK:
        for verdict, evidence in found:
            decides = rank is Approved or not unclear  # what is unclear may be an approval
            if isinstance(verdict, rank) and decides:
                several = {"matches": list(candidates)} if len(candidates) > 1 else {}
                return Found(verdict, {**evidence, **several})
    return NotSeen(complete=False, why="; ".join(unclear)[:300], evidence=last)
