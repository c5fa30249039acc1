"""Claims about reconciliation: equal books are silent, each kind of difference is found once, at its worth."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from db_client.break_rows import Break
from handlers.domain.states import PaymentState, RequestState
from tests.unit.reconciled_books import (
    ago,
    agreeing,
    batch,
    books,
    payment,
    row,
)
from tests.unit.reconciled_doctored import FOUND, ONE, SILENT, Row
from worker.reconciling.agreeing import PAYMENTS, REFUNDS
from worker.reconciling.books import Books
from worker.reconciling.compare import compare, doubtful
from worker.reconciling.kinds import EXPECTED, KINDS, Kind


def seen(of: Books) -> list[Row]:
    """Kind, subject and amount at stake of each break."""
    return [(it.kind, it.subject, it.amount_minor) for it in compare(of)]


@pytest.mark.parametrize(
    ("doctored", "wanted"), [it[1:] for it in FOUND], ids=[it[0] for it in FOUND]
)
def test_a_difference_is_found(doctored: Callable[[], Books], wanted: list[Row]) -> None:
    """Each difference is one break of its kind, about the right thing, with what is at stake."""
    assert wanted == seen(doctored())


def test_a_batch_that_does_not_add_up() -> None:
    """What the gateway says of a batch is held against its rows; both columns are at stake."""
    made = agreeing()
    made.gateway.batches[:] = [batch(charged_told_minor=1334, refunded_told_minor=400)]

    assert [("batch_total_differs", "batch 9001", 200)] == seen(made)


def test_each_kind_is_found_by_a_doctored_book() -> None:
    """No kind of the table is without a test that finds it."""
    found = {kind for _, _, rows in FOUND for kind, _, _ in rows} | {Kind.BATCH}
    assert {kind.value for kind in Kind} == found
    assert set(Kind) == set(KINDS)
    assert {Kind.TIMING} == EXPECTED


@pytest.mark.parametrize("made", [it[1] for it in SILENT], ids=[it[0] for it in SILENT])
def test_what_agrees_is_silent(made: Callable[[], Books]) -> None:
    """What time, settlement and knowledge explain is no break."""
    assert [] == seen(made())


def test_what_was_not_read_to_its_end_proves_no_absence() -> None:
    """With a gap in the lists nothing is called absent, and what was seen still counts."""
    made = books(row(transaction_id="6009", invoice_number=""), payments=ONE)
    made.gateway.gaps["main"] = "no answer"

    assert [("orphan", "transaction 6009", 1234)] == seen(made)


def test_a_break_keeps_its_id_when_it_ages() -> None:
    """A young difference is `timing`; later it is the same break under the name of its kind."""
    young = books(payments=(payment(opened_at=ago(0.5), updated_at=ago(0.5)),))

    [early], [late] = compare(young), compare(replace(young, grace_s=0.0))

    assert (Kind.TIMING, Kind.ABSENT) == (early.kind, late.kind)
    assert early.becomes == late.becomes == Kind.ABSENT
    assert early.break_id == late.break_id
    assert ["6001"] == [it.transaction_id for it in doubtful([early])]


def test_the_worst_comes_first() -> None:
    """Breaks come in the order of their kinds, and within one by amount."""
    made = books(
        row(transaction_id="6002", invoice_number="", amount_minor=10),
        row(transaction_id="6003", invoice_number="", amount_minor=20),
        row(amount_minor=1300),
        payments=ONE,
    )

    assert ["transaction 6003", "transaction 6002", "payment p1"] == [
        it.subject for it in compare(made)
    ]


def test_an_account_alone() -> None:
    """What belongs to another merchant account is left out where one is named."""
    made = books(row(), row(account="other", transaction_id="6002", invoice_number=""))

    assert ["transaction 6002"] == [it.subject for it in compare(replace(made, account="other"))]


def test_an_account_that_takes_two_currencies_tells_none() -> None:
    """Lists name no currency: where an account is said to take both, neither currency nor amount is held against it."""
    made = books(row(currency="USD"), payments=(payment(currency="CAD"),))
    made.gateway.currencies["main"] = frozenset({"USD", "CAD"})

    assert [] == seen(made)


def test_an_orphan_that_the_db_service_knows() -> None:
    """A charge that the journal forgot is told with the payment that was recorded for it."""
    made = books(row())
    made.service.claims["6001"] = "p-lost"

    [found] = compare(made)

    assert "payment p-lost" in found.text


def test_every_state_has_its_row() -> None:
    """A state that is not in the tables of what agrees fails here, not in an operator's night."""
    assert set(PaymentState) == set(PAYMENTS)
    assert set(RequestState) == set(REFUNDS)


def test_texts_are_for_people() -> None:
    """A break says what stands where, with amounts as people write them."""
    [found] = compare(books(row(amount_minor=1300), payments=ONE))

    assert isinstance(found, Break)
    assert "13.00 USD at the gateway, 12.34 USD here" == found.text
    assert ("gateway", "main", "p1", "6001") == (
        found.book,
        found.account,
        found.payment_id,
        found.transaction_id,
    )
