"""Books of a run in which every promise was kept, written by hand: what `auditor_doctored.py` makes its changes to.

The payments: p1 is sold, settled and refunded in part; p2 authorised and captured; p3 declined; p4 silent, and absent
in two scans; p5 silent, and found; p6 not charged, then found all the same and voided; p7 held, with a void in line
behind it; p8 sold, with a refund that waits for the settlement; p9 refused by us. One record is no command, another one
uses an id a second time, and what was asked of p1 twice was answered twice.
"""

from itertools import count
from typing import Any, Final

from tests.simulation.auditor_books import NOTICES, ORDERS, STATUS, Books, Row, Terms

NOW: Final = 100_000.0


class Pen:
    """Writes the books, one line after the other; `n` is the number of the last line."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self.n = 0
        self.books: dict[str, list[Row]] = {}

    def write(self, book: str, **row: Any) -> None:
        """One line."""
        self.n = next(self._numbers)
        self.books.setdefault(book, []).append({"n": self.n, **row})

    def ask(self, operation_id: str, payment_id: str, **more: Any) -> None:
        """An acknowledged command."""
        offset = len(self.books.get("asked", ()))
        row = {"topic": "commands", "partition": 0, "offset": offset, "amount_minor": None}
        about = {"operation_id": operation_id, "payment_id": payment_id, "content": operation_id}
        self.write("asked", **{**row, **about, **more})

    def open(self, operation_id: str, about: str, *, number: str) -> None:
        """An attempt in the journal."""
        self.write("attempts", operation_id=operation_id, about=about, invoice_number=number)

    def send(self, operation_id: str, about: str, *, minor: int, at: float = 100.0) -> None:
        """A request past the gate, written first; its answer, or its silence, is kept."""
        number = number_of(operation_id)
        self.open(operation_id, about, number=number)
        known = {"state": "open", "invoice_number": number, "session_id": "s1"}
        order_id = "o" + operation_id.partition(":")[2] if about == "charge" else ""
        self.write(
            "sends",
            at=at,
            session="s1",
            operation_id=operation_id,
            about=about,
            invoice_number=number,
            amount_minor=minor,
            order_id=order_id,
            left_s=60.0,
            lease_s=90.0,
            refused=False,
            known=known,
            heard_n=self.n + 2,
            heard_at=at + 1.0,
        )
        self.write("evidence", operation_id=operation_id, session_id="s1")

    def book(self, transaction_id: str, operation_id: str, **row: Any) -> None:
        """A transaction at the gateway."""
        minor = row["amount_minor"]
        base = {"approved_minor": minor, "captured_minor": 0, "original": "", "by": "worker"}
        known = {"invoice_number": number_of(operation_id), "listed_at": 101.0}
        self.write("ledger", transaction_id=transaction_id, **{**base, **known, **row})

    def scan(self, operation_id: str, *, at: float) -> None:
        """A complete scan without it."""
        number = number_of(operation_id)
        row = {"what": "find", "about": "charge", "invoice_number": number, "complete": True}
        self.write("asks", at=at, **row)

    def tell(
        self,
        payment_id: str,
        version: int,
        *,
        state: str,
        totals: tuple[int, int, int] = (0, 0, 0),
        **said: Any,
    ) -> None:
        """News: recorded, then told to everybody whom it concerns. Totals: authorised, captured, refunded."""
        self.write("recorded", payment_id=payment_id, version=version, state=state)
        about = {"payment_id": payment_id, "version": version, "repeat_of": "", "answers": ()}
        authorised, captured, refunded = totals
        self.write(
            "events",
            topic=STATUS,
            event_id=f"{payment_id}/{version}",
            **about,
            state=state,
            reason_code=said.get("reason", "1"),
            request=said.get("request"),
            authorised_minor=authorised,
            captured_minor=captured,
            refunded_minor=refunded,
            occurred_at=said.get("at", 200.0),
        )
        for topic, name in ((ORDERS, "news"), (NOTICES, "template")):
            if said.get(name):
                event_id = f"{topic}/{payment_id}/{version}"
                words = {name: said[name]}
                self.write("events", topic=topic, event_id=event_id, **about, **words)


def number_of(operation_id: str) -> str:
    """The invoice number of an operation's attempt."""
    return f"INV-{operation_id}"


def request_of(operation_id: str, state: str) -> Row:
    """The request that news was about."""
    kind, _, request_id = operation_id.partition(":")
    return {"kind": kind, "request_id": request_id, "state": state}


