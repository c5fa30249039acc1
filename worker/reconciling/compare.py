"""Holds the gateway, the journal, the db-service and the events against each other: books in, breaks out. Pure.

It changes nothing and advises nothing: what to do about a break is a person's. The rules stand in `charges.py`,
`refunds.py`, `strangers.py` and `records.py`, what agrees with what in `agreeing.py`.
"""

from collections.abc import Iterator

from db_client.break_rows import Break
from worker.reconciling.books import Batch, Books
from worker.reconciling.charges import compare_charges
from worker.reconciling.kinds import Book, Kind
from worker.reconciling.matching import Index, match
from worker.reconciling.records import compare_records
from worker.reconciling.refunds import compare_refunds
from worker.reconciling.strangers import compare_strangers
from worker.reconciling.weighing import Found, Stake, Subject, shown


def compare(books: Books) -> list[Break]:
    """Every break of the span, the worst kinds first, then by amount; those of another account are left out."""
    found = Found()
    index = Index(books.journal)
    matched = match(books.gateway, index)
    compare_strangers(books, matched, index=index, found=found)
    compare_charges(books, matched, found=found)
    compare_refunds(books, matched, found=found)
    compare_records(books, found=found)
    for batch in books.gateway.batches:
        _batch(batch, books, found=found)
    rank = {kind.value: place for place, kind in enumerate(Kind)}
    breaks = [it for it in found.breaks.values() if books.account in (None, it.account)]
    return sorted(breaks, key=lambda it: (rank[it.kind], -it.amount_minor, it.break_id))


def doubtful(breaks: list[Break]) -> Iterator[Break]:
    """Those of which the transaction's own details say more than the lists: what is absent, whose a refund is."""
    for it in breaks:
        if it.becomes in (Kind.ABSENT, Kind.REFUND) and it.transaction_id:
            yield it


def _batch(batch: Batch, books: Books, *, found: Found) -> None:
    charged = batch.charged_told_minor - batch.charged_minor
    refunded = batch.refunded_told_minor - batch.refunded_minor
    if not (charged or refunded) or not books.span.holds(batch.settled_at):
        return
    told = shown(batch.charged_told_minor, batch.currency)
    back = shown(batch.refunded_told_minor, batch.currency)
    summed = shown(batch.charged_minor, batch.currency)
    summed_back = shown(batch.refunded_minor, batch.currency)
    subject = Subject(
        book=Book.GATEWAY,
        name=f"batch {batch.batch_id}",
        happened_at=batch.settled_at,
        account=batch.account,
    )
    found.add(
        Kind.BATCH,
        subject,
        stake=Stake(abs(charged) + abs(refunded), batch.currency),
        text=f"charged {told} and refunded {back} in all, its transactions come to {summed} and {summed_back}",
    )
