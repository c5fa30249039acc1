"""The passage on doubles: what is sent, told and parked from every stage, by every verdict, and in which order.

The doubles keep the same contract suites as the real parts. Crashes are `test_passage_crashes.py`.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from handlers.domain.commands import Mode
from handlers.domain.money import Money
from handlers.domain.payments import NO_REASON
from handlers.domain.recovery import STEPS, Inquiry, Stage, Step
from handlers.domain.states import PaymentState
from handlers.domain.verdicts import (
    Approved,
    Found,
    NotSeen,
    Reason,
    Unsent,
    Verdict,
)
from handlers.passage import Done, Parked
from handlers.ports import Lost, Operation
from tests.doubles.gateway import Booked, Reply
from tests.doubles.values import (
    APPROVED,
    DECLINED,
    HELD,
    MIDNIGHT,
    RESERVED,
    UNKNOWN,
    command,
    operation,
)
from tests.doubles.world import World, at_rules
from worker.routes import NOTIFICATIONS, ORDERS, STATUS

ALL = [STATUS, ORDERS, NOTIFICATIONS]
CARRIED = ["open", "send", "answer", "record", "conclude"]
ABSENT = NotSeen(complete=True, why="not in the list", evidence={"scanned": 3})
BROKEN_SCAN = NotSeen(complete=False, why="the list moved", evidence={"scanned": 2})


@pytest.fixture
def world() -> World:
    """A house in which everything works."""
    return World()


def inquiry(**changes: Any) -> Inquiry:
    """An inquiry at MIDNIGHT, with `changes`."""
    return replace(Inquiry(0, 0, since=MIDNIGHT, until=MIDNIGHT, now=MIDNIGHT), **changes)


def staged(world: World, stage: Stage, **changes: Any) -> Operation:
    """An operation that the journal has in `stage`."""
    of = operation(stage=stage, **changes)
    if stage in {Stage.ANSWERED, Stage.ASKING, Stage.CONCLUDED}:
        known = replace(of.payment, state=PaymentState.UNKNOWN, version=1, reason=UNKNOWN.reason)
        of = replace(of, payment=changes.get("payment", known), answered_at=MIDNIGHT)
    world.journal.admit(of)
    if stage is not Stage.ADMITTED:
        world.row(of.operation_id).attempts[1] = "open"
    return of


@pytest.mark.parametrize(
    ("mode", "says", "state", "told"),
    [
        (Mode.SALE, APPROVED, PaymentState.CAPTURED, ALL),
        (Mode.AUTHORISE, RESERVED, PaymentState.AUTHORIZED, ALL),
        (Mode.SALE, RESERVED, PaymentState.AUTHORIZED, ALL),
        (Mode.SALE, DECLINED, PaymentState.DECLINED, ALL),
        (Mode.SALE, HELD, PaymentState.HELD, ALL),
        (Mode.SALE, UNKNOWN, PaymentState.UNKNOWN, [STATUS, NOTIFICATIONS]),
    ],
)
async def test_a_verdict_is_told_once_in_order(
    world: World, mode: Mode, says: Verdict, state: PaymentState, told: list[str]
) -> None:
    """Opened before sent, recorded before concluded; what is undecided is asked again after the first interval."""
    of = world.journal.admit(operation(command(mode=mode)))
    world.gateway.replies.append(Reply(says))
    ending = await world.carry(of)
    assert CARRIED == world.power.calls
    assert state is world.payment(of.operation_id).state
    assert told == world.told()
    assert 1 == len(world.gateway.sent)
    undecided = state in {PaymentState.HELD, PaymentState.UNKNOWN}
    assert isinstance(ending, Parked if undecided else Done)
    assert (5.0 if undecided else None) == world.due_s(of.operation_id)
    there = world.row(of.operation_id).operation.stage
    assert (Stage.ASKING if undecided else Stage.CONCLUDED) is there


async def test_unsent_goes_back_and_is_sent_later_under_the_same_number(world: World) -> None:
    """The gate let no byte pass: the command waits as admitted, untold, and the next try is the same attempt."""
    of = world.journal.admit(operation())
    world.gateway.replies.append(Reply(Unsent("no connection")))
    assert isinstance(await world.carry(of), Parked)
    assert Stage.ADMITTED is world.row(of.operation_id).operation.stage
    assert {1: "unsent"} == world.row(of.operation_id).attempts
    assert 5.0 == world.due_s(of.operation_id)
    assert [] == world.told()
    world.pass_due(of.operation_id)
    assert Done() == await world.again(of.operation_id)
    assert 1 == len(world.gateway.sent)
    assert 1 == len(world.gateway.ledger)
    assert ALL == world.told()


FOUND = [Found(APPROVED), Found(DECLINED), Found(HELD)]


@pytest.mark.parametrize("finding", [*FOUND, ABSENT, BROKEN_SCAN], ids=str)
@pytest.mark.parametrize(("stage", "suspect"), STEPS, ids=str)
async def test_every_entry_with_every_finding(
    world: World, stage: Stage, *, suspect: bool, finding: Found | NotSeen
) -> None:
    """Only what is admitted and above suspicion is sent; an open intent is asked for, an answer told."""
    of = staged(world, stage, suspect=suspect)
    world.gateway.findings.append(finding)
    ending = await world.carry(of)
    sent, asked = len(world.gateway.sent), len(world.gateway.asked)
    assert (stage is Stage.ADMITTED and not suspect) == (sent == 1)
    asks = stage in {Stage.OPEN, Stage.ASKING} or (stage is Stage.ADMITTED and suspect)
    assert asks == (asked == 1)
    if asks:
        tells = isinstance(finding, Found) or stage is Stage.OPEN  # then that we do not know
        assert int(tells) == world.statuses()
        assert isinstance(ending, Done) == (finding in FOUND[:2])
        assert (world.due_s(of.operation_id) is None) == isinstance(ending, Done)
        assert [finding.evidence] == world.journal.evidence[of.operation_id]
    elif STEPS[stage, suspect] is Step.REST:
        assert [] == world.power.passed
    else:
        assert 1 == world.statuses()


async def test_an_open_intent_that_is_not_seen_is_told_as_pending(world: World) -> None:
    """After a crash nobody was told yet that we do not know: the first silent answer tells it, once (P4)."""
    of = staged(world, Stage.OPEN)
    world.gateway.findings += [ABSENT, ABSENT]
    assert isinstance(await world.carry(of), Parked)
    assert (1, PaymentState.UNKNOWN) == (world.statuses(), world.payment(of.operation_id).state)
    world.pass_due(of.operation_id)
    assert isinstance(await world.again(of.operation_id), Parked)
    assert 1 == world.statuses()
    assert [] == world.gateway.sent


@pytest.mark.parametrize(
    ("scans", "after_s", "finding", "gone"),
    [
        (0, 900, ABSENT, False),
        (1, 899.9, ABSENT, False),
        (1, 900, ABSENT, True),
        (1, 900, BROKEN_SCAN, False),
        (5, 0, ABSENT, False),
        (0, 9_000_000, ABSENT, False),
    ],
)
async def test_absence_needs_two_complete_scans_and_time(
    world: World, scans: int, *, after_s: float, finding: NotSeen, gone: bool
) -> None:
    """A charge is failed only by a second complete scan late enough; before that it waits, by the schedule."""
    now = MIDNIGHT + timedelta(seconds=after_s)
    of = staged(world, Stage.ASKING, inquiry=inquiry(complete_scans=scans, asked=1, now=now))
    world.gateway.findings.append(finding)
    ending = await world.carry(of)
    assert isinstance(ending, Done if gone else Parked)
    assert (None if gone else 15.0) == world.due_s(of.operation_id)
    assert int(gone) == world.statuses()
    assert gone == (world.payment(of.operation_id).state is PaymentState.FAILED)
    assert [] == world.gateway.sent
    counted = world.row(of.operation_id).operation.inquiry
    assert counted is not None
    assert scans + (finding.complete and not gone) == counted.complete_scans


async def test_an_unknown_is_told_as_pending_once_and_then_resolved(world: World) -> None:
    """Silence is told once; asking again in vain tells nothing; what is found at last is told, one version on."""
    of = world.journal.admit(operation())
    world.gateway.replies.append(Reply(UNKNOWN, booked=None))
    await world.carry(of)
    world.gateway.findings.extend([BROKEN_SCAN, ABSENT])
    waits = []
    for _ in range(2):
        world.pass_due(of.operation_id)
        await world.again(of.operation_id)
        waits.append(world.due_s(of.operation_id))
    assert [15.0, 45.0] == waits
    assert 1 == world.statuses()
    world.gateway.findings.append(Found(APPROVED))
    world.pass_due(of.operation_id)
    assert Done() == await world.again(of.operation_id)
    assert 2 == world.payment(of.operation_id).version
    assert 2 == world.statuses()
    assert [] == world.twice()
    assert 1 == len(world.gateway.sent)


async def test_the_same_finding_again_brings_no_second_event(world: World) -> None:
    """A charge that is still held when asked again is waited for, and told no second time; its evidence is kept."""
    of = world.journal.admit(operation())
    world.gateway.replies.append(Reply(HELD, booked=HELD))
    await world.carry(of)
    for _ in range(3):
        world.pass_due(of.operation_id)
        assert isinstance(await world.again(of.operation_id), Parked)
    assert 1 == world.statuses()
    assert 1 == world.payment(of.operation_id).version
    assert 4 == len(world.journal.evidence[of.operation_id])
    assert 45.0 == world.due_s(of.operation_id)


async def test_absence_of_a_held_charge_is_no_news(world: World) -> None:
    """The gateway said that it holds it: lists without it never make that a failure."""
    of = staged(world, Stage.ASKING, inquiry=inquiry(complete_scans=9, now=MIDNIGHT.replace(day=2)))
    row = world.row(of.operation_id)
    row.operation = of = replace(of, payment=replace(of.payment, state=PaymentState.HELD))
    world.gateway.findings.append(ABSENT)
    assert isinstance(await world.carry(of), Parked)
    assert PaymentState.HELD is world.payment(of.operation_id).state
    assert [] == world.told()


async def test_a_suspect_that_is_absent_is_sent_once(world: World) -> None:
    """What a journal that lost time may have sent is asked for; proven absent, it is planned and sent."""
    of = staged(world, Stage.ADMITTED, suspect=True)
    world.clock.forward(900)
    await world.again(of.operation_id)
    assert [] == world.gateway.sent
    world.pass_due(of.operation_id)
    assert Parked("it is not in the list") == await world.again(of.operation_id)
    assert 0.0 == world.due_s(of.operation_id)
    assert not world.row(of.operation_id).operation.suspect
    assert Done() == await world.again(of.operation_id)
    assert 1 == len(world.gateway.sent)
    assert 1 == world.statuses()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"not_after": MIDNIGHT - timedelta(seconds=1)}, "worker.too_late"),
        ({"money": Money(500, "EUR")}, "worker.no_account_for_currency"),
    ],
)
async def test_a_refusal_is_told_and_nothing_is_sent(
    world: World, changes: dict[str, Any], code: str
) -> None:
    """We say no before the gateway: no intent is opened, the refusal is recorded and told with its reason."""
    of = world.journal.admit(operation(command(**changes)))
    assert Done() == await world.carry(of)
    assert ["answer", "record", "conclude"] == world.power.calls
    payment = world.payment(of.operation_id)
    assert PaymentState.REFUSED is payment.state
    assert code == payment.reason.code
    assert ALL == world.told()
    assert [] == world.gateway.sent


@pytest.mark.parametrize(
    ("mode", "verdict"),
    [
        (Mode.SALE, replace(APPROVED, amount_minor=1233, currency="USD")),
        (Mode.SALE, replace(APPROVED, amount_minor=1234, currency="CAD")),
        (Mode.AUTHORISE, APPROVED),
    ],
)
@pytest.mark.parametrize("asked", [False, True])
async def test_an_approval_of_something_else_contradicts(
    world: World, mode: Mode, *, verdict: Approved, asked: bool
) -> None:
    """Another amount or currency than ours, or a capture nobody asked for, is conflicted: a person's case."""
    of = staged(world, Stage.OPEN if asked else Stage.ADMITTED, of=command(mode=mode))
    world.gateway.replies.append(Reply(verdict))
    world.gateway.findings.append(Found(verdict))
    assert Done() == await world.carry(of)
    assert PaymentState.CONFLICTED is world.payment(of.operation_id).state
    assert [STATUS] == world.told()
    assert NO_REASON != world.payment(of.operation_id).reason


