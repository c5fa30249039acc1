"""The refunds of both books: each leaves once at most, as it was asked for, and never above what was captured. Pure."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from handlers.domain.states import RequestState
from worker.reconciling.agreeing import GIVEN_BACK, TAKEN, refund_agrees
from worker.reconciling.books import Books, GatewayRow, PaymentEntry, RefundEntry
from worker.reconciling.kinds import Book, Kind
from worker.reconciling.matching import Matched
from worker.reconciling.weighing import Found, Stake, Subject, of_row, shown

_OPEN_ENDED: Final = frozenset({RequestState.CONFLICTED, RequestState.CONTINUED})


def compare_refunds(books: Books, matched: Matched, *, found: Found) -> None:
    """Each refund of the journal against its rows, then the sums of each payment."""
    given: dict[str, int] = defaultdict(int)
    for refund in _refunds(books):
        rows = matched.refunds.get(refund.refund_id, ())
        live = [row for row in rows if row.refund in GIVEN_BACK]
        given[refund.payment_id] += sum(row.amount_minor for row in live)
        own = _own(refund, rows, live=live)
        if own is not None:
            _one(refund, own, books=books, found=found)
        else:
            _absent(refund, books, found=found)
        _duplicates(refund, [row for row in live if row is not own], books=books, found=found)
    for payment_id, minor in given.items():
        entry = books.journal.payments.get(payment_id)
        if entry is not None and minor:
            _above(entry, minor, books=books, matched=matched, found=found)


def _refunds(books: Books) -> Sequence[RefundEntry]:
    """Each refund as its last operation has it, with the attempts of all of them."""
    last: dict[str, RefundEntry] = {}
    for it in books.journal.refunds:
        before = last.get(it.refund_id)
        if before is None or before.part < it.part:
            last[it.refund_id] = it
    return list(last.values())


def _own(
    refund: RefundEntry, rows: Sequence[GatewayRow], *, live: Sequence[GatewayRow]
) -> GatewayRow | None:
    named = next((row for row in rows if row.transaction_id == refund.transaction_id), None)
    if named is not None or refund.transaction_id:
        return named
    return next(iter(live or rows), None)


def _one(refund: RefundEntry, row: GatewayRow, *, books: Books, found: Found) -> None:
    if not books.span.holds(row.submitted_at):
        return
    subject = of_row(row, payment_id=refund.payment_id, name=f"refund {refund.refund_id}")
    young = books.young(refund.told_at, row.submitted_at)
    stake = Stake(row.amount_minor, row.currency)
    if not refund_agrees(refund.state, row.refund):
        text = f"{row.status} at the gateway, {refund.state} here"
        found.add(Kind.STATUS, subject, stake=stake, text=text, young=young)
        return
    differs = row.refund in GIVEN_BACK and row.amount_minor != refund.amount_minor
    if differs and refund.state not in _OPEN_ENDED:
        there = shown(row.amount_minor, row.currency)
        text = f"{there} at the gateway, {shown(refund.amount_minor, row.currency)} here"
        less = Stake(abs(row.amount_minor - refund.amount_minor), row.currency)
        found.add(Kind.AMOUNT, subject, stake=less, text=text, young=young)


def _absent(refund: RefundEntry, books: Books, *, found: Found) -> None:
    """A refund that was made by a void has no transaction of its own, and one that a person ruled has no evidence."""
    at, entry = refund.opened_at, books.journal.payments.get(refund.payment_id)
    if at is None or entry is None or refund.state is not RequestState.PROCESSED:
        return
    proven = books.span.holds(at) and books.gateway.complete(refund.account)
    if not refund.transaction_id or not proven:
        return
    subject = Subject(
        book=Book.GATEWAY,
        name=f"refund {refund.refund_id}",
        happened_at=at,
        account=refund.account,
        payment_id=refund.payment_id,
        transaction_id=refund.transaction_id,
    )
    found.add(
        Kind.ABSENT,
        subject,
        stake=Stake(refund.amount_minor, entry.currency),
        text=f"refunded here as transaction {refund.transaction_id}, in no list there",
        young=books.young(at),
    )


def _duplicates(
    refund: RefundEntry, extras: Sequence[GatewayRow], *, books: Books, found: Found
) -> None:
    inside = [row for row in extras if books.span.holds(row.submitted_at)]
    if not inside:
        return
    first = min(inside, key=lambda row: row.submitted_at)
    also = ", ".join(row.transaction_id for row in extras[:5])
    found.add(
        Kind.DUPLICATE,
        of_row(first, payment_id=refund.payment_id, name=f"refund {refund.refund_id}"),
        stake=Stake(sum(row.amount_minor for row in extras), first.currency),
        text=f"given back again, as {also}",
    )


def _above(
    entry: PaymentEntry, given: int, *, books: Books, matched: Matched, found: Found
) -> None:
    """What went back of one charge, as far as this scan saw it, is never more than was captured."""
    charged = [
        row.amount_minor for row in matched.charges.get(entry.payment_id, ()) if row.charge in TAKEN
    ]
    captured = max([entry.captured_minor, *charged])
    if given <= captured:
        return
    rows = [
        row
        for refund in books.journal.refunds
        if refund.payment_id == entry.payment_id
        for row in matched.refunds.get(refund.refund_id, ())
    ]
    latest = max(rows, key=lambda row: row.submitted_at)
    found.add(
        Kind.REFUND,
        of_row(latest, payment_id=entry.payment_id, name=f"payment {entry.payment_id}"),
        stake=Stake(given - captured, latest.currency),
        text=f"{shown(given, latest.currency)} given back, {shown(captured, latest.currency)} captured",
    )
