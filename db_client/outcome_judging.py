"""What it means for ours that the db-service holds another outcome, and whether it was ever told of a request. Pure.

Only a journal that lost time meets these cases: what it does now was done, and told, before.
"""

from collections.abc import Collection, Sequence
from typing import Final

from db_client.outcome_body import OutcomeBody, Past, PaymentBody, Stored
from handlers.domain.commands import Request
from handlers.domain.states import RequestState
from handlers.ports import Ahead, Recorded

_ENDS: Final = {RequestState.PROCESSED.value, RequestState.FAILED.value}
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


def recorded_of_refund(
    past: Sequence[Past], continuation: int, *, known: Collection[str]
) -> Recorded:
    """What the versions of a refund say of its `continuation`, counted from 1. `known`: states that are no news.

    Each command but the last ends as `continued`. Where fewer ends than that are recorded, any version counts: it is
    better to ask a person than to send a refund twice.
    """
    states = [it.state for it in past]
    ends = [n for n, it in enumerate(states, start=1) if it == RequestState.CONTINUED.value]
    if continuation - 1 > len(ends):
        return Recorded.SOMETHING if past else Recorded.NOTHING
    own = states[ends[continuation - 2] if continuation > 1 else 0 :]
    if RequestState.CONTINUED.value in own:
        return Recorded.WENT_ON
    if _ENDS & set(own):
        return Recorded.ENDED
    return Recorded.SOMETHING if set(own) - set(known) else Recorded.NOTHING
