"""What a plan needs to know of the world, and what it may get: the order, and how a transaction stands today."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from handlers.domain.commands import Address, Line
from handlers.domain.intents import Question
from handlers.domain.money import Money
from handlers.domain.verdicts import NO_EVIDENCE, Evidence, Method


class Standing(StrEnum):
    """How a transaction stands at the gateway."""

    RESERVED = "reserved"  # authorised, not captured
    TAKEN = "taken"  # captured, not settled
    SETTLED = "settled"
    HELD = "held"
    VOIDED = "voided"
    EXPIRED = "expired"
    DECLINED = "declined"
    RETURNED = "returned"
    CHARGED_BACK = "charged_back"
    UNCLEAR = "unclear"  # on its way to another status, or one that we do not know


@dataclass(frozen=True, slots=True)
class Sight:
    """One transaction of the gateway as it stands today.

    `amount_minor` is what is captured, or what is authorised before that; None where it cannot be read. `settles_at` is
    when the batch that it waits for is surely through, `settled_at` when that was; None where it is not known.
    """

    transaction_id: str
    standing: Standing
    money: Money | None
    status: str
    method: Method = field(default_factory=Method)
    submitted_at: datetime | None = None
    settles_at: datetime | None = None
    settled_at: datetime | None = None
    evidence: Evidence = field(default_factory=lambda: NO_EVIDENCE)


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the gateway's lists. `money` is what it says of the amount; None where that cannot be read.

    `refunds`: it is a refund, so its standing is the refund's own.
    """

    transaction_id: str
    invoice_number: str
    standing: Standing
    refunds: bool
    money: Money | None


@dataclass(frozen=True, slots=True)
class Order:
    """An order as the db-service has it."""

    order_id: str
    user_id: str
    status: str
    money: Money
    paid_minor: int = 0
    tax_minor: int = 0
    billing: Address = field(default_factory=Address)
    shipping: Address = field(default_factory=Address)
    email: str = ""
    lines: tuple[Line, ...] = ()


@dataclass(frozen=True, slots=True)
class Needs:
    """What a plan must know before it is made. None: not needed."""

    order_id: str | None = None
    look: Question | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found of it. `order` is None where it was not asked for, or does not exist; `sight` likewise.

    `unseen` says why there is no sight of a transaction that was looked for.
    """

    order: Order | None = None
    sight: Sight | None = None
    unseen: str = ""
