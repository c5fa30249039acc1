"""Commands about payments that exist, and a stage on which their passage plays on doubles. No test lives here."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import count
from typing import Any, Final

from avro.catalog import Catalog
from avro.commands import to_command
from avro.reader import Reader
from handlers.domain.commands import (
    CapturePayment,
    Command,
    Mode,
    RefundPayment,
    Request,
    Ruling,
    VerifyPayment,
    VoidPayment,
)
from handlers.domain.facts import Standing
from handlers.domain.money import Money
from handlers.domain.payments import Payment
from handlers.domain.payments import Request as Known
from handlers.domain.recovery import Stage
from handlers.domain.states import PaymentState, RequestState
from handlers.ports import Message, Operation, Origin
from tests.doubles.gateway import Booking
from tests.doubles.values import APPROVED, MIDNIGHT, captured, operation
from tests.doubles.world import World
from worker.routes import COMMANDS

PAYMENT_ID: Final = "pay-asked"
USER: Final = f"usr-of-{PAYMENT_ID}"
INVOICE: Final = f"INV-{PAYMENT_ID}"
TOTAL: Final = 1234
RULED: Final = Ruling(happened=True, by="ann", why="seen in the merchant interface")
DENIED_BY_A_PERSON: Final = replace(RULED, happened=False)
_numbers = count(1)
_READER: Final = Reader(Catalog())
_BY_ID: Final = {"user_id": USER, "payment_id": PAYMENT_ID, "issued_at": MIDNIGHT}


def capture(amount_minor: int | None = None, **changes: Any) -> CapturePayment:
    """A capture of so much of the payment, or of all of it."""
    given = {"capture_id": f"cap-{next(_numbers)}", "amount_minor": amount_minor}
    return CapturePayment(**{**_BY_ID, **given, **changes})


def void(**changes: Any) -> VoidPayment:
    """A void of the payment."""
    return VoidPayment(**{**_BY_ID, "void_id": f"void-{next(_numbers)}", **changes})


def refund(amount_minor: int = TOTAL, **changes: Any) -> RefundPayment:
    """A refund of so much of the payment."""
    given = {"refund_id": f"re-{next(_numbers)}", "money": Money(amount_minor, "USD")}
    return RefundPayment(**{**_BY_ID, **given, "reason": "broken", **changes})


def verification(ruling: Ruling | None = None, **changes: Any) -> VerifyPayment:
    """A question about the payment, or a person's ruling."""
    given = {"verification_id": f"ver-{next(_numbers)}", "ruling": ruling}
    return VerifyPayment(**{**_BY_ID, **given, **changes})


def in_state(state: PaymentState, **changes: Any) -> Payment:
    """The payment in `state`, with the totals that such a one has; `changes` beside them."""
    bare = {"authorised_minor": 0, "captured_minor": 0}
    only_authorised = {"captured_minor": 0}
    totals: dict[PaymentState, dict[str, Any]] = {
        PaymentState.REQUESTED: {**bare, "transaction_id": None, "version": 0, "state_version": 0},
        PaymentState.AUTHORIZED: only_authorised,
        PaymentState.VOIDED: only_authorised,
        PaymentState.EXPIRED: only_authorised,
        PaymentState.VERIFIED: {"authorised_minor": 1, "captured_minor": 0},
        PaymentState.PARTIALLY_REFUNDED: {"refunded_minor": 200},
        PaymentState.REFUNDED: {"refunded_minor": TOTAL},
    }
    for state_of_none in (
        PaymentState.DECLINED,
        PaymentState.REFUSED,
        PaymentState.FAILED,
        PaymentState.HELD,
        PaymentState.UNKNOWN,
    ):
        totals[state_of_none] = bare
    return captured(PAYMENT_ID, state=state, **{**totals.get(state, {}), **changes})


def asked(of: Request, payment: Payment, **changes: Any) -> Operation:
    """The operation of `of`, about `payment` as it stands now."""
    amount = of.money.amount_minor if isinstance(of, RefundPayment) else 0
    if isinstance(of, CapturePayment):
        amount = of.amount_minor or 0
    known = Known(of.kind, of.request_id, amount, why=of.reason)
    origin = Origin(Mode.AUTHORISE, "main", invoice_number=INVOICE, since=MIDNIGHT)
    base: dict[str, Any] = {"payment": payment, "request": known, "origin": origin}
    return operation(of, **{**base, **changes})


