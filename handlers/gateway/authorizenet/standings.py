"""What each transaction status of the gateway means: two literal tables, one for charges and one for refunds. Pure.

A status that is in neither table, or UNCLEAR in it, proves nothing: it is on its way to another one, belongs to another
kind of transaction, or needs a person. What follows from a standing stands in `readings.py` and `looking.py`.

Source: the contract's enumeration, the vendor's help page on transaction status and its knowledge base (KB 000001360).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from handlers.domain.facts import Standing

_S = Standing
CHARGES: Final[Mapping[str, Standing]] = MappingProxyType(
    {
        "authorizedPendingCapture": _S.RESERVED,
        "capturedPendingSettlement": _S.TAKEN,
        "settledSuccessfully": _S.SETTLED,  # unless the bank returned it, which stands beside the status
        "FDSPendingReview": _S.HELD,
        "FDSAuthorizedPendingReview": _S.HELD,
        "underReview": _S.HELD,  # bank accounts only
        "voided": _S.VOIDED,
        "expired": _S.EXPIRED,
        "declined": _S.DECLINED,
        "failedReview": _S.DECLINED,
        "communicationError": _S.DECLINED,  # rejected by the processor at settlement, final
        "returnedItem": _S.RETURNED,
        "chargeback": _S.CHARGED_BACK,
        "approvedReview": _S.UNCLEAR,  # on its way
        "pendingSettlement": _S.UNCLEAR,  # on its way, of services that are gone
        "updatingSettlement": _S.UNCLEAR,
        "pendingFinalSettlement": _S.UNCLEAR,  # seen in a batch that failed: not settled
        "settlementError": _S.UNCLEAR,  # the batch was rejected and goes again: neither void nor refund is taken
        "couldNotVoid": _S.UNCLEAR,  # the gateway's own void failed: a hold that was to go may stay
        "chargebackReversal": _S.UNCLEAR,
        "authorizedPendingRelease": _S.UNCLEAR,  # a part of a split tender, which we never start
        "generalError": _S.UNCLEAR,  # the catch-all: the response and its reason may decide (`details.py`)
        "refundPendingSettlement": _S.UNCLEAR,  # of refunds
        "refundSettledSuccessfully": _S.UNCLEAR,
    }
)
REFUNDS: Final[Mapping[str, Standing]] = MappingProxyType(
    {
        "refundPendingSettlement": _S.TAKEN,
        "refundSettledSuccessfully": _S.SETTLED,
        "FDSPendingReview": _S.HELD,
        "FDSAuthorizedPendingReview": _S.HELD,
        "underReview": _S.HELD,
        "voided": _S.VOIDED,
        "expired": _S.EXPIRED,
        "declined": _S.DECLINED,
        "failedReview": _S.DECLINED,
        "communicationError": _S.DECLINED,
        "settlementError": _S.UNCLEAR,
        "couldNotVoid": _S.UNCLEAR,
        "generalError": _S.UNCLEAR,
    }
)
# Rows that carry somebody else's invoice number: a returned bank transfer has the one of its charge.
OF_REFUNDS: Final = frozenset({"refundPendingSettlement", "refundSettledSuccessfully"})
RETURNED_ITEM: Final = "returnedItem"
# Statuses of a row in a list that cannot be the charge, or the refund, that is looked for.
NOT_A_CHARGE: Final = OF_REFUNDS | {RETURNED_ITEM}
NOT_A_REFUND: Final = frozenset(
    {
        RETURNED_ITEM,
        "authorizedPendingCapture",
        "capturedPendingSettlement",
        "settledSuccessfully",
        "chargeback",
        "chargebackReversal",
    }
)
