"""Claims about the finder on real parts: what happened at the gateway without us is told, and one worker asks for all.

Two workers share one installation. `one` comes first and looks into the account, until it is killed. They differ in one
setting, so that both rules for late charges are seen: `one` voids them, `two` leaves them to a person.
"""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

import psycopg
import pytest

from db_client import review
from db_client.database import engine
from handlers.domain.commands import InitiatePayment, Mode
from handlers.domain.means import OpaqueData
from handlers.domain.money import Money
from handlers.domain.secret import Secret
from tests.acceptance.front_door import ACCEPT, Cast, FrontDoor, front_door
from tests.crash.installation import SHORT, Installation, installed, wait_until
from worker.demo.kept_process import KeptProcess
from worker.demo.stage import Stage

SETTINGS: Final = {
    **SHORT,
    "in_flight": "50",
    "gateway_deadline_s": "1",
    "absence_after_s": "0",
    "ask_schedule_s": "0.5",
    "walk_every_s": "1",
    "authorisation_days": "1",
}
LOOKS: Final = "looks into the account"
UNSETTLED: Final = "getUnsettledTransactionListRequest"
LOST: Final = 40
PAID: Final = [f"paid {number}" for number in range(12)]


@dataclass
class Pair(Cast):
    """The installation with its two workers."""

    workers: dict[str, KeptProcess] = field(default_factory=dict)

    def part(
        self, name: str, *, seeded: dict[str, Any] | None = None, **changes: Any
    ) -> InitiatePayment:
        """A payment that plays this part. Nobody looks at orders here, so there is none."""
        assert seeded is None
        self.door.numbers += 1
        mode = changes.pop("mode", Mode.SALE)
        made = self.door.shop.command(self.door.numbers, mode=mode)
        self.cast[name] = replace(made, **changes)
        return self.cast[name]

    @property
    def installation(self) -> Installation:
        """Where it runs."""
        return self.door.installation

    def looking(self) -> list[str]:
        """The workers that ever looked into the account."""
        logs = {name: self.installation.logs(it) for name, it in self.workers.items()}
        return [name for name, log in logs.items() if LOOKS in log]

    def lists_read(self) -> int:
        """How often the first list was asked for, page by page."""
        count: int = self.door.stage.gateway("GET", "/calls")["requests"].get(UNSETTLED, 0)
        return count

    def news(self, name: str) -> list[str]:
        """The states that a part's payment was told to come into, but for an answer that was late on a busy machine."""
        told = self.door.ear.statuses[self.name_of(name)]
        assert list(range(1, len(told) + 1)) == [it["version"] for it in told]
        states = [it["state"] for it in told]
        came = [now for before, now in zip(["", *states], states, strict=False) if now != before]
        return [it for it in came if it != "unknown"]

    def orders(self, name: str, *wanted: str) -> None:
        """What the order service was told, in this order and no more."""
        ear, payment_id = self.door.ear, self.name_of(name)
        assert ear.hears(lambda: len(ear.orders[payment_id]) >= len(wanted))
        assert list(wanted) == ear.orders[payment_id]

    def lose(self, count: int, *, kind: str) -> list[str]:
        """Ask for so many payments that are charged and not answered; their names.

        Every fifth answer is lost. The others are an error of the gateway's, which says as little; were too many lost
        in a row, the breaker would open.
        """
        names = [f"{kind} {number}" for number in range(count)]
        made = [self.part(name) for name in names]
        faults = ("lost_answer", *["e00001_charged"] * 4)
        match = [{"match": {"description": it.description}} for it in made]
        pairs = zip(match, itertools.cycle(faults), strict=False)
        self.door.script(*({**it, "fault": fault} for it, fault in pairs))
        self.door.ask(*made)
        return names

    def questions(self, names: list[str]) -> dict[str, int]:
        """Those of these parts that were undecided: how often each was asked for, as far as its schedule knows."""
        ids = [self.name_of(it) for it in names]
        query = "SELECT payment_id, asked FROM operation WHERE payment_id = ANY(%s) AND asked > 0"
        with psycopg.connect(self.door.stage.journal_url) as connection:
            return dict(connection.execute(query, [ids]).fetchall())

    def only_two(self) -> None:
        """`one` is gone, and `two` looks into the account."""
        self.workers["one"].kill()
        assert wait_until(lambda: "two" in self.looking())

    @contextmanager
    def unheard(self, fault: str) -> Iterator[None]:
        """Nobody is answered who asks the gateway for anything, meanwhile."""
        self.door.stage.gateway("PUT", "/plan", body={"read_faults": {fault: 1.0}})
        try:
            yield
        finally:
            self.door.stage.gateway("PUT", "/plan", body={})


