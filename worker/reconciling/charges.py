"""The charges of both books: duplicates, what is absent, and what differs in currency, standing or amount. Pure."""

from collections.abc import Sequence
from typing import Final

from handlers.domain.facts import Standing
from handlers.domain.states import PaymentState
from worker.reconciling.agreeing import CHARGED, LIVE, TAKEN, TAKEN_BACK, agrees
from worker.reconciling.books import Books, GatewayRow, PaymentEntry
from worker.reconciling.kinds import Book, Kind
from worker.reconciling.matching import Matched
from worker.reconciling.weighing import Found, Stake, Subject, of_row, shown, worth

_KNOWS_IT_WENT_BACK: Final = frozenset({PaymentState.RETURNED, PaymentState.CHARGED_BACK})


def compare_charges(books: Books, matched: Matched, *, found: Found) -> None:
    """Each payment of the journal against its rows."""
    for entry in books.journal.payments.values():
        rows = matched.charges.get(entry.payment_id, ())
        own = _own(entry, rows)
        if own is not None:
            _one(entry, own, books=books, found=found)
        elif entry.state in CHARGED:
            _absent(entry, books, found=found)
        extras = [row for row in rows if row is not own and row.charge in LIVE]
        if extras:
            _duplicate(entry, extras, books=books, found=found)
        for row in matched.returns.get(entry.payment_id, ()):
            _returned(entry, row, books=books, found=found)


def _own(entry: PaymentEntry, rows: Sequence[GatewayRow]) -> GatewayRow | None:
    """The row that is the payment's charge: by its transaction id, else the one that moves money.

    Where the journal has the money and names a transaction, no other row can stand for that one.
    """
    live = [row for row in rows if row.charge in LIVE]
    named = next((row for row in rows if row.transaction_id == entry.transaction_id), None)
    if named is not None and (named in live or not live):
        return named
    if entry.transaction_id and entry.state in CHARGED:
        return named
    return next(iter(live or rows), None)


def _one(entry: PaymentEntry, row: GatewayRow, *, books: Books, found: Found) -> None:
    if not books.span.holds(row.submitted_at):
        return
    subject = of_row(row, payment_id=entry.payment_id, name=f"payment {entry.payment_id}")
    if not agrees(entry.state, row.charge):
        young = books.young(entry.updated_at, row.submitted_at)
        _status(entry, row, subject=subject, young=young, found=found)
    elif entry.currency != row.currency:
        if {entry.currency, row.currency} <= books.gateway.currencies.get(row.account, frozenset()):
            return  # the account is said to take both, and its lists name none
        found.add(
            Kind.CURRENCY,
            subject,
            stake=Stake(row.amount_minor, row.currency),
            text=f"{row.currency} at the gateway, {entry.currency} here",
        )
    else:
        _amount(entry, row, subject=subject, books=books, found=found)


def _status(
    entry: PaymentEntry, row: GatewayRow, *, subject: Subject, young: bool, found: Found
) -> None:
    if row.charge in TAKEN_BACK:
        kind, minor = Kind.TAKEN_BACK, row.amount_minor
    else:
        kind = Kind.STATUS
        minor = max(row.amount_minor if row.charge in LIVE else 0, worth(entry))
    found.add(
        kind,
        subject,
        stake=Stake(minor, row.currency),
        text=f"{row.status} at the gateway, {entry.state} here",
        young=young,
    )


def _amount(
    entry: PaymentEntry, row: GatewayRow, *, subject: Subject, books: Books, found: Found
) -> None:
    """What is captured there against what is captured here; before that, what is reserved or held."""
    if entry.state is PaymentState.CONFLICTED:
        return
    if row.charge in TAKEN:
        ours = entry.captured_minor
    elif row.charge is Standing.RESERVED:
        ours = entry.authorised_minor
    elif row.charge is Standing.HELD:
        ours = entry.amount_minor
    else:
        return
    if row.amount_minor != ours:
        found.add(
            Kind.AMOUNT,
            subject,
            stake=Stake(abs(row.amount_minor - ours), row.currency),
            text=f"{shown(row.amount_minor, row.currency)} at the gateway, {shown(ours, row.currency)} here",
            young=books.young(entry.updated_at, row.submitted_at),
        )


def _absent(entry: PaymentEntry, books: Books, *, found: Found) -> None:
    """Only complete lists prove that something is not there, and they lag behind."""
    minor = entry.captured_minor or entry.authorised_minor
    proven = books.span.holds(entry.charged_at) and books.gateway.complete(entry.account)
    if not proven or not minor:
        return
    subject = Subject(
        book=Book.GATEWAY,
        name=f"payment {entry.payment_id}",
        happened_at=entry.charged_at,
        account=entry.account,
        payment_id=entry.payment_id,
        transaction_id=entry.transaction_id,
    )
    found.add(
        Kind.ABSENT,
        subject,
        stake=Stake(minor, entry.currency),
        text=f"{entry.state} here as transaction {entry.transaction_id or '(none)'}, in no list there",
        young=books.young(entry.charged_at),
    )


def _duplicate(
    entry: PaymentEntry, extras: Sequence[GatewayRow], *, books: Books, found: Found
) -> None:
    inside = [row for row in extras if books.span.holds(row.submitted_at)]
    if not inside:
        return
    first = min(inside, key=lambda row: row.submitted_at)
    also = ", ".join(f"{row.transaction_id} ({row.status})" for row in extras[:5])
    found.add(
        Kind.DUPLICATE,
        of_row(first, payment_id=entry.payment_id, name=f"payment {entry.payment_id}"),
        stake=Stake(sum(row.amount_minor for row in extras), first.currency),
        text=f"charged again under the same invoice number: {also}",
    )


def _returned(entry: PaymentEntry, row: GatewayRow, *, books: Books, found: Found) -> None:
    if entry.state in _KNOWS_IT_WENT_BACK or not books.span.holds(row.submitted_at):
        return
    found.add(
        Kind.TAKEN_BACK,
        of_row(row, payment_id=entry.payment_id, name=f"payment {entry.payment_id}"),
        stake=Stake(row.amount_minor, row.currency),
        text=f"{row.status} at the gateway, {entry.state} here",
        young=books.young(row.submitted_at),
    )
