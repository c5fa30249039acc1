"""Doctored books: each row of `DOCTORS` breaks a promise in books that agree, and says which, and how it is named.

No claims here; `test_auditor.py` holds that the auditor finds each of them. What is doctored may break others, too.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from tests.simulation.auditor_agreeing import NOW, number_of, request_of
from tests.simulation.auditor_books import Books, Row

Doctor = Callable[[Books], Books]


def _fits(row: Row, where: Mapping[str, Any]) -> bool:
    return all(row.get(name) == value for name, value in where.items())


def _with(books: Books, book: str, *, rows: Sequence[Row]) -> Books:
    new: dict[str, Any] = {book: rows}
    return replace(books, **new)


def changed(book: str, where: Mapping[str, Any], **changes: Any) -> Doctor:
    """Other values in the rows of a book that are meant."""

    def doctor(books: Books) -> Books:
        rows: Sequence[Row] = getattr(books, book)
        assert any(_fits(row, where) for row in rows)
        return _with(
            books, book, rows=[{**row, **changes} if _fits(row, where) else row for row in rows]
        )

    return doctor


def left_out(book: str, **where: Any) -> Doctor:
    """A book without the rows that are meant."""

    def doctor(books: Books) -> Books:
        rows: Sequence[Row] = getattr(books, book)
        assert any(_fits(row, where) for row in rows)
        return _with(books, book, rows=[row for row in rows if not _fits(row, where)])

    return doctor


def added(book: str, like: Mapping[str, Any], **changes: Any) -> Doctor:
    """One more row, like the last one that is meant."""

    def doctor(books: Books) -> Books:
        rows: Sequence[Row] = getattr(books, book)
        model = [row for row in rows if _fits(row, like)][-1]
        return _with(books, book, rows=[*rows, {**model, **changes}])

    return doctor


def agreed(**terms: Any) -> Doctor:
    """Other terms."""
    return lambda books: replace(books, terms=replace(books.terms, **terms))


def all_of(*doctors: Doctor) -> Doctor:
    """One change after the other."""

    def doctor(books: Books) -> Books:
        for one in doctors:
            books = one(books)
        return books

    return doctor


def _of(operation_id: str) -> dict[str, str]:
    return {"operation_id": operation_id}


def _event(event_id: str) -> dict[str, str]:
    return {"event_id": event_id, "repeat_of": ""}


def _transaction(transaction_id: str) -> dict[str, str]:
    return {"transaction_id": transaction_id}


def _swapped(books: Books) -> Books:
    """Two versions of one payment in the wrong order."""
    rows = list(books.events)
    places = [n for n, row in enumerate(rows) if row["event_id"] in {"p5/1", "p5/2"}]
    first, second = places
    rows[first], rows[second] = rows[second], rows[first]
    return replace(books, events=rows)


def _second_payer(books: Books) -> Books:
    """p2 pays the order of p1 once more."""
    return changed("sends", _of("initiation:p2"), order_id="op1")(books)


def _scan_of(payment_id: str, at: float) -> dict[str, Any]:
    return {"invoice_number": number_of(f"initiation:{payment_id}"), "at": at}


def refused_and_asked_again(*, at: int) -> Doctor:
    """A command that became a dead letter, and the same once more at that moment."""
    again = {"operation_id": "void:v99"}
    return all_of(
        added("asked", _of("void:v7"), offset=98, n=9001, **again),
        added("asked", _of("void:v7"), offset=99, n=at, **again),
        added("letters", {"reason": "unreadable"}, offset=98, n=9002),
    )


def opened_and_forgotten(*, lost: tuple[int, int], at: int) -> Doctor:
    """A refund that was opened at that moment, and sent when nothing of it was on disk; `lost`: what was forgotten."""
    opened = {"what": "open", "applied": True, "operation_id": "refund:r1", "n": at}
    return all_of(
        changed("sends", _of("refund:r1"), known=None, n=9003),
        added("moves", {"what": "answer", "session": "s1"}, **opened),
        agreed(lost=[lost]),
    )


_SENT = {"about": "charge", **_of("initiation:p1")}

P1: Final[list[tuple[str, Doctor, str]]] = [
    ("command lost", all_of(left_out("operations", **_of("verification:q1")),
     left_out("moves", **_of("verification:q1"))), "an acknowledged command is lost"),
    ("offsets before admit", added("asked", _of("void:v7"), operation_id="void:v99", offset=99),
     "an acknowledged command is lost"),
    ("asked again behind its letter", refused_and_asked_again(at=9003),
     "an acknowledged command is lost"),
    ("letter lost", left_out("letters", reason="unreadable"), "an acknowledged command is lost"),
    ("letter without reason", changed("letters", {"reason": "conflict"}, reason=""),
     "a dead letter without a reason"),
    ("conflict swallowed", left_out("letters", reason="conflict"), "two commands under one id"),
    ("over but unknown", changed("operations", _of("refund:r1"), request_state="unknown"),
     "over, but not final"),
    ("over but held", changed("operations", _of("initiation:p7"), stage="concluded", due_at=1.0),
     "over, but not final"),
    ("no due time", changed("operations", _of("refund:r8"), due_at=None), "waits without a due time"),
    ("in line behind nobody", changed("operations", _of("initiation:p7"), due_at=None),
     "waits without a due time"),
]  # fmt: skip
P2: Final[list[tuple[str, Doctor, str]]] = [
    ("charge sent twice", added("sends", _SENT, n=9000), "a charge was sent more than once"),
    ("sent again, and forgotten", all_of(added("sends", _SENT, n=9000),
     agreed(lost=[(0, 8999)])), "a charge was sent more than once"),
    ("charged twice", added("ledger", _transaction("t1"), transaction_id="t99"),
     "charged more than once"),
    ("captured above authorised", changed("ledger", _transaction("t2"), captured_minor=101),
     "more captured than was authorised"),
    ("refunded above captured", changed("ledger", _transaction("t11"), amount_minor=101),
     "more refunded than was captured"),
    ("reserved above captured", changed("payments", {"payment_id": "p8"}, refunding_minor=101),
     "the journal has promised more than there is"),
    ("capturing above authorised", changed("payments", {"payment_id": "p2"}, capturing_minor=31),
     "the journal has promised more than there is"),
    ("two open refunds", all_of(
        added("asked", _of("refund:r8"), operation_id="refund:r88", offset=88, amount_minor=60),
        added("operations", _of("refund:r8"), operation_id="refund:r88", reserved_minor=0)),
     "refunds under way exceed what was captured"),
    ("an open refund above what is left", changed("operations", _of("refund:r8"), reserved_minor=101),
     "refunds under way exceed what was captured"),
    ("one order, two payments", _second_payer, "an order is paid by more than one payment"),
]  # fmt: skip
P3: Final[list[tuple[str, Doctor, str]]] = [
    ("sent before open", changed("sends", _of("refund:r1"), known=None),
     "sent, and nothing of it was on disk"),
    ("opened only after a loss of time", opened_and_forgotten(lost=(9000, 9001), at=9002),
     "sent, and nothing of it was on disk"),
    ("sent otherwise", changed("sends", _of("refund:r1"),
     known={"state": "open", "invoice_number": "X", "session_id": "s1"}),
     "sent otherwise than it was written"),
    ("sent when it was answered", changed("sends", _of("refund:r1"),
     known={"state": "answered", "invoice_number": number_of("refund:r1"), "session_id": "s1"}),
     "its attempt was not open"),
]  # fmt: skip
P4: Final[list[tuple[str, Doctor, str]]] = [
    ("unknown told as declined", changed("ledger", _transaction("t3"), approved_minor=100,
     captured_minor=100, status="capturedPendingSettlement"), "told as a failure, and charged"),
    ("not charged, and charged later", all_of(
        added("ledger", _transaction("t5"), invoice_number=number_of("initiation:p4"),
              transaction_id="t4", listed_at=5000.0)), "told as a failure, and charged"),
    ("not charged while it was listed", changed("ledger", _transaction("t6"), listed_at=700.0),
     "told as not charged while it stood in the lists"),
    ("absent after one scan", left_out("asks", **_scan_of("p4", 500.0)),
     "told as not charged without proof"),
    ("absent too early", changed("asks", _scan_of("p4", 1100.0), at=1059.0),
     "told as not charged without proof"),
    ("scans before the send", changed("asks", _scan_of("p4", 500.0), n=1),
     "told as not charged without proof"),
    ("a success of nothing", left_out("ledger", **_transaction("t2")),
     "told as a success, and nothing approved"),
    ("refunded, but told as failed", changed("operations", _of("refund:r1"), request_state="failed"),
     "told as failed, and refunded"),
    ("refunded by what went on, but told as failed", all_of(
        changed("sends", _of("refund:r1"), operation_id="refund:r1#2"),
        changed("operations", _of("refund:r1"), request_state="failed")),
     "told as failed, and refunded"),
]  # fmt: skip
P5: Final[list[tuple[str, Doctor, str]]] = [
    ("told twice", added("events", _event("p2/1")), "told more than once"),
    ("news of an order twice", added("events", {"topic": "order_events", "payment_id": "p2"}),
     "told more than once"),
    ("two ids", added("events", _event("p2/1"), event_id="other"), "under two event ids"),
    ("an answer that was never told", changed("events", {"event_id": "p1/2", "repeat_of": "commands:0:12"},
     event_id="other"), "an answer tells what was never told"),
    ("out of order", _swapped, "told out of the order of versions"),
    ("a version left out", left_out("events", event_id="p5/1"), "told out of the order of versions"),
    ("never recorded", left_out("recorded", payment_id="p3"), "told before it was recorded"),
    ("recorded afterwards", changed("recorded", {"payment_id": "p3"}, n=9000),
     "told before it was recorded"),
    ("recorded otherwise", changed("recorded", {"payment_id": "p3"}, state="failed"),
     "told otherwise than it was recorded"),
    ("never told", left_out("events", payment_id="p3"), "never told"),
    ("the last version untold", left_out("events", event_id="p8/2"), "never told"),
    ("stands otherwise", changed("payments", {"payment_id": "p3"}, state="failed"),
     "told otherwise than it stands"),
    ("the order not told", left_out("events", topic="order_events", payment_id="p2", version=2),
     "another topic tells another story"),
    ("the customer told otherwise", changed("events", {"template": "REFUND_WAITING"},
     template="REFUND_FAILED"), "another topic tells another story"),
    ("never answered", left_out("events", answers=("verification:q1",)), "who asked was never answered"),
    ("answered otherwise", changed("events", _event("p1/2"), request=request_of("refund:r1", "failed")),
     "who asked was never answered"),
    ("a letter twice", added("letters", {"reason": "unreadable"}), "a dead letter was told more than once"),
]  # fmt: skip
P6: Final[list[tuple[str, Doctor, str]]] = [
    ("a final state left", changed("events", _event("p6/3"), state="captured"),
     "a state that may not follow"),
    ("a total shrinks", changed("events", _event("p1/2"), captured_minor=99), "a total became less"),
    ("an older version recorded", added("recorded", {"payment_id": "p5", "version": 1}, n=9000),
     "an older version was recorded"),
    ("told more than is known", changed("payments", {"payment_id": "p5"}, version=1),
     "told more than is known"),
    ("an answer thrown away", left_out("evidence", **_of("refund:r1")), "an answer was not kept"),
]  # fmt: skip
P8: Final[list[tuple[str, Doctor, str]]] = [
    ("unpublished", lambda books: replace(books, unpublished=3), "messages that were never published"),
    ("still open", changed("operations", _of("refund:r8"), stage="open"), "still under way"),
    ("admitted and forgotten", changed("operations", _of("void:v7"), stage="admitted"), "still under way"),
    ("overdue", changed("operations", _of("refund:r8"), due_at=NOW - 400.0), "nobody does what is due"),
    ("undecided", all_of(changed("payments", {"payment_id": "p7"}, state="unknown"),
     changed("events", _event("p7/1"), state="unknown")), "still not decided"),
]  # fmt: skip
SESSIONS: Final[list[tuple[str, Doctor, str]]] = [
    ("a late write", changed("moves", {"session": "s0", "what": "answer"}, applied=True),
     "a session wrote that was taken over"),
    ("a write of another's", changed("moves", {"operation_id": "refund:r1"}, session="s2"),
     "a session wrote what is another one's"),
    ("a live session taken over", changed("moves", {"what": "rehome"}, alive=True),
     "a session was taken over that lived"),
    ("a late send", changed("sends", _of("refund:r1"), session="s0", n=9000),
     "a session sent that was taken over"),
    ("a send of another's", changed("sends", _of("refund:r1"),
     known={"state": "open", "invoice_number": number_of("refund:r1"), "session_id": "s2"}),
     "a session sent what is another one's"),
    ("a lease too short", changed("sends", _of("refund:r1"), lease_s=60.0),
     "sent under a lease that may end first"),
]  # fmt: skip
DOCTORS: Final = [
    (promise, name, doctor, found)
    for promise, rows in {
        "P1": P1,
        "P2": P2,
        "P3": P3,
        "P4": P4,
        "P5": P5,
        "P6": P6,
        "P8": P8,
        "sessions": SESSIONS,
    }.items()
    for name, doctor, found in rows
]