@pytest.fixture(scope="module")
def pair(base: Stage) -> Iterator[Pair]:
    """Two workers; the first one looks into the account."""
    with installed(base, "finder") as installation:
        one = installation.worker("one", settings={**SETTINGS, "late_charge": "void"})
        door: FrontDoor = front_door(installation)
        pair = Pair(door, workers={"one": one})
        assert wait_until(lambda: pair.looking() == ["one"])
        two = installation.worker("two", settings={**SETTINGS, "late_charge": "review"})
        pair.workers["two"] = two
        try:
            yield pair
        finally:
            door.ear.tail.close()


@pytest.fixture(scope="module")
def night(pair: Pair) -> list[str]:
    """The batch has settled: what was paid, a bank transfer, and what was captured there just before."""
    means = OpaqueData(ACCEPT, Secret("bank-finder"))
    pair.part("transfer", means=means, money=Money(5000, "USD"))
    pair.paid("taken there", mode=Mode.AUTHORISE)
    pair.paid(*PAID)
    pair.door.ask(pair.cast["transfer"])
    pair.stand({"transfer": "captured"})
    pair.merchant.act("priorAuthCaptureTransaction", pair.transaction("taken there"))
    pair.door.settle()
    pair.stand(dict.fromkeys((*PAID, "transfer", "taken there"), "settled"))
    return PAID


def test_what_settled_in_the_night_is_told(pair: Pair, night: list[str]) -> None:
    """Each captured payment is told as settled once, under the next version; the db-service has it so."""
    assert [["captured", "settled"]] * len(night) == [pair.news(it) for it in night]
    recorded = {it["payment_id"]: it for it in pair.door.stage.recorded_payments()}
    for name in night:
        told = pair.door.ear.statuses[pair.name_of(name)]
        assert ["settled"] == [it["state"] for it in told if it["state"] == "settled"]
        by = told[-1]["request"]
        assert ("verification", "PROCESSED") == (by["kind"], by["request_status"])
        row = recorded[pair.name_of(name)]
        assert ("settled", told[-1]["version"]) == (row["state"], row["version"])
        pair.orders(name, "PAID")


@pytest.mark.usefixtures("night")
def test_what_was_captured_and_settled_without_us_is_told(pair: Pair) -> None:
    """Captured in the merchant interface, and settled at once: it is told as paid, then as settled."""
    assert ["authorized", "captured", "settled"] == pair.news("taken there")
    pair.orders("taken there", "AUTHORIZED", "PAID")


@pytest.mark.usefixtures("night")
def test_a_bank_transfer_that_comes_back_is_told(pair: Pair) -> None:
    """It was paid, it settled, the bank returned it: a failure, and the order hears of it."""
    pair.door.stage.gateway("POST", f"/return/{pair.transaction('transfer')}", body={})
    pair.stand({"transfer": "returned"})

    assert ["captured", "settled", "returned"] == pair.news("transfer")
    pair.orders("transfer", "PAID", "PAYMENT_FAILED")


def test_a_void_in_the_merchant_interface_is_told(pair: Pair) -> None:
    """Somebody undid a charge and an authorisation there: both are told as voided."""
    pair.paid("charged")
    pair.paid("reserved", mode=Mode.AUTHORISE)
    for name in ("charged", "reserved"):
        pair.merchant.act("voidTransaction", pair.transaction(name))
    pair.stand({"charged": "voided", "reserved": "voided"})

    assert ["captured", "voided"] == pair.news("charged")
    assert ["authorized", "voided"] == pair.news("reserved")
    pair.orders("charged", "PAID", "CANCELED")
    pair.orders("reserved", "AUTHORIZED", "CANCELED")


def test_a_charge_that_shows_up_late_is_told_and_voided(pair: Pair) -> None:
    """It was proven absent while the list lagged behind, and told as failed: conflicted, then voided by the worker."""
    pair.gateway(list_lag_s=3600)
    for name, fault in (("late", "lost_answer"), ("stuck", "reset_before_read")):
        pair.part(name)
        pair.script(fault, name)
    pair.door.ask(pair.cast["late"], pair.cast["stuck"])
    pair.stand({"late": "failed", "stuck": "failed"})
    pair.gateway(list_lag_s=0)
    pair.stand({"late": "voided"})

    assert ["failed", "conflicted", "voided"] == pair.news("late")
    pair.orders("late", "PAYMENT_FAILED", "CANCELED")
    rows = [
        it
        for it in pair.door.stage.ledger()
        if it["description"] == pair.cast["late"].description and not it["refTransId"]
    ]
    assert ["voided"] == [it["status"] for it in rows]


