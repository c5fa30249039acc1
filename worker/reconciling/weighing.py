"""Makes a break of a difference: its id, what is at stake, and whether it is old enough to count. Pure."""

import base64
import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from db_client.break_rows import Break
from handlers.domain.money import Money
from handlers.domain.states import PaymentState
from worker.reconciling.books import GatewayRow, PaymentEntry
from worker.reconciling.kinds import Book, Kind

_ID_LENGTH: Final = 12  # of base 32: 60 bits


@dataclass(frozen=True, slots=True)
class Stake:
    """What a difference is about: an amount in minor units of a currency, never negative."""

    amount_minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class Subject:
    """What differs, in which book, and when that came about; ids are "" where there is none."""

    book: Book
    name: str
    happened_at: datetime
    account: str = ""
    payment_id: str = ""
    transaction_id: str = ""


def of_row(row: GatewayRow, *, payment_id: str = "", name: str = "") -> Subject:
    """A transaction at the gateway, or what it is about."""
    return Subject(
        book=Book.GATEWAY,
        name=name or f"transaction {row.transaction_id}",
        happened_at=row.submitted_at,
        account=row.account,
        payment_id=payment_id,
        transaction_id=row.transaction_id,
    )


def of_payment(entry: PaymentEntry, book: Book) -> Subject:
    """A payment as another book has it."""
    return Subject(
        book=book,
        name=f"payment {entry.payment_id}",
        happened_at=entry.updated_at,
        account=entry.account,
        payment_id=entry.payment_id,
        transaction_id=entry.transaction_id,
    )


@dataclass(slots=True)
class Found:
    """The breaks of one comparison, each once; what was found first counts."""

    breaks: dict[str, Break] = field(default_factory=dict)

    def add(
        self, kind: Kind, subject: Subject, *, stake: Stake, text: str, young: bool = False
    ) -> None:
        """One more. `young`: it may still come right by itself."""
        name = break_id(kind, subject)
        made = Break(
            break_id=name,
            kind=Kind.TIMING if young else kind,
            becomes=kind,
            book=subject.book,
            account=subject.account,
            subject=subject.name,
            payment_id=subject.payment_id,
            transaction_id=subject.transaction_id,
            amount_minor=stake.amount_minor,
            currency=stake.currency,
            happened_at=subject.happened_at,
            text=text,
        )
        self.breaks.setdefault(name, made)


def break_id(kind: Kind, subject: Subject) -> str:
    """The same for the same difference in every scan: 12 characters of a-z2-7."""
    said = f"{kind}\x1f{subject.book}\x1f{subject.name}".encode()
    return base64.b32encode(hashlib.sha256(said).digest())[:_ID_LENGTH].decode().lower()


def shown(amount_minor: int, currency: str) -> str:
    """`12.34 USD`."""
    return f"{Money(amount_minor, currency).decimal_text()} {currency}"


def worth(entry: PaymentEntry) -> int:
    """What the journal believes to have or to hold of a payment, in minor units."""
    if entry.captured_minor:
        return entry.captured_minor - entry.refunded_minor
    return entry.authorised_minor if entry.state is PaymentState.AUTHORIZED else 0
