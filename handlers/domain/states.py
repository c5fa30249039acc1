"""The states of a payment, and the one table of what may follow what.

Legend: `TRANSITIONS[state, fact]` is the state that follows; a pair that is not in the table brings no news: the state
stays, the evidence is kept (P6). `SEEN` says what a state means outside: success, failure or pending.
The row "final failure + approved evidence → conflicted" is the one that a worker must never be without: the customer
was told no, and the card was billed.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class PaymentState(StrEnum):
    """Where a payment stands, in detail."""

    REQUESTED = "requested"
    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    DECLINED = "declined"
    REFUSED = "refused"
    FAILED = "failed"
    HELD = "held"
    UNKNOWN = "unknown"
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
    DECLINED = "declined"
    HELD = "held"
    UNDECIDED = "undecided"
    REFUSED = "refused"  # we said no before the gateway
    NOT_CHARGED = "not_charged"  # complete scans in which it is absent
    CONTRADICTED = "contradicted"  # approved, but with another amount or currency than ours


_S, _F = PaymentState, Fact
TRANSITIONS: Final[Mapping[tuple[PaymentState, Fact], PaymentState]] = MappingProxyType(
    {
        (_S.REQUESTED, _F.RESERVED): _S.AUTHORIZED,
        (_S.REQUESTED, _F.TAKEN): _S.CAPTURED,
        (_S.REQUESTED, _F.DECLINED): _S.DECLINED,
        (_S.REQUESTED, _F.HELD): _S.HELD,
        (_S.REQUESTED, _F.UNDECIDED): _S.UNKNOWN,
        (_S.REQUESTED, _F.REFUSED): _S.REFUSED,
        (_S.REQUESTED, _F.NOT_CHARGED): _S.FAILED,
        (_S.REQUESTED, _F.CONTRADICTED): _S.CONFLICTED,
        (_S.UNKNOWN, _F.RESERVED): _S.AUTHORIZED,
        (_S.UNKNOWN, _F.TAKEN): _S.CAPTURED,
        (_S.UNKNOWN, _F.DECLINED): _S.DECLINED,
        (_S.UNKNOWN, _F.HELD): _S.HELD,
        (_S.UNKNOWN, _F.NOT_CHARGED): _S.FAILED,
        (_S.UNKNOWN, _F.CONTRADICTED): _S.CONFLICTED,
        (_S.HELD, _F.RESERVED): _S.AUTHORIZED,
        (_S.HELD, _F.TAKEN): _S.CAPTURED,
        (_S.HELD, _F.DECLINED): _S.DECLINED,
        (_S.HELD, _F.CONTRADICTED): _S.CONFLICTED,
        (_S.AUTHORIZED, _F.CONTRADICTED): _S.CONFLICTED,
        (_S.CAPTURED, _F.CONTRADICTED): _S.CONFLICTED,
        (_S.DECLINED, _F.RESERVED): _S.CONFLICTED,
        (_S.DECLINED, _F.TAKEN): _S.CONFLICTED,
        (_S.DECLINED, _F.CONTRADICTED): _S.CONFLICTED,
        (_S.REFUSED, _F.RESERVED): _S.CONFLICTED,
        (_S.REFUSED, _F.TAKEN): _S.CONFLICTED,
        (_S.REFUSED, _F.CONTRADICTED): _S.CONFLICTED,
        (_S.FAILED, _F.RESERVED): _S.CONFLICTED,
        (_S.FAILED, _F.TAKEN): _S.CONFLICTED,
        (_S.FAILED, _F.CONTRADICTED): _S.CONFLICTED,
    }
)

SEEN: Final[Mapping[PaymentState, PaymentStatus]] = MappingProxyType(
    {
        _S.REQUESTED: PaymentStatus.PENDING,
        _S.AUTHORIZED: PaymentStatus.SUCCESS,
        _S.CAPTURED: PaymentStatus.SUCCESS,
        _S.DECLINED: PaymentStatus.FAILURE,
        _S.REFUSED: PaymentStatus.FAILURE,
        _S.FAILED: PaymentStatus.FAILURE,
        _S.HELD: PaymentStatus.PENDING,
        _S.UNKNOWN: PaymentStatus.PENDING,
        _S.CONFLICTED: PaymentStatus.PENDING,
    }
)

# What keeps an operation going after it was told: the gateway is asked again when it is due.
UNDECIDED: Final = frozenset({_S.HELD, _S.UNKNOWN})
