"""A small shop's busy morning: what is published when, and what a consumer's news means in the story.

Everything is drawn from the seed. Nothing runs here: `play.py` performs it. What a piece of news means stands in
`beats.py`.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from handlers.domain.commands import InitiatePayment, Mode, Request
from handlers.domain.money import Money
from worker.demo import beats
from worker.demo.books import Asked
from worker.demo.shop import Record, Shop

FEWEST: Final = 50  # every part of the story needs a payment of its own
MORNING_S: Final = 16.0
RUSH_AT_S: Final = 7.0
RELEASE_AT_S: Final = 5.0  # when the reviewer decides about the first of the two held ones
CALM: Final = {"p50_ms": 300, "p99_ms": 1500, "max_ms": 3000}
SLOW: Final = {"p50_ms": 1000, "p99_ms": 2500, "max_ms": 3000}
_RUSH_S: Final = 1.5
_FIRST_SHARE, _RUSH_SHARE = 0.4, 0.25
_DECLINED_SHARE: Final = 0.08
_REPEAT_AT_S, _CONFLICT_AT_S = 4.0, 5.5
_ORPHAN_AT_S: Final = 0.3
_EARLIER_S: Final = 2.0  # between topics Kafka keeps no order: so much earlier an early void comes

# Part → where in the first hour its payment comes (share of it), and the simulator's fault for it.
_PARTS: Final = {
    "repeated": (0.0, ""),
    "later": (0.02, ""),
    "settled": (0.05, ""),
    "partly": (0.08, ""),
    "released": (0.1, "held_252"),
    "let_go": (0.15, ""),
    "lost": (0.2, "lost_answer"),
    "undone": (0.25, ""),
    "absent": (0.3, "reset_before_read"),
    "tested": (0.35, ""),
    "declined": (0.4, ""),
    "early": (0.45, ""),
    "foreign": (0.5, ""),
    "orderless": (0.55, ""),
    "held": (0.6, "held_253"),
    "twin": (0.65, ""),
    "conflicting": (0.7, ""),
}
POISON: Final = 4
LETTERS: Final = POISON + 2  # and the conflicting command, and the refund of an unknown payment


@dataclass(frozen=True, slots=True)
class Cue:
    """A payment, or a request about one, that must have been told to stand so."""

    subject: str
    state: str


@dataclass(frozen=True, slots=True)
class Publication:
    """A record to publish at a time after the opening, and not before its cue. `asked` where it is a request."""

    at_s: float
    record: Record
    after: Cue | None = None
    asked: Asked | None = None


@dataclass(frozen=True, slots=True)
class Story:
    """The whole script. `parts`: part → id of its payment or request. `orders`: what the db-service must know."""

    parts: dict[str, str]
    publications: tuple[Publication, ...]
    orders: tuple[dict[str, Any], ...]
    rules: tuple[dict[str, Any], ...]
    payments: int

    @property
    def published(self) -> list[str]:
        """The payment id of every initiation, poison included."""
        return [it.record[1].decode() for it in self.publications if it.asked is None]

    @property
    def asked(self) -> list[Asked]:
        """Every request."""
        return [it.asked for it in self.publications if it.asked is not None]

    def part_of(self, subject: str) -> str:
        """The part that a payment or request has in the story, or ""."""
        return next((part for part, name in self.parts.items() if name == subject), "")


def write(shop: Shop, *, payments: int) -> Story:
    """The story of `payments` payments, at least FEWEST."""
    assert payments >= FEWEST
    first = int(payments * _FIRST_SHARE)
    numbers = _cast(first)
    commands = _commands(shop, numbers, payments=payments)
    parts = {part: commands[number].payment_id for part, number in numbers.items()}
    cast = {part: commands[number] for part, number in numbers.items()}
    times = list(_times(payments, first=first))
    requests, names = _requests(shop, cast, times={part: times[it] for part, it in numbers.items()})
    publications = [
        *(Publication(at_s, shop.record(it)) for at_s, it in zip(times, commands, strict=True)),
        *_second_thoughts(shop, cast),
        *_poison(shop),
        *requests,
    ]
    rules = tuple(
        {"match": {"description": cast[part].description}, "fault": fault}
        for part, (_, fault) in _PARTS.items()
        if fault
    )
    return Story(
        parts={**parts, **names},
        publications=tuple(sorted(publications, key=lambda it: it.at_s)),
        orders=tuple(_orders(shop, commands, without={cast["orderless"].order_id})),
        rules=rules,
        payments=payments,
    )


def _cast(first: int) -> dict[str, int]:
    """Part → number of its payment, all different."""
    cast: dict[str, int] = {}
    last = -1
    for part, (share, _) in _PARTS.items():
        last = max(last + 1, int(first * share))
        cast[part] = last
    assert last < first
    return cast


def _times(payments: int, *, first: int) -> Iterator[float]:
    """When each payment comes: a calm first hour, a rush, a calm rest."""
    rush = int(payments * _RUSH_SHARE)
    rest = payments - first - rush
    for number in range(payments):
        if number < first:
            yield RUSH_AT_S * number / first
        elif number < first + rush:
            yield RUSH_AT_S + _RUSH_S * (number - first) / rush
        else:
            begin = RUSH_AT_S + _RUSH_S
            yield begin + (MORNING_S - begin) * (number - first - rush + 1) / rest


def _commands(shop: Shop, cast: Mapping[str, int], *, payments: int) -> list[InitiatePayment]:
    """Every payment once, in the shape that its part has."""
    dice = random.Random(shop.seed)
    parts = {number: part for part, number in cast.items()}
    commands = []
    for number in range(payments):
        chance = dice.random() < _DECLINED_SHARE
        part = parts.get(number, "")
        match part:
            case "partly" | "let_go":
                command = shop.command(number, mode=Mode.AUTHORISE)
            case "tested":
                command = shop.test_of_means(number)
            case "foreign":
                command = shop.command(number)
                command = replace(command, money=Money(command.money.amount_minor, "EUR"))
            case "twin":  # another payment of an order that is paid
                paid = shop.command(cast["repeated"])
                command = replace(
                    shop.command(number),
                    order_id=paid.order_id,
                    user_id=paid.user_id,
                    money=paid.money,
                    lines=paid.lines,
                )
            case _:
                declined = part == "declined" or (chance and not part)
                command = shop.command(number, declined=declined)
        commands.append(command)
    return commands


def _orders(
    shop: Shop, commands: list[InitiatePayment], *, without: set[str]
) -> Iterator[dict[str, Any]]:
    """What the order service knows; the test of a means is for no order."""
    seen = set(without)
    for command in commands:
        if command.order_id not in seen and command.mode is not Mode.VERIFY:
            seen.add(command.order_id)
            yield shop.order(command)


def _requests(
    shop: Shop, cast: Mapping[str, InitiatePayment], *, times: Mapping[str, float]
) -> tuple[list[Publication], dict[str, str]]:
    """Each verb once at least: what is asked about payments when they stand so; and part → id of the request."""
    partly, later = cast["partly"], cast["later"]
    some = later.money.amount_minor // 3
    too_much = later.money.amount_minor - some + 1
    unknown = replace(cast["settled"], payment_id=f"{shop.name}-nobody")
    # Part, what is asked, and which part must stand how before.
    rows: list[tuple[str, Request, str, str]] = [
        ("capture", shop.capture("c1", partly, minor=partly.money.amount_minor // 2), "partly", "authorized"),
        ("capture_again", shop.capture("c2", partly), "partly", "captured"),
        ("void", shop.void("v1", cast["let_go"]), "let_go", "authorized"),
        ("void_early", shop.void("v2", cast["early"]), "", ""),
        ("refund_undone", shop.refund("r1", cast["undone"]), "undone", "captured"),
        ("refund_later", shop.refund("r2", later, minor=some), "later", "captured"),
        ("refund_too_much", shop.refund("r3", later, minor=too_much), "refund_later", "processed"),
        ("refund_settled", shop.refund("r4", cast["settled"]), "refund_later", "processed"),
        ("refund_nobody", shop.refund("r5", unknown), "", ""),
        ("verification", shop.verification("q1", cast["lost"]), "lost", "unknown"),
    ]  # fmt: skip
    names = {part: request.request_id for part, request, _, _ in rows}
    subjects = {**{part: command.payment_id for part, command in cast.items()}, **names}
    at_s = {"void_early": max(0.0, times["early"] - _EARLIER_S), "refund_nobody": _ORPHAN_AT_S}
    publications = []
    for part, request, after, state in rows:
        record = shop.record(request)
        publications.append(
            Publication(
                at_s.get(part) or times.get(after, 0.0),
                record,
                after=Cue(subjects[after], state) if after else None,
                asked=Asked(request.operation_id, request.payment_id, record[0]),
            )
        )
    return publications, names


def _second_thoughts(shop: Shop, cast: Mapping[str, InitiatePayment]) -> Iterator[Publication]:
    """The same command again, and another one under an id that was used."""
    repeated, first = cast["repeated"], cast["conflicting"]
    paid = Cue(repeated.payment_id, "captured")
    yield Publication(_REPEAT_AT_S, shop.record(repeated), after=paid)
    dearer = Money(first.money.amount_minor + 100, first.money.currency)
    yield Publication(_CONFLICT_AT_S, shop.record(replace(first, money=dearer)))


def _poison(shop: Shop) -> Iterator[Publication]:
    """Records that no worker may act upon; their numbers lie beyond every customer's."""
    first = 900_000
    dice = random.Random(shop.seed)
    garbled = shop.record(shop.command(first))
    yield Publication(2.2, (garbled[0], garbled[1], dice.randbytes(40), {}))
    card = replace(shop.command(first + 1), description="please use 4111 1111 1111 1111")
    yield Publication(3.3, shop.record(card))
    negative = _with_money(shop.command(first + 2), amount_minor=-500, currency="USD")
    yield Publication(4.4, shop.record(negative))
    strange = _with_money(shop.command(first + 3), amount_minor=500, currency="QQQ")
    yield Publication(6.2, shop.record(strange))


def _with_money(command: InitiatePayment, *, amount_minor: int, currency: str) -> InitiatePayment:
    """What our own types refuse, a careless producer sends: the checks are gone round on purpose."""
    money = Money(0, "USD")
    object.__setattr__(money, "amount_minor", amount_minor)
    object.__setattr__(money, "currency", currency)
    object.__setattr__(command, "money", money)
    return command


assert {part for part, _ in beats.BEATS} <= {*_PARTS, *beats.REQUESTS}, "each beat has its part"
