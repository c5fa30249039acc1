"""A journal that is put back to a copy: what stands in it, and its marking. No test lives here."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from db_client.moves import Answer, Conclude, Open, Park
from db_client.rebuild_rows import Reach, Rebuild
from db_client.rebuilding import mark
from handlers.domain.commands import Command, InitiatePayment, RefundPayment, VoidPayment
from handlers.domain.money import Money
from handlers.domain.payments import News, learn
from handlers.domain.states import Fact, RequestFact
from handlers.domain.verdicts import Advice, Reason
from handlers.ports import Moved, Operation, Wait
from tests.contract.journal_stage import (
    DEADLINE_S,
    Desk,
    JournalStage,
    admission,
    intent,
    message,
)
from tests.doubles.values import MIDNIGHT

TOPIC: Final = "payment_initiation"
TOPIC_ID: Final = "topic-1"
LONGEST_S: Final = 60.0
_WHY: Final = Reason("1", "It was so.", Advice.HARD)


def left_behind(stage: JournalStage) -> None:
    """Nobody lives any more: what a copy looks like when it is an hour old."""
    stage.sql("UPDATE lease SET alive_until = clock_timestamp() - interval '1 hour'")


def an_hour_ago() -> datetime:
    """When the copy was made."""
    return datetime.now(UTC) - timedelta(hours=1)


def marked(
    stage: JournalStage, *, since: datetime | None = None, reaches: Sequence[Reach] = ()
) -> Rebuild:
    """Nobody is in the way."""
    found = mark(
        stage.engine,
        since=since or an_hour_ago(),
        by="ann",
        reaches=reaches,
        longest_send_s=LONGEST_S,
    )
    assert isinstance(found, Rebuild), found
    return found


def reach(end: int, *, first: int = 0, partition: int = 0) -> Reach:
    """A partition of the topic."""
    return Reach(TOPIC, TOPIC_ID, partition, first, end)


def row(stage: JournalStage, of: Command | Operation) -> Any:
    """The operation's row, times as they are."""
    [found] = stage.sql("SELECT * FROM operation WHERE operation_id = :id", id=of.operation_id)
    return found


def opened(desk: Desk) -> Operation:
    """A charge that is under way."""
    admitted = desk.admit_one()
    [moved] = desk.write(Open(admitted, intent(admitted), {"request": "frozen"}, DEADLINE_S))
    assert isinstance(moved, Moved)
    return moved.operation


def told(
    desk: Desk, of: Operation, *, fact: Fact | None, asked: RequestFact | None = None, **more: Any
) -> Operation:
    """The news on it, told to nobody yet."""
    after = learn(of.snapshot, News(_WHY, fact, asked, **more))
    assert after is not None
    [moved] = desk.write(Answer(of, after, {"said": "so"}))
    assert isinstance(moved, Moved)
    return moved.operation


def concluded(desk: Desk, of: Operation, *, wait: Wait | None = None) -> Operation:
    """Told; over, or on as `wait` says."""
    status = message(f"{of.operation_id} {of.payment.version}")
    [moved] = desk.write(Conclude(of, [status], wait))
    assert isinstance(moved, Moved)
    return moved.operation


def paid(desk: Desk) -> InitiatePayment:
    """A payment that is captured and told."""
    charge = opened(desk)
    totals = {"authorised_minor": 1234, "captured_minor": 1234}
    news = told(desk, charge, fact=Fact.TAKEN, asked=None, transaction_id="60001", **totals)
    concluded(desk, news)
    assert isinstance(charge.command, InitiatePayment)
    return charge.command


def refund(of: InitiatePayment, name: str = "r1", *, minor: int = 200) -> RefundPayment:
    """A part of it back."""
    return RefundPayment(
        payment_id=of.payment_id,
        refund_id=f"{name}-{of.payment_id}",
        money=Money(minor, "USD"),
        issued_at=MIDNIGHT,
    )


def void(of: InitiatePayment) -> VoidPayment:
    """All of it back."""
    return VoidPayment(payment_id=of.payment_id, void_id=f"v-{of.payment_id}", issued_at=MIDNIGHT)


def deferred(desk: Desk, of: RefundPayment) -> Operation:
    """It waits for tomorrow's settlement, as was told."""
    desk.admit(admission(of))
    loaded = desk.load(of.operation_id)
    news = told(desk, loaded, fact=None, asked=RequestFact.DEFERRED, reserve_minor=200)
    return concluded(desk, news, wait=Wait(86_400.0, "it settles first", release=True))


def asking(desk: Desk) -> Operation:
    """A charge without an answer, told as pending, asked for again in an hour; scanned once."""
    pending = told(desk, opened(desk), fact=Fact.UNDECIDED)
    of = concluded(desk, pending, wait=Wait(0.0, "asked", asked=True))
    [parked] = desk.write(Park(of, Wait(3600.0, "asked", asked=True, complete_scan=True)))
    assert isinstance(parked, Moved)
    return parked.operation


def refunded_twice(desk: Desk) -> InitiatePayment:
    """Charged, then two parts of it given back: three versions."""
    of = paid(desk)
    for name in ("r1", "r2"):
        desk.admit(admission(refund(of, name)))
        own = desk.load(refund(of, name).operation_id)
        news = told(
            desk,
            own,
            fact=Fact.PARTLY_REFUNDED,
            asked=RequestFact.DONE,
            refunded_minor=200,
            request_transaction_id=name,
        )
        concluded(desk, news)
    return of
