"""What claims about the line before a payment share: a payment that is captured, its refunds, and how far they came."""

from typing import Any, Final

from db_client.moves import Answer, Conclude, Open
from handlers.domain.commands import Command, InitiatePayment, RefundPayment
from handlers.domain.intents import Intent, Refund
from handlers.domain.money import Money
from handlers.domain.payments import News, learn
from handlers.domain.states import Fact
from handlers.domain.verdicts import Advice, Method, Reason
from handlers.ports import Moved, Operation
from tests.contract.journal_stage import DEADLINE_S, Desk, JournalStage, intent, message
from tests.doubles.values import MIDNIGHT, command
from worker.routes import STATUS

WHY: Final = Reason("1", "It was so.", Advice.HARD)


def carry(desk: Desk, of: Operation, *, news: News, open_: Intent | None = None) -> Operation:
    """Open, answer and conclude it as the passage does."""
    if open_ is not None:
        [moved] = desk.write(Open(of, open_, {"request": "frozen"}, DEADLINE_S))
        assert isinstance(moved, Moved), moved
        of = moved.operation
    told = learn(of.snapshot, news)
    assert told is not None
    [moved] = desk.write(Answer(of, told, {"said": "so"}, news.follow_up))
    assert isinstance(moved, Moved), moved
    status = message(f"{of.operation_id} {told.payment.version}", topic=STATUS)
    [moved] = desk.write(Conclude(moved.operation, [status], None))
    assert isinstance(moved, Moved), moved
    return moved.operation


def paid_payment(desk: Desk, minor: int = 1000) -> InitiatePayment:
    """A payment that is captured."""
    of = command(money=Money(minor, "USD"))
    operation = desk.admit_one(of)
    news = News(
        WHY, Fact.TAKEN, authorised_minor=minor, captured_minor=minor, transaction_id="60001"
    )
    carry(desk, operation, news=news, open_=intent(operation))
    return of


def refund_of(
    of: InitiatePayment, minor: int, *, name: str = "r1", **changes: Any
) -> RefundPayment:
    """A refund of so much of it, with `changes`."""
    base: dict[str, Any] = {
        "payment_id": of.payment_id,
        "refund_id": f"{name}-{of.payment_id}",
        "money": Money(minor, "USD"),
        "issued_at": MIDNIGHT,
    }
    return RefundPayment(**{**base, **changes})


def refunding(of: Operation, minor: int, *, attempt: int = 1) -> Refund:
    """Its intent."""
    number = f"R{of.operation_id[-12:]}"[-20:]
    return Refund(
        of.operation_id,
        attempt=attempt,
        invoice_number=number,
        reference=number,
        money=Money(minor, "USD"),
        merchant_account="main",
        transaction_id="60001",
        method=Method("card", "Visa", "1111"),
    )


def stage_of(stage: JournalStage, of: Command) -> str:
    """How far it came."""
    return str(
        stage.one("SELECT stage FROM operation WHERE operation_id = :id", id=of.operation_id)
    )


def due_now(desk: Desk) -> list[str]:
    """What is due now."""
    return desk.reader.due(most=10)
