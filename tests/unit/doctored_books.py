"""Doctored books: each row of `DOCTORS` makes one difference between books that agree, and says how it is named.

No claims here; `test_books.py` holds that the auditor finds each of them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from handlers.domain.payments import Snapshot
from handlers.domain.states import PaymentState, RequestState
from tests.unit.books_that_agree import (
    CAPTURED,
    CONTINUED,
    DECLINED,
    DEFERRED,
    FAILED,
    HELD,
    PAID,
    REFUNDED_IN_PARTS,
    VOIDED,
    Life,
    charge,
    given_back,
    letter,
    record,
    told,
)
from worker.demo.books import Asked, Books
from worker.kafka_admin import Seen


def without(rows: Sequence[Mapping[str, Any]], **field: object) -> list[dict[str, Any]]:
    """The rows but for those with this value in this field."""
    return [dict(row) for row in rows if not field.items() <= row.items()]


def with_entry(books: Books, life: Life, **changes: Any) -> Books:
    """The journal with another entry for this payment."""
    name = life.payment.payment_id
    entries = [
        replace(it, **changes) if it.payment_id == name else it for it in books.journal.entries
    ]
    return replace(books, journal=replace(books.journal, entries=entries))


def with_request(books: Books, name: str, **changes: Any) -> Books:
    """The journal with another entry for this request."""
    requests = [
        replace(it, **changes) if it.request_id == name else it for it in books.journal.requests
    ]
    return replace(books, journal=replace(books.journal, requests=requests))


def with_ledger(books: Books, trans_id: str, **changes: Any) -> Books:
    """The ledger with another row for this transaction."""
    rows = [{**row, **changes} if row["transId"] == trans_id else dict(row) for row in books.ledger]
    return replace(books, ledger=rows)


def with_row(books: Books, row: dict[str, Any]) -> Books:
    """The ledger with one more row."""
    return replace(books, ledger=[*books.ledger, row])


def with_refund_recorded(books: Books, name: str, **changes: Any) -> Books:
    """The db-service with another record of this refund."""
    rows = [{**row, **changes} if row["refund_id"] == name else row for row in books.refunds]
    return replace(books, refunds=rows)


def _keys(life: Life) -> set[bytes]:
    payment = life.payment
    return {it.encode() for it in (payment.payment_id, payment.order_id, payment.user_id)}


def told_instead(books: Books, life: Life, *, instead: Sequence[Seen]) -> Books:
    """Other events about this payment."""
    others = [it for it in books.events if it.key not in _keys(life)]
    return replace(books, events=[*others, *instead])


def _changed(life: Life, place: int, **changes: Any) -> Life:
    """The life in which one piece of news told another payment."""
    snapshots = list(life.told)
    before = snapshots[place]
    snapshots[place] = Snapshot(replace(before.payment, **changes), before.request)
    return Life(tuple(snapshots))


def request_changed(life: Life, place: int, **changes: Any) -> Life:
    """The life in which one piece of news told another request."""
    snapshots = list(life.told)
    before = snapshots[place]
    assert before.request is not None
    snapshots[place] = Snapshot(before.payment, replace(before.request, **changes))
    return Life(tuple(snapshots))


def _lost(books: Books) -> Books:
    return replace(books, published=[*books.published, "p77"])


def _letter_of_another(books: Books) -> Books:
    extra = letter(b"p1", offset=19, reason=b"conflict")
    return replace(books, published=[*books.published, "p77"], events=[*books.events, extra])


def _request_lost(books: Books) -> Books:
    more = [Asked(f"void:{name}", "p1", "payment_void_request") for name in ("vx", "vy")]
    return replace(books, requests=[*books.requests, *more])


def _request_lost_beside_a_letter(books: Books) -> Books:
    """Each request needs a letter of its own, and a letter of another topic is none."""
    more = [Asked(f"refund:{name}", "p99", "refund_request") for name in ("rx", "ry")]
    extra = letter(b"p99", offset=19, topic="payment_void_request")
    return replace(books, requests=[*books.requests, *more], events=[*books.events, extra])


def _not_told_of_a_version(books: Books) -> Books:
    return told_instead(books, FAILED, instead=told([FAILED])[2:])


def _versions_in_disorder(books: Books) -> Books:
    return told_instead(books, FAILED, instead=told([Life(FAILED.told[::-1])]))


def _another_order_news(books: Books) -> Books:
    other = _changed(VOIDED, 1, state=PaymentState.REFUNDED)
    orders = [it for it in told([other]) if it.topic == "order_events"]
    others = [it for it in told([VOIDED]) if it.topic != "order_events"]
    return told_instead(books, VOIDED, instead=[*others, *orders])


def _second_partial_refund_not_news(books: Books) -> Books:
    """The state's name is the same after the second partial refund, but the order must hear of it."""
    snapshot = REFUNDED_IN_PARTS.told[3].payment
    quiet = _changed(REFUNDED_IN_PARTS, 3, state_version=snapshot.version - 1)
    return told_instead(books, REFUNDED_IN_PARTS, instead=told([quiet]))


