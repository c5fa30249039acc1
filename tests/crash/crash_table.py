"""The table of the crash proof: a row for each death, in the order of the stations. Nothing is judged here.

It imports nothing of the worker, for pytest's own process prints it, too.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tests.crash.stations import Cell, Station, Verb, exists

PROPERTY: Final = "crash at a station"  # of a test's report: the columns of its row
_HEADINGS: Final = ("station", "verb", "dies with", "taken over by", "ends as", "sent")


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one cell. `heir` took over `after_s` later; `sent`: how often its operation was sent."""

    cell: Cell
    died: str
    heir: str
    after_s: float
    end: str
    sent: int

    def columns(self) -> list[str]:
        """As the table shows it."""
        heir = f"{self.heir} after {self.after_s:.1f} s"
        return [
            self.cell.station.value, self.cell.verb.value, self.died, heir, self.end, f"{self.sent}x",
        ]  # fmt: skip


def lines(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The table of these columns."""
    stations, verbs = list(Station), list(Verb)
    table = sorted(rows, key=lambda it: (stations.index(Station(it[0])), verbs.index(Verb(it[1]))))
    yield from _aligned([_HEADINGS, *table])


def grid(rows: Iterable[Row]) -> Iterator[str]:
    """Stations by verbs: how each ends, and how often it was sent; `-` where the verb never comes there."""
    found = {it.cell: f"{it.end} {it.sent}x" for it in rows}
    table = [("", *(verb.value for verb in Verb))]
    for station in Station:
        cells = (Cell(verb, station) for verb in Verb)
        table.append((station.value, *(found.get(it, "?" if exists(it) else "-") for it in cells)))
    yield from _aligned(table)


def _aligned(table: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        yield "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip()
