"""A shop's whole day at once: all verbs in a shop's proportions, poison, lost answers, a kill, then the night's batch.

What is published, and in which order, is drawn from the seed. No claims here but the books': `test_every_verb.py` plays
a short day, `python -m tests.acceptance.mixed_load --seed 7 --payments 5000` a long one.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from db_client.audit import read_journal
from handlers.domain.commands import Command, InitiatePayment, Mode, Request
from tests.crash.installation import SHORT, Installation, installed, wait_until
from worker import kafka_admin
from worker.demo.audit import audit, settings_of, wait_for_rest
from worker.demo.books import Asked, Verdict
from worker.demo.shop import Record, Shop
from worker.demo.stage import open_stage

SETTINGS: Final = {
    **SHORT,
    "in_flight": "50",
    "order_check": "strict",
    "one_payment": "enforce",
    "settlement_wait_s": "1",
    "orphan_wait_s": "2",
}
LOST: Final = {"latency": {"p50_ms": 60, "p99_ms": 400}, "faults": {"lost_answer": 0.03}}
POISON: Final = 0.03
PAYMENTS_A_SECOND: Final = 40
# Kind of payment → its share. What is asked about it follows from what it is.
_PAYMENTS: Final = {
    "sale": 0.56,
    "sale_refunded": 0.06,
    "sale_refunded_in_parts": 0.07,
    "sale_refunded_too_much": 0.03,
    "sale_voided": 0.03,
    "sale_asked_about": 0.03,
    "authorise": 0.02,
    "authorise_capture": 0.06,
    "authorise_capture_part": 0.03,
    "authorise_void": 0.03,
    "test_of_means": 0.03,
    "early_void": 0.01,
    "second_payment": 0.02,
    "no_order": 0.01,
    "nobody": 0.01,
}
_DECLINED: Final = 0.06
_REPEATED: Final = 0.02


@dataclass(frozen=True, slots=True)
class Cue:
    """A record to publish so long after the opening. `asked` where it is a request, `payment_id` where it is not."""

    at_s: float
    record: Record
    asked: Asked | None = None
    poison: bool = False


@dataclass(frozen=True, slots=True)
class Day:
    """All that is published, in order, and the orders that the db-service must know before."""

    cues: tuple[Cue, ...]
    orders: tuple[dict[str, object], ...]
    payments: frozenset[str]
    nobodies: frozenset[str]

    @property
    def asked(self) -> list[Asked]:
        """Every request."""
        return [cue.asked for cue in self.cues if cue.asked is not None]

    @property
    def to_be_known(self) -> set[str]:
        """The operation ids of all requests but those about a payment that nobody ever makes."""
        return {it.operation_id for it in self.asked if it.payment_id not in self.nobodies}


class _Planner:
    """Draws one day."""

    def __init__(self, shop: Shop, *, seed: int, payments: int) -> None:
        self._shop = shop
        self._dice = random.Random(f"mixed:{seed}")
        self._payments = payments
        self._cues: list[Cue] = []
        self._orders: dict[str, dict[str, object]] = {}
        self._made: list[InitiatePayment] = []
        self._nobodies: set[str] = set()

    def day(self) -> Day:
        """The day."""
        kinds, shares = list(_PAYMENTS), list(_PAYMENTS.values())
        for number in range(self._payments):
            at_s = number / PAYMENTS_A_SECOND
            [kind] = self._dice.choices(kinds, shares)
            self._payment(number, kind, at_s=at_s)
            if self._dice.random() < POISON:
                self._poison(at_s)
        cues = sorted(self._cues, key=lambda cue: cue.at_s)
        made = frozenset(it.payment_id for it in self._made)
        return Day(tuple(cues), tuple(self._orders.values()), made, frozenset(self._nobodies))

    def _payment(self, number: int, kind: str, *, at_s: float) -> None:
        command = self._command(number, kind)
        if kind == "nobody":
            self._nobodies.add(command.payment_id)
        else:
            self._publish(command, at_s=at_s)
            self._made.append(command)
            if self._dice.random() < _REPEATED:
                self._publish(command, at_s=at_s + self._dice.uniform(0, 2))
        if kind not in {"no_order", "nobody", "second_payment"} and command.mode is not Mode.VERIFY:
            self._orders[command.order_id] = self._shop.order(command)
        for later_s, request in self._requests(number, kind, of=command):
            self._publish(request, at_s=max(0.0, at_s + later_s))

    def _command(self, number: int, kind: str) -> InitiatePayment:
        shop = self._shop
        if kind == "test_of_means":
            return shop.test_of_means(number)
        if kind.startswith("authorise"):
            return shop.command(number, mode=Mode.AUTHORISE)
        if kind == "second_payment" and self._made:
            first = self._dice.choice([it for it in self._made if it.mode is not Mode.VERIFY])
            return replace(
                shop.command(number),
                order_id=first.order_id,
                user_id=first.user_id,
                money=first.money,
                lines=first.lines,
            )
        return shop.command(number, declined=self._dice.random() < _DECLINED)

    def _requests(
        self, number: int, kind: str, *, of: InitiatePayment
    ) -> Iterator[tuple[float, Request]]:
        """What is asked about the payment, and how long after it."""
        shop, minor, soon = self._shop, of.money.amount_minor, self._soon
        part = self._dice.randrange(1, max(2, minor))
        match kind:
            case "sale_refunded":
                yield soon(), shop.refund(f"r{number}", of)
            case "sale_refunded_in_parts":
                yield soon(), shop.refund(f"r{number}a", of, minor=minor // 2)
                yield soon(), shop.refund(f"r{number}b", of, minor=minor - minor // 2)
            case "sale_refunded_too_much":
                yield soon(), shop.refund(f"r{number}a", of, minor=part)
                yield soon(), shop.refund(f"r{number}b", of, minor=minor)
            case "sale_voided" | "authorise_void":
                yield soon(), shop.void(f"v{number}", of)
            case "sale_asked_about":
                yield soon(), shop.verification(f"q{number}", of)
            case "authorise_capture":
                yield soon(), shop.capture(f"c{number}", of)
            case "authorise_capture_part":
                yield soon(), shop.capture(f"c{number}a", of, minor=part)
                yield soon(), shop.capture(f"c{number}b", of)
                yield soon(), shop.refund(f"r{number}", of, minor=max(1, part // 2))
            case "early_void":
                yield -soon(), shop.void(f"v{number}", of)
            case "nobody":
                yield 0.0, shop.refund(f"r{number}", of)
            case _:
                pass

    def _soon(self) -> float:
        return self._dice.uniform(0.05, 3)

    def _publish(self, command: Command, *, at_s: float) -> None:
        record = self._shop.record(command)
        asked = None
        if not isinstance(command, InitiatePayment):
            asked = Asked(command.operation_id, command.payment_id, record[0])
        self._cues.append(Cue(at_s, record, asked))

    def _poison(self, at_s: float) -> None:
        """Bytes that are no command, on any of the command topics."""
        number = 900_000 + len(self._cues)
        victim = self._shop.command(number)
        topic = self._dice.choice(
            [
                self._shop.record(it)[0]
                for it in (
                    victim,
                    self._shop.capture("x", victim),
                    self._shop.void("x", victim),
                    self._shop.refund("x", victim),
                    self._shop.verification("x", victim),
                )
            ]
        )
        record: Record = (topic, victim.payment_id.encode(), self._dice.randbytes(60), {})
        self._cues.append(Cue(at_s, record, poison=True))


def planned(installation: Installation, *, seed: int, payments: int) -> Day:
    """The day of this installation's shop."""
    base = installation.shop()
    return _Planner(replace(base, seed=seed), seed=seed, payments=payments).day()


