"""What the simulated gateway's lists and details show, read as the adapter reads them. Nothing is changed here.

The lists are searched in the adapter's order: the unsettled one first, then the batches that were settled since. What
details mean is the adapter's own `readings.py`. Held equal to the adapter by the port's contract suite.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from handlers.domain.facts import Entry, Sight, Standing
from handlers.domain.intents import About, Question
from handlers.domain.money import Money
from handlers.domain.verdicts import (
    Advice,
    Approved,
    Declined,
    Definite,
    Finding,
    Found,
    Held,
    NotSeen,
    NotYet,
    Reason,
)
from handlers.gateway.authorizenet.details import Details
from handlers.gateway.authorizenet.readings import Stranger, Unclear, Undone, reading
from handlers.gateway.authorizenet.standings import (
    CHARGES,
    NOT_A_CHARGE,
    NOT_A_REFUND,
    OF_REFUNDS,
    REFUNDS,
)
from tests.simulation.memory_gateway_ledger import (
    AUTHORISATION,
    DECLINED,
    EXPIRED,
    REFUND,
    RETURN,
    SALE,
    Batch,
    Ledger,
    Row,
)
from tests.simulation.memory_gateway_rules import reason

SKEW: Final = timedelta(minutes=10)  # how far the adapter trusts clocks
_FURTHEST: Final = timedelta(days=8 * 31)  # the adapter reads no older batches
_MOVED: Final = frozenset(
    {Standing.TAKEN, Standing.SETTLED, Standing.RETURNED, Standing.CHARGED_BACK}
)
_RANK: Final = (Approved, NotYet, Held, Declined)
_SIGHTS: Final = (
    Standing.TAKEN,
    Standing.SETTLED,
    Standing.RETURNED,
    Standing.CHARGED_BACK,
    Standing.UNCLEAR,
    Standing.RESERVED,
    Standing.HELD,
    Standing.VOIDED,
    Standing.EXPIRED,
    Standing.DECLINED,
)
_ABSENT: Final = "not in the unsettled list nor in the settled batches"


@dataclass(frozen=True, slots=True)
class Search:
    """The rows under the question's number, newest first; `gap`: why it is not complete, "" where it is."""

    rows: Sequence[Row]
    gap: str = ""


def unsettled(ledger: Ledger, question: Question, *, now: datetime) -> list[Row]:
    """The first half of a search."""
    return [
        row
        for row in _numbered(ledger, question)
        if row.batch is None and row.status != EXPIRED and row.listed_at <= now
    ]


def settled(ledger: Ledger, question: Question, *, now: datetime) -> Search:
    """The second half, where the first saw nothing."""
    since = question.since - SKEW
    furthest = now + SKEW - _FURTHEST
    gap = "it reaches further back than settled batches are read" if since < furthest else ""
    first = max(since, furthest)
    rows = [
        row
        for row in _numbered(ledger, question)
        if row.batch is not None and first <= row.batch.listed_at <= now
    ]
    return Search(rows, gap or _hidden(ledger, since, now=now))


def _numbered(ledger: Ledger, question: Question) -> list[Row]:
    strangers = NOT_A_REFUND if question.about is About.REFUND else NOT_A_CHARGE
    account = question.merchant_account
    return [
        row
        for row in reversed(ledger.by_invoice.get(question.invoice_number, ()))
        if row.account == account and row.status not in strangers
    ]


def _hidden(ledger: Ledger, since: datetime, *, now: datetime) -> str:
    """Asked after the last page, as the adapter does."""
    cut_off = ledger.rules.cut_off
    if cut_off is not None and any(cut_off.hides(since, now=at) for at in (now, now + SKEW)):
        return "a batch was cut off since, which may not be listed yet"
    return ""


def found(ledger: Ledger, question: Question, *, search: Search, now: datetime) -> Finding:
    """What became of the intent, by the details of what was found."""
    unclear, undone, strange = "", "", False
    evidence: dict[str, object] = {"rows": len(ledger.rows)}
    read: list[tuple[Definite, dict[str, object]]] = []
    for row in search.rows:
        if row.told_at > now:
            unclear = f"no details of {row.transaction_id}: E00040"
            continue
        details = details_of(row)
        evidence = dict(details.evidence)
        match reading(details, question):
            case Unclear(why):
                unclear = why
            case Undone(why):
                undone = undone or why
            case Stranger():
                strange = True
            case verdict:
                read.append((verdict, evidence))
    return _weighed(read, question.about, unclear=unclear, search=search) or _unseen(
        search, evidence=evidence, unclear=unclear, undone=undone, strange=strange
    )


def _weighed(
    read: Sequence[tuple[Definite, dict[str, object]]],
    about: About,
    *,
    unclear: str,
    search: Search,
) -> Found | None:
    """The one that may have moved money counts; beside what is unclear nothing but an approval does."""
    several = len(search.rows) > 1
    for rank in _RANK:
        for verdict, seen in read:
            if isinstance(verdict, rank) and (rank is Approved or not unclear):
                if several:
                    seen["matches"] = [row.transaction_id for row in search.rows]
                approved = [it for it, _ in read if isinstance(it, Approved)]
                return Found(_with_others(verdict, approved, about=about), seen)
    return None


