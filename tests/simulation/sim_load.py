"""What is asked for in a run: a small shop's commands, drawn from the seed. No faults live here.

Each payment has a life: how it begins, what is asked about it, and what of that is doubled, contradicted, too early or
too much. Nothing is waited for: what is asked comes when it comes, before its payment as well as after.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from random import Random
from typing import Final

from handlers.domain.commands import (
    CapturePayment,
    Command,
    InitiatePayment,
    Mode,
    RefundPayment,
    VerifyPayment,
    VoidPayment,
)
from handlers.domain.facts import Order
from handlers.domain.means import OpaqueData, StoredProfile
from handlers.domain.money import Money
from handlers.domain.secret import Secret
from tests.doubles.values import command
from tests.simulation.sim_terms import BEGIN, CURRENCY
from worker.routes import INITIATION

_DESCRIPTOR: Final = "COMMON.ACCEPT.INAPP.PAYMENT"
_LONGEST_S: Final = 26.0
# Shares: of payments for an order that another one pays, of orders that the shop knows, of runs with a bad record; of
# requests and payments that are asked for twice, and of those that are asked for again with other content.
_RUSHES: Final = 10  # moments at which payments begin
_LATER_S: Final = (0.0, 0.0, 2.6, 2.6, 5.2, 10.4, 15.6)  # after that something is asked about them
_ALONE: Final = 0.3  # share of what is asked at a moment of its own, perhaps before its payment
_PAID_TWICE: Final = 0.08
_KNOWN: Final = 0.97
_POISONED: Final = 0.2
_TWICE: Final = 0.1
_OTHERWISE: Final = 0.04


@dataclass(frozen=True, slots=True)
class Cue:
    """Something to publish at a moment of the run: a command, or a record that cannot be read."""

    at_s: float
    command: Command | None
    key: bytes = b""


@dataclass(frozen=True, slots=True)
class Load:
    """A run's commands in order, and the orders that they pay."""

    cues: tuple[Cue, ...]
    orders: tuple[Order, ...]


def load(random: Random, *, commands: int) -> Load:
    """So many commands: payments, with what is asked about them."""
    cues: list[Cue] = []
    orders: list[Order] = []
    number = 0
    while len(cues) < commands:
        begins_s = _moment(random)
        first = _initiation(random, number, at_s=begins_s)
        paid_twice = (
            bool(orders) and first.mode is not Mode.VERIFY and random.random() < _PAID_TWICE
        )
        if paid_twice:
            order = random.choice(orders)
            first = replace(
                first, order_id=order.order_id, user_id=order.user_id, money=order.money
            )
        elif random.random() < _KNOWN:
            orders.append(Order(first.order_id, first.user_id, status="payable", money=first.money))
        cues.append(Cue(begins_s, first))
        cues.extend(_about(random, first, begins_s=begins_s))
        number += 1
    del cues[commands:]
    if random.random() < _POISONED:
        cues.append(Cue(random.uniform(0, _LONGEST_S), None, key=b"poison"))
    cues.sort(key=lambda it: it.at_s)
    return Load(tuple(cues), tuple(orders))


def _moment(random: Random) -> float:
    """Much is asked for at the same time as something else."""
    return random.randrange(1, _RUSHES) * _LONGEST_S / _RUSHES


def _initiation(random: Random, number: int, *, at_s: float) -> InitiatePayment:
    modes = (Mode.SALE, Mode.SALE, Mode.SALE, Mode.AUTHORISE, Mode.AUTHORISE, Mode.VERIFY)
    mode = random.choice(modes)
    minor = 1 if mode is Mode.VERIFY else random.randint(100, 9_999)
    means: OpaqueData | StoredProfile = StoredProfile(str(1000 + number), str(2000 + number))
    if random.random() < 0.5:
        means = OpaqueData(_DESCRIPTOR, Secret(f"token-{number}"))
    return command(
        payment_id=f"p{number}",
        order_id=f"o{number}",
        user_id=f"u{number}",
        means=means,
        mode=mode,
        money=Money(minor, CURRENCY),
        issued_at=BEGIN + timedelta(seconds=at_s),
    )


def _about(random: Random, of: InitiatePayment, *, begins_s: float) -> Iterator[Cue]:
    """What is asked about a payment, some of it twice, some of it before."""
    asked = random.choice((0, 0, 1, 1, 2, 3, 3))
    for place in range(asked):
        at_s = begins_s + random.choice(_LATER_S)
        if random.random() < _ALONE:
            at_s = max(0.0, at_s + random.uniform(-1.0, 1.0))
        request = _request(random, of, place=place, at_s=at_s)
        yield Cue(at_s, request)
        if random.random() < _TWICE:
            yield Cue(at_s + random.choice(_LATER_S), request)
        if isinstance(request, RefundPayment) and random.random() < _OTHERWISE:
            other = Money(request.money.amount_minor + 1, CURRENCY)
            yield Cue(at_s + random.choice(_LATER_S), replace(request, money=other))
    if random.random() < _TWICE:
        yield Cue(begins_s + random.choice(_LATER_S), of)
    if of.mode is not Mode.VERIFY and random.random() < _OTHERWISE:
        other = Money(of.money.amount_minor + 1, CURRENCY)
        yield Cue(begins_s + random.choice(_LATER_S), replace(of, money=other))


def _request(random: Random, of: InitiatePayment, *, place: int, at_s: float) -> Command:
    name, whole = f"{of.payment_id}-{place}", of.money.amount_minor
    issued_at = BEGIN + timedelta(seconds=at_s)
    part = random.choice((whole, whole, max(1, whole // 2), max(1, whole // 3), whole + 1))
    draws = ["verify", "void", "refund", "refund", "refund"]
    if of.mode is Mode.AUTHORISE:
        draws += ["capture"] * 6
    match random.choice(draws):
        case "capture":
            minor = None if part >= whole else part
            return CapturePayment(
                payment_id=of.payment_id,
                capture_id=f"c-{name}",
                amount_minor=minor,
                issued_at=issued_at,
            )
        case "void":
            return VoidPayment(payment_id=of.payment_id, void_id=f"v-{name}", issued_at=issued_at)
        case "verify":
            return VerifyPayment(
                payment_id=of.payment_id, verification_id=f"q-{name}", issued_at=issued_at
            )
        case _:
            return RefundPayment(
                payment_id=of.payment_id,
                refund_id=f"r-{name}",
                money=Money(part, CURRENCY),
                issued_at=issued_at,
            )


POISON_TOPIC: Final = INITIATION