def play(installation: Installation, day: Day) -> Verdict:
    """Publish the day at its pace with two workers, kill one and settle in the middle, settle when quiet; the books."""
    stage = installation.stage
    stage.environment |= {f"WORKER_{name.upper()}": value for name, value in SETTINGS.items()}
    stage.seed_orders(day.orders)
    stage.gateway("PUT", "/plan", body=LOST)
    workers = [installation.worker(name, settings=SETTINGS) for name in ("w1", "w2")]
    middle = len(day.cues) // 2
    _publish(installation, day.cues[:middle])
    workers[0].kill()
    stage.gateway("POST", "/settle", body={})  # while voids and refunds are on their way
    _publish(installation, day.cues[middle:])
    assert wait_until(lambda: _is_quiet(installation, day), within_s=60 + len(day.cues) / 20)
    stage.gateway("POST", "/settle", body={})
    assert wait_until(lambda: _is_over(installation, day), within_s=60 + len(day.cues) / 20)
    workers[1].insist_alive()
    return audit(
        stage, published=installation.published, requests=day.asked, name=installation.name
    )


def _publish(installation: Installation, cues: tuple[Cue, ...]) -> None:
    """At the pace of the day, a tenth of a second at once."""
    properties = settings_of(installation.stage).kafka_properties()
    began_s, first_s = time.monotonic(), cues[0].at_s
    waiting = list(cues)
    while waiting:
        now_s = time.monotonic() - began_s + first_s
        due = [cue for cue in waiting if cue.at_s <= now_s]
        waiting = waiting[len(due) :]
        kafka_admin.send(properties, [cue.record for cue in due])
        installation.published.extend(cue.record[1].decode() for cue in due if cue.asked is None)
        time.sleep(0.1)


def _is_quiet(installation: Installation, day: Day) -> bool:
    """Everything is known, nothing moves before it is due, and the orphans are dead letters."""
    stage, known = installation.stage, day.to_be_known
    if not wait_for_rest(stage, admitted=len(day.payments), requests=known, within_s=1):
        return False
    return not any(it.payment_id in day.nobodies for it in read_journal(stage.journal_url).requests)


def _is_over(installation: Installation, day: Day) -> bool:
    """Quiet for good: what was deferred has settled, and every answer that was lost is found."""
    book = read_journal(installation.stage.journal_url)
    stages = {it.stage for it in book.entries} | {it.stage for it in book.requests}
    return stages == {"concluded"} and _is_quiet(installation, day)


def main() -> int:
    """One long day from the command line; the exit code is 1 where the books differ."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int, default=1, help="another seed, another day")
    parser.add_argument("--payments", type=int, default=2000, help="how many payments")
    asked = parser.parse_args()
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="payment-worker-mixed-"))
        base = stack.enter_context(open_stage(Path(folder)))
        installation = stack.enter_context(installed(base, "mixed"))
        day = planned(installation, seed=asked.seed, payments=asked.payments)
        began_s = time.monotonic()
        verdict = play(installation, day)
        took_s = time.monotonic() - began_s
    lines = [
        *(f"DIFFERS: {it}" for it in verdict.differences),
        f"seed {asked.seed}: {len(day.cues)} records in {took_s:.0f} s",
        f"payments: {_counted(verdict.states)}",
        f"requests: {_counted({' '.join(key): it for key, it in verdict.requests.items()})}",
        f"dead letters: {_counted(verdict.dead_letters)}; repeats answered: {verdict.repeats}",
        "The books are equal." if verdict.equal else "The books DIFFER.",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0 if verdict.equal else 1


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))


if __name__ == "__main__":
    sys.exit(main())
