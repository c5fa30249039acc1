"""The reporting answers: unsettled and customer's list, transaction details, merchant details.

Amounts are JSON numbers here and `responseCode` is a number, unlike in createTransaction's replies.
A list shows declined and failed rows too, has the invoice number as its only key of the merchant's,
and may lag behind (`list_lag_s`). Everybody sees the rows of the own account only. The settled
batches are read in `batches.py`; which requests there are stands in `reads.py`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from worker.demo.simulator.ledger import iso_utc
from worker.demo.simulator.money import decimal_text
from worker.demo.simulator.protocol import Call, Reply, full_reply, message_reply
from worker.demo.simulator.reasons import REASONS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from worker.demo.simulator.gateway import Gateway
    from worker.demo.simulator.ledger import Batch, Row

_PAGE = 1000
_LAST_PAGE = 100_000
_PACIFIC = timedelta(hours=-8)  # the account's local time, without daylight saving


def unsettled(gateway: Gateway, call: Call) -> Reply:
    """One page of what is not settled yet."""
    rows = [row for row in visible(gateway, call) if row.listed]
    if call.body.get("status") == "pendingApproval":
        rows = [row for row in rows if row.pending_review]
    return paged(call, rows)


def of_customer(gateway: Gateway, call: Call) -> Reply:
    """One page of a stored profile's transactions, settled or not."""
    profile_id = str(call.body.get("customerProfileId") or "")
    payment_profile_id = str(call.body.get("customerPaymentProfileId") or "")
    rows = [row for row in visible(gateway, call) if row.means.profile_id == profile_id]
    if payment_profile_id:
        rows = [row for row in rows if row.means.payment_profile_id == payment_profile_id]
    return paged(call, rows if profile_id else [])


def visible(gateway: Gateway, call: Call) -> list[Row]:
    """What a list may show to the account that asks, oldest first."""
    rows = gateway.ledger.visible(gateway.clock.now() - gateway.settings.list_lag_s)
    if not gateway.accounts:
        return rows
    return [row for row in rows if gateway.may_see(call.login, row)]


def paged(call: Call, rows: list[Row]) -> Reply:
    """One page of rows in the order that the request wants; `offset` counts pages from 1."""
    sorting = call.body.get("sorting") or {}
    if sorting.get("orderBy") == "id":
        rows.sort(key=lambda row: int(row.transaction_id))
    if _is_true(sorting.get("orderDescending")) or not sorting:
        rows.reverse()
    paging = call.body.get("paging") or {}
    limit, offset = int(paging.get("limit") or _PAGE), int(paging.get("offset") or 1)
    if not (1 <= limit <= _PAGE and 1 <= offset <= _LAST_PAGE):
        text = f"paging needs limit 1..{_PAGE} and offset 1..{_LAST_PAGE}."
        return message_reply("E00013", text, ref_id=call.ref_id)
    page = rows[(offset - 1) * limit : offset * limit]
    return _listed(page, total=len(rows), ref_id=call.ref_id)


def details(gateway: Gateway, call: Call) -> Reply:
    """Everything about one transaction; E00040 for one that is unknown or not visible yet."""
    row = gateway.ledger.by_id.get(str(call.body.get("transId") or ""))
    latest = gateway.clock.now() - gateway.settings.details_lag_s
    if row is None or row.at > latest or not gateway.may_see(call.login, row):
        return message_reply("E00040", ref_id=call.ref_id)
    told = _detailed(row) | _batch(gateway, row) | _returned(gateway, row)
    reply = full_reply({"transaction": told}, ref_id=call.ref_id)
    if row.ref_id:
        reply["transrefId"] = row.ref_id
    return reply


def merchant_details(gateway: Gateway, call: Call) -> Reply:
    """The account: above all its one currency and whether it is in test mode."""
    content = {
        "isTestMode": gateway.settings.test_mode,
        "processors": [{"name": "Simulated Processor", "id": 2}],
        "merchantName": "Simulated Shop",
        "gatewayId": "000001",
        "marketTypes": ["eCommerce"],
        "productCodes": ["CNP"],
        "paymentMethods": ["AmericanExpress", "Discover", "Echeck", "MasterCard", "Visa"],
        "currencies": [gateway.currency_of(call.login)],
        "merchantTimeZone": "America/Los_Angeles",
    }
    return full_reply(content, ref_id=call.ref_id)


def authenticate_test(gateway: Gateway, call: Call) -> Reply:
    """The credential probe: who came this far is authenticated."""
    assert gateway.calls.requests[call.name] > 0
    return message_reply("I00001", ref_id=call.ref_id)


