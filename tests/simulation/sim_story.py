"""A run told for people: what happened when, what the auditor found, and all that is known of the payments concerned.

The same run is the same text, byte for byte, in any process: `test_simulation.py` holds it to that.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import fields
from typing import Any, Final

from tests.simulation.auditor_books import Books, Row
from tests.simulation.sim_run import Outcome, Run, prepared
from tests.simulation.sim_terms import BEGIN
from tests.simulation.sim_ways import SOUND, Plan

_MOST_PAYMENTS: Final = 3
_MOST_VIOLATIONS: Final = 12
_TOLD: Final = ("state", "reason_code", "request", "news", "template", "repeat_of", "answers")
_SENT: Final = ("operation_id", "about", "invoice_number", "amount_minor", "session", "heard")
_BOOKED: Final = ("transaction_id", "kind", "status", "amount_minor", "captured_minor", "by")
_KEPT: Final = ("operation_id", "stage", "request_state", "reason_code")


def replay_of(seed: int, bug: str) -> str:
    """The command that plays the run again."""
    planted = f" --bug '{bug}'" if bug else ""
    return f".venv/bin/python -m tests.simulation --replay {seed}{planted}"


def told(seed: int, plan: Plan = SOUND, *, bug: str = "") -> tuple[Outcome, str]:
    """Play the run of `seed`; what came of it, and its story."""
    with prepared(plan):
        run = Run(seed, plan)
        outcome = run.play()
    return outcome, "\n".join(_lines(run, outcome, bug=bug))


def digest(seed: int, plan: Plan = SOUND) -> str:
    """What tells two plays of one seed apart, should they differ: of the story and of all books."""
    with prepared(plan):
        run = Run(seed, plan)
        outcome = run.play()
    assert run.books is not None, "time did not stand still"
    text = [repr(outcome.story), repr(outcome.violations)]
    text += [repr(getattr(run.books, it.name)) for it in fields(Books)]
    return hashlib.sha256("\n".join(text).encode()).hexdigest()


def _lines(run: Run, outcome: Outcome, *, bug: str) -> Iterator[str]:
    planted = f', with the bug "{bug}"' if bug else ""
    yield f"seed {run.seed}{planted}: {outcome.commands} commands, {outcome.sends} sends, {run.mix.workers} workers"
    yield from (f"  {at_s:8.3f} s  {what}" for at_s, what in outcome.story)
    yield f"what the auditor found: {len(outcome.violations)}"
    yield from (f"  {it}" for it in outcome.violations[:_MOST_VIOLATIONS])
    concerned = dict.fromkeys(it.payment_id for it in outcome.violations if it.payment_id)
    if run.books is not None:
        for payment_id in list(concerned)[:_MOST_PAYMENTS]:
            yield f"payment {payment_id}:"
            yield from (f"  {line}" for line in _of_payment(run.books, payment_id))
    yield f"again: {replay_of(run.seed, bug)}"


def _of_payment(books: Books, payment_id: str) -> Iterator[str]:
    """In the order in which it happened; then how it stands."""
    happened = [
        *_asked_and_sent(books, payment_id),
        *_told(books, payment_id),
        *_moved(books, payment_id),
    ]
    yield from (f"{n:5d}  {what}" for n, what in sorted(happened))
    yield from _standing(books, payment_id)


def _asked_and_sent(books: Books, payment_id: str) -> Iterator[tuple[int, str]]:
    for row in books.asked:
        if row["payment_id"] == payment_id:
            yield row["n"], f"asked {row['operation_id']} {row['content']}"
    for row in books.sends:
        if books.payment_of.get(row["operation_id"]) == payment_id:
            yield row["n"], f"{_at(row['at'])} sent {_some(row, _SENT)}"


def _told(books: Books, payment_id: str) -> Iterator[tuple[int, str]]:
    for row in books.recorded_of.get(payment_id, ()):
        yield row["n"], f"{_at(row['at'])} recorded version {row['version']} {row['state']}"
    for row in books.events:
        if row["payment_id"] == payment_id:
            yield row["n"], f"told {row['topic']} version {row['version']} {_some(row, _TOLD)}"


def _moved(books: Books, payment_id: str) -> Iterator[tuple[int, str]]:
    for row in books.moves:
        names = (row["operation_id"], *row["operations"])
        if any(books.payment_of.get(it) == payment_id for it in names):
            done = "" if row["applied"] else ", in vain"
            of = f" of {row['dead']}" if row["dead"] else ""
            what = f"{row['what']}{of} {row['operation_id']} by {row['session']}{done}"
            yield row["n"], f"{row['at_s']:8.3f} s {what}"


def _standing(books: Books, payment_id: str) -> Iterator[str]:
    for row in books.payments:
        if row["payment_id"] == payment_id:
            yield f"the journal: {_some(row, [it for it in row if it != 'payment_id'])}"
    for row in books.operations_of.get(payment_id, ()):
        yield f"the journal: {_some(row, _KEPT)}"
    numbers = {
        row["invoice_number"]: None
        for row in (*books.attempts, *books.sends)
        if books.payment_of.get(row["operation_id"]) == payment_id
    }
    for row in books.ledger:
        if row["invoice_number"] in numbers:
            yield f"the gateway: {_at(row['at'])} {_some(row, _BOOKED)}"


def _at(seconds: float) -> str:
    return f"{seconds - BEGIN.timestamp():8.3f} s"


def _some(row: Row, names: Any) -> str:
    return ", ".join(f"{name} {row[name]}" for name in names if row.get(name))
