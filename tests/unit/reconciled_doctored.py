"""Books that were doctored, each with the one break that must be found, and others that must stay silent. No claims."""

from collections.abc import Callable
from dataclasses import replace

from handlers.domain.facts import Standing
from handlers.domain.states import PaymentState, RequestState
from tests.unit.reconciled_books import (
    NOW,
    ago,
    agreeing,
    books,
    payment,
    recorded,
    recorded_refund,
    refund,
    refund_row,
    return_row,
    row,
)
from worker.reconciling.books import Books, Told

Row = tuple[str, str, int]  # kind, subject, amount at stake


def served(of: Books, **changes: object) -> Books:
    """With another record of p1 in the db-service; `gone` takes it away."""
    entry = of.journal.payments["p1"]
    made = None if "gone" in changes else recorded(entry, **changes)
    of.service.payments["p1"] = made
    return of


def refund_served(**changes: object) -> Books:
    """The agreeing books with another record of r1 in the db-service."""
    made = agreeing()
    gone = "gone" in changes
    made.service.refunds["r1"] = None if gone else recorded_refund(refund(), **changes)
    return made


def told(of: Books, *, version: int, state: str) -> Books:
    """With another last event about p1."""
    assert of.events is not None
    of.events.last["p1"] = Told(version, state, ago(9))
    return of


VOIDED = {"status": "voided", "charge": Standing.VOIDED, "refund": Standing.VOIDED}
SETTLED = {"status": "settledSuccessfully", "charge": Standing.SETTLED}
RESERVED = {"status": "authorizedPendingCapture", "charge": Standing.RESERVED}
ONE = (payment(),)
WHOLE = payment(state=PaymentState.REFUNDED, refunded_minor=1234)
_P = PaymentState

