"""What became of an intent: its transaction's details where the id is known, else those of the rows that match.

How lists are searched stands in `scanning.py`, what details mean in `readings.py`.
"""

from dataclasses import dataclass, field, replace
from typing import Final

from handlers.domain.intents import About, Question
from handlers.domain.verdicts import (
    NO_EVIDENCE,
    Approved,
    Declined,
    Definite,
    Evidence,
    Finding,
    Found,
    Held,
    NotSeen,
    NotYet,
)
from handlers.gateway.authorizenet.details import Details, read_details
from handlers.gateway.authorizenet.questions import details_request
from handlers.gateway.authorizenet.readings import (
    Reading,
    Stranger,
    Unclear,
    Undone,
    capture_reading,
    reading,
)
from handlers.gateway.authorizenet.scanning import Desk, Search, Trouble

MAX_MATCHES: Final = 5
_RANK: Final = (Approved, NotYet, Held, Declined)  # the one that may have moved money counts


async def find(question: Question, desk: Desk) -> Finding:
    """What became of the intent that `question` asks for."""
    if question.transaction_id:
        weighed = await _weighed((question.transaction_id,), question, desk=desk)
        return weighed.finding(Search((), "", rows=0, batches=0))
    if not question.invoice_number:
        return NotSeen(complete=False, why="there is nothing to look by")
    searched = await desk.search(question)
    if isinstance(searched, Trouble):
        return NotSeen(complete=False, why=searched.why, heard=bool(searched.code))
    weighed = await _weighed(searched.matches, question, desk=desk)
    return weighed.finding(searched)


async def details_of(transaction_id: str, desk: Desk) -> Details | Trouble:
    """The transaction as it stands today."""
    reply = await desk.asked(details_request(transaction_id, desk.account))
    if isinstance(reply, Trouble):
        return reply
    return read_details(reply, currency=desk.account.currency, scrubber=desk.scrubber)


async def captured(transaction_id: str, desk: Desk) -> Found | None:
    """The capture of an authorisation that the gateway calls captured already; None where that is not clear."""
    told = await details_of(transaction_id, desk)
    if isinstance(told, Trouble):
        return None
    read = capture_reading(told, transaction_id)
    return Found(read, told.evidence) if isinstance(read, Approved) else None


@dataclass(slots=True)
class _Weighed:
    """What the details of all matches came to."""

    matches: tuple[str, ...]
    about: About
    found: list[tuple[Definite, Evidence]] = field(default_factory=list)
    unclear: list[str] = field(default_factory=list)
    undone: list[str] = field(default_factory=list)
    strange: bool = False
    heard: bool = True
    evidence: Evidence = field(default_factory=lambda: NO_EVIDENCE)

    def take(self, read: Reading) -> None:
        """One match."""
        match read:
            case Unclear(why):
                self.unclear.append(why)
            case Undone(why):
                self.undone.append(why)
            case Stranger():
                self.strange = True
            case _:
                self.found.append((read, self.evidence))

    def finding(self, searched: Search) -> Finding:
        """The answer; what is unclear may be an approval, so that nothing less counts beside it."""
        for rank in _RANK:
            for verdict, evidence in self.found:
                if isinstance(verdict, rank) and (rank is Approved or not self.unclear):
                    several = {"matches": list(self.matches)} if len(self.matches) > 1 else {}
                    return Found(self._with_others(verdict), {**evidence, **several})
        if self.unclear:
            why = "; ".join(self.unclear)[:300]
            return NotSeen(complete=False, why=why, evidence=self.evidence, heard=self.heard)
        if self.undone:
            return NotSeen(complete=True, why=self.undone[0], evidence=self.evidence)
        if self.strange:
            why = "its number is on transactions of another kind only"
            return NotSeen(complete=False, why=why, evidence=self.evidence)
        seen = {"rows": searched.rows, "batches": searched.batches}
        gap = f", but {searched.gap}" if searched.gap else ""
        why = f"not in the unsettled list nor in the settled batches{gap}"
        return NotSeen(complete=not gap, why=why, evidence=seen)

    def _with_others(self, first: Definite) -> Definite:
        """The verdict, with what else was approved under its number: a charge must have nothing beside it."""
        approved = [it for it, _ in self.found if isinstance(it, Approved)]
        if not isinstance(first, Approved) or len(approved) == 1:
            return first
        others = tuple(it.transaction_id for it in approved if it is not first)
        if self.about is not About.REFUND:
            return replace(first, others=others)
        # The refund that left twice is one of another amount than ours, which its verb knows to tell.
        told = [it.amount_minor or 0 for it in approved]
        return replace(first, others=others, amount_minor=sum(told))


async def _weighed(matches: tuple[str, ...], question: Question, *, desk: Desk) -> _Weighed:
    weighed = _Weighed(matches, question.about)
    for transaction_id in matches[:MAX_MATCHES]:
        told = await details_of(transaction_id, desk)
        if isinstance(told, Trouble):
            weighed.unclear.append(f"no details of {transaction_id}: {told.why}")
            weighed.heard = weighed.heard and bool(told.code)
            continue
        weighed.evidence = told.evidence
        weighed.take(reading(told, question))
    if len(matches) > MAX_MATCHES:
        weighed.unclear.append("more rows match than were looked at")
    return weighed
