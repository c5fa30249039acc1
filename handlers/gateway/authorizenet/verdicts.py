"""From a reply to a verdict. Pure: bytes and the intent in, verdict and evidence out.

`transactionResponse.responseCode` decides what it can be; the reasons beside it say which, and may only take certainty
away. The codes inside `messages` never make an approval of a decline or a hold (a decline with message code 1 exists).
The request's own message code decides only where there is no response code. An approval without a transaction id is a
test-mode answer: the account or the request is set up wrongly, and nobody was charged as far as we can tell.

A capture and a void answer with the id of the transaction that they acted upon: another id proves nothing of ours.
"""

from dataclasses import dataclass
from typing import Final, assert_never

from handlers.domain.commands import Mode
from handlers.domain.intents import About, Capture, Charge, Intent, Refund, Void
from handlers.domain.means import method_kind
from handlers.domain.money import Money, minor_units
from handlers.domain.verdicts import (
    Advice,
    Approved,
    Declined,
    Evidence,
    Held,
    Method,
    NotYet,
    Reason,
    Unknown,
    Verdict,
)
from handlers.gateway.authorizenet.reason_codes import (
    Kind,
    Row,
    message_row,
    reason_row,
    response_row,
)
from handlers.gateway.authorizenet.replies import (
    Note,
    Outcome,
    Reply,
    Scrubber,
    UnreadableError,
    amount,
    evidence_of,
    read_outcome,
    read_reply,
)

