"""The end of the demo: the four books beside each other, what waits and why, and the verdict in one sentence."""

from typing import Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from handlers.domain.money import Money
from worker.demo.books import KEPT, Tally, Verdict

_BOOKS: Final = ("gateway", "journal", "db-service", "events")
_USUAL: Final = "USD"
_ORDER: Final = (
    "captured",
    "authorized",
    "partly back",
    "given back",
    "returned",
    "verified",
    "declined",
    "refused",
    "failed",
    "held",
    "unknown",
    "conflicted",
    "requested",
)
_MOST_DIFFERENCES: Final = 20
_NOTHING: Final = Tally()


def show(verdict: Verdict, console: Console) -> None:
    """Print it all."""
    console.print()
    console.print(_books(verdict))
    for it in verdict.waiting:
        what = f"{it.what} of " if it.what != "payment" else ""
        console.print(
            Text(f'waiting: {what}{it.payment_id} is {it.state}, goes on at {it.due}; "{it.why}"')
        )
    requests = ", ".join(
        f"{count} {kind} {state}" for (kind, state), count in sorted(verdict.requests.items())
    )
    letters = ", ".join(
        f"{reason} {count}" for reason, count in sorted(verdict.dead_letters.items())
    )
    events = ", ".join(f"{count} {kind}" for kind, count in sorted(verdict.events.items()))
    for line in (
        f"requests: {requests or 'none'}",
        f"events told once each: {events}",
        f"dead letters: {letters or 'none'} (run_worker.py dead-letters list shows them, and replays what was mended)",
        f"repeats answered: {verdict.repeats}",
        "what only a person can decide is listed by run_worker.py review list",
    ):
        console.print(Text(line))
    for difference in verdict.differences[:_MOST_DIFFERENCES]:
        console.print(Text(f"DIFFERS: {difference}", style="red"))
    console.print()
    console.print(Text(sentence(verdict), style="bold green" if verdict.equal else "bold red"))


def sentence(verdict: Verdict) -> str:
    """The verdict in one sentence."""
    if not verdict.equal:
        return f"The books DIFFER in {len(verdict.differences)} places."
    total = verdict.states.total()
    waiting = f"; {len(verdict.waiting)} waiting with a due time" if verdict.waiting else ""
    return (
        f"The books are equal: {total} payments, {verdict.charged} charged, and {verdict.requests.total()}"
        f" requests, each once, each told once{waiting}."
    )


def _books(verdict: Verdict) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title="payments and USD in each book")
    table.add_column("state", no_wrap=True)
    for book in _BOOKS:
        table.add_column(book, justify="right", no_wrap=True)
    rows = {key for tallies in verdict.tallies.values() for key in tallies}
    for state, currency in sorted(rows, key=lambda key: (_rank(key[0]), key)):
        cells = [
            _cell(verdict.tallies.get(book, {}).get((state, currency), _NOTHING), currency)
            for book in _BOOKS
        ]
        table.add_row(state if currency == _USUAL else f"{state} {currency}", *cells)
    return table


def _rank(state: str) -> int:
    if state == KEPT:
        return len(_ORDER) + 1
    return _ORDER.index(state) if state in _ORDER else len(_ORDER)


def _cell(tally: Tally, currency: str) -> str:
    if not tally.count:
        return "-"
    amount = Money(tally.amount_minor, currency).decimal_text()
    return f"{tally.count} {amount:>9}"
