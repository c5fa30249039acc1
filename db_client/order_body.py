"""An order as the db-service answers it, made into `handlers.domain.facts.Order`: hostile until it is parsed.

Texts that only describe (names, addresses) lose their control characters and nothing else: a line break in an address
must not stop the shop. Whatever else breaks a rule makes the order strange, which is told with the field and the rule
and never with the content. No text of an order may hold a card number: it would go on to the gateway and the journal.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from db_client.outcome_body import MOST_TEXT, UnreadableError
from handlers.domain.card_numbers import holds_card_number, is_card_number
from handlers.domain.checks import short_text
from handlers.domain.commands import ADDRESS_FIELDS, Address, Line
from handlers.domain.errors import InvalidValueError
from handlers.domain.facts import Order
from handlers.domain.money import MAX_MINOR, Money

_Text = Annotated[str, Meta(max_length=MOST_TEXT)]
_Id = Annotated[str, Meta(min_length=1, max_length=MOST_TEXT)]
_Minor = Annotated[int, Meta(ge=0, le=MAX_MINOR)]
_Country = Annotated[str, Meta(pattern=r"^[A-Z]{2}(?![\s\S])")]
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]+")


@dataclass(frozen=True, slots=True)
class StrangeOrder:
    """An order that breaks the contract: `why` names the field and the rule."""

    why: str


class _Address(msgspec.Struct, frozen=True):
    first_name: _Text | None = None
    last_name: _Text | None = None
    company: _Text | None = None
    street: _Text | None = None
    city: _Text | None = None
    region: _Text | None = None
    postal_code: _Text | None = None
    country: _Country | None = None


class _Customer(msgspec.Struct, frozen=True):
    user_id: _Id
    email: _Text
    first_name: _Text | None = None
    last_name: _Text | None = None
    phone: _Text | None = None
    billing_address: _Address | None = None
    shipping_address: _Address | None = None


class _Line(msgspec.Struct, frozen=True):
    sku: _Text
    name: _Text
    quantity: int
    unit_minor: _Minor


class _Order(msgspec.Struct, frozen=True):
    order_id: _Id
    customer: _Customer
    status: Literal["draft", "payable", "paid", "canceled", "refunded"]
    currency: str
    total_minor: _Minor
    paid_minor: _Minor
    tax_minor: _Minor
    lines: Annotated[list[_Line], Meta(max_length=500)]


_FIELDS: Final = frozenset(
    name for shape in (_Order, _Customer, _Address, _Line) for name in shape.__struct_fields__
)
_SHAPE: Final = msgspec.json.Decoder(_Order)


def read_order(answer: bytes, *, order_id: str) -> Order | StrangeOrder:
    """The order that was asked for. Raises UnreadableError where the answer is not even JSON."""
    try:
        return _order(_SHAPE.decode(answer), order_id=order_id)
    except msgspec.ValidationError as error:
        return StrangeOrder(f"the field {_field_of(error)} is not what openapi.yaml says")
    except InvalidValueError as invalid:
        return StrangeOrder(str(invalid))
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise UnreadableError("its answer could not be read") from None


def _order(body: _Order, *, order_id: str) -> Order:
    customer = body.customer
    if body.order_id != order_id:
        raise InvalidValueError("order_id", "must be the id that was asked for")
    short_text("customer.user_id", customer.user_id)
    if body.tax_minor > body.total_minor:
        raise InvalidValueError("tax_minor", "must be at most total_minor")
    order = Order(
        order_id=body.order_id,
        user_id=customer.user_id,
        status=body.status,
        money=Money(body.total_minor, body.currency),
        paid_minor=body.paid_minor,
        tax_minor=body.tax_minor,
        billing=_billing(customer),
        shipping=_address(customer.shipping_address),
        email=_plain(customer.email),
        lines=tuple(Line(it.sku, _plain(it.name), it.quantity, it.unit_minor) for it in body.lines),
    )
    suspicious = [name for name, text in _texts(order) if holds_card_number(text)]
    suspicious += ["lines.sku" for line in order.lines if is_card_number(line.sku)]
    if suspicious:
        raise InvalidValueError(suspicious[0], "holds what looks like a card number")
    return order


def _billing(customer: _Customer) -> Address:
    """The billing address, under the customer's own name where it has none."""
    own = customer.billing_address or _Address()
    named = bool(own.first_name or own.last_name or own.company)
    return _address(
        own,
        first_name=_plain(own.first_name if named else customer.first_name),
        last_name=_plain(own.last_name if named else customer.last_name),
        phone=_plain(customer.phone),
    )


def _address(body: _Address | None, **known: str) -> Address:
    if body is None:
        return Address()
    fields = {
        "first_name": _plain(body.first_name),
        "last_name": _plain(body.last_name),
        "company": _plain(body.company),
        "address": _plain(body.street),
        "city": _plain(body.city),
        "state": _plain(body.region),
        "zip": _plain(body.postal_code),
        "country": body.country or "",
    }
    return Address(**fields | known)


def _plain(text: str | None) -> str:
    return _CONTROL.sub(" ", text or "").strip()


def _texts(order: Order) -> Iterator[tuple[str, str]]:
    yield "customer.email", order.email
    for name in ADDRESS_FIELDS:
        yield f"billing_address.{name}", getattr(order.billing, name)
        yield f"shipping_address.{name}", getattr(order.shipping, name)
    for line in order.lines:
        yield "lines.name", line.name


def _field_of(error: msgspec.ValidationError) -> str:
    """The field at fault. msgspec's own sentence may quote what was answered, so only names that we know are taken."""
    rule, _, path = str(error).partition(" - at `")
    missing = rule.rsplit("`", 2)
    if rule.startswith("Object missing required field") and len(missing) > 1:
        path = f"{path}.{missing[1]}"
    names = [name for name in re.split(r"[^a-z_0-9]+", path) if name in _FIELDS]
    return ".".join(names) or "order"
