"""What the crash proof is about: verbs, stations, and in which chains they are played. Pure; nothing runs here.

A chain is played on one installation: one worker after the other dies, each at the station and with the verb of its
link, and the last one lives. `matrix()` holds each verb at each station, `SLICE` each verb and each station once at
least: that is what the CI plays.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Verb(StrEnum):
    """What is asked for when the worker dies."""

    SALE = "sale"
    AUTHORISE = "authorise"
    CAPTURE = "capture"
    VOID = "void"
    REFUND = "refund"  # of a settled charge
    FULL_REFUND = "full refund"  # before the settlement: a void at the gateway
    VERIFICATION = "verification"
    TEST_OF_MEANS = "test of means"


class Station(StrEnum):
    """Where it dies; the names stand in the log of the dead."""

    ADMITTED = "after admit, before the offsets"
    OFFSETS = "after the offsets, before its turn"
    PLANNED = "after look and plan, before open"
    OPENED = "after open, before send"
    UNDER_WAY = "while the gateway works"
    SENT = "after send, before answer"
    ANSWERED = "after answer, before record"
    RECORDED = "after record, before conclude"
    CONCLUDED = "after conclude, before publish"
    PRODUCED = "inside the kafka_txn, before its offsets"
    UNCOMMITTED = "inside the kafka_txn, before its commit"
    COMMITTED = "after the kafka_txn, before the mirror"
    ASKING = "inside the finder, while the gateway is asked"
    GATHERED = "inside the finder, after it gathered the question"
    WALKING = "inside the finder's walk, before its mark"
    ENDED = "inside a take-over, after the row was ended"
    FENCED = "inside a take-over, after the fence"
    MOVED = "inside a take-over, after the move"


IN_A_TAKE_OVER: Final = frozenset({Station.ENDED, Station.FENCED, Station.MOVED})
ASKED_BY_LIST: Final = frozenset({Verb.SALE, Verb.AUTHORISE, Verb.TEST_OF_MEANS, Verb.REFUND})


@dataclass(frozen=True, slots=True)
class Cell:
    """One death: the verb whose operation passes the station."""

    verb: Verb
    station: Station


Chain = Sequence[Cell]


def exists(cell: Cell) -> bool:
    """Whether the verb passes the station at all.

    A verification sends nothing, so it is not opened. Only what is asked by list is gathered: captures and voids are
    asked for by the details of a transaction, by whoever has them.
    """
    if cell.verb is Verb.VERIFICATION and cell.station in {Station.OPENED, Station.SENT}:
        return False
    return cell.station is not Station.GATHERED or cell.verb in ASKED_BY_LIST


def times_sent(cell: Cell) -> int:
    """How often the gateway hears of the operation, whoever goes on with it.

    What was open and had not left is sent by the next worker only where that is safe to repeat. A charge never is; of a
    refund a person must say first whether it happened.
    """
    if cell.verb is Verb.VERIFICATION:
        return 0
    return int(cell.station is not Station.OPENED or cell.verb not in ASKED_BY_LIST)


# A walk finds news right after the settlement, so it comes first; whoever gathers must hold the account, so it is first
# as well; a take-over needs something to take over.
_CHAINS: Final = (
    (Station.WALKING, Station.ADMITTED, Station.OFFSETS, Station.PLANNED, Station.OPENED),
    (Station.GATHERED, Station.SENT, Station.ANSWERED, Station.RECORDED, Station.ASKING),
    (Station.CONCLUDED, Station.PRODUCED, Station.UNCOMMITTED, Station.COMMITTED),
    (Station.UNDER_WAY, Station.ENDED, Station.FENCED, Station.MOVED),
)
# In the order of `_CHAINS`. Each verb twice at least; but a sale, which dies at each station in `test_sigkill.py`.
_SLICED: Final = (
    (Verb.VOID, Verb.FULL_REFUND, Verb.CAPTURE, Verb.TEST_OF_MEANS, Verb.REFUND),
    (Verb.AUTHORISE, Verb.REFUND, Verb.FULL_REFUND, Verb.VOID, Verb.VERIFICATION),
    (Verb.VERIFICATION, Verb.TEST_OF_MEANS, Verb.SALE, Verb.AUTHORISE),
    (Verb.CAPTURE,) * 4,
)


def matrix() -> Iterator[Chain]:
    """Every cell that exists, in chains of one verb each."""
    for verb in Verb:
        for stations in _CHAINS:
            yield tuple(it for it in (Cell(verb, station) for station in stations) if exists(it))


SLICE: Final[tuple[Chain, ...]] = tuple(
    tuple(Cell(verb, station) for verb, station in zip(verbs, stations, strict=True))
    for verbs, stations in zip(_SLICED, _CHAINS, strict=True)
)