def _listed(page: Sequence[Row], *, total: int, ref_id: str | None) -> Reply:
    if not page:
        return full_reply({"totalNumInResultSet": total}, ref_id=ref_id, code="I00004")
    content = {"transactions": [_summary(row) for row in page], "totalNumInResultSet": total}
    return full_reply(content, ref_id=ref_id)


def _summary(row: Row) -> dict[str, Any]:
    summary: dict[str, Any] = {
        "transId": row.transaction_id,
        "submitTimeUTC": iso_utc(row.at),
        "submitTimeLocal": _local(row.at),
        "transactionStatus": row.status,
    }
    if row.invoice:
        summary["invoiceNumber"] = row.invoice
    for name in ("firstName", "lastName"):
        if row.bill_to.get(name):
            summary[name] = row.bill_to[name]
    summary |= {
        "accountType": row.means.account_type,
        "accountNumber": row.means.masked,
        "settleAmount": _number(_settle_minor(row), row.currency),
        "marketType": "eCommerce",
        "product": "Card Not Present",
    }
    if row.returned_by:
        summary["hasReturnedItems"] = True
    return summary | _profile(row)


def _detailed(row: Row) -> dict[str, Any]:
    detailed: dict[str, Any] = {
        "transId": row.transaction_id,
        "submitTimeUTC": iso_utc(row.at),
        "submitTimeLocal": _local(row.at),
        "transactionType": row.kind,
        "transactionStatus": row.status,
        "responseCode": int(row.response_code),
        "responseReasonCode": row.reason,
        "responseReasonDescription": REASONS[row.reason][1],
        "authCode": row.auth_code,
        "AVSResponse": row.avs,
        "cardCodeResponse": row.cvv,
        "order": {**_order(row), "discountAmount": 0.0, "taxIsAfterDiscount": False},
        "authAmount": _number(row.approved_minor or row.amount_minor, row.currency),
        "settleAmount": _number(_settle_minor(row), row.currency),
        "taxExempt": False,
        "payment": _payment(row),
        "recurringBilling": False,
        "product": "Card Not Present",
        "marketType": "eCommerce",
        "tapToPhone": False,
    }
    if row.ref_transaction_id:
        detailed["refTransId"] = row.ref_transaction_id
    optional = {
        "customer": dict(row.customer),
        "billTo": dict(row.bill_to),
        "customerIP": row.customer_ip,
        "networkTransId": row.network_id,
    }
    detailed |= {name: value for name, value in optional.items() if value}
    return detailed | _profile(row)


def _batch(gateway: Gateway, row: Row) -> dict[str, Any]:
    batch = gateway.ledger.batches.get(row.batch_id)
    return {} if batch is None else {"batch": batch_head(batch)}


def batch_head(batch: Batch) -> dict[str, Any]:
    """A batch by its number, time and state."""
    return {
        "batchId": batch.batch_id,
        "settlementTimeUTC": iso_utc(batch.at),
        "settlementTimeLocal": _local(batch.at),
        "settlementState": batch.state,
    }


def _returned(gateway: Gateway, row: Row) -> dict[str, Any]:
    if not row.returned_by:
        return {}
    item = gateway.ledger.by_id[row.returned_by]
    told = {
        "id": item.transaction_id,
        "dateUTC": iso_utc(item.at),
        "dateLocal": _local(item.at),
        "code": "R01",
        "description": "Insufficient Funds",
    }
    return {"returnedItems": [told]}


def _order(row: Row) -> Mapping[str, Any]:
    names = ("invoiceNumber", "description")
    order = {name: row.order[name] for name in names if row.order.get(name)}
    return order | ({"purchaseOrderNumber": row.po_number} if row.po_number else {})


def _payment(row: Row) -> dict[str, Any]:
    if row.means.is_bank:
        account = {"accountType": "checking", "accountNumber": row.means.masked}
        return {"bankAccount": account}
    card = {"cardNumber": row.means.masked, "expirationDate": "XXXX"}
    return {"creditCard": {**card, "cardType": row.means.account_type}}


def _profile(row: Row) -> dict[str, Any]:
    if not row.means.profile_id:
        return {}
    ids = {
        "customerProfileId": row.means.profile_id,
        "customerPaymentProfileId": row.means.payment_profile_id,
    }
    return {"profile": ids}


def _settle_minor(row: Row) -> int:
    """A row that moves no money shows the amount that was authorised, or else asked for."""
    return row.captured_minor or row.approved_minor or row.amount_minor


def _number(minor: int, currency: str) -> Decimal:
    return Decimal(decimal_text(minor, currency))


def _local(moment: float) -> str:
    local = datetime.fromtimestamp(moment, UTC) + _PACIFIC
    return local.replace(tzinfo=None).isoformat(timespec="milliseconds")


def _is_true(value: Any) -> bool:
    return value is True or str(value).lower() in {"true", "1"}
