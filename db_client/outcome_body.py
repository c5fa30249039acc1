"""Payments and refunds as the db-service takes them, and what it answers: the shapes of `openapi.yaml` that we use.

No HTTP here. Unknown members of an answer are let pass, as the document asks of its readers. Orders have a file of
their own (`order_body.py`); what a stored outcome means for ours is judged in `outcome_judging.py`.

A payment's snapshot names the request that its news was about. Two requests may leave a payment as it was (a refund
that waits, a verification), so without that name the news of the second would pass for the first one's, and would be
told under a version that consumers have heard already.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, TypeVar

import msgspec

from handlers.domain.commands import Kind
from handlers.domain.errors import WorkerError
from handlers.domain.payments import NO_REASON, Request, Snapshot
from handlers.domain.verdicts import Method, Reason

MOST_ITEMS: Final = 500  # of one batch
MOST_TEXT: Final = 255
MOST_MARKS: Final = 20
_LAST4: Final = re.compile(r"[0-9A-Z]{4}")


class UnreadableError(WorkerError):
    """An answer that is not what the document promises. Its text never quotes the answer."""


class MethodBody(msgspec.Struct, frozen=True, kw_only=True):
    """What may be shown of the means of payment."""

    kind: str
    brand: str | None
    last4: str | None


class RequestBody(msgspec.Struct, frozen=True, kw_only=True):
    """Which request a payment's news was about, and how that stands."""

    kind: str
    request_id: str
    state: str


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
    expires_at: datetime | None
    marks: tuple[str, ...]
    request: RequestBody | None


class RefundBody(msgspec.Struct, frozen=True, kw_only=True):
    """A refund's full snapshot. `reason` is the asker's, the others say why it stands where it stands."""

    refund_id: str
    payment_id: str
    amount_minor: int
    currency: str
    refund_status: str
    state: str
    version: int
    occurred_at: datetime
    reason: str | None
    reason_code: str | None
    reason_text: str | None
    advice: str | None
    due_at: datetime | None
    transaction_id: str | None


OutcomeBody = PaymentBody | RefundBody


class StoredPayment(msgspec.Struct, frozen=True, kw_only=True):
    """A payment as the service has it: what is compared where it has our version with other content.

    Texts, times and marks are left out: they may differ after the journal was restored and the gateway asked again.
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
    request: RequestBody | None = None


class StoredRefund(msgspec.Struct, frozen=True, kw_only=True):
    """A refund as the service has it, likewise."""

    refund_id: str
    payment_id: str
    amount_minor: int
    currency: str
    refund_status: str
    state: str
    version: int
    transaction_id: str | None = None


Stored = StoredPayment | StoredRefund


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a payment or refund that was recorded, as far as we ask for it."""

    state: str = ""
    request: RequestBody | None = None


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


class _PastItem(msgspec.Struct, frozen=True):
    body: Past


class _History(msgspec.Struct, frozen=True):
    items: list[_PastItem]


_FIELDS: Final = frozenset(
    PaymentBody.__struct_fields__
    + RefundBody.__struct_fields__
    + MethodBody.__struct_fields__
    + RequestBody.__struct_fields__
)
ShapeT = TypeVar("ShapeT")


def outcome_bodies(told: Snapshot, *, occurred_at: datetime) -> tuple[OutcomeBody, ...]:
    """The payment, and the refund where its news is about one. `occurred_at` is aware.

    Texts are cut at the contract's limit, empty ones are null.
    """
    assert occurred_at.tzinfo is not None, "a naive time names no moment"
    payment, at = _payment_body(told, occurred_at), told.request
    if at is None or at.kind is not Kind.REFUND:
        return (payment,)
    return payment, _refund_body(payment, at)


def _payment_body(told: Snapshot, occurred_at: datetime) -> PaymentBody:
    payment, request = told.payment, told.request
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
        advice=_advice(payment.reason),
        expires_at=_utc(payment.expires_at),
        marks=tuple(text for text in map(_text, payment.marks) if text)[:MOST_MARKS],
        request=None if request is None else _request_body(request),
    )


def _refund_body(payment: PaymentBody, request: Request) -> RefundBody:
    return RefundBody(
        refund_id=request.request_id,
        payment_id=payment.payment_id,
        amount_minor=request.amount_minor,
        currency=payment.currency,
        refund_status=request.status.value,
        state=request.state.value,
        version=payment.version,
        occurred_at=payment.occurred_at,
        reason=_text(request.why),
        reason_code=_text(request.reason.code),
        reason_text=_text(request.reason.text),
        advice=_advice(request.reason),
        due_at=_utc(request.due_at),
        transaction_id=request.transaction_id or None,
    )


def _request_body(request: Request) -> RequestBody:
    return RequestBody(
        kind=request.kind.value, request_id=request.request_id, state=request.state.value
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


def _advice(reason: Reason) -> str | None:
    return None if reason == NO_REASON else reason.advice.value


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC)


def encode_batch(bodies: Sequence[OutcomeBody]) -> bytes:
    """The body of `POST /outcomes`."""
    return msgspec.json.encode({"outcomes": [{"kind": _kind(it), "body": it} for it in bodies]})


def _kind(body: OutcomeBody) -> str:
    return "payment" if isinstance(body, PaymentBody) else "refund"


def read_results(answer: bytes, *, count: int) -> list[Result]:
    """One result for each of `count` items. Raises UnreadableError."""
    results = decoded(answer, _Results).results
    if len(results) != count:
        raise UnreadableError(f"it answered for {len(results)} of {count} items")
    return results


def read_payment(answer: bytes) -> StoredPayment:
    """The payment that the service has. Raises UnreadableError."""
    return decoded(answer, StoredPayment)


def read_refund(answer: bytes) -> StoredRefund:
    """The refund that the service has. Raises UnreadableError."""
    return decoded(answer, StoredRefund)


def read_history(answer: bytes) -> list[Past]:
    """What was recorded of a payment or refund, oldest first. Raises UnreadableError."""
    return [item.body for item in decoded(answer, _History).items]


def problem_code(answer: bytes) -> str:
    """The code of a problem, "" where the answer is none."""
    try:
        return decoded(answer, Problem).code
    except UnreadableError:
        return ""


def decoded(answer: bytes, shape: type[ShapeT]) -> ShapeT:
    """`answer` as `shape`. Raises UnreadableError."""
    try:
        return msgspec.json.decode(answer, type=shape)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise UnreadableError("its answer could not be read") from None


def named_field(problem: Problem | None) -> str:
    """The field that a problem names where it is one of ours, else "": nothing of an answer is quoted."""
    name = ((problem.field if problem else None) or "").rsplit(".", 1)[-1]
    return name if name in _FIELDS else ""