@dataclass
class Desk:
    """One payment that is known to journal and gateway, and the requests about it, one after the other.

    The journal's double keeps no lines: the desk gives the payment, as it stands, from one operation to the next.
    """

    payment: Payment = field(default_factory=lambda: in_state(PaymentState.CAPTURED))
    standing: Standing = Standing.TAKEN
    world: World = field(default_factory=World)

    def __post_init__(self) -> None:
        minor = self.payment.captured_minor or self.payment.authorised_minor
        money = Money(minor, self.payment.money.currency)
        known = {"money": money, "invoice_number": INVOICE, "method": APPROVED.method}
        self.row: Booking = self.world.gateway.has(APPROVED.transaction_id, self.standing, **known)
        self.world.records.stored[PAYMENT_ID] = self.payment, MIDNIGHT

    @classmethod
    def on(cls, world: World, *, payment: Payment, row: Booking) -> "Desk":
        """The desk of somebody who comes later, to a gateway that knows the charge already."""
        desk = cls.__new__(cls)
        desk.world, desk.payment, desk.row, desk.standing = world, payment, row, row.standing
        return desk

    def take(self, of: Request, **changes: Any) -> str:
        """Admit it; its operation's id."""
        self.world.journal.admit(asked(of, self.payment, **changes))
        return of.operation_id

    def at(self, operation_id: str) -> Operation:
        """The operation on disk."""
        return self.world.row(operation_id).operation

    def request(self, operation_id: str) -> Known:
        """Its request on disk."""
        request = self.at(operation_id).request
        assert request is not None
        return request

    async def once(self, operation_id: str) -> Operation:
        """Carry it once from where it stands, when it is due; a deferred one is put back in line before."""
        self.world.pass_due(operation_id)
        row = self.world.row(operation_id)
        if row.operation.stage is Stage.DEFERRED:
            row.operation = replace(row.operation, stage=Stage.ADMITTED)
            row.due_at = None
        number = self.world.journal.load(operation_id).attempt
        row.operation = replace(row.operation, payment=self.payment, attempt=number)
        try:
            await self.world.again(operation_id)
        finally:  # a power cut takes nothing of it away
            self.payment = self.at(operation_id).payment
        return self.at(operation_id)

    async def done(self, of: Request | str, *, most: int = 20, **changes: Any) -> Known:
        """Carry a command until it is concluded or deferred."""
        operation_id = of if isinstance(of, str) else self.take(of, **changes)
        for _ in range(most):
            at = await self.once(operation_id)
            if at.stage in {Stage.CONCLUDED, Stage.DEFERRED}:
                return self.request(operation_id)
        raise AssertionError(f"{operation_id} is {at.stage}: {self.world.row(operation_id).why}")

    async def until(self, of: Request, wanted: Callable[[Operation], bool]) -> str:
        """Carry a command until it is as `wanted`; its operation's id."""
        operation_id = self.take(of)
        for _ in range(20):
            if wanted(await self.once(operation_id)):
                return operation_id
        raise AssertionError(self.world.row(operation_id).why)

    def goes_on(self, command: Command, *, after: str) -> str:
        """Admit what the worker itself asked for: a continuation takes over the reserve."""
        assert isinstance(command, RefundPayment | VoidPayment)
        reserved = 0
        if isinstance(command, RefundPayment) and command.goes_on == after:
            before = self.request(after)
            reserved = before.reserved_minor if before.state is RequestState.CONTINUED else 0
        operation_id = self.take(command)
        row = self.world.row(operation_id)
        request = replace(self.request(operation_id), reserved_minor=reserved)
        row.operation = replace(row.operation, request=request)
        return operation_id

    def commands(self) -> list[tuple[str, Command]]:
        """(event id, command) of each command that was published."""
        return [
            (it.event_id, decoded(it)) for it in self.world.journal.outbox if it.topic in COMMANDS
        ]

    def settle(self, at: datetime | None = None) -> None:
        """The nightly batch, at the clock's time."""
        self.world.gateway.settle(at or self.world.clock.at)

    def refunded_minor(self) -> int:
        """What really went back at the gateway, by refunds or by the void of what was captured."""
        gone = {Standing.VOIDED, Standing.DECLINED, Standing.EXPIRED}
        book = self.world.gateway.book.values()
        back = sum(it.money.amount_minor for it in book if it.original and it.standing not in gone)
        return back + (self.row.money.amount_minor if self.row.standing is Standing.VOIDED else 0)


def authorized() -> Desk:
    """A payment that is reserved."""
    return Desk(in_state(PaymentState.AUTHORIZED), Standing.RESERVED)


def unsettled() -> Desk:
    """A payment that is captured, and not settled yet."""
    return Desk(in_state(PaymentState.CAPTURED), Standing.TAKEN)


def settled() -> Desk:
    """A payment that is settled."""
    return Desk(in_state(PaymentState.SETTLED), Standing.SETTLED)


def asking(of: Operation) -> bool:
    """Told as pending; the gateway is asked."""
    return of.stage is Stage.ASKING


def decoded(message: Message) -> Command:
    """The command that a record asks for."""
    assert message.value is not None
    return to_command(_READER.read(message.topic, message.value), kind=message.topic)


def balanced(payment: Payment) -> bool:
    """What the journal's CHECKs hold: together never more than there is, and nothing below zero."""
    return (
        0 <= payment.capturing_minor
        and 0 <= payment.captured_minor
        and payment.captured_minor + payment.capturing_minor <= payment.authorised_minor
        and 0 <= payment.refunding_minor
        and 0 <= payment.refunded_minor
        and payment.refunded_minor + payment.refunding_minor <= payment.captured_minor
    )