async def test_an_open_breaker_leaves_the_command_admitted(world: World) -> None:
    """No slot, no intent: nothing is opened while the gateway is away, and it is tried again."""
    of = world.journal.admit(operation())
    world.gateway.breaker_open = True
    assert isinstance(await world.carry(of), Parked)
    assert ["wait"] == world.power.calls
    assert 5.0 == world.due_s(of.operation_id)
    world.gateway.breaker_open = False
    world.pass_due(of.operation_id)
    assert Done() == await world.again(of.operation_id)
    assert 1 == len(world.gateway.sent)


async def test_a_db_service_that_is_down_holds_back_the_events(world: World) -> None:
    """Nothing is told that is not recorded; when it is back the answer is told, and nothing is sent again."""
    of = world.journal.admit(operation())
    world.records.down = True
    assert isinstance(await world.carry(of), Parked)
    assert Stage.ANSWERED is world.row(of.operation_id).operation.stage
    assert 7.0 == world.due_s(of.operation_id)
    assert [] == world.told()
    world.records.down = False
    world.pass_due(of.operation_id)
    assert Done() == await world.again(of.operation_id)
    assert 1 == len(world.gateway.sent)
    assert ALL == world.told()


async def test_an_event_waits_for_the_one_before_it(world: World) -> None:
    """While another session has to publish the payment's last event, ours is parked for a moment, then told once."""
    of = staged(world, Stage.OPEN)
    world.gateway.findings.append(Found(APPROVED))
    world.journal.held_back.add(of.payment.payment_id)
    assert isinstance(await world.carry(of), Parked)
    assert Stage.ANSWERED is world.row(of.operation_id).operation.stage
    assert 0.5 == world.due_s(of.operation_id)
    world.journal.held_back.clear()
    world.pass_due(of.operation_id)
    assert Done() == await world.again(of.operation_id)
    assert ALL == world.told()


