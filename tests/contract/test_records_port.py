"""One suite for `handlers.ports.Records`: over two doubles, and over the client against the reference db-service.

What the client promises beyond the port is in `test_records.py` and `test_records_refunds.py`.
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from handlers.domain.commands import (
    Address,
    CapturePayment,
    Command,
    Kind,
    Line,
    RefundPayment,
    VerifyPayment,
    VoidPayment,
)
from handlers.domain.errors import Unavailable
from handlers.domain.facts import Order
from handlers.domain.money import Money
from handlers.domain.payments import Payment, Request, Snapshot
from handlers.domain.recovery import Stage
from handlers.domain.states import PaymentState, RequestState
from handlers.ports import Ahead, Operation, Recorded
from tests.contract.records_subjects import (
    DoubleSubject,
    MemorySubject,
    RealSubject,
    Subject,
    control,
)
from tests.doubles.values import command as initiation

AT = datetime(2026, 3, 1, tzinfo=UTC)
_numbers = count(1)


@pytest.fixture(params=["double", "memory", "real"])
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    """The records under test."""
    if request.param != "real":
        yield DoubleSubject() if request.param == "double" else MemorySubject()
        return
    ready: dict[str, str] = request.getfixturevalue("ready")
    control(ready)
    real = RealSubject(ready)
    yield real
    await real.records.aclose()


def payment(version: int = 1, state: PaymentState = PaymentState.UNKNOWN) -> Payment:
    """A payment under an id of its own."""
    number = next(_numbers)
    return Payment(
        f"port-{number}", f"ord-{number}", f"usr-{number}", Money(5, "USD"), state, version
    )


def about(kind: Kind = Kind.REFUND, **changes: Any) -> Request:
    """A request under an id of its own, that waits."""
    base: dict[str, Any] = {"request_id": f"req-{next(_numbers)}", "amount_minor": 2}
    return Request(kind, **{**base, "state": RequestState.DEFERRED, **changes})


def work(asked: Command, of: Payment) -> Operation:
    """The operation of a command."""
    return Operation(asked.operation_id, asked, of, Stage.ADMITTED, token=1)


async def test_what_is_recorded_is_stored(subject: Subject) -> None:
    """It is there when the call returns."""
    one = payment()
    await subject.records.record(Snapshot(one), occurred_at=AT)
    assert (1, "unknown") == subject.stored(one)


async def test_the_same_again_is_success(subject: Subject) -> None:
    """A crash between recording and concluding records again: the same content under the same version."""
    one = Snapshot(payment(), about())
    for _ in range(2):
        assert await subject.records.record(one, occurred_at=AT) is None
    assert (1, "unknown") == subject.stored(one.payment)


async def test_other_news_below_what_was_told_must_outrun_it(subject: Subject) -> None:
    """Knowledge only grows: the newer version stays, and says under which one other news may be told."""
    one = payment()
    newer = replace(one, version=2, state=PaymentState.DECLINED)
    await subject.records.record(Snapshot(newer), occurred_at=AT + timedelta(seconds=5))
    assert Ahead(2) == await subject.records.record(Snapshot(one), occurred_at=AT)
    assert (2, "declined") == subject.stored(one)
    again = Snapshot(replace(one, version=3))
    assert await subject.records.record(again, occurred_at=AT) is None
    assert (3, "unknown") == subject.stored(one)


async def test_the_same_news_is_told_under_the_version_that_is_there(subject: Subject) -> None:
    """A journal that lost time finds the same outcome again: the consumers know it by the number they heard."""
    one, asked = payment(version=2), about()
    await subject.records.record(Snapshot(one, asked), occurred_at=AT)
    older = Snapshot(replace(one, version=1), asked)
    assert Ahead(1) == await subject.records.record(older, occurred_at=AT)
    assert await subject.records.record(Snapshot(one, asked), occurred_at=AT) is None


async def test_other_news_under_a_version_is_not_taken(subject: Subject) -> None:
    """Two truths under one version would be told under one event id: the first stays."""
    one = payment()
    await subject.records.record(Snapshot(one), occurred_at=AT)
    other = Snapshot(replace(one, state=PaymentState.DECLINED))
    assert Ahead(1) == await subject.records.record(other, occurred_at=AT)
    assert (1, "unknown") == subject.stored(one)


async def test_a_refund_is_stored_beside_its_payment(subject: Subject) -> None:
    """Both are there when the call returns, under the payment's version, and move on together."""
    one, asked = payment(version=3), about()
    await subject.records.record(Snapshot(one, asked), occurred_at=AT)
    assert (3, "unknown") == subject.stored(one)
    assert (3, "deferred") == subject.refund(asked.request_id)
    later = Snapshot(replace(one, version=5), replace(asked, state=RequestState.PROCESSED))
    await subject.records.record(later, occurred_at=AT)
    assert (5, "processed") == subject.refund(asked.request_id)


