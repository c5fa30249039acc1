"""The gateway's ledger against the journal: nothing twice, nothing above what there is, the same sums on both sides.

Legend of `_FITS`: the status of a charge at the gateway → the states in which the journal may have its payment. Time
alone moves statuses (settlement, expiry), and nobody tells us; so the journal may know less, and never something else.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from db_client.audit import Entry, JournalBook, RequestEntry
from worker.demo.bookkeeping import Books, Row, Verdict

_LIVE: Final = frozenset(
    {
        "authorizedPendingCapture",
        "capturedPendingSettlement",
        "settledSuccessfully",
        "settlementError",
        "chargeback",
    }
)
_REFUNDED: Final = frozenset(
    {"refundPendingSettlement", "refundSettledSuccessfully", "settlementError"}
)
_FITS: Final[Mapping[str, frozenset[str]]] = {
    "authorizedPendingCapture": frozenset({"authorized"}),
    "capturedPendingSettlement": frozenset({"captured"}),
    "settlementError": frozenset({"captured"}),
    "settledSuccessfully": frozenset(
        {"captured", "settled", "partially_refunded", "refunded", "returned"}
    ),
    "chargeback": frozenset(
        {"captured", "settled", "partially_refunded", "refunded", "charged_back"}
    ),
    "voided": frozenset({"voided", "refunded", "verified"}),
    "expired": frozenset({"expired", "authorized", "verified"}),
}
_CHARGED: Final = frozenset().union(*_FITS.values())
_NOT_CHARGED: Final = frozenset({"declined", "refused", "failed"})
_REFUND: Final = "refundTransaction"
_RETURN: Final = "returnedItem"
_VOIDED: Final = "voided"


def is_charge(row: Row) -> bool:
    """Whether it took money, or reserved it."""
    return row["type"] not in {_REFUND, _RETURN}


def refunds(row: Row) -> bool:
    """Whether it gives money back, or will at settlement."""
    return row["type"] == _REFUND and row["status"] in _REFUNDED


def back_of(ledger: Iterable[Row]) -> dict[str, int]:
    """Transaction id of a charge → what was refunded of it."""
    back: dict[str, int] = defaultdict(int)
    for row in ledger:
        if refunds(row):
            back[row["refTransId"]] += row["amountMinor"]
    return back


def returned_of(ledger: Iterable[Row]) -> set[str]:
    """Transaction ids of the charges that a bank returned: their own status does not say so."""
    return {row["refTransId"] for row in ledger if row["type"] == _RETURN}


def compare_ledger(books: Books, *, verdict: Verdict) -> None:
    """Hold the ledger against itself, then against the journal's payments, then against its requests."""
    _bounds(books.ledger, verdict)
    _charges(books, verdict=verdict)
    _refunds(books, verdict=verdict)


def _bounds(ledger: Sequence[Row], verdict: Verdict) -> None:
    """What no gateway may be made to do, whatever a journal says."""
    back = back_of(ledger)
    for row in ledger:
        if row["type"] == _RETURN:
            back[row["refTransId"]] = back.get(row["refTransId"], 0) + row["amountMinor"]
    for row in ledger:
        name = f"transaction {row['transId']}"
        if is_charge(row) and row["capturedMinor"] > row["approvedMinor"]:
            both = f"{row['capturedMinor']} captured, {row['approvedMinor']} authorised"
            verdict.differ(name, f"captured above what was authorised: {both}")
        given = back.get(row["transId"], 0)
        if is_charge(row) and given > row["capturedMinor"]:
            both = f"{given} given back, {row['capturedMinor']} captured"
            verdict.differ(name, f"refunded above what was captured: {both}")


def _charges(books: Books, *, verdict: Verdict) -> None:
    charges: dict[str, list[Row]] = defaultdict(list)
    for row in books.ledger:
        if is_charge(row):
            charges[row["invoiceNumber"]].append(row)
    live = {
        invoice: [row for row in rows if row["status"] in _LIVE]
        for invoice, rows in charges.items()
    }
    verdict.charged = sum(1 for rows in live.values() if rows)
    for invoice, rows in live.items():
        if len(rows) > 1:
            verdict.differences.append(
                f"charged {len(rows)} times at the gateway: invoice {invoice}"
            )
    # A charge that a journal forgot was found by its derived number: no attempt of it stands in the journal.
    found = {row["transId"]: invoice for invoice, rows in charges.items() for row in rows}
    entries = books.journal.entries
    invoices = {
        entry.payment_id: entry.invoice_number or found.get(entry.transaction_id or "", "")
        for entry in entries
    }
    for invoice in {it for it, rows in live.items() if rows} - set(invoices.values()):
        verdict.differences.append(f"charged at the gateway, unknown to the journal: {invoice}")
    back, moving = back_of(books.ledger), _moving(books.journal)
    returned = returned_of(books.ledger)
    for entry in entries:
        for wrong in _misfits(
            entry,
            charges.get(invoices[entry.payment_id], []),
            back=back,
            moves=entry.payment_id in moving,
        ):
            verdict.differ(entry.payment_id, wrong)
        if entry.state == "returned" and entry.transaction_id not in returned:
            verdict.differ(entry.payment_id, "returned, but nothing came back at the gateway")


def _moving(journal: JournalBook) -> set[str]:
    """Payments about which a request waits that may have happened at the gateway already."""
    return {
        it.payment_id
        for it in journal.requests
        if it.stage != "concluded" and it.kind in {"capture", "void", "refund"}
    }


