"""Breaks laid out: as lines for a person, as objects for a script. Nothing is read or decided here."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

from db_client.break_rows import Break, BreakState, Kept, Standing
from worker.commands.terminal import amount, clean, columns, moment
from worker.reconciling.kinds import EXPECTED, Kind
from worker.reconciling.run import Scan

_MOST_SHOWN: Final = 20
_RANK: Final = {kind.value: place for place, kind in enumerate(Kind)}
_HEAD: Final = ["kind", "state", "breaks", "at stake"]
_SEEN_HEAD: Final = ["id", "kind", "about", "at stake", "what differs"]
_KEPT_HEAD: Final = ["id", "kind", "state", "about", "at stake", "age", "what differs"]
_UNITS: Final = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def waiting(standing: Sequence[Standing]) -> int:
    """How many breaks wait for a person: open, and not expected."""
    return sum(it.count for it in standing if _waits(it))


def at_stake(standing: Sequence[Standing]) -> str:
    """What these come to: `12.34 USD + 500 JPY`."""
    return _sums([it for it in standing if _waits(it)])


def _waits(it: Standing) -> bool:
    return it.state is BreakState.OPEN and it.kind not in EXPECTED


def _sums(some: Sequence[Standing]) -> str:
    sums: dict[str, int] = defaultdict(int)
    for it in some:
        sums[it.currency] += it.amount_minor
    return " + ".join(amount(minor, currency) for currency, minor in sorted(sums.items()))


def scan_lines(scan: Scan, standing: Sequence[Standing]) -> Iterator[str]:
    """What was compared, what stands by kind, and the worst of what this scan saw."""
    read = ", ".join(f"{count} {_BOOKS[book]}" for book, count in scan.read.items())
    yield f"compared {moment(scan.span.since)} to {moment(scan.span.until)}: {read}"
    for book, why in scan.gaps:
        yield f"not complete: {clean(book)}: {clean(why)}"
    if scan.fixed:
        yield f"{scan.fixed} not seen any more, and closed as fixed"
    if not standing:
        yield "The books agree." if scan.complete else "No difference was seen so far."
        return
    yield ""
    yield from columns(_by_kind(standing), head=_HEAD)
    shown = [it for it in scan.breaks if it.kind not in EXPECTED][:_MOST_SHOWN]
    if shown:
        yield ""
        yield from columns([_seen_cells(it) for it in shown], head=_SEEN_HEAD)


_BOOKS: Final = {
    "gateway": "transactions at the gateway",
    "journal": "payments here",
    "db_service": "in the db-service",
    "events": "on Kafka",
}


def _by_kind(standing: Sequence[Standing]) -> list[list[str]]:
    groups: dict[tuple[str, BreakState], list[Standing]] = defaultdict(list)
    for it in standing:
        groups[it.kind, it.state].append(it)
    ordered = sorted(groups, key=lambda key: (_RANK.get(key[0], len(_RANK)), key[1]))
    return [
        [kind, state, str(sum(it.count for it in groups[kind, state])), _sums(groups[kind, state])]
        for kind, state in ordered
    ]


def _seen_cells(it: Break) -> list[str]:
    return [it.break_id, it.kind, it.subject, amount(it.amount_minor, it.currency), it.text]


def scan_object(scan: Scan, standing: Sequence[Standing]) -> dict[str, object]:
    """The same for a script, nothing shortened."""
    return {
        "since": scan.span.since,
        "until": scan.span.until,
        "complete": scan.complete,
        "gaps": [{"book": book, "why": why} for book, why in scan.gaps],
        "read": scan.read,
        "fixed": scan.fixed,
        "open": waiting(standing),
        "standing": [
            {
                "kind": it.kind,
                "state": it.state,
                "currency": it.currency,
                "count": it.count,
                "amount_minor": it.amount_minor,
                "amount": _decimal(it.amount_minor, it.currency),
            }
            for it in standing
        ],
        "breaks": [_object(it) for it in scan.breaks],
    }


def kept_lines(found: Sequence[Kept]) -> Iterator[str]:
    """One line for each, and who explained it below."""
    table = columns([_kept_cells(it) for it in found], head=_KEPT_HEAD)
    yield table[0]
    for line, it in zip(table[1:], found, strict=True):
        yield line
        for note in it.notes:
            yield f"    {clean(note.by)} at {moment(note.at)}: {clean(note.why)}"


def _kept_cells(it: Kept) -> list[str]:
    seen = it.seen
    becomes = f" ({seen.becomes})" if seen.becomes != seen.kind else ""
    return [
        seen.break_id,
        f"{seen.kind}{becomes}",
        it.state,
        seen.subject,
        amount(seen.amount_minor, seen.currency),
        _age(it.age_s),
        seen.text,
    ]


def kept_object(it: Kept) -> dict[str, object]:
    """The same for a script."""
    return {
        **_object(it.seen),
        "state": it.state,
        "first_seen": it.first_seen,
        "last_seen": it.last_seen,
        "fixed_at": it.fixed_at,
        "age_s": round(it.age_s, 3),
        "openings": it.openings,
        "notes": [{"by": note.by, "why": note.why, "at": note.at} for note in it.notes],
    }


def _object(it: Break) -> dict[str, object]:
    return {
        "id": it.break_id,
        "kind": it.kind,
        "becomes": it.becomes,
        "book": it.book,
        "account": it.account or None,
        "subject": it.subject,
        "payment_id": it.payment_id or None,
        "transaction_id": it.transaction_id or None,
        "amount_minor": it.amount_minor,
        "currency": it.currency,
        "amount": _decimal(it.amount_minor, it.currency),
        "happened_at": it.happened_at,
        "text": it.text,
    }


def _decimal(minor: int, currency: str) -> str:
    return amount(minor, currency).removesuffix(f" {currency}")


def _age(seconds: float) -> str:
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return "0 s"
