"""Which of the gateway's rows belongs to what: by transaction id, then by invoice number. Pure.

Nothing is guessed by amount, time or card: what neither key leads to is a stranger, and is reported as one.
"""

from collections import defaultdict
from dataclasses import dataclass, field

from worker.reconciling.books import (
    GatewayBook,
    GatewayRow,
    JournalBook,
    PaymentEntry,
    RefundEntry,
)

_Rows = defaultdict[str, list[GatewayRow]]


@dataclass(slots=True)
class Matched:
    """The rows of each payment's charge, of its returns, and of each refund by refund id; and those of nobody."""

    charges: _Rows = field(default_factory=lambda: defaultdict(list))
    returns: _Rows = field(default_factory=lambda: defaultdict(list))
    refunds: _Rows = field(default_factory=lambda: defaultdict(list))
    strangers: list[GatewayRow] = field(default_factory=list)


class Index:
    """The journal by the keys that the gateway knows, ids and numbers in one dictionary. An empty key leads nowhere."""

    def __init__(self, journal: JournalBook) -> None:
        self._owners: dict[str, PaymentEntry | RefundEntry] = {}
        self._charges: dict[str, PaymentEntry] = {}
        for entry in journal.payments.values():
            for key in (_number(entry.invoice_number), _id(entry.transaction_id)):
                if key:
                    self._owners[key] = self._charges[key] = entry
        for refund in journal.refunds:
            for key in (_id(refund.transaction_id), *map(_number, refund.invoice_numbers)):
                if key:
                    self._owners[key] = refund

    def owner(self, row: GatewayRow) -> PaymentEntry | RefundEntry | None:
        """What a row is: a payment's charge, or a refund."""
        by_id = self._owners.get(_id(row.transaction_id))
        return by_id or self._owners.get(_number(row.invoice_number))

    def charge_behind(self, row: GatewayRow) -> PaymentEntry | None:
        """The payment whose charge a refund or a return is about: as the gateway names it, else by its number."""
        return self._charges.get(_id(row.of)) or self._charges.get(_number(row.invoice_number))


def match(gateway: GatewayBook, index: Index) -> Matched:
    """Every row in its place, in the order of the gateway's book."""
    matched = Matched()
    for row in gateway.rows.values():
        owner = index.charge_behind(row) if row.is_return else index.owner(row)
        if owner is None:
            matched.strangers.append(row)
        elif isinstance(owner, RefundEntry):
            matched.refunds[owner.refund_id].append(row)
        elif row.is_return:
            matched.returns[owner.payment_id].append(row)
        elif row.is_refund:  # a person's refund carries the number of the charge
            matched.strangers.append(row)
        else:
            matched.charges[owner.payment_id].append(row)
    return matched


def _id(transaction_id: str) -> str:
    return f"t{transaction_id}" if transaction_id else ""


def _number(invoice_number: str) -> str:
    return f"n{invoice_number}" if invoice_number else ""