def _customer_not_told(books: Books) -> Books:
    rest = [it for it in told([DEFERRED]) if it.topic != "notification_events"]
    return told_instead(books, DEFERRED, instead=rest)


def _strange_repeat(books: Books) -> Books:
    first = told([PAID])[0]
    repeat = replace(first, headers={**first.headers, "ce_id": b"new", "repeat_of": b"t:0:1"})
    return replace(books, events=[*books.events, repeat])


def _verification_unanswered(books: Books) -> Books:
    quiet = Life((*PAID.told[:1], Snapshot(PAID.told[1].payment, None)))
    return told_instead(books, PAID, instead=told([quiet]))


def _refund_told_otherwise(books: Books) -> Books:
    other = request_changed(REFUNDED_IN_PARTS, 4, state=RequestState.UNKNOWN)
    return told_instead(books, REFUNDED_IN_PARTS, instead=told([other]))


def _totals_told_otherwise(books: Books) -> Books:
    return told_instead(books, CAPTURED, instead=told([_changed(CAPTURED, 1, captured_minor=599)]))


def _went_on_untold(books: Books) -> Books:
    other = request_changed(CONTINUED, 1, state=RequestState.UNKNOWN)
    return told_instead(books, CONTINUED, instead=told([other]))


def _refunded_twice(books: Books) -> Books:
    """Both within what was captured: only the refund's id shows that it went out twice."""
    return with_row(books, given_back("729", 300, invoiceNumber="INVr9a"))


def _refund_processed_twice(books: Books) -> Books:
    [first] = [it for it in books.journal.requests if it.request_id == "r9a"]
    again = replace(first, operation_id="refund:r9a#2")
    requests = [*books.journal.requests, again]
    return replace(books, journal=replace(books.journal, requests=requests))