@pytest.mark.parametrize(
    ("stolen_before", "happened"),
    [
        ("open", []),
        ("answer", ["open", "send"]),
        ("conclude", ["open", "send", "answer", "record"]),
    ],
)
async def test_lost_stops_everything(world: World, stolen_before: str, happened: list[str]) -> None:
    """An operation that belongs to another session is let go at once; what the gateway said of it is kept."""
    of = world.journal.admit(operation())
    world.power.before[stolen_before] = lambda: world.journal.take_over(of.operation_id)
    assert Lost() == await world.carry(of)
    assert happened == world.power.calls
    assert [] == world.told()
    assert ("send" in happened) == bool(world.journal.evidence)


@pytest.mark.parametrize("reply", [Reply(Unsent("no connection")), Reply(UNKNOWN)])
async def test_a_lost_wait_is_lost(world: World, reply: Reply) -> None:
    """Parking what another session took over changes nothing, and says so."""
    of = world.journal.admit(operation())
    world.gateway.replies.append(reply)
    for name in ("wait", "conclude"):
        world.power.before[name] = lambda: world.journal.take_over(of.operation_id)
    assert Lost() == await world.carry(of)
    assert [] == world.told()


@pytest.mark.parametrize("stage", [Stage.OPEN, Stage.ASKING])
async def test_a_question_without_an_account_waits(world: World, stage: Stage) -> None:
    """The account was taken out of the settings while a charge was open: it waits by the schedule, and spins never.

    It used to be due at once, again and again, for as long as the setting was missing.
    """
    of = staged(world, stage)
    at_rules(world, merchant_accounts={})
    assert isinstance(await world.carry(of), Parked)
    assert 5.0 == world.due_s(of.operation_id)
    assert [] == world.told()
    at_rules(world, merchant_accounts={"USD": "main"})
    world.gateway.findings.append(Found(APPROVED))
    world.pass_due(of.operation_id)
    assert Done() == await world.again(of.operation_id)


async def test_a_suspect_without_an_account_waits(world: World) -> None:
    """Its account may have been taken out of the settings after it was charged: nobody refuses it unasked."""
    of = staged(world, Stage.ADMITTED, suspect=True, of=command(money=Money(5, "EUR")))
    assert isinstance(await world.carry(of), Parked)
    for _ in range(3):
        world.pass_due(of.operation_id)
        assert isinstance(await world.again(of.operation_id), Parked)
    assert PaymentState.REQUESTED is world.payment(of.operation_id).state
    assert [] == world.gateway.sent


@pytest.mark.parametrize("booked", [APPROVED, DECLINED, HELD])
async def test_an_unknown_that_was_booked_ends_as_booked(world: World, booked: Booked) -> None:
    """The answer was lost, the booking was not: the next question finds it."""
    of = world.journal.admit(operation())
    world.gateway.replies.append(Reply(UNKNOWN, booked))
    await world.carry(of)
    assert PaymentState.UNKNOWN is world.payment(of.operation_id).state
    world.pass_due(of.operation_id)
    await world.again(of.operation_id)
    told: Reason = booked.reason
    assert told == world.payment(of.operation_id).reason
    assert 2 == world.statuses()
    assert 1 == len(world.gateway.sent)
