"""What someone asks of this worker, decoded and checked. A command checks itself when it is made.

Every command names the payment that it is about and carries an id of its own; the two make the operation's id, so a
command that comes twice is one piece of work. No command has room for a card number; `card_numbers.py` refuses one that
hides in a text.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from handlers.domain.checks import (
    gateway_id,
    optional_platform_id,
    platform_id,
    short_text,
    with_zone,
)
from handlers.domain.errors import InvalidValueError
from handlers.domain.means import CardholderAuthentication, Means, StoredCredential, ids_of
from handlers.domain.money import MAX_MINOR, Money

_MAX_LINES: Final = 200


class Kind(StrEnum):
    """What a command asks for; also the first part of its operation's id."""

    INITIATION = "initiation"
    CAPTURE = "capture"
    VOID = "void"
    REFUND = "refund"
    VERIFICATION = "verification"


class Mode(StrEnum):
    """What a payment initiation asks for."""

    SALE = "sale"
    AUTHORISE = "authorise"
    VERIFY = "verify"  # is this means of payment good? An authorisation of nothing or one minor unit, then voided


@dataclass(frozen=True, slots=True)
class Address:
    """A billing or shipping address. Everything is optional; an empty text is left out."""

    first_name: str = ""
    last_name: str = ""
    company: str = ""
    address: str = ""
    city: str = ""
    state: str = ""
    zip: str = ""
    country: str = ""
    phone: str = ""
    email: str = ""

    def check(self, role: str) -> None:
        """Refuse a text that is too long; `role` is the field that this address stands in."""
        for name in ADDRESS_FIELDS:
            short_text(f"{role}.{name}", getattr(self, name))

    def over(self, other: "Address") -> "Address":
        """This address, or `other` where this one is empty. The two are never mixed: half of each is nobody's."""
        return other if self == _NO_ADDRESS else self


ADDRESS_FIELDS: Final = tuple(spec.name for spec in fields(Address))
_NO_ADDRESS: Final = Address()


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the order: what inventory acts upon."""

    sku: str
    name: str
    quantity: int
    unit_minor: int

    def __post_init__(self) -> None:
        short_text("lines.sku", self.sku)
        short_text("lines.name", self.name)
        if not self.sku:
            raise InvalidValueError("lines.sku", "must not be empty")
        if not 1 <= self.quantity <= 1_000_000:  # noqa: PLR2004 - the bound is the rule in the text beside it
            raise InvalidValueError("lines.quantity", "must be from 1 to 1000000")
        if not 0 <= self.unit_minor <= MAX_MINOR:
            raise InvalidValueError(
                "lines.unit_minor", f"must be from 0 to {MAX_MINOR} minor units"
            )


@dataclass(frozen=True, slots=True)
class InitiatePayment:
    """Charge (`sale`), reserve (`authorise`) or test (`verify`) `means`. One payment id is one such command, for ever.

    `tax_minor` is the tax within the amount.
    """

    payment_id: str
    order_id: str
    user_id: str
    money: Money
    mode: Mode
    means: Means
    issued_at: datetime
    not_after: datetime | None = None
    billing: Address = field(default_factory=Address)
    shipping: Address = field(default_factory=Address)
    customer_ip: str = ""
    description: str = ""
    lines: tuple[Line, ...] = ()
    tax_minor: int = 0
    stored_credential: StoredCredential | None = None
    cardholder_authentication: CardholderAuthentication | None = None

    def __post_init__(self) -> None:
        platform_id("payment_id", self.payment_id)
        platform_id("order_id", self.order_id)
        platform_id("user_id", self.user_id)
        with_zone("issued_at", self.issued_at)
        with_zone("not_after", self.not_after)
        self.billing.check("billing")
        self.shipping.check("shipping")
        short_text("description", self.description)
        short_text("customer_ip", self.customer_ip)
        if len(self.lines) > _MAX_LINES:
            raise InvalidValueError("lines", f"must be at most {_MAX_LINES}")
        if not 0 <= self.tax_minor <= MAX_MINOR:
            raise InvalidValueError("tax_minor", f"must be from 0 to {MAX_MINOR} minor units")
        if self.mode is Mode.VERIFY:
            if self.money.amount_minor > 1:
                raise InvalidValueError("amount_minor", "must be 0 or 1 to verify a means")
        elif self.money.amount_minor < 1:
            raise InvalidValueError("amount_minor", "must be at least 1 minor unit")

    @property
    def kind(self) -> Kind:
        """What is asked for."""
        return Kind.INITIATION

    @property
    def request_id(self) -> str:
        """The id of what is asked: the payment itself, so a second initiation is the same work."""
        return self.payment_id

    @property
    def operation_id(self) -> str:
        """The id of the work that this command stands for."""
        return initiation_of(self.payment_id)

    def ids(self) -> Iterator[tuple[str, str]]:
        """Every id with its field's name."""
        yield "payment_id", self.payment_id
        yield "order_id", self.order_id
        yield "user_id", self.user_id
        yield from ids_of(self.means)
        if self.stored_credential is not None:
            named = self.stored_credential.network_transaction_id
            yield "stored_credential.network_transaction_id", named
        for line in self.lines:
            yield "lines.sku", line.sku

    def texts(self) -> Iterator[tuple[str, str]]:
        """Every free text with its field's name: where a card number could hide. The means' value is sealed instead."""
        yield "description", self.description
        yield "customer_ip", self.customer_ip
        for name in ADDRESS_FIELDS:
            yield f"billing.{name}", getattr(self.billing, name)
            yield f"shipping.{name}", getattr(self.shipping, name)
        for line in self.lines:
            yield "lines.name", line.name


