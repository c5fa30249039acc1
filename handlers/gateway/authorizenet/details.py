"""Reads one transaction's details into a frozen value. Pure; what it means for a question stands in `readings.py`.

The details name no currency: an account has one, which every amount is in. Should a reply name another, it is told.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from handlers.domain.facts import Standing
from handlers.domain.intents import About
from handlers.domain.money import EXPONENTS, Money, minor_units
from handlers.domain.verdicts import BANK, Advice, Evidence, Method, Reason
from handlers.gateway.authorizenet.reason_codes import Kind, reason_row
from handlers.gateway.authorizenet.replies import (
    Json,
    Reply,
    Scrubber,
    amount,
    masked,
    real_id,
    rows,
    section,
    text,
)
from handlers.gateway.authorizenet.standings import CHARGES, OF_REFUNDS, REFUNDS, RETURNED_ITEM
from handlers.gateway.authorizenet.verdicts import brand, last4

_REFUSED: Final = frozenset({"2", "3"})
_REFUND: Final = "refundTransaction"
_MAX_STATUS: Final = 64  # the longest in the contract has 26 characters
_YEARS: Final = range(2000, 2200)  # arithmetic on times beyond leaves what a datetime holds
_BATCH_SETTLED: Final = "settledSuccessfully"
_MOVED: Final = frozenset(
    {Standing.TAKEN, Standing.SETTLED, Standing.RETURNED, Standing.CHARGED_BACK}
)
_KEPT: Final = (
    "refTransId",
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
class BankAccount:
    """A bank account as anyone may see it: masked numbers, and what a refund must name beside them."""

    account_type: str
    routing_number: str
    account_number: str
    holder: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Details:
    """One transaction today. `money` is what is captured, before that what is authorised; None where it is unreadable.

    `refunds`: it is a refund. `returned_item`: it is the return of another transaction, not a charge. `reason` is the
    gateway's own word about a refusal, with our advice.
    """

    transaction_id: str
    invoice_number: str
    status: str
    standing: Standing
    refunds: bool
    returned_item: bool
    money: Money | None
    method: Method
    reason: Reason
    auth_code: str
    network_transaction_id: str
    avs: str
    cvv: str
    submitted_at: datetime | None
    settled_at: datetime | None
    evidence: Evidence
    bank: BankAccount | None


def read_details(reply: Reply, *, currency: str, scrubber: Scrubber) -> Details:
    """The transaction of a details reply; without a transaction id where it has none."""
    told = section(reply.root.get("transaction"))
    status = text(told.get("transactionStatus"))
    refunds = text(told.get("transactionType")) == _REFUND or status in OF_REFUNDS
    standing, reason = _standing(told, status, refunds=refunds, scrubber=scrubber)
    batch = section(told.get("batch"))
    settled = text(batch.get("settlementState")) == _BATCH_SETTLED
    return Details(
        transaction_id=real_id(told.get("transId")),
        invoice_number=text(section(told.get("order")).get("invoiceNumber")),
        status=scrubber.text(status)[:_MAX_STATUS],
        standing=standing,
        refunds=refunds,
        returned_item=RETURNED_ITEM in {status, text(told.get("transactionType"))},
        money=_money(told, standing, currency=currency),
        method=_method(told, scrubber),
        reason=reason,
        auth_code=scrubber.text(told.get("authCode")),
        network_transaction_id=scrubber.text(told.get("networkTransId")),
        avs=scrubber.text(told.get("AVSResponse")),
        cvv=scrubber.text(told.get("cardCodeResponse")),
        submitted_at=moment(told.get("submitTimeUTC")),
        settled_at=moment(batch.get("settlementTimeUTC")) if settled else None,
        evidence=_evidence(told, scrubber),
        bank=_bank(section(section(told.get("payment")).get("bankAccount"))),
    )


def moment(value: object) -> datetime | None:
    """A time of a reply, UTC where it names no zone; None where it is none, or of no year that we live in."""
    try:
        read = datetime.fromisoformat(text(value))
    except ValueError:
        return None
    if read.year not in _YEARS:
        return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def _standing(
    told: Json, status: str, *, refunds: bool, scrubber: Scrubber
) -> tuple[Standing, Reason]:
    standing = (REFUNDS if refunds else CHARGES).get(status, Standing.UNCLEAR)
    if standing is Standing.SETTLED and rows(told.get("returnedItems"), "returnedItem"):
        standing = Standing.RETURNED
    code = text(told.get("responseReasonCode"))
    said = scrubber.text(told.get("responseReasonDescription"))
    row = reason_row(code, About.REFUND if refunds else About.CHARGE)
    refused = text(told.get("responseCode")) in _REFUSED and row.kind is Kind.DECLINED
    if status == "generalError" and refused:
        standing = Standing.DECLINED
    if refused:
        return standing, Reason(code, said, row.advice)
    return standing, Reason(scrubber.text(status)[:_MAX_STATUS], said, Advice.SOFT)


def _money(told: Json, standing: Standing, *, currency: str) -> Money | None:
    said = _amount(told, standing)
    currency = text(told.get("currencyCode")) or currency
    if said is None or currency not in EXPONENTS:
        return None
    minor = minor_units(said, currency)
    return None if minor is None else Money(minor, currency)


def _amount(told: Json, standing: Standing) -> Decimal | None:
    """What is captured, or what is authorised; before a capture there may be no settle amount."""
    if standing in _MOVED:
        settled = amount(told.get("settleAmount"))
        if settled is not None:
            return settled
    authorised = amount(told.get("authAmount"))
    if standing is Standing.HELD and not authorised:  # held before it was authorised
        return amount(told.get("requestedAmount")) or authorised
    return authorised


def _evidence(told: Json, scrubber: Scrubber) -> Evidence:
    """What the journal may keep of the details: these fields and no others."""
    kept: dict[str, object] = {"transaction_id": real_id(told.get("transId"))}
    kept |= {name: scrubber.text(told.get(name)) for name in _KEPT if name in told}
    kept["invoice_number"] = scrubber.text(section(told.get("order")).get("invoiceNumber"))
    kept["account_number"] = _account(told, scrubber)[0]
    returned = rows(told.get("returnedItems"), "returnedItem")
    if returned:
        kept["returned"] = scrubber.text(returned[0].get("code"))
    batch = section(told.get("batch"))
    if batch:
        names = ("batchId", "settlementTimeUTC", "settlementState")
        kept["batch"] = {name: scrubber.text(batch.get(name)) for name in names}
    return kept


def _account(told: Json, scrubber: Scrubber) -> tuple[str, str]:
    payment = section(told.get("payment"))
    card = section(payment.get("creditCard"))
    if card:
        return masked(card.get("cardNumber")), scrubber.text(card.get("cardType"))
    bank = section(payment.get("bankAccount"))
    return masked(bank.get("accountNumber")), BANK if bank else ""


def _bank(told: Json) -> BankAccount | None:
    if not told:
        return None
    return BankAccount(
        account_type=text(told.get("accountType")),
        routing_number=masked(told.get("routingNumber")),
        account_number=masked(told.get("accountNumber")),
        holder=text(told.get("nameOnAccount")),
    )


def _method(told: Json, scrubber: Scrubber) -> Method:
    number, kind = _account(told, scrubber)
    return Method("", brand(kind), last4(number))
