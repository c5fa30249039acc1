"""Who pays an order: one payment at a time. The row of an order is locked by whoever asks for it.

A payment that took nothing lets go of its order. One that was paid stands in nobody's way once the order itself counts
its amount as paid: then the next part may be paid by another one. Until then it may be the same money.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import BigInteger, Text, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from db_client.ground import Ground
from db_client.guarded import in_order
from db_client.recordset import given, rows
from db_client.tables import order_claim, payment
from handlers.domain.states import PaymentState

_wanted = given(claim=Text(), payment_id=Text())
_claims = upsert(order_claim).from_select(
    ["claim", "payment_id"], select(_wanted.c.claim, _wanted.c.payment_id)
)
_CLAIM: Final = _claims.on_conflict_do_update(
    index_elements=["claim"],
    set_={"payment_id": func.coalesce(order_claim.c.payment_id, _claims.excluded.payment_id)},
).returning(order_claim.c.claim, order_claim.c.payment_id, order_claim.c.paid_minor)
_holders = given(payment_id=Text())
_STANDS: Final = select(payment.c.payment_id, payment.c.state, payment.c.captured_minor).join(
    _holders, _holders.c.payment_id == payment.c.payment_id
)
_passed = given(claim=Text(), payment_id=Text(), paid_minor=BigInteger())
_PASS_ON: Final = (
    update(order_claim)
    .where(order_claim.c.claim == _passed.c.claim)
    .values(payment_id=_passed.c.payment_id, paid_minor=_passed.c.paid_minor)
)
_unclaimed = given(payment_id=Text())
_UNCLAIM: Final = (
    update(order_claim)
    .where(order_claim.c.payment_id == _unclaimed.c.payment_id)
    .values(payment_id=None)
)
_PAID: Final = frozenset({PaymentState.CAPTURED, PaymentState.SETTLED})


@dataclass(frozen=True, slots=True)
class Wish:
    """A payment wants its order; `order_paid_minor` is what the order counts as paid already."""

    operation_id: str
    order_id: str
    payment_id: str
    order_paid_minor: int = 0


def claim_orders(ground: Ground, wishes: Sequence[Wish]) -> dict[str, str]:
    """Operation id → the other payment that has its order; who is not named has it now."""
    first: dict[str, Wish] = {}
    for wish in wishes:
        first.setdefault(wish.order_id, wish)
    if not first:
        return {}
    batch = [{"claim": it.order_id, "payment_id": it.payment_id} for it in first.values()]
    found = {row["claim"]: row for row in ground.rows(_CLAIM, rows(in_order(batch, "claim")))}
    holders = {
        name: (str(row["payment_id"]), int(row["paid_minor"])) for name, row in found.items()
    }
    holders |= _passed_on(ground, first, holders=holders)
    return {
        wish.operation_id: holders[wish.order_id][0]
        for wish in wishes
        if holders[wish.order_id][0] != wish.payment_id
    }


def _passed_on(
    ground: Ground, wishes: Mapping[str, Wish], *, holders: Mapping[str, tuple[str, int]]
) -> dict[str, tuple[str, int]]:
    """Orders whose holder is paid, and counted as paid: they go to the payment of the next part."""
    others = {name: wish for name, wish in wishes.items() if holders[name][0] != wish.payment_id}
    if not others:
        return {}
    asked = [{"payment_id": it} for it in sorted({holders[name][0] for name in others})]
    stands = {row["payment_id"]: row for row in ground.rows(_STANDS, rows(asked))}
    passed: dict[str, tuple[str, int]] = {}
    for name, wish in others.items():
        holder, before_minor = holders[name]
        known = stands.get(holder)
        if known is None or known["state"] not in _PAID:
            continue
        paid_minor = before_minor + known["captured_minor"]
        if wish.order_paid_minor >= paid_minor:
            passed[name] = (wish.payment_id, paid_minor)
    if passed:
        batch = [
            {"claim": name, "payment_id": to, "paid_minor": minor}
            for name, (to, minor) in passed.items()
        ]
        ground.connection.execute(_PASS_ON, rows(in_order(batch, "claim")))
    return passed


def let_go(ground: Ground, payments: Sequence[str]) -> None:
    """These payments took nothing, or gave all back."""
    if payments:
        batch = [{"payment_id": it} for it in sorted(payments)]
        ground.connection.execute(_UNCLAIM, rows(batch))
