"""Somebody acts behind our back: a person in the merchant interface, a fraud review, a bank. No worker sees this file.

Each act keeps to the gateway's own rules, amounts always included, and says whether it was done: chance may try any.
"""

from dataclasses import replace
from typing import Final

from tests.simulation.memory_gateway_ledger import (
    AUTHORISATION,
    AUTHORISED_REVIEW,
    CHARGED_BACK,
    DECLINED,
    GIVEN,
    PENDING_REVIEW,
    REFUND,
    REJECTED,
    RESERVED,
    RETURN,
    RETURNED,
    SALE,
    SETTLED,
    TAKEN,
    VOIDED,
    Ledger,
    Row,
)
from tests.simulation.memory_gateway_rules import (
    against_capture,
    against_refund,
    against_void,
    captured,
    voided,
)

_RELEASED: Final = {SALE: TAKEN, AUTHORISATION: RESERVED, REFUND: GIVEN}
_BY: Final = "merchant"


class Merchant:
    """Acts upon transactions by their id; False where the gateway refuses, or knows no such transaction."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def void(self, transaction_id: str) -> bool:
        """Undo it as a whole."""
        at, row = self._ledger.run(), self._ledger.by_id.get(transaction_id)
        if row is None or row.status == VOIDED or against_void(self._ledger, row):
            return False
        voided(row, at=at)
        return True

    def capture(self, transaction_id: str, amount_minor: int) -> bool:
        """Capture an authorisation."""
        at, row = self._ledger.run(), self._ledger.by_id.get(transaction_id)
        if row is None or against_capture(row, amount_minor=amount_minor):
            return False
        captured(row, amount_minor, at=at)
        return True

    def refund(self, transaction_id: str, amount_minor: int) -> bool:
        """Give a part of a settled charge back, under no invoice number of ours."""
        ledger = self._ledger
        at, row = ledger.run(), ledger.by_id.get(transaction_id)
        if row is None or against_refund(ledger, row, amount_minor=amount_minor, at=at):
            return False
        self._beside(row, kind=REFUND, status=GIVEN, amount_minor=amount_minor)
        return True

    def decide(self, transaction_id: str, *, approve: bool) -> bool:
        """A person's answer to what is held; an authorisation that is refused is void."""
        at, row = self._ledger.run(), self._ledger.by_id.get(transaction_id)
        if row is None or row.status not in {PENDING_REVIEW, AUTHORISED_REVIEW}:
            return False
        if approve:
            row.status, row.code = _RELEASED[row.kind], 1
            row.approved_minor = 0 if row.kind == REFUND else row.approved_minor or row.amount_minor
            row.captured_minor = row.approved_minor if row.status == TAKEN else 0
        else:
            row.status = VOIDED if row.status == AUTHORISED_REVIEW else DECLINED
            row.code, row.approved_minor = 254, 0
        row.waits_since = at
        return True

    def give_back(self, transaction_id: str) -> bool:
        """The bank returns a settled transfer: a transaction of its own, beside the charge."""
        self._ledger.run()
        row = self._ledger.by_id.get(transaction_id)
        if row is None or row.status != SETTLED or row.returned_by or not row.method.is_bank:
            return False
        beside = self._beside(row, kind=RETURN, status=RETURNED, amount_minor=row.captured_minor)
        row.returned_by = beside.transaction_id
        return True

    def charge_back(self, transaction_id: str) -> bool:
        """The card's bank takes the money back; the gateway only shows the status."""
        self._ledger.run()
        row = self._ledger.by_id.get(transaction_id)
        if row is None or row.status != SETTLED or row.kind == REFUND:
            return False
        row.status = CHARGED_BACK
        return True

    def reject(self, transaction_id: str) -> bool:
        """The processor refuses a captured charge when it is to be settled: final, and no money comes."""
        self._ledger.run()
        row = self._ledger.by_id.get(transaction_id)
        if row is None or row.status != TAKEN:
            return False
        row.status = REJECTED
        return True

    def _beside(self, row: Row, *, kind: str, status: str, amount_minor: int) -> Row:
        """A new transaction about `row`. A return carries the invoice number of what it returns."""
        at = self._ledger.run()
        beside = replace(
            row,
            transaction_id=self._ledger.next_id(),
            kind=kind,
            status=status,
            invoice_number=row.invoice_number if kind == RETURN else "",
            amount_minor=amount_minor,
            approved_minor=0,
            captured_minor=0,
            at=at,
            waits_since=at,
            listed_at=at,
            told_at=at,
            by=_BY,
            original=row.transaction_id,
            batch=None,
            settled_at=None,
            returned_by="",
        )
        return self._ledger.write(beside)
