"""What we are about to do, on disk before we do it. An intent is frozen: the same one is sent, found and shown."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from handlers.domain.commands import Address, Line, Mode
from handlers.domain.means import CardholderAuthentication, Means, StoredCredential
from handlers.domain.money import Money
from handlers.domain.verdicts import Method


class About(StrEnum):
    """What an intent does, and what a question is about."""

    CHARGE = "charge"
    CAPTURE = "capture"
    VOID = "void"
    REFUND = "refund"


@dataclass(frozen=True, slots=True)
class Charge:
    """Send `money` off `means`: a sale (captured at once) or an authorisation.

    `invoice_number` (at most 20 characters) is derived, so that it can be computed again from the operation alone;
    it is the only key of ours by which the gateway's lists can be searched. `reference` (at most 20) comes back.
    `marks`: rules that it breaks in shadow. `claim`: the order that it claims for itself, "" none;
    `order_paid_minor`: what that order counts as paid by others, whose payments stand in its way no more.
    """

    about: ClassVar[About] = About.CHARGE
    operation_id: str
    attempt: int
    invoice_number: str
    reference: str
    mode: Mode
    money: Money
    means: Means
    merchant_account: str
    order_id: str
    user_id: str
    description: str = ""
    billing: Address = field(default_factory=Address)
    shipping: Address = field(default_factory=Address)
    customer_ip: str = ""
    lines: tuple[Line, ...] = ()
    tax_minor: int = 0
    stored_credential: StoredCredential | None = None
    cardholder_authentication: CardholderAuthentication | None = None
    marks: tuple[str, ...] = ()
    claim: str = ""
    order_paid_minor: int = 0


@dataclass(frozen=True, slots=True)
class Capture:
    """Capture `money` of the authorisation `transaction_id`."""

    about: ClassVar[About] = About.CAPTURE
    operation_id: str
    attempt: int
    invoice_number: str
    reference: str
    money: Money
    merchant_account: str
    transaction_id: str


@dataclass(frozen=True, slots=True)
class Void:
    """Undo `transaction_id` as a whole: an authorisation, or a capture that is not settled."""

    about: ClassVar[About] = About.VOID
    operation_id: str
    attempt: int
    invoice_number: str
    reference: str
    money: Money
    merchant_account: str
    transaction_id: str


@dataclass(frozen=True, slots=True)
class Refund:
    """Give `money` of the settled `transaction_id` back, to the `method` that it came from (its last four digits)."""

    about: ClassVar[About] = About.REFUND
    operation_id: str
    attempt: int
    invoice_number: str
    reference: str
    money: Money
    merchant_account: str
    transaction_id: str
    method: Method


Intent = Charge | Capture | Void | Refund


@dataclass(frozen=True, slots=True)
class Question:
    """A question to the gateway: what became of an intent, or how a charge stands.

    Asked by transaction id where one is known, by invoice number otherwise: captures and voids by the id of the charge,
    a refund by its own. `mode`: what the charge asked for. `since`: the earliest moment at which the gateway can have
    seen it (UTC); a scan must reach back to it.
    """

    merchant_account: str
    invoice_number: str
    money: Money
    mode: Mode
    since: datetime
    transaction_id: str | None = None
    about: About = About.CHARGE
