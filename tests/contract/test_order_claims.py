"""One payment for one order, on a real PostgreSQL: who may pay it, who hands it on, and what is found too late."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from db_client.moves import Answer, Open
from handlers.domain.payments import News, learn
from handlers.domain.states import Fact
from handlers.domain.verdicts import Advice, Reason
from handlers.orders import MARK_TAKEN
from handlers.ports import Moved, OnePayment, Operation, Taken
from tests.contract.journal_stage import (
    DEADLINE_S,
    Desk,
    JournalStage,
    intent,
    working,
)
from tests.doubles.values import command

_WHY = Reason("1", "It was so.", Advice.HARD)


@pytest.fixture(params=[OnePayment.ENFORCE])
def desk(stage: JournalStage, request: pytest.FixtureRequest) -> Iterator[Desk]:
    """A session on empty tables, under a rule for orders."""
    stage.clear()
    with working(stage, one_payment=request.param) as one:
        yield one


def _new(desk: Desk) -> Operation:
    """Another payment of the one order."""
    return desk.admit_one(command(order_id="the-order"))


def _open(desk: Desk, of: Operation, *, order_paid_minor: int = 0) -> Moved | Taken:
    charge = replace(intent(of), order_paid_minor=order_paid_minor)
    [opened] = desk.write(Open(of, charge, {"r": 1}, DEADLINE_S))
    assert isinstance(opened, Moved | Taken)
    return opened


def _answer(desk: Desk, of: Operation, *, fact: Fact) -> None:
    minor = of.payment.money.amount_minor if fact is Fact.TAKEN else 0
    told = learn(of.snapshot, News(_WHY, fact, authorised_minor=minor, captured_minor=minor))
    assert told is not None
    [moved] = desk.write(Answer(of, told, {}))
    assert isinstance(moved, Moved)


def _opened(desk: Desk, of: Operation) -> Operation:
    opened = _open(desk, of)
    assert isinstance(opened, Moved)
    return opened.operation


def test_the_second_payment_is_turned_away(desk: Desk) -> None:
    """While the first is under way, undecided or paid, nobody else opens a charge for its order."""
    first, second = _new(desk), _new(desk)
    opened = _opened(desk, first)
    assert Taken(first.payment.payment_id) == _open(desk, second)
    _answer(desk, opened, fact=Fact.UNDECIDED)
    assert Taken(first.payment.payment_id) == _open(desk, second)


def test_two_at_once_are_one(desk: Desk) -> None:
    """In one commit, too, only one of them gets the order."""
    both = [_new(desk), _new(desk)]
    results = desk.write(*(Open(it, intent(it), {"r": 1}, DEADLINE_S) for it in both))
    assert [Moved, Taken] == sorted((type(it) for it in results), key=lambda it: it.__name__)


def test_what_took_nothing_lets_go(desk: Desk) -> None:
    """After a decline another payment may try."""
    first, second = _new(desk), _new(desk)
    _answer(desk, _opened(desk, first), fact=Fact.DECLINED)
    assert isinstance(_open(desk, second), Moved)


def test_the_next_part_is_paid_once_the_first_one_is_booked(desk: Desk) -> None:
    """The order counts the first payment as paid: then, and only then, another one may pay the rest."""
    first, second, third = _new(desk), _new(desk), _new(desk)
    _answer(desk, _opened(desk, first), fact=Fact.TAKEN)
    paid = first.payment.money.amount_minor
    assert Taken(first.payment.payment_id) == _open(desk, second, order_paid_minor=paid - 1)
    assert isinstance(_open(desk, second, order_paid_minor=paid), Moved)
    assert Taken(second.payment.payment_id) == _open(desk, third, order_paid_minor=paid)


def test_a_voucher_is_no_licence(desk: Desk) -> None:
    """The order counts something as paid, but the first payment is undecided: it may be the same money."""
    first, second = _new(desk), _new(desk)
    _answer(desk, _opened(desk, first), fact=Fact.UNDECIDED)
    assert Taken(first.payment.payment_id) == _open(desk, second, order_paid_minor=200)


def test_what_is_found_claims_its_order(desk: Desk, stage: JournalStage) -> None:
    """A charge that a journal had forgotten has its order as soon as it is found."""
    found, second = _new(desk), _new(desk)
    _answer(desk, found, fact=Fact.TAKEN)  # a suspect: asked for, never opened here
    assert Taken(found.payment.payment_id) == _open(desk, second)
    assert 0 == stage.one("SELECT count(*) FROM payment WHERE marks <> ''")


def test_what_is_found_too_late_is_marked(desk: Desk, stage: JournalStage) -> None:
    """Another payment has the order by then: both are marked, for a person to see."""
    found, second = _new(desk), _new(desk)
    _answer(desk, _opened(desk, second), fact=Fact.TAKEN)
    _answer(desk, found, fact=Fact.TAKEN)
    assert [MARK_TAKEN, MARK_TAKEN] == [it for [it] in stage.sql("SELECT marks FROM payment")]


@pytest.mark.parametrize("desk", [OnePayment.SHADOW], indirect=True)
def test_in_shadow_the_second_is_made_and_marked(desk: Desk) -> None:
    """Nothing is refused, and the payment says what would have been."""
    first, second = _new(desk), _new(desk)
    assert () == _opened(desk, first).payment.marks
    assert (MARK_TAKEN,) == _opened(desk, second).payment.marks
    assert (MARK_TAKEN,) == desk.load(second.operation_id).payment.marks


@pytest.mark.parametrize("desk", [OnePayment.OFF], indirect=True)
def test_switched_off_nobody_claims(desk: Desk, stage: JournalStage) -> None:
    """Two payments of one order are two payments."""
    assert () == _opened(desk, _new(desk)).payment.marks
    assert () == _opened(desk, _new(desk)).payment.marks
    assert 0 == stage.one("SELECT count(*) FROM order_claim")