def _misfits(
    entry: Entry, rows: Sequence[Row], *, back: Mapping[str, int], moves: bool
) -> list[str]:
    """What is wrong between a payment and the charges under its invoice number."""
    if entry.state in _NOT_CHARGED:
        live = any(row["status"] in _LIVE for row in rows)
        return [f"{entry.state}, but CHARGED at the gateway"] if live else []
    if entry.state not in _CHARGED:
        return []
    if not any(row["status"] in _FITS for row in rows):
        return [f"{entry.state}, but not charged"]
    row = next((it for it in rows if it["transId"] == entry.transaction_id), None)
    if row is None:
        return ["another transaction id than the gateway's"]
    wrong = []
    if entry.state not in _FITS.get(row["status"], frozenset()) and not moves:
        wrong.append(f"{row['status']} at the gateway, {entry.state} in the journal")
    if row["approvedMinor"] != entry.authorised_minor:
        approved = row["approvedMinor"]
        wrong.append(
            f"{approved} minor units at the gateway, {entry.authorised_minor} in the journal"
        )
    return [*wrong, *_sums(entry, row, back=back.get(row["transId"], 0), moves=moves)]


def _sums(entry: Entry, row: Row, *, back: int, moves: bool) -> list[str]:
    """What moved at the gateway is what the journal says, or lies within what it has reserved for what is open."""
    if row["status"] == _VOIDED:
        kept = entry.captured_minor - entry.refunded_minor
        return [] if moves or not kept else [f"void at the gateway, {kept} kept in the journal"]
    wrong = []
    captured = row["capturedMinor"]
    if (
        not entry.captured_minor
        <= captured
        <= entry.captured_minor + (entry.capturing_minor if moves else 0)
    ):
        wrong.append(f"{captured} captured at the gateway, {entry.captured_minor} in the journal")
    if (
        not entry.refunded_minor
        <= back
        <= entry.refunded_minor + (entry.refunding_minor if moves else 0)
    ):
        wrong.append(f"{back} refunded at the gateway, {entry.refunded_minor} in the journal")
    return wrong


def _refunds(books: Books, *, verdict: Verdict) -> None:
    """Each refund leaves once at most, for the amount and the charge that it was asked for."""
    journal = books.journal
    owners: dict[str, RequestEntry] = {}
    for it in journal.requests:
        owners |= dict.fromkeys(it.invoice_numbers, it)
    told = {it.transaction_id: it for it in journal.requests if it.transaction_id}
    payments = {entry.payment_id: entry for entry in journal.entries}
    left: dict[str, list[Row]] = defaultdict(list)
    for row in filter(refunds, books.ledger):
        owner = owners.get(row["invoiceNumber"]) or told.get(row["transId"])
        if owner is None:
            unknown = row["invoiceNumber"]
            verdict.differences.append(
                f"refunded at the gateway, unknown to the journal: {unknown}"
            )
            continue
        left[owner.request_id].append(row)
        payment = payments.get(owner.payment_id)
        if payment is not None and row["refTransId"] != payment.transaction_id:
            verdict.differ(_name(owner), "refunds another charge")
        if owner.state in {"failed", "continued"}:
            verdict.differ(_name(owner), f"{owner.state}, but REFUNDED at the gateway")
    for request_id, rows in left.items():
        if len(rows) > 1:
            verdict.differ(f"refund {request_id}", f"{len(rows)} times at the gateway")
    by_id = {row["transId"]: row for row in books.ledger}
    for it in journal.requests:
        wrong = _undone(it, payments.get(it.payment_id), rows=by_id)
        if wrong:
            verdict.differ(_name(it), wrong)
    _refunded_sums(journal, verdict)


def _undone(request: RequestEntry, payment: Entry | None, *, rows: Mapping[str, Row]) -> str:
    """What is wrong about a request that the journal calls processed, or ""."""
    if request.state != "processed" or payment is None:
        return ""
    charge = rows.get(payment.transaction_id or "")
    status = charge["status"] if charge else ""
    if request.kind == "void" and status in _LIVE:
        return f"processed, but the charge is {status} at the gateway"
    if request.kind != "refund":
        return ""
    row = rows.get(request.transaction_id or "")
    if request.transaction_id is None:
        ruled = request.reason_code == "worker.ruled"  # then a person's word is all that there is
        return "" if status == _VOIDED or ruled else "processed, but nothing went back"
    if row is None or not refunds(row):
        return f"processed, but no refund {request.transaction_id} is at the gateway"
    if row["amountMinor"] != request.amount_minor:
        return f"{row['amountMinor']} at the gateway, {request.amount_minor} in the journal"
    return ""


def _refunded_sums(journal: JournalBook, verdict: Verdict) -> None:
    """What a payment says to be refunded is what its refunds come to; each of them is processed once."""
    sums: dict[str, int] = defaultdict(int)
    done: set[str] = set()
    for it in journal.requests:
        if it.kind != "refund" or it.state != "processed":
            continue
        sums[it.payment_id] += it.amount_minor or 0
        if it.request_id in done:
            verdict.differ(_name(it), "processed more than once")
        done.add(it.request_id)
    for entry in journal.entries:
        if sums[entry.payment_id] != entry.refunded_minor:
            both = f"{entry.refunded_minor} refunded, its refunds come to {sums[entry.payment_id]}"
            verdict.differ(entry.payment_id, both)


def _name(request: RequestEntry) -> str:
    return f"{request.kind} {request.request_id} of {request.payment_id}"
