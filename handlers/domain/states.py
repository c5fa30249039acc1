"""The states of a payment and of a request about it, and the one table of what may follow what.

Legend: a row is a state, with the facts that bring news in it and the state that follows. A fact that is not in a row
brings no news: the state stays, the evidence is kept (P6). `SEEN` and `SEEN_REQUEST` say what a state means outside.
The rows "final failure + approved evidence → conflicted" are the ones that a worker must never be without: the customer
was told no, and the card was billed. Only a person's ruling leads out of `conflicted`, or the money going back.
The diagrams in the README are generated from these tables.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeVar


class PaymentState(StrEnum):
    """Where a payment stands, in detail."""

    REQUESTED = "requested"
    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    SETTLED = "settled"
    VERIFIED = "verified"  # the means of payment is good; nothing was to be taken
    DECLINED = "declined"
    REFUSED = "refused"
    FAILED = "failed"
    HELD = "held"
    UNKNOWN = "unknown"
    VOIDED = "voided"
    EXPIRED = "expired"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"
    RETURNED = "returned"  # a bank transfer came back
    CHARGED_BACK = "charged_back"
    CONFLICTED = "conflicted"


class PaymentStatus(StrEnum):
    """Where a payment stands, as the platform's other services know it."""

    PENDING = "pending"
    SUCCESS = "success"
    FAILURE = "failure"


class Fact(StrEnum):
    """What we learned about a payment."""

    RESERVED = "reserved"  # approved, not captured
    TAKEN = "taken"  # approved and captured
    VERIFIED = "verified"
    DECLINED = "declined"
    HELD = "held"
    UNDECIDED = "undecided"
    REFUSED = "refused"  # we said no before the gateway
    NOT_CHARGED = "not_charged"  # complete scans in which it is absent
    CONTRADICTED = "contradicted"  # approved, but with another amount or currency than ours
    SETTLED = "settled"
    VOIDED = "voided"
    EXPIRED = "expired"
    PARTLY_REFUNDED = "partly_refunded"
    REFUNDED = "refunded"
    RETURNED = "returned"
    CHARGED_BACK = "charged_back"
    RULED_TAKEN = "ruled_taken"  # a person decided
    RULED_RESERVED = "ruled_reserved"
    RULED_NOT_CHARGED = "ruled_not_charged"


