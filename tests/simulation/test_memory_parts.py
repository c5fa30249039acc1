"""The real passage between the memory gateway and the memory db-service, under every fault of theirs: the books agree.

One worker on the journal's double, so nothing of sessions, Kafka or take-overs: what is shown is that the two parts and
the auditor fit each other, and that honest work breaks no promise, whatever the gateway and the db-service do.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, time, timedelta
from itertools import count
from random import Random
from typing import Any, Final

import pytest

from avro.catalog import Catalog
from avro.reader import Reader
from handlers.domain.commands import (
    CapturePayment,
    Command,
    Mode,
    RefundPayment,
    VerifyPayment,
    VoidPayment,
)
from handlers.domain.intents import Intent
from handlers.domain.means import OpaqueData
from handlers.domain.money import Money
from handlers.domain.payments import Payment, Request
from handlers.domain.recovery import Stage
from handlers.domain.secret import Secret
from handlers.domain.states import UNDECIDED
from handlers.gateway.authorizenet.settings import CutOff
from handlers.passage import House, carry
from handlers.ports import Lost, Message, Moved, Operation, Origin, Queued, Rules, Wait
from tests.doubles.clock import ClockDouble
from tests.doubles.journal import JournalDouble
from tests.doubles.values import RULES, command, operation, wire
from tests.simulation.auditor import audit
from tests.simulation.auditor_books import NOTICES, ORDERS, STATUS, Books, Row, Terms
from tests.simulation.memory_gateway import MemoryGateway
from tests.simulation.memory_gateway_faults import Dice, Odds
from tests.simulation.memory_gateway_ledger import GatewayRules, Ledger
from tests.simulation.memory_gateway_merchant import Merchant
from tests.simulation.memory_records import (
    MemoryDbService,
    MemoryRecords,
    RecordDice,
    RecordOdds,
)

_CUT_OFF: Final = CutOff(time(16), "UTC", through_after_s=4 * 3600.0)
_RULES: Final[Rules] = replace(RULES, ask_schedule_s=(5, 15, 45, 120, 300, 900, 3600))
_READER: Final = Reader(Catalog())
_WIRE: Final = wire()
_MOST_STEPS: Final = 400
_AGES: Final = 1e9  # this driver leaves off where only a person, or the night, can help
_ODDS: Final = Odds(
    unsent=0.05,
    lost_before=0.08,
    lost_after=0.08,
    late=0.05,
    hidden=0.05,
    twice=0.03,
    slow=0.05,
    locked_out=0.03,
    declined=0.05,
    soft=0.03,
    held=0.05,
    other_amount=0.03,
    bank=0.1,
    reads_fail=0.1,
    reads_gap=0.1,
    batches_fail=0.2,
    late_s=(61.0, 800.0),
)
_RECORD_ODDS: Final = RecordOdds(lost_before=0.05, lost_after=0.05, late=0.05)


class _Lease:
    def remaining_s(self) -> float:
        """For ever."""
        return 1e9


class _Journal(JournalDouble):
    """Numbers what it was told to publish, in one order with the other books."""

    def __init__(self, clock: ClockDouble, steps: "count[int]") -> None:
        super().__init__(clock)
        self.steps = steps
        self.told: list[tuple[int, Message]] = []

    async def conclude(
        self, operation: Operation, *, messages: Sequence[Message], wait: Wait | None
    ) -> Moved | Lost | Queued:
        """Publish at once."""
        concluded = await super().conclude(operation, messages=messages, wait=wait)
        if isinstance(concluded, Moved):
            self.told.extend((next(self.steps), message) for message in messages)
        return concluded


@dataclass
class _Run:
    """One worker, one payment at a time, in simulated time."""

    seed: int
    odds: Odds = _ODDS
    record_odds: RecordOdds = _RECORD_ODDS
    asked: list[Row] = field(default_factory=list)
    payments: dict[str, Payment] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        self.clock, self.steps = ClockDouble(), count(1)
        fates = Dice(self.random, self.odds)
        rules = GatewayRules(
            cut_off=_CUT_OFF,
            checks_amounts=bool(self.seed % 2),
            enhanced=bool(self.seed % 3),
            voids_after_cut_off=bool(self.seed % 5),
        )
        self.ledger = Ledger(rules, now=self.clock.now, fates=fates)
        self.service = MemoryDbService(now=self.clock.now, step=self.steps.__next__)
        self.journal = _Journal(self.clock, self.steps)
        gateway = MemoryGateway(
            self.ledger,
            lease=_Lease(),
            sleep=self.sleep,
            session="one",
            witness=self.known,
            step=self.steps.__next__,
        )
        record_fates = RecordDice(self.random, self.record_odds)
        records = MemoryRecords(self.service, fates=record_fates, sleep=self.sleep)
        self.house = House(gateway, self.journal, records, _WIRE, self.clock, _RULES)

    async def sleep(self, seconds: float) -> None:
        """Time passes."""
        self.clock.forward(seconds)

    def known(self, intent: Intent) -> dict[str, Any] | None:
        """What stands in the journal."""
        row = self.journal.rows[intent.operation_id]
        state = row.attempts.get(intent.attempt)
        inquiry = row.operation.inquiry
        if state is None or inquiry is None:
            return None
        return {"state": state, "invoice_number": inquiry.invoice_number, "session_id": "one"}

    async def initiate(self) -> Payment:
        """A payment, as far as it comes."""
        number = len(self.payments)
        means = OpaqueData("COMMON.ACCEPT.INAPP.PAYMENT", Secret(f"token-{self.seed}-{number}"))
        mode = self.random.choice((Mode.SALE, Mode.SALE, Mode.AUTHORISE, Mode.VERIFY))
        money = Money(1 if mode is Mode.VERIFY else self.random.randint(2, 9999), "USD")
        names = {"payment_id": f"p{number}", "order_id": f"o{number}", "user_id": f"u{number}"}
        now = self.clock.now()
        of = command(**names, means=means, mode=mode, money=money, issued_at=now)
        return await self._work(of, operation(of, inquiry=self._inquiry()))

    async def ask(self, payment: Payment) -> Payment:
        """A request about it."""
        number, now = len(self.asked), self.clock.now()
        by: dict[str, Any] = {"payment_id": payment.payment_id, "issued_at": now}
        minor = self.random.randint(1, max(1, payment.captured_minor))
        minor = payment.captured_minor or 1 if self.random.random() < 0.4 else minor
        of: Command = self.random.choice(
            (
                CapturePayment(**by, capture_id=f"c{number}"),
                VoidPayment(**by, void_id=f"v{number}"),
                RefundPayment(**by, refund_id=f"r{number}", money=Money(minor, "USD")),
                VerifyPayment(**by, verification_id=f"q{number}"),
            )
        )
        return await self._asked(of, payment)

    async def _asked(self, of: Any, payment: Payment) -> Payment:
        sent = self.journal.rows[f"initiation:{payment.payment_id}"].operation.inquiry
        assert sent is not None
        minor = of.money.amount_minor if isinstance(of, RefundPayment) else 0
        known = Request(of.kind, of.request_id, minor, why=of.reason)
        origin = Origin(
            Mode.SALE,
            sent.merchant_account or "",
            invoice_number=sent.invoice_number or "",
            since=sent.since,
        )
        base = operation(of, payment=payment, request=known, origin=origin, inquiry=self._inquiry())
        return await self._work(of, base)

    def _inquiry(self) -> Any:
        now = self.clock.now()
        inquiry = operation(command()).inquiry
        assert inquiry is not None
        return replace(inquiry, since=now, until=now, now=now)

    async def _work(self, of: Command, first: Operation) -> Payment:
        """Carry it until it is over, or for as long as is reasonable; then what follows it."""
        self.asked.append(
            {
                "topic": "t",
                "partition": 0,
                "offset": len(self.asked),
                "operation_id": of.operation_id,
                "payment_id": of.payment_id,
                "content": of.operation_id,
                "amount_minor": of.money.amount_minor if isinstance(of, RefundPayment) else None,
            }
        )
        self.journal.admit(first)
        row = self.journal.rows[of.operation_id]
        for _ in range(_MOST_STEPS):
            if row.operation.stage is Stage.DEFERRED:
                row.operation = replace(row.operation, stage=Stage.ADMITTED)
            number = self.journal.load(of.operation_id).attempt
            row.operation = replace(row.operation, attempt=number)
            await carry(self.journal.load(of.operation_id), self.house)
            if row.operation.stage is Stage.CONCLUDED or self._waits_for_a_person(row.operation):
                break
            due_at = row.due_at or self.clock.at
            self.clock.at = max(self.clock.at, due_at) + timedelta(milliseconds=1)
        payment = self.payments[of.payment_id] = row.operation.payment
        follow_up = row.operation.follow_up
        if row.operation.stage is Stage.CONCLUDED and follow_up is not None:
            return await self._asked(follow_up, payment)
        return payment

    def _waits_for_a_person(self, of: Operation) -> bool:
        if of.stage is not Stage.ASKING:
            return False
        held = of.request is None and of.payment.state in UNDECIDED
        return (held or of.request is not None) and (of.inquiry is None or of.inquiry.asked > 20)

    def books(self) -> Books:
        """Everything that was written down."""
        rows = self.journal.rows.values()
        return Books(
            asked=self.asked,
            events=[_event(n, message) for n, message in self.journal.told if _is_event(message)],
            recorded=self.service.payment_rows,
            ledger=self.ledger.told(),
            sends=self.ledger.sends,
            asks=self.ledger.asks,
            operations=[_operation(row.operation, row.due_at) for row in rows],
            payments=[_payment(it) for it in self.payments.values()],
            evidence=[
                {"operation_id": name, "session_id": "one"}
                for name, kept in self.journal.evidence.items()
                for _ in kept
            ],
            sessions=[{"session_id": "one", "gone_at": None}],
            now=self.clock.now().timestamp(),
            terms=Terms(decided_within_s=_AGES, slack_s=_AGES),
        )


_TOPICS: Final = (STATUS, ORDERS, NOTICES)


def _is_event(message: Message) -> bool:
    return message.topic in _TOPICS


def _event(n: int, message: Message) -> Row:
    """A message as a consumer decodes it, in the auditor's words."""
    told: dict[str, Any] = _READER.read(message.topic, message.value or b"")
    version = told["version"] if message.topic == STATUS else told["payment_version"]
    at: datetime = told["occurred_at"]
    occurred = {"occurred_at": at.timestamp()}
    return {**told, **occurred, "topic": message.topic, "version": version, "n": n} | {
        "repeat_of": "",
        "answers": (),
    }


