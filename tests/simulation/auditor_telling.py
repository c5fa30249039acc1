"""P5 and P6: what the platform was told, and what is remembered. See `auditor_books.py` for what is read.

`_NEWS` and `_NOTICES` say what orders and customers must hear when a payment comes into a state, `_FOLLOWS` which state
may follow which: written out a second time, for an auditor that imports the table it audits finds nothing.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final

from tests.simulation.auditor_books import (
    NOTICES,
    ORDERS,
    Books,
    Found,
    Row,
    Violation,
    grouped,
)

_NEWS: Final = {
    "captured": "PAID",
    "authorized": "AUTHORIZED",
    "declined": "PAYMENT_FAILED",
    "refused": "PAYMENT_FAILED",
    "failed": "PAYMENT_FAILED",
    "expired": "PAYMENT_FAILED",
    "returned": "PAYMENT_FAILED",
    "charged_back": "PAYMENT_FAILED",
    "held": "CHARGE_HELD",
    "voided": "CANCELED",
    "partially_refunded": "PARTIALLY_REFUNDED",
    "refunded": "REFUNDED",
}
_NOTICES: Final = {
    "captured": "PAYMENT_RECEIVED",
    "authorized": "PAYMENT_AUTHORIZED",
    "declined": "PAYMENT_DECLINED",
    "refused": "PAYMENT_FAILED",
    "failed": "PAYMENT_FAILED",
    "expired": "PAYMENT_FAILED",
    "returned": "PAYMENT_FAILED",
    "held": "PAYMENT_WAITING",
    "unknown": "PAYMENT_WAITING",
    "voided": "PAYMENT_CANCELED",
    "partially_refunded": "PAYMENT_REFUNDED",
    "refunded": "PAYMENT_REFUNDED",
}
_NOTICES_OF_REFUNDS: Final = {
    "deferred": "REFUND_WAITING",
    "unknown": "REFUND_WAITING",
    "failed": "REFUND_FAILED",
}
_BILLED: Final = frozenset({"conflicted"})
_BACK: Final = frozenset(
    {"partially_refunded", "refunded", "returned", "charged_back", "conflicted"}
)
_ENDS: Final = frozenset(
    {"authorized", "captured", "verified", "declined", "held", "failed", "conflicted"}
)
_FOLLOWS: Final = {
    "": _ENDS | {"refused", "unknown", "requested"},
    "requested": _ENDS | {"refused", "unknown"},
    "unknown": _ENDS,
    "held": _ENDS,
    "authorized": frozenset({"captured", "voided", "expired", "conflicted"}),
    "captured": _BACK | {"settled", "voided"},
    "settled": _BACK,
    "partially_refunded": _BACK,
    "refunded": frozenset({"charged_back", "conflicted"}),
    "returned": _BILLED,
    "charged_back": _BILLED,
    "verified": _BILLED,
    "voided": _BILLED,
    "expired": _BILLED,
    "declined": _BILLED,
    "refused": _BILLED,
    "failed": _BILLED,
    "conflicted": frozenset({"voided", "expired", "refunded", "captured", "authorized", "failed"}),
}
# A journal that forgot tells anew what it knows still, and finds out anew what the gateway has: why it had said no it
# cannot know any more, a charge that was undone meanwhile is one that brought nothing, refunds are found one by one. A
# void says not whose it was: the void's, or that of a refund of the whole.
_FOUND_BEFORE: Final = frozenset({"captured", "settled", "partially_refunded", "voided"})
_ANEW: Final = frozenset({"declined", "failed", "unknown"})
_GAVE_BACK: Final = frozenset({"partially_refunded", "refunded"})
_AFTER_A_LOSS: Final = {
    state: follows | (_ANEW if state else set()) | (_FOUND_BEFORE if state in _GAVE_BACK else set())
    for state, follows in _FOLLOWS.items()
}
_AFTER_A_LOSS["voided"] |= {"refunded"}
_TOOK_NOTHING: Final = frozenset({"voided", "failed"})
_TOTALS: Final = ("authorised_minor", "refunded_minor", "captured_minor")


def p5_told_exactly_once(books: Books) -> Found:
    """Each outcome is recorded, then told once, under one event id, in version order, to all whom it concerns."""
    yield from _letters_once(books)
    yield from _once(books)
    for payment_id, told in books.told.items():
        yield from _in_order(books, payment_id, told=told)
    yield from _recorded_before(books)
    if not books.unpublished:
        yield from _untold(books)
        yield from _others(books)
        yield from _answered(books)


def _letters_once(books: Books) -> Found:
    places = Counter((row["topic"], row["partition"], row["offset"]) for row in books.letters)
    for (topic, partition, offset), times in places.items():
        if times > 1 and not books.terms.lost:
            facts = {"topic": topic, "partition": partition, "offset": offset}
            yield Violation("P5", "", "a dead letter was told more than once", facts)


def _once(books: Books) -> Found:
    """One event for each piece of news and topic; an answer to who asked again names an event that was told."""
    first: dict[tuple[str, str], Row] = {}
    names: dict[tuple[str, str, int], str] = {}
    for row in books.events:
        payment_id, topic = row["payment_id"], row["topic"]
        facts = {"topic": topic, "version": row["version"], "n": row["n"]}
        before = first.setdefault((topic, row["event_id"]), row)
        if row["repeat_of"] or row["answers"]:
            if before is row or not _same(before, row):
                yield Violation("P5", payment_id, "an answer tells what was never told", facts)
            continue
        if before is not row and not (books.terms.lost and _same(before, row)):
            yield Violation("P5", payment_id, "told more than once", facts)
        name = names.setdefault((topic, payment_id, row["version"]), row["event_id"])
        if name != row["event_id"]:
            yield Violation("P5", payment_id, "one piece of news under two event ids", facts)


def _same(one: Row, other: Row) -> bool:
    names = ("payment_id", "version", "state", "news", "template")
    return all(one.get(name) == other.get(name) for name in names)


def _in_order(books: Books, payment_id: str, *, told: Sequence[Row]) -> Found:
    before = 0
    for row in told:
        version = row["version"]
        gap = version != before + 1 and not books.terms.lost
        if gap or version <= before:
            facts = {"version": version, "before": before, "n": row["n"]}
            yield Violation("P5", payment_id, "told out of the order of versions", facts)
        before = version


def _recorded_before(books: Books) -> Found:
    recorded = {(row["payment_id"], row["version"]): row for row in reversed(books.recorded)}
    for payment_id, told in books.told.items():
        for row in told:
            there = recorded.get((payment_id, row["version"]))
            facts = {"version": row["version"], "state": row["state"]}
            if there is None or there["n"] > row["n"]:
                yield Violation("P5", payment_id, "told before it was recorded", facts)
            elif there["state"] != row["state"]:
                both = {**facts, "recorded": there["state"]}
                yield Violation("P5", payment_id, "told otherwise than it was recorded", both)


def _untold(books: Books) -> Found:
    """The last news of each payment was told, unless it is being told just now."""
    for row in books.payments:
        payment_id = row["payment_id"]
        stages = {it["stage"] for it in books.operations_of.get(payment_id, ())}
        told = books.told.get(payment_id)
        last = told[-1]["version"] if told else 0
        expected = row["version"] - ("answered" in stages)
        facts = {"version": row["version"], "told": last}
        if last < expected:
            yield Violation("P5", payment_id, "never told", facts)
        elif told and last == row["version"] and told[-1]["state"] != row["state"]:
            both = {**facts, "told": told[-1]["state"], "state": row["state"]}
            yield Violation("P5", payment_id, "told otherwise than it stands", both)


def _others(books: Books) -> Found:
    """What the order's and the customer's side must hear of each version, and nothing else."""
    for topic, name in ((ORDERS, "news"), (NOTICES, "template")):
        heard = grouped(_firsts(books, topic), "payment_id")
        for payment_id in dict.fromkeys((*books.told, *heard)):
            told = books.told.get(payment_id, ())
            if books.terms.lost and len(told) != (told[-1]["version"] if told else 0):
                continue  # what a version brought that was never told, its successors do not say
            wanted = [(version, said[name]) for version, said in _sayings(told) if said[name]]
            found = [(row["version"], row[name]) for row in heard.get(payment_id, ())]
            forgot = _was_forgotten(books, told)
            if forgot and _goes_back(told):
                continue  # to a state from before, told by a journal that never knew of the one between
            if _said_once(found) != _said_once(wanted) if forgot else found != wanted:
                facts = {"topic": topic, "heard": found, "wanted": wanted}
                yield Violation("P5", payment_id, "another topic tells another story", facts)


def _was_forgotten(books: Books, told: Sequence[Row]) -> bool:
    """Whether the journal forgot some of this: then it is told again, under a new version."""
    terms = books.terms
    if not terms.lost or not told:
        return False
    recorded = books.recorded_of.get(told[0]["payment_id"], ())
    return any(terms.forgot(row["n"]) for row in (*told, *recorded))


def _goes_back(told: Sequence[Row]) -> bool:
    changes = [state for state, _ in groupby(row["state"] for row in told)]
    return len(changes) > len(set(changes))


def _said_once(sayings: Sequence[tuple[int, str]]) -> list[str]:
    """What is said, without what only says again what was said before."""
    return list(dict.fromkeys(said for _, said in sayings))


def _firsts(books: Books, topic: str) -> Iterator[Row]:
    seen: dict[str, None] = {}
    for row in books.events:
        if row["topic"] == topic and row["event_id"] not in seen:
            seen[row["event_id"]] = None
            yield row


def _sayings(told: Sequence[Row]) -> Iterator[tuple[int, dict[str, str]]]:
    before, refunded = "requested", 0
    for row in told:
        state, request = row["state"], row["request"]
        # A second partial refund is news although the state's name is the same.
        came = state != before or row["refunded_minor"] > refunded
        before, refunded = state, row["refunded_minor"]
        notice = ""
        if came:
            notice = _NOTICES.get(state, "")
        elif request is not None and request["kind"] == "refund":
            notice = _NOTICES_OF_REFUNDS.get(request["state"], "")
        yield row["version"], {"news": _NEWS.get(state, "") if came else "", "template": notice}


def _answered(books: Books) -> Found:
    """Whoever asked for something was told how it ended."""
    said: dict[tuple[str, str, str], None] = {}
    for rows in books.told.values():
        for row in rows:
            about = row["request"]
            if about is not None:
                said[about["kind"], about["request_id"], about["state"]] = None
    answers = {name for row in books.events for name in row["answers"]}
    for row in books.operations:
        name = row["operation_id"]
        over = row["stage"] == "concluded" and row["kind"] != "initiation"
        request_id = name.partition(":")[2].partition("#")[0]
        told = (row["kind"], request_id, row["request_state"]) in said
        if over and not told and name not in answers:
            facts = {"operation_id": name, "state": row["request_state"]}
            yield Violation("P5", row["payment_id"], "who asked was never answered", facts)


def p6_knowledge_only_improves(books: Books) -> Found:
    """Final states are sticky, versions and totals grow, and what the gateway said is kept whoever heard it."""
    for payment_id, told in books.told.items():
        forgot = _was_forgotten(books, told)
        yield from _follows(payment_id, told, follows=_AFTER_A_LOSS if forgot else _FOLLOWS)
    yield from _recorded_grows(books)
    if not books.terms.lost:
        yield from _forgotten(books)
    yield from _thrown_away(books)


def _follows(
    payment_id: str, told: Sequence[Row], *, follows: Mapping[str, frozenset[str]]
) -> Found:
    before: Row | None = None
    said: dict[str, None] = {}
    for row in told:
        again = follows is _AFTER_A_LOSS and row["state"] in said
        said[row["state"]] = None
        state, was = row["state"], before["state"] if before else ""
        has_gap = before is not None and row["version"] != before["version"] + 1
        if state != was and state not in follows[was] and not (has_gap or again):
            facts = {"version": row["version"], "from": was, "to": state}
            yield Violation("P6", payment_id, "a state that may not follow", facts)
        if before is not None and follows is _FOLLOWS:
            for name in _shrunk(before, row):
                facts = {"version": row["version"], name: row[name], "before": before[name]}
                yield Violation("P6", payment_id, "a total became less", facts)
        before = row


def _shrunk(before: Row, row: Row) -> Iterator[str]:
    names = _TOTALS[:-1] if row["state"] in _TOOK_NOTHING else _TOTALS
    return (name for name in names if row[name] < before[name])


def _recorded_grows(books: Books) -> Found:
    versions: dict[str, int] = {}
    for row in books.recorded:
        payment_id, version = row["payment_id"], row["version"]
        if version <= versions.get(payment_id, 0):
            facts = {"version": version, "before": versions[payment_id]}
            yield Violation("P6", payment_id, "an older version was recorded", facts)
        versions[payment_id] = version


def _forgotten(books: Books) -> Found:
    """The journal never knows less than was told."""
    known = {row["payment_id"]: row["version"] for row in books.payments}
    for payment_id, told in books.told.items():
        if known.get(payment_id, 0) < told[-1]["version"]:
            facts = {"told": told[-1]["version"], "version": known.get(payment_id)}
            yield Violation("P6", payment_id, "told more than is known", facts)


def _thrown_away(books: Books) -> Found:
    """An answer that somebody heard, who lived on for longer than any lease, is on disk, in that one's hand."""
    kept = Counter((row["operation_id"], row["session_id"]) for row in books.evidence)
    gone = {row["session_id"]: row["gone_at"] for row in books.sessions}
    for name, sends in books.sends_of.items():
        for session, by in grouped(sends, "session").items():
            heard = [send["n"] for send in by if _must_be_kept(books, send, gone=gone)]
            if len(heard) > kept[name, session]:
                facts = {"operation_id": name, "heard": heard, "kept": kept[name, session]}
                what = "an answer was not kept"
                yield Violation("P6", books.payment_of.get(name, ""), what, facts)


def _must_be_kept(books: Books, send: Row, *, gone: dict[str, float | None]) -> bool:
    heard_n = send["heard_n"]
    # What was heard before the journal forgot may have been written down in the time that it forgot.
    if heard_n is None or any(heard_n <= last for _, last in books.terms.lost):
        return False
    last_alive = gone.get(send["session"])
    lived_until = books.now if last_alive is None else last_alive
    lived_s: float = lived_until - send["heard_at"]
    return lived_s >= books.terms.patience_s
