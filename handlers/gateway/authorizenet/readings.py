"""What a transaction's details say to a question: literal matches of its standing, one for each thing asked. Pure.

A charge is asked for as such. A capture and a void are asked for through the charge that they act upon, so that how it
stands decides. A refund is a transaction of its own.
"""

from dataclasses import dataclass
from typing import assert_never

from handlers.domain.facts import Standing
from handlers.domain.intents import About, Question
from handlers.domain.verdicts import Advice, Approved, Declined, Definite, Held, NotYet, Reason
from handlers.gateway.authorizenet.details import Details


@dataclass(frozen=True, slots=True)
class Undone:
    """What was asked for is surely not done. `why` is for people."""

    why: str


@dataclass(frozen=True, slots=True)
class Unclear:
    """The details decide nothing. `why` is for people."""

    why: str


@dataclass(frozen=True, slots=True)
class Stranger:
    """Another kind of transaction under the same invoice number: it says nothing either way."""


Reading = Definite | Undone | Unclear | Stranger


def reading(details: Details, question: Question) -> Reading:
    """What `details` say to `question`."""
    if not details.transaction_id:
        return Unclear("the details carry no transaction id")
    wanted = question.invoice_number
    if wanted and details.invoice_number != wanted:
        return Unclear(f"transaction {details.transaction_id} carries another invoice number")
    if details.returned_item or details.refunds is not (question.about is About.REFUND):
        return Stranger()
    match question.about:
        case About.CHARGE:
            return _charge(details)
        case About.CAPTURE:
            return _capture(details)
        case About.VOID:
            return _void(details)
        case About.REFUND:
            return _refund(details)
        case _:
            assert_never(question.about)


def capture_reading(details: Details, transaction_id: str) -> Reading:
    """Whether the authorisation `transaction_id` is captured."""
    same = details.transaction_id == transaction_id and not details.refunds
    return _capture(details) if same else Unclear("the details are of another transaction")


def _charge(details: Details) -> Reading:
    match details.standing:
        case Standing.TAKEN | Standing.SETTLED | Standing.RETURNED | Standing.CHARGED_BACK:
            return _approved(details, captured=True)
        case Standing.RESERVED:
            return _approved(details, captured=False)
        case Standing.HELD:
            return _held(details)
        case Standing.VOIDED | Standing.EXPIRED | Standing.DECLINED:
            return _declined(details)
        case Standing.UNCLEAR:
            return _unclear(details)
        case never:
            assert_never(never)


def _capture(details: Details) -> Reading:
    match details.standing:
        case Standing.TAKEN | Standing.SETTLED | Standing.RETURNED | Standing.CHARGED_BACK:
            return _approved(details, captured=True)
        case Standing.RESERVED | Standing.VOIDED | Standing.EXPIRED | Standing.DECLINED:
            return Undone(f"transaction {details.transaction_id} is {details.status}, not captured")
        case Standing.HELD | Standing.UNCLEAR:
            return _unclear(details)
        case never:
            assert_never(never)


def _void(details: Details) -> Reading:
    match details.standing:
        case Standing.VOIDED:
            return _approved(details, captured=False)
        case Standing.SETTLED | Standing.RETURNED | Standing.CHARGED_BACK:
            text = f"The transaction is {details.status}: it can be void no more."
            return NotYet(Reason(details.status, text, Advice.UNDECIDED))
        case (
            Standing.RESERVED
            | Standing.TAKEN
            | Standing.HELD
            | Standing.EXPIRED
            | Standing.DECLINED
        ):
            return Undone(f"transaction {details.transaction_id} is {details.status}, not void")
        case Standing.UNCLEAR:
            return _unclear(details)
        case never:
            assert_never(never)


def _refund(details: Details) -> Reading:
    match details.standing:
        case Standing.TAKEN | Standing.SETTLED:
            return _approved(details, captured=True)
        case Standing.HELD:
            return _held(details)
        case Standing.VOIDED | Standing.EXPIRED | Standing.DECLINED:
            return _declined(details)
        case (
            Standing.RESERVED | Standing.RETURNED | Standing.CHARGED_BACK | Standing.UNCLEAR
        ):  # no refund has such a status
            return _unclear(details)
        case never:
            assert_never(never)


def _unclear(details: Details) -> Unclear:
    return Unclear(f"transaction {details.transaction_id} is {details.status or 'without status'}")


def _declined(details: Details) -> Declined:
    return Declined(details.reason, details.transaction_id, details.method)


def _held(details: Details) -> Reading:
    if details.money is None:
        return _unreadable()
    reason = Reason(details.status, details.reason.text, Advice.REVIEW)
    return Held(details.transaction_id, reason, details.money.amount_minor, method=details.method)


def _approved(details: Details, *, captured: bool) -> Reading:
    money = details.money
    if money is None:
        return _unreadable()
    return Approved(
        transaction_id=details.transaction_id,
        captured=captured,
        reason=Reason(details.status, details.reason.text, Advice.UNDECIDED),
        amount_minor=money.amount_minor,
        currency=money.currency,
        auth_code=details.auth_code,
        network_transaction_id=details.network_transaction_id,
        avs=details.avs,
        cvv=details.cvv,
        method=details.method,
    )


def _unreadable() -> Unclear:
    return Unclear("the details carry no readable amount or an unknown currency")
