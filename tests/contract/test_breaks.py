"""The life of a break on a real PostgreSQL, and the journal's book as reconciliation reads it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import DBAPIError

from db_client import breaks
from db_client.break_rows import Break, BreakState, Kept, Scope
from db_client.span_reads import one_moment
from db_client.tables import attempt, operation, payment
from handlers.domain.invoices import invoice_number
from handlers.domain.states import PaymentState, RequestState
from tests.contract.journal_stage import JournalStage, staged
from tests.doubles.values import RULES
from tests.unit.reconciled_books import row
from worker.reconciling import journal_book
from worker.reconciling.books import JournalBook, Span

OPEN, EXPLAINED, FIXED = BreakState.OPEN, BreakState.EXPLAINED, BreakState.FIXED
DAY = timedelta(days=1)
EVERYTHING = (("gateway", "main"), ("db-service", None))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JournalStage]:
    """A migrated journal."""
    with staged(tmp_path_factory.mktemp("breaks")) as made:
        yield made


@pytest.fixture
def journal(server: JournalStage) -> JournalStage:
    """The journal, emptied."""
    server.clear()
    return server


def seen(name: str = "orphan", *, at: datetime, **changes: Any) -> Break:
    """An orphan of 12.34 USD, as a scan saw it, with `changes`."""
    made = Break(
        break_id=name,
        kind="orphan",
        becomes="orphan",
        book="gateway",
        account="main",
        subject="transaction 6001",
        payment_id="",
        transaction_id="6001",
        amount_minor=1234,
        currency="USD",
        happened_at=at,
        text="capturedPendingSettlement under no invoice number",
    )
    return replace(made, **changes)


def scan(journal: JournalStage, *found: Break, complete: Any = EVERYTHING, days: float = 2) -> int:
    """A scan of the last days that saw these; how many it closed."""
    began = breaks.began(journal.engine)
    scope = Scope(began, began - days * DAY, began, complete=complete)
    return breaks.keep(journal.engine, found, scope=scope)


def kept(journal: JournalStage) -> dict[str, Kept]:
    """All breaks by id."""
    return {
        it.seen.break_id: it for it in breaks.find(journal.engine, states=frozenset(BreakState))
    }


def states(journal: JournalStage) -> dict[str, BreakState]:
    """The state of each break."""
    return {name: it.state for name, it in kept(journal).items()}


def test_open_then_fixed_then_open_again(journal: JournalStage) -> None:
    """What is seen is open, what a complete scan sees no more is fixed, what comes back is the same break again."""
    orphan = seen(at=breaks.began(journal.engine) - timedelta(hours=3))
    assert 0 == scan(journal, orphan)
    first = kept(journal)["orphan"]
    assert (OPEN, orphan, 1, None) == (first.state, first.seen, first.openings, first.fixed_at)
    scan(journal, orphan)
    second = kept(journal)["orphan"]
    assert first.first_seen == second.first_seen
    assert first.last_seen < second.last_seen
    assert 0 < first.age_s < second.age_s
    assert 1 == scan(journal)
    gone = kept(journal)["orphan"]
    assert FIXED == gone.state
    assert gone.fixed_at is not None
    assert 0 == scan(journal), "what is fixed is not fixed twice"
    scan(journal, orphan)
    back = kept(journal)["orphan"]
    assert (OPEN, 2, None, first.first_seen) == (
        back.state,
        back.openings,
        back.fixed_at,
        back.first_seen,
    )


@pytest.mark.parametrize(
    ("complete", "days"),
    [
        ((), 2),
        ((("db-service", None),), 2),
        ((("gateway", "other"),), 2),
        (EVERYTHING, 0.1),
    ],
    ids=["nothing was read to its end", "another book", "another account", "another time"],
)
def test_a_scan_closes_only_what_it_looked_at(
    journal: JournalStage, complete: Any, days: float
) -> None:
    """An incomplete scan closes nothing; a complete one closes nothing of another book, account or time."""
    scan(journal, seen(at=breaks.began(journal.engine) - timedelta(hours=3)))
    assert 0 == scan(journal, complete=complete, days=days)
    assert {"orphan": OPEN} == states(journal)


def test_an_explained_break(journal: JournalStage) -> None:
    """It stays explained while its amount is the same, opens again when that changes, and every word is kept."""
    orphan = seen(at=breaks.began(journal.engine) - timedelta(hours=3))
    scan(journal, orphan)
    told = breaks.explain(journal.engine, "orphan", by="ann", why="the shop in the station")
    assert told is not None
    assert (EXPLAINED, ["ann"]) == (told.state, [it.by for it in told.notes])
    scan(journal, orphan)
    assert {"orphan": EXPLAINED} == states(journal)
    scan(journal, replace(orphan, amount_minor=9999))
    assert {"orphan": OPEN} == states(journal)
    again = breaks.explain(journal.engine, "orphan", by="bob", why="they sold more")
    assert again is not None
    assert [("ann", "the shop in the station"), ("bob", "they sold more")] == [
        (it.by, it.why) for it in again.notes
    ]
    scan(journal)
    assert {"orphan": FIXED} == states(journal)
    late = breaks.explain(journal.engine, "orphan", by="cid", why="it was refunded there")
    assert late is not None
    assert (FIXED, 3) == (late.state, len(late.notes)), "words about what is fixed open nothing"
    assert breaks.explain(journal.engine, "nothing", by="ann", why="x") is None


def test_timing_ages_into_its_kind(journal: JournalStage) -> None:
    """The same row, first expected and then a break; when it was seen first stays."""
    at = breaks.began(journal.engine) - timedelta(minutes=5)
    absent = seen(at=at, kind="absent_at_gateway", becomes="absent_at_gateway")
    scan(journal, replace(absent, kind="timing"))
    early = kept(journal)["orphan"]
    scan(journal, absent)
    late = kept(journal)["orphan"]
    assert ("timing", "absent_at_gateway") == (early.seen.kind, late.seen.kind)
    assert early.first_seen == late.first_seen


def test_breaks_are_counted_and_found(journal: JournalStage) -> None:
    """By kind, state and currency with what is at stake; by account; the oldest first, no more than are asked for."""
    at = breaks.began(journal.engine) - timedelta(hours=3)
    scan(journal, seen("a", at=at), seen("b", at=at, amount_minor=66))
    scan(
        journal,
        seen("a", at=at),
        seen("b", at=at, amount_minor=66),
        seen("c", at=at, currency="JPY", account="other"),
    )
    breaks.explain(journal.engine, "a", by="ann", why="x")
    assert [
        ("orphan", EXPLAINED, "USD", 1, 1234),
        ("orphan", OPEN, "JPY", 1, 1234),
        ("orphan", OPEN, "USD", 1, 66),
    ] == [
        (it.kind, it.state, it.currency, it.count, it.amount_minor)
        for it in breaks.standing(journal.engine)
    ]
    assert ["JPY"] == [it.currency for it in breaks.standing(journal.engine, account="other")]

    def found(**wanted: Any) -> list[str]:
        wanted = {"states": [OPEN, EXPLAINED], **wanted}
        return [it.seen.break_id for it in breaks.find(journal.engine, **wanted)]

    assert ["a", "b", "c"] == found()
    assert ["a", "b"] == found(most=2)
    assert ["b", "c"] == found(states=[OPEN])
    assert ["c"] == found(account="other")
    assert [] == found(kinds=["timing"])


def test_thousands_at_once_from_two_scans(journal: JournalStage) -> None:
    """Two scans that see the same at the same time both end well, and each break is there once."""
    at = breaks.began(journal.engine) - timedelta(hours=3)
    many = [seen(f"b{number:04d}", at=at) for number in range(1500)]
    with ThreadPoolExecutor(2) as pool:
        ended = [pool.submit(scan, journal, *order) for order in (many, many[::-1])]
        assert [0, 0] == [it.result(30) for it in ended]
    assert 1500 == breaks.standing(journal.engine)[0].count


def pay(journal: JournalStage, name: str, *, moved_at: datetime, **changes: Any) -> None:
    """A captured payment with its initiation, both of that time; `invoice` where it was sent."""
    invoice = changes.pop("invoice", None)
    row = {
        "payment_id": name, "order_id": "o", "user_id": "u", "amount_minor": 1234, "currency": "USD",
        "state": "captured", "version": 1, "authorised_minor": 1234, "captured_minor": 1234,
        "created_at": moved_at, "updated_at": moved_at, **changes,
    }  # fmt: skip
    with journal.engine.begin() as connection:
        connection.execute(insert(payment).values(row))
        connection.execute(insert(operation).values(_operation(f"initiation:{name}", of=name)))
        if invoice:
            connection.execute(
                insert(attempt).values(_attempt(f"initiation:{name}", invoice, at=moved_at))
            )


def _operation(name: str, *, of: str, **changes: Any) -> dict[str, Any]:
    return {
        "operation_id": name, "kind": name.partition(":")[0], "payment_id": of, "fingerprint": "1:x", "command": {},
        "topic_id": "t", "partition": 0, "offset": 1, "session_id": "one", "stage": "concluded", **changes,
    }  # fmt: skip


def _attempt(
    operation_id: str, invoice: str, *, at: datetime, about: str = "charge", number: int = 1
) -> dict[str, Any]:
    return {
        "operation_id": operation_id, "number": number, "invoice_number": invoice, "merchant_account": "main",
        "about": about, "state": "answered", "request": {}, "session_id": "one", "opened_at": at,
    }  # fmt: skip


def read(journal: JournalStage, *, now: datetime, rows: Any = ()) -> JournalBook:
    """The journal's book of the last two days."""
    span = Span(now - 2 * DAY, now)
    return journal_book.read(journal.engine, span=span, rules=RULES, rows=rows)