def initiation_of(payment_id: str) -> str:
    """The operation id of a payment's initiation."""
    return f"{Kind.INITIATION}:{payment_id}"


@dataclass(frozen=True, slots=True)
class _Request:
    """What every command about a payment that exists already has. `user_id`: who asks, empty where that is not said."""

    payment_id: str
    issued_at: datetime
    user_id: str = ""
    reason: str = ""

    def __post_init__(self) -> None:
        platform_id("payment_id", self.payment_id)
        platform_id(f"{self.kind}_id", self.request_id)
        optional_platform_id("user_id", self.user_id)
        with_zone("issued_at", self.issued_at)
        short_text("reason", self.reason)

    @property
    def kind(self) -> Kind:
        """What is asked for."""
        raise NotImplementedError

    @property
    def request_id(self) -> str:
        """The id of what is asked."""
        raise NotImplementedError

    @property
    def operation_id(self) -> str:
        """The id of the work that this command stands for."""
        return f"{self.kind}:{self.request_id}"

    @property
    def not_after(self) -> datetime | None:
        """No such command goes stale by itself."""
        return None

    def ids(self) -> Iterator[tuple[str, str]]:
        """Every id with its field's name."""
        yield "payment_id", self.payment_id
        yield f"{self.kind}_id", self.request_id
        yield "user_id", self.user_id

    def texts(self) -> Iterator[tuple[str, str]]:
        """Every free text with its field's name."""
        yield "reason", self.reason


@dataclass(frozen=True, slots=True, kw_only=True)
class CapturePayment(_Request):
    """Capture what was authorised; `amount_minor` None is all of it. The gateway takes one capture only.

    `currency`: what the caller counts in, None where that is not said.
    """

    capture_id: str
    amount_minor: int | None = None
    currency: str | None = None

    def __post_init__(self) -> None:
        _Request.__post_init__(self)
        if self.amount_minor is not None and not 1 <= self.amount_minor <= MAX_MINOR:
            raise InvalidValueError("amount_minor", f"must be from 1 to {MAX_MINOR} minor units")
        if self.currency is not None:
            Money(self.amount_minor or 0, self.currency)  # which checks the code

    @property
    def kind(self) -> Kind:
        """What is asked for."""
        return Kind.CAPTURE

    @property
    def request_id(self) -> str:
        """The id of what is asked."""
        return self.capture_id


