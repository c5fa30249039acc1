"""P1, P3, P8 and the rule of sessions: what became of the work. See `auditor_books.py` for what is read."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Self

from tests.simulation.auditor_books import Books, Found, Row, Violation

_OPEN_ENDS: Final = {
    "initiation": frozenset({"requested", "unknown", "held"}),
    "request": frozenset({None, "requested", "unknown", "deferred"}),
}
_UNDER_WAY: Final = frozenset({"open", "answered"})
_UNDECIDED: Final = frozenset({"requested", "unknown"})


def p1_nothing_lost(books: Books) -> Found:
    """Each acknowledged command is final, waits in a named state with a due time, or is a dead letter with a reason.

    The letter of a command is that of every record which asked the same before it was written.
    """
    letters = {_place(row): row for row in books.letters}
    refused = {
        (row["operation_id"], row["content"]): letters[_place(row)]["n"]
        for row in books.asked
        if _place(row) in letters
    }
    taken: dict[str, object] = {}
    for row in books.asked:
        name, place = row["operation_id"], _place(row)
        letter = letters.get(place)
        if letter is not None:
            if not letter["reason"]:
                yield Violation("P1", row["payment_id"], "a dead letter without a reason", _at(row))
        elif name not in books.operation and row["n"] > refused.get((name, row["content"]), -1):
            yield Violation("P1", row["payment_id"], "an acknowledged command is lost", _at(row))
        elif taken.setdefault(name, row["content"]) != row["content"]:
            what = "two commands under one id, and neither is a dead letter"
            yield Violation("P1", row["payment_id"], what, _at(row))
    yield from _waiting(books)


def _place(row: Row) -> tuple[object, ...]:
    return row["topic"], row["partition"], row["offset"]


def _at(row: Row) -> Row:
    names = ("operation_id", "topic", "partition", "offset")
    return {name: row[name] for name in names}


def _waiting(books: Books) -> Found:
    """What is not final is due, or stands in line behind what is due."""
    states = {row["payment_id"]: row["state"] for row in books.payments}
    moving = {row["payment_id"] for row in books.operations if row["due_at"] is not None}
    for row in books.operations:
        payment_id, stage = row["payment_id"], row["stage"]
        facts = {"operation_id": row["operation_id"], "stage": stage}
        if stage == "concluded":
            initiates = row["kind"] == "initiation"
            state = states.get(payment_id) if initiates else row["request_state"]
            if state in _OPEN_ENDS["initiation" if initiates else "request"]:
                yield Violation("P1", payment_id, "over, but not final", {**facts, "state": state})
        elif row["due_at"] is None and not (stage == "queued" and payment_id in moving):
            yield Violation("P1", payment_id, "waits without a due time", facts)


def p3_write_first(books: Books) -> Found:
    """At the moment of each send the same intent was open in the journal, or had been until the journal forgot it."""
    for send in books.sends:
        if books.has_forgotten_intent(send):
            continue
        known, payment_id = send["known"], books.payment_of.get(send["operation_id"], "")
        facts = {"operation_id": send["operation_id"], "about": send["about"], "n": send["n"]}
        if known is None:
            yield Violation("P3", payment_id, "sent, and nothing of it was on disk", facts)
        elif known["invoice_number"] != send["invoice_number"]:
            number = known["invoice_number"]
            yield Violation(
                "P3", payment_id, "sent otherwise than it was written", {**facts, "written": number}
            )
        elif known["state"] != "open":
            state = known["state"]
            yield Violation(
                "P3", payment_id, "sent, and its attempt was not open", {**facts, "state": state}
            )


def p8_a_bad_day_is_bounded(books: Books) -> Found:
    """After the faults have ended all comes to rest: nothing is under way or overdue, all is told and decided."""
    if books.unpublished:
        what = "messages that were never published"
        yield Violation("P8", "", what, {"messages": books.unpublished})
    terms = books.terms
    for row in books.operations:
        facts = {"operation_id": row["operation_id"], "stage": row["stage"]}
        in_hand = row["stage"] == "admitted" and row["due_at"] is None
        if in_hand or row["stage"] in _UNDER_WAY:
            yield Violation("P8", row["payment_id"], "still under way", facts)
        elif row["due_at"] is not None and row["due_at"] < books.now - terms.slack_s:
            late = {**facts, "overdue_s": round(books.now - row["due_at"])}
            yield Violation("P8", row["payment_id"], "nobody does what is due", late)
    if books.now < books.faults_ended_at + terms.decided_within_s:
        return
    for row in books.payments:
        if row["state"] in _UNDECIDED:
            facts = {"state": row["state"]}
            yield Violation("P8", row["payment_id"], "still not decided", facts)


def sessions_late_work_changes_nothing(books: Books) -> Found:
    """A session that ended, or whose work another one has, moves nothing and sends nothing any more.

    Who has what by a move that the journal forgot, has it only until then.
    """
    owners, before_n, done = _Owners(), -1, list[Row]()
    for row in books.moves:
        if not row["applied"]:
            continue
        n = row["n"]
        if any(before_n < last < n for _, last in books.terms.lost):
            owners = _Owners.after(it for it in done if not _is_forgotten(books, it, by_n=n))
        before_n = n
        yield from _by_whom(books, row, owner=owners.of, over=owners.over)
        owners.hear(row)
        done.append(row)
    lasting = _Owners.after(it for it in done if not books.terms.forgot(it["n"]))
    yield from _sends(books, lasting.over)


def _is_forgotten(books: Books, row: Row, *, by_n: int) -> bool:
    return any(first <= row["n"] <= last < by_n for first, last in books.terms.lost)


@dataclass(slots=True)
class _Owners:
    """Which session has which operation, and since when which sessions are taken over."""

    of: dict[str, str] = field(default_factory=dict)
    over: dict[str, int] = field(default_factory=dict)

    @classmethod
    def after(cls, rows: Iterable[Row]) -> Self:
        """These moves."""
        owners = cls()
        for row in rows:
            owners.hear(row)
        return owners

    def hear(self, row: Row) -> None:
        """A move that was done."""
        if row["dead"]:
            self.over.setdefault(row["dead"], row["n"])
        self.of.update(dict.fromkeys(row["operations"], row["session"]))


def _by_whom(books: Books, row: Row, *, owner: dict[str, str], over: dict[str, int]) -> Found:
    name, session = row["operation_id"], row["session"]
    payment_id = books.payment_of.get(name, "")
    facts = {"what": row["what"], "operation_id": name, "session": session, "n": row["n"]}
    if session in over:
        yield Violation("sessions", payment_id, "a session wrote that was taken over", facts)
    elif owner.get(name, session) != session:
        has = {**facts, "holder": owner[name]}
        yield Violation("sessions", payment_id, "a session wrote what is another one's", has)
    if row["dead"] and row["alive"]:
        yield Violation("sessions", "", "a session was taken over that lived", facts)


def _sends(books: Books, over: dict[str, int]) -> Found:
    for send in books.sends:
        known, session = send["known"], send["session"]
        payment_id = books.payment_of.get(send["operation_id"], "")
        facts = {"operation_id": send["operation_id"], "session": session, "n": send["n"]}
        if send["n"] > over.get(session, send["n"]):
            yield Violation("sessions", payment_id, "a session sent that was taken over", facts)
        elif known is not None and known["session_id"] != session:
            has = {**facts, "holder": known["session_id"]}
            yield Violation("sessions", payment_id, "a session sent what is another one's", has)
        if send["lease_s"] <= send["left_s"]:
            lease = {**facts, "lease_s": send["lease_s"], "left_s": send["left_s"]}
            yield Violation("sessions", payment_id, "sent under a lease that may end first", lease)
