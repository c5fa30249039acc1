"""What the auditor reads: the books of a run as plain rows, and what it finds. Nothing is judged here.

The auditor shares no code with the worker: rows are mappings of plain values, and every name and number that it needs
is written out a second time. Rows may carry more than is named here.

- `asked`: each record that Kafka acknowledged, first come first: n, topic, partition, offset, operation_id ("" where it
  is no command), payment_id, content (anything that tells two commands under one id apart), amount_minor (of a refund
  of just so much, else None).
- `letters`: topic (of the command), partition, offset, reason, n.
- `events`: everything that a read_committed consumer saw, in each partition's order: topic (payment_status,
  order_events, notification_events), event_id, payment_id, version, n, repeat_of, answers (operation ids); of a status
  also state, reason_code, request (None, or kind, request_id, state), authorised_minor, captured_minor, refunded_minor,
  occurred_at; of the others news or template.
- `recorded`: each version of a payment that the db-service took: payment_id, version, state, n.
- `ledger`: the gateway's transactions: transaction_id, kind (sale, authorisation, refund, returned_item), status,
  invoice_number, amount_minor, approved_minor, captured_minor, original, by (worker, merchant), listed_at.
- `sends`: each request that passed the gate: n, at, session, operation_id, about, invoice_number, amount_minor,
  order_id ("" where none is paid), left_s (of the call's deadline), lease_s, refused (the account was turned away
  before anything was worked on), heard_n and heard_at (None where nobody heard the end of it), and `known`, what stood
  in the journal at that moment: None, or state and invoice_number of the attempt, session_id of who held the operation.
- `asks`: each question that the gateway answered: n, at, what (find, look), about, invoice_number, complete.
- `operations`, `payments`, `attempts`, `evidence`: the journal's tables by their columns (`db_client/tables.py`), due
  times in seconds.
- `sessions`: session_id, gone_at (when its process was last alive, None while it is).
- `moves`: each write that the journal was asked for: n, what, session, applied, operation_id ("" where it is about
  none), operations (ids that are the session's from now on); dead ("" unless it takes a session over), alive (whether
  the lease of that one still ran).
- `orders`: order id → what it is worth, minor units.

Times are seconds, `n` numbers what happened, growing through all books.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

Row = Mapping[str, Any]
STATUS: Final = "payment_status"
ORDERS: Final = "order_events"
NOTICES: Final = "notification_events"
CHARGES: Final = frozenset({"sale", "authorisation"})
RULED: Final = "worker.ruled"  # a person's word, which nobody can check


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was broken: its number, about which payment ("" where about none), how, and the facts."""

    promise: str
    payment_id: str
    what: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        facts = ", ".join(f"{name} {value}" for name, value in self.facts.items())
        about = f" {self.payment_id}:" if self.payment_id else ""
        return f"{self.promise}{about} {self.what}" + (f" ({facts})" if facts else "")


Found = Iterator[Violation]


@dataclass(frozen=True, slots=True)
class Terms:
    """What was agreed for the run, in seconds.

    `deadline_s`, `absence_after_s`: the worker's own. `patience_s`: longer than any lease; who lives so long after an
    answer has written it down. `slack_s`: from a scan until its news is told. `decided_within_s`: after the faults have
    ended nothing is unknown any longer than that. `one_payment`: an order is paid once. `swept_until`: what the gateway
    began to list later, nobody had the time to find. `lost`: spans of `n` that the journal forgot.
    """

    deadline_s: float = 60.0
    absence_after_s: float = 900.0
    patience_s: float = 300.0
    slack_s: float = 300.0
    decided_within_s: float = 7200.0
    one_payment: bool = False
    swept_until: float | None = None
    lost: Sequence[tuple[int, int]] = ()

    def forgot(self, n: int) -> bool:
        """Whether the journal forgot what happened then."""
        return any(first <= n <= last for first, last in self.lost)


STRICT: Final = Terms()


