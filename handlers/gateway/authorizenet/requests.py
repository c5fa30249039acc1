"""Builds the gateway's createTransactionRequest from intents, and what of it the journal may keep.

Members stand in the contract's order by construction (`elements.py`). What moves money names its operation: the charge
and the refund by their own invoice number, the only key of ours that the lists know. A capture and a void carry none:
they act upon the charge's own transaction, and a number sent with them would take the place of the charge's.

A refund is tried again only after a definite no (reason 54). Whether the gateway counts what it refused as the original
of a duplicate, nobody says; so a later attempt differs in the PO number, which is compared and which nobody searches.

A refund to a bank account must name it as the gateway shows it: number and routing number masked, with its holder. None
of that is ours to keep, so it is read from the charge's details before the refund is sent, and is not frozen.
"""

from typing import Final, assert_never

from handlers.domain.intents import Capture, Charge, Intent, Refund, Void
from handlers.domain.verdicts import Evidence, Method
from handlers.gateway.authorizenet.charges import charge_members
from handlers.gateway.authorizenet.contract_table import ALLOWED
from handlers.gateway.authorizenet.details import BankAccount
from handlers.gateway.authorizenet.elements import (
    Members,
    cut,
    envelope,
    fits,
    in_order,
    without_secrets,
)
from handlers.gateway.authorizenet.settings import Account

DUPLICATE_WINDOW_S: Final = (
    28_800  # the longest; always the same, for a changed window disables the comparison
)
_WINDOW: Final = {"settingName": "duplicateWindow", "settingValue": str(DUPLICATE_WINDOW_S)}
_CHARGE_SETTINGS: Final = {
    "setting": [{"settingName": "allowPartialAuth", "settingValue": "false"}, _WINDOW]
}
_REFUND_SETTINGS: Final = {"setting": [_WINDOW]}
_MASK: Final = "XXXX"
_NO_BANK: Final = BankAccount("", "", "", "")


def transaction_request(
    intent: Intent, account: Account, *, bank: BankAccount | None = None
) -> Members:
    """The createTransactionRequest of `intent`; `bank` is the masked account that a refund goes back to."""
    return envelope("createTransactionRequest", account, members=_members(intent, bank))


def frozen_request(intent: Intent) -> Evidence:
    """The same without credentials and without anything secret: what the journal may keep."""
    return in_order("createTransactionRequest", without_secrets(_members(intent)))


def _members(intent: Intent, bank: BankAccount | None = None) -> Members:
    kind = "createTransactionRequest"
    assert fits(kind, "refId", key=intent.reference), "references fit the refId"
    transaction = in_order("transactionRequestType", _transaction(intent, bank))
    return {"refId": intent.reference, "transactionRequest": transaction}


def _transaction(intent: Intent, bank: BankAccount | None) -> Members:
    match intent:
        case Charge():
            return {
                **charge_members(intent),
                "order": _order(intent.invoice_number, intent.description),
                "transactionSettings": _CHARGE_SETTINGS,
            }
        case Capture():
            return {
                "transactionType": "priorAuthCaptureTransaction",
                "amount": intent.money.decimal_text(),
                "currencyCode": intent.money.currency,
                "refTransId": intent.transaction_id,
            }
        case Void():
            return {"transactionType": "voidTransaction", "refTransId": intent.transaction_id}
        case Refund():
            return {
                "transactionType": "refundTransaction",
                "amount": intent.money.decimal_text(),
                "currencyCode": intent.money.currency,
                "payment": _masked(intent.method, bank),
                "refTransId": intent.transaction_id,
                "order": _order(intent.invoice_number),
                **({"poNumber": str(intent.attempt)} if intent.attempt > 1 else {}),
                "transactionSettings": _REFUND_SETTINGS,
            }
        case _:
            assert_never(intent)


def _order(invoice_number: str, description: str = "") -> Members:
    assert fits("orderType", "invoiceNumber", key=invoice_number), "invoice numbers fit"
    told = cut("orderType", "description", text=description)
    return in_order("orderType", {"invoiceNumber": invoice_number, "description": told})


def _masked(method: Method, bank: BankAccount | None) -> Members:
    """The means that the money goes back to, as everybody may see them: the gateway holds them against the charge's."""
    kind = "bankAccountType"
    if method.is_bank:
        known = bank or _NO_BANK
        types = ALLOWED["bankAccountTypeEnum"]
        account = {
            "accountType": known.account_type if known.account_type in types else "",
            "routingNumber": known.routing_number or _MASK,
            "accountNumber": known.account_number or f"{_MASK}X{method.last4}",
            "nameOnAccount": cut(kind, "nameOnAccount", text=known.holder) or _MASK,
        }
        return {"bankAccount": in_order(kind, account)}
    card = {"cardNumber": method.last4, "expirationDate": _MASK}
    return {"creditCard": in_order("creditCardType", card)}