_S, _F = PaymentState, Fact
_BILLED: Final = {  # after a final failure each of these says that the card was billed all the same
    _F.RESERVED: _S.CONFLICTED,
    _F.TAKEN: _S.CONFLICTED,
    _F.SETTLED: _S.CONFLICTED,
    _F.CONTRADICTED: _S.CONFLICTED,
}
_BACK: Final = {  # money that went back
    _F.PARTLY_REFUNDED: _S.PARTIALLY_REFUNDED,
    _F.REFUNDED: _S.REFUNDED,
    _F.RETURNED: _S.RETURNED,
    _F.CHARGED_BACK: _S.CHARGED_BACK,
    _F.CONTRADICTED: _S.CONFLICTED,
}
PAYMENT_ROWS: Final[Mapping[PaymentState, Mapping[Fact, PaymentState]]] = MappingProxyType(
    {
        _S.REQUESTED: {
            _F.RESERVED: _S.AUTHORIZED,
            _F.TAKEN: _S.CAPTURED,
            _F.VERIFIED: _S.VERIFIED,
            _F.DECLINED: _S.DECLINED,
            _F.HELD: _S.HELD,
            _F.UNDECIDED: _S.UNKNOWN,
            _F.REFUSED: _S.REFUSED,
            _F.NOT_CHARGED: _S.FAILED,
            _F.CONTRADICTED: _S.CONFLICTED,
            _F.RULED_NOT_CHARGED: _S.FAILED,
        },
        _S.UNKNOWN: {
            _F.RESERVED: _S.AUTHORIZED,
            _F.TAKEN: _S.CAPTURED,
            _F.VERIFIED: _S.VERIFIED,
            _F.DECLINED: _S.DECLINED,
            _F.HELD: _S.HELD,
            _F.NOT_CHARGED: _S.FAILED,
            _F.CONTRADICTED: _S.CONFLICTED,
            _F.RULED_NOT_CHARGED: _S.FAILED,
        },
        _S.HELD: {
            _F.RESERVED: _S.AUTHORIZED,
            _F.TAKEN: _S.CAPTURED,
            _F.VERIFIED: _S.VERIFIED,
            _F.DECLINED: _S.DECLINED,
            _F.CONTRADICTED: _S.CONFLICTED,
            _F.RULED_NOT_CHARGED: _S.FAILED,
        },
        _S.AUTHORIZED: {
            _F.TAKEN: _S.CAPTURED,
            _F.VOIDED: _S.VOIDED,
            _F.EXPIRED: _S.EXPIRED,
            _F.CONTRADICTED: _S.CONFLICTED,
        },
        _S.CAPTURED: {_F.SETTLED: _S.SETTLED, _F.VOIDED: _S.VOIDED, **_BACK},
        _S.SETTLED: _BACK,
        _S.PARTIALLY_REFUNDED: _BACK,
        _S.REFUNDED: {_F.CHARGED_BACK: _S.CHARGED_BACK, _F.CONTRADICTED: _S.CONFLICTED},
        _S.RETURNED: {_F.CONTRADICTED: _S.CONFLICTED},
        _S.CHARGED_BACK: {_F.CONTRADICTED: _S.CONFLICTED},
        _S.VERIFIED: {
            _F.VOIDED: _S.VERIFIED,
            _F.EXPIRED: _S.VERIFIED,
            _F.TAKEN: _S.CONFLICTED,
            _F.SETTLED: _S.CONFLICTED,
            _F.CONTRADICTED: _S.CONFLICTED,
        },
        _S.VOIDED: {
            _F.TAKEN: _S.CONFLICTED,
            _F.SETTLED: _S.CONFLICTED,
            _F.CONTRADICTED: _S.CONFLICTED,
        },
        _S.EXPIRED: {
            _F.TAKEN: _S.CONFLICTED,
            _F.SETTLED: _S.CONFLICTED,
            _F.CONTRADICTED: _S.CONFLICTED,
        },
        _S.DECLINED: _BILLED,
        _S.REFUSED: _BILLED,
        _S.FAILED: _BILLED,
        _S.CONFLICTED: {
            _F.VOIDED: _S.VOIDED,
            _F.EXPIRED: _S.EXPIRED,
            _F.REFUNDED: _S.REFUNDED,
            _F.RULED_TAKEN: _S.CAPTURED,
            _F.RULED_RESERVED: _S.AUTHORIZED,
            _F.RULED_NOT_CHARGED: _S.FAILED,
        },
    }
)

SEEN: Final[Mapping[PaymentState, PaymentStatus]] = MappingProxyType(
    {
        _S.REQUESTED: PaymentStatus.PENDING,
        _S.AUTHORIZED: PaymentStatus.SUCCESS,
        _S.CAPTURED: PaymentStatus.SUCCESS,
        _S.SETTLED: PaymentStatus.SUCCESS,
        _S.VERIFIED: PaymentStatus.SUCCESS,
        _S.DECLINED: PaymentStatus.FAILURE,
        _S.REFUSED: PaymentStatus.FAILURE,
        _S.FAILED: PaymentStatus.FAILURE,
        _S.HELD: PaymentStatus.PENDING,
        _S.UNKNOWN: PaymentStatus.PENDING,
        _S.VOIDED: PaymentStatus.FAILURE,
        _S.EXPIRED: PaymentStatus.FAILURE,
        _S.PARTIALLY_REFUNDED: PaymentStatus.SUCCESS,
        _S.REFUNDED: PaymentStatus.SUCCESS,
        _S.RETURNED: PaymentStatus.FAILURE,
        _S.CHARGED_BACK: PaymentStatus.FAILURE,
        _S.CONFLICTED: PaymentStatus.PENDING,
    }
)

# What keeps an initiation going after it was told: the gateway is asked again when it is due.
UNDECIDED: Final = frozenset({_S.HELD, _S.UNKNOWN})
# No money will come of these: the order may be paid by another payment.
NOTHING_TAKEN: Final = frozenset({_S.DECLINED, _S.REFUSED, _S.FAILED, _S.VOIDED, _S.EXPIRED})


