"""The journal's book: payments that lived in the span with their refunds, and those to which the gateway's rows lead.

A charge of which the journal has no attempt (it was restored from an older copy) is known by the invoice number that
its command derives.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from db_client.database import Engine
from db_client.span_reads import SpanReads, one_moment
from handlers.domain.invoices import invoice_number
from handlers.domain.states import PaymentState, RequestState
from handlers.ports import Rules
from worker.reconciling.books import (
    GatewayRow,
    JournalBook,
    PaymentEntry,
    RefundEntry,
    Span,
)
from worker.reconciling.matching import Index

_CHUNK: Final = 5000


def read(engine: Engine, *, span: Span, rules: Rules, rows: Iterable[GatewayRow]) -> JournalBook:
    """The span's payments, and those of `rows` that are older. Everything is read at one moment."""
    book = JournalBook()
    with one_moment(engine) as reads:
        for row in reads.payments(since=span.since, until=span.until):
            _take_payment(book, row, rules=rules)
        for row in reads.refunds(since=span.since, until=span.until):
            _take_refund(book, row, rules=rules)
        index = Index(book)
        _take_owners(book, reads, rows=[it for it in rows if not index.owner(it)], rules=rules)
    return book


def add_owners(
    engine: Engine, book: JournalBook, *, rules: Rules, rows: Iterable[GatewayRow]
) -> None:
    """The payments of rows that were looked at more closely, and now name what they refer to."""
    with one_moment(engine) as reads:
        _take_owners(book, reads, rows=list(rows), rules=rules)


def _take_owners(
    book: JournalBook, reads: SpanReads, *, rows: Sequence[GatewayRow], rules: Rules
) -> None:
    for start in range(0, len(rows), _CHUNK):
        some = rows[start : start + _CHUNK]
        names = reads.owners(
            invoice_numbers=[it.invoice_number for it in some if it.invoice_number],
            transaction_ids=[name for it in some for name in (it.transaction_id, it.of) if name],
        )
        names -= book.payments.keys()
        for payment in reads.payments_named(names):
            _take_payment(book, payment, rules=rules)
        for refund in reads.refunds_named(names):
            _take_refund(book, refund, rules=rules)


def _take_payment(book: JournalBook, row: Mapping[str, Any], *, rules: Rules) -> None:
    operation_id = row["operation_id"] or ""
    number = row["invoice_number"] or (_derived(operation_id, rules) if operation_id else "")
    currency = row["currency"]
    book.payments[row["payment_id"]] = PaymentEntry(
        payment_id=row["payment_id"],
        currency=currency,
        state=PaymentState(row["state"]),
        version=row["version"],
        amount_minor=row["amount_minor"],
        authorised_minor=row["authorised_minor"],
        captured_minor=row["captured_minor"],
        refunded_minor=row["refunded_minor"],
        transaction_id=row["transaction_id"] or "",
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        invoice_number=number,
        account=row["merchant_account"] or rules.merchant_accounts.get(currency, ""),
        opened_at=row["opened_at"],
    )


def _take_refund(book: JournalBook, row: Mapping[str, Any], *, rules: Rules) -> None:
    operation_id = row["operation_id"]
    name, _, part = operation_id.partition(":")[2].partition("#")
    entry = book.payments.get(row["payment_id"])
    book.refunds.append(
        RefundEntry(
            operation_id=operation_id,
            refund_id=name,
            part=int(part or 1),
            payment_id=row["payment_id"],
            state=RequestState(row["request_state"] or RequestState.REQUESTED),
            amount_minor=row["amount_minor"] or 0,
            transaction_id=row["transaction_id"] or "",
            invoice_numbers=tuple(row["invoice_numbers"] or [_derived(operation_id, rules)]),
            account=row["merchant_account"] or (entry.account if entry else ""),
            opened_at=row["opened_at"],
            told_at=row["told_at"],
        )
    )


def _derived(operation_id: str, rules: Rules) -> str:
    return invoice_number(
        rules.invoice_key, environment=rules.environment, operation_id=operation_id
    )
