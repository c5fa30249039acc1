"""What it means for ours that the db-service holds another outcome, and whether it was ever told of a request. Pure.

Only a journal that lost time meets these cases: what it does now was done, and told, before.
"""

from collections.abc import Sequence
from typing import Final

from db_client.outcome_body import OutcomeBody, Past, PaymentBody, Stored
from handlers.domain.commands import Request
from handlers.domain.states import RequestState
from handlers.ports import Ahead, Recorded

_ENDS: Final = {RequestState.PROCESSED.value, RequestState.FAILED.value}
_CONTINUED: Final = RequestState.CONTINUED.value
_DEFERRED: Final = RequestState.DEFERRED.value
_UNKNOWN: Final = RequestState.UNKNOWN.value
_WHOSE: Final = {
    "payment": frozenset({"payment_id", "order_id", "user_id", "amount_minor", "currency"}),
    "refund": frozenset({"refund_id", "payment_id", "amount_minor", "currency"}),
}


def judged(ours: OutcomeBody, stored: Stored) -> str | Ahead | None:
    """What to do where the service has our version with other content, or a later one.

    None where it holds the same news under the same version (only texts or times differ). Ahead where the journal lost
    the time in which that was told: the same news is told again under the version that it has there, other news under
    the next one. Otherwise why not: it is another payment, or refund, under our id.
    """
    different = differences(ours, stored)
    whose = _WHOSE["payment" if isinstance(ours, PaymentBody) else "refund"]
    if whose & set(different):
        who = ", ".join(different)
        return (
            f"{name_of(ours)} is stored there with other {who}: compare both, a person must decide"
        )
    if different:
        return Ahead(stored.version)
    return Ahead(stored.version - 1) if stored.version > ours.version else None


def worst(ends: Sequence[str | Ahead | None]) -> str | Ahead | None:
    """What becomes of an outcome whose parts were judged apart: a person's case first, then the highest version."""
    told = [end for end in ends if isinstance(end, str)]
    if told:
        return "; ".join(told)
    ahead = [end for end in ends if isinstance(end, Ahead)]
    return max(ahead, key=lambda end: end.version) if ahead else None


def differences(ours: OutcomeBody, stored: Stored) -> tuple[str, ...]:
    """The names of the fields that differ in more than texts, times and the version."""
    names = (name for name in stored.__struct_fields__ if name != "version")
    return tuple(name for name in names if getattr(ours, name) != getattr(stored, name))


def name_of(body: OutcomeBody) -> str:
    """An outcome's name for people."""
    if isinstance(body, PaymentBody):
        return f"payment {body.payment_id} version {body.version}"
    return f"refund {body.refund_id} version {body.version}"


def names_request(past: Sequence[Past], request: Request) -> bool:
    """Whether any version of a payment was about `request`."""
    ours = request.kind.value, request.request_id
    return any(
        it.request is not None and ours == (it.request.kind, it.request.request_id) for it in past
    )


def recorded_of_refund(past: Sequence[Past], continuation: int, *, known: str | None) -> Recorded:
    """What the versions of a refund say of its `continuation`, counted from 1. `known`: the state that is no news.

    The first command alone goes on under another, and may have told so more than once. Where that is not recorded any
    version counts for the other: it is better to ask a person than to send a refund twice.
    """
    own = [it.state for it in past]
    went_on = _CONTINUED in own
    if went_on and continuation == 1:
        return Recorded.WENT_ON
    if continuation > 1:
        if not went_on:
            return Recorded.SOMETHING if own else Recorded.NOTHING
        own = [it for it in own[own.index(_CONTINUED) :] if it != _CONTINUED]
    if _ENDS & set(own):
        return Recorded.ENDED
    return Recorded.SOMETHING if _has_news(own, known) else Recorded.NOTHING


def _has_news(states: Sequence[str], known: str | None) -> bool:
    if known == _UNKNOWN:
        went_out = _DEFERRED in states and _UNKNOWN in states[states.index(_DEFERRED) :]
        return went_out or bool(set(states) - {_UNKNOWN, _DEFERRED})
    return bool(set(states) - ({_DEFERRED} & {known}))
