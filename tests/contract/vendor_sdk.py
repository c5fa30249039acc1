"""The vendor's SDK as its users drive it: controllers, XML, one connection a call. No claims live here."""

from dataclasses import dataclass
from typing import Any

from authorizenet import apicontractsv1 as types
from authorizenet import apicontrollers as controllers


@dataclass(frozen=True)
class SdkAnswer:
    """What a user of the SDK reads from a transaction's answer."""

    verdict: str
    response_code: str
    reason: str
    transaction_id: str


def charge(url: str, *, invoice: str, amount: str, zip_code: str = "10001") -> SdkAnswer:
    """One auth-capture by opaque data."""
    return _answered(url, _transaction(invoice=invoice, amount=amount, zip_code=zip_code))


def follow_up(
    url: str, kind: str, *, transaction_id: str, amount: str = "", last4: str = ""
) -> SdkAnswer:
    """A capture, void or refund of a transaction that was made before."""
    transaction = types.transactionRequestType()
    transaction.transactionType = kind
    if amount:
        transaction.amount = amount
    if last4:
        card = types.creditCardType()
        card.cardNumber, card.expirationDate = last4, "XXXX"
        transaction.payment = types.paymentType()
        transaction.payment.creditCard = card
    transaction.refTransId = transaction_id
    return _answered(url, transaction)


def settled_invoices(url: str) -> list[str]:
    """The invoice numbers in the account's batches of the last day, batch by batch."""
    request = types.getSettledBatchListRequest()
    request.merchantAuthentication = _authentication()
    request.includeStatistics = True
    answer = _executed(controllers.getSettledBatchListController(request), url)
    invoices = []
    for batch in answer.batchList.batch:
        one = types.getTransactionListRequest()
        one.merchantAuthentication = _authentication()
        one.batchId = str(batch.batchId)
        listed = _executed(controllers.getTransactionListController(one), url)
        invoices += [str(row.invoiceNumber) for row in listed.transactions.transaction]
    return invoices


def unsettled_invoices(url: str) -> list[str]:
    """The invoice numbers of the unsettled list, newest first."""
    request = types.getUnsettledTransactionListRequest()
    request.merchantAuthentication = _authentication()
    answer = _executed(controllers.getUnsettledTransactionListController(request), url)
    return [str(row.invoiceNumber) for row in answer.transactions.transaction]


def settle_amount(url: str, transaction_id: str) -> str:
    """The settle amount in a transaction's details."""
    request = types.getTransactionDetailsRequest()
    request.merchantAuthentication = _authentication()
    request.transId = transaction_id
    answer = _executed(controllers.getTransactionDetailsController(request), url)
    return str(answer.transaction.settleAmount)


def _answered(url: str, transaction: Any) -> SdkAnswer:
    request = types.createTransactionRequest()
    request.merchantAuthentication = _authentication()
    request.refId = "sdk"
    request.transactionRequest = transaction
    answer = _executed(controllers.createTransactionController(request), url)
    response = answer.transactionResponse
    approved = str(response.responseCode) == "1"
    reason = response.messages.message[0].code if approved else response.errors.error[0].errorCode
    return SdkAnswer(
        str(answer.messages.resultCode),
        str(response.responseCode),
        str(reason),
        str(response.transId),
    )


def _authentication() -> Any:
    authentication = types.merchantAuthenticationType()
    authentication.name, authentication.transactionKey = "shop", "key"
    return authentication


def _transaction(*, invoice: str, amount: str, zip_code: str) -> Any:
    transaction = types.transactionRequestType()
    transaction.transactionType, transaction.amount = "authCaptureTransaction", amount
    opaque = types.opaqueDataType()
    opaque.dataDescriptor, opaque.dataValue = "COMMON.ACCEPT.INAPP.PAYMENT", f"token of {invoice}"
    transaction.payment = types.paymentType()
    transaction.payment.opaqueData = opaque
    transaction.order = types.orderType()
    transaction.order.invoiceNumber = invoice
    transaction.billTo = types.customerAddressType()
    transaction.billTo.zip = zip_code
    return transaction


def _executed(controller: Any, url: str) -> Any:
    controller.setenvironment(url)
    controller.execute()
    answer = controller.getresponse()
    assert answer is not None
    return answer
