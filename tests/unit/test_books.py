"""Claims about the auditor: equal books pass, and each kind of difference between doctored ones is found."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from avro.catalog import Catalog
from avro.reader import Reader
from handlers.domain.commands import Kind
from handlers.domain.payments import Request
from handlers.domain.states import RequestState
from tests.unit.books_that_agree import (
    DEFERRED,
    NOW,
    PAID,
    REFUNDED_BY_VOID,
    Life,
    agreeing,
    given_back,
    record,
    told,
)
from tests.unit.doctored_books import (
    DOCTORS,
    request_changed,
    told_instead,
    with_entry,
    with_ledger,
    with_refund_recorded,
    with_request,
    with_row,
    without,
)
from worker.demo.books import Books, Verdict, compare


def _verdict(books: Books) -> Verdict:
    return compare(books, Reader(Catalog()))


def test_equal_books() -> None:
    """Books that say the same are equal; what waits is listed with its due time, and every book is tallied."""
    verdict = _verdict(agreeing())

    assert [] == verdict.differences
    assert verdict.equal
    assert [
        ("p4", "payment", "held", "held for review", NOW.isoformat()),
        ("p10", "refund r10", "deferred", "because of the test", NOW.isoformat()),
    ] == [(it.payment_id, it.what, it.state, it.why, it.due) for it in verdict.waiting]
    assert 8 == verdict.charged
    assert {"invalid": 1, "card_number": 1, "payment_unknown": 1} == verdict.dead_letters
    assert {
        ("verification", "processed"): 4,
        ("capture", "processed"): 1,
        ("void", "processed"): 1,
        ("refund", "processed"): 4,
        ("refund", "continued"): 1,
        ("refund", "failed"): 1,
        ("refund", "deferred"): 1,
    } == verdict.requests


@pytest.mark.parametrize(
    ("state", "count", "amount_minor"),
    [
        ("captured", 5, 5031),
        ("returned", 1, 1013),
        ("given back", 3, 3026),
        ("partly back", 1, 1009),
        ("declined", 1, 1003),
        ("held", 1, 1004),
        ("kept", 6, 1001 + 1002 + 600 + 509 + 1010 + 1012),
    ],
)
def test_four_columns_say_the_same(state: str, count: int, amount_minor: int) -> None:
    """Each book by itself comes to the same numbers, although the gateway has words of its own."""
    verdict = _verdict(agreeing())

    wanted = (count, amount_minor)
    assert dict.fromkeys(("gateway", "journal", "db-service", "events"), wanted) == {
        book: (tallies[state, "USD"].count, tallies[state, "USD"].amount_minor)
        for book, tallies in verdict.tallies.items()
    }


@pytest.mark.parametrize(
    ("doctor", "found"), [row[1:] for row in DOCTORS], ids=[row[0] for row in DOCTORS]
)
def test_a_difference_is_found(doctor: Callable[[Books], Books], found: str) -> None:
    """Each kind of difference makes the verdict unequal and is named."""
    verdict = _verdict(doctor(agreeing()))

    assert not verdict.equal
    assert any(found in difference for difference in verdict.differences), verdict.differences


def test_an_honest_repeat() -> None:
    """A repeated command answered under an event id that was told before is counted, not a difference."""
    books = agreeing()
    first = told([PAID])[0]
    repeat = replace(first, headers={**first.headers, "repeat_of": b"t:0:1"})

    verdict = _verdict(replace(books, events=[*books.events, repeat]))

    assert verdict.equal
    assert 1 == verdict.repeats


def test_a_verification_answered_by_what_was_told() -> None:
    """A question is answered by a snapshot that was told before, where its header names the question."""
    quiet = Life(PAID.told[:1])
    first = told([quiet])[0]
    again = replace(first, headers={**first.headers, "answers": b"verification:q0,verification:q1"})
    books = told_instead(agreeing(), PAID, instead=[*told([quiet]), again])
    books = with_entry(books, PAID, version=1)
    recorded = [*without(books.recorded, payment_id="p1"), record(quiet)]

    verdict = _verdict(replace(books, recorded=recorded))

    assert [] == verdict.differences
    assert 0 == verdict.repeats


def test_what_is_open_may_have_moved() -> None:
    """A refund whose answer is lost may be at the gateway already: its reserve says how much, and no more passes."""
    unknown = {"stage": "asking", "state": "unknown", "invoice_numbers": ("INVr10",)}
    books = with_ledger(
        with_request(agreeing(), "r10", **unknown), "6010", status="settledSuccessfully"
    )
    other = request_changed(DEFERRED, 1, state=RequestState.UNKNOWN)
    books = told_instead(books, DEFERRED, instead=told([other]))
    books = with_refund_recorded(books, "r10", state="unknown")
    within = with_row(books, given_back("780", 400, invoiceNumber="INVr10", refTransId="6010"))
    above = with_row(books, given_back("780", 401, invoiceNumber="INVr10", refTransId="6010"))

    assert [] == _verdict(within).differences
    assert ["p10: 401 refunded at the gateway, 0 in the journal"] == _verdict(above).differences


def test_in_line_behind_what_is_due() -> None:
    """What stands in line is due after the one before it, and listed as such."""
    books = agreeing()
    asked = Request(Kind.VOID, "v4", 0)
    waiting = replace(
        books.journal.requests[0],
        operation_id=f"void:{asked.request_id}",
        kind="void",
        payment_id="p4",
        state="requested",
        stage="queued",
        due_at=None,
    )
    requests = [*books.journal.requests, waiting]

    verdict = _verdict(replace(books, journal=replace(books.journal, requests=requests)))

    assert [] == verdict.differences
    assert [("void v4", "queued", "after the one before it")] == [
        (it.what, it.state, it.due) for it in verdict.waiting if it.payment_id == "p4"
    ][1:]


def test_full_refund_before_settlement_is_void_there() -> None:
    """A full refund that left as a void agrees with a void charge: nothing was kept on either side."""
    payment = REFUNDED_BY_VOID.payment
    assert (1008, 1008) == (payment.captured_minor, payment.refunded_minor)
    assert not [it for it in _verdict(agreeing()).differences if "p8" in it]
