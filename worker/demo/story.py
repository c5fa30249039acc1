"""A small shop's busy morning: what is published when, and what a consumer's news means in the story.

Everything is drawn from the seed. Nothing runs here: `play.py` performs it.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from handlers.domain.commands import InitiatePayment
from handlers.domain.money import Money
from worker.demo.shop import Record, Shop

FEWEST: Final = 24  # every part of the story needs a payment of its own
MORNING_S: Final = 16.0
RUSH_AT_S: Final = 7.0
RELEASE_AT_S: Final = 5.0  # when the reviewer decides about the first of the two held ones
CALM: Final = {"p50_ms": 300, "p99_ms": 1500, "max_ms": 3000}
SLOW: Final = {"p50_ms": 1000, "p99_ms": 2500, "max_ms": 3000}
_RUSH_S: Final = 1.5
_FIRST_SHARE, _RUSH_SHARE = 0.4, 0.25
_DECLINED_SHARE: Final = 0.08
_REPEAT_AT_S, _CONFLICT_AT_S = 4.0, 5.5

# Part → where in the first hour it comes (share of it), and the simulator's fault for it.
_PARTS: Final = {
    "repeated": (0.0, ""),
    "released": (0.1, "held_252"),
    "lost": (0.2, "lost_answer"),
    "absent": (0.3, "reset_before_read"),
    "declined": (0.4, ""),
    "foreign": (0.5, ""),
    "held": (0.6, "held_253"),
    "conflicting": (0.7, ""),
}
# (part, state as told) → the beat. `{id}` is the payment.
_BEATS: Final = {
    ("released", "held"): "{id} is held for review at the gateway: told as pending",
    ("released", "captured"): "{id} was approved by a person: told as success",
    ("held", "held"): "{id} is held for review and stays so: told as pending",
    ("lost", "unknown"): "{id}: charged, but the answer was lost: told as pending",
    ("lost", "captured"): "{id}: asked for and found, not sent again: told as success",
    ("absent", "unknown"): "{id}: sent, but the connection broke: told as pending",
    ("absent", "failed"): "{id}: proven absent at the gateway: told as failure",
    ("declined", "declined"): "{id} is declined by the bank: told as failure",
    ("foreign", "refused"): "{id} is in EUR on a USD account: refused, nothing was sent",
}
REPEATED: Final = "{id} asked for twice: answered again under the same event id"
LETTER: Final = "dead letter, {reason}: {text}"
POISON: Final = 4
LETTERS: Final = POISON + 1  # and the conflicting command


@dataclass(frozen=True, slots=True)
class Order:
    """A record to publish at a time after the opening. `after`: not before this payment was told as final."""

    at_s: float
    record: Record
    after: str = ""


@dataclass(frozen=True, slots=True)
class Story:
    """The whole script. `parts`: part → payment id."""

    parts: dict[str, str]
    orders: tuple[Order, ...]
    rules: tuple[dict[str, Any], ...]
    payments: int

    @property
    def published(self) -> list[str]:
        """The key of every record, poison included."""
        return [order.record[1].decode() for order in self.orders]

    def beat(self, payment_id: str, state: str) -> str:
        """What it means in the story that `payment_id` was told to be in `state`, or ""."""
        for part, name in self.parts.items():
            if name == payment_id:
                return _BEATS.get((part, state), "").format(id=name)
        return ""

    def beats(self) -> set[str]:
        """All that a consumer must see for the story to be complete, but for the dead letters."""
        told = {text.format(id=self.parts[part]) for (part, _), text in _BEATS.items()}
        return told | {REPEATED.format(id=self.parts["repeated"])}


def write(shop: Shop, *, payments: int) -> Story:
    """The story of `payments` payments, at least FEWEST."""
    assert payments >= FEWEST
    first = int(payments * _FIRST_SHARE)
    numbers = _cast(first)
    orders = sorted(
        [*_customers(shop, numbers, payments=payments, first=first), *_second_thoughts(shop, numbers), *_poison(shop)],
        key=lambda order: order.at_s,
    )  # fmt: skip
    rules = tuple(
        {"match": {"description": shop.command(numbers[part]).description}, "fault": fault}
        for part, (_, fault) in _PARTS.items()
        if fault
    )
    parts = {part: shop.command(number).payment_id for part, number in numbers.items()}
    return Story(parts, tuple(orders), rules, payments)


def _cast(first: int) -> dict[str, int]:
    """Part → number of its payment, all different."""
    cast: dict[str, int] = {}
    last = -1
    for part, (share, _) in _PARTS.items():
        last = max(last + 1, int(first * share))
        cast[part] = last
    return cast


def _customers(shop: Shop, cast: dict[str, int], *, payments: int, first: int) -> Iterator[Order]:
    """Every payment once: a calm first hour, a rush, a calm rest."""
    dice = random.Random(shop.seed)
    rush = int(payments * _RUSH_SHARE)
    rest = payments - first - rush
    parts = {number: part for part, number in cast.items()}
    for number in range(payments):
        if number < first:
            at_s = RUSH_AT_S * number / first
        elif number < first + rush:
            at_s = RUSH_AT_S + _RUSH_S * (number - first) / rush
        else:
            begin = RUSH_AT_S + _RUSH_S
            at_s = begin + (MORNING_S - begin) * (number - first - rush + 1) / rest
        chance = dice.random() < _DECLINED_SHARE
        part = parts.get(number, "")
        command = shop.command(number, declined=part == "declined" or (chance and not part))
        if part == "foreign":
            command = replace(command, money=Money(command.money.amount_minor, "EUR"))
        yield Order(at_s, shop.record(command))


def _second_thoughts(shop: Shop, cast: dict[str, int]) -> Iterator[Order]:
    """The same command again, and another one under an id that was used."""
    repeated = shop.command(cast["repeated"])
    yield Order(_REPEAT_AT_S, shop.record(repeated), after=repeated.payment_id)
    first = shop.command(cast["conflicting"])
    dearer = Money(first.money.amount_minor + 100, first.money.currency)
    yield Order(_CONFLICT_AT_S, shop.record(replace(first, money=dearer)))


def _poison(shop: Shop) -> Iterator[Order]:
    """Records that no worker may act upon; their numbers lie beyond every customer's."""
    first = 900_000
    dice = random.Random(shop.seed)
    garbled = shop.record(shop.command(first))
    yield Order(2.2, (garbled[0], garbled[1], dice.randbytes(40), {}))
    card = replace(shop.command(first + 1), description="please use 4111 1111 1111 1111")
    yield Order(3.3, shop.record(card))
    yield Order(
        4.4, shop.record(_with_money(shop.command(first + 2), amount_minor=-500, currency="USD"))
    )
    yield Order(
        6.2, shop.record(_with_money(shop.command(first + 3), amount_minor=500, currency="QQQ"))
    )


def _with_money(command: InitiatePayment, *, amount_minor: int, currency: str) -> InitiatePayment:
    """What our own types refuse, a careless producer sends: the checks are gone round on purpose."""
    money = Money(0, "USD")
    object.__setattr__(money, "amount_minor", amount_minor)
    object.__setattr__(money, "currency", currency)
    object.__setattr__(command, "money", money)
    return command
