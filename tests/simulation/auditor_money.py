"""P2 and P4: the money, by the gateway's own book and its door. See `auditor_books.py` for what is read."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from tests.simulation.auditor_books import (
    CHARGES,
    RULED,
    Books,
    Found,
    Row,
    Violation,
    gives_back,
    keeps_money,
)

_NOT_CHARGED: Final = "worker.not_charged"
_SCANS: Final = 2
_FAILURES: Final = frozenset({"declined", "refused", "failed"})
_CHARGED: Final = frozenset(
    {"authorized", "captured", "settled", "verified", "partially_refunded", "refunded"}
)
_NEVER_APPROVED: Final = frozenset({"declined", "FDSPendingReview", "FDSAuthorizedPendingReview"})
# A payment that stands so may hold or take money of its order.
_HOLDS_ITS_ORDER: Final = frozenset(
    {"requested", "unknown", "held", "authorized", "captured", "settled", "partially_refunded"}
)
_IN_FLIGHT: Final = frozenset({"open", "answered", "asking", "deferred"})
_UNDECIDED: Final = frozenset({"requested", "unknown", "deferred"})


def p2_nothing_twice(books: Books) -> Found:
    """A charge is sent at most once in its life; no more is captured than authorised, or refunded than captured.

    Refunds that are open or undecided count as refunded, and an order is not paid by two payments at once.
    """
    yield from _sent_twice(books)
    yield from _booked_twice(books)
    yield from _above(books)
    yield from _above_in_the_journal(books)
    yield from _above_with_open_ones(books)
    if books.terms.one_payment:
        yield from _orders_paid_twice(books)


def _sent_twice(books: Books) -> Found:
    """A journal that forgot a send may send it again once the gateway surely has not got it: nobody can know better."""
    for name, sends in books.sends_of.items():
        charges = [it for it in sends if it["about"] == "charge" and not it["refused"]]
        for before, again in pairwise(charges):
            proven = _proven_absent(books, before, before_n=again["n"])
            forgot = books.terms.forgot(before["n"]) or books.has_forgotten_intent(before)
            if proven and forgot:
                continue
            facts = {"operation_id": name, "n": before["n"], "again_n": again["n"]}
            payment_id = books.payment_of.get(name, "")
            yield Violation("P2", payment_id, "a charge was sent more than once", facts)


def _proven_absent(books: Books, send: Row, *, before_n: int) -> bool:
    """Two complete scans without it, the later one so long after it can have arrived that it is in the lists."""
    scans = [
        ask["at"]
        for ask in books.asks_of.get(send["invoice_number"], ())
        if ask["complete"] and send["n"] < ask["n"] < before_n
    ]
    late_enough_at = send["at"] + send["left_s"] + books.terms.absence_after_s
    return len(scans) >= _SCANS and scans[-1] >= late_enough_at


def _booked_twice(books: Books) -> Found:
    for payment_id, charges in books.charges.items():
        approved = [row["transaction_id"] for row in charges if _is_approved(row)]
        if len(approved) > 1:
            yield Violation("P2", payment_id, "charged more than once", {"transactions": approved})


def _is_approved(row: Row) -> bool:
    return row["status"] not in _NEVER_APPROVED


def _above(books: Books) -> Found:
    payments = _payments_by_transaction(books)
    for row in books.ledger:
        if row["kind"] not in CHARGES:
            continue
        name = row["transaction_id"]
        facts = {"transaction_id": name, "captured": row["captured_minor"]}
        if row["captured_minor"] > row["approved_minor"]:
            above = {**facts, "authorised": row["approved_minor"]}
            yield Violation(
                "P2", payments.get(name, ""), "more captured than was authorised", above
            )
        back = sum(it["amount_minor"] for it in _ours(books, name))
        if back > row["captured_minor"]:
            yield Violation(
                "P2",
                payments.get(name, ""),
                "more refunded than was captured",
                {**facts, "refunded": back},
            )


def _ours(books: Books, transaction_id: str) -> Sequence[Row]:
    """Refunds of a charge that a worker made; what a person does at the gateway is that person's."""
    return [row for row in books.given_back.get(transaction_id, ()) if row["by"] == "worker"]


def _payments_by_transaction(books: Books) -> dict[str, str]:
    return {
        row["transaction_id"]: payment_id
        for payment_id, rows in books.charges.items()
        for row in rows
    }


def _above_in_the_journal(books: Books) -> Found:
    for row in books.payments:
        captured = row["captured_minor"] + row["capturing_minor"]
        refunded = row["refunded_minor"] + row["refunding_minor"]
        names = ("authorised_minor", "captured_minor", "capturing_minor", "refunded_minor")
        facts = {name: row[name] for name in (*names, "refunding_minor")}
        if captured > row["authorised_minor"] or refunded > row["captured_minor"]:
            what = "the journal has promised more than there is"
            yield Violation("P2", row["payment_id"], what, facts)


