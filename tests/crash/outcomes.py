"""What must be true after the deaths of a chain.

The four books are equal, each operation was sent at most once, and nothing waits but refunds that only a person can
decide: what was opened and never arrived is absent from a list, which for a refund proves too little.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from db_client.audit import JournalBook, RequestEntry
from tests.crash.asked_verbs import Asker, Piece, Volley
from tests.crash.crash_table import Row
from tests.crash.stations import Cell, Station, Verb
from worker.demo.audit import audit

Succession = Mapping[str, tuple[str, float]]  # who died → who took over, and so many seconds later
_FOR_A_PERSON: Final = "a person must say whether it happened"
_WAITS: Final = "waits for a person"
_ENDS: Final = {
    Verb.SALE: {"captured", "settled"},
    Verb.AUTHORISE: {"authorized"},
    Verb.TEST_OF_MEANS: {"verified"},
}
# The intent was open, and not a byte had left: a charge is never sent after that, a refund not without a person's word.
# What is safe to repeat was sent by the next worker.
_NEVER_SENT: Final = {
    Verb.SALE: {"failed"},
    Verb.AUTHORISE: {"failed"},
    Verb.TEST_OF_MEANS: {"failed"},
    Verb.REFUND: {_WAITS},
}


def is_over(book: JournalBook) -> bool:
    """Whether nothing is left but what a person must decide."""
    return all(it.stage == "concluded" for it in book.entries) and all(
        it.stage == "concluded" or _is_left_to_a_person(it) for it in book.requests
    )


def has_voided_tests(book: JournalBook) -> bool:
    """Whether each test of means has the void that it asks for itself: on the topic, it is in no book yet."""
    voided = {it.payment_id for it in book.requests if it.kind == "void"}
    return all(it.payment_id in voided for it in book.entries if it.state == "verified")


def _is_left_to_a_person(request: RequestEntry) -> bool:
    return (
        request.kind == "refund"
        and request.stage == "asking"
        and request.why.endswith(_FOR_A_PERSON)
    )


def rows_of(
    asker: Asker, volleys: Sequence[Volley], *, died: Sequence[str], book: JournalBook, heirs: Succession
) -> list[Row]:  # fmt: skip
    """Hold everything against the claims; raises AssertionError with what is wrong."""
    installation = asker.installation
    verdict = audit(
        installation.stage,
        published=installation.published,
        requests=asker.requests,
        name=installation.name,
    )
    assert [] == verdict.differences, f"{verdict.differences}; died: {died}"
    left = [it.operation_id for it in book.requests if _is_left_to_a_person(it)]
    assert len(left) == len(verdict.waiting), verdict.waiting
    calls = installation.stage.gateway("GET", "/calls")
    performed = {name: count for name, count in calls["performed"].items() if count}
    expected = _sent_once(volleys, book)
    assert expected == performed, f"sent once: {expected}, performed: {performed}"
    # Nor was anything asked for that was not carried out: the gateway's duplicate check would hide a second charge.
    requests = calls["requests"]["createTransactionRequest"]
    assert sum(performed.values()) == requests, f"{requests} requests, performed: {performed}"
    rows = []
    for number, (volley, name) in enumerate(zip(volleys, died, strict=True)):
        victim = next((it for it in volley.victims if it.operation_id == name), volley.victims[0])
        end = _ends(book)[victim.operation_id]
        allowed = _allowed(volley.cell)
        assert end in allowed, f"{volley.cell}: {victim.operation_id} ends as {end}, not {allowed}"
        heir, after_s = heirs[f"worker-{number + 1}"]
        sent = int(victim.verb is not Verb.VERIFICATION and end not in {"failed", _WAITS})
        rows.append(Row(volley.cell, name, heir, after_s, end, sent))
    return rows


def _allowed(cell: Cell) -> set[str]:
    ends = _ENDS.get(cell.verb, {"processed"})
    return _NEVER_SENT.get(cell.verb, ends) if cell.station is Station.OPENED else ends


def _ends(book: JournalBook) -> dict[str, str]:
    """Operation → how it ended."""
    return {
        **{f"initiation:{it.payment_id}": it.state for it in book.entries},
        **{
            it.operation_id: _WAITS if _is_left_to_a_person(it) else it.state
            for it in book.requests
        },
    }


def _sent_once(volleys: Iterable[Volley], book: JournalBook) -> dict[str, int]:
    """Type of transaction → how often it was carried out, if each operation that was done was sent once."""
    voids = {
        it.operation_id for volley in volleys for it in volley.pieces if it.verb is Verb.FULL_REFUND
    }
    reserves = _reserved(volleys)
    counted: Counter[str] = Counter()
    for entry in book.entries:
        if entry.state != "failed":
            reserved = entry.payment_id in reserves
            counted["authOnlyTransaction" if reserved else "authCaptureTransaction"] += 1
    for request in book.requests:
        if request.state == "processed" and request.kind != "verification":
            counted[_transaction_of(request, voids=voids)] += 1
    return dict(counted)


def _transaction_of(request: RequestEntry, *, voids: set[str]) -> str:
    if request.kind == "capture":
        return "priorAuthCaptureTransaction"
    if request.kind == "void" or request.operation_id in voids:
        return "voidTransaction"
    return "refundTransaction"


def _reserved(volleys: Iterable[Volley]) -> set[str]:
    """Payments that begin with an authorisation."""
    reserving = {Verb.AUTHORISE, Verb.TEST_OF_MEANS, Verb.CAPTURE, Verb.VOID}
    pieces = [it for volley in volleys for it in volley.pieces if it.verb in reserving]
    return {_payment_of(it) for it in pieces}


def _payment_of(piece: Piece) -> str:
    return piece.command.payment_id