FOUND: list[tuple[str, Callable[[], Books], list[Row]]] = [
    ("nobody asked for the charge", lambda: books(row()), [("orphan", "transaction 6001", 1234)]),
    (
        "a held stranger may take money",
        lambda: books(row(status="FDSPendingReview", charge=Standing.HELD)),
        [("orphan", "transaction 6001", 1234)],
    ),
    (
        "an orphan is never young",
        lambda: books(row(submitted_at=ago(0.001))),
        [("orphan", "transaction 6001", 1234)],
    ),
    (
        "captured here, absent there",
        lambda: books(payments=ONE),
        [("absent_at_gateway", "payment p1", 1234)],
    ),
    (
        "authorised here, absent there",
        lambda: books(payments=(payment(state=_P.AUTHORIZED, captured_minor=0),)),
        [("absent_at_gateway", "payment p1", 1234)],
    ),
    (
        "the list lags",
        lambda: books(payments=(payment(opened_at=ago(0.5), updated_at=ago(0.5)),)),
        [("timing", "payment p1", 1234)],
    ),
    (
        "another amount there",
        lambda: books(row(amount_minor=1300), payments=ONE),
        [("amount_differs", "payment p1", 66)],
    ),
    (
        "another amount reserved",
        lambda: books(
            row(**RESERVED, amount_minor=1000),
            payments=(payment(state=_P.AUTHORIZED, captured_minor=0),),
        ),
        [("amount_differs", "payment p1", 234)],
    ),
    (
        "another amount held",
        lambda: books(
            row(status="FDSPendingReview", charge=Standing.HELD, amount_minor=1),
            payments=(payment(state=_P.HELD, authorised_minor=0, captured_minor=0),),
        ),
        [("amount_differs", "payment p1", 1233)],
    ),
    (
        "another currency there",
        lambda: books(row(currency="CAD"), payments=ONE),
        [("currency_differs", "payment p1", 1234)],
    ),
    (
        "voided there, captured here",
        lambda: books(row(**VOIDED), payments=ONE),
        [("status_differs", "payment p1", 1234)],
    ),
    (
        "voided there, partly refunded here: what was kept is at stake",
        lambda: books(
            row(**VOIDED), payments=(payment(state=_P.PARTIALLY_REFUNDED, refunded_minor=500),)
        ),
        [("status_differs", "payment p1", 734)],
    ),
    (
        "failed here, charged there",
        lambda: books(row(), payments=(payment(state=_P.FAILED, captured_minor=0, transaction_id=""),)),
        [("status_differs", "payment p1", 1234)],
    ),
    (
        "nobody noticed the answer",
        lambda: books(row(), payments=(payment(state=_P.UNKNOWN, captured_minor=0, transaction_id=""),)),
        [("status_differs", "payment p1", 1234)],
    ),
    (
        "the answer is on its way",
        lambda: books(row(submitted_at=ago(0.1)), payments=(payment(state=_P.UNKNOWN, captured_minor=0),)),
        [("timing", "payment p1", 1234)],
    ),
    (
        "a hold that was to be let go",
        lambda: books(
            row(**RESERVED, amount_minor=1),
            payments=(payment(state=_P.VERIFIED, amount_minor=1, captured_minor=0),),
        ),
        [("status_differs", "payment p1", 1)],
    ),
    (
        "charged twice under one number",
        lambda: books(row(), row(transaction_id="6002"), payments=ONE),
        [("duplicate_at_gateway", "payment p1", 1234)],
    ),
    (
        "the one that we know is older than the span",
        lambda: books(
            row(transaction_id="6002"),
            payments=(payment(created_at=ago(60), opened_at=ago(60)),),
        ),
        [("duplicate_at_gateway", "payment p1", 1234)],
    ),
    (
        "refunded twice, by two attempts",
        lambda: books(
            row(**SETTLED),
            refund_row(),
            refund_row(transaction_id="7002", invoice_number="INVR2"),
            payments=(payment(state=_P.PARTIALLY_REFUNDED, refunded_minor=500),),
            refunds=(refund(invoice_numbers=("INVR1", "INVR2")),),
        ),
        [("duplicate_at_gateway", "refund r1", 500)],
    ),
    (
        "nobody here asked for the refund",
        lambda: books(row(**SETTLED), refund_row(of="6001"), payments=ONE),
        [("refund_unexplained", "transaction 7001", 500)],
    ),
    (
        "a refund of nothing that we know",
        lambda: books(refund_row()),
        [("refund_unexplained", "transaction 7001", 500)],
    ),
    (
        "a person's refund carries the charge's number",
        lambda: books(row(**SETTLED), refund_row(invoice_number="INV1"), payments=ONE),
        [("refund_unexplained", "transaction 7001", 500)],
    ),
    (
        "more went back than was taken",
        lambda: books(
            row(**SETTLED),
            refund_row(amount_minor=1234),
            refund_row(transaction_id="7002", invoice_number="INVR2"),
            payments=(WHOLE,),
            refunds=(
                refund(amount_minor=1234),
                refund(operation_id="refund:r2", refund_id="r2", transaction_id="7002", invoice_numbers=("INVR2",)),
            ),
        ),
        [("refund_unexplained", "payment p1", 500)],
    ),
    (
        "refunded here, absent there",
        lambda: books(
            row(**SETTLED),
            payments=(payment(state=_P.PARTIALLY_REFUNDED, refunded_minor=500),),
            refunds=(refund(),),
        ),
        [("absent_at_gateway", "refund r1", 500)],
    ),
    (
        "failed here, refunded there",
        lambda: books(
            row(**SETTLED), refund_row(), payments=ONE, refunds=(refund(state=RequestState.FAILED, transaction_id=""),)
        ),
        [("status_differs", "refund r1", 500)],
    ),
    (
        "another amount refunded",
        lambda: books(
            row(**SETTLED),
            refund_row(amount_minor=400),
            payments=(payment(state=_P.PARTIALLY_REFUNDED, refunded_minor=500),),
            refunds=(refund(),),
        ),
        [("amount_differs", "refund r1", 100)],
    ),
    (
        "a chargeback that is unknown here",
        lambda: books(row(status="chargeback", charge=Standing.CHARGED_BACK), payments=ONE),
        [("taken_back_unknown", "payment p1", 1234)],
    ),
    (
        "a return that is unknown here",
        lambda: books(row(**SETTLED), return_row(), payments=ONE),
        [("taken_back_unknown", "payment p1", 1234)],
    ),
    (
        "the same return in two rows is one",
        lambda: books(row(status="settledSuccessfully", charge=Standing.RETURNED), return_row(), payments=ONE),
        [("taken_back_unknown", "payment p1", 1234)],
    ),
    (
        "a return of nothing that we know",
        lambda: books(return_row(invoice_number="")),
        [("taken_back_unknown", "transaction 8001", 1234)],
    ),
    (
        "not recorded",
        lambda: served(books(row(), payments=ONE), gone=True),
        [("missing_in_db_service", "payment p1", 1234)],
    ),
    (
        "not recorded yet",
        lambda: served(
            books(row(submitted_at=ago(0.1)), payments=(payment(updated_at=ago(0.1)),)), gone=True
        ),
        [("timing", "payment p1", 1234)],
    ),
    (
        "an older version recorded",
        lambda: served(books(row(), payments=(payment(version=2),)), version=1, state="authorized"),
        [("stale_in_db_service", "payment p1", 1234)],
    ),
    (
        "a later version recorded: the journal lost time",
        lambda: served(books(row(), payments=ONE), version=3, state="refunded"),
        [("status_differs", "payment p1", 1234)],
    ),
    (
        "another amount recorded",
        lambda: served(books(row(), payments=ONE), captured_minor=1),
        [("amount_differs", "payment p1", 1233)],
    ),
    (
        "another currency recorded",
        lambda: served(books(row(), payments=ONE), currency="CAD"),
        [("currency_differs", "payment p1", 1234)],
    ),
    (
        "another state recorded under the same version",
        lambda: served(books(row(), payments=ONE), state="declined"),
        [("status_differs", "payment p1", 1234)],
    ),
    (
        "another transaction recorded",
        lambda: served(books(row(), payments=ONE), transaction_id="6009"),
        [("status_differs", "payment p1", 1234)],
    ),
    ("a refund not recorded", lambda: refund_served(gone=True), [("missing_in_db_service", "refund r1", 500)]),
    (
        "an older refund recorded",
        lambda: refund_served(state="deferred", version=1),
        [("stale_in_db_service", "refund r1", 500)],
    ),
    (
        "another state of the refund recorded",
        lambda: refund_served(state="failed"),
        [("status_differs", "refund r1", 500)],
    ),
    (
        "another amount of the refund recorded",
        lambda: refund_served(amount_minor=400),
        [("amount_differs", "refund r1", 100)],
    ),
    (
        "another currency of the refund recorded",
        lambda: refund_served(currency="CAD"),
        [("currency_differs", "refund r1", 500)],
    ),
    (
        "the last event is older",
        lambda: told(books(row(), payments=(payment(version=2),)), version=1, state="authorized"),
        [("untold", "payment p1", 1234)],
    ),
    (
        "the event says something else",
        lambda: told(books(row(), payments=ONE), version=1, state="declined"),
        [("status_differs", "payment p1", 1234)],
    ),
    (
        "the events are ahead: the journal lost time",
        lambda: told(books(row(), payments=ONE), version=2, state="refunded"),
        [("status_differs", "payment p1", 1234)],
    ),
]  # fmt: skip