class RequestState(StrEnum):
    """Where a capture, void, refund or verification stands, in detail."""

    REQUESTED = "requested"
    DEFERRED = "deferred"  # due at a known time
    UNKNOWN = "unknown"  # sent, and nobody knows what became of it
    PROCESSED = "processed"
    FAILED = "failed"
    CONTINUED = "continued"  # another command goes on with it
    CONFLICTED = "conflicted"


class RequestStatus(StrEnum):
    """Where a request stands, as the platform's other services know it."""

    INITIATED = "initiated"
    PROCESSED = "processed"
    FAILED = "failed"


class RequestFact(StrEnum):
    """What we learned about a request."""

    DONE = "done"
    DENIED = "denied"  # refused by us, or a definite no of the gateway
    DEFERRED = "deferred"
    UNDECIDED = "undecided"
    CONTINUED = "continued"
    CONTRADICTED = "contradicted"
    RULED_DONE = "ruled_done"
    RULED_DENIED = "ruled_denied"


_R, _G = RequestState, RequestFact
REQUEST_ROWS: Final[Mapping[RequestState, Mapping[RequestFact, RequestState]]] = MappingProxyType(
    {
        _R.REQUESTED: {
            _G.DONE: _R.PROCESSED,
            _G.DENIED: _R.FAILED,
            _G.DEFERRED: _R.DEFERRED,
            _G.UNDECIDED: _R.UNKNOWN,
            _G.CONTINUED: _R.CONTINUED,
            _G.CONTRADICTED: _R.CONFLICTED,
            _G.RULED_DONE: _R.PROCESSED,
            _G.RULED_DENIED: _R.FAILED,
        },
        _R.DEFERRED: {
            _G.DEFERRED: _R.DEFERRED,  # to another day
            _G.DONE: _R.PROCESSED,
            _G.DENIED: _R.FAILED,
            _G.UNDECIDED: _R.UNKNOWN,
            _G.CONTINUED: _R.CONTINUED,
            _G.CONTRADICTED: _R.CONFLICTED,
            _G.RULED_DONE: _R.PROCESSED,
            _G.RULED_DENIED: _R.FAILED,
        },
        _R.UNKNOWN: {
            _G.DONE: _R.PROCESSED,
            _G.DENIED: _R.FAILED,
            _G.DEFERRED: _R.DEFERRED,
            _G.CONTINUED: _R.CONTINUED,
            _G.CONTRADICTED: _R.CONFLICTED,
            _G.RULED_DONE: _R.PROCESSED,
            _G.RULED_DENIED: _R.FAILED,
        },
        _R.PROCESSED: {_G.CONTRADICTED: _R.CONFLICTED},
        _R.FAILED: {_G.CONTRADICTED: _R.CONFLICTED},
        _R.CONTINUED: {},
        _R.CONFLICTED: {_G.RULED_DONE: _R.PROCESSED, _G.RULED_DENIED: _R.FAILED},
    }
)
SEEN_REQUEST: Final[Mapping[RequestState, RequestStatus]] = MappingProxyType(
    {
        _R.REQUESTED: RequestStatus.INITIATED,
        _R.DEFERRED: RequestStatus.INITIATED,
        _R.UNKNOWN: RequestStatus.INITIATED,
        _R.PROCESSED: RequestStatus.PROCESSED,
        _R.FAILED: RequestStatus.FAILED,
        _R.CONTINUED: RequestStatus.INITIATED,
        _R.CONFLICTED: RequestStatus.INITIATED,
    }
)

StateT = TypeVar("StateT", bound=StrEnum)
FactT = TypeVar("FactT", bound=StrEnum)


def _flat(rows: Mapping[StateT, Mapping[FactT, StateT]]) -> Mapping[tuple[StateT, FactT], StateT]:
    return MappingProxyType(
        {(state, fact): after for state, row in rows.items() for fact, after in row.items()}
    )


TRANSITIONS: Final = _flat(PAYMENT_ROWS)
REQUEST_TRANSITIONS: Final = _flat(REQUEST_ROWS)
