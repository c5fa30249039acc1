"""The bodies of the db-service's API: shapes, limits, parsing.

They mirror the schemas of `db_client/openapi.yaml`. This is another program than the worker: nothing
of `worker/`, `handlers/`, `avro/` or `db_client/` is imported in this folder. No SQL, no HTTP here.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

MOST_ITEMS: Final = 500
MOST_MINOR: Final = 9_007_199_254_740_991  # what every JSON reader holds exactly

# The end is spelled `(?![\s\S])` because `$` lets a trailing newline pass. PostgreSQL refuses NUL.
Id = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[^/\x00-\x1f\x7f]+(?![\s\S])")]
Text = Annotated[str, Meta(max_length=255, pattern=r"^[^\x00]*(?![\s\S])")]
Minor = Annotated[int, Meta(ge=0, le=MOST_MINOR)]
Version = Annotated[int, Meta(ge=1, le=MOST_MINOR)]
Quantity = Annotated[int, Meta(ge=1, le=1_000_000)]
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}(?![\s\S])")]
Country = Annotated[str, Meta(pattern=r"^[A-Z]{2}(?![\s\S])")]
Last4 = Annotated[str, Meta(pattern=r"^[0-9A-Z]{4}(?![\s\S])")]
Time = Annotated[datetime, Meta(tz=True)]

PaymentStatus = Literal["pending", "success", "failure"]
RefundStatus = Literal["initiated", "processed", "failed"]
RequestKind = Literal["capture", "void", "refund", "verification"]
Advice = Literal["hard", "soft", "fix", "review", "undecided"]
OrderStatus = Literal["draft", "payable", "paid", "canceled", "refunded"]


class Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all bodies have in common: frozen, named fields, nothing unknown."""


class Address(Body, frozen=True):
    """A postal address; what is not known is null."""

    first_name: Text | None = None
    last_name: Text | None = None
    company: Text | None = None
    street: Text | None = None
    city: Text | None = None
    region: Text | None = None
    postal_code: Text | None = None
    country: Country | None = None


class Customer(Body, frozen=True):
    """A user; within an order, as the user was when the order was placed."""

    user_id: Id
    email: Text
    first_name: Text | None = None
    last_name: Text | None = None
    phone: Text | None = None
    billing_address: Address | None = None
    shipping_address: Address | None = None


class Line(Body, frozen=True):
    """One line of an order."""

    sku: Text
    name: Text
    quantity: Quantity
    unit_minor: Minor


class Order(Body, frozen=True):
    """An order with its customer."""

    order_id: Id
    customer: Customer
    status: OrderStatus
    currency: Currency
    total_minor: Minor
    paid_minor: Minor
    tax_minor: Minor
    lines: Annotated[list[Line], Meta(max_length=500)]


class PaymentMethod(Body, frozen=True):
    """What may be shown of the means of payment."""

    kind: Text
    brand: Text | None = None
    last4: Last4 | None = None


class PaymentRequest(Body, frozen=True):
    """Which request a payment's news was about, and how that stands."""

    kind: RequestKind
    request_id: Id
    state: Text


class Payment(Body, frozen=True):
    """A payment's full snapshot."""

    payment_id: Id
    order_id: Id
    user_id: Id
    amount_minor: Minor
    currency: Currency
    payment_status: PaymentStatus
    state: Text
    authorised_minor: Minor
    captured_minor: Minor
    refunded_minor: Minor
    version: Version
    occurred_at: Time
    payment_method: PaymentMethod | None = None
    transaction_id: Text | None = None
    reason_code: Text | None = None
    reason_text: Text | None = None
    advice: Advice | None = None
    expires_at: Time | None = None
    marks: Annotated[list[Text], Meta(max_length=20)] = []
    request: PaymentRequest | None = None

    def __post_init__(self) -> None:
        """Refuses a time that is not in UTC."""
        _check_utc("occurred_at", self.occurred_at)
        _check_utc("expires_at", self.expires_at)


class Refund(Body, frozen=True):
    """A refund's full snapshot."""

    refund_id: Id
    payment_id: Id
    amount_minor: Minor
    currency: Currency
    refund_status: RefundStatus
    state: Text
    version: Version
    occurred_at: Time
    reason: Text | None = None
    reason_code: Text | None = None
    reason_text: Text | None = None
    advice: Advice | None = None
    due_at: Time | None = None
    transaction_id: Text | None = None

    def __post_init__(self) -> None:
        """Refuses a time that is not in UTC."""
        _check_utc("occurred_at", self.occurred_at)
        _check_utc("due_at", self.due_at)


Outcome: TypeAlias = Payment | Refund


class PaymentItem(Body, frozen=True, tag_field="kind", tag="payment"):
    """An item of a batch that carries a payment."""

    body: Payment


class RefundItem(Body, frozen=True, tag_field="kind", tag="refund"):
    """An item of a batch that carries a refund."""

    body: Refund


Item: TypeAlias = PaymentItem | RefundItem


class Batch(Body, frozen=True):
    """A batch whose items are not read yet, so that a bad one does not hold up the others."""

    outcomes: Annotated[list[msgspec.Raw], Meta(max_length=MOST_ITEMS)]


class GoodBatch(Body, frozen=True):
    """A batch that is read in one go: the fast path, taken first."""

    outcomes: Annotated[list[Item], Meta(max_length=MOST_ITEMS)]


class BrokenRuleError(Exception):
    """A body or parameter breaks a rule.

    It is the one exception that travels here: msgspec raises anyway, and the HTTP border turns
    both into the same problem.
    """

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}")
        self.field = field
        self.rule = rule


def broken_rule(error: msgspec.ValidationError) -> BrokenRuleError:
    """Turns msgspec's sentence into the field at fault (dotted path) and the rule."""
    rule, _, path = str(error).partition(" - at `")
    field = path.rstrip("`").removeprefix("$").removeprefix(".")
    if rule.startswith(_NAMES_A_FIELD):
        name = rule.rsplit("`", 2)[1]
        return BrokenRuleError(f"{field}.{name}" if field else name, rule)
    if rule.startswith(_TIME_RULE):
        name = rule.rsplit("`", 2)[1]
        field = f"{field}.{name}" if field else name
    return BrokenRuleError(field or "body", rule)


_NAMES_A_FIELD: Final = ("Object contains unknown field", "Object missing required field")
_TIME_RULE: Final = "Expected a time in UTC"


def _check_utc(name: str, moment: datetime | None) -> None:
    if moment is not None and moment.utcoffset() != timedelta(0):
        raise ValueError(f"{_TIME_RULE} (RFC 3339 that ends in Z) in `{name}`")
