"""The finder's walk on a real PostgreSQL: what a row makes of a payment of ours, once, whatever else is in the journal.

What the rows mean is held in `tests/unit/test_walking.py`, how lists are read in `test_gateway_walking.py`.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

import pytest

from db_client.moves import Answer, Conclude, Held, Hold, Open
from db_client.observing import Observations
from handlers.domain.commands import Mode, Settlement, VerifyPayment
from handlers.domain.errors import Unavailable
from handlers.domain.facts import Entry, Standing
from handlers.domain.intents import Question
from handlers.domain.money import Money
from handlers.domain.payments import News, learn
from handlers.domain.states import Fact
from handlers.ports import Moved, Operation
from tests.contract.journal_stage import (
    DEADLINE_S,
    Desk,
    JournalStage,
    admission,
    intent,
)
from tests.doubles.values import APPROVED, MIDNIGHT, SIGNING_KEY, command
from tests.doubles.world import World
from worker.crew import Crew
from worker.telemetry import Metrics
from worker.walking import Walker

PAID: Final = Money(1234, "USD")
MAIN: Final = Held("main", None)


@pytest.fixture
def desk(desk: Desk) -> Desk:
    """A session on empty tables, which looks into the account."""
    desk.write(Hold({"main": "USD"}))
    return desk


@dataclass
class ListsDouble:
    """Implements `handlers.ports.Lists` with these pages. `breaks`: what comes behind them cannot be read."""

    pages: Sequence[Sequence[Entry]] = ()
    breaks: bool = False
    asked: list[datetime] = field(default_factory=list)

    async def walk(
        self, merchant_account: str, *, since: datetime
    ) -> AsyncIterator[Sequence[Entry]]:
        """The pages."""
        assert merchant_account == "main"
        self.asked.append(since)
        for page in self.pages:
            yield page
        if self.breaks:
            raise Unavailable("gateway", "a row is missing")


def walker(
    stage: JournalStage,
    desk: Desk,
    *,
    lists: ListsDouble,
    waiting: int = 0,
    now: datetime = MIDNIGHT,
) -> Walker:
    """What the finder walks with; `waiting`: so much waits in the journal, of at most 10."""
    crew = Crew(
        World().house,
        in_flight=1,
        most_waiting=10,
        healthy=lambda: True,
        heard=lambda _: True,
        metrics=Metrics(),
        on_over=desk.over.append,
        loop=asyncio.get_running_loop(),
    )
    crew.waiting = waiting
    return Walker(
        lists=lists,
        observations=Observations(stage.engine),
        commits=desk.commits,
        crew=crew,
        now=lambda: now,
        signing_key=SIGNING_KEY,
    )


def paid(desk: Desk, *, name: str = "p1", fact: Fact = Fact.TAKEN) -> Operation:
    """A payment that was made and told, by default captured."""
    admitted = desk.admit_one(command(payment_id=name))
    [opened] = desk.write(Open(admitted, intent(admitted), {"request": "frozen"}, DEADLINE_S))
    news = News(
        APPROVED.reason,
        fact=fact,
        authorised_minor=1234,
        captured_minor=1234 if fact is Fact.TAKEN else 0,
        transaction_id=f"6{name[1:]}",
        expires_at=MIDNIGHT if fact is Fact.RESERVED else None,
    )
    told = learn(opened.operation.snapshot, news)
    assert told is not None
    [answered] = desk.write(Answer(opened.operation, told, {}))
    [done] = desk.write(Conclude(answered.operation, [], None))
    assert isinstance(done, Moved)
    return done.operation


def row(of: Operation, standing: Standing = Standing.SETTLED) -> Entry:
    """Its charge, as a list shows it."""
    transaction_id = of.payment.transaction_id
    assert transaction_id is not None
    return Entry(transaction_id, intent(of).invoice_number, standing, refunds=False, money=PAID)


def asked(stage: JournalStage, desk: Desk) -> list[VerifyPayment]:
    """The verifications in the journal, in the order in which they came."""
    rows = stage.sql(
        "SELECT operation_id FROM operation WHERE kind = 'verification' ORDER BY arrival"
    )
    commands = [desk.load(it.operation_id).command for it in rows]
    return [it for it in commands if isinstance(it, VerifyPayment)]


def walked_until(stage: JournalStage) -> datetime | None:
    """How far the journal says that the account was walked."""
    found: datetime | None = stage.one("SELECT walked_until FROM finder")
    return found


async def test_a_settled_row_is_admitted_once(stage: JournalStage, desk: Desk) -> None:
    """The verification carries the settlement and may go at once; the same row the next time is nothing new."""
    row_of_it = row(paid(desk))
    lists = ListsDouble([[row_of_it], [row_of_it]])
    for _ in range(2):
        await walker(stage, desk, lists=lists).walk(MAIN)
    [verification] = asked(stage, desk)
    assert Settlement("61", PAID) == verification.settlement
    assert [verification.operation_id] == desk.reader.due(most=10)
    assert MIDNIGHT == walked_until(stage)


async def test_the_settlement_of_a_charge_that_was_forgotten_is_seen(
    stage: JournalStage, desk: Desk
) -> None:
    """What a suspect was found under is written down: its rows are ours, and so is what is asked about it later."""
    suspect = desk.admit_one(command(payment_id="p1"), suspect=True)
    charge = intent(suspect)
    question = Question("main", charge.invoice_number, PAID, Mode.SALE, since=MIDNIGHT)
    news = News(
        APPROVED.reason,
        fact=Fact.TAKEN,
        authorised_minor=1234,
        captured_minor=1234,
        transaction_id="61",
    )
    told = learn(suspect.snapshot, news)
    assert told is not None
    [answered] = desk.write(Answer(suspect, told, {}, found=question))
    [done] = desk.write(Conclude(answered.operation, [], None))
    await walker(stage, desk, lists=ListsDouble([[row(done.operation)]])).walk(MAIN)
    [verification] = asked(stage, desk)
    assert Settlement("61", PAID) == verification.settlement
    origin = desk.load(verification.operation_id).origin
    assert origin is not None
    assert ("main", charge.invoice_number) == (origin.merchant_account, origin.invoice_number)


async def test_only_what_is_ours_and_news_is_asked(stage: JournalStage, desk: Desk) -> None:
    """A stranger's number, a refund under ours, and what was told already make nothing."""
    ours = paid(desk)
    known = row(ours, Standing.TAKEN)
    stranger = replace(row(ours), invoice_number="SOMEBODY")
    refund = replace(row(ours), refunds=True)
    nameless = replace(row(ours), invoice_number="")
    await walker(stage, desk, lists=ListsDouble([[known, stranger, refund, nameless]])).walk(MAIN)
    assert [] == asked(stage, desk)