def _with_others(first: Definite, approved: Sequence[Approved], *, about: About) -> Definite:
    if not isinstance(first, Approved) or len(approved) == 1:
        return first
    others = tuple(it.transaction_id for it in approved if it is not first)
    if about is not About.REFUND:
        return replace(first, others=others)
    total_minor = sum(it.amount_minor or 0 for it in approved)
    return replace(first, others=others, amount_minor=total_minor)


def _unseen(
    search: Search, *, evidence: dict[str, object], unclear: str, undone: str, strange: bool
) -> NotSeen:
    if unclear:
        return NotSeen(complete=False, why=unclear, evidence=evidence)
    if undone:
        return NotSeen(complete=True, why=undone, evidence=evidence)
    if strange:
        why = "its number is on transactions of another kind only"
        return NotSeen(complete=False, why=why, evidence=evidence)
    why = f"{_ABSENT}, but {search.gap}" if search.gap else _ABSENT
    return NotSeen(complete=not search.gap, why=why, evidence=evidence)


def seen(ledger: Ledger, question: Question, *, search: Search, now: datetime) -> Sight | NotSeen:
    """How the charge stands today; of several under one number the one that moved most."""
    sights: list[Sight] = []
    why = f"it is {_ABSENT}"
    for row in search.rows:
        told = _sight(ledger, row, question=question, now=now)
        if isinstance(told, Sight):
            sights.append(told)
        else:
            why = told.why
    if sights:
        return min(sights, key=lambda sight: _SIGHTS.index(sight.standing))
    complete = not (search.gap or search.rows)
    return NotSeen(complete=complete, why=f"{why}, but {search.gap}" if search.gap else why)


def _sight(ledger: Ledger, row: Row, *, question: Question, now: datetime) -> Sight | NotSeen:
    name = f"transaction {row.transaction_id}"
    if row.told_at > now:
        return NotSeen(complete=False, why=f"the gateway knows no {name}")
    if question.invoice_number and row.invoice_number != question.invoice_number:
        return NotSeen(complete=False, why=f"{name} carries another invoice number")
    if row.kind in {REFUND, RETURN}:
        return NotSeen(complete=False, why=f"{name} is no charge")
    details, cut_off = details_of(row), ledger.rules.cut_off
    waits = details.standing is Standing.TAKEN and cut_off is not None
    return Sight(
        transaction_id=row.transaction_id,
        standing=details.standing,
        money=details.money,
        status=row.status,
        method=row.method,
        submitted_at=row.at,
        settles_at=cut_off.through_at(row.at, now=now) if waits and cut_off is not None else None,
        settled_at=row.settled_at,
        evidence=details.evidence,
    )


def unsettled_entries(ledger: Ledger, account: str, *, now: datetime) -> list[Entry]:
    """The account's unsettled list, newest first."""
    return [
        _entry(row)
        for row in reversed(ledger.waiting)
        if row.account == account and row.status != EXPIRED and row.listed_at <= now
    ]


def batches_since(ledger: Ledger, account: str, *, since: datetime, now: datetime) -> list[Batch]:
    """The account's batches that were listed since, the oldest first."""
    first = max(since - SKEW, now + SKEW - _FURTHEST)
    return [it for it in ledger.batches if it.account == account and first <= it.listed_at <= now]


def batch_entries(batch: Batch) -> list[Entry]:
    """A batch's own list, newest first."""
    return [_entry(row) for row in reversed(batch.rows)]


def _entry(row: Row) -> Entry:
    """A row of a list, which says less than its details."""
    refunds = row.status in OF_REFUNDS
    minor = row.captured_minor or row.approved_minor or row.amount_minor
    return Entry(
        transaction_id=row.transaction_id,
        invoice_number=row.invoice_number,
        standing=(REFUNDS if refunds else CHARGES).get(row.status, Standing.UNCLEAR),
        refunds=refunds,
        money=Money(minor, row.currency),
    )


def by_id(ledger: Ledger, question: Question, *, now: datetime) -> Row | None:
    """The transaction that the question names, where the account may see it already."""
    row = ledger.by_id.get(question.transaction_id or "")
    if row is None or row.account != question.merchant_account or row.told_at > now:
        return None
    return row


def details_of(row: Row) -> Details:
    """One transaction's details, as the adapter reads them."""
    refunds = row.kind == REFUND
    standing = (REFUNDS if refunds else CHARGES).get(row.status, Standing.UNCLEAR)
    if standing is Standing.SETTLED and row.returned_by:
        standing = Standing.RETURNED
    about = About.REFUND if refunds else About.CHARGE
    declined = row.status == DECLINED
    why = reason(str(row.code), about) if declined else Reason(row.status, "", Advice.SOFT)
    minor = row.approved_minor or row.amount_minor
    if standing in _MOVED and row.kind in {SALE, AUTHORISATION}:
        minor = row.captured_minor or minor
    return Details(
        transaction_id=row.transaction_id,
        invoice_number=row.invoice_number,
        status=row.status,
        standing=standing,
        refunds=refunds,
        returned_item=row.kind == RETURN,
        money=Money(minor, row.currency),
        method=row.method,
        reason=why,
        auth_code="ABC123",
        network_transaction_id="",
        avs="",
        cvv="",
        submitted_at=row.at,
        settled_at=row.settled_at,
        evidence={
            "transaction_id": row.transaction_id,
            "transactionStatus": row.status,
            "invoice_number": row.invoice_number,
        },
        bank=None,
    )