_APPROVED_CODE: Final = "1"
_PARTIAL: Final = "295"


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a verdict needs of the intent.

    `acts_on`: the transaction whose id the answer must carry, "" where a new one is made. `method_kind`: "" where only
    the charge knows.
    """

    about: About
    reference: str
    money: Money
    captures: bool
    acts_on: str = ""
    method_kind: str = ""


def _asked(intent: Intent) -> _Asked:
    about, reference, money = intent.about, intent.reference, intent.money
    match intent:
        case Charge():
            kind = method_kind(intent.means)
            captures = intent.mode is Mode.SALE
            return _Asked(about, reference, money, captures=captures, method_kind=kind)
        case Capture():
            return _Asked(about, reference, money, captures=True, acts_on=intent.transaction_id)
        case Void():
            return _Asked(about, reference, money, captures=False, acts_on=intent.transaction_id)
        case Refund():
            kind = intent.method.kind
            return _Asked(about, reference, money, captures=True, method_kind=kind)
        case _:
            assert_never(intent)


def verdict_of(body: bytes, intent: Intent, *, scrubber: Scrubber) -> tuple[Verdict, Evidence]:
    """What `body` says of `intent`. Anything that is not readable and definite is Unknown."""
    asked = _asked(intent)
    try:
        reply = read_reply(body, scrubber)
    except UnreadableError:
        why = "The gateway's answer could not be read."
        return _unknown("worker.unreadable", why), {"unreadable_bytes": len(body)}
    outcome = read_outcome(reply, scrubber)
    evidence = evidence_of(reply, outcome, scrubber=scrubber)
    if reply.ref_id and reply.ref_id != asked.reference:
        why = "The gateway's answer carries the reference of another request."
        return _unknown("worker.other_reference", why), evidence
    if asked.acts_on and outcome.transaction_id not in {"", asked.acts_on}:
        why = "The gateway's answer is about another transaction."
        return _unknown("worker.other_transaction", why), evidence
    if outcome.response_code:
        return _by_response(outcome, asked), evidence
    return _by_message(reply, outcome, about=asked.about), evidence


def _unknown(code: str, why: str, *, advice: Advice = Advice.UNDECIDED) -> Unknown:
    return Unknown(Reason(code, why, advice))


def _look(note: Note) -> Unknown:
    return _unknown(note.code or "worker.no_code", note.text or "The answer says nothing definite.")


def _by_response(outcome: Outcome, asked: _Asked) -> Verdict:
    if outcome.approved or any(note.code == _PARTIAL for note in _notes(outcome)):
        return _in_part(outcome, asked)
    match response_row(outcome.response_code).kind:
        case Kind.APPROVED:
            return _approval(outcome, asked)
        case Kind.HELD:
            return _hold(outcome, asked)
        case Kind.DECLINED | Kind.NOT_YET | Kind.UNKNOWN:
            return _refusal(outcome, asked)
        case Kind.LOOK:
            return _look(_first(outcome))


def _notes(outcome: Outcome) -> tuple[Note, ...]:
    return outcome.errors + outcome.messages


def _first(outcome: Outcome) -> Note:
    """What is told as the reason: an error before a message."""
    notes = _notes(outcome)
    return notes[0] if notes else Note(outcome.response_code, "")


def _approval(outcome: Outcome, asked: _Asked, *, amount_minor: int | None = None) -> Verdict:
    notes = _notes(outcome)
    rows = [reason_row(note.code, asked.about) for note in notes]
    doubts = [note for note, row in zip(notes, rows, strict=True) if row.kind is not Kind.APPROVED]
    if doubts and amount_minor is None:
        return _look(doubts[0])
    said = _first(outcome)
    # What was done before comes with id 0 in profile replies: then it is the one that we named.
    done_before = bool(notes) and said.code != _APPROVED_CODE
    transaction_id = outcome.transaction_id or (asked.acts_on if done_before else "")
    if not transaction_id:
        why = "Approved without a transaction: the account or the request is in test mode."
        return _unknown("worker.test_mode", why, advice=Advice.FIX)
    return Approved(
        transaction_id=transaction_id,
        captured=asked.captures,
        reason=Reason(said.code, said.text, Advice.UNDECIDED),
        amount_minor=amount_minor,
        auth_code=outcome.auth_code,
        network_transaction_id=outcome.network_transaction_id,
        avs=outcome.avs,
        cvv=outcome.cvv,
        method=_method(outcome, asked),
    )


def _in_part(outcome: Outcome, asked: _Asked) -> Verdict:
    """A partial approval never reads as a full one: with amounts the core sees the difference, without it must look."""
    amount_minor = _approved_minor(outcome, asked.money)
    partial = any(note.code == _PARTIAL for note in _notes(outcome))
    full = amount_minor == asked.money.amount_minor
    may_be_approved = response_row(outcome.response_code).kind in {Kind.APPROVED, Kind.HELD}
    others = [note for note in _notes(outcome) if note.code not in {_PARTIAL, _APPROVED_CODE}]
    if amount_minor is None or others or not may_be_approved or (partial and full):
        return _look(_first(outcome))
    if not partial and response_row(outcome.response_code).kind is Kind.HELD:
        return _hold(outcome, asked, amount_minor=amount_minor)
    return _approval(outcome, asked, amount_minor=amount_minor)


def _approved_minor(outcome: Outcome, asked: Money) -> int | None:
    parts = [amount(said) for said in outcome.approved]
    total = sum(part for part in parts if part is not None)
    if not parts or None in parts or not total:
        return None
    return minor_units(total, asked.currency)


def _hold(outcome: Outcome, asked: _Asked, *, amount_minor: int | None = None) -> Verdict:
    held_too = {Kind.HELD, Kind.APPROVED}
    doubts = [
        note for note in _notes(outcome) if reason_row(note.code, asked.about).kind not in held_too
    ]
    if doubts or not outcome.transaction_id:
        return _look(doubts[0] if doubts else _first(outcome))
    said = next((note for note in _notes(outcome) if note.code != _APPROVED_CODE), _first(outcome))
    reason = Reason(said.code, said.text, Advice.REVIEW)
    return Held(outcome.transaction_id, reason, amount_minor, method=_method(outcome, asked))


def _refusal(outcome: Outcome, asked: _Asked) -> Verdict:
    notes = outcome.errors or tuple(
        note for note in outcome.messages if note.code != _APPROVED_CODE
    )
    if not notes:  # the response code stands alone
        row = response_row(outcome.response_code)
        return _no(outcome, Note(outcome.response_code, ""), row=row, asked=asked)
    rows = [reason_row(note.code, asked.about) for note in notes]
    if all(row.kind is Kind.HELD for row in rows):
        return _hold(outcome, asked)
    if all(row.kind is Kind.NOT_YET for row in rows):
        return NotYet(Reason(notes[0].code, notes[0].text, Advice.UNDECIDED))
    for note, row in zip(notes, rows, strict=True):
        if row.kind is not Kind.DECLINED:
            return _look(note)
    return _no(outcome, notes[0], row=rows[0], asked=asked)


def _no(outcome: Outcome, said: Note, *, row: Row, asked: _Asked) -> Verdict:
    if row.kind is not Kind.DECLINED:
        return _look(said)
    return Declined(
        Reason(said.code, said.text, row.advice),
        outcome.transaction_id or None,
        _method(outcome, asked),
    )


def _by_message(reply: Reply, outcome: Outcome, *, about: About) -> Verdict:
    if outcome.errors:
        said = outcome.errors[0]
        row = reason_row(said.code, about)
        alike = {reason_row(note.code, about).kind for note in outcome.errors} == {row.kind}
        if alike and row.kind is Kind.DECLINED and not outcome.transaction_id:
            return Declined(Reason(said.code, said.text, row.advice))
        if alike and row.kind is Kind.NOT_YET and not outcome.transaction_id:
            return NotYet(Reason(said.code, said.text, Advice.UNDECIDED))
        return _look(said)
    rows = [message_row(note.code, about) for note in reply.messages]
    doubts = [
        note
        for note, row in zip(reply.messages, rows, strict=True)
        if row.kind is not Kind.DECLINED
    ]
    if doubts or not rows or outcome.transaction_id or reply.ok:
        return _look(doubts[0] if doubts else reply.first)
    return Declined(Reason(reply.first.code, reply.first.text, rows[0].advice))


def _method(outcome: Outcome, asked: _Asked) -> Method:
    return Method(asked.method_kind, brand(outcome.account_type), last4(outcome.account_number))


def brand(said: str) -> str:
    """A card's brand in one spelling: the gateway has MasterCard and Mastercard. "" for what is no name."""
    name = said.replace(" ", "")
    return name.lower()[:32] if name.isalpha() else ""


def last4(masked_number: str) -> str:
    """The four digits that a masked number shows."""
    return masked_number[-4:]