async def test_a_walk_begins_where_the_last_one_ended(stage: JournalStage, desk: Desk) -> None:
    """An hour before it, for a row may show up late; two days back where nobody ever walked."""
    lists = ListsDouble()
    await walker(stage, desk, lists=lists).walk(MAIN)
    await walker(stage, desk, lists=lists).walk(Held("main", MIDNIGHT - timedelta(minutes=10)))
    assert [timedelta(hours=49), timedelta(minutes=70)] == [MIDNIGHT - it for it in lists.asked]


@pytest.mark.parametrize(("breaks", "waiting"), [(True, 0), (False, 10)])
async def test_a_walk_that_is_not_complete_leaves_its_mark(
    stage: JournalStage, desk: Desk, *, breaks: bool, waiting: int
) -> None:
    """What could not be read, or found the line full, is walked again the next time: nobody says it was."""
    lists = ListsDouble([[row(paid(desk))]], breaks=breaks)
    await walker(stage, desk, lists=lists, waiting=waiting).walk(MAIN)
    assert walked_until(stage) is None
    assert (0 if waiting else 1) == len(asked(stage, desk))


async def test_nobody_can_be_there_before_the_finder(stage: JournalStage, desk: Desk) -> None:
    """Somebody published a verification under the name of a row to come, with other content.

    The finder has no dead letter to make of that: its session ended over the conflict, and so did each that followed.
    """
    settled = row(paid(desk))
    guessed = f"seen-{settled.transaction_id}-settled"
    theirs = VerifyPayment(payment_id="p1", issued_at=MIDNIGHT, verification_id=guessed)
    desk.admit(admission(theirs))
    await walker(stage, desk, lists=ListsDouble([[settled]])).walk(MAIN)
    assert [] == desk.over
    assert [None, Settlement("61", PAID)] == [it.settlement for it in asked(stage, desk)]


async def test_an_authorisation_past_its_time_is_asked_about_daily(
    stage: JournalStage, desk: Desk
) -> None:
    """Once a day while it stands as authorised, for the gateway may keep it longer; not while work about it goes on."""
    for name, fact in (("p1", Fact.RESERVED), ("p2", Fact.TAKEN), ("p3", Fact.RESERVED)):
        paid(desk, name=name, fact=fact)
    stage.sql("UPDATE payment SET expires_at = 'tomorrow' WHERE payment_id = 'p3'")
    found = []
    for hours, is_in_work in ((0, False), (24, True), (24, False), (25, False)):
        if not is_in_work:
            stage.sql("UPDATE payment SET held_by = NULL")
        now = MIDNIGHT + timedelta(hours=hours)
        await walker(stage, desk, lists=ListsDouble(), now=now).walk(MAIN)
        found.append([it.payment_id for it in asked(stage, desk)])
    assert [["p1"], ["p1"], ["p1", "p1"], ["p1", "p1"]] == found