@pytest.mark.parametrize("kind", [Kind.REFUND, Kind.VERIFICATION])
async def test_news_of_another_request_is_other_news(subject: Subject, kind: Kind) -> None:
    """Two requests that leave the payment as it is are two truths all the same: the second must outrun the first."""
    one = payment(version=4)
    await subject.records.record(Snapshot(one, about(kind)), occurred_at=AT)
    other = about(kind)
    late = AT + timedelta(hours=1)  # a journal that lost time finds it later
    assert Ahead(4) == await subject.records.record(Snapshot(one, other), occurred_at=late)
    told = Snapshot(replace(one, version=5), other)
    assert await subject.records.record(told, occurred_at=late) is None


async def test_other_news_of_a_refund_must_outrun_it(subject: Subject) -> None:
    """Whatever became of the refund in lost time stays, and what is found now is told above it."""
    one, asked = payment(version=4), about()
    await subject.records.record(Snapshot(one, asked), occurred_at=AT)
    failed = replace(asked, state=RequestState.FAILED)
    for version in (2, 4):
        told = Snapshot(replace(one, version=version), failed)
        assert Ahead(4) == await subject.records.record(told, occurred_at=AT)
    assert (4, "deferred") == subject.refund(asked.request_id)


async def test_an_initiation_is_known_by_its_payment(subject: Subject) -> None:
    """Not before anything of it was recorded, and ever after."""
    asked = initiation(payment_id=f"port-{next(_numbers)}")
    one = replace(payment(), payment_id=asked.payment_id)
    assert Recorded.NOTHING is await subject.records.recorded(work(asked, one))
    await subject.records.record(Snapshot(one), occurred_at=AT)
    assert Recorded.SOMETHING is await subject.records.recorded(work(asked, one))


@pytest.mark.parametrize("kind", [Kind.CAPTURE, Kind.VOID, Kind.VERIFICATION, Kind.REFUND])
async def test_a_request_is_known_by_what_was_told_of_it(subject: Subject, kind: Kind) -> None:
    """Its payment, and other requests of it, do not make it known; one version that is about it does, for ever."""
    one, asked = payment(), about(kind)
    of = work(request_command(asked, one), one)
    await subject.records.record(Snapshot(one), occurred_at=AT)
    other = Snapshot(replace(one, version=2), about(kind))
    await subject.records.record(other, occurred_at=AT)
    assert Recorded.NOTHING is await subject.records.recorded(of)
    await subject.records.record(Snapshot(replace(one, version=3), asked), occurred_at=AT)
    await subject.records.record(Snapshot(replace(one, version=4), about(kind)), occurred_at=AT)
    assert Recorded.SOMETHING is await subject.records.recorded(of)


def request_command(asked: Request, of: Payment) -> Command:
    """The command that asks for it."""
    base: dict[str, Any] = {"payment_id": of.payment_id, "issued_at": AT}
    match asked.kind:
        case Kind.CAPTURE:
            return CapturePayment(**base, capture_id=asked.request_id)
        case Kind.VOID:
            return VoidPayment(**base, void_id=asked.request_id)
        case Kind.REFUND:
            return RefundPayment(**base, refund_id=asked.request_id, money=Money(2, "USD"))
        case _:
            return VerifyPayment(**base, verification_id=asked.request_id)


@pytest.mark.parametrize("end", [RequestState.PROCESSED, RequestState.FAILED])
async def test_a_continuation_is_known_by_what_followed_the_end_before_it(
    subject: Subject, end: RequestState
) -> None:
    """The commands of one refund share its record: what the first one told is not news of the second."""
    one, asked = payment(), about(state=RequestState.CONTINUED)
    first = request_command(asked, one)
    assert isinstance(first, RefundPayment)
    second = replace(first, continuation=2)
    await subject.records.record(Snapshot(one, asked), occurred_at=AT)
    assert Recorded.WENT_ON is await subject.records.recorded(work(first, one))
    assert Recorded.NOTHING is await subject.records.recorded(work(second, one))
    done = replace(asked, state=end)
    await subject.records.record(Snapshot(replace(one, version=2), done), occurred_at=AT)
    assert Recorded.WENT_ON is await subject.records.recorded(work(first, one))
    assert Recorded.ENDED is await subject.records.recorded(work(second, one))