@dataclass(frozen=True)
class Books:
    """All books of one run, at `now`. The shapes stand at the head of this file."""

    asked: Sequence[Row] = ()
    letters: Sequence[Row] = ()
    events: Sequence[Row] = ()
    recorded: Sequence[Row] = ()
    ledger: Sequence[Row] = ()
    sends: Sequence[Row] = ()
    asks: Sequence[Row] = ()
    operations: Sequence[Row] = ()
    payments: Sequence[Row] = ()
    attempts: Sequence[Row] = ()
    evidence: Sequence[Row] = ()
    sessions: Sequence[Row] = ()
    moves: Sequence[Row] = ()
    orders: Mapping[str, int] = field(default_factory=dict)
    unpublished: int = 0
    faults_ended_at: float = 0.0
    now: float = 0.0
    terms: Terms = STRICT

    @cached_property
    def operation(self) -> dict[str, Row]:
        """By id."""
        return {row["operation_id"]: row for row in self.operations}

    @cached_property
    def operations_of(self) -> dict[str, list[Row]]:
        """By payment."""
        return grouped(self.operations, "payment_id")

    @cached_property
    def recorded_of(self) -> dict[str, list[Row]]:
        """By payment."""
        return grouped(self.recorded, "payment_id")

    @cached_property
    def sends_of(self) -> dict[str, list[Row]]:
        """By operation."""
        return grouped(self.sends, "operation_id")

    @cached_property
    def asks_of(self) -> dict[str, list[Row]]:
        """Questions about charges, by invoice number."""
        asked = (row for row in self.asks if row["what"] == "find" and row["about"] == "charge")
        return grouped(asked, "invoice_number")

    @cached_property
    def ledger_of(self) -> dict[str, list[Row]]:
        """By invoice number."""
        return grouped(self.ledger, "invoice_number")

    @cached_property
    def given_back(self) -> dict[str, list[Row]]:
        """Refunds that move money, by the transaction that they refer to."""
        return grouped((row for row in self.ledger if gives_back(row)), "original")

    @cached_property
    def payment_of(self) -> dict[str, str]:
        """Operation → payment, as the commands say; the journal may have forgotten."""
        asked = {row["operation_id"]: row["payment_id"] for row in self.asked}
        return asked | {row["operation_id"]: row["payment_id"] for row in self.operations}

    @cached_property
    def told(self) -> dict[str, list[Row]]:
        """Payment → its statuses, each event id once, in the order of the topic."""
        seen: dict[str, Row] = {}
        for row in self.events:
            if row["topic"] == STATUS:
                seen.setdefault(row["event_id"], row)
        return grouped(seen.values(), "payment_id")

    @cached_property
    def charges(self) -> dict[str, list[Row]]:
        """Payment → its charges at the gateway, by the invoice numbers that were sent or opened for it."""
        numbers: dict[str, dict[str, None]] = defaultdict(dict)
        for row in (*self.attempts, *self.sends):
            if row["about"] == "charge":
                payment_id = self.payment_of.get(row["operation_id"], "")
                numbers[payment_id][row["invoice_number"]] = None
        return {
            payment_id: [
                row
                for number in found
                for row in self.ledger_of.get(number, ())
                if row["kind"] in CHARGES
            ]
            for payment_id, found in numbers.items()
        }

    def has_forgotten_intent(self, send: Row) -> bool:
        """Whether it was opened in time that the journal lost before the first byte left: nobody sees that coming."""
        opened = [
            row["n"]
            for row in self.moves
            if row["what"] == "open"
            and row["applied"]
            and row["operation_id"] == send["operation_id"]
            and row["session"] == send["session"]
        ]
        return any(
            first <= n <= last < send["n"] for first, last in self.terms.lost for n in opened
        )


def grouped(rows: Iterable[Row], column: str) -> dict[str, list[Row]]:
    """The rows by one of their columns, in their order."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row[column], []).append(row)
    return found


_NO_MONEY: Final = frozenset({"voided", "expired", "declined"})


def gives_back(row: Row) -> bool:
    """Whether it is a refund whose money goes back, or waits for a person."""
    return row["kind"] == "refund" and row["status"] not in _NO_MONEY


_LIVE: Final = frozenset(
    {
        "authorizedPendingCapture",
        "capturedPendingSettlement",
        "settledSuccessfully",
        "settlementError",
    }
)


def keeps_money(books: Books, charge: Row) -> bool:
    """Whether a charge holds or has taken money that did not all go back."""
    if charge["status"] not in _LIVE:
        return False
    back = sum(row["amount_minor"] for row in books.given_back.get(charge["transaction_id"], ()))
    return not back or back < charge["captured_minor"]