def _above_with_open_ones(books: Books) -> Found:
    """What went back at the gateway, and what may still go back, is no more than was captured."""
    asked = {row["operation_id"]: row["amount_minor"] for row in books.asked}
    numbers: dict[str, set[str]] = defaultdict(set)  # asked for membership only
    for row in (*books.attempts, *books.sends):
        numbers[row["operation_id"]].add(row["invoice_number"])
    for payment_id, charges in books.charges.items():
        waiting = [row for row in books.operations_of.get(payment_id, ()) if _may_give_back(row)]
        for charge in charges if waiting else ():
            if not keeps_money(books, charge) or not charge["captured_minor"]:
                continue
            back = _ours(books, charge["transaction_id"])
            booked = {row["invoice_number"] for row in back}
            open_minor = sum(
                row["reserved_minor"] or asked.get(row["operation_id"]) or 0
                for row in waiting
                if not numbers[row["operation_id"]] & booked
            )
            total = open_minor + sum(row["amount_minor"] for row in back)
            if total > charge["captured_minor"]:
                facts = {"captured": charge["captured_minor"], "refunded_and_open": total}
                what = "refunds under way exceed what was captured"
                yield Violation("P2", payment_id, what, facts)


def _may_give_back(row: Row) -> bool:
    return (
        row["kind"] == "refund"
        and row["stage"] in _IN_FLIGHT
        and row["request_state"] in _UNDECIDED
        and (row["request_state"] != "requested" or row["stage"] == "open")
    )


def _orders_paid_twice(books: Books) -> Found:
    stands = {row["payment_id"]: row for row in books.payments}
    payers: dict[str, dict[str, int]] = defaultdict(dict)
    for send in books.sends:
        if books.terms.forgot(send["n"]):
            continue  # the journal forgot who pays it; the order's own state has to say so then
        payment_id = books.payment_of.get(send["operation_id"], "")
        known = stands.get(payment_id)
        if send["about"] != "charge" or not send["order_id"] or known is None:
            continue
        if known["state"] in _HOLDS_ITS_ORDER:
            payers[send["order_id"]][payment_id] = send["amount_minor"]
    for order_id, amounts in payers.items():
        worth = books.orders.get(order_id, max(amounts.values()))
        if len(amounts) > 1 and sum(amounts.values()) > worth:
            facts = {"order_id": order_id, "worth": worth, "payments": sorted(amounts)}
            yield Violation("P2", min(amounts), "an order is paid by more than one payment", facts)


def p4_silence_is_unknown(books: Books) -> Found:
    """No silence is told as an end: what the gateway approved is no failure, what it did not is no success.

    A charge is told as not charged only where two complete scans did not see it, the later one late enough; and where
    it turns up after all, its payment is told to be conflicted.
    """
    for payment_id, told in books.told.items():
        charges = books.charges.get(payment_id, ())
        last = told[-1]
        if last["state"] in _FAILURES:
            yield from _charged_all_the_same(books, last, charges=charges)
        for row in told:
            if row["state"] == "failed" and row["reason_code"] == _NOT_CHARGED:
                yield from _too_early(books, row, charges=charges)
        approved = any(_is_approved(row) for row in charges) or last["reason_code"] == RULED
        if last["state"] in _CHARGED and not approved:
            facts = {"state": last["state"], "version": last["version"]}
            yield Violation("P4", payment_id, "told as a success, and nothing approved", facts)
    yield from _refunded_all_the_same(books)


def _charged_all_the_same(books: Books, told: Row, *, charges: Sequence[Row]) -> Found:
    swept = books.terms.swept_until
    for row in charges:
        found_in_time = swept is None or row["listed_at"] <= swept
        if found_in_time and keeps_money(books, row) and _is_approved(row):
            facts = {
                "state": told["state"],
                "version": told["version"],
                "transaction_id": row["transaction_id"],
                "status": row["status"],
            }
            yield Violation("P4", told["payment_id"], "told as a failure, and charged", facts)


def _too_early(books: Books, told: Row, *, charges: Sequence[Row]) -> Found:
    """Absence believed without proof. A row that no list showed yet is nobody's fault."""
    terms, payment_id = books.terms, told["payment_id"]
    listed = [
        row["transaction_id"]
        for row in charges
        if _is_approved(row) and row["listed_at"] + terms.slack_s < told["occurred_at"]
    ]
    if listed:
        facts = {"version": told["version"], "transactions": listed}
        yield Violation("P4", payment_id, "told as not charged while it stood in the lists", facts)
    initiation = books.sends_of.get(f"initiation:{payment_id}", ())
    sends = [send for send in initiation if send["n"] < told["n"]]
    if sends and not _proven_absent(books, sends[-1], before_n=told["n"]):
        facts = {"version": told["version"], "sent_n": sends[-1]["n"]}
        yield Violation("P4", payment_id, "told as not charged without proof", facts)


def _refunded_all_the_same(books: Books) -> Found:
    """One refund is told under one id, whichever of its commands did it."""
    owners = {row["invoice_number"]: row["operation_id"] for row in books.sends}
    failed: dict[str, Row] = {
        _refund_of(row["operation_id"]): row
        for row in books.operations
        if row["request_state"] == "failed" and row["reason_code"] != RULED
    }
    for row in books.ledger:
        name = owners.get(row["invoice_number"], "")
        asked = failed.get(_refund_of(name))
        if asked is not None and gives_back(row):
            facts = {"operation_id": name, "transaction_id": row["transaction_id"]}
            yield Violation("P4", asked["payment_id"], "told as failed, and refunded", facts)


def _refund_of(operation_id: str) -> str:
    """Without the number of the command that goes on with it."""
    return operation_id.partition("#")[0]
