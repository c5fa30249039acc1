"""A payment as the db-service takes it, and what the db-service answers: the shapes of `openapi.yaml` that we use.

No HTTP here. Unknown members of an answer are let pass, as the document asks of its readers.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from handlers.domain.errors import WorkerError
from handlers.domain.payments import NO_REASON, Payment
from handlers.domain.verdicts import Method

MOST_ITEMS: Final = 500  # of one batch
MOST_TEXT: Final = 255
_LAST4: Final = re.compile(r"[0-9A-Z]{4}")


class UnreadableError(WorkerError):
    """An answer that is not what the document promises. Its text never quotes the answer."""


class MethodBody(msgspec.Struct, frozen=True, kw_only=True):
    """What may be shown of the means of payment."""

    kind: str
    brand: str | None
    last4: str | None


class PaymentBody(msgspec.Struct, frozen=True, kw_only=True):
    """A payment's full snapshot."""

    payment_id: str
    order_id: str
    user_id: str
    amount_minor: int
    currency: str
    payment_status: str
    state: str
    authorised_minor: int
    captured_minor: int
    refunded_minor: int
    version: int
    occurred_at: datetime
    payment_method: MethodBody | None
    transaction_id: str | None
    reason_code: str | None
    reason_text: str | None
    advice: str | None


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A payment as the service has it: what is compared where it has our version with other content.

    Texts and times are left out: they may differ after the journal was restored and the gateway asked again.
    """

    payment_id: str
    order_id: str
    user_id: str
    amount_minor: int
    currency: str
    payment_status: str
    state: str
    authorised_minor: int
    captured_minor: int
    refunded_minor: int
    version: int
    transaction_id: str | None = None


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """RFC 9457, as far as we act upon it."""

    code: str = ""
    field: str | None = None


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one item of a batch."""

    status: int
    problem: Problem | None = None


class _Results(msgspec.Struct, frozen=True):
    results: list[Result]


_FIELDS: Final = frozenset(PaymentBody.__struct_fields__ + MethodBody.__struct_fields__)
_RESULTS: Final = msgspec.json.Decoder(_Results)
_STORED: Final = msgspec.json.Decoder(Stored)


def payment_body(payment: Payment, *, occurred_at: datetime) -> PaymentBody:
    """The snapshot of `payment`; texts are cut at the contract's limit, empty ones are null. `occurred_at` is aware."""
    assert occurred_at.tzinfo is not None, "a naive time names no moment"
    has_reason = payment.reason != NO_REASON
    return PaymentBody(
        payment_id=payment.payment_id,
        order_id=payment.order_id,
        user_id=payment.user_id,
        amount_minor=payment.money.amount_minor,
        currency=payment.money.currency,
        payment_status=payment.status.value,
        state=payment.state.value,
        authorised_minor=payment.authorised_minor,
        captured_minor=payment.captured_minor,
        refunded_minor=payment.refunded_minor,
        version=payment.version,
        occurred_at=occurred_at.astimezone(UTC),
        payment_method=_method(payment.method),
        transaction_id=payment.transaction_id or None,
        reason_code=_text(payment.reason.code),
        reason_text=_text(payment.reason.text),
        advice=payment.reason.advice.value if has_reason else None,
    )


def _method(method: Method) -> MethodBody | None:
    if method == Method():
        return None
    shown = method.last4 if _LAST4.fullmatch(method.last4) else None
    return MethodBody(kind=_text(method.kind) or "", brand=_text(method.brand), last4=shown)


def _text(text: str) -> str | None:
    # A gateway's text may hold a NUL or half a surrogate pair: neither fits into JSON text that a database keeps.
    whole = text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
    return whole.replace("\0", "")[:MOST_TEXT] or None


def encode_batch(bodies: Sequence[PaymentBody]) -> bytes:
    """The body of `POST /outcomes`."""
    return msgspec.json.encode({"outcomes": [{"kind": "payment", "body": it} for it in bodies]})


def read_results(answer: bytes, *, count: int) -> list[Result]:
    """One result for each of `count` items. Raises UnreadableError."""
    try:
        results = _RESULTS.decode(answer).results
    except (msgspec.MsgspecError, UnicodeError):
        raise UnreadableError("its answer could not be read") from None
    if len(results) != count:
        raise UnreadableError(f"it answered for {len(results)} of {count} payments")
    return results


def read_stored(answer: bytes) -> Stored:
    """The payment that the service has. Raises UnreadableError."""
    try:
        return _STORED.decode(answer)
    except (msgspec.MsgspecError, UnicodeError):
        raise UnreadableError("its answer could not be read") from None


def differences(ours: PaymentBody, stored: Stored) -> tuple[str, ...]:
    """The names of the fields that differ in more than texts, times and the version."""
    names = (name for name in Stored.__struct_fields__ if name != "version")
    return tuple(name for name in names if getattr(ours, name) != getattr(stored, name))


def named_field(problem: Problem | None) -> str:
    """The field that a problem names where it is one of ours, else "": nothing of an answer is quoted."""
    name = ((problem.field if problem else None) or "").rsplit(".", 1)[-1]
    return name if name in _FIELDS else ""
