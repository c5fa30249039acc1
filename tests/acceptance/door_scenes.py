"""One run in which everything is reached that the worker may answer: scene by scene, through the front door. No claims.

The gateway begins half a year ago: what is to be too old is charged and settled then, and its clock is moved to today.
`play` publishes, waits for what is told, and goes on; what was told is judged in `test_front_door.py`. What the worker
must not know beforehand is done by `Merchant`, or by faults and settings of the simulator.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from db_client.audit import read_journal
from handlers.domain.commands import Mode, Ruling
from handlers.domain.means import OpaqueData, StoredProfile
from handlers.domain.money import Money
from handlers.domain.secret import Secret
from tests.acceptance.front_door import ACCEPT, AGO_D, LONG_AGO_D, SETTINGS, Cast
from tests.crash.installation import wait_until
from worker import wiring
from worker.demo.audit import settings_of
from worker.demo.stage import Stage


class Scenes(Cast):
    """The run."""

    def play(self) -> None:
        """All of it."""
        for scene in (
            self._before_their_payments,
            self._long_ago,
            self._refusals,
            self._declines,
            self._behind_our_back,
            self._captures,
            self._before_settlement,
            self._races,
            self._after_settlement,
            self._never_seen,
            self._nobody_answered,
            self._rulings,
        ):
            scene()

    def _before_their_payments(self) -> None:
        """A void that comes too early, and a refund of what never comes."""
        early = self.part("early")
        self.part("nobody")
        self.door.ask(self.asked("void", "early"), self.asked("refund", "nobody"))
        url = self.door.stage.journal_url
        assert wait_until(lambda: len(read_journal(url).requests) == 2)
        self.door.ask(early)
        self.stand({"early": "refused", "void-early": "processed"})

    def _long_ago(self) -> None:
        """Charged, settled and authorised half a year ago."""
        self.paid("too old")
        self.paid("expired", mode=Mode.AUTHORISE)
        self.paid("let go", mode=Mode.AUTHORISE)
        self.door.settle()
        self.clock(LONG_AGO_D - AGO_D)
        self.paid("too old there")
        self.door.settle()
        self.clock(AGO_D)
        self.door.ask(
            self.asked("refund", "too-old", part="too old"),
            self.asked("capture", "expired"),
            self.asked("void", "let-go", part="let go"),
        )
        self.stand(
            {
                "refund-too-old": "failed",
                "capture-expired": "failed",
                "void-let-go": "processed",
            }
        )

    def _refusals(self) -> None:
        """What is refused before anything is sent."""
        now = datetime.now(UTC)
        usd, euro = self.door.shop.command(0).money, Money(1000, "EUR")
        self.part("euro", money=euro)
        self.part("late", not_after=now - timedelta(seconds=1))
        self.part("old", issued_at=now - timedelta(days=2))
        self.cast["no order"] = replace(self.part("no order"), order_id="none-such")
        self.part("of another", seeded={"customer": {"user_id": "u-other", "email": "a@b.example"}})
        self.part("canceled", seeded={"status": "canceled"})
        self.part("paid before", seeded={"status": "paid"})
        self.part("in euro", seeded={"currency": "EUR"})
        self.part("dearer", seeded={"total_minor": 10 * usd.amount_minor + 1})
        self.paid("first")
        first = self.cast["first"]
        self.part("second", order_id=first.order_id, user_id=first.user_id, money=first.money)
        refused = (
            "euro", "late", "old", "no order", "of another", "canceled", "paid before", "in euro", "dearer",
            "second",
        )  # fmt: skip
        self.door.ask(*(self.cast[name] for name in refused))
        self.stand(dict.fromkeys(refused, "refused"))
        self.door.ask(
            self.asked("capture", "late"),
            self.asked("refund", "late"),
            self.asked("void", "late"),
            self.asked("verification", "late"),
            self.asked("void", "not-yours", part="first", user_id="u-other"),
        )
        self.stand(
            {
                "capture-late": "failed",
                "refund-late": "failed",
                "void-late": "processed",
                "verification-late": "processed",
                "void-not-yours": "failed",
            }
        )

    def _declines(self) -> None:
        """What the bank and the gateway refuse, and every way of not answering."""
        faults = {
            "hard": "reason_4",
            "fix": "reason_66",
            "review": "held_252",
            "lost": "lost_answer",
            "silent": "hang_after_charge",
            "gone": "reset_before_read",
            "page": "html_page_charged",
            "broken": "http_5xx_charged",
        }
        self.gateway(test_mode=True)
        self.door.ask(self.part("test"))
        self.stand({"test": "unknown"})
        self.gateway(test_mode=False)
        # It is tried again and again from now on; what is answered in test mode would be unknown.
        self.ask("refund", "too-old-there", part="too old there")
        self.stand({"refund-too-old-there": "deferred"})
        self.part("soft", declined=True)
        for name, fault in faults.items():
            self.part(name)
            self.script(fault, name)
        self.door.ask(*(self.cast[name] for name in ("soft", *faults)))
        self.stand(dict.fromkeys(("soft", "hard", "fix"), "declined"))
        self.stand({"review": "held"})
        self.stand(dict.fromkeys(("lost", "silent", "page", "broken"), "captured"))

    def _behind_our_back(self) -> None:
        """Somebody acts in the merchant interface before the gateway shows us what became of our charge."""
        self.gateway(list_lag_s=3600)
        names = ("captured", "captured in part", "twice")
        for name in names:
            self.part(name, mode=Mode.AUTHORISE)
            self.script("lost_answer", name)
        self.door.ask(*(self.cast[name] for name in names))
        self.stand(dict.fromkeys(names, "unknown"))
        self.merchant.act("priorAuthCaptureTransaction", self.transaction("captured"))
        self.merchant.act(
            "priorAuthCaptureTransaction", self.transaction("captured in part"), amount="1.00"
        )
        number = self.door.charge(self.cast["twice"])["invoiceNumber"]
        self.merchant.charge(number, amount="1.00")
        self.gateway(list_lag_s=0)
        self.stand(dict.fromkeys(names, "conflicted"))
        self.door.ask(
            self.asked("capture", "in-review", part="captured"),
            self.asked("refund", "in-review", part="captured"),
        )
        self.stand({"capture-in-review": "failed", "refund-in-review": "failed"})

    def _captures(self) -> None:
        """What may not be captured."""
        names = ("reserved", "above", "void there", "part there")
        self.paid(*names, mode=Mode.AUTHORISE)
        self.merchant.act("voidTransaction", self.transaction("void there"))
        self.merchant.act(
            "priorAuthCaptureTransaction", self.transaction("part there"), amount="1.00"
        )
        self.door.ask(
            self.asked("refund", "reserved"),
            self.asked("capture", "euro", part="reserved", currency="EUR"),
        )
        self.stand({"refund-reserved": "failed", "capture-euro": "failed"})
        self.door.ask(
            self.asked("capture", "reserved"),
            self.asked("capture", "above", minor=self.cast["above"].money.amount_minor + 1),
            self.asked("capture", "void-there", part="void there"),
            self.asked("capture", "part-there", part="part there"),
        )
        self.stand({"capture-reserved": "processed"})
        self.ask("capture", "again", part="reserved")
        self.stand(
            {
                "capture-again": "failed",
                "capture-above": "failed",
                "capture-void-there": "failed",
                "capture-part-there": "conflicted",
            }
        )
        self.ask("void", "above")
        self.stand({"void-above": "processed"})
        self.ask("void", "void-again", part="above")
        self.stand({"void-void-again": "processed"})

    def _before_settlement(self) -> None:
        """Refunds and voids of what is not settled."""
        self.paid("deferred", "whole", "gone there")
        self.merchant.act("voidTransaction", self.transaction("gone there"))
        self.door.ask(
            self.asked("refund", "deferred", minor=self.half("deferred")),
            self.asked("refund", "gone-there", part="gone there", minor=self.half("gone there")),
            self.asked("refund", "whole"),
        )
        self.stand(
            {
                "refund-deferred": "deferred",
                "refund-gone-there": "failed",
                "refund-whole": "processed",
            }
        )
        self.door.ask(
            self.asked("void", "under-way", part="deferred"),
            self.asked("refund", "above", part="deferred"),
        )
        whole = self.cast["deferred"].money.amount_minor
        self.door.ask(
            self.asked("refund", "euro", part="deferred", money=Money(whole, "EUR")),
            self.asked("refund", "whole-again", part="whole"),
        )
        self.stand(
            {
                "void-under-way": "failed",
                "refund-above": "failed",
                "refund-euro": "failed",
                "refund-whole-again": "failed",
            }
        )

    def _races(self) -> None:
        """The batch settles while voids are on their way."""
        self.paid("raced void", "raced refund")
        self.paid("raced there", mode=Mode.AUTHORISE)
        self.merchant.act("priorAuthCaptureTransaction", self.transaction("raced there"))
        for name in ("raced void", "raced refund", "raced there"):
            match = {"transactionType": "voidTransaction", "refTransId": self.transaction(name)}
            self.door.script({"match": match, "fault": "none", "latency_ms": 1900})
        self.door.ask(
            self.asked("void", "raced", part="raced void"),
            self.asked("refund", "raced", part="raced refund"),
            self.asked("void", "raced-there", part="raced there"),
        )
        stage = self.door.stage
        assert wait_until(lambda: not stage.gateway("GET", "/script")["rules"])
        self.door.settle()
        self.stand({"void-raced": "failed", "refund-raced": "processed"})
        self.stand({"void-raced-there": "failed", "raced void": "refunded"})
        self.ask("verification", "raced-there", part="raced there")  # as the refusal says
        self.stand({"verification-raced-there": "processed", "raced there": "settled"})

    def _after_settlement(self) -> None:
        """Refunds and voids of what is settled, returned or charged back."""
        profile = {"customerProfileId": "77", "paymentProfileId": "78", "account": ""}
        self.door.stage.gateway("POST", "/profiles", body={"profiles": [profile]})
        self.door.ask(self.part("digits", means=StoredProfile("77", "78")))
        self.stand({"digits": "captured"})
        self.part("bank", **_bank(self.door.numbers))
        self.part("returned", **_bank(self.door.numbers))
        self.door.ask(self.cast["bank"], self.cast["returned"])
        self.stand({"bank": "captured", "returned": "captured"})
        self.paid("charged back", "settled")
        self.door.settle()
        for path, name in (("return", "returned"), ("chargeback", "charged back")):
            self.door.stage.gateway("POST", f"/{path}/{self.transaction(name)}", body={})
        self.script(
            "reason_55", "settled",
            transactionType="refundTransaction", refTransId=self.transaction("settled"),
        )  # fmt: skip
        self.door.ask(
            *(self.asked("refund", name) for name in ("bank", "returned", "settled", "digits")),
            self.asked("refund", "charged-back", part="charged back"),
            self.asked("void", "settled"),
        )
        self.stand(
            {
                "refund-bank": "deferred",
                "refund-returned": "failed",
                "refund-charged-back": "failed",
                "refund-settled": "failed",
                "refund-digits": "failed",
                "void-settled": "failed",
                "refund-deferred": "processed",
            }
        )
        self.ask("verification", "settled")
        self.stand({"verification-settled": "processed"})

    def _never_seen(self) -> None:
        """The gateway does not show a charge: after so many looks over so long a time it is told so."""
        self.stand({"test": "failed", "gone": "failed"})  # proven absent, while its lists are whole
        self.paid("unseen")
        self.gateway(details_lag_s=3600)
        self.ask("refund", "unseen")
        name = f"refund:{self.name_of('refund-unseen')}"
        assert self.door.ear.hears(
            lambda: (
                _time_passes(self.door.stage, name) and self.door.ear.request(name[7:]) == "failed"
            )
        )
        self.gateway(details_lag_s=0)

    def _nobody_answered(self) -> None:
        """A worker is killed while it waits for answers; the next one can only say that it does not know."""
        door = self.door
        self.paid("hung refund")
        door.settle()
        self.paid("hung void", "hung capture", mode=Mode.AUTHORISE)
        self.part("hung")
        self.script("hang_uncharged", "hung")
        for kind in ("capture", "void", "refund"):
            types = {"capture": "priorAuthCapture", "void": "void", "refund": "refund"}
            match = {
                "transactionType": f"{types[kind]}Transaction",
                "refTransId": self.transaction(f"hung {kind}"),
            }
            self.script("hang_uncharged", f"hung {kind}", **match)
        requests = ("capture", "void", "refund")
        asked = (self.asked(kind, "hung", part=f"hung {kind}") for kind in requests)
        door.ask(self.cast["hung"], *asked)
        assert wait_until(lambda: _hanging(door.stage) == 4)
        door.stage.workers[0].kill()
        door.installation.worker("heir", settings=SETTINGS)
        self.stand({"hung": "failed", "capture-hung": "processed", "void-hung": "processed"})
        self.stand({"refund-hung": "unknown"})

    def _rulings(self) -> None:
        """A person's word, signed: about what is contradicted, undecided, over, or needs none."""
        refund = f"refund:{self.name_of('refund-hung')}"
        self._rule("needless", part="first")
        self._rule("of-refund", part="hung refund", about=refund)
        self._rule("heeded", part="captured")
        self.stand(
            {
                "verification-needless": "failed",
                "verification-of-refund": "processed",
                "refund-hung": "failed",
                "verification-heeded": "processed",
            }
        )
        self._rule("overtaken", part="captured", late=1)
        self.stand({"verification-overtaken": "failed"})
        given_up = self.name_of("refund-too-old-there")
        assert self.door.ear.hears(
            lambda: "worker.not_refundable" in self.codes_of(given_up)
        )  # after several tries, a settlement's wait between them

    def _rule(self, name: str, *, part: str, about: str = "", late: int = 0) -> None:
        """Publish a ruling as `review decide` does, `late` versions ago."""
        payment = self.cast[part]
        ruling = Ruling(
            happened=not about,
            by="auditor",
            why="seen in the merchant interface",
            about=about,
            version=self.door.ear.statuses[payment.payment_id][-1]["version"] - late,
        )
        asked = self.door.shop.verification(f"verification-{name}", payment)
        wire = wiring.event_wire(settings_of(self.door.stage))
        message = wire.command(replace(asked, ruling=ruling), traceparent="")
        assert message.value is not None
        self.door.send([(message.topic, message.key, message.value, dict(message.headers))])


def _bank(number: int) -> dict[str, Any]:
    """A bank account, and an amount that the gateway takes from one."""
    token = OpaqueData(ACCEPT, Secret(f"bank-{number}"))
    return {"means": token, "money": Money(5000, "USD")}


def _hanging(stage: Stage) -> int:
    """How many calls the gateway has let hang."""
    faults: dict[str, int] = stage.gateway("GET", "/calls")["faults"]
    return faults.get("hang_uncharged", 0)


def _time_passes(stage: Stage, operation_id: str) -> bool:
    """Ten minutes of looks are not waited for: what waits is due now, and was asked for that much earlier."""
    with psycopg.connect(stage.journal_url) as connection:
        connection.execute(
            "UPDATE operation SET due_at = clock_timestamp(), since = since - interval '5 minutes'"
            " WHERE operation_id = %s AND stage IN ('admitted', 'deferred') AND due_at > clock_timestamp()",
            [operation_id],
        )
    return True