SILENT: list[tuple[str, Callable[[], Books]]] = [
    ("equal books", agreeing),
    ("an empty installation", books),
    ("a voided stranger moves nothing", lambda: books(row(**VOIDED))),
    ("a declined stranger moves nothing", lambda: books(row(status="declined", charge=Standing.DECLINED))),
    ("a stranger of another day", lambda: books(row(submitted_at=ago(49)), refund_row(submitted_at=ago(49)))),
    (
        "a full refund that left as a void",
        lambda: books(row(**VOIDED), payments=(WHOLE,), refunds=(refund(transaction_id="", opened_at=None),)),
    ),
    ("settled there, captured here", lambda: books(row(**SETTLED), payments=ONE)),
    ("on its way to another status", lambda: books(row(charge=Standing.UNCLEAR), payments=ONE)),
    (
        "a conflict is known, and asked a person",
        lambda: books(row(amount_minor=1), payments=(payment(state=_P.CONFLICTED),)),
    ),
    (
        "a declined attempt beside the live one",
        lambda: books(row(), row(transaction_id="6002", charge=Standing.DECLINED), payments=ONE),
    ),
    (
        "a refused payment was never sent",
        lambda: books(payments=(payment(state=_P.REFUSED, authorised_minor=0, captured_minor=0),)),
    ),
    ("charged before the span", lambda: books(payments=(payment(created_at=ago(60), opened_at=ago(60)),))),
    (
        "known by the number that the command derives",
        lambda: books(row(), payments=(payment(transaction_id="", opened_at=None),)),
    ),
    ("a return that we know of", lambda: books(row(**SETTLED), return_row(), payments=(payment(state=_P.RETURNED),))),
    (
        "a deferred refund was not sent",
        lambda: books(
            row(),
            payments=ONE,
            refunds=(refund(state=RequestState.DEFERRED, transaction_id="", opened_at=None),),
        ),
    ),
    (
        "a person ruled that it was refunded",
        lambda: books(row(), payments=ONE, refunds=(refund(transaction_id=""),)),
    ),
    (
        "a refund in two parts is one refund",
        lambda: books(
            row(**SETTLED),
            refund_row(),
            payments=(payment(state=_P.PARTIALLY_REFUNDED, refunded_minor=500),),
            refunds=(
                refund(state=RequestState.CONTINUED, transaction_id="", invoice_numbers=("INVR0",), opened_at=None),
                refund(operation_id="refund:r1#2", part=2),
            ),
        ),
    ),
    (
        "it moved while the books were read",
        lambda: served(books(row(), payments=ONE), version=2, state="refunded", occurred_at=NOW),
    ),
    ("nobody asked the db-service", lambda: replace(agreeing(), service=books().service)),
]  # fmt: skip