@dataclass(frozen=True, slots=True, kw_only=True)
class VoidPayment(_Request):
    """Undo an authorisation, or a capture that is not settled yet, as a whole."""

    void_id: str

    @property
    def kind(self) -> Kind:
        """What is asked for."""
        return Kind.VOID

    @property
    def request_id(self) -> str:
        """The id of what is asked."""
        return self.void_id


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundPayment(_Request):
    """Give `money` back; `up_to`: that, or what is left of it.

    `continuation` counts the commands by which the worker itself goes on with one refund.
    """

    refund_id: str
    money: Money
    continuation: int = 1
    up_to: bool = False

    def __post_init__(self) -> None:
        _Request.__post_init__(self)
        if self.money.amount_minor < 1:
            raise InvalidValueError("amount_minor", "must be at least 1 minor unit")
        if not 1 <= self.continuation <= 9:  # noqa: PLR2004 - the bound is the rule in the text beside it
            raise InvalidValueError("continuation", "must be from 1 to 9")

    @property
    def kind(self) -> Kind:
        """What is asked for."""
        return Kind.REFUND

    @property
    def request_id(self) -> str:
        """The id of what is asked."""
        return self.refund_id

    @property
    def operation_id(self) -> str:
        """The id of the work that this command stands for; a continuation is work of its own."""
        first = f"{self.kind}:{self.refund_id}"
        return first if self.continuation == 1 else f"{first}#{self.continuation}"

    @property
    def goes_on(self) -> str | None:
        """The operation id of what this one goes on with; None where it is the first."""
        if self.continuation == 1:
            return None
        return replace(self, continuation=self.continuation - 1).operation_id


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a person decided about work that only a person can end: did it happen? `by` and `why` are kept for ever.

    `about` is the operation that it is about, "" the payment itself; `version` is the payment's when it was decided: a
    word about what has moved on meanwhile does not count. `transaction_id`: where to look for it at the gateway, which
    must confirm it.
    """

    happened: bool
    by: str
    why: str
    transaction_id: str = ""
    about: str = ""
    version: int = 0

    def __post_init__(self) -> None:
        for name in ("by", "why"):
            short_text(f"ruling.{name}", getattr(self, name))
            if not getattr(self, name).strip():
                raise InvalidValueError(f"ruling.{name}", "must not be empty")
        short_text("ruling.about", self.about)
        if self.transaction_id:
            gateway_id("ruling.transaction_id", self.transaction_id)


@dataclass(frozen=True, slots=True)
class Settlement:
    """A charge as it stands in a settled batch. Only the worker itself says so, never a record."""

    transaction_id: str
    money: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyPayment(_Request):
    """Ask the gateway what became of a payment and answer with a snapshot. `ruling` is an operator's word, signed.

    `settlement`: the finder saw in a settled batch that so much was taken; nobody needs to be asked. `other`: it saw
    this transaction under the payment's invoice number, which is not the one that we know.
    """

    verification_id: str
    ruling: Ruling | None = None
    settlement: Settlement | None = None
    other: str = ""

    @property
    def kind(self) -> Kind:
        """What is asked for."""
        return Kind.VERIFICATION

    @property
    def request_id(self) -> str:
        """The id of what is asked."""
        return self.verification_id

    def texts(self) -> Iterator[tuple[str, str]]:
        """Every free text with its field's name."""
        yield "reason", self.reason
        if self.ruling is not None:
            yield "ruling.by", self.ruling.by
            yield "ruling.why", self.ruling.why
            yield "ruling.about", self.ruling.about


Request = CapturePayment | VoidPayment | RefundPayment | VerifyPayment
Command = InitiatePayment | Request


def amount_of(request: Request) -> int | None:
    """What `request` is about in minor units; None where that is all there is, or nothing."""
    match request:
        case CapturePayment(amount_minor=amount_minor):
            return amount_minor
        case RefundPayment(money=money):
            return money.amount_minor
        case VoidPayment() | VerifyPayment():
            return None
