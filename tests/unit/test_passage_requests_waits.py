"""The passage of requests and of orders' checks while a neighbour is down, a charge moves, or an answer is no answer.

The way without such a wait is `test_passage_requests.py`.
"""

from collections.abc import Callable
from typing import Final

import pytest

from handlers.domain.commands import Request
from handlers.domain.facts import Order, Sight, Standing
from handlers.domain.payments import Payment
from handlers.domain.recovery import Stage
from handlers.domain.states import PaymentState, RequestState
from handlers.domain.verdicts import Unsent
from handlers.passage import Done, Parked
from handlers.ports import OnePayment, OrderCheck
from tests.doubles.gateway import Reply
from tests.doubles.values import DECLINED, HELD, command, operation
from tests.doubles.world import World, at_rules
from tests.unit.request_stage import authorized, capture, refund, unsettled, verification, void
from worker.routes import NOTIFICATIONS, ORDERS, REFUND, STATUS

S, R = PaymentState, RequestState
ALL: Final = [STATUS, ORDERS, NOTIFICATIONS]


@pytest.mark.parametrize("reply", [Reply(DECLINED), Reply(HELD), Reply(Unsent("no connection"))])
@pytest.mark.parametrize("make", [capture, void])
async def test_other_answers(make: Callable[[], Request], reply: Reply) -> None:
    """A definite no ends it with the gateway's words, a hold is asked for, and what was not sent is sent later."""
    stage = authorized()
    stage.world.gateway.replies.append(reply)
    of = await stage.once(stage.take(make()))
    match reply.says:
        case Unsent():
            assert Stage.ADMITTED is of.stage
            assert [] == stage.world.told()
            assert R.PROCESSED is (await stage.done(of.operation_id)).state
            assert [1] == [it.attempt for it in stage.world.gateway.sent]
        case said if said is HELD:
            assert (Stage.ASKING, R.UNKNOWN) == (of.stage, stage.request(of.operation_id).state)
        case _:
            assert (R.FAILED, DECLINED.reason) == (
                stage.request(of.operation_id).state,
                stage.request(of.operation_id).reason,
            )
            assert (S.AUTHORIZED, 0) == (stage.payment.state, stage.payment.capturing_minor)


@pytest.mark.parametrize("standing", [Standing.UNCLEAR, Standing.HELD])
async def test_what_is_on_its_way_is_looked_at_again(standing: Standing) -> None:
    """Nothing is decided, sent or told while the charge moves; when it stands the capture goes out."""
    stage = authorized()
    stage.world.gateway.sights.append(Sight("60001", standing, None, "on its way"))
    of = await stage.once(stage.take(capture()))
    assert (Stage.DEFERRED, 30.0) == (of.stage, stage.world.due_s(of.operation_id))
    assert R.REQUESTED is stage.request(of.operation_id).state
    assert ([], []) == (stage.world.told(), stage.world.gateway.sent)
    assert R.PROCESSED is (await stage.done(of.operation_id)).state


@pytest.mark.parametrize("make", [capture, void, verification])
async def test_a_gateway_that_is_down_holds_a_request_back(make: Callable[[], Request]) -> None:
    """No look, no decision: it waits as admitted, for as long as it takes, and is sent once."""
    stage = authorized()
    stage.world.gateway.deaf = True
    operation_id = stage.take(make())
    for _ in range(12):
        assert Stage.ADMITTED is (await stage.once(operation_id)).stage
        assert 5.0 == stage.world.due_s(operation_id)
    stage.world.gateway.deaf = False
    assert R.PROCESSED is (await stage.done(operation_id)).state
    assert len(stage.world.gateway.sent) == (make is not verification)


async def test_an_open_breaker_reserves_nothing() -> None:
    """No slot, no intent: the capture waits, and holds no money of the payment."""
    stage = authorized()
    stage.world.gateway.breaker_open = True
    operation_id = stage.take(capture())
    assert Stage.ADMITTED is (await stage.once(operation_id)).stage
    assert {} == stage.world.row(operation_id).attempts
    assert 0 == stage.payment.capturing_minor


async def test_a_db_service_that_is_down_holds_back_what_follows() -> None:
    """Neither the events nor the command that goes on is published before it is recorded; then both, once."""
    stage = unsettled()
    stage.world.power.before["send"] = stage.settle
    stage.world.records.down = True
    of = await stage.once(stage.take(refund()))
    assert (Stage.ANSWERED, [], []) == (of.stage, stage.world.told(), stage.commands())
    stage.world.records.down = False
    assert R.CONTINUED is (await stage.done(of.operation_id)).state
    assert [STATUS, REFUND] == stage.world.told()
    assert 1 == len(stage.world.gateway.sent)


@pytest.mark.parametrize("known", [None, "canceled", "payable"])
async def test_the_order_is_checked_before_money_moves(known: str | None) -> None:
    """Where the check is strict, an order that is not there or not payable stops the payment before the gateway."""
    world = World()
    at_rules(world, order_check=OrderCheck.STRICT)
    of = world.journal.admit(operation())
    asked = of.payment
    if known is not None:
        world.records.orders[asked.order_id] = Order(
            asked.order_id, asked.user_id, known, asked.money, email="ann@shop.example"
        )
    assert Done() == await world.carry(of)
    good = known == "payable"
    assert (S.CAPTURED if good else S.REFUSED) is world.payment(of.operation_id).state
    assert int(good) == len(world.gateway.sent)
    assert ALL == world.told()


async def test_a_db_service_that_is_down_stops_the_check_and_the_payment() -> None:
    """Nobody can say whether the order may be paid: nothing is refused and nothing is sent until it answers."""
    world = World()
    at_rules(world, order_check=OrderCheck.STRICT)
    of = world.journal.admit(operation())
    world.records.down = True
    assert isinstance(await world.carry(of), Parked)
    assert Stage.ADMITTED is world.row(of.operation_id).operation.stage
    assert ([], []) == (world.told(), world.gateway.sent)


async def test_a_second_payment_of_an_order_is_refused() -> None:
    """Taken at the moment it would be opened: nothing is sent, and the refusal names the payment that is first."""
    world = World()
    at_rules(world, one_payment=OnePayment.ENFORCE)
    first = world.journal.admit(operation())
    assert Done() == await world.carry(first)
    second = world.journal.admit(operation(command(order_id=first.payment.order_id)))
    assert Done() == await world.carry(second)
    refused: Payment = world.payment(second.operation_id)
    assert (S.REFUSED, "worker.order_taken") == (refused.state, refused.reason.code)
    assert first.payment.payment_id in refused.reason.text
    assert 1 == len(world.gateway.sent)
    assert 0 == world.gateway.in_slot