DOCTORS: Final[list[tuple[str, Callable[[Books], Books], str]]] = [
    ("charged twice", lambda it: with_row(it, charge(PAID, transId="777")),
     "charged 2 times at the gateway: invoice INVp1"),
    ("charged but failed", lambda it: with_row(it, charge(FAILED, transId="777")),
     "p5: failed, but CHARGED at the gateway"),
    ("charged but declined", lambda it: with_ledger(it, "603", status="authorizedPendingCapture"),
     "p3: declined, but CHARGED at the gateway"),
    ("charged for nobody", lambda it: with_row(it, charge(PAID, invoiceNumber="INVforeign", transId="7")),
     "unknown to the journal: INVforeign"),
    ("captured but not charged", lambda it: replace(it, ledger=without(it.ledger, transId="601")),
     "p1: captured, but not charged"),
    ("another transaction", lambda it: with_entry(it, PAID, transaction_id="9"),
     "p1: another transaction id than the gateway's"),
    ("another amount authorised", lambda it: with_ledger(it, "601", approvedMinor=2002),
     "p1: 2002 minor units at the gateway, 1001 in the journal"),
    ("another amount captured", lambda it: with_ledger(it, "606", capturedMinor=601),
     "p6: 601 captured at the gateway, 600 in the journal"),
    ("captured above authorised", lambda it: with_ledger(it, "606", capturedMinor=1007),
     "transaction 606: captured above what was authorised: 1007 captured, 1006 authorised"),
    ("voided but live", lambda it: with_ledger(it, "607", status="authorizedPendingCapture"),
     "void v7 of p7: processed, but the charge is authorizedPendingCapture at the gateway"),
    ("captured but void", lambda it: with_ledger(it, "601", status="voided", capturedMinor=0),
     "p1: void at the gateway, 1001 kept in the journal"),
    ("status and state differ", lambda it: with_entry(it, PAID, state="settled"),
     "p1: capturedPendingSettlement at the gateway, settled in the journal"),
    ("returned by nobody", lambda it: replace(it, ledger=without(it.ledger, transId="713")),
     "p13: returned, but nothing came back at the gateway"),
    ("settled too early", lambda it: with_ledger(it, "6012", status="settlementError"),
     "p12: settlementError at the gateway, settled in the journal"),
    ("refunded twice", _refunded_twice, "refund r9a: 2 times at the gateway"),
    ("refunded above captured", lambda it: with_ledger(it, "709", amountMinor=900),
     "transaction 609: refunded above what was captured: 1100 given back, 1009 captured"),
    ("returned above captured",
     lambda it: with_row(it, given_back("739", 600, type="returnedItem", status="returnedItem")),
     "transaction 609: refunded above what was captured: 1100 given back, 1009 captured"),
    ("refunded for nobody", lambda it: with_row(it, given_back("740", 1)),
     "refunded at the gateway, unknown to the journal: INV740"),
    ("failed but refunded", lambda it: with_request(it, "r9c", invoice_numbers=("INVr9b",)),
     "refund r9c of p9: failed, but REFUNDED at the gateway"),
    ("processed but not refunded", lambda it: replace(it, ledger=without(it.ledger, transId="719")),
     "refund r9b of p9: processed, but no refund 719 is at the gateway"),
    ("processed but not void", lambda it: with_ledger(it, "608", status="capturedPendingSettlement"),
     "refund r8 of p8: processed, but nothing went back"),
    ("refunds another charge", lambda it: with_ledger(it, "719", refTransId="602"),
     "refund r9b of p9: refunds another charge"),
    ("another amount refunded", lambda it: with_ledger(it, "719", amountMinor=201),
     "refund r9b of p9: 201 at the gateway, 200 in the journal"),
    ("sums at the gateway", lambda it: with_ledger(it, "719", amountMinor=201),
     "p9: 501 refunded at the gateway, 500 in the journal"),
    ("sums of the refunds", lambda it: with_request(it, "r9b", amount_minor=100),
     "p9: 500 refunded, its refunds come to 400"),
    ("processed twice", _refund_processed_twice, "refund r9a of p9: processed more than once"),
    ("lost", _lost, "lost: 2 commands"),
    ("letter of another", _letter_of_another, "lost: 2 commands"),
    ("request lost", _request_lost, "void:vx, void:vy"),
    ("request lost beside a letter", _request_lost_beside_a_letter, "refund:rx, refund:ry"),
    ("told twice", lambda it: replace(it, events=[*it.events, *told([PAID])[:1]]),
     "p1: told twice on payment_status"),
    ("letter twice", lambda it: replace(it, events=[*it.events, letter(b"poison", offset=7)]),
     "dead letter told twice"),
    ("never told", lambda it: told_instead(it, PAID, instead=[]), "p1: told versions []"),
    ("version gap", _not_told_of_a_version, "p5: told versions [2], stands at 2"),
    ("order of versions", _versions_in_disorder, "p5: told versions [2, 1], stands at 2"),
    ("told another state",
     lambda it: told_instead(it, DECLINED, instead=told([_changed(DECLINED, 0, state=PaymentState.REFUSED)])),
     "p3: told refused, is declined"),
    ("totals told otherwise", _totals_told_otherwise, "p6: captured_minor: told 599, 600 in the journal"),
    ("order not told", lambda it: replace(it, events=[e for e in it.events if e.key != b"o1"]),
     "p1: order_events told [], ['PAID (version 1)'] is right"),
    ("another order news", _another_order_news,
     "p7: order_events told ['AUTHORIZED (version 1)', 'REFUNDED (version 2)'], "),
    ("second refund no news", _second_partial_refund_not_news, "p9: order_events told"),
    ("customer not told", _customer_not_told, "p10: notification_events told []"),
    ("strange repeat", _strange_repeat,
     "p1: a repeat was answered by an event that nobody was told"),
    ("verification unanswered", _verification_unanswered,
     "verification q1 of p1: was never answered"),
    ("refund told otherwise", _refund_told_otherwise,
     "refund r9c of p9: state: told unknown, failed in the journal"),
    ("went on untold", _went_on_untold, "refund r11 of p11: was never told to be continued"),
    ("went on and left twice",
     lambda it: with_row(it, given_back("721", 1, invoiceNumber="INVr11", refTransId="6011")),
     "refund r11: 2 times at the gateway"),
    ("over but undecided", lambda it: with_request(it, "r10", stage="concluded"),
     "refund r10 of p10: over, but deferred"),
    ("not recorded", lambda it: replace(it, recorded=without(it.recorded, payment_id="p1")),
     "p1: not in the db-service"),
    ("recorded differently", lambda it: replace(
        it, recorded=[*without(it.recorded, payment_id="p1"), record(PAID, state="declined")]),
     "p1: state is declined in the db-service, captured in the journal"),
    ("refunded sum recorded", lambda it: replace(
        it, recorded=[*without(it.recorded, payment_id="p9"), record(REFUNDED_IN_PARTS, refunded_minor=0)]),
     "p9: refunded_minor is 0 in the db-service, 500 in the journal"),
    ("refund not recorded", lambda it: replace(it, refunds=without(it.refunds, refund_id="r8")),
     "refund r8: not in the db-service"),
    ("refund recorded differently", lambda it: with_refund_recorded(it, "r8", refund_status="failed"),
     "refund r8: refund_status is failed in the db-service, processed in the journal"),
    ("refund recorded for nobody", lambda it: replace(
        it, refunds=[*it.refunds, {**it.refunds[0], "refund_id": "r77"}]),
     "refund r77: in the db-service, unknown to the journal"),
    ("unpublished", lambda it: replace(it, journal=replace(it.journal, unpublished=3)),
     "3 outbox rows are not published"),
    ("no due time", lambda it: with_entry(it, HELD, due_at=None), "p4: asking without a due time"),
    ("no due time of a request", lambda it: with_request(it, "r10", due_at=None),
     "refund r10 of p10: deferred without a due time"),
    ("in line behind nobody", lambda it: with_request(it, "r8", stage="queued"),
     "refund r8 of p8: queued without a due time"),
]  # fmt: skip