def test_the_journals_book(journal: JournalStage) -> None:
    """Payments that lived in the span, by the numbers under which they were sent or would be; refunds with attempts."""
    now = breaks.began(journal.engine)
    at = now - timedelta(hours=3)
    pay(journal, "p1", moved_at=at, invoice="INV1", transaction_id="6001")
    pay(journal, "p2", moved_at=at)
    pay(journal, "old", moved_at=now - 3 * DAY, invoice="INVOLD", transaction_id="6009")
    pay(journal, "later", moved_at=now + timedelta(hours=1))
    with journal.engine.begin() as connection:
        refunded = _operation(
            "refund:r1#2", of="p1", request_state="processed", amount_minor=500, transaction_id="7001", answered_at=at
        )  # fmt: skip
        connection.execute(insert(operation).values(refunded))
        for number, about in enumerate(("void", "refund"), start=1):
            tried = _attempt("refund:r1#2", f"INVR{number}", at=at, about=about, number=number)
            connection.execute(insert(attempt).values(tried))

    book = read(journal, now=now)

    assert {"p1", "p2"} == book.payments.keys()
    one, two = book.payments["p1"], book.payments["p2"]
    assert ("INV1", "main", at, PaymentState.CAPTURED) == (
        one.invoice_number,
        one.account,
        one.opened_at,
        one.state,
    )
    derived = invoice_number(
        RULES.invoice_key, environment=RULES.environment, operation_id="initiation:p2"
    )
    assert (derived, None) == (two.invoice_number, two.opened_at)
    [refund] = book.refunds
    assert ("r1", 2, ("INVR2",), RequestState.PROCESSED, "7001", at) == (
        refund.refund_id,
        refund.part,
        refund.invoice_numbers,
        refund.state,
        refund.transaction_id,
        refund.told_at,
    )


@pytest.mark.parametrize(
    "key",
    [{"transaction_id": "6009"}, {"invoice_number": "INVOLD"}, {"of": "6009"}],
    ids=["by transaction", "by invoice number", "by what it refers to"],
)
def test_a_row_leads_to_an_older_payment(journal: JournalStage, key: dict[str, str]) -> None:
    """What the gateway shows today may be about a payment of last month: it is read, too, and is no stranger."""
    now = breaks.began(journal.engine)
    pay(journal, "old", moved_at=now - 30 * DAY, invoice="INVOLD", transaction_id="6009")
    pay(journal, "other", moved_at=now - 30 * DAY, invoice="INVOTHER", transaction_id="6008")
    nowhere = {"transaction_id": "1", "invoice_number": ""}

    book = read(journal, now=now, rows=[row(**{**nowhere, **key})])

    assert {"old"} == book.payments.keys()


def test_the_span_is_read_in_a_txn_that_cannot_write(journal: JournalStage) -> None:
    """Reconciliation changes no payment, by the database's own word."""
    with one_moment(journal.engine) as reads, pytest.raises(DBAPIError, match="read-only"):
        reads._connection.execute(insert(payment).values(payment_id="x"))
