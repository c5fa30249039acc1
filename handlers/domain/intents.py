"""What we are about to do, on disk before we do it. An intent is frozen: the same one is sent, found and shown."""

from dataclasses import dataclass, field
from datetime import datetime

from handlers.domain.commands import Address, Line, Means, Mode
from handlers.domain.money import Money


@dataclass(frozen=True, slots=True)
class Charge:
    """Send `money` off `means`: a sale (captured at once) or an authorisation.

    `invoice_number` (at most 20 characters) is derived, so that it can be computed again from the operation alone;
    it is the only key of ours by which the gateway's lists can be searched. `reference` (at most 20) names the attempt.
    """

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
    customer_ip: str = ""
    lines: tuple[Line, ...] = ()


Intent = Charge


@dataclass(frozen=True, slots=True)
class Question:
    """What became of an intent? Asked by transaction id where one is known, by invoice number otherwise.

    `since`: the earliest moment at which the gateway can have seen it (UTC); a scan must reach back to it.
    """

    merchant_account: str
    invoice_number: str
    money: Money
    mode: Mode
    since: datetime
    transaction_id: str | None = None