def _initiations(pen: Pen) -> None:
    for number in range(1, 10):
        pen.ask(f"initiation:p{number}", f"p{number}")
    for number in (1, 2, 3, 4, 5, 6, 7, 8):
        pen.send(f"initiation:p{number}", "charge", minor=100)


def _simple(pen: Pen) -> None:
    sale = {"kind": "sale", "amount_minor": 100, "captured_minor": 100}
    taken = (100, 100, 0)
    pen.book("t1", "initiation:p1", **sale, status="settledSuccessfully")
    pen.tell("p1", 1, state="captured", totals=taken, news="PAID", template="PAYMENT_RECEIVED")
    held = {"kind": "authorisation", "amount_minor": 100, "captured_minor": 70}
    pen.book("t2", "initiation:p2", **held, status="capturedPendingSettlement")
    words: dict[str, Any] = {"news": "AUTHORIZED", "template": "PAYMENT_AUTHORIZED"}
    pen.tell("p2", 1, state="authorized", totals=(100, 0, 0), **words)
    no = {"kind": "sale", "amount_minor": 100, "approved_minor": 0}
    pen.book("t3", "initiation:p3", **no, status="declined")
    words = {"news": "PAYMENT_FAILED", "template": "PAYMENT_DECLINED"}
    pen.tell("p3", 1, state="declined", **words)
    pen.book("t8", "initiation:p8", **sale, status="capturedPendingSettlement")
    pen.tell("p8", 1, state="captured", totals=taken, news="PAID", template="PAYMENT_RECEIVED")
    words = {"news": "PAYMENT_FAILED", "template": "PAYMENT_FAILED"}
    pen.tell("p9", 1, state="refused", reason="worker.too_late", **words)


def _silent(pen: Pen) -> None:
    """p4, p5, p6: nobody knew for a while."""
    for number in (4, 5, 6):
        pen.tell(f"p{number}", 1, state="unknown", template="PAYMENT_WAITING")
    sale = {"kind": "sale", "amount_minor": 100, "captured_minor": 100}
    pen.book("t5", "initiation:p5", **sale, status="settledSuccessfully")
    words: dict[str, Any] = {"news": "PAID", "template": "PAYMENT_RECEIVED"}
    pen.tell("p5", 2, state="captured", totals=(100, 100, 0), **words)
    words = {"news": "PAYMENT_FAILED", "template": "PAYMENT_FAILED", "reason": "worker.not_charged"}
    for number in (4, 6):
        pen.scan(f"initiation:p{number}", at=500.0)
        pen.scan(f"initiation:p{number}", at=1100.0)
        pen.tell(f"p{number}", 2, state="failed", at=1101.0, **words)
    pen.book(
        "t6",
        "initiation:p6",
        kind="sale",
        amount_minor=100,
        status="voided",
        listed_at=2000.0,
    )
    pen.tell("p6", 3, state="conflicted", totals=(100, 100, 0))
    void = {"request": request_of("void:v6", "processed")}
    words = {"news": "CANCELED", "template": "PAYMENT_CANCELED"}
    pen.ask("void:v6", "p6")
    pen.send("void:v6", "void", minor=100)
    pen.tell("p6", 4, state="voided", totals=(100, 0, 0), **words, **void)


def _requests(pen: Pen) -> None:
    pen.ask("capture:c2", "p2")
    pen.send("capture:c2", "capture", minor=70)
    done: dict[str, Any] = {"request": request_of("capture:c2", "processed")}
    words: dict[str, Any] = {"news": "PAID", "template": "PAYMENT_RECEIVED"}
    pen.tell("p2", 2, state="captured", totals=(100, 70, 0), **words, **done)
    pen.ask("refund:r1", "p1", amount_minor=30)
    pen.send("refund:r1", "refund", minor=30, at=3000.0)
    pen.book(
        "t11",
        "refund:r1",
        kind="refund",
        amount_minor=30,
        approved_minor=0,
        status="refundPendingSettlement",
        original="t1",
    )
    done = {"request": request_of("refund:r1", "processed")}
    words = {"news": "PARTIALLY_REFUNDED", "template": "PAYMENT_REFUNDED"}
    pen.tell("p1", 2, state="partially_refunded", totals=(100, 100, 30), **words, **done)
    pen.ask("refund:r1", "p1", amount_minor=30)  # once more; answered by what was told
    last = next(row for row in pen.books["events"] if row["event_id"] == "p1/2")
    pen.write("events", **{**last, "repeat_of": "commands:0:12"})
    pen.ask("verification:q1", "p1")
    pen.write("events", **{**last, "answers": ("verification:q1",)})
    held = {"kind": "sale", "amount_minor": 100, "approved_minor": 0}
    pen.book("t7", "initiation:p7", **held, status="FDSPendingReview")
    pen.tell("p7", 1, state="held", news="CHARGE_HELD", template="PAYMENT_WAITING")
    pen.ask("void:v7", "p7")
    pen.ask("refund:r8", "p8", amount_minor=60)
    waits = {"request": request_of("refund:r8", "deferred"), "template": "REFUND_WAITING"}
    pen.tell("p8", 2, state="captured", totals=(100, 100, 0), **waits)


