"""What a row of the gateway's lists makes the finder ask: every state with every standing, and what is carried along.

The table here is written by hand, from what each state has told already; it shares nothing with the one in the code.
"""

from collections.abc import Mapping
from typing import Final

import pytest

from db_client.observing import Known
from handlers.domain.commands import Settlement, VerifyPayment
from handlers.domain.facts import Entry, Standing
from handlers.domain.money import Money
from handlers.domain.states import PaymentState
from tests.doubles.values import MIDNIGHT
from worker.walking import verification_of

S, T = PaymentState, Standing
PAID: Final = Money(1234, "USD")
OURS: Final = "60001"
OTHER: Final = "60002"
# State → the standings that say more than was told. What is missing is known, or says nothing.
NEWS: Final[Mapping[PaymentState, set[Standing]]] = {
    # These are asked for by themselves; that answer says that it was charged, and nothing of what came later.
    S.REQUESTED: {T.SETTLED, T.RETURNED, T.CHARGED_BACK},
    S.UNKNOWN: {T.SETTLED, T.RETURNED, T.CHARGED_BACK},
    S.HELD: {T.SETTLED, T.RETURNED, T.CHARGED_BACK},
    S.AUTHORIZED: {T.TAKEN, T.SETTLED, T.VOIDED, T.EXPIRED},
    S.CAPTURED: {T.SETTLED, T.VOIDED, T.DECLINED, T.RETURNED, T.CHARGED_BACK},
    S.SETTLED: {T.RETURNED, T.CHARGED_BACK},
    S.PARTIALLY_REFUNDED: {T.RETURNED, T.CHARGED_BACK},
    S.REFUNDED: {T.CHARGED_BACK},
    S.RETURNED: set(),
    S.CHARGED_BACK: set(),
    S.VERIFIED: {
        T.TAKEN,
        T.SETTLED,
    },  # that its hold is gone is no news: the worker itself voids it
    S.VOIDED: {T.TAKEN, T.SETTLED},
    S.EXPIRED: {T.TAKEN, T.SETTLED},
    S.DECLINED: {T.RESERVED, T.TAKEN, T.SETTLED},
    S.REFUSED: {T.RESERVED, T.TAKEN, T.SETTLED},
    S.FAILED: {T.RESERVED, T.TAKEN, T.SETTLED},
    S.CONFLICTED: {T.VOIDED, T.EXPIRED},
}


def known(state: PaymentState, *, transaction_id: str | None = OURS) -> Known:
    """A payment of ours."""
    return Known("pay-1", state, PAID, transaction_id)


def entry(
    standing: Standing,
    *,
    transaction_id: str = OURS,
    refunds: bool = False,
    money: Money | None = PAID,
) -> Entry:
    """A row under its invoice number."""
    return Entry(transaction_id, "INVOICE", standing, refunds, money)


def asked(of: Entry, about: Known | None) -> VerifyPayment | None:
    """What it makes us ask."""
    return verification_of(of, about, now=MIDNIGHT)


@pytest.mark.parametrize("standing", Standing)
@pytest.mark.parametrize("state", PaymentState)
def test_a_row_that_says_more_than_we_know(state: PaymentState, standing: Standing) -> None:
    """Each state with each standing of the known transaction: asked where the table says so, with what settled."""
    found = asked(entry(standing), known(state))
    if standing not in NEWS[state]:
        assert found is None
        return
    assert found is not None
    assert ("pay-1", f"seen-{OURS}-{standing}", MIDNIGHT) == (
        found.payment_id,
        found.verification_id,
        found.issued_at,
    )
    assert (Settlement(OURS, PAID) if standing is T.SETTLED else None) == found.settlement
    assert found.ruling is None


@pytest.mark.parametrize("standing", Standing)
@pytest.mark.parametrize("state", PaymentState)
def test_a_row_of_a_payment_without_a_transaction(state: PaymentState, standing: Standing) -> None:
    """It is never believed unseen."""
    found = asked(entry(standing), known(state, transaction_id=None))
    assert (standing in NEWS[state] - {T.DECLINED}) == (found is not None)
    assert found is None or (None, "") == (found.settlement, found.other)


@pytest.mark.parametrize("standing", Standing)
@pytest.mark.parametrize("state", PaymentState)
def test_a_row_of_another_transaction(state: PaymentState, standing: Standing) -> None:
    """Money that another transaction holds under our number is news whatever we know; what it lost is none of ours.

    Regression: a second charge beside one that was answered, or declined, was passed over.
    """
    found = asked(entry(standing), known(state, transaction_id=OTHER))
    if state in {S.REQUESTED, S.UNKNOWN, S.HELD}:
        assert (standing in NEWS[state] - {T.DECLINED}) == (found is not None)
        return
    if standing is T.RETURNED:
        return
    assert (standing in {T.RESERVED, T.TAKEN, T.SETTLED, T.HELD}) == (found is not None)
    assert found is None or (None, OURS) == (found.settlement, found.other)


@pytest.mark.parametrize("state", PaymentState)
def test_what_the_bank_returns_has_an_id_of_its_own(state: PaymentState) -> None:
    """It is no second charge: the details of the one that we know say what came back.

    Source: Authorize.Net lists a returned eCheck as a transaction beside the original, under its invoice number.
    """
    found = asked(entry(T.RETURNED), known(state, transaction_id=OTHER))
    assert (T.RETURNED in NEWS[state]) == (found is not None)
    assert found is None or "" == found.other


@pytest.mark.parametrize("standing", Standing)
@pytest.mark.parametrize("state", PaymentState)
def test_a_refund_and_a_stranger_are_passed_over(state: PaymentState, standing: Standing) -> None:
    """A refund that carries a charge's number says nothing of the charge, and what is not ours nothing at all."""
    assert asked(entry(standing, refunds=True), known(state)) is None
    assert asked(entry(standing), None) is None


def test_a_settled_row_without_a_readable_amount_is_looked_at() -> None:
    """It is news, but what was taken must be read in its details."""
    found = asked(entry(T.SETTLED, money=None), known(S.CAPTURED))
    assert found is not None
    assert found.settlement is None


def test_another_amount_is_carried_as_it_is() -> None:
    """Whether it contradicts ours is judged by the verb, which must see it."""
    strange = Money(1, "USD")
    found = asked(entry(T.SETTLED, money=strange), known(S.CAPTURED))
    assert found is not None
    assert Settlement(OURS, strange) == found.settlement


def test_each_standing_is_asked_about_once() -> None:
    """The same row makes the same command whatever the time; another standing of it makes another one."""
    first = asked(entry(T.SETTLED), known(S.CAPTURED))
    later = verification_of(entry(T.SETTLED), known(S.CAPTURED), now=MIDNIGHT.replace(hour=9))
    other = asked(entry(T.RETURNED), known(S.CAPTURED))
    assert first is not None
    assert later is not None
    assert other is not None
    assert first.operation_id == later.operation_id != other.operation_id
