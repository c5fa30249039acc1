"""Which state here agrees with which standing at the gateway: two literal tables, one for payments and one for refunds.

Legend: a row is a state of the journal's, with every standing of the gateway's that it agrees with. What is in no row
differs. `UNCLEAR` (on its way to another status) agrees with everything, and so does `CONFLICTED`: the journal says
itself that the gateway has something else, and a person is asked already. Time alone settles at the gateway, so the
journal may know less of that, and never something else.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from handlers.domain.facts import Standing
from handlers.domain.states import PaymentState, RequestState

_S, _P, _R = Standing, PaymentState, RequestState
_NOTHING: Final = frozenset({_S.DECLINED, _S.VOIDED, _S.EXPIRED})
_ALL: Final = frozenset(Standing)
PAYMENTS: Final[Mapping[PaymentState, frozenset[Standing]]] = MappingProxyType(
    {
        _P.REQUESTED: frozenset(),  # the answer is there: it should be known here soon
        _P.UNKNOWN: frozenset(),
        _P.AUTHORIZED: frozenset({_S.RESERVED}),
        _P.CAPTURED: frozenset({_S.TAKEN, _S.SETTLED}),
        _P.SETTLED: frozenset({_S.SETTLED}),
        _P.VERIFIED: frozenset({_S.VOIDED, _S.EXPIRED}),
        _P.DECLINED: _NOTHING,
        _P.REFUSED: _NOTHING,
        _P.FAILED: _NOTHING,
        _P.HELD: _NOTHING
        | {_S.HELD},  # a person's no moves nothing, and is asked for on a schedule
        _P.VOIDED: _NOTHING,
        _P.EXPIRED: _NOTHING,
        _P.PARTIALLY_REFUNDED: frozenset({_S.SETTLED}),
        _P.REFUNDED: frozenset(
            {_S.SETTLED, _S.VOIDED}
        ),  # before settlement the whole goes back as a void
        _P.RETURNED: frozenset({_S.RETURNED, _S.SETTLED}),  # lists may keep the charge as settled
        _P.CHARGED_BACK: frozenset({_S.CHARGED_BACK, _S.RETURNED, _S.SETTLED}),
        _P.CONFLICTED: _ALL,
    }
)
REFUNDS: Final[Mapping[RequestState, frozenset[Standing]]] = MappingProxyType(
    {
        _R.REQUESTED: _NOTHING,  # an attempt before this one may have been declined
        _R.DEFERRED: _NOTHING,
        _R.UNKNOWN: frozenset({_S.HELD}),
        _R.PROCESSED: frozenset({_S.TAKEN, _S.SETTLED}),
        _R.FAILED: _NOTHING,
        _R.CONTINUED: _NOTHING,
        _R.CONFLICTED: _ALL,
    }
)
# Money moved, or is reserved.
LIVE: Final = frozenset({_S.RESERVED, _S.TAKEN, _S.SETTLED, _S.RETURNED, _S.CHARGED_BACK})
TAKEN: Final = LIVE - {_S.RESERVED}
MAY_MOVE: Final = LIVE | {_S.HELD, _S.UNCLEAR}
TAKEN_BACK: Final = frozenset({_S.RETURNED, _S.CHARGED_BACK})
GIVEN_BACK: Final = frozenset({_S.TAKEN, _S.SETTLED})  # of a refund
# What the gateway must have, if the journal is right.
CHARGED: Final = frozenset(
    {
        _P.AUTHORIZED,
        _P.CAPTURED,
        _P.SETTLED,
        _P.PARTIALLY_REFUNDED,
        _P.REFUNDED,
        _P.RETURNED,
        _P.CHARGED_BACK,
    }
)


def agrees(state: PaymentState, standing: Standing) -> bool:
    """Whether a payment may stand so here and its charge so there."""
    return standing is Standing.UNCLEAR or standing in PAYMENTS[state]


def refund_agrees(state: RequestState, standing: Standing) -> bool:
    """The same for a refund."""
    return standing is Standing.UNCLEAR or standing in REFUNDS[state]
