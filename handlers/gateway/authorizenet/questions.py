"""Builds the gateway's requests that only read: one transaction, the lists, the batches, the credentials' probe."""

from datetime import UTC, datetime
from typing import Final

from handlers.gateway.authorizenet.elements import Members, envelope, in_order
from handlers.gateway.authorizenet.settings import Account

PAGE_ROWS: Final = 1000  # the longest page that a list gives


def details_request(transaction_id: str, account: Account) -> Members:
    """The getTransactionDetailsRequest of one transaction."""
    members = {"transId": transaction_id}
    return envelope("getTransactionDetailsRequest", account, members=members)


def unsettled_request(page: int, account: Account) -> Members:
    """One page (from 1) of the unsettled list, newest first."""
    return envelope("getUnsettledTransactionListRequest", account, members=_page(page))


def batches_request(
    first: datetime, last: datetime, *, account: Account, totals: bool = False
) -> Members:
    """The batches that were settled from `first` to `last` (aware); the gateway takes at most 31 days.

    `totals`: with what each of them came to.
    """
    members = {
        "includeStatistics": "true" if totals else "",
        "firstSettlementDate": _moment(first),
        "lastSettlementDate": _moment(last),
    }
    return envelope("getSettledBatchListRequest", account, members=members)


def batch_request(batch_id: str, page: int, *, account: Account) -> Members:
    """One page (from 1) of a settled batch, newest first."""
    members = {"batchId": batch_id, **_page(page)}
    return envelope("getTransactionListRequest", account, members=members)


def probe_request(account: Account) -> Members:
    """The authenticateTestRequest, which asks whether the credentials are good."""
    return envelope("authenticateTestRequest", account, members={})


def _page(page: int) -> Members:
    sorting = {"orderBy": "submitTimeUTC", "orderDescending": "true"}
    paging = {"limit": str(PAGE_ROWS), "offset": str(page)}
    return {
        "sorting": in_order("TransactionListSorting", sorting),
        "paging": in_order("Paging", paging),
    }


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