def _operation(of: Operation, due_at: datetime | None) -> Row:
    request = of.request
    concluded = of.stage is Stage.CONCLUDED
    return {
        "operation_id": of.operation_id,
        "session_id": "one",
        "kind": of.command.kind.value,
        "payment_id": of.command.payment_id,
        "stage": of.stage.value,
        "request_state": None if request is None else request.state.value,
        "reserved_minor": 0 if request is None else request.reserved_minor,
        "reason_code": of.payment.reason.code if request is None else request.reason.code,
        "due_at": None if due_at is None or concluded else due_at.timestamp(),
    }


def _payment(of: Payment) -> Row:
    names = ("authorised", "captured", "capturing", "refunded", "refunding")
    totals = {f"{name}_minor": getattr(of, f"{name}_minor") for name in names}
    return {
        "payment_id": of.payment_id,
        "state": of.state.value,
        "version": of.version,
        **totals,
    }


async def _played(seed: int, **changes: Any) -> _Run:
    """Seven payments with up to three requests each, and a person at the gateway who decides what is held."""
    run = _Run(seed, **changes)
    merchant = Merchant(run.ledger)
    for _ in range(7):
        payment = await run.initiate()
        if payment.state.value == "held" and payment.transaction_id:
            merchant.decide(payment.transaction_id, approve=run.random.random() < 0.5)
        for _ in range(run.random.randrange(4)):
            payment = await run.ask(payment)
            run.clock.forward(run.random.choice((1.0, 600.0, 90_000.0)))
    return run


@pytest.mark.parametrize("seed", range(40))
async def test_honest_work_breaks_no_promise(seed: int) -> None:
    """Lost, late, doubled and slow answers, declines, holds, gaps, nights, and a db-service that forgets to answer."""
    run = await _played(seed)
    assert [] == [str(it) for it in audit(run.books())]
    assert run.ledger.sends
