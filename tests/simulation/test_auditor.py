"""Claims about the auditor: books that agree pass, and each promise that is broken in doctored ones is found."""

import ast
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from tests.simulation.auditor import PREDICATES, audit
from tests.simulation.auditor_agreeing import agreeing, number_of
from tests.simulation.auditor_books import Books
from tests.simulation.auditor_doctored import (
    DOCTORS,
    Doctor,
    added,
    agreed,
    all_of,
    changed,
    left_out,
    opened_and_forgotten,
    refused_and_asked_again,
)

_PROMISES: Final = {row[0] for row in DOCTORS}


def test_equal_books_break_no_promise() -> None:
    """Every kind of end and of waiting, a late find, letters, repeats, a take-over: nothing to say."""
    assert [] == [str(it) for it in audit(agreeing())]


def test_empty_books_break_no_promise() -> None:
    """Nothing was asked."""
    assert [] == audit(Books())


@pytest.mark.parametrize(
    ("promise", "doctor", "found"),
    [(promise, doctor, found) for promise, _, doctor, found in DOCTORS],
    ids=[f"{promise} {name}" for promise, name, _, _ in DOCTORS],
)
def test_a_broken_promise_is_found(promise: str, doctor: Doctor, found: str) -> None:
    """The promise's own predicate names it, with the facts."""
    violations = list(PREDICATES[promise](doctor(agreeing())))
    named = [it for it in violations if found in it.what]
    assert named, violations
    assert {promise} == {it.promise for it in violations}
    assert all(it.facts for it in named)


def test_every_promise_has_a_doctor() -> None:
    """A predicate that no doctored book troubles proves nothing."""
    assert set(PREDICATES) == _PROMISES


def test_each_predicate_says_its_promise() -> None:
    """Its number is in its name, and its docstring is a sentence."""
    for promise, predicate in PREDICATES.items():
        assert predicate.__name__.startswith(promise.lower())
        assert "." in (predicate.__doc__ or "")


def test_the_auditor_shares_no_code_with_the_worker() -> None:
    """Its files import Python and each other."""
    for file in sorted(Path(__file__).parent.glob("auditor*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [it.name for it in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                top = name.partition(".")[0]
                assert top not in {"worker", "handlers", "db_client", "avro"}, (file.name, name)
                assert top != "tests" or name.startswith("tests.simulation.auditor")


ALLOWED: Final[list[tuple[str, Doctor]]] = [
    ("a journal that forgot a send, after two complete scans",
     all_of(added("sends", {"operation_id": "initiation:p4"}, n=9000), agreed(lost=[(0, 7000)]))),
    ("a command that was asked twice before it became a dead letter",
     refused_and_asked_again(at=9001)),
    ("a journal that was put back between an intent and its first byte",
     opened_and_forgotten(lost=(9000, 9001), at=9000)),
    ("a charge that was opened, forgotten, sent, and sent again after two complete scans",
     all_of(added("sends", {"operation_id": "initiation:p4"}, n=9000),
            added("moves", {"what": "answer", "session": "s1"}, what="open", applied=True,
                  operation_id="initiation:p4", n=0), added("evidence", {"session_id": "s1"},
                  operation_id="initiation:p4"), agreed(lost=[(0, 1)]))),
    ("a charge that went out again after the account had been turned away",
     added("sends", {"operation_id": "initiation:p3"}, n=0, refused=True, heard_n=None)),
    ("the same news under the same id, after a loss of time",
     all_of(added("events", {"event_id": "p2/2"}), agreed(lost=[(0, 1)]))),
    ("a version that was never told, after a loss of time",
     all_of(left_out("events", payment_id="p5", version=1), agreed(lost=[(0, 1)]))),
    ("an answer that the journal forgot",
     all_of(left_out("evidence", operation_id="refund:r1"), agreed(lost=[(0, 9000)]))),
    ("an answer that its hearer did not outlive",
     all_of(left_out("evidence", operation_id="refund:r1"),
            changed("sessions", {"session_id": "s1"}, gone_at=3100.0))),
    ("a person's word against the gateway",
     all_of(left_out("ledger", transaction_id="t5"),
            changed("events", {"event_id": "p5/2"}, reason_code="worker.ruled"))),
    ("a charge that was listed when nobody swept any more",
     all_of(added("ledger", {"transaction_id": "t5"}, invoice_number=number_of("initiation:p4"),
                  transaction_id="t4", listed_at=5000.0), agreed(swept_until=4000.0))),
    ("a refund in the merchant interface beside one of ours",
     added("ledger", {"transaction_id": "t11"}, transaction_id="t12", amount_minor=90,
           invoice_number="", by="merchant")),
    ("two payments of one order, in parts",
     lambda books: replace(
         changed("sends", {"operation_id": "initiation:p2"}, order_id="op1")(books),
         orders={**books.orders, "op1": 200})),
    ("unknown, so shortly after the faults",
     all_of(changed("payments", {"payment_id": "p7"}, state="unknown"),
            changed("events", {"event_id": "p7/1"}, state="unknown"),
            changed("recorded", {"payment_id": "p7"}, state="unknown"),
            left_out("events", topic="order_events", payment_id="p7"),
            lambda books: replace(books, faults_ended_at=books.now - 60.0))),
]  # fmt: skip


@pytest.mark.parametrize("doctor", [row[1] for row in ALLOWED], ids=[row[0] for row in ALLOWED])
def test_what_no_worker_can_help_is_no_violation(doctor: Doctor) -> None:
    """What a journal forgot, a person did, or nobody had the time for."""
    assert [] == [str(it) for it in audit(doctor(agreeing()))]
