"""A payment's whole story: its journal, the gateway's rows, what was told, and which faults met it. Only read here."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from db_client import history
from tests.campaign.chronicle import Chronicle, clock
from tests.campaign.claims import Books, payment_named
from tests.campaign.ground import NAME
from tests.campaign.hearing import Heard
from worker.commands import timeline

_AROUND_S: Final = 10.0  # before its first and after its last moment
_PAYMENT: Final = re.compile(rf"{NAME}-\d{{6}}")
_REQUEST: Final = re.compile(rf"{NAME}-[a-z]+(\d+)[a-z]?\b")
_WORD: Final = re.compile(r"[A-Z2-7]{20}|\b\d{6,}\b")


@dataclass(frozen=True, slots=True)
class Library:
    """Where stories are looked up."""

    books: Books
    chronicle: Chronicle
    journal_url: str

    def whose(self, text: str) -> str:
        """The payment that a difference is about, or "": by its id, a request's, an invoice or a transaction."""
        found = _PAYMENT.search(text)
        if found:
            return found[0]
        request = _REQUEST.search(text)
        if request:
            return f"{NAME}-{int(request[1]):06d}"
        words = set(_WORD.findall(text))
        for row in self.books.ledger:
            if row["transId"] in words or row["invoiceNumber"] in words:
                return self._owner(row)
        return next(
            (it.payment_id for it in self.books.journal.entries if it.invoice_number in words), ""
        )

    def story(self, payment_id: str) -> list[str]:
        """All that is known of a payment, line by line."""
        return [
            f"the story of {payment_id}",
            *(f"  {line}" for line in self._journal(payment_id)),
            "  at the gateway:",
            *(f"    {line}" for line in map(_row, self._rows(payment_id))),
            "  as it was told:",
            *(f"    {line}" for line in map(_event, self._events(payment_id))),
            "  faults that met it:",
            *(f"    {it}" for it in self.chronicle.between(*self._time_of(payment_id))),
        ]

    def _journal(self, payment_id: str) -> Iterator[str]:
        with history.journal(self.journal_url, role="story") as engine:
            found = history.whole(engine, payment_id)
        if found is None:
            yield "the journal knows nothing of it"
        else:
            yield from timeline.as_text(found)

    def _rows(self, payment_id: str) -> list[Any]:
        return [row for row in self.books.ledger if self._owner(row) == payment_id]

    def _owner(self, row: Any) -> str:
        if row["description"]:
            return payment_named(row["description"])
        of = row["refTransId"]
        first = next((it for it in self.books.ledger if it["transId"] == of), None) if of else None
        return "" if first is None else payment_named(first["description"])

    def _events(self, payment_id: str) -> Sequence[Heard]:
        mine = [it for it in self.books.heard if it.payment_id == payment_id]
        return sorted(mine, key=lambda it: (it.at, it.seen.topic, it.seen.offset))

    def _time_of(self, payment_id: str) -> tuple[float, float]:
        times = [it.at for it in self._events(payment_id)]
        times += [datetime.fromisoformat(row["at"]).timestamp() for row in self._rows(payment_id)]
        with history.journal(self.journal_url, role="story") as engine:
            found = history.whole(engine, payment_id)
        if found is not None:
            times += [work.row["admitted_at"].timestamp() for work in found.work]
            times += [row["at"].timestamp() for row in found.evidence]
        times = times or [datetime.now(UTC).timestamp()]
        return min(times) - _AROUND_S, max(times) + _AROUND_S


def _row(row: Any) -> str:
    amounts = (
        f"{row['amountMinor']} (approved {row['approvedMinor']}, captured {row['capturedMinor']})"
    )
    fault = f", met {row['fault']}" if row["fault"] else ""
    of = f" of {row['refTransId']}" if row["refTransId"] else ""
    name = f"{row['type']} {row['transId']}{of}"
    return f"{row['at']} {name}: {row['status']}, {amounts}, invoice {row['invoiceNumber']}{fault}"


def _event(it: Heard) -> str:
    place = f"{clock(it.at)} {it.seen.topic}[{it.seen.partition}]@{it.seen.offset}"
    if not it.kind:
        return f"{place} dead letter, {it.seen.headers.get('dlq.reason', b'').decode()}"
    record = it.record
    said = record.get("state") or record.get("news") or record.get("template") or ""
    version = record.get("version", record.get("payment_version", "?"))
    request = record.get("request")
    about = f", {request['kind']} {request['request_id']} {request['state']}" if request else ""
    again = " (again)" if it.is_repeat else ""
    return f"{place} version {version}: {said}{about}{again}, event {it.event_id}"
