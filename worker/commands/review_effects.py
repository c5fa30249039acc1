"""What a person's word does, said before it is given. The verbs' `rule` decides it; these are its words for people.

Legend of `_OF_AN_OPERATION`: what the operation last tried → (what `--happened` does, what `--did-not-happen` does).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from db_client.review import Cause, Waiting
from handlers.decisions import REFUND_DIFFERS
from handlers.domain.commands import Kind
from handlers.domain.states import TRANSITIONS, Fact, PaymentState
from worker.commands.terminal import amount

_ASKED: Final = (
    "The gateway is asked at once{where}; only what it shows counts. Does it not show it, nothing changes, and this"
    " stays on the list."
)
_NOT_CHARGED: Final = (
    "The payment ends as failed and is told so; it is never sent again, and its order may be paid by another payment."
    " Where the gateway approved it after all, it becomes conflicted."
)
_NOT_CAPTURED: Final = (
    "The capture ends as failed; the authorisation stays and may be captured by another request."
)
_NOT_VOIDED: Final = "The void ends as failed; the payment stays as it is."
_REFUNDED: Final = (
    "The refund counts as processed, on your word alone: {money} are booked as given back."
)
_REFUNDED_AS: Final = (
    "The gateway is asked for the refund under transaction {transaction_id}, and must confirm it."
    " Does it not show it, nothing changes, and this stays on the list."
)
_NOT_REFUNDED: Final = (
    "The refund ends as failed, and its {money} may be refunded by another request. If the money did leave, it can"
    " leave twice: look for it in the merchant interface first, the settled batches included."
)
_CHARGE: Final = (_ASKED, _NOT_CHARGED)
_CAPTURE: Final = (_ASKED, _NOT_CAPTURED)
_VOID: Final = (_ASKED, _NOT_VOIDED)
_REFUND: Final = (_REFUNDED, _NOT_REFUNDED)
_OF_AN_OPERATION: Final[Mapping[tuple[Kind, str], tuple[str, str]]] = MappingProxyType(
    {
        (Kind.INITIATION, ""): _CHARGE,
        (Kind.INITIATION, "charge"): _CHARGE,
        (Kind.CAPTURE, ""): _CAPTURE,
        (Kind.CAPTURE, "capture"): _CAPTURE,
        (Kind.VOID, ""): _VOID,
        (Kind.VOID, "void"): _VOID,
        (Kind.REFUND, ""): _REFUND,
        (Kind.REFUND, "refund"): _REFUND,
        (Kind.REFUND, "void"): (_ASKED, _NOT_REFUNDED),
    }
)
_IT_COUNTS: Final = (
    "The payment counts as {state} with what is known to have moved. To give money back, ask for a refund or a void"
    " afterwards."
)
_IT_FAILED: Final = (
    "The payment ends as failed and is told so. Void or refund it in the merchant interface first, where the gateway"
    " did take something."
)
_REFUND_DIFFERS: Final = (
    "The payment counts as captured again, whichever word you give: what is in doubt is the refund. Its amount stays"
    " reserved, so that it is not given back twice; set the difference right in the merchant interface."
)
_KEPT: Final = "Nothing moves: the payment is not conflicted. Your word is kept beside it, and this leaves the list."
_WITH_ITS_PAYMENT: Final = "It is decided together with its payment: `review decide {payment_id}`."
_NEITHER: Final = (
    "A person cannot decide this: it only asks. It ends by itself when the gateway answers."
)
_HELD: Final = " Approve or decline it in the merchant interface: the gateway ends it, and the worker sees that."


def effect(of: Waiting, *, happened: bool, transaction_id: str = "") -> str:
    """What the word does; empty where a person cannot decide it."""
    text = _effect(of, happened=happened, transaction_id=transaction_id)
    if not text:
        return ""
    where = f" under transaction {transaction_id}" if transaction_id else ""
    said = text.format(
        where=where,
        money=amount(of.amount_minor, of.currency),
        transaction_id=transaction_id,
        payment_id=of.payment_id,
        state="captured" if of.captured_minor else "authorized",
    )
    if of.state == PaymentState.HELD.value:
        said += _HELD
    return said


def _effect(of: Waiting, *, happened: bool, transaction_id: str) -> str:
    if of.cause is Cause.CONFLICTED and of.reason_code == REFUND_DIFFERS:
        return _REFUND_DIFFERS
    if of.cause is Cause.CONFLICTED:
        return _IT_COUNTS if happened else _IT_FAILED
    if of.cause is Cause.REQUEST_CONFLICTED:
        return "" if of.payment_conflicted else _KEPT
    pair = _OF_AN_OPERATION.get((of.kind, of.tried))
    if pair is None or (pair is _CHARGE and not happened and not _may_fail(of)):
        return ""
    if happened and transaction_id and pair is _REFUND:
        return _REFUNDED_AS
    return pair[0 if happened else 1]


def _may_fail(of: Waiting) -> bool:
    """Whether a person's no brings news to the payment as it stands."""
    return (PaymentState(of.state), Fact.RULED_NOT_CHARGED) in TRANSITIONS


def why_not(of: Waiting) -> str:
    """What to do where a person cannot decide it by itself."""
    if of.cause is Cause.REQUEST_CONFLICTED:
        return _WITH_ITS_PAYMENT.format(payment_id=of.payment_id)
    return _NEITHER


def choices(of: Waiting) -> list[str]:
    """What can be decided about it: the options of `review decide`."""
    options = {"--happened": True, "--did-not-happen": False}
    return [name for name, happened in options.items() if effect(of, happened=happened)]


CAUSES: Final[Mapping[Cause, str]] = MappingProxyType(
    {
        Cause.REFUND_ABSENT: "the refund is not in the gateway's lists",
        Cause.UNDECIDED: "still undecided at the end of the schedule",
        Cause.HELD: "held at the gateway",
        Cause.CONFLICTED: "the payment is conflicted",
        Cause.REQUEST_CONFLICTED: "the request is conflicted",
        Cause.EARLY: "undecided, and still being asked for",
    }
)