def test_one_worker_asks_for_all(pair: Pair) -> None:
    """Forty answers are lost in two workers, and asked for again and again: one of them scans, for all at once."""
    before = pair.lists_read()
    pair.gateway(list_lag_s=1.5)
    names = pair.lose(LOST, kind="lost")
    pair.stand(dict.fromkeys(names, "captured"))
    pair.gateway(list_lag_s=0)

    assert ["one"] == pair.looking()
    asked, read = pair.questions(names), pair.lists_read() - before
    assert LOST == len(asked)
    assert 4 * read < sum(asked.values())  # although the walks of these seconds are among them


def test_while_nobody_answers_the_schedule_stands_still(pair: Pair) -> None:
    """The gateway is away after it has charged: what was not answered is no question, and is asked again soon."""
    with pair.unheard("http_5xx_uncharged"):
        names = pair.lose(10, kind="away")
        pair.stand(dict.fromkeys(names, "unknown"))
        before = pair.lists_read()
        assert wait_until(lambda: pair.lists_read() >= before + 5)
        # Once: that was when it was told as unknown.
        assert {1} == set(pair.questions(names).values())
    pair.stand(dict.fromkeys(names, "captured"))


def test_a_killed_finder_is_followed_by_the_other_worker(pair: Pair) -> None:
    """SIGKILL while it waits for a page: the other worker looks into the account, and all are decided."""
    with pair.unheard("hang_uncharged"):
        names = pair.lose(LOST // 2, kind="orphan")
        pair.stand(dict.fromkeys(names, "unknown"))
        before = pair.lists_read()
        assert wait_until(lambda: pair.lists_read() > before)
        pair.workers["one"].kill()
    pair.stand(dict.fromkeys(names, "captured"))

    assert wait_until(lambda: pair.looking() == ["one", "two"])


def test_a_late_charge_may_wait_for_a_person(pair: Pair) -> None:
    """The other rule: a charge that arrives after all is told as conflicted, and stands in the review list."""
    pair.only_two()
    late = pair.cast["stuck"]
    number = pair.installation.entries()[late.payment_id].invoice_number
    assert number is not None
    pair.merchant.charge(number, amount=late.money.decimal_text())
    pair.stand({"stuck": "conflicted"})

    assert ["failed", "conflicted"] == pair.news("stuck")
    reads = engine(pair.door.stage.journal_url, role="review", pool_size=1)
    try:
        found = review.waiting(reads, asked=9, held_for_s=3600)
    finally:
        reads.dispose()
    assert [(late.payment_id, review.Cause.CONFLICTED)] == [
        (it.payment_id, it.cause) for it in found
    ]


def test_an_authorisation_past_its_time_is_told(pair: Pair) -> None:
    """Nobody captured it: the gateway let it go, and the order hears of it."""
    pair.only_two()
    pair.paid("forgotten", mode=Mode.AUTHORISE)
    pair.gateway(cut_off="none")
    pair.clock(days=31)
    _a_day_passes(pair.door.stage)
    pair.stand({"forgotten": "expired"})

    assert ["authorized", "expired"] == pair.news("forgotten")
    pair.orders("forgotten", "AUTHORIZED", "PAYMENT_FAILED")


def _a_day_passes(stage: Stage) -> None:
    """The gateway's clock can be moved, the database's cannot."""
    with psycopg.connect(stage.journal_url) as connection:
        connection.execute(
            "UPDATE payment SET expires_at = expires_at - interval '25 hours' WHERE expires_at IS NOT NULL"
        )


def test_the_books_of_it_all(pair: Pair) -> None:
    """Gateway, journal, db-service and events say the same; what waits for a person still does."""
    assert pair.installation.rests()
    verdict = pair.installation.books()
    told: dict[str, Any] = {name: pair.news(name)[-1] for name in ("late", "stuck")}

    assert [] == verdict.differences
    assert [] == verdict.waiting
    assert {"late": "voided", "stuck": "conflicted"} == told
    assert {"settled", "returned", "voided", "expired", "captured"} < set(verdict.states)
