"""What a transaction's details say of a charge today: one literal table of its status. Pure.

Legend of `STATUSES`: taken (approved and captured), reserved (approved), held, gone (final, and no money moved), and
errored, where the response and its reason decide as in a direct answer. A status that is not in the table proves
nothing: it belongs to another kind of transaction, is on its way to another status, or needs a person.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from handlers.domain.intents import Question
from handlers.domain.money import EXPONENTS, minor_units
from handlers.domain.verdicts import (
    Advice,
    Approved,
    Declined,
    Evidence,
    Held,
    Method,
    Reason,
)
from handlers.gateway.authorizenet.reason_codes import Kind, reason_row
from handlers.gateway.authorizenet.replies import (
    Json,
    Reply,
    Scrubber,
    amount,
    masked,
    real_id,
    section,
    text,
)
from handlers.gateway.authorizenet.verdicts import brand, last4


class Standing(StrEnum):
    """What a status means for a charge."""

    TAKEN = "taken"
    RESERVED = "reserved"
    HELD = "held"
    GONE = "gone"
    ERRORED = "errored"


_S = Standing
STATUSES: Final[Mapping[str, Standing]] = MappingProxyType(
    {
        "capturedPendingSettlement": _S.TAKEN,
        "settledSuccessfully": _S.TAKEN,
        "authorizedPendingCapture": _S.RESERVED,
        "FDSPendingReview": _S.HELD,
        "FDSAuthorizedPendingReview": _S.HELD,
        "underReview": _S.HELD,
        "declined": _S.GONE,
        "voided": _S.GONE,
        "expired": _S.GONE,
        "failedReview": _S.GONE,
        "communicationError": _S.GONE,
        "generalError": _S.ERRORED,
    }
)
_REFUSED: Final = frozenset({"2", "3"})
_KEPT: Final = (
    "submitTimeUTC",
    "transactionType",
    "transactionStatus",
    "responseCode",
    "responseReasonCode",
    "responseReasonDescription",
    "authCode",
    "AVSResponse",
    "cardCodeResponse",
    "requestedAmount",
    "authAmount",
    "settleAmount",
    "networkTransId",
)


@dataclass(frozen=True, slots=True)
class Unclear:
    """The details decide nothing. `why` is for people."""

    why: str


Reading = Approved | Declined | Held | Unclear


def transaction(reply: Reply) -> Json:
    """The transaction of a details reply; an empty object where it has none."""
    return section(reply.root.get("transaction"))


def details_evidence(told: Json, scrubber: Scrubber) -> Evidence:
    """What the journal may keep of the details: these fields and no others."""
    kept: dict[str, object] = {"transaction_id": real_id(told.get("transId"))}
    kept |= {name: scrubber.text(told.get(name)) for name in _KEPT if name in told}
    kept["invoice_number"] = scrubber.text(section(told.get("order")).get("invoiceNumber"))
    kept["account_number"] = _account(told)[0]
    return kept


def read_details(told: Json, question: Question, *, scrubber: Scrubber) -> Reading:
    """What the transaction `told` is today, seen from `question`."""
    transaction_id = real_id(told.get("transId"))
    invoice = text(section(told.get("order")).get("invoiceNumber"))
    status = text(told.get("transactionStatus"))
    if not transaction_id:
        return Unclear("the details carry no transaction id")
    if invoice != question.invoice_number:
        return Unclear(f"transaction {transaction_id} carries another invoice number")
    standing = STATUSES.get(status)
    if standing is None:
        return Unclear(
            f"transaction {transaction_id} is {scrubber.text(status) or 'without status'}"
        )
    if standing in {Standing.GONE, Standing.ERRORED}:
        return _refused(told, standing=standing, scrubber=scrubber)
    return _standing(told, question, standing=standing, scrubber=scrubber)


def _standing(told: Json, question: Question, *, standing: Standing, scrubber: Scrubber) -> Reading:
    currency = text(told.get("currencyCode")) or question.money.currency
    told_amount = _amount(told, standing)
    amount_minor = (
        minor_units(told_amount, currency)
        if told_amount is not None and currency in EXPONENTS
        else None
    )
    if amount_minor is None:
        return Unclear("the details carry no readable amount or an unknown currency")
    status = text(told.get("transactionStatus"))
    if standing is Standing.HELD:
        reason = Reason(status, scrubber.text(told.get("responseReasonDescription")), Advice.REVIEW)
        return Held(real_id(told.get("transId")), reason, amount_minor, method=_method(told))
    said = scrubber.text(told.get("responseReasonDescription"))
    return Approved(
        transaction_id=real_id(told.get("transId")),
        captured=standing is Standing.TAKEN,
        reason=Reason(status, said, Advice.UNDECIDED),
        amount_minor=amount_minor,
        currency=text(told.get("currencyCode")) or None,
        auth_code=scrubber.text(told.get("authCode")),
        network_transaction_id=scrubber.text(told.get("networkTransId")),
        avs=scrubber.text(told.get("AVSResponse")),
        cvv=scrubber.text(told.get("cardCodeResponse")),
        method=_method(told),
    )


def _amount(told: Json, standing: Standing) -> Decimal | None:
    """What is captured, or what is authorised; before a capture there may be no settle amount."""
    if standing is Standing.TAKEN:
        settled = amount(told.get("settleAmount"))
        if settled is not None:
            return settled
    authorised = amount(told.get("authAmount"))
    if standing is Standing.HELD and not authorised:  # held before it was authorised
        return amount(told.get("requestedAmount")) or authorised
    return authorised


def _refused(told: Json, *, standing: Standing, scrubber: Scrubber) -> Reading:
    status = text(told.get("transactionStatus"))
    code = text(told.get("responseReasonCode"))
    row = reason_row(code)
    known = text(told.get("responseCode")) in _REFUSED and row.kind is Kind.DECLINED
    if standing is Standing.ERRORED and not known:
        return Unclear(f"transaction {real_id(told.get('transId'))} is {status}")
    said = scrubber.text(told.get("responseReasonDescription"))
    reason = Reason(code, said, row.advice) if known else Reason(status, said, Advice.SOFT)
    return Declined(reason, real_id(told.get("transId")), _method(told))


def _account(told: Json) -> tuple[str, str]:
    payment = section(told.get("payment"))
    card = section(payment.get("creditCard"))
    if card:
        return masked(card.get("cardNumber")), text(card.get("cardType"))
    bank = section(payment.get("bankAccount"))
    return masked(bank.get("accountNumber")), "eCheck" if bank else ""


def _method(told: Json) -> Method:
    number, kind = _account(told)
    return Method("", brand(kind), last4(number))