async def test_a_continuation_whose_beginning_is_not_recorded_counts_as_known(
    subject: Subject,
) -> None:
    """Records with a gap prove nothing: it is better to ask a person than to send a refund twice."""
    one, asked = payment(), about()
    first = request_command(asked, one)
    assert isinstance(first, RefundPayment)
    await subject.records.record(Snapshot(one, asked), occurred_at=AT)
    assert Recorded.SOMETHING is await subject.records.recorded(
        work(replace(first, continuation=2), one)
    )


async def test_that_a_refund_waits_is_no_news_of_one_that_waits(subject: Subject) -> None:
    """Whoever knows that it waits learns nothing from a record of that; any other record counts as ever."""
    one, asked = payment(), about()
    of = replace(work(request_command(asked, one), one), request=asked)
    new = replace(of, request=replace(asked, state=RequestState.REQUESTED))
    await subject.records.record(Snapshot(one, asked), occurred_at=AT)
    assert Recorded.NOTHING is await subject.records.recorded(of)
    assert Recorded.SOMETHING is await subject.records.recorded(new)
    told = replace(asked, state=RequestState.UNKNOWN)
    await subject.records.record(Snapshot(replace(one, version=2), told), occurred_at=AT)
    await subject.records.record(Snapshot(replace(one, version=3), asked), occurred_at=AT)
    assert Recorded.SOMETHING is await subject.records.recorded(of)
    unknown = replace(of, request=told)
    assert Recorded.SOMETHING is await subject.records.recorded(unknown)  # it went out in between


async def test_that_a_refund_is_unknown_is_no_news_of_one_that_is(subject: Subject) -> None:
    """Whoever does not know what became of it learns nothing from a record of that, nor that it waits since."""
    one, asked = payment(), about(state=RequestState.UNKNOWN)
    of = replace(work(request_command(asked, one), one), request=asked)
    for version, state in enumerate((RequestState.UNKNOWN, RequestState.DEFERRED), start=1):
        told = Snapshot(replace(one, version=version), replace(asked, state=state))
        await subject.records.record(told, occurred_at=AT)
        assert Recorded.NOTHING is await subject.records.recorded(of)
    told = Snapshot(replace(one, version=3), replace(asked, state=RequestState.CONFLICTED))
    await subject.records.record(told, occurred_at=AT)
    assert Recorded.SOMETHING is await subject.records.recorded(of)


async def test_that_it_went_on_may_be_told_twice(subject: Subject) -> None:
    """A journal that was put back tells it once more, after the end of what goes on: that end stays one."""
    one, asked = payment(), about(state=RequestState.CONTINUED)
    first = request_command(asked, one)
    assert isinstance(first, RefundPayment)
    states = (RequestState.CONTINUED, RequestState.FAILED, RequestState.CONTINUED)
    for version, state in enumerate(states, start=1):
        told = Snapshot(replace(one, version=version), replace(asked, state=state))
        await subject.records.record(told, occurred_at=AT)
    assert Recorded.WENT_ON is await subject.records.recorded(work(first, one))
    second = replace(first, continuation=2)
    assert Recorded.ENDED is await subject.records.recorded(work(second, one))


async def test_an_order_is_read_as_the_shop_wrote_it(subject: Subject) -> None:
    """Money, status, customer, addresses and lines; None where there is no such order."""
    order = Order(
        f"port-order-{next(_numbers)}",
        "usr-1",
        "payable",
        Money(2199, "USD"),
        paid_minor=100,
        tax_minor=200,
        billing=Address(
            "Ada", "L.", "Engines", "1 Mill Road", "Bellevue", "WA", "98004", "US", "1"
        ),
        shipping=Address("Bea", "M.", zip="98005", country="US"),
        email="ada@example.org",
        lines=(Line("tea-1", "Tea", 1, 1999),),
    )
    assert await subject.records.order(order.order_id) is None
    subject.seed(order)
    assert order == await subject.records.order(order.order_id)


async def test_a_service_that_is_down_is_unavailable(subject: Subject) -> None:
    """Unavailable names the db-service; nothing else is raised."""
    subject.down()
    one = payment()
    for call in (
        subject.records.record(Snapshot(one), occurred_at=AT),
        subject.records.recorded(work(initiation(), one)),
        subject.records.order("ord-1"),
    ):
        with pytest.raises(Unavailable) as turned_away:
            await call
        assert "db-service" == turned_away.value.what