def _letters(pen: Pen) -> None:
    """A record that is no command, and one that uses an id again."""
    for operation_id, reason in (("", "unreadable"), ("initiation:p1", "conflict")):
        pen.ask(operation_id, "p1" if operation_id else "", content="other")
        place = {name: pen.books["asked"][-1][name] for name in ("topic", "partition", "offset")}
        pen.write("letters", **place, reason=reason)


def _payments(pen: Pen) -> None:
    stands = {
        "p1": ("partially_refunded", 2, (100, 100, 30)),
        "p2": ("captured", 2, (100, 70, 0)),
        "p3": ("declined", 1, (0, 0, 0)),
        "p4": ("failed", 2, (0, 0, 0)),
        "p5": ("captured", 2, (100, 100, 0)),
        "p6": ("voided", 4, (100, 0, 0)),
        "p7": ("held", 1, (0, 0, 0)),
        "p8": ("captured", 2, (100, 100, 0)),
        "p9": ("refused", 1, (0, 0, 0)),
    }
    for payment_id, (state, version, (authorised, captured, refunded)) in stands.items():
        pen.write(
            "payments",
            payment_id=payment_id,
            state=state,
            version=version,
            authorised_minor=authorised,
            captured_minor=captured,
            capturing_minor=0,
            refunded_minor=refunded,
            refunding_minor=60 if payment_id == "p8" else 0,
        )


def _operations(pen: Pen) -> None:
    requests: dict[str, tuple[str, str, str, float | None]] = {
        "capture:c2": ("p2", "concluded", "processed", None),
        "refund:r1": ("p1", "concluded", "processed", None),
        "verification:q1": ("p1", "concluded", "processed", None),
        "void:v6": ("p6", "concluded", "processed", None),
        "void:v7": ("p7", "queued", "requested", None),
        "refund:r8": ("p8", "deferred", "deferred", NOW + 500.0),
    }
    for number in range(1, 10):
        held = number == 7
        pen.write(
            "operations",
            operation_id=f"initiation:p{number}",
            kind="initiation",
            payment_id=f"p{number}",
            stage="asking" if held else "concluded",
            request_state=None,
            reserved_minor=0,
            reason_code="",
            due_at=NOW + 60.0 if held else None,
        )
    for operation_id, (payment_id, stage, state, due_at) in requests.items():
        pen.write(
            "operations",
            operation_id=operation_id,
            kind=operation_id.partition(":")[0],
            payment_id=payment_id,
            stage=stage,
            request_state=state,
            reserved_minor=60 if operation_id == "refund:r8" else 0,
            reason_code="",
            due_at=due_at,
        )


def _moves(pen: Pen) -> None:
    """s0 was taken over by s1, which did the rest; what s0 still tried was not applied."""
    plain = {"dead": "", "alive": False, "operations": ()}
    everything = tuple(row["operation_id"] for row in pen.books["operations"])
    admitted = {**plain, "operations": everything}
    pen.write("moves", what="admit", session="s0", applied=True, operation_id="", **admitted)
    took = {"dead": "s0", "alive": False, "operations": everything}
    pen.write("moves", what="rehome", session="s1", applied=True, operation_id="", **took)
    for row in pen.books["operations"]:
        name = row["operation_id"]
        pen.write("moves", what="answer", session="s1", applied=True, operation_id=name, **plain)
    name = "initiation:p1"
    pen.write("moves", what="answer", session="s0", applied=False, operation_id=name, **plain)


def agreeing() -> Books:
    """The books."""
    pen = Pen()
    for chapter in (_initiations, _simple, _silent, _requests, _letters, _payments, _operations):
        chapter(pen)
    _moves(pen)
    for session, gone_at in (("s0", 10.0), ("s1", None)):
        pen.write("sessions", session_id=session, gone_at=gone_at)
    books: dict[str, Any] = pen.books
    return Books(
        **books,
        orders={f"op{number}": 100 for number in range(1, 10)},
        now=NOW,
        terms=Terms(one_payment=True),
    )
