"""The look-ups: one literal table of requests, and nothing of their rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.demo.simulator import batches, lists

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker.demo.simulator.gateway import Gateway
    from worker.demo.simulator.protocol import Call, Reply

READS: dict[str, Callable[[Gateway, Call], Reply]] = {
    "authenticateTestRequest": lists.authenticate_test,
    "getMerchantDetailsRequest": lists.merchant_details,
    "getSettledBatchListRequest": batches.settled,
    "getTransactionDetailsRequest": lists.details,
    "getTransactionListForCustomerRequest": lists.of_customer,
    "getTransactionListRequest": batches.transactions,
    "getUnsettledTransactionListRequest": lists.unsettled,
}
