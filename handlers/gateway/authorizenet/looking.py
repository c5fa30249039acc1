"""How a charge stands today: a look that moves nothing, for the plan of what is to be done with it."""

from datetime import datetime
from typing import Final

from handlers.domain.errors import Unavailable
from handlers.domain.facts import Sight, Standing
from handlers.domain.intents import Question
from handlers.domain.verdicts import NotSeen
from handlers.gateway.authorizenet.details import Details
from handlers.gateway.authorizenet.finding import MAX_MATCHES, details_of
from handlers.gateway.authorizenet.scanning import Desk, Trouble

_UNKNOWN_RECORD: Final = "E00040"
# Of several transactions under one invoice number the one that moved most counts.
_RANK: Final = (
    Standing.TAKEN,
    Standing.SETTLED,
    Standing.RETURNED,
    Standing.CHARGED_BACK,
    Standing.UNCLEAR,
    Standing.RESERVED,
    Standing.HELD,
    Standing.VOIDED,
    Standing.EXPIRED,
    Standing.DECLINED,
)


async def look(question: Question, desk: Desk) -> Sight | NotSeen:
    """The charge that `question` names. Raises Unavailable where the gateway did not answer, or refused to tell."""
    if question.transaction_id:
        told = await _told(question.transaction_id, desk)
        return told if isinstance(told, NotSeen) else _seen(told, question, desk=desk)
    if not question.invoice_number:
        return NotSeen(complete=False, why="there is nothing to look by")
    searched = await desk.search(question)
    if isinstance(searched, Trouble):
        raise Unavailable("gateway", searched.why)
    sights: list[Sight] = []
    why = "it is not in the unsettled list nor in the settled batches"
    for transaction_id in searched.matches[:MAX_MATCHES]:
        told = await _told(transaction_id, desk)
        seen = told if isinstance(told, NotSeen) else _seen(told, question, desk=desk)
        if isinstance(seen, Sight):
            sights.append(seen)
        else:
            why = seen.why
    if sights:
        return min(sights, key=lambda sight: _RANK.index(sight.standing))
    complete = not (searched.gap or searched.matches)
    return NotSeen(complete=complete, why=f"{why}, but {searched.gap}" if searched.gap else why)


async def _told(transaction_id: str, desk: Desk) -> Details | NotSeen:
    told = await details_of(transaction_id, desk)
    if not isinstance(told, Trouble):
        return told
    if told.code == _UNKNOWN_RECORD:
        return NotSeen(complete=False, why=f"the gateway knows no transaction {transaction_id}")
    raise Unavailable("gateway", told.why)


def _seen(details: Details, question: Question, *, desk: Desk) -> Sight | NotSeen:
    if not details.transaction_id:
        return NotSeen(complete=False, why="the details carry no transaction id")
    name = f"transaction {details.transaction_id}"
    if question.invoice_number and details.invoice_number != question.invoice_number:
        return NotSeen(complete=False, why=f"{name} carries another invoice number")
    if details.refunds or details.returned_item:
        return NotSeen(complete=False, why=f"{name} is no charge")
    return Sight(
        transaction_id=details.transaction_id,
        standing=details.standing,
        money=details.money,
        status=details.status,
        method=details.method,
        submitted_at=details.submitted_at,
        settles_at=_settles_at(details, desk),
        settled_at=details.settled_at,
        evidence=details.evidence,
    )


def _settles_at(details: Details, desk: Desk) -> datetime | None:
    cut_off, submitted_at = desk.account.cut_off, details.submitted_at
    if details.standing is not Standing.TAKEN or cut_off is None or submitted_at is None:
        return None
    return cut_off.through_at(submitted_at, now=desk.now())
