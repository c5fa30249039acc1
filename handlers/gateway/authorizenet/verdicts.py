"""From a reply to a charge to its verdict. Pure: bytes and the intent in, verdict and evidence out.

`transactionResponse.responseCode` decides what it can be; the reasons beside it say which, and may only take certainty
away. The codes inside `messages` never make an approval of a decline or a hold (a decline with message code 1 exists).
The request's own message code decides only where there is no response code. An approval without a transaction id is a
test-mode answer: the account or the request is set up wrongly, and nobody was charged as far as we can tell.
"""

from typing import Final

from handlers.domain.commands import WALLET_DESCRIPTORS, Means, Mode, OpaqueData
from handlers.domain.intents import Charge
from handlers.domain.money import Money, minor_units
from handlers.domain.verdicts import (
    Advice,
    Approved,
    Declined,
    Evidence,
    Held,
    Method,
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

BUSY: Final = "E00053"  # the documented signal to slow down
_APPROVED_CODE: Final = "1"
_PARTIAL: Final = "295"
_DONE_BEFORE: Final = frozenset(
    {"310", "311"}
)  # these come with transaction id 0 in profile replies


def charge_verdict(body: bytes, charge: Charge, *, scrubber: Scrubber) -> tuple[Verdict, Evidence]:
    """What `body` says of `charge`. Anything that is not readable and definite is Unknown."""
    try:
        reply = read_reply(body, scrubber)
    except UnreadableError:
        why = "The gateway's answer could not be read."
        return _unknown("worker.unreadable", why), {"unreadable_bytes": len(body)}
    outcome = read_outcome(reply, scrubber)
    evidence = evidence_of(reply, outcome)
    if reply.ref_id and reply.ref_id != charge.reference:
        why = "The gateway's answer carries the reference of another request."
        return _unknown("worker.other_reference", why), evidence
    if outcome.response_code:
        return _by_response(outcome, charge), evidence
    return _by_message(reply, outcome), evidence


def _unknown(code: str, why: str, *, advice: Advice = Advice.UNDECIDED) -> Unknown:
    return Unknown(Reason(code, why, advice))


def _look(note: Note) -> Unknown:
    return _unknown(note.code or "worker.no_code", note.text or "The answer says nothing definite.")


def _by_response(outcome: Outcome, charge: Charge) -> Verdict:
    if outcome.approved or any(note.code == _PARTIAL for note in _notes(outcome)):
        return _in_part(outcome, charge)
    match response_row(outcome.response_code).kind:
        case Kind.APPROVED:
            return _approval(outcome, charge)
        case Kind.HELD:
            return _hold(outcome, charge.means)
        case Kind.DECLINED | Kind.UNKNOWN:
            return _refusal(outcome, charge.means)
        case Kind.LOOK:
            return _look(_first(outcome))


def _notes(outcome: Outcome) -> tuple[Note, ...]:
    return outcome.errors + outcome.messages


def _first(outcome: Outcome) -> Note:
    """What is told as the reason: an error before a message."""
    notes = _notes(outcome)
    return notes[0] if notes else Note(outcome.response_code, "")


def _approval(outcome: Outcome, charge: Charge, *, amount_minor: int | None = None) -> Verdict:
    notes = _notes(outcome)
    doubts = [note for note in notes if reason_row(note.code).kind is not Kind.APPROVED]
    if doubts and amount_minor is None:
        return _look(doubts[0])
    if not outcome.transaction_id:
        why = "Approved without a transaction: the account or the request is in test mode."
        return _unknown("worker.test_mode", why, advice=Advice.FIX)
    said = _first(outcome)
    return Approved(
        transaction_id=outcome.transaction_id,
        captured=charge.mode is Mode.SALE,
        reason=Reason(said.code, said.text, Advice.UNDECIDED),
        amount_minor=amount_minor,
        auth_code=outcome.auth_code,
        network_transaction_id=outcome.network_transaction_id,
        avs=outcome.avs,
        cvv=outcome.cvv,
        method=_method(outcome, charge.means),
    )


def _in_part(outcome: Outcome, charge: Charge) -> Verdict:
    """A partial approval never reads as a full one: with amounts the core sees the difference, without it must look."""
    amount_minor = _approved_minor(outcome, charge.money)
    partial = any(note.code == _PARTIAL for note in _notes(outcome))
    full = amount_minor == charge.money.amount_minor
    may_be_approved = response_row(outcome.response_code).kind in {Kind.APPROVED, Kind.HELD}
    others = [note for note in _notes(outcome) if note.code not in {_PARTIAL, _APPROVED_CODE}]
    if amount_minor is None or others or not may_be_approved or (partial and full):
        return _look(_first(outcome))
    if not partial and response_row(outcome.response_code).kind is Kind.HELD:
        return _hold(outcome, charge.means, amount_minor=amount_minor)
    return _approval(outcome, charge, amount_minor=amount_minor)


def _approved_minor(outcome: Outcome, asked: Money) -> int | None:
    parts = [amount(said) for said in outcome.approved]
    total = sum(part for part in parts if part is not None)
    if not parts or None in parts or not total:
        return None
    return minor_units(total, asked.currency)


def _hold(outcome: Outcome, means: Means, *, amount_minor: int | None = None) -> Verdict:
    held_too = {Kind.HELD, Kind.APPROVED}
    doubts = [note for note in _notes(outcome) if reason_row(note.code).kind not in held_too]
    if doubts or not outcome.transaction_id:
        return _look(doubts[0] if doubts else _first(outcome))
    said = next((note for note in _notes(outcome) if note.code != _APPROVED_CODE), _first(outcome))
    reason = Reason(said.code, said.text, Advice.REVIEW)
    return Held(outcome.transaction_id, reason, amount_minor, method=_method(outcome, means))


def _refusal(outcome: Outcome, means: Means) -> Verdict:
    notes = outcome.errors or tuple(
        note for note in outcome.messages if note.code != _APPROVED_CODE
    )
    if not notes:  # the response code stands alone
        return _no(
            outcome,
            Note(outcome.response_code, ""),
            row=response_row(outcome.response_code),
            means=means,
        )
    rows = [reason_row(note.code) for note in notes]
    if all(row.kind is Kind.HELD for row in rows):
        return _hold(outcome, means)
    for note, row in zip(notes, rows, strict=True):
        if row.kind is not Kind.DECLINED:
            return _look(note)
    return _no(outcome, notes[0], row=rows[0], means=means)


def _no(outcome: Outcome, said: Note, *, row: Row, means: Means) -> Verdict:
    if row.kind is not Kind.DECLINED:
        return _look(said)
    return Declined(
        Reason(said.code, said.text, row.advice),
        outcome.transaction_id or None,
        _method(outcome, means),
    )


def _by_message(reply: Reply, outcome: Outcome) -> Verdict:
    if outcome.errors:
        kinds = {reason_row(note.code).kind for note in outcome.errors}
        said = outcome.errors[0]
        if kinds == {Kind.DECLINED} and not outcome.transaction_id:
            return Declined(Reason(said.code, said.text, reason_row(said.code).advice))
        return _look(said)
    refused = [note for note in reply.messages if message_row(note.code).kind is not Kind.DECLINED]
    if refused or not reply.messages or outcome.transaction_id or reply.ok:
        return _look(refused[0] if refused else reply.first)
    said = reply.first
    return Declined(Reason(said.code, said.text, message_row(said.code).advice))


def _method(outcome: Outcome, means: Means) -> Method:
    kind = (
        WALLET_DESCRIPTORS[means.descriptor] if isinstance(means, OpaqueData) else "stored_profile"
    )
    return Method(kind, brand(outcome.account_type), last4(outcome.account_number))


def brand(said: str) -> str:
    """A card's brand in one spelling: the gateway has MasterCard and Mastercard."""
    return said.replace(" ", "").lower()[:32]


def last4(masked_number: str) -> str:
    """The four digits that a masked number shows."""
    return masked_number[-4:]
